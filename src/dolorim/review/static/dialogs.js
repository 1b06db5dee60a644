// Windows in front of the page: accept the rest, fill the rest, write a note, and keys of one's own
// for classes.

import * as actions from "./actions.js";
import { post } from "./api.js";
import { keysOf, refusal, shownKey } from "./classkeys.js";
import { stretch, target, unlabeled, untouched } from "./hands.js";
import { nameOf as nameOfKey } from "./keyboard.js";
import { meanings } from "./keys.js";
import { noteOf } from "./notes.js";
import { waitsFor } from "./openbout.js";
import { fillClasses, nameOf } from "./panels.js";
import { $, emit, make, on, state, UNTOUCHED } from "./state.js";
import { redraw } from "./timeline.js";

const framesIn = (ranges) => ranges.reduce((sum, [start, stop]) => sum + stop - start, 0);

// Whether a window can open now: not before a bout that is open has ended.
function free() {
  const wait = waitsFor(state);
  if (wait) emit("alert", wait);
  return Boolean(state.rec) && !wait;
}

// ---- accept the rest ----

function askAcceptRest() {
  if (!free()) return;
  actions.finishPainting();
  const bouts = untouched(state);
  const frames = framesIn(bouts);
  if (!frames) return emit("alert", "Nothing is left to accept: you have been through everything.");
  const what = state.rec.bouts ? "as predicted" : "as labeled before";
  $("ask-what").textContent =
    `${frames} frames in ${bouts.length} bouts that you have not touched would count as checked, ${what}.`;
  $("ask").showModal();
}

// ---- fill the rest ----

let stretches = []; // to choose from, as [what it is called, start, stop]

function askFill() {
  if (!free()) return;
  actions.finishPainting();
  const { rec, study } = state;
  const s = target(state);
  stretches = [["the whole recording", 0, rec.n_frames]];
  if (s && s.kind !== "here")
    stretches.unshift([`frames ${s.start} to ${s.stop - 1}`, s.start, s.stop]);
  $("fill-where").replaceChildren(
    ...stretches.map(([name], i) => make("option", { value: i }, name)),
  );
  const lasting = study.classes.map((c, i) => [c, i]).filter(([c]) => !c.point);
  $("fill-class").replaceChildren(...lasting.map(([c, i]) => make("option", { value: i }, c.name)));
  const background = study.classes.findIndex((c) => c.background);
  if (background >= 0) $("fill-class").value = String(background);
  sayFill();
  $("fill").showModal();
}

function sayFill() {
  const [, start, stop] = stretches[Number($("fill-where").value)];
  const frames = framesIn(unlabeled(state, start, stop));
  $("fill-yes").disabled = !frames;
  const rest =
    "Frames that are labeled, or of which you are unsure, stay as they are. One undo takes it back.";
  $("fill-what").textContent = frames
    ? `${frames} frames are unlabeled. ${rest}`
    : "No frame is unlabeled there.";
}

function doFill() {
  const [, start, stop] = stretches[Number($("fill-where").value)];
  $("fill").close();
  actions.fillRest(Number($("fill-class").value), start, stop);
}

// ---- notes ----

let about = null; // the bout that the note is on

function askNote() {
  if (!free()) return;
  actions.finishPainting();
  const s = target(state);
  if (!s)
    return emit("alert", "There is no bout here to write a note on; label or mark one first.");
  about = { start: s.start, stop: s.stop };
  const name = s.label === UNTOUCHED ? "" : `${nameOf(s.label)}, `;
  $("write-what").textContent = `${name}frames ${s.start} to ${s.stop - 1}`;
  $("write-text").value = noteOf(state.rec, about);
  $("write").showModal();
  $("write-text").focus();
}

function keepNote() {
  $("write").close();
  actions.note(about, $("write-text").value);
}

// ---- keys of classes ----

let waiting = null; // the class whose new key is awaited

function showClassKeys() {
  const { classes, keys } = state.study;
  const rows = classes.map((c, i) => {
    const key = shownKey(keysOf(classes, keys)[i]) || "none";
    const text = waiting === i ? "press a key" : key;
    const choose = make(
      "button",
      {
        type: "button",
        "data-label": i,
        "aria-label": `Key of ${c.name}: ${key}`,
        onclick: () => awaitKey(i),
      },
      text,
    );
    const back = make("button", { type: "button", onclick: () => chooseKey(i, null) }, "As before");
    back.hidden = !(c.name in keys);
    return make("li", {}, make("span", { class: "name" }, c.name), choose, back);
  });
  $("class-keys").replaceChildren(...rows);
}

function awaitKey(label) {
  waiting = label;
  $("class-keys-said").textContent = "";
  showClassKeys();
  $("class-keys").querySelector(`[data-label="${label}"]`).focus();
}

async function chooseKey(label, key) {
  const { classes, keys } = state.study;
  const wish = { ...keys };
  delete wish[classes[label].name];
  const wanted = key ?? keysOf(classes, wish)[label];
  const no = wanted && refusal(wanted, label, classes, keys, meanings);
  waiting = null;
  $("class-keys-said").textContent = no ?? "";
  if (!no) {
    if (key) wish[classes[label].name] = key;
    try {
      await post("/api/keys", { keys: wish });
      state.study.keys = wish;
    } catch (error) {
      $("class-keys-said").textContent = error.message;
    }
    fillClasses();
    redraw();
  }
  showClassKeys();
}

const ANY = { has: () => true }; // every key has a name here, whatever it is bound to
$("help").addEventListener("keydown", (event) => {
  if (waiting === null || ["Shift", "Control", "Alt", "AltGraph", "Meta"].includes(event.key))
    return;
  event.preventDefault();
  event.stopPropagation();
  const label = waiting;
  if (event.key === "Escape")
    return chooseKey(label, state.study.keys[state.study.classes[label].name] ?? null);
  chooseKey(label, nameOfKey(event, ANY));
});
$("help").addEventListener("cancel", (event) => waiting !== null && event.preventDefault());
function showHelp() {
  waiting = null;
  $("class-keys-said").textContent = "";
  showClassKeys();
  $("help").showModal();
}

// ---- buttons ----

const press = (id, f) => $(id).addEventListener("click", f);
press("help-button", showHelp);
press("help-close", () => $("help").close());
press("accept-rest", askAcceptRest);
press("ask-no", () => $("ask").close());
press("ask-yes", () => {
  $("ask").close();
  actions.acceptRest();
});
press("fill-no", () => $("fill").close());
press("fill-yes", doFill);
for (const id of ["fill-where", "fill-class"]) $(id).addEventListener("change", sayFill);
press("write-no", () => $("write").close());
press("write-yes", keepNote);
$("write-text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) keepNote();
});
on("help", showHelp);
on("accept-rest", askAcceptRest);
on("fill", askFill);
on("note", askNote);
