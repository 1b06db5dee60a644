// The timeline: motion, probabilities, doubt and three tracks of bouts, above them the whole
// recording.

import * as api from "./api.js";
import { block, colors, text } from "./blocks.js";
import { clockText } from "./clock.js";
import { target } from "./hands.js";
import { openRanges, openStretch } from "./openbout.js";
import { $, clamp, emit, on, state, UNTOUCHED } from "./state.js";
import { timeOf } from "./player.js";
import { toRuns } from "./tracks.js";

export const GUTTER = 92; // room for the names of the rows
const canvas = $("timeline"),
  overview = $("overview");
let tiles = new Map();
let asked = false;
let font = ""; // of the page
let stale = true; // everything but the playhead has to be drawn anew
const still = document.createElement("canvas");

export function resetTiles() {
  tiles = new Map();
}

// ---- rows ----

function rows() {
  const rec = state.rec;
  if (!rec) return [["ruler", "", 18]];
  const low = window.innerHeight < 720;
  const found = [["ruler", "", rec.trials.length > 1 ? 30 : 18]];
  if (rec.hasMotion) found.push(["motion", "Motion", 20]);
  if (rec.predicted) found.push(["stack", "Probability", low ? 34 : 58], ["doubt", "Doubt", 18]);
  if (rec.truth) found.push(["truth", "Before", 20]);
  if (rec.predicted) found.push(["predicted", "Predicted", 24]);
  for (const other of state.raters ? (rec.others ?? []) : [])
    found.push([`rater ${other.rater}`, other.title, 18]);
  found.push(["corrected", "Corrected", 32]);
  return found;
}

export function layout() {
  let y = 0;
  return rows().map(([name, title, height]) => {
    const row = { name, title, y, height };
    y += height + 4;
    return row;
  });
}

export const box = (c) => ({ width: c.clientWidth, height: c.clientHeight });
export const frameX = (i) =>
  GUTTER +
  ((i - state.view.first) / (state.view.last - state.view.first)) * (box(canvas).width - GUTTER);
export const xFrame = (x) =>
  state.view.first +
  ((x - GUTTER) / (box(canvas).width - GUTTER)) * (state.view.last - state.view.first);

export function zoomTimeline(factor, at = state.frame) {
  const n = state.rec?.n_frames ?? 0;
  const span = state.view.last - state.view.first;
  const wish = clamp(span * factor, Math.min(n, 30), n);
  const first = clamp(at - ((at - state.view.first) / span) * wish, 0, n - wish);
  state.view = { first, last: first + wish };
  redraw();
}

// Keep the present frame in view.
export function reveal(frame = state.frame, stop = frame + 1) {
  const { first, last } = state.view;
  const n = state.rec.n_frames,
    span = last - first;
  if (frame >= first + span * 0.02 && stop <= last - span * 0.02) return;
  const start = clamp((frame + stop) / 2 - span / 2, 0, Math.max(0, n - span));
  state.view = { first: start, last: start + span };
}

export function redraw(all = true) {
  stale ||= all;
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    paintAll();
  });
}

// ---- drawing ----

export function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ink", "quiet", "line", "well", "accent", "surface"])
    colors[name] = style.getPropertyValue(`--${name}`).trim();
  const letters = getComputedStyle(canvas);
  font = `500 ${letters.fontSize} ${letters.fontFamily}`;
  redraw();
}

function ready(c, { width, height } = box(c)) {
  const dpr = window.devicePixelRatio || 1;
  const w = Math.round(width * dpr),
    h = Math.round(height * dpr);
  if (c.width !== w || c.height !== h) [c.width, c.height] = [w, h];
  const x = c.getContext("2d");
  x.setTransform(dpr, 0, 0, dpr, 0, 0);
  x.clearRect(0, 0, width, height);
  x.font = font;
  x.textBaseline = "middle";
  return x;
}

function blocks(x, labels, row, gap, faint = false) {
  const first = Math.max(0, Math.floor(state.view.first)),
    last = Math.min(labels.length, Math.ceil(state.view.last));
  const width = box(canvas).width;
  for (const [start, stop, label] of toRuns(labels, gap, first, last)) {
    const left = Math.max(GUTTER, frameX(start)),
      right = Math.min(width, frameX(stop));
    if (right > GUTTER && label !== UNTOUCHED)
      block(x, label, left, right, row.y, row.height, faint);
  }
}

function paintAll() {
  const x = ready(canvas);
  paintOverview();
  if (!state.rec) return;
  const { width, height } = box(canvas);
  if (stale || still.width !== canvas.width || still.height !== canvas.height)
    paintStill(width, height);
  stale = false;
  x.drawImage(still, 0, 0, width, height);
  const row = layout().at(-1);
  for (const [start, stop, label] of coming()) {
    const left = Math.max(GUTTER, frameX(start)),
      right = Math.min(width, frameX(stop));
    if (right > left) block(x, label, left, right, row.y, row.height);
  }
  frameTarget(x, row);
  playhead(x, height);
}

// What is being painted or is open, which the labels do not hold yet.
function coming() {
  const { paint, open, frame } = state;
  if (paint) return [[paint.from, frame + 1, paint.label]];
  return open ? openRanges(state, openStretch(state)) : [];
}

function paintStill(width, height) {
  const rec = state.rec;
  const x = ready(still, { width, height });
  const all = layout();
  for (const row of all) {
    if (row.title) {
      x.textAlign = "right";
      text(x, row.title, GUTTER - 8, row.y + row.height / 2, colors.quiet);
      x.textAlign = "left";
      x.fillStyle = colors.well;
      x.fillRect(GUTTER, row.y, width - GUTTER, row.height);
    }
    if (row.name === "ruler") ruler(x, row, width);
    if (row.name === "motion" || row.name === "stack" || row.name === "doubt") continue;
    if (row.name === "truth") blocks(x, rec.truth, row, -1);
    if (row.name === "predicted") {
      blocks(x, rec.predicted, row, -1);
      dim(x, row);
    }
    const other = rec.others?.find(({ rater }) => row.name === `rater ${rater}`);
    if (other) blocks(x, other.labels, row, UNTOUCHED);
    if (row.name === "corrected") corrected(x, row);
  }
  curves(x, all, width);
  for (const [number, start] of rec.trials.slice(0, 400)) {
    const at = Math.round(frameX(start)) + 0.5;
    if (at < GUTTER || at > width) continue;
    x.fillStyle = colors.ink;
    x.globalAlpha = 0.55;
    x.fillRect(at - 0.5, 12, 1, height - 12);
    x.globalAlpha = 1;
    if (frameX(start + 360) - at > 56) text(x, `trial ${number}`, at + 4, 23, colors.quiet);
  }
}

function ruler(x, row, width) {
  const { first, last } = state.view;
  const seconds = Math.max(
    1e-6,
    timeOf(Math.min(state.rec.n_frames - 1, Math.floor(last))) -
      timeOf(Math.max(0, Math.floor(first))),
  );
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 3600];
  const step = steps.find((s) => (s / seconds) * (width - GUTTER) > 70) ?? 7200;
  const perFrame = seconds / (last - first);
  x.textAlign = "left";
  for (let t = Math.ceil(timeOf(Math.floor(first)) / step) * step, k = 0; k < 60; t += step, k++) {
    const at = frameX(first + (t - timeOf(Math.floor(first))) / perFrame);
    if (at > width - 30) break;
    x.fillStyle = colors.line;
    x.fillRect(Math.round(at), row.y + 10, 1, 6);
    text(x, clockText(t, step < 1 ? 1 : 0), at + 3, row.y + 7, colors.quiet);
  }
}

function corrected(x, row) {
  const rec = state.rec;
  blocks(x, rec.below, row, UNTOUCHED, true);
  blocks(x, rec.marks, row, UNTOUCHED);
  x.fillStyle = colors.ink;
  for (const [start, stop] of rec.notes ?? []) {
    const at = frameX((start + stop) / 2);
    if (at < GUTTER) continue;
    x.beginPath(); // a bout with a note has its corner turned down
    x.moveTo(at - 5, row.y);
    x.lineTo(at + 5, row.y);
    x.lineTo(at, row.y + 7);
    x.fill();
  }
}

// What the keys act on: framed, with handles where its edges can be moved, and dashed where nothing
// was chosen.
function frameTarget(x, row) {
  const s = target(state);
  if (!s || s.stop <= state.view.first || s.kind === "paint") return;
  const left = Math.max(GUTTER, frameX(s.start)),
    right = frameX(s.stop);
  if (right < GUTTER) return;
  x.strokeStyle = colors.accent;
  x.lineWidth = s.kind === "here" ? 1.25 : 2;
  x.setLineDash(s.kind === "here" ? [4, 4] : []);
  x.strokeRect(left, row.y - 1, Math.max(2, right - left), row.height + 2);
  x.setLineDash([]);
  x.lineWidth = 1;
  if (s.kind !== "bout") return;
  x.fillStyle = colors.accent;
  for (const at of [left, right]) x.fillRect(at - 2, row.y + row.height / 2 - 6, 4, 12);
}

// What the filter leaves out is covered by a veil.
function dim(x, row) {
  const { label, sure } = state.filter;
  if (label === null && sure >= 1) return;
  x.fillStyle = colors.surface;
  x.globalAlpha = 0.75;
  for (const [start, stop, c, p] of state.rec.bouts) {
    if ((label === null || c === label) && p <= sure) continue;
    const left = Math.max(GUTTER, frameX(start));
    if (frameX(stop) > left) x.fillRect(left, row.y, frameX(stop) - left, row.height);
  }
  x.globalAlpha = 1;
}

function playhead(x, height) {
  const at = frameX(state.frame),
    next = frameX(state.frame + 1);
  if (next < GUTTER) return;
  x.fillStyle = colors.accent;
  x.globalAlpha = 0.18;
  x.fillRect(Math.max(at, GUTTER), 16, Math.max(1, next - at), height - 16);
  x.globalAlpha = 1;
  x.fillRect(Math.max(GUTTER, at) - 0.75, 12, 1.5, height - 12);
  x.beginPath();
  x.moveTo(at - 5, 8);
  x.lineTo(at + 5, 8);
  x.lineTo(at, 15);
  x.fill();
}

function curves(x, all, width) {
  const rec = state.rec;
  const dpr = window.devicePixelRatio || 1;
  const snap = (i) => Math.floor(frameX(i) * dpr) / dpr; // no seams between columns
  const at = Object.fromEntries(all.map((row) => [row.name, row]));
  const step =
    2 **
    Math.max(0, Math.floor(Math.log2((state.view.last - state.view.first) / (width - GUTTER))));
  const span = state.study.tile * step;
  for (
    let index = Math.floor(state.view.first / span);
    index * span < Math.min(state.view.last, rec.n_frames);
    index++
  ) {
    const tile = fetchTile(rec, step, index);
    if (!tile) continue;
    const { data, channels, probabilities, motion } = tile;
    const n = data.length / channels;
    const classes = probabilities ? channels - 1 - (motion ? 1 : 0) : 0;
    for (let i = 0; i < n; i++) {
      const left = Math.max(GUTTER, snap(index * span + i * step));
      const right = Math.min(width, snap(index * span + (i + 1) * step));
      if (right <= left || left >= width) continue;
      const w = right - left,
        base = i * channels;
      if (at.stack && classes) {
        let y = at.stack.y + at.stack.height;
        for (let c = 0; c < classes; c++) {
          const h = (data[base + c] / 255) * at.stack.height;
          if (h < 0.4) continue;
          y -= h;
          x.fillStyle = state.study.classes[c].color;
          x.fillRect(left, Math.max(at.stack.y, y), w, h);
        }
        const doubt = (data[base + classes] / 255) * at.doubt.height;
        x.fillStyle = colors.quiet;
        x.fillRect(left, at.doubt.y + at.doubt.height - doubt, w, doubt);
      }
      if (motion && at.motion) {
        const h = (data[base + channels - 1] / 255) * at.motion.height;
        x.fillStyle = colors.quiet;
        x.fillRect(left, at.motion.y + at.motion.height - h, w, h);
      }
    }
  }
}

function fetchTile(rec, step, index) {
  const key = `${rec.id} ${step} ${index}`;
  if (!tiles.has(key)) {
    tiles.set(key, null);
    for (const old of tiles.keys()) if (tiles.size > 60) tiles.delete(old);
    api.tile(rec.id, step, index).then(
      (found) => {
        tiles.set(key, found);
        if (rec === state.rec) rec.hasMotion = found.motion;
        fitHeight();
        redraw();
      },
      (error) => emit("alert", error.message),
    );
  }
  return tiles.get(key);
}

function paintOverview() {
  const x = ready(overview);
  const rec = state.rec;
  if (!rec) return;
  const { width, height } = box(overview);
  const room = width - GUTTER,
    n = rec.n_frames;
  x.fillStyle = colors.well;
  x.fillRect(GUTTER, 0, room, height);
  for (const [start, stop, label] of rec.runs) {
    if (label < 0) continue;
    x.fillStyle = state.study.classes[label].color;
    x.fillRect(
      GUTTER + (start / n) * room,
      2,
      Math.max(0.5, ((stop - start) / n) * room),
      height - 7,
    );
  }
  x.fillStyle = colors.ink;
  for (const [start, stop] of rec.touched)
    x.fillRect(
      GUTTER + (start / n) * room,
      height - 4,
      Math.max(1, ((stop - start) / n) * room),
      3,
    );
  const s = target(state);
  if (s) {
    // what would change may reach beyond what the timeline shows
    x.fillStyle = colors.accent;
    x.fillRect(GUTTER + (s.start / n) * room, 0, Math.max(1, ((s.stop - s.start) / n) * room), 2);
  }
  const left = GUTTER + (state.view.first / n) * room,
    right = GUTTER + (state.view.last / n) * room;
  x.fillStyle = colors.surface;
  x.globalAlpha = 0.6;
  x.fillRect(GUTTER, 0, left - GUTTER, height);
  x.fillRect(right, 0, width - right, height);
  x.globalAlpha = 1;
  x.strokeStyle = colors.accent;
  x.lineWidth = 1.5;
  x.strokeRect(left + 0.75, 0.75, Math.max(3, right - left) - 1.5, height - 1.5);
  x.fillStyle = colors.accent;
  x.fillRect(GUTTER + (state.frame / n) * room - 0.75, 0, 1.5, height);
}

export function fitHeight() {
  const all = layout();
  const last = all[all.length - 1];
  const height = `${last.y + last.height + 4}px`;
  if (canvas.style.height !== height) canvas.style.height = height;
}

on("marks selection filter playing", () => redraw());
on("frame", () => {
  const { first } = state.view;
  if (state.rec && !state.dragging) reveal();
  redraw(state.view.first !== first);
});
