// All bouts of a recording as a list that can be sorted. Nothing here knows the page.

import { noteOf } from "./notes.js";
import { UNTOUCHED } from "./tracks.js";

// Mean doubt (1 - probability) of the predicted bouts below frames [start, stop); null without any.
// `from` is the first predicted bout that may reach them.
function doubtOf(bouts, from, start, stop) {
  let sum = 0,
    frames = 0;
  for (let i = from; i < bouts.length && bouts[i][0] < stop; i++) {
    const [first, last, , probability] = bouts[i];
    const shared = Math.min(last, stop) - Math.max(first, start);
    if (shared <= 0) continue;
    sum += shared * (1 - probability);
    frames += shared;
  }
  return frames ? sum / frames : null;
}

// Every bout as {start, stop, label, doubt, touched, note}, in order of time.
export function listBouts(rec) {
  const predicted = rec.bouts ?? [];
  const list = [];
  let from = 0;
  for (const [start, stop, label] of rec.runs) {
    while (from < predicted.length && predicted[from][1] <= start) from++;
    const doubt = predicted.length ? doubtOf(predicted, from, start, stop) : null;
    const touched = rec.marks[start] !== UNTOUCHED;
    list.push({ start, stop, label, doubt, touched, note: noteOf(rec, { start, stop }) });
  }
  return list;
}

const ORDERS = {
  time: (a, b) => a.start - b.start,
  class: (a, b) => a.label - b.label,
  length: (a, b) => b.stop - b.start - (a.stop - a.start), // the longest first
  doubt: (a, b) => (b.doubt ?? -1) - (a.doubt ?? -1), // the most doubtful first
};

// Sorted by one of these, then by time.
export function sortBouts(list, by) {
  return [...list].sort((a, b) => ORDERS[by](a, b) || a.start - b.start);
}

// What the filter lets through.
export function filterBouts(list, { label, sure }) {
  return list.filter((bout) => {
    if (label !== null && bout.label !== label) return false;
    return sure >= 1 || (!bout.touched && bout.doubt !== null && 1 - bout.doubt <= sure);
  });
}
