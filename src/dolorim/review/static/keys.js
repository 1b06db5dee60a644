// All keys, in one table: what they do and how the help calls them.

import * as actions from "./actions.js";
import { save, setDone } from "./edits.js";
import { nameOf } from "./keyboard.js";
import { seek, toggle, toggleFollow, wholePicture, zoomBy } from "./player.js";
import { $, clamp, emit, make, on, state } from "./state.js";
import { zoomTimeline } from "./timeline.js";

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4, 8];

const second = () => Math.max(1, Math.round(state.rec?.rate_hz ?? 30));
const faster = (d) => setSpeed(SPEEDS[clamp(SPEEDS.indexOf(state.speed) + d, 0, SPEEDS.length - 1)]);

export function setSpeed(speed) {
  const playing = state.playing;
  if (playing) toggle(false);
  state.speed = speed;
  emit("switches");
  if (playing) toggle(true);
}

export function flip(name) {
  if (name === "follow") return toggleFollow();
  state[name] = !state[name];
  emit("switches");
}

// [keys, what the help shows, what it says, what is done]
const TABLE = [
  ["Watch"],
  [[" "], "Space", "play, pause", () => toggle()],
  [["ArrowLeft"], "← →", "one frame back, on", () => seek(state.frame - 1)],
  [["ArrowRight"], "", "", () => seek(state.frame + 1)],
  [["Shift+ArrowLeft"], "Shift ← →", "one second back, on", () => seek(state.frame - second())],
  [["Shift+ArrowRight"], "", "", () => seek(state.frame + second())],
  [["Home"], "Home End", "first, last frame", () => seek(0)],
  [["End"], "", "", () => seek(Infinity)],
  [["g"], "g", "go to a frame", () => { $("frame").focus(); $("frame").select(); }],
  [[","], ", .", "slower, faster", () => faster(-1)],
  [["."], "", "", () => faster(1)],
  [["l"], "l", "loop the selected bout", () => flip("loop")],
  [["f"], "f", "follow the animal", () => flip("follow")],
  [["o"], "o", "tracked points", () => flip("points")],
  [["+", "="], "+ − 0", "zoom the picture, whole picture", () => zoomBy(1.25)],
  [["-"], "", "", () => zoomBy(0.8)],
  [["0"], "", "", () => wholePicture()],
  [["PageUp"], "PgUp PgDn", "zoom the timeline in, out", () => zoomTimeline(0.6)],
  [["PageDown"], "", "", () => zoomTimeline(1 / 0.6)],
  ["Find"],
  [["ArrowDown", "n"], "↓ ↑", "next, previous bout", () => actions.stepBout(1)],
  [["ArrowUp", "p"], "", "", () => actions.stepBout(-1)],
  [["q"], "q", "what to check next", () => emit("queue")],
  [["r"], "r R", "next, previous recording", () => emit("neighbor", 1)],
  [["Shift+R"], "", "", () => emit("neighbor", -1)],
  [["/"], "/", "find a recording", () => $("list-filter").focus()],
  ["Label"],
  [["Enter"], "Enter", "this is right; on to the next", () => emit("accept")],
  [[], "1 … 9", "class of the bout; while playing, paint", null],
  [["u"], "u", "unsure: leave it unlabeled", () => actions.unsure()],
  [["["], "[ ]", "mark a stretch; of a selected bout: its edge comes here", () => actions.edgeHere("start")],
  [["]"], "", "", () => actions.edgeHere("stop")],
  [["s"], "s", "split here: select what follows", () => actions.split()],
  [["m"], "m", "merge with the next of its class", () => actions.merge()],
  [["Delete", "Backspace"], "Del", "no such bout; from scratch: unlabeled", () => actions.remove()],
  [["c"], "c", "back to what it was before", () => actions.clear()],
  [["z"], "z Z", "undo, redo", () => actions.undo()],
  [["Shift+Z", "y"], "", "", () => actions.redo()],
  [["Shift+A"], "Shift A", "accept all that is left", () => emit("accept-rest")],
  [["d"], "d", "done with this recording", () => setDone(!state.rec?.done)],
  [["Escape"], "Esc", "let go", () => letGo()],
  ["Page"],
  [["t"], "t", "light, dark", () => emit("theme")],
  [["?"], "?", "this list", () => $("help").showModal()],
];

function letGo() {
  actions.letGo();
  state.queue = false;
  emit("alert", null);
}

const bound = new Map();
const once = new Set(); // a key that is held down does it once: nobody has seen what the next time would change
let heading = "";
for (const row of TABLE) {
  if (row.length === 1) heading = row[0];
  else for (const key of row[0]) bound.set(key, row[3]);
  if (row.length > 1 && heading === "Label") for (const key of row[0]) once.add(key);
}
bound.set("Ctrl+s", save);
bound.set("Ctrl+z", actions.undo);
bound.set("Ctrl+Shift+z", actions.redo);
const EVERYWHERE = new Set(["Ctrl+s", "Ctrl+z", "Ctrl+Shift+z"]); // also while a text field has the focus

// What the focused element does with a key itself.
function ownKey(element, key) {
  if (element.matches("input[type=range]")) return key === " " || key === "Enter" || key.startsWith("Arrow");
  return element.matches("button, summary") && (key === " " || key === "Enter");
}

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || state.dragging) return;
    const typing = event.target.matches("input:not([type=range]), select, textarea");
    const name = nameOf(event, bound);
    if (typing && name === "Escape") {
      if (event.target.id === "frame") event.target.value = state.frame; // or leaving it would go there
      return event.target.blur();
    }
    if (!name || ownKey(event.target, event.key) || (typing && !EVERYWHERE.has(name))) return;
    const label = /^class (\d+)$/.exec(name)?.[1];
    const act = label === undefined ? bound.get(name) : () => actions.setClass(Number(label));
    if (!act) return;
    event.preventDefault();
    if (event.repeat && (label !== undefined || once.has(name))) return;
    act();
  });
}

export function writeHelp() {
  let list = null;
  for (const [keys, shown, what] of TABLE) {
    if (shown === undefined) {
      list = make("dl", {});
      $("keys").append(make("section", {}, make("h3", {}, keys), list));
    } else if (shown) {
      list.append(make("dt", {}, ...shown.split(" ").map((k) => (["…", "Shift"].includes(k) ? `${k} ` : make("kbd", {}, k)))), make("dd", {}, what));
    }
  }
}

on("switches", () => {
  for (const name of ["loop", "follow", "points"]) $(name).setAttribute("aria-pressed", state[name]);
  $("speed").value = String(state.speed);
});
