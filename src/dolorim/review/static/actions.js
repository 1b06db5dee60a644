// What can be done to bouts. A bout is a stretch of one label in what holds now (corrections over predictions).

import { change } from "./edits.js";
import { seek } from "./player.js";
import { clamp, emit, state, UNSURE, UNTOUCHED } from "./state.js";
import { runAt, toRuns } from "./tracks.js";

export function select(selection, tell = true) {
  state.selection = selection;
  emit("selection", tell);
}

// The selected bout, else the one under the playhead.
function current() {
  const rec = state.rec;
  if (!rec) return null;
  if (state.selection) return state.selection;
  const bout = runAt(rec.effective, state.frame);
  return bout.label < 0 && bout.label !== UNSURE ? null : { ...bout, kind: "bout" };
}

function put(start, stop, label) {
  change([[start, stop, label]]);
  select({ start, stop, label, kind: "bout" });
}

export function setClass(label) {
  const rec = state.rec;
  if (!rec || (label !== UNSURE && label >= state.study.classes.length)) return;
  if (state.playing && (!state.selection || state.paint)) return startPainting(label);
  const s = current();
  if (s) put(s.start, s.stop, label);
  else emit("alert", "Nothing is selected. Mark a stretch with [ and ], or press a class while playing to paint.");
}

// While playing, a class paints from here until another one, Escape or the end.
function startPainting(label) {
  stopPainting();
  state.paint = { label, from: state.frame };
  emit("selection");
}

export function stopPainting() {
  const { paint } = state;
  state.paint = null;
  if (paint && state.frame >= paint.from) change([[paint.from, Math.min(state.frame + 1, state.rec.n_frames), paint.label]]);
  if (paint) emit("selection");
}

// Say that what stands here is right, and go on. Returns what was accepted.
export function accept() {
  const s = current();
  if (!s) return null;
  const ranges = toRuns(state.rec.effective, UNTOUCHED, s.start, s.stop);
  change(ranges);
  return s;
}

export function acceptRest() {
  const rec = state.rec;
  if (!rec) return;
  change(toRuns(rec.below, UNTOUCHED));
}

// Back to what was there before it was touched.
export function clear() {
  const s = current();
  if (s) change([[s.start, s.stop, UNTOUCHED]]);
}

// There is no such bout: what lies on both sides goes on; else the background, else it is left open.
export function remove() {
  const s = current();
  const { effective, n_frames: n } = state.rec ?? {};
  if (!s) return;
  const before = s.start > 0 ? effective[s.start - 1] : UNTOUCHED, after = s.stop < n ? effective[s.stop] : UNTOUCHED;
  const background = state.study.classes.findIndex((c) => c.background);
  change([[s.start, s.stop, before === after && before >= 0 ? before : background >= 0 && background !== s.label ? background : UNSURE]]);
  select(null);
}

// The part behind the playhead becomes a selection of its own, to be given another class.
export function split() {
  const s = current();
  if (!s || state.frame <= s.start || state.frame >= s.stop) return;
  select({ ...s, start: state.frame, kind: "bout" });
}

// Goes on until the next bout of the same class has ended, else over the next bout.
export function merge() {
  const s = current();
  const rec = state.rec;
  if (!s || s.label < 0) return;
  const next = rec.runs.find(([start, , label]) => start >= s.stop && label === s.label) ?? rec.runs.find(([start]) => start >= s.stop);
  if (next) put(s.start, next[1], s.label);
}

// Put an edge of a bout elsewhere; what it gives up goes to its neighbor.
export function moveEdge(bout, side, to) {
  const rec = state.rec;
  const { start, stop, label } = bout;
  to = side === "start" ? clamp(to, 0, stop - 1) : clamp(to, start + 1, rec.n_frames);
  const moved = side === "start" ? { start: to, stop } : { start, stop: to };
  const ranges = [[moved.start, moved.stop, label]];
  if (side === "start" && to > start) ranges.push([start, to, start > 0 ? rec.effective[start - 1] : UNTOUCHED]);
  if (side === "stop" && to < stop) ranges.push([to, stop, stop < rec.n_frames ? rec.effective[stop] : UNTOUCHED]);
  change(ranges);
  select({ ...moved, label, kind: "bout" });
}

// [ and ]: the edge of the selected bout comes to the playhead; without one, a stretch to be labelled begins or ends.
export function edgeHere(side) {
  const rec = state.rec;
  if (!rec) return;
  const s = state.selection;
  const at = side === "start" ? state.frame : state.frame + 1;
  if (s?.kind === "bout" && s.label !== UNTOUCHED) return moveEdge(s, side, at);
  const start = side === "start" ? at : Math.min(s?.start ?? 0, state.frame);
  const stop = side === "stop" ? at : Math.max(s && s.stop > at ? s.stop : at + 1, at + 1);
  select({ start, stop, label: UNTOUCHED, kind: "range" });
}

// The next or previous bout that the filter lets through.
export function stepBout(direction) {
  const rec = state.rec;
  if (!rec) return;
  const { label, sure } = state.filter;
  let list = rec.runs;
  if (sure < 1 && rec.bouts) list = rec.bouts.filter(([start, , , p]) => p <= sure && rec.marks[start] === UNTOUCHED);
  list = list.filter((bout) => (label === null ? bout[2] !== UNTOUCHED : bout[2] === label));
  const from = state.selection?.start ?? (direction > 0 ? state.frame - 1 : state.frame);
  const next = direction > 0 ? list.find(([start]) => start > from) : list.findLast(([start]) => start < from);
  if (!next) return emit("alert", `There is no ${direction > 0 ? "further" : "earlier"} bout${label === null && sure >= 1 ? "" : " that the filter lets through"}.`);
  emit("alert", null);
  state.queue = false;
  select({ start: next[0], stop: next[1], label: next[2], kind: "bout" });
  seek(next[0]);
}
