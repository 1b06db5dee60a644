// The verbs of hands.js, done on the page: what they change is shown, and their steps go on their
// way to the disk.

import { post, setDone } from "./edits.js";
import * as hands from "./hands.js";
import { writeNote } from "./notes.js";
import { waitsFor } from "./openbout.js";
import { seek, toggle } from "./player.js";
import { emit, on, state, UNSURE } from "./state.js";

const KEEP_MS = 1000; // a stroke that is still being painted is kept this often
let kept = 0;

// While a bout is open, its end comes first: these would change labels elsewhere.
const AFTER_OPEN = new Set([
  hands.accept,
  hands.acceptRest,
  hands.clear,
  hands.remove,
  hands.split,
  hands.merge,
  hands.edgeHere,
  hands.moveEdge,
  hands.redo,
  hands.fillRest,
]);

function act(verb, ...more) {
  const { rec } = state;
  if (!rec) return { steps: [] };
  const wait = AFTER_OPEN.has(verb) ? waitsFor(state) : null;
  if (wait) {
    emit("alert", wait);
    return { steps: [] };
  }
  const result = verb(state, ...more);
  for (const step of result.steps) post(rec, step);
  if (result.steps.length) emit("marks");
  emit("selection");
  if (result.say !== undefined) emit("alert", result.say);
  if (result.pause && state.playing) toggle(false);
  return result;
}

export const select = (selection) => {
  hands.select(state, selection);
  emit("selection");
};
export const setClass = (label) => {
  kept = performance.now();
  act(hands.setClass, label);
};
export const accept = () => act(hands.accept).accepted;
export const acceptRest = () => act(hands.acceptRest);
export const clear = () => act(hands.clear);
export const remove = () => act(hands.remove);
export const split = () => act(hands.split);
export const merge = () => act(hands.merge);
export const moveEdge = (bout, side, to) => act(hands.moveEdge, bout, side, to);
export const edgeHere = (side) => act(hands.edgeHere, side);
export const letGo = () => act(hands.letGo);
export const undo = () => act(hands.undo);
export const redo = () => act(hands.redo);
export const keepPainting = () => act(hands.keepPainting);
export const finishPainting = () => state.paint && act(hands.finishPainting);
export const unsure = () => setClass(UNSURE);
export const fillRest = (label, start, stop) => act(hands.fillRest, label, start, stop);
export const note = (bout, text) => act(writeNote, bout, text);
export function removeBout(bout) {
  seek(bout.start);
  select({ start: bout.start, stop: bout.stop, label: bout.label, kind: "bout" });
  remove();
}
export function toggleDone() {
  const wait = waitsFor(state);
  if (wait) emit("alert", wait);
  else if (state.rec) setDone(!state.rec.done);
}

export function stepBout(direction) {
  state.queue = false;
  if (act(hands.stepBout, direction).moved) seek(state.frame);
}

on("jump", finishPainting); // the playhead is about to leave the frames that it has gone through
on("playing", () => state.playing || finishPainting());
on("frame", () => {
  if (state.rec && hands.settle(state)) emit("selection");
  if (state.paint && performance.now() - kept > KEEP_MS) {
    kept = performance.now();
    keepPainting();
  }
});
on("adopted", () => {
  hands.select(state, null);
  emit("selection");
});
document.addEventListener(
  "visibilitychange",
  () => document.hidden && state.paint && keepPainting(),
);
