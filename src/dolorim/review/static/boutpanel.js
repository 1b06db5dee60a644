// The list of bouts beside the picture: sorted, each to go to and to delete. Only the rows that can
// be seen exist.

import { removeBout, select } from "./actions.js";
import { filterBouts, listBouts, sortBouts } from "./boutlist.js";
import { clockText } from "./clock.js";
import { stretch } from "./hands.js";
import { nameOf, swatch } from "./panels.js";
import { seek, timeOf } from "./player.js";
import { $, make, on, state } from "./state.js";

const ROW_PX = 38; // as in room.css
const SPARE = 6; // rows above and below those that can be seen
const panels = ["recordings", "bouts"];
let list = [];
let asked = false;

const shown = () => !$("bouts-panel").hidden;

export function showTab(name) {
  for (const panel of panels) {
    $(`${panel}-panel`).hidden = panel !== name;
    $(`${panel}-tab`).setAttribute("aria-selected", panel === name);
  }
  localStorage.setItem("dolorim tab", name);
  refresh();
}

function refresh() {
  if (!shown() || asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    const { rec, filter } = state;
    const all = rec ? listBouts(rec) : [];
    list = sortBouts(filterBouts(all, filter), $("bouts-sort").value);
    $("bouts-count").textContent =
      list.length === all.length ? `${all.length}` : `${list.length} of ${all.length}`;
    $("bouts").style.height = `${list.length * ROW_PX}px`;
    paint();
  });
}

function paint() {
  const { scrollTop, clientHeight } = $("bouts-scroll");
  const first = Math.max(0, Math.floor(scrollTop / ROW_PX) - SPARE);
  const last = Math.min(list.length, Math.ceil((scrollTop + clientHeight) / ROW_PX) + SPARE);
  const focused = document.activeElement?.closest("#bouts li")?.dataset.start;
  const rows = list.slice(first, last).map((bout, i) => row(bout, first + i));
  $("bouts").replaceChildren(...rows);
  if (focused) $("bouts").querySelector(`[data-start="${focused}"] button`)?.focus();
}

function row(bout, at) {
  const { start, stop, label, doubt, note } = bout;
  const { rate_hz: rate, n_frames: n } = state.rec;
  const seconds = ((stop - start) / rate).toFixed(2);
  const doubtful = doubt === null ? "" : ` · ${Math.round(100 * doubt)} % doubt`;
  const what = `${note ? "note · " : ""}${clockText(timeOf(start))} · ${seconds} s${doubtful}`;
  const here = state.selection
    ? state.selection.start === start
    : start <= state.frame && state.frame < stop;
  const sign =
    label >= 0 ? swatch(label) : make("span", { class: "swatch unsure", "aria-hidden": "true" });
  const title = `${nameOf(label)}, frames ${start} to ${stop - 1} of ${n}${note ? `: ${note}` : ""}`;
  const words = make("span", { class: "words" }, nameOf(label), make("span", {}, what));
  const go = make(
    "button",
    {
      type: "button",
      class: "go",
      title,
      "aria-current": here ? "true" : null,
      onclick: () => goTo(bout),
    },
    sign,
    words,
  );
  const gone = make(
    "button",
    {
      type: "button",
      class: "gone",
      title: "Delete this bout",
      "aria-label": `Delete ${title}`,
      onclick: () => removeBout(bout),
    },
    "×",
  );
  const item = make("li", { "data-start": start }, go, gone);
  item.style.top = `${at * ROW_PX}px`;
  return item;
}

function goTo({ start, stop, label }) {
  state.queue = false;
  seek(start);
  select(stretch(state, start, stop, label));
}

// The bout that is chosen stays in sight.
function follow() {
  if (!shown()) return;
  const s = state.selection;
  const at = s ? list.findIndex(({ start }) => start === s.start) : -1;
  const box = $("bouts-scroll");
  const above = at * ROW_PX < box.scrollTop,
    below = (at + 1) * ROW_PX > box.scrollTop + box.clientHeight;
  if (at >= 0 && (above || below)) box.scrollTop = at * ROW_PX - box.clientHeight / 2;
  paint();
}

for (const panel of panels) $(`${panel}-tab`).addEventListener("click", () => showTab(panel));
$("bouts-scroll").addEventListener("scroll", paint);
$("bouts-sort").addEventListener("change", () => {
  localStorage.setItem("dolorim sort", $("bouts-sort").value);
  $("bouts-sort").blur();
  refresh();
});
$("bouts-sort").value = localStorage.getItem("dolorim sort") || "time";
new ResizeObserver(refresh).observe($("bouts-scroll"));
on("tab", () => showTab(shown() ? "recordings" : "bouts"));
on("find", () => {
  showTab("recordings");
  $("list-filter").focus();
});
on("marks filter opened", refresh);
on("selection", follow);
