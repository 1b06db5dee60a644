// What stands around the picture: recordings, classes, and what a key would change.

import { inkOn } from "./blocks.js";
import { keysOf, shownKey } from "./classkeys.js";
import { target } from "./hands.js";
import { noteOf } from "./notes.js";
import { $, emit, make, on, state, UNSURE, UNTOUCHED } from "./state.js";

const STATES = { new: ["○", "not seen"], work: ["◐", "in work"], done: ["●", "done"] };

// ---- recordings ----

// What all names begin and end with tells nothing apart: shown on the list is what is between.
function shortNames(names) {
  const [one, ...others] = names;
  if (!others.length) return names;
  let a = 0,
    b = 0;
  while (others.every((n) => n[a] === one[a] && a < one.length)) a++;
  while (others.every((n) => n.at(-1 - b) === one.at(-1 - b) && b < one.length)) b++;
  while (a && /[\p{L}\p{N}]/u.test(one[a - 1])) a--;
  while (b && /[\p{L}\p{N}]/u.test(one[one.length - b])) b--;
  return names.map(
    (n) =>
      (a > 12 ? "…" : n.slice(0, a)) + n.slice(a, n.length - (b > 3 ? b : 0)) + (b > 3 ? "…" : ""),
  );
}

export function fillList() {
  const words = $("list-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const short = shortNames(state.study.recordings.map((r) => r.name));
  const rows = state.study.recordings.filter((r) => {
    const text = `${r.name} ${r.animal ?? ""} ${r.group ?? ""} ${STATES[r.state][1]}`.toLowerCase();
    return words.every((w) => text.includes(w));
  });
  $("recordings").replaceChildren(
    ...rows.map((r) => {
      const [sign, meaning] = STATES[r.state];
      const others = (r.others ?? []).map(([who, what]) => `${who}: ${STATES[what][1]}`).join(", ");
      const detail = [r.animal !== r.name ? r.animal : "", r.group, others]
        .filter(Boolean)
        .join(" · ");
      const button = make(
        "button",
        {
          type: "button",
          "data-id": r.id,
          class: r.state,
          "aria-current": r.id === state.rec?.id ? "true" : null,
          title: `${r.name}: ${meaning}${others ? ` (${others})` : ""}`,
          onclick: () => {
            state.queue = false;
            emit("open", { id: r.id });
          },
        },
        make("span", { class: "sign", "aria-label": meaning }, r.problem ? "!" : sign),
        make("span", { class: "name" }, short[r.id]),
        make("span", { class: "detail" }, detail),
      );
      return make("li", {}, button);
    }),
  );
  const done = state.study.recordings.filter((r) => r.state === "done").length;
  $("list-count").textContent = `${done} of ${state.study.recordings.length} done`;
  if (!rows.length)
    $("recordings").append(make("li", { class: "quiet" }, "No recording is called that."));
}

export function markList() {
  for (const button of $("recordings").querySelectorAll("button")) {
    const row = state.study.recordings[button.dataset.id];
    const here = row.id === state.rec?.id;
    button.toggleAttribute("aria-current", here);
    if (here) button.setAttribute("aria-current", "true");
    button.className = row.state;
    if (!row.problem) button.querySelector(".sign").textContent = STATES[row.state][0];
    if (here) button.scrollIntoView({ block: "nearest" });
  }
  const done = state.study.recordings.filter((r) => r.state === "done").length;
  $("list-count").textContent = `${done} of ${state.study.recordings.length} done`;
}

// ---- classes and the selection ----

export function swatch(label) {
  const { color } = state.study.classes[label];
  const mark = make("span", { class: `swatch pattern${label % 6}`, "aria-hidden": "true" });
  mark.style.setProperty("--c", color);
  mark.style.setProperty("--on", inkOn(color));
  return mark;
}

export function fillClasses() {
  const keys = keysOf(state.study.classes, state.study.keys).map(shownKey);
  const said = (c) => c.name + (c.indicator ? " (pain)" : "") + (c.point ? " (one frame)" : "");
  const row = (label, name, k) =>
    make(
      "li",
      {},
      make(
        "button",
        {
          type: "button",
          "data-label": label,
          "data-key": label === UNSURE ? "u" : null,
          onclick: () => emit("class", label),
        },
        label === UNSURE
          ? make("span", { class: "swatch unsure", "aria-hidden": "true" })
          : swatch(label),
        make("span", { class: "name" }, name),
        make("kbd", {}, k),
      ),
    );
  $("classes").replaceChildren(
    ...state.study.classes.map((c, i) => row(i, said(c), keys[i])),
    row(UNSURE, "unsure", "u"),
  );
  $("filter-class").replaceChildren(
    make("option", { value: "" }, "all"),
    ...state.study.classes.map((c, i) => make("option", { value: i }, c.name)),
  );
}

export const nameOf = (label) =>
  label >= 0 ? state.study.classes[label].name : label === UNSURE ? "unsure" : "not labeled";

const SAID = { here: "Here ", mark: "Marking", range: "Marked", open: "Open: " };
const MARKED = new Set(["mark", "range"]);
let selectionText = "";

export function showSelection() {
  const { rec, paint } = state;
  const s = target(state); // what a key would change now
  let text = state.startStop
    ? "A class key starts a bout here."
    : "Select a bout (↓), or mark a stretch with [ and ].";
  if (paint) text = `Painting ${nameOf(paint.label)}. Esc or Space ends it.`;
  else if (s) {
    const inside = rec.bouts?.find(([start, stop]) => start <= s.start && s.start < stop);
    const seconds = ((s.stop - s.start) / rec.rate_hz).toFixed(2);
    text = `${SAID[s.kind] ?? ""}${MARKED.has(s.kind) ? "" : nameOf(s.label)}: frames ${s.start} to ${s.stop - 1}, ${seconds} s`;
    if (s.kind === "open") text += ". Its key ends it here, Esc drops it.";
    else if (inside && rec.marks[s.start] === UNTOUCHED)
      text += `, predicted with ${Math.round(100 * inside[3])} %`;
  }
  const note = s && rec ? noteOf(rec, s) : "";
  $("note").hidden = !note;
  $("note").textContent = `Note: ${note}`;
  if (text === selectionText) return;
  selectionText = $("selection").textContent = text;
  for (const button of $("classes").querySelectorAll("button"))
    button.setAttribute(
      "aria-pressed",
      Number(button.dataset.label) === (paint?.label ?? s?.label ?? null),
    );
}

export function showNow() {
  const { rec } = state;
  if (!rec) return;
  const label = state.paint?.label ?? state.open?.label ?? rec.effective[state.frame];
  $("now").textContent = label === UNTOUCHED ? "" : nameOf(label);
  $("now").style.setProperty("--c", label >= 0 ? state.study.classes[label].color : "#888888");
  $("now").style.setProperty(
    "--on",
    label >= 0 ? inkOn(state.study.classes[label].color) : "#ffffff",
  );
}

on("marks", markList);
on("switches keys", () => state.study && showSelection());
on("marks selection frame", showNow);
on("marks selection frame playing", showSelection);
