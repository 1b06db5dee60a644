// The page comes to life: load the study, open recordings, join the parts.

import * as actions from "./actions.js";
import * as api from "./api.js";
import { readPlace } from "./clock.js";
import { showTab } from "./boutpanel.js";
import { adopt, lostSteps, sendAll, sent, takeUnsent, waitingSteps } from "./edits.js";
import { clockText } from "./clock.js";
import {
  flip,
  listen,
  readSwitches,
  setSpeed,
  SPEEDS,
  SWITCHES,
  writeBars,
  writeHelp,
} from "./keys.js";
import { fillClasses, fillList, markList, showSelection } from "./panels.js";
import {
  frameAt,
  reset,
  resize,
  seek,
  timeOf,
  toggle,
  toggleWhole,
  wholePicture,
  zoomBy,
} from "./player.js";
import { loadProgress, nextPiece } from "./queue.js";
import { $, clamp, emit, make, on, state } from "./state.js";
import { fitHeight, readColors, redraw, resetTiles, reveal, zoomTimeline } from "./timeline.js";
import "./dialogs.js";
import "./look.js";
import "./mouse.js";
import "./raters.js";
import "./thumbs.js";
import { fromRuns } from "./tracks.js";

// The token has done its work.
if (location.search) history.replaceState(null, "", location.pathname);

// Where this tab was before it was loaded again.
const last = readLast();
// On its way before anything else is known.
let early = api.frames(last.id, last.frame, 1, 1, false).catch(() => null);
let opening = 0;

function readLast() {
  try {
    const { id, frame, mark } = JSON.parse(sessionStorage.getItem("place"));
    return { id: Number(id) || 0, frame: Number(frame) || 0, mark: mark ?? null };
  } catch {
    return { id: 0, frame: 0, mark: null };
  }
}

function rememberPlace() {
  const { rec, frame, mark } = state;
  if (rec) sessionStorage.setItem("place", JSON.stringify({ id: rec.id, frame, mark }));
}

// The start of an open bout is kept with its recording: no reload and no crash may lose it.
const openKey = (rec) => `dolorim open ${rec.key}`;

function rememberOpen() {
  const { rec, open } = state;
  if (!rec) return;
  if (open) localStorage.setItem(openKey(rec), JSON.stringify(open));
  else localStorage.removeItem(openKey(rec));
}

function readOpen(rec) {
  try {
    const { at, label } = JSON.parse(localStorage.getItem(openKey(rec)));
    const fits = at >= 0 && at < rec.n_frames && label < state.study.classes.length;
    return fits ? { at, label } : null;
  } catch {
    return null;
  }
}

async function open({ id, frame = 0, then = () => {} }) {
  if (state.rec?.id === id) {
    seek(frame);
    then();
    return reveal(state.frame, state.selection?.stop);
  }
  toggle(false);
  actions.finishPainting();
  const mine = ++opening;
  const row = state.study.recordings[id];
  state.rec = null;
  state.open = null;
  reset();
  resetTiles();
  actions.select(null);
  $("where").textContent = row.name;
  let rec;
  if (!row.problem) firstPicture(id, frame, mine);
  for (;;) {
    try {
      await sent(id);
      rec = await api.get(`/api/recording/${id}`);
      break;
    } catch (error) {
      if (mine !== opening) return;
      $("empty").hidden = false;
      $("empty").textContent = `This recording cannot be opened: ${error.message}`;
      redraw();
      if (error.status !== 0) return;
      await new Promise((resolve) => setTimeout(resolve, 1500)); // the server may come back
    }
  }
  if (mine !== opening) return;
  rec.key = row.key;
  rec.truth = rec.truth && fromRuns(rec.truth, rec.n_frames);
  rec.bouts = rec.predicted;
  rec.predicted = rec.bouts && fromRuns(rec.bouts, rec.n_frames);
  rec.hasMotion = !rec.problem;
  state.rec = rec;
  state.open = readOpen(rec);
  state.view = { first: 0, last: rec.n_frames };
  $("empty").hidden = !rec.problem;
  $("empty").textContent = rec.problem ? `The video cannot be shown: ${rec.problem}` : "";
  emit("alert", rec.notes.length ? `Note: ${rec.notes.join("; ")}` : null);
  adopt(rec, rec.corrections);
  $("sure-label").hidden = !rec.bouts;
  $("points").hidden = !rec.points;
  $("whole").hidden = !rec.chamber;
  fitHeight();
  resize();
  const shown = Math.min(rec.n_frames, Math.max(30 * rec.rate_hz, 300)); // half a minute
  zoomTimeline(shown / rec.n_frames, frame);
  seek(frame);
  then();
  reveal(state.frame, state.selection?.stop);
  emit("switches");
  emit("opened");
  markList();
  redraw();
  if (!rec.problem)
    api.times(id).then(
      (times) => {
        if (state.rec === rec) rec.times = times;
      },
      () => {},
    );
  if (!rec.counted) setTimeout(() => countAgain(rec), 2000);
}

// The picture need not wait for anything that has to be counted or parsed.
async function firstPicture(id, frame, mine) {
  try {
    const { found } =
      (id === last.id && frame === last.frame && (await early)) ||
      (await api.frames(id, frame, 1, 1, false));
    early = null;
    const bitmap = await api.bitmapOf(found[0]);
    if (mine !== opening || state.rec) return;
    const canvas = $("video");
    resize();
    const scale = Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height);
    const [w, h] = [bitmap.width * scale, bitmap.height * scale];
    canvas
      .getContext("2d")
      .drawImage(bitmap, (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
    performance.mark("first-picture");
  } catch {
    /* the recording itself will say what is wrong */
  }
}

async function countAgain(rec) {
  if (state.rec !== rec) return;
  const found = await api.get(`/api/recording/${rec.id}`).catch(() => null);
  if (!found?.counted) return setTimeout(() => countAgain(rec), 4000);
  if (found.n_frames === rec.n_frames || state.rec !== rec) return;
  emit("alert", `The video turned out to have ${found.n_frames} frames.`);
  state.rec = null;
  open({ id: rec.id, frame: Math.min(state.frame, found.n_frames - 1) });
}

async function boot() {
  for (const speed of SPEEDS) $("speed").append(make("option", { value: speed }, `${speed}×`));
  writeHelp();
  writeBars();
  theme(localStorage.getItem("theme"));
  try {
    state.study = await api.get("/api/study");
    api.knowStudy(state.study.key);
  } catch (error) {
    return emit("alert", error.message);
  }
  const { title, rater, recordings, notes } = state.study;
  document.title = `${title} - dolorim review`;
  $("title").textContent = `${title} · ${rater}`;
  $("studio").hidden = $("learn").hidden = !state.study.studio;
  $("studio").href = state.study.studio;
  $("blinded").hidden = !state.study.blinded;
  fillClasses();
  fillList();
  showTab(localStorage.getItem("dolorim tab") || "recordings");
  showSelection();
  listen();
  readSwitches();
  if (notes.length) emit("alert", notes.join("; "));
  takeUnsent();
  const there = last.id < recordings.length ? last : { id: 0 };
  await open({ ...there, then: () => restoreMark(there.mark) });
  if (lostSteps()) emit("alert", lostSteps());
  loadProgress();
}

function restoreMark(mark) {
  if (!mark || mark.at >= state.rec.n_frames) return;
  state.mark = mark;
  emit("selection");
}

function goWhereTyped() {
  const { rec } = state;
  if (!rec) return;
  const place = readPlace($("frame").value, rec.n_frames);
  if (place.time_s > timeOf(rec.n_frames - 1) + 1 / rec.rate_hz) {
    place.say = `There is no ${clockText(place.time_s, 0)}: the recording ends at ${clockText(timeOf(rec.n_frames - 1))}.`;
  }
  emit("alert", place.say ?? null);
  if (!place.say) seek(place.frame ?? frameAt(place.time_s));
  $("frame").value = state.frame;
}

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  readColors();
}

on("open", open);
on("theme", () => {
  const dark =
    document.documentElement.dataset.theme ??
    (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const next = dark === "dark" ? "light" : "dark";
  localStorage.setItem("theme", next);
  theme(next);
});
on("neighbor", (d) => {
  const id = clamp((state.rec?.id ?? 0) + d, 0, state.study.recordings.length - 1);
  if (id !== state.rec?.id) emit("open", { id });
});
on("queue", nextPiece);
on("selection", () => {
  rememberOpen();
  if (!state.playing) rememberPlace();
});
on("class", (label) => actions.setClass(label));
on("accept", () => {
  if (!actions.accept()) return;
  if (state.queue) nextPiece();
  else actions.stepBout(1);
});
on("alert", (text) => {
  $("alert").hidden = !text;
  $("alert").textContent = text ?? "";
});
on("saved", ({ text, bad }) => {
  $("saved").textContent = text;
  $("saved").classList.toggle("bad", Boolean(bad));
});
on("switches", () => {
  $("whole").setAttribute("aria-pressed", state.whole);
  $("whole").textContent = state.whole ? "Chamber" : "Rack";
});
on("frame", () => {
  const { rec } = state;
  if (!rec) return;
  if (document.activeElement !== $("frame")) $("frame").value = state.frame;
  $("clock").textContent = `of ${rec.n_frames} · ${clockText(timeOf(state.frame))}`;
  if (!state.playing) rememberPlace();
});
on("playing", () => {
  $("play").textContent = state.playing ? "Pause" : "Play";
});
on("marks", () => {
  $("done").setAttribute("aria-pressed", state.rec.done);
  $("done").textContent = state.rec.done ? "Done ✓" : "Done";
  for (const [key, steps] of [
    ["z", state.rec.undoable],
    ["Shift+Z", state.rec.redoable],
  ]) {
    document.querySelector(`#edit [data-key="${key}"]`).disabled = !steps?.length;
  }
});

$("play").addEventListener("click", () => toggle());
$("frame").addEventListener("change", goWhereTyped);
$("frame").addEventListener("keydown", (event) => event.key === "Enter" && $("frame").blur());
$("speed").addEventListener("change", () => {
  setSpeed(Number($("speed").value));
  $("speed").blur();
});
for (const [name, id] of Object.entries(SWITCHES))
  $(id).addEventListener("click", () => flip(name));
$("whole").addEventListener("click", toggleWhole);
$("fit").addEventListener("click", wholePicture);
$("zoom-in").addEventListener("click", () => zoomBy(1.25));
$("zoom-out").addEventListener("click", () => zoomBy(0.8));
$("timeline-in").addEventListener("click", () => zoomTimeline(0.6));
$("timeline-out").addEventListener("click", () => zoomTimeline(1 / 0.6));
$("following").addEventListener("click", () => emit("neighbor", 1));
$("previous").addEventListener("click", () => emit("neighbor", -1));
$("theme").addEventListener("click", () => emit("theme"));
$("next").addEventListener("click", nextPiece);
$("done").addEventListener("click", actions.toggleDone);
$("list-filter").addEventListener("input", fillList);
$("list-filter").addEventListener("keydown", (event) => {
  if (event.key === "Enter") $("recordings").querySelector("button")?.click();
  if (event.key === "Enter") $("list-filter").blur();
});
for (const id of ["filter-class", "filter-sure"]) {
  $(id).addEventListener("input", () => {
    const label = $("filter-class").value;
    state.filter = {
      label: label === "" ? null : Number(label),
      sure: Number($("filter-sure").value) / 100,
    };
    $("filter-sure-out").textContent = `${$("filter-sure").value} %`;
    emit("filter");
  });
}
$("filter-sure-out").textContent = "100 %";
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColors);
new ResizeObserver(() => {
  resize();
  redraw();
}).observe($("screen"));
new ResizeObserver(() => redraw()).observe($("tracks"));
window.addEventListener("focus", async () => {
  const { rec } = state;
  const found = rec && (await api.get(`/api/recording/${rec.id}`).catch(() => null));
  const quiet = found && state.rec === rec && !waitingSteps();
  if (quiet && found.corrections.version > rec.version) adopt(rec, found.corrections);
});
window.addEventListener("pagehide", () => {
  actions.keepPainting();
  rememberPlace();
  sendAll();
});
// Buttons keep the focus after a click, and space would press them again: the keys belong to the
// page.
document.addEventListener(
  "click",
  (event) => event.detail && event.target.closest("button")?.blur(),
);

boot();
