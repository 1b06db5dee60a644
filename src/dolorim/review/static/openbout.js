// Start and stop, as in BORIS: the key of a class opens a bout at the playhead, and the same key
// ends it there, however the playhead got from one to the other. Nothing here knows the page.
//
// `state.open` is {at, label}. An open bout has labeled nothing yet; the page shows what it would.

import { done, lay, select } from "./laying.js";
import { toRuns } from "./tracks.js";

export function openStretch({ open, frame }) {
  const start = Math.min(open.at, frame),
    stop = Math.max(open.at, frame) + 1;
  return { start, stop, label: open.label, kind: "open" };
}

// The frames of the open bout, without the point events that somebody has marked among them.
export function openRanges({ rec, study }, { start, stop, label }) {
  const ranges = [];
  for (const [first, last, mark] of toRuns(rec.marks, null, start, stop)) {
    if (mark !== label && study.classes[mark]?.point) continue;
    if (ranges.at(-1)?.[1] === first) ranges.at(-1)[1] = last;
    else ranges.push([first, last, label]);
  }
  return ranges;
}

// A class opens a bout, ends its own one with the present frame, or ends another one where its own
// begins.
export function startOrStop(state, label) {
  const { open, frame } = state;
  const same = open?.label === label;
  const steps = [];
  if (same) steps.push(...lay(state, openRanges(state, openStretch(state))));
  if (open && !same && open.at !== frame) {
    const end = frame > open.at ? frame - 1 : frame + 1;
    steps.push(...lay(state, openRanges(state, openStretch({ open, frame: end }))));
  }
  select(state, null);
  state.open = same ? null : { at: frame, label };
  return done(steps, { say: null });
}

export function dropOpen(state) {
  const { at, label } = state.open;
  state.open = null;
  const name = state.study.classes[label]?.name ?? "unsure";
  return done([], { say: `The bout of ${name} that began at frame ${at} was dropped.` });
}

// Why a verb has to wait; null where no bout is open.
export function waitsFor({ open, study }) {
  if (!open) return null;
  const name = study.classes[open.label]?.name ?? "unsure";
  return `A bout of ${name} is open since frame ${open.at}: its key ends it, Esc drops it.`;
}
