// What hands do to labels. Nothing here knows the page or the server: each verb takes the state
// (state.js), changes it, and returns the steps that have to reach the disk, and what has to be
// said.
//
// The playhead decides. What the keys act on is `target`, and the page shows it: the stroke that is
// being painted, or the bout that is open (openbout.js), else the selection, else the stretch that
// is being marked, else the bout under the playhead. A selection ends as soon as the playhead
// leaves it.
//
// Kinds of selection: "bout" was chosen as it stands, and [ and ] move its edges; "range" was
// marked, "piece" comes from the queue, and [ and ] narrow them; "labeled" has just been given its
// class, and [ and ] mark anew.

import { done, lay, select } from "./laying.js";
import { dropOpen, openStretch, startOrStop } from "./openbout.js";
import { fill, newId, refresh, runAt, toRuns, UNSURE, UNTOUCHED } from "./tracks.js";

export { select };
const NOTHING =
  "Nothing is selected. Mark a stretch with [ and ], or press a class while playing to paint.";

// ---- what the keys act on ----

function markedStretch({ mark, frame }) {
  return {
    start: Math.min(mark.at, frame),
    stop: Math.max(mark.at, frame) + 1,
    label: UNTOUCHED,
    kind: "mark",
  };
}

export function target(state) {
  const { rec, paint, selection, mark, frame } = state;
  if (!rec || !rec.n_frames) return null;
  if (paint) return { start: paint.from, stop: frame + 1, label: paint.label, kind: "paint" };
  if (state.open) return openStretch(state);
  if (selection) return selection;
  if (mark) return markedStretch(state);
  const bout = runAt(rec.effective, frame);
  return bout.label === UNTOUCHED ? null : { ...bout, kind: "here" };
}

// A stretch as a selection: a bout where one label holds all over it, else a piece.
export function stretch({ rec }, start, stop, label) {
  return { start, stop, label, kind: holds(rec, start, stop, label) ? "bout" : "piece" };
}

function holds(rec, start, stop, label) {
  return stop <= rec.n_frames && rec.effective.subarray(start, stop).every((v) => v === label);
}

// Let go of a selection that the playhead has left, or that is no longer there. Returns whether it
// did.
export function settle(state) {
  const { rec, selection: s, frame, dragging } = state;
  if (!s || dragging === "edge" || dragging === "bout") return false;
  const here = frame >= s.start && frame < s.stop;
  const claims = s.kind === "bout" || s.kind === "labeled";
  if (here && (!claims || holds(rec, s.start, s.stop, s.label))) return false;
  state.selection = null;
  return true;
}

// ---- changing labels ----

function put(state, { start, stop, kind }, label) {
  const steps = lay(state, [[start, stop, label]]);
  select(state, { start, stop, label, kind: kind === "bout" ? "bout" : "labeled" });
  return steps;
}

export function setClass(state, label) {
  const { study, playing, selection, mark } = state;
  if (label !== UNSURE && !(label < study.classes.length)) return done();
  if (study.classes[label]?.point) return markPoint(state, label);
  // What somebody has chosen takes the class in either way of working.
  const chosen = !playing && (selection || mark);
  if (state.open || (state.startStop && !chosen)) return startOrStop(state, label);
  if (playing) return startPainting(state, label);
  const s = target(state);
  return s ? done(put(state, s, label), { say: null }) : done([], { say: NOTHING });
}

// A point event takes the present frame and nothing else; a stroke that is being painted goes on
// behind it.
function markPoint(state, label) {
  const { paint, frame } = state;
  const { steps } = finishPainting(state);
  select(state, null);
  steps.push(...lay(state, [[frame, frame + 1, label]]));
  if (paint)
    state.paint = { label: paint.label, from: frame + 1, saved: frame + 1, stroke: newId() };
  return done(steps, { say: null });
}

// While playing, a class paints from here until another one, Escape, a jump or the end.
function startPainting(state, label) {
  if (state.paint?.label === label) return done();
  const { steps } = finishPainting(state);
  select(state, null);
  state.paint = { label, from: state.frame, saved: state.frame, stroke: newId() };
  return done(steps);
}

// Keep what has been painted so far; the stroke goes on. All of a stroke is one step to undo.
export function keepPainting(state) {
  const { paint, frame } = state;
  if (!paint || frame < paint.saved) return done();
  const steps = lay(state, [[paint.saved, frame + 1, paint.label]], paint.stroke);
  paint.saved = frame + 1;
  return done(steps);
}

export function finishPainting(state) {
  const { paint, frame } = state;
  if (!paint) return done();
  const { steps } = keepPainting(state);
  state.paint = null;
  if (frame >= paint.from)
    select(state, { start: paint.from, stop: frame + 1, label: paint.label, kind: "labeled" });
  settle(state);
  return done(steps);
}

// Say that what stands here is right. `accepted` is false where there is nothing.
export function accept(state) {
  const { steps } = finishPainting(state);
  const s = target(state);
  if (!s) return done(steps, { accepted: false });
  return done([...steps, ...lay(state, toRuns(state.rec.effective, UNTOUCHED, s.start, s.stop))], {
    accepted: true,
  });
}

// All that nobody has touched, as [start, stop, label].
export const untouched = ({ rec }) => toRuns(rec.below, UNTOUCHED);

export const acceptRest = (state) =>
  done([...finishPainting(state).steps, ...lay(state, untouched(state))]);

// All that has no label in frames [start, stop), as [start, stop, label]. What nobody can tell has
// been looked at.
export function unlabeled({ rec }, start = 0, stop = rec.n_frames) {
  return toRuns(rec.effective, null, start, stop).filter((run) => run[2] === UNTOUCHED);
}

// Give all of it a class, as one step.
export function fillRest(state, label, start, stop) {
  const ranges = unlabeled(state, start, stop).map((run) => [run[0], run[1], label]);
  return done([...finishPainting(state).steps, ...lay(state, ranges)], { say: null });
}

// Back to what was there before it was touched.
export function clear(state) {
  const { steps } = finishPainting(state);
  const s = target(state);
  if (!s) return done(steps);
  select(state, null);
  return done([...steps, ...lay(state, [[s.start, s.stop, UNTOUCHED]])]);
}

// There is no such bout: what lies on both sides goes on, else the background, else it is left
// open. Where nothing was said before, labeling from scratch, it becomes unlabeled again.
export function remove(state) {
  const { steps } = finishPainting(state);
  const s = target(state);
  if (!s) return done(steps);
  const { rec, study } = state;
  const before = labelAt(rec, s.start - 1),
    after = labelAt(rec, s.stop);
  const background = study.classes.findIndex((c) => c.background);
  let label = UNSURE;
  if (!shinesThrough(rec, s.start, s.stop)) label = UNTOUCHED;
  else if (before === after && before >= 0) label = before;
  else if (background >= 0 && background !== s.label) label = background;
  select(state, null);
  return done([...steps, ...lay(state, [[s.start, s.stop, label]])]);
}

const labelAt = ({ effective, n_frames: n }, i) => (i >= 0 && i < n ? effective[i] : UNTOUCHED);

// Whether labels would show from below if these frames were not corrected.
function shinesThrough(rec, start, stop) {
  const base = rec.predicted ?? rec.truth;
  return Boolean(base?.subarray(start, stop).some((v) => v !== UNTOUCHED));
}

// The part behind the playhead becomes a selection of its own, to be given another class.
export function split(state) {
  const { steps } = finishPainting(state);
  const s = target(state);
  const { frame } = state;
  if (s && s.kind !== "mark" && frame > s.start && frame < s.stop) {
    select(
      state,
      s.label === UNTOUCHED ? { ...s, start: frame } : stretch(state, frame, s.stop, s.label),
    );
  }
  return done(steps);
}

// Goes on until the next bout of the same class has ended, else over the next bout; never beyond
// what can be seen.
export function merge(state) {
  const { steps } = finishPainting(state);
  const s = target(state);
  if (!s || s.label < 0) return done(steps);
  const later = state.rec.runs.filter(([start]) => start >= s.stop);
  const next = later.find((run) => run[2] === s.label) ?? later[0];
  if (!next) return done(steps, { say: "There is no later bout to merge with." });
  if (next[1] > state.view.last) {
    const say =
      `The bout to merge with ends at frame ${next[1] - 1}, beyond what the timeline shows; ` +
      "zoom out (PgDn) to see what would be relabeled.";
    return done(steps, { say });
  }
  return done([...steps, ...put(state, { ...s, stop: next[1] }, s.label)], { say: null });
}

// ---- edges ----

// Put an edge of a bout elsewhere; what it gives up goes to its neighbor. Beyond the other edge,
// nothing is left of it.
export function moveEdge(state, bout, side, to) {
  const { rec } = state;
  const { start, stop, label } = bout;
  to = Math.max(0, Math.min(to, rec.n_frames));
  const left = side === "start" ? { start: to, stop } : { start, stop: to };
  const ranges = [];
  if (left.start < left.stop) ranges.push([left.start, left.stop, label]);
  if (side === "start" && to > start)
    ranges.push(...givenUp(rec, start, Math.min(to, stop), label, start - 1));
  if (side === "stop" && to < stop)
    ranges.push(...givenUp(rec, Math.max(to, start), stop, label, stop));
  const steps = lay(state, ranges);
  const there = left.start < left.stop;
  select(state, there ? { ...left, label, kind: "bout" } : null);
  return done(steps);
}

// Frames that a bout gives up take the label of its neighbor. Where there is none, they are no
// longer labeled; but where the same class would shine through from below, a sliver of the bout
// would be left: nobody can tell, then.
function givenUp(rec, start, stop, label, neighbor) {
  const beside = labelAt(rec, neighbor);
  if (beside !== UNTOUCHED) return [[start, stop, beside]];
  const base = rec.predicted ?? rec.truth;
  const same = base?.subarray(start, stop).some((v) => v === label);
  return [[start, stop, same ? UNSURE : UNTOUCHED]];
}

// A dragged edge jumps to the edge of another bout nearby, so that no frames too few to be seen are
// left between them.
export function snap({ rec }, bout, side, to, slack) {
  let best = to,
    distance = slack;
  for (const [start, stop] of rec.runs) {
    for (const edge of [start, stop]) {
      if (edge === bout[side] || Math.abs(edge - to) > distance) continue;
      [best, distance] = [edge, Math.abs(edge - to)];
    }
  }
  return best;
}

// [ and ]: within the selected bout, its edge comes to the playhead; else a stretch begins here,
// and the other key ends it.
export function edgeHere(state, side) {
  const { steps } = finishPainting(state);
  const { selection: s, mark, frame } = state;
  const begins = side === "start";
  if (s?.kind === "bout" && (begins ? frame > s.start : frame + 1 < s.stop)) {
    const moved = moveEdge(state, s, side, begins ? frame : frame + 1);
    return done([...steps, ...moved.steps]);
  }
  if (s?.kind === "range" || s?.kind === "piece") {
    const start = begins ? frame : s.start,
      stop = begins ? s.stop : frame + 1;
    return select(state, { start, stop, label: UNTOUCHED, kind: "range" });
  }
  if (mark && mark.side !== side) {
    select(state, { ...markedStretch(state), kind: "range" });
    return done(steps, { pause: true }); // playing on would leave it at once
  }
  state.selection = null;
  state.mark = { at: frame, side };
  return done(steps);
}

export function letGo(state) {
  if (state.open) return dropOpen(state);
  if (state.paint) return finishPainting(state);
  return select(state, null);
}

// ---- going from bout to bout ----

// The next or previous bout that the filter lets through, selected, with the playhead on its first
// frame.
export function stepBout(state, direction) {
  const { steps } = finishPainting(state);
  const {
    rec,
    filter: { label, sure },
  } = state;
  let list = rec.runs;
  if (sure < 1 && rec.bouts)
    list = rec.bouts.filter(([start, , , p]) => p <= sure && rec.marks[start] === UNTOUCHED);
  list = list.filter((bout) => (label === null ? bout[2] !== UNTOUCHED : bout[2] === label));
  const from = state.selection?.start ?? (direction > 0 ? state.frame - 1 : state.frame);
  const next =
    direction > 0 ? list.find(([start]) => start > from) : list.findLast(([start]) => start < from);
  if (!next) {
    const filtered = label === null && sure >= 1 ? "" : " that the filter lets through";
    return done(steps, {
      say: `There is no ${direction > 0 ? "further" : "earlier"} bout${filtered}.`,
    });
  }
  state.frame = next[0];
  select(state, stretch(state, next[0], next[1], next[2]));
  return done(steps, { say: null, moved: true });
}

// ---- taking back ----

function replay(rec) {
  rec.marks.fill(UNTOUCHED);
  for (const { ranges } of rec.undoable) fill(rec.marks, ranges);
  refresh(rec);
}

export function undo(state) {
  if (state.open) return dropOpen(state); // the last thing that was done is its start
  const { steps } = finishPainting(state);
  const { rec } = state;
  if (!rec.undoable.length) return done(steps);
  rec.redoable.push(rec.undoable.pop());
  replay(rec);
  select(state, null);
  return done([...steps, { what: "undo" }]);
}

export function redo(state) {
  const { steps } = finishPainting(state);
  const { rec } = state;
  if (!rec.redoable.length) return done(steps);
  rec.undoable.push(rec.redoable.pop());
  replay(rec);
  select(state, null);
  return done([...steps, { what: "redo" }]);
}
