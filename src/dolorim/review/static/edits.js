// Steps on their way to the disk. A step shows at once and waits here until the server has it; if the disk is full or
// the server is away, it is tried again. Where another tab was faster, what is on the disk wins.

import { post } from "./api.js";
import { emit, state } from "./state.js";
import { fromRuns, paint, refresh } from "./tracks.js";

const waiting = [];
let busy = false;
let saveTimer = 0;

export function waitingSteps() {
  return waiting.length;
}

export function adopt(rec, corrections) {
  rec.version = corrections.version;
  rec.canUndo = corrections.undo;
  rec.canRedo = corrections.redo;
  rec.done = corrections.state === "done";
  rec.marks = fromRuns(corrections.marks, rec.n_frames);
  refresh(rec);
  const row = state.study.recordings[rec.id];
  row.state = corrections.state;
  emit("marks");
}

export function change(ranges) {
  const rec = state.rec;
  ranges = ranges.filter(([start, stop]) => stop > start);
  if (!rec || !ranges.length) return;
  paint(rec.marks, ranges);
  refresh(rec);
  emit("marks");
  push(rec, "edit", { ranges });
}

export const undo = () => state.rec && (state.rec.canUndo || waiting.length) && push(state.rec, "undo", {});
export const redo = () => state.rec?.canRedo && push(state.rec, "redo", {});
export const setDone = (done) => state.rec && push(state.rec, "state", { state: done ? "done" : "work" });

function push(rec, what, body) {
  waiting.push({ rec, what, body });
  emit("saved", { text: "Saving" });
  work();
}

async function work() {
  if (busy) return;
  busy = true;
  while (waiting.length) {
    const { rec, what, body } = waiting[0];
    try {
      const answer = await post(`/api/recording/${rec.id}/${what}`, { version: rec.version, ...body });
      waiting.shift();
      const more = waiting.some((step) => step.rec === rec);
      if (!more) adopt(rec, answer);
      else rec.version = answer.version;
      emit("alert", null);
    } catch (error) {
      if (error.status === 409) {
        waiting.splice(0, waiting.length, ...waiting.filter((step) => step.rec !== rec));
        adopt(rec, error.body);
        emit("alert", "This recording was changed in another tab. What you see now is the newest state; your last step was not applied.");
      } else if (error.status === 0 || error.status === 403 || error.status >= 500) {
        emit("saved", { text: `Not saved: ${waiting.length} ${waiting.length > 1 ? "steps wait" : "step waits"}`, bad: true });
        const restarted = "the server was started anew; open the address that it has printed in another tab of this browser, and keep this one";
        emit("alert", `Not saved yet: ${error.status === 403 ? restarted : error.message}. Trying again.`);
        await new Promise((resolve) => setTimeout(resolve, 1500));
      } else {
        waiting.shift();
        if (error.status !== 422 || !error.message.startsWith("nothing to")) emit("alert", error.message);
      }
    }
  }
  busy = false;
  clearTimeout(saveTimer);
  saveTimer = setTimeout(save, 500);
}

export async function save() {
  clearTimeout(saveTimer);
  if (waiting.length) return;
  try {
    await post("/api/save", {});
    emit("saved", { text: "Saved" });
    emit("progress");
  } catch (error) {
    emit("saved", { text: "Label file not written", bad: true });
    emit("alert", `${error.message}. Every step is in the history; trying again.`);
    saveTimer = setTimeout(save, 3000);
  }
}

window.addEventListener("beforeunload", (event) => {
  if (waiting.length) event.preventDefault();
});
