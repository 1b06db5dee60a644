// Steps on their way to the disk. A step shows at once and waits here until the server has it. It
// waits in the browser's own store, too, so that it outlives this page: what was not sent is sent
// by the next page that is opened. Each step has an id, by which the server knows a step that it
// has already. Where another tab was faster, what is on the disk wins.

import { get, post as request, send } from "./api.js";
import { emit, state } from "./state.js";
import { fill, fromRuns, newId, refresh } from "./tracks.js";

const PREFIX = "dolorim unsent ";
const TAB = newId();
const RETRY_MS = 1500;
const MOST_AT_ONCE = 100;
const waiting = []; // {rec, what, body}; `rec.from` names the store that a step was found in
let busy = false;
let alone = false; // steps go one by one, as one of them was refused
let taken = 0; // steps since this page was opened
let stuck = false; // the server does not answer
let kept = true; // the browser's store has taken all that waits
let saveTimer = 0;
let lostText = null; // what became of steps of an earlier page

export const lostSteps = () => lostText;

export function waitingSteps() {
  return waiting.length;
}

// ---- what the server says ----

export function adopt(rec, corrections) {
  const { version, done, undone, marks, notes } = corrections;
  rec.version = version;
  rec.notes = notes ?? rec.notes ?? [];
  rec.done = corrections.state === "done";
  if (done) {
    rec.undoable = done.map((ranges) => ({ ranges }));
    rec.redoable = undone.map((ranges) => ({ ranges }));
    rec.marks = fromRuns(marks, rec.n_frames);
    refresh(rec);
  }
  if (rec.id in state.study.recordings) state.study.recordings[rec.id].state = corrections.state;
  if (rec !== state.rec) return;
  if (done) emit("adopted");
  emit("marks");
}

// After its last step a recording must stand as on the disk; else (which should not happen) the
// disk counts.
async function compare(rec, answer) {
  adopt(rec, { version: answer.version, state: answer.state, notes: answer.notes });
  const there = fromRuns(answer.marks, rec.n_frames);
  if (!rec.marks || there.every((v, i) => v === rec.marks[i])) return;
  const found = await get(`/api/recording/${rec.id}`);
  if (!waiting.some((step) => step.rec === rec)) adopt(rec, found.corrections);
}

// ---- steps ----

export const setDone = (done) =>
  state.rec && post(state.rec, { what: "state", state: done ? "done" : "work" });

export function post(rec, { what, ...body }) {
  waiting.push({ rec, what, body: { ...body, id: newId() } });
  taken += 1;
  keep(rec);
  emit("saved", { text: "Saving" });
  work();
}

const asSent = ({ what, body }) => ({ what, ...body });
const stepsOf = (rec) => waiting.filter((step) => step.rec === rec);

function keep(rec) {
  if (rec.from) return; // lies in another page's store until all of it has been sent
  const steps = stepsOf(rec).map(asSent);
  try {
    if (steps.length)
      localStorage.setItem(
        `${PREFIX}${rec.key} ${TAB}`,
        JSON.stringify({ base: rec.version, steps }),
      );
    else localStorage.removeItem(`${PREFIX}${rec.key} ${TAB}`);
    kept = true;
  } catch {
    kept = false; // the store is full or forbidden: the page asks before it is left
  }
}

function drop(rec, steps) {
  for (const step of steps) waiting.splice(waiting.indexOf(step), 1);
  if (rec.from && !stepsOf(rec).length) localStorage.removeItem(rec.from);
  keep(rec);
}

// What earlier pages of this study could not send.
export function takeUnsent() {
  const numbers = new Map(state.study.recordings.map((r) => [r.key, r.id]));
  for (const from of Object.keys(localStorage)) {
    const key = from.startsWith(PREFIX) ? from.slice(PREFIX.length).split(" ")[0] : "";
    if (!numbers.has(key) || from.endsWith(TAB)) continue;
    try {
      const { base, steps } = JSON.parse(localStorage.getItem(from));
      const rec = { id: numbers.get(key), key, from, version: base };
      for (const { what, ...body } of steps) waiting.push({ rec, what, body });
    } catch {
      localStorage.removeItem(from);
    }
  }
  if (waiting.length) work();
}

// Resolves when nothing waits for a recording any more, or when nothing can be sent.
export async function sent(id) {
  while (!stuck && waiting.some((step) => step.rec.id === id))
    await new Promise((resolve) => setTimeout(resolve, 30));
}

async function work() {
  if (busy) return;
  busy = true;
  while (waiting.length) {
    const { rec } = waiting[0];
    const steps = stepsOf(rec).slice(0, alone ? 1 : MOST_AT_ONCE);
    try {
      const answer = await deliver(rec, steps);
      if (stuck) emit("alert", null);
      stuck = alone = false;
      rec.version = answer.version;
      drop(rec, steps);
      if (!stepsOf(rec).length) await compare(rec, answer);
    } catch (error) {
      await failed(steps, error);
    }
  }
  busy = false;
  clearTimeout(saveTimer);
  saveTimer = setTimeout(save, 500);
}

function deliver(rec, steps) {
  const [{ what, body }] = steps;
  const { version } = rec;
  if (steps.length === 1) return request(`/api/recording/${rec.id}/${what}`, { version, ...body });
  return request(`/api/recording/${rec.id}/steps`, { version, steps: steps.map(asSent) });
}

async function failed(steps, error) {
  const { rec } = steps[0];
  if (error.status === 409) {
    const lost = stepsOf(rec).length;
    drop(rec, stepsOf(rec));
    if (rec.from) {
      const { name } = state.study.recordings[rec.id];
      lostText = `${name} was changed elsewhere while ${lost} of your steps could not be sent; they were not applied.`;
      emit("alert", lostText);
    } else {
      adopt(rec, error.body);
      emit(
        "alert",
        "This recording was changed in another tab. What you see now is the newest state; your last step was not applied.",
      );
    }
  } else if (error.status === 0 || error.status === 403 || error.status >= 500) {
    stuck = true;
    const n = waiting.length;
    emit("saved", { text: `Not saved: ${n} ${n > 1 ? "steps wait" : "step waits"}`, bad: true });
    const restarted =
      "the server was started anew; open the address that it has printed in another tab of this browser, and keep this one";
    emit(
      "alert",
      `Not saved yet: ${error.status === 403 ? restarted : error.message}. Trying again.`,
    );
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  } else if (steps.length > 1) {
    alone = true; // one of them cannot be done: find out which
  } else {
    alone = false;
    drop(rec, steps);
    if (error.status !== 422 || !error.message.startsWith("nothing to"))
      emit("alert", error.message);
  }
}

export async function save() {
  clearTimeout(saveTimer);
  if (waiting.length) return;
  const before = taken;
  try {
    await request("/api/save", {});
    // A step that was taken meanwhile may not be in the file yet: the save that follows says so.
    if (taken === before) emit("saved", { text: "Saved" });
    emit("progress");
  } catch (error) {
    emit("saved", { text: "Label file not written", bad: true });
    emit("alert", `${error.message}. Every step is in the history; trying again.`);
    saveTimer = setTimeout(save, 3000);
  }
}

// The page goes away: all that waits is sent once more, in one piece that outlives the page. What
// the server has by then it knows by its ids; what does not reach it is sent by the next page.
export function sendAll() {
  for (const rec of new Set(waiting.map((step) => step.rec))) {
    send(`/api/recording/${rec.id}/steps`, {
      version: rec.version,
      steps: stepsOf(rec).map(asSent),
    });
  }
}

window.addEventListener("beforeunload", (event) => {
  if (waiting.length && !kept) event.preventDefault();
});
