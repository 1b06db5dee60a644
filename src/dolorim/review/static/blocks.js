// How a stretch of a class is drawn: by color and pattern, with its name.

import { keysOf, shownKey } from "./classkeys.js";
import { state, UNSURE } from "./state.js";

export const colors = {}; // of the page, light or dark: see readColors() in timeline.js

// Black or white, whichever has more contrast to a color (relative luminance of WCAG 2).
export function inkOn(color) {
  const [r, g, b] = [1, 3, 5]
    .map((i) => parseInt(color.slice(i, i + 2), 16) / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#10161c" : "#ffffff";
}

// A block of a class: its color, a pattern of its own (told apart without color), its name where
// there is room.
export function block(x, label, left, right, y, height, faint = false) {
  const width = Math.max(1, right - left - (right - left > 4 ? 1 : 0));
  if (label === UNSURE) {
    x.fillStyle = colors.well;
    x.fillRect(left, y, width, height);
    x.strokeStyle = colors.quiet;
    x.setLineDash([3, 3]);
    x.strokeRect(left + 0.5, y + 0.5, Math.max(0, width - 1), height - 1);
    x.setLineDash([]);
    if (width > 14) text(x, width > 52 ? "unsure" : "?", left + 4, y + height / 2, colors.ink);
    return;
  }
  const { color, name } = state.study.classes[label];
  x.globalAlpha = faint ? 0.28 : 1;
  x.fillStyle = color;
  x.fillRect(left, y, width, height);
  if (width >= 7 && label % 6) {
    x.save();
    x.beginPath();
    x.rect(left, y, width, height);
    x.clip();
    x.strokeStyle = inkOn(color);
    x.globalAlpha *= 0.3;
    x.lineWidth = 1;
    x.beginPath();
    const kind = label % 6;
    if (kind === 1 || kind === 5)
      for (let i = left - height; i < right; i += 7)
        [x.moveTo(i, y + height), x.lineTo(i + height, y)];
    if (kind === 2 || kind === 5)
      for (let i = left - height; i < right; i += 7)
        [x.moveTo(i, y), x.lineTo(i + height, y + height)];
    if (kind === 3)
      for (let i = left + 3; i < right; i += 6) [x.moveTo(i, y), x.lineTo(i, y + height)];
    if (kind === 4)
      for (let j = y + 3; j < y + height; j += 5) [x.moveTo(left, j), x.lineTo(right, j)];
    x.stroke();
    x.restore();
  }
  x.globalAlpha = 1;
  if (faint || width < 13) return;
  const fits = x.measureText(name).width < width - 9;
  text(
    x,
    fits ? name : shownKey(keysOf(state.study.classes, state.study.keys)[label]),
    left + (fits ? 5 : 3),
    y + height / 2,
    inkOn(color),
  ); // else its key
}

export function text(x, words, left, middle, color) {
  x.fillStyle = color;
  x.fillText(words, left, middle);
}
