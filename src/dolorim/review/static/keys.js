// All keys, in one table: what they do and how the help calls them.

import * as actions from "./actions.js";
import { keysOf } from "./classkeys.js";
import { save } from "./edits.js";
import { nameOf } from "./keyboard.js";
import { seek, toggle, toggleFollow, wholePicture, zoomBy } from "./player.js";
import { $, clamp, emit, make, on, state } from "./state.js";
import { zoomTimeline } from "./timeline.js";

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4, 8];

const second = () => Math.max(1, Math.round(state.rec?.rate_hz ?? 30));
const faster = (d) =>
  setSpeed(SPEEDS[clamp(SPEEDS.indexOf(state.speed) + d, 0, SPEEDS.length - 1)]);

export function setSpeed(speed) {
  const playing = state.playing;
  if (playing) toggle(false);
  state.speed = speed;
  emit("switches");
  if (playing) toggle(true);
}

// Switches that are as they were when the page is opened again.
const KEPT = ["startStop", "raters"];

export function flip(name) {
  if (name === "follow") return toggleFollow();
  if (name === "raters" && state.study.blinded) return;
  state[name] = !state[name];
  if (KEPT.includes(name)) localStorage.setItem(`dolorim ${name}`, state[name] ? "1" : "");
  emit("switches");
}

export function readSwitches() {
  for (const name of KEPT) state[name] = Boolean(localStorage.getItem(`dolorim ${name}`));
  if (state.study.blinded) state.raters = false;
  emit("switches");
}

// [keys, what the help shows, what it says, what is done, its button in the bars above the timeline
// and below the picture]. Rows without a button have one elsewhere on the page, marked with
// `data-key`.
const TABLE = [
  ["Watch"],
  [[" "], "Space", "play, pause", () => toggle()],
  [["Home"], "Home End", "first, last frame", () => seek(0), "|‹"],
  [
    ["Shift+ArrowLeft"],
    "Shift ← →",
    "one second back, on",
    () => seek(state.frame - second()),
    "«",
  ],
  [["ArrowLeft"], "← →", "one frame back, on", () => seek(state.frame - 1), "‹"],
  [["ArrowRight"], "", "one frame on", () => seek(state.frame + 1), "›"],
  [["Shift+ArrowRight"], "", "one second on", () => seek(state.frame + second()), "»"],
  [["End"], "", "last frame", () => seek(Infinity), "›|"],
  [
    ["g"],
    "g",
    "go to a frame",
    () => {
      $("frame").focus();
      $("frame").select();
    },
  ],
  [[","], ", .", "slower, faster", () => faster(-1)],
  [["."], "", "faster", () => faster(1)],
  [["l"], "l", "loop the selected bout", () => flip("loop")],
  [["f"], "f", "follow the animal", () => flip("follow")],
  [["o"], "o", "tracked points", () => flip("points")],
  [["+", "="], "+ − 0", "zoom the picture, whole picture", () => zoomBy(1.25)],
  [["-"], "", "zoom the picture out", () => zoomBy(0.8)],
  [["0"], "", "no zoom", () => wholePicture()],
  ["Find"],
  [["ArrowUp", "p"], "", "previous bout", () => actions.stepBout(-1), "↑"],
  [["ArrowDown", "n"], "↓ ↑", "next, previous bout", () => actions.stepBout(1), "↓"],
  [["b"], "b", "list of bouts, list of recordings", () => emit("tab")],
  [["q"], "q", "what to check next", () => emit("queue")],
  [["r"], "r R", "next, previous recording", () => emit("neighbor", 1)],
  [["Shift+R"], "", "previous recording", () => emit("neighbor", -1)],
  [["/"], "/", "find a recording", () => emit("find")],
  [["PageUp"], "PgUp PgDn", "zoom the timeline in, out", () => zoomTimeline(0.6)],
  [["PageDown"], "", "zoom the timeline out", () => zoomTimeline(1 / 0.6)],
  ["Label"],
  [["Enter"], "Enter", "this is right; on to the next", () => emit("accept"), "Right"],
  [[], "1 … 9", "class of the bout; while playing, paint", null],
  [
    ["k"],
    "k",
    "start and stop: a class key starts a bout, the same key ends it",
    () => flip("startStop"),
  ],
  [["u"], "u", "unsure: leave it unlabeled", () => actions.unsure()],
  [
    ["["],
    "[ ]",
    "mark a stretch; of a selected bout: its edge comes here",
    () => actions.edgeHere("start"),
    "[ In",
  ],
  [["]"], "", "the end of the stretch or bout is here", () => actions.edgeHere("stop"), "Out ]"],
  [["s"], "s", "split here: select what follows", () => actions.split(), "Split"],
  [["m"], "m", "merge with the next of its class", () => actions.merge(), "Merge"],
  [
    ["Delete", "Backspace"],
    "Del",
    "no such bout; from scratch: unlabeled",
    () => actions.remove(),
    "Delete",
  ],
  [["c"], "c", "back to what it was before", () => actions.clear(), "Clear"],
  [["z"], "z Z", "undo, redo", () => actions.undo(), "Undo"],
  [["Shift+Z", "y"], "", "redo", () => actions.redo(), "Redo"],
  [["Escape"], "Esc", "let go", () => letGo(), "Let go"],
  [["w"], "w", "write a note on the bout", () => emit("note"), "Note"],
  [["Shift+F"], "Shift F", "fill the rest with a class", () => emit("fill"), "Fill the rest"],
  [["Shift+A"], "Shift A", "accept all that is left", () => emit("accept-rest")],
  [["d"], "d", "done with this recording", () => actions.toggleDone()],
  ["Page"],
  [["t"], "t", "light, dark", () => emit("theme")],
  [["?"], "?", "this list, and keys of your own for classes", () => emit("help")],
];

function letGo() {
  state.queue = false;
  emit("alert", null);
  actions.letGo();
  emit("let-go");
}

export const bound = new Map();
export const meanings = new Map(); // what each key does, in words
// A key that is held down does it once: nobody has seen what the next time would change.
const once = new Set();
let heading = "";
for (const row of TABLE) {
  if (row.length === 1) heading = row[0];
  else for (const key of row[0]) [bound.set(key, row[3]), meanings.set(key, row[2])];
  if (row.length > 1 && heading === "Label") for (const key of row[0]) once.add(key);
}
bound.set("Ctrl+s", save);
bound.set("Ctrl+z", actions.undo);
bound.set("Ctrl+Shift+z", actions.redo);
// Also while a text field has the focus.
const EVERYWHERE = new Set(["Ctrl+s", "Ctrl+z", "Ctrl+Shift+z"]);

// What the focused element does with a key itself.
function ownKey(element, key) {
  if (element.matches("input[type=range]"))
    return key === " " || key === "Enter" || key.startsWith("Arrow");
  if (element.matches("a[href]")) return key === "Enter";
  return element.matches("button, summary") && (key === " " || key === "Enter");
}

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || state.dragging) return;
    const typing = event.target.matches("input:not([type=range]), select, textarea");
    const chosen = keysOf(state.study.classes, state.study.keys);
    const name = nameOf(event, new Set([...bound.keys(), ...chosen]));
    if (typing && name === "Escape") {
      // Or leaving it would go there.
      if (event.target.id === "frame") event.target.value = state.frame;
      return event.target.blur();
    }
    if (!name || ownKey(event.target, event.key) || (typing && !EVERYWHERE.has(name))) return;
    const label = chosen.indexOf(name);
    const act = label < 0 ? bound.get(name) : () => actions.setClass(label);
    if (!act) return;
    event.preventDefault();
    if (event.repeat && (label >= 0 || once.has(name))) return;
    act();
  });
}

// A button for each row of the table that has one.
export function writeBars() {
  let bar = null;
  for (const [keys, shown, what, act, text] of TABLE) {
    if (shown === undefined) bar = keys === "Watch" ? $("steps") : $("edit");
    if (!text) continue;
    const title = `${what} (${shown || keys[0].replace("Shift+", "Shift ")})`;
    bar.append(make("button", { type: "button", "data-key": keys[0], title, onclick: act }, text));
  }
}

export function writeHelp() {
  let list = null;
  for (const [keys, shown, what] of TABLE) {
    if (shown === undefined) {
      list = make("dl", {});
      $("keys").append(make("section", {}, make("h3", {}, keys), list));
    } else if (shown) {
      list.append(
        make(
          "dt",
          {},
          ...shown
            .split(" ")
            .map((k) => (["…", "Shift"].includes(k) ? `${k} ` : make("kbd", {}, k))),
        ),
        make("dd", {}, what),
      );
    }
  }
}

export const SWITCHES = {
  loop: "loop",
  follow: "follow",
  points: "points",
  startStop: "start-stop",
  raters: "raters",
};

on("switches", () => {
  for (const [name, id] of Object.entries(SWITCHES))
    $(id).setAttribute("aria-pressed", state[name]);
  $("speed").value = String(state.speed);
});
