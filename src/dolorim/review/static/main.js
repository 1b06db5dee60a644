// The page comes to life: load the study, open recordings, join the parts.

import * as actions from "./actions.js";
import * as api from "./api.js";
import { adopt, setDone } from "./edits.js";
import { flip, listen, setSpeed, SPEEDS, writeHelp } from "./keys.js";
import { fillClasses, fillList, loadProgress, markList, nextPiece, showSelection } from "./panels.js";
import { reset, resize, seek, timeOf, toggle, wholePicture } from "./player.js";
import { $, clamp, emit, make, on, state } from "./state.js";
import { clockText, fitHeight, readColors, redraw, resetTiles, reveal, zoomTimeline } from "./timeline.js";
import "./mouse.js";
import { fromRuns } from "./tracks.js";

if (location.search) history.replaceState(null, "", "/"); // the token has done its work

const last = Number(sessionStorage.getItem("recording")) || 0;
let early = api.frames(last, 0, 1, 1, false).catch(() => null); // on its way before anything else is known
let opening = 0;

async function open({ id, frame = 0, then = () => {} }) {
  if (state.rec?.id === id) {
    seek(frame);
    then();
    return reveal(state.frame, state.selection?.stop);
  }
  toggle(false);
  if (state.paint) actions.stopPainting();
  const mine = ++opening;
  const row = state.study.recordings[id];
  state.rec = null;
  reset();
  resetTiles();
  actions.select(null);
  $("where").textContent = row.name;
  let rec;
  if (!row.problem) firstPicture(id, frame, mine);
  try {
    rec = await api.get(`/api/recording/${id}`);
  } catch (error) {
    if (mine !== opening) return;
    $("empty").hidden = false;
    $("empty").textContent = `This recording cannot be opened: ${error.message}`;
    redraw();
    return;
  }
  if (mine !== opening) return;
  rec.truth = rec.truth && fromRuns(rec.truth, rec.n_frames);
  rec.bouts = rec.predicted;
  rec.predicted = rec.bouts && fromRuns(rec.bouts, rec.n_frames);
  rec.hasMotion = !rec.problem;
  state.rec = rec;
  state.view = { first: 0, last: rec.n_frames };
  $("empty").hidden = !rec.problem;
  $("empty").textContent = rec.problem ? `The video cannot be shown: ${rec.problem}` : "";
  emit("alert", rec.notes.length ? `Note: ${rec.notes.join("; ")}` : null);
  adopt(rec, rec.corrections);
  $("sure-label").hidden = !rec.bouts;
  $("points").hidden = !rec.points;
  fitHeight();
  resize();
  const shown = Math.min(rec.n_frames, Math.max(30 * rec.rate_hz, 300)); // half a minute
  zoomTimeline(shown / rec.n_frames, frame);
  seek(frame);
  then();
  reveal(state.frame, state.selection?.stop);
  emit("switches");
  markList();
  redraw();
  if (!rec.problem) api.times(id).then((times) => { if (state.rec === rec) rec.times = times; }, () => {});
  if (!rec.counted) setTimeout(() => countAgain(rec), 2000);
}

// The picture need not wait for anything that has to be counted or parsed.
async function firstPicture(id, frame, mine) {
  try {
    const { found } = (id === last && !frame && (await early)) || (await api.frames(id, frame, 1, 1, false));
    early = null;
    const bitmap = await api.bitmapOf(found[0]);
    if (mine !== opening || state.rec) return;
    const canvas = $("video");
    resize();
    const scale = Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height);
    const [w, h] = [bitmap.width * scale, bitmap.height * scale];
    canvas.getContext("2d").drawImage(bitmap, (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
    performance.mark("first-picture");
  } catch { /* the recording itself will say what is wrong */ }
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
  theme(localStorage.getItem("theme"));
  try {
    state.study = await api.get("/api/study");
  } catch (error) {
    return emit("alert", error.message);
  }
  const { title, rater, recordings, notes } = state.study;
  document.title = `${title} - dolorim review`;
  $("title").textContent = `${title} · ${rater}`;
  fillClasses();
  fillList();
  showSelection();
  listen();
  emit("switches");
  if (notes.length) emit("alert", notes.join("; "));
  await open({ id: last < recordings.length ? last : 0 });
  loadProgress();
}

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  readColors();
}

on("open", open);
on("open", ({ id }) => sessionStorage.setItem("recording", id));
on("theme", () => {
  const dark = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const next = dark === "dark" ? "light" : "dark";
  localStorage.setItem("theme", next);
  theme(next);
});
on("neighbor", (d) => {
  const id = clamp((state.rec?.id ?? 0) + d, 0, state.study.recordings.length - 1);
  if (id !== state.rec?.id) emit("open", { id });
});
on("queue", nextPiece);
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
on("frame", () => {
  const { rec } = state;
  if (!rec) return;
  if (document.activeElement !== $("frame")) $("frame").value = state.frame;
  $("clock").textContent = `of ${rec.n_frames} · ${clockText(timeOf(state.frame))}`;
});
on("playing", () => {
  $("play").textContent = state.playing ? "Pause" : "Play";
  if (!state.playing && state.paint) actions.stopPainting();
});
on("marks", () => {
  $("done").setAttribute("aria-pressed", state.rec.done);
  $("done").textContent = state.rec.done ? "Done ✓" : "Done";
});

$("play").addEventListener("click", () => toggle());
$("frame").addEventListener("change", () => seek(Number($("frame").value) || 0));
$("frame").addEventListener("keydown", (event) => event.key === "Enter" && $("frame").blur());
$("speed").addEventListener("change", () => { setSpeed(Number($("speed").value)); $("speed").blur(); });
for (const name of ["loop", "follow", "points"]) $(name).addEventListener("click", () => flip(name));
$("fit").addEventListener("click", wholePicture);
$("theme").addEventListener("click", () => emit("theme"));
$("help-button").addEventListener("click", () => $("help").showModal());
$("help-close").addEventListener("click", () => $("help").close());
$("next").addEventListener("click", nextPiece);
$("done").addEventListener("click", () => setDone(!state.rec?.done));
$("accept-rest").addEventListener("click", actions.acceptRest);
$("list-filter").addEventListener("input", fillList);
$("list-filter").addEventListener("keydown", (event) => {
  if (event.key === "Enter") $("recordings").querySelector("button")?.click();
  if (event.key === "Enter") $("list-filter").blur();
});
for (const id of ["filter-class", "filter-sure"]) {
  $(id).addEventListener("input", () => {
    const label = $("filter-class").value;
    state.filter = { label: label === "" ? null : Number(label), sure: Number($("filter-sure").value) / 100 };
    $("filter-sure-out").textContent = `${$("filter-sure").value} %`;
    emit("filter");
  });
}
$("filter-sure-out").textContent = "100 %";
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColors);
new ResizeObserver(() => { resize(); redraw(); }).observe($("screen"));
new ResizeObserver(() => redraw()).observe($("tracks"));
window.addEventListener("focus", async () => {
  const { rec } = state;
  const found = rec && (await api.get(`/api/recording/${rec.id}`).catch(() => null));
  if (found && state.rec === rec && found.corrections.version > rec.version) adopt(rec, found.corrections);
});
// Buttons keep the focus after a click, and space would press them again: the keys belong to the page.
document.addEventListener("click", (event) => event.detail && event.target.closest("button")?.blur());

boot();
