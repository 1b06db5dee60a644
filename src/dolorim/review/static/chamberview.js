// A recording that is one chamber of a rack: which part of the picture is shown, and the rest dimmed.

import { state } from "./state.js";

// What there is to see: the chamber that the recording is, or the whole picture, as [x0, y0, x1,
// y1].
export function shownArea(width, height) {
  const box = state.rec?.chamber?.box;
  return box && !state.whole ? box : [0, 0, width, height];
}

// Of a rack, only the chamber that the recording is counts: the rest is dark, and the other
// chambers are outlined.
export function dimOthers(context, width, height, pixel) {
  const { chamber } = state.rec ?? {};
  if (!chamber) return;
  const [x0, y0, x1, y1] = chamber.box;
  context.fillStyle = state.whole ? "rgb(0 0 0 / 60%)" : "#000000";
  context.fillRect(0, 0, width, y0);
  context.fillRect(0, y1, width, height - y1);
  context.fillRect(0, y0, x0, y1 - y0);
  context.fillRect(x1, y0, width - x1, y1 - y0);
  if (!state.whole) return;
  context.lineWidth = pixel;
  context.strokeStyle = "rgb(255 255 255 / 35%)";
  for (const [a, b, c, d] of chamber.others) context.strokeRect(a, b, c - a, d - b);
  context.strokeStyle = "#6cb2f7";
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
}
