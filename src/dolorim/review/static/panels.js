// What stands around the picture: recordings, classes, the queue and its figures, the filter.

import { select } from "./actions.js";
import { get } from "./api.js";
import { waitingSteps } from "./edits.js";
import { target } from "./hands.js";
import { $, emit, make, on, state, UNSURE, UNTOUCHED } from "./state.js";
import { inkOn } from "./timeline.js";

const STATES = { new: ["○", "not seen"], work: ["◐", "in work"], done: ["●", "done"] };
let report = null;

// ---- recordings ----

// What all names begin and end with tells nothing apart: shown on the list is what is between.
function shortNames(names) {
  const [one, ...others] = names;
  if (!others.length) return names;
  let a = 0, b = 0;
  while (others.every((n) => n[a] === one[a] && a < one.length)) a++;
  while (others.every((n) => n.at(-1 - b) === one.at(-1 - b) && b < one.length)) b++;
  while (a && /[\p{L}\p{N}]/u.test(one[a - 1])) a--;
  while (b && /[\p{L}\p{N}]/u.test(one[one.length - b])) b--;
  return names.map((n) => (a > 12 ? "…" : n.slice(0, a)) + n.slice(a, n.length - (b > 3 ? b : 0)) + (b > 3 ? "…" : ""));
}

export function fillList() {
  const words = $("list-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const short = shortNames(state.study.recordings.map((r) => r.name));
  const rows = state.study.recordings.filter((r) => {
    const text = `${r.name} ${r.animal ?? ""} ${r.group ?? ""} ${STATES[r.state][1]}`.toLowerCase();
    return words.every((w) => text.includes(w));
  });
  $("recordings").replaceChildren(...rows.map((r) => {
    const [sign, meaning] = STATES[r.state];
    const others = (r.others ?? []).map(([who, what]) => `${who}: ${STATES[what][1]}`).join(", ");
    const detail = [r.animal !== r.name ? r.animal : "", r.group, others].filter(Boolean).join(" · ");
    const button = make("button", {
      type: "button", "data-id": r.id, class: r.state, "aria-current": r.id === state.rec?.id ? "true" : null,
      title: `${r.name}: ${meaning}${others ? ` (${others})` : ""}`, onclick: () => {
        state.queue = false;
        emit("open", { id: r.id });
      },
    }, make("span", { class: "sign", "aria-label": meaning }, r.problem ? "!" : sign), make("span", { class: "name" }, short[r.id]),
    make("span", { class: "detail" }, detail));
    return make("li", {}, button);
  }));
  const done = state.study.recordings.filter((r) => r.state === "done").length;
  $("list-count").textContent = `${done} of ${state.study.recordings.length} done`;
  if (!rows.length) $("recordings").append(make("li", { class: "quiet" }, "No recording is called that."));
}

export function markList() {
  for (const button of $("recordings").querySelectorAll("button")) {
    const row = state.study.recordings[button.dataset.id];
    const here = row.id === state.rec?.id;
    button.toggleAttribute("aria-current", here);
    if (here) button.setAttribute("aria-current", "true");
    button.className = row.state;
    if (!row.problem) button.querySelector(".sign").textContent = STATES[row.state][0];
    if (here) button.scrollIntoView({ block: "nearest" });
  }
  const done = state.study.recordings.filter((r) => r.state === "done").length;
  $("list-count").textContent = `${done} of ${state.study.recordings.length} done`;
}

// ---- classes and the selection ----

export function swatch(label) {
  const { color } = state.study.classes[label];
  const mark = make("span", { class: `swatch pattern${label % 6}`, "aria-hidden": "true" });
  mark.style.setProperty("--c", color);
  mark.style.setProperty("--on", inkOn(color));
  return mark;
}

export function fillClasses() {
  const key = (i) => (i < 9 ? String(i + 1) : i < 18 ? `⇧${i - 8}` : "");
  const row = (label, name, k) => make("li", {}, make("button", { type: "button", "data-label": label, onclick: () => emit("class", label) },
    label === UNSURE ? make("span", { class: "swatch unsure", "aria-hidden": "true" }) : swatch(label), make("span", { class: "name" }, name), make("kbd", {}, k)));
  $("classes").replaceChildren(...state.study.classes.map((c, i) => row(i, c.name + (c.indicator ? " (pain)" : ""), key(i))), row(UNSURE, "unsure", "u"));
  $("filter-class").replaceChildren(make("option", { value: "" }, "all"), ...state.study.classes.map((c, i) => make("option", { value: i }, c.name)));
}

const nameOf = (label) => (label >= 0 ? state.study.classes[label].name : label === UNSURE ? "unsure" : "not labeled");

const SAID = { here: "Here ", mark: "Marking", range: "Marked" };
const MARKED = new Set(["mark", "range"]);
let selectionText = "";

export function showSelection() {
  const { rec, paint } = state;
  const s = target(state); // what a key would change now
  let text = "Select a bout (↓), or mark a stretch with [ and ].";
  if (paint) text = `Painting ${nameOf(paint.label)}. Esc or Space ends it.`;
  else if (s) {
    const inside = rec.bouts?.find(([start, stop]) => start <= s.start && s.start < stop);
    const seconds = ((s.stop - s.start) / rec.rate_hz).toFixed(2);
    text = `${SAID[s.kind] ?? ""}${MARKED.has(s.kind) ? "" : nameOf(s.label)}: frames ${s.start} to ${s.stop - 1}, ${seconds} s`;
    if (inside && rec.marks[s.start] === UNTOUCHED) text += `, predicted with ${Math.round(100 * inside[3])} %`;
  }
  if (text === selectionText) return;
  selectionText = $("selection").textContent = text;
  for (const button of $("classes").querySelectorAll("button")) button.setAttribute("aria-pressed", Number(button.dataset.label) === (paint?.label ?? s?.label ?? null));
}

export function showNow() {
  const { rec } = state;
  if (!rec) return;
  const label = state.paint?.label ?? rec.effective[state.frame];
  $("now").textContent = label === UNTOUCHED ? "" : nameOf(label);
  $("now").style.setProperty("--c", label >= 0 ? state.study.classes[label].color : "#888888");
  $("now").style.setProperty("--on", label >= 0 ? inkOn(state.study.classes[label].color) : "#ffffff");
}

// ---- the queue ----

export async function loadProgress() {
  try {
    report = await get("/api/progress");
    showProgress();
  } catch (error) {
    emit("alert", error.message);
  }
}

const percent = (x) => `${(100 * x).toFixed(1)}\u00a0%`;

function showProgress() {
  $("queue-card").hidden = !report.total;
  if (!report.total) return;
  const { checked, total, accuracy, low, high, missing, scores, moved } = report;
  const parts = [make("p", {}, make("meter", { min: 0, max: Math.min(total, 100), value: checked, "aria-label": "pieces checked" }), ` ${checked} of ${total} pieces checked`)];
  if (accuracy !== null) {
    const range = low === null
      ? `by ${checked} ${checked > 1 ? "pieces" : "piece"}; ${missing} more until an interval can be given`
      : `95\u00a0%\u00a0interval ${(100 * low).toFixed(1)}\u2013${percent(high)}`;
    parts.push(make("p", { title: "Estimated from the pieces that were drawn, weighted by how likely each was to be drawn: it speaks for all predicted frames." },
      make("b", {}, percent(accuracy)), ` of all frames are right (${range})`));
  }
  if (scores) {
    const rows = Object.entries(scores.per_class).filter(([, c]) => c.support).map(([name, c]) => {
      const was = moved?.before.per_class[name]?.f1;
      const now = moved?.now.per_class[name]?.f1;
      return make("tr", {}, make("td", {}, name), make("td", {}, c.f1.toFixed(2)), make("td", {}, String(c.support)), make("td", {}, was === undefined ? "" : `${was.toFixed(2)} → ${now.toFixed(2)}`));
    });
    const head = make("tr", {}, ...["class", "F1", "frames", moved ? "last round → now" : ""].map((h) => make("th", { scope: "col" }, h)));
    parts.push(make("details", {}, make("summary", {}, `On ${scores.frames} corrected frames: accuracy ${scores.accuracy.toFixed(3)}, macro-F1 ${scores.macro_f1.toFixed(2)}`), make("table", {}, head, ...rows)));
  }
  if (moved) {
    const { before, now } = moved;
    const sign = now.accuracy >= before.accuracy ? "▲" : "▼";
    parts.push(make("p", { title: "Both on the frames that were corrected by then. If the run has learned from them, this says how well it has learned them, not how good it is on new ones." },
      `${sign} Last round to now: accuracy ${before.accuracy.toFixed(3)} → ${now.accuracy.toFixed(3)}, macro-F1 ${before.macro_f1.toFixed(2)} → ${now.macro_f1.toFixed(2)} on the same ${now.frames} frames`));
  }
  const open = $("progress").querySelector("details")?.open;
  $("progress").replaceChildren(...parts);
  if (open && $("progress").querySelector("details")) $("progress").querySelector("details").open = true;
}

// The next piece of the queue; `after` leaves out the one that has just been checked.
export async function nextPiece() {
  const done = ([id, start, stop]) => id === state.rec?.id && state.rec.marks.subarray(start, stop).every((v) => v !== UNTOUCHED);
  report.next = report?.next.filter((p) => !done(p)) ?? [];
  if (!report.next.length && !waitingSteps()) await loadProgress();
  const piece = report.next.find((p) => !done(p));
  if (!piece) return emit("alert", "Everything in the queue has been checked.");
  const [id, start, stop, label] = piece;
  state.queue = true;
  emit("open", { id, frame: start, then: () => select({ start, stop, label, kind: "piece" }) });
}

on("marks", markList);
on("marks selection frame", showNow);
on("marks selection frame playing", showSelection);
on("progress", loadProgress);
