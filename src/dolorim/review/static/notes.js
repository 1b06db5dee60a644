// Notes on bouts: [start, stop, text]. A note belongs to the bout that holds its middle, so that it
// stays with it when edges move a little. Nothing here knows the page.

import { done } from "./laying.js";

const middle = ([start, stop]) => Math.floor((start + stop - 1) / 2);
const within = (note, { start, stop }) => start <= middle(note) && middle(note) < stop;

export function noteOf({ notes }, bout) {
  return (notes ?? [])
    .filter((note) => within(note, bout))
    .map((note) => note[2])
    .join(" / ");
}

// Write a note on a bout in place of the earlier ones; an empty text removes them.
export function writeNote(state, { start, stop }, text) {
  const { rec } = state;
  const written = text.trim();
  if (written === noteOf(rec, { start, stop })) return done();
  rec.notes = (rec.notes ?? []).filter((note) => !within(note, { start, stop }));
  if (written) rec.notes.push([start, stop, written]);
  rec.notes.sort((a, b) => a[0] - b[0]);
  return done([{ what: "note", start, stop, text: written }]);
}
