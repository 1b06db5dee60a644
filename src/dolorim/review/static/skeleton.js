// The tracked points of the frame that is shown, asked for in pieces.

import * as api from "./api.js";
import { state } from "./state.js";

const CHUNK = 2048; // frames of points that are asked for at a time
const MOST_CHUNKS = 8;
let chunks = new Map(); // number -> Float32Array, null while it is on its way
let generation = 0; // of the opened recording: late answers of another one are dropped

export function resetPoints() {
  generation++;
  chunks = new Map();
}

// [[x, y, likelihood], ...] of a frame; null where there are none, or not yet. `arrived` is called
// when they are there.
export function pointsOf(i, arrived) {
  const { rec } = state;
  if (!rec?.points || i >= rec.points.rows) return null;
  const k = rec.points.names.length;
  const chunk = Math.floor(i / CHUNK);
  const data = chunks.get(chunk);
  if (data === undefined) fetchChunk(rec, chunk, arrived);
  if (!data) return null;
  const at = (i - chunk * CHUNK) * k * 3;
  return Array.from({ length: k }, (_, j) => [
    data[at + 3 * j],
    data[at + 3 * j + 1],
    data[at + 3 * j + 2],
  ]);
}

async function fetchChunk(rec, chunk, arrived) {
  chunks.set(chunk, null);
  const mine = generation;
  const answer = await api.points(rec.id, chunk * CHUNK, CHUNK).catch(() => null);
  if (mine !== generation || !answer) return;
  for (const old of chunks.keys())
    if (chunks.size > MOST_CHUNKS && old !== chunk) chunks.delete(old);
  chunks.set(chunk, answer);
  arrived();
}

// Sure points are full and blue, doubtful ones hollow and orange: told apart without color, too.
// `unit` is a pixel of the screen in pixels of the picture.
export function drawPoints(context, rows, unit) {
  const color = (sure) => (sure >= 0.9 ? "#56b4e9" : sure >= 0.6 ? "#f0e442" : "#ff8a3d");
  context.lineWidth = 1.6 * unit;
  for (const [a, b] of state.rec.points.bones) {
    const [one, two] = [rows[a], rows[b]];
    if (Number.isNaN(one[0]) || Number.isNaN(two[0])) continue;
    context.strokeStyle = color(Math.min(one[2], two[2]));
    context.globalAlpha = Math.min(one[2], two[2]) >= 0.6 ? 0.8 : 0.3;
    context.beginPath();
    context.moveTo(one[0] + 0.5, one[1] + 0.5);
    context.lineTo(two[0] + 0.5, two[1] + 0.5);
    context.stroke();
  }
  context.globalAlpha = 1;
  for (const [x, y, sure] of rows) {
    if (Number.isNaN(x)) continue;
    context.beginPath();
    context.arc(x + 0.5, y + 0.5, 3.6 * unit, 0, 7);
    context.fillStyle = context.strokeStyle = color(sure);
    if (sure >= 0.6) context.fill();
    else context.stroke();
  }
}
