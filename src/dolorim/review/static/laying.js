// Where labels are changed: every verb of hands.js lays ranges, and says which steps have to reach
// the disk.

import { fill, refresh } from "./tracks.js";

export const done = (steps = [], more = {}) => ({ steps, ...more });

// Lay ranges [start, stop, label] as one step to undo; steps of one stroke are one. What changes
// nothing is no step.
export function lay(state, ranges, stroke = null) {
  const { rec } = state;
  const real = ranges.filter(([start, stop, label]) =>
    rec.marks.subarray(start, stop).some((v) => v !== label),
  );
  if (!real.length) return [];
  const last = rec.undoable.at(-1);
  if (stroke && last?.stroke === stroke) last.ranges.push(...real);
  else rec.undoable.push({ ranges: [...real], stroke });
  rec.redoable = [];
  fill(rec.marks, real);
  refresh(rec);
  return [stroke ? { what: "edit", ranges: real, stroke } : { what: "edit", ranges: real }];
}

export function select(state, selection) {
  state.selection = selection;
  state.mark = null;
  return done();
}
