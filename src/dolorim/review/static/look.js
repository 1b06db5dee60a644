// Brightness, contrast, and gamma of the picture. Only what is seen changes: a filter of the
// browser lies over it.

import { $, on } from "./state.js";

const NEUTRAL = { brightness: 0, contrast: 1, gamma: 1 };
const KNOTS = 33; // of the curve from dark to bright; the browser draws lines between them
const KEY = "dolorim look";
let look = read();

// How bright a gray level is shown, both from 0 to 1: gamma first, so that dark parts open up
// before they are spread.
export function level(gray, { brightness, contrast, gamma }) {
  const opened = gray ** (1 / gamma);
  return Math.min(1, Math.max(0, (opened - 0.5) * contrast + 0.5 + brightness));
}

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY)) ?? {};
    const known = Object.keys(NEUTRAL).filter((name) => Number.isFinite(kept[name]));
    return { ...NEUTRAL, ...Object.fromEntries(known.map((name) => [name, kept[name]])) };
  } catch {
    return { ...NEUTRAL };
  }
}

function show() {
  const table = Array.from({ length: KNOTS }, (_, i) =>
    level(i / (KNOTS - 1), look).toFixed(4),
  ).join(" ");
  for (const part of document.querySelectorAll("#look-filter feComponentTransfer > *"))
    part.setAttribute("tableValues", table);
  const changed = Object.keys(NEUTRAL).some((name) => look[name] !== NEUTRAL[name]);
  document.documentElement.classList.toggle("looked", changed);
  for (const name of Object.keys(NEUTRAL)) $(`look-${name}`).value = look[name];
  localStorage.setItem(KEY, JSON.stringify(look));
}

for (const name of Object.keys(NEUTRAL)) {
  $(`look-${name}`).addEventListener("input", () => {
    look[name] = Number($(`look-${name}`).value);
    show();
  });
}
$("look-reset").addEventListener("click", () => {
  look = { ...NEUTRAL };
  show();
});
// A click elsewhere closes the panel, and Escape does.
document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest("#look")) $("look").open = false;
});
on("let-go", () => ($("look").open = false));
show();
