// The picture: frames by exact index, a small store of them, the clock of playback, zoom, and
// points drawn on top.

import * as api from "./api.js";
import { dimOthers, shownArea } from "./chamberview.js";
import { drawPoints, pointsOf, resetPoints } from "./skeleton.js";
import { $, clamp, emit, on, state } from "./state.js";
import { floorIndex } from "./tracks.js";

const BATCH = 16; // frames that are asked for at a time
const AHEAD = 3; // batches on their way during playback
const MOST_BYTES = 32e6; // of compressed frames that are kept
const MOST_BITMAPS = 24;

const canvas = $("video");
const context = canvas.getContext("2d");
let store = new Map(); // index -> {jpeg, time, x, y}, the oldest first
let bytes = 0;
let bitmaps = new Map();
let asked = new Set();
let wanted = -1; // the frame that a single request is out for
let side = null; // of the window that follows the animal, in pixels
let camera = { zoom: 1, x: 0, y: 0, smooth: null };
let endAt = null; // the frame at which playback pauses, if not at the last one
let clock = null; // {frame time, wall time} when playback (re)started
let generation = 0; // of the opened recording: late answers of another one are dropped
export const drawn = { frame: -1, n: 0 };

export function reset() {
  generation++;
  for (const b of bitmaps.values()) b.close();
  store = new Map();
  bitmaps = new Map();
  asked = new Set();
  resetPoints();
  bytes = 0;
  wanted = -1;
  side = null;
  drawn.frame = -1;
  canvas.dataset.frame = "-1";
  camera = { zoom: 1, x: 0, y: 0, smooth: null };
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
}

export function timeOf(frame) {
  const { times, rate_hz: rate } = state.rec;
  return times?.length > frame ? times[frame] - times[0] : frame / rate;
}

export function frameAt(time) {
  const { times, rate_hz: rate, n_frames: n } = state.rec;
  if (!times?.length) return clamp(Math.floor(time * rate + 1e-6), 0, n - 1);
  return clamp(floorIndex(times, time + times[0] + 1e-6), 0, n - 1);
}

// Go to a frame and show it as soon as it is there.
export function seek(frame) {
  const rec = state.rec;
  if (!rec || !rec.n_frames) return;
  emit("jump");
  state.frame = clamp(Math.round(frame), 0, rec.n_frames - 1);
  clock = null;
  emit("frame");
  show();
}

export function toggle(play = !state.playing) {
  const rec = state.rec;
  if (!rec || rec.problem) play = false;
  if (state.playing === play) return;
  if (play && state.frame >= rec.n_frames - 1) seek(0);
  // A piece of the queue is shown to its end, where it can be judged; from there, playing goes on.
  const { selection: s } = state;
  endAt = play && s?.kind === "piece" && state.frame < s.stop - 1 ? s.stop - 1 : null;
  state.playing = play;
  clock = null;
  emit("playing");
  if (play) requestAnimationFrame(tick);
  else show();
}

const stride = () => Math.max(1, Math.floor((state.rec.rate_hz * state.speed) / 45));

function tick(now) {
  if (!state.playing) return;
  const rec = state.rec;
  clock ??= { time: timeOf(state.frame), wall: now };
  let target = frameAt(clock.time + ((now - clock.wall) / 1000) * state.speed);
  const step = stride();
  target -= target % step;
  if (
    state.loop &&
    state.selection &&
    (target >= state.selection.stop || target < state.selection.start - step)
  ) {
    emit("jump");
    target = state.selection.start;
    clock = { time: timeOf(target), wall: now };
  }
  if (endAt !== null && !state.loop && !state.paint) target = Math.min(target, endAt);
  prefetch(target, step);
  if (bitmaps.has(target)) {
    if (target !== drawn.frame) {
      state.frame = Math.max(target, 0);
      draw(target);
      emit("frame");
    }
  } else {
    decode(target);
    if (drawn.frame >= 0 && target !== drawn.frame)
      clock = { time: timeOf(state.frame), wall: now }; // wait for it
  }
  for (let i = 1; i <= 4; i++) decode(target + i * step);
  const ends = target + step >= rec.n_frames || (target === endAt && !state.paint);
  if (ends && drawn.frame === target && !(state.loop && state.selection)) toggle(false);
  else requestAnimationFrame(tick);
}

function prefetch(target, step) {
  const { n_frames: n } = state.rec;
  const span = BATCH * step;
  for (let first = target - (target % span), i = 0; i < AHEAD && first < n; first += span, i++) {
    request(first, BATCH, step);
  }
}

async function request(first, count, step) {
  const key = `${first} ${count} ${step} ${state.follow}`;
  if (asked.has(key) || asked.size > 8) return;
  const { n_frames: n } = state.rec;
  let all = true;
  for (let i = first; i < Math.min(n, first + count * step); i += step) all &&= has(i);
  if (all) return;
  asked.add(key);
  const mine = generation;
  try {
    const answer = await api.frames(state.rec.id, first, count, step, state.follow);
    if (mine === generation) keep(answer);
  } catch (error) {
    if (mine === generation) fail(error);
  } finally {
    if (mine === generation) asked.delete(key);
  }
}

const has = (i) => store.has(i) && (!state.follow || !Number.isNaN(store.get(i).x));

function keep({ found, side: s }) {
  side = s ?? side;
  for (const frame of found) {
    if (store.has(frame.index)) bytes -= store.get(frame.index).jpeg.length;
    store.delete(frame.index);
    store.set(frame.index, frame);
    bytes += frame.jpeg.length;
  }
  for (const [i, frame] of store) {
    if (bytes <= MOST_BYTES) break;
    bytes -= frame.jpeg.length;
    store.delete(i);
  }
}

export const stored = (i) => store.get(i);

function fail(error) {
  toggle(false);
  emit("alert", `This frame cannot be shown: ${error.message}`);
}

const decoding = new Set();
async function decode(i) {
  if (bitmaps.has(i) || !store.has(i) || decoding.has(i)) return bitmaps.get(i);
  decoding.add(i);
  const mine = generation;
  const bitmap = await api.bitmapOf(store.get(i));
  decoding.delete(i);
  if (mine !== generation) return bitmap.close();
  bitmaps.set(i, bitmap);
  for (const [old, b] of bitmaps) {
    if (bitmaps.size <= MOST_BITMAPS) break;
    if (old === drawn.frame || old === i) continue;
    b.close();
    bitmaps.delete(old);
  }
  return bitmap;
}

// Show the present frame: from the store, else asked for alone first (an answer at once), then with
// its neighbors.
async function show() {
  const i = state.frame;
  const mine = generation;
  if (!state.rec || state.rec.problem) return draw(-1);
  if (store.has(i)) {
    await decode(i);
    if (mine === generation && state.frame === i) draw(i);
    if (mine === generation && !state.playing) neighbors(i);
    return;
  }
  if (wanted >= 0) return; // the answer on its way will look for the newest frame
  wanted = i;
  try {
    const answer = await api.frames(state.rec.id, i, 1, 1, state.follow);
    if (mine === generation) keep(answer);
  } catch (error) {
    if (mine === generation) {
      wanted = -1;
      fail(error);
    }
    return;
  }
  if (mine !== generation) return;
  wanted = -1;
  show();
}

let restTimer = 0;
function neighbors(i) {
  clearTimeout(restTimer);
  restTimer = setTimeout(() => {
    if (!state.rec || state.playing || state.frame !== i) return;
    const first = i - (i % BATCH);
    request(first, BATCH, 1);
    if (i - first < 6 && first > 0) request(first - BATCH, BATCH, 1);
    if (i - first > 9) request(first + BATCH, BATCH, 1);
  }, 80);
}

// ---- drawing ----

export function resize() {
  const box = $("screen").getBoundingClientRect();
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(box.width * scale));
  canvas.height = Math.max(1, Math.round(box.height * scale));
  draw(drawn.frame);
}

export function zoomBy(factor, at = null) {
  const old = camera.zoom;
  camera.zoom = clamp(old * factor, 1, 24);
  if (at && !state.follow) {
    const [x, y] = toImage(at);
    camera.x = x - ((x - camera.x) * old) / camera.zoom;
    camera.y = y - ((y - camera.y) * old) / camera.zoom;
  }
  draw(drawn.frame);
}

export function wholePicture() {
  camera = { zoom: 1, x: 0, y: 0, smooth: null };
  if (state.follow) toggleFollow();
  draw(drawn.frame);
}

// The whole picture of a rack, or only the chamber.
export function toggleWhole() {
  if (!state.rec?.chamber) return;
  state.whole = !state.whole;
  camera = { zoom: 1, x: 0, y: 0, smooth: null };
  emit("switches");
}

export function toggleFollow() {
  state.follow = !state.follow;
  camera.smooth = null;
  camera.zoom = 1;
  emit("switches");
  if (state.follow) store.clear();
  if (state.follow) bytes = 0;
  show();
}

let placed = { scale: 1, left: 0, top: 0, middle: [0, 0] };
// A place on the screen in pixels of the picture, seen from the middle of what is shown.
function toImage([x, y]) {
  const dpr = window.devicePixelRatio || 1;
  const [cx, cy] = placed.middle;
  return [(x * dpr - placed.left) / placed.scale - cx, (y * dpr - placed.top) / placed.scale - cy];
}

function draw(i) {
  const bitmap = bitmaps.get(i);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!bitmap) return;
  const [x0, y0, x1, y1] = shownArea(bitmap.width, bitmap.height);
  const w = x1 - x0,
    h = y1 - y0,
    middle = [(x0 + x1) / 2, (y0 + y1) / 2];
  let scale = Math.min(canvas.width / w, canvas.height / h) * camera.zoom;
  let cx = middle[0] + camera.x,
    cy = middle[1] + camera.y;
  const place = state.follow ? animal(i) : null;
  if (place) {
    scale = (Math.min(canvas.width, canvas.height) / Math.min(side ?? w, w, h)) * camera.zoom;
    const s = camera.smooth;
    const near = s && Math.abs(s.i - i) <= 8;
    const k = near ? 0.75 ** Math.abs(s.i - i) : 0;
    camera.smooth = near
      ? { i, x: k * s.x + (1 - k) * place[0], y: k * s.y + (1 - k) * place[1] }
      : { i, x: place[0], y: place[1] };
    cx = camera.smooth.x;
    cy = camera.smooth.y;
  }
  // No more than needed of the surroundings is shown.
  const limit = (c, low, high, room) => {
    const half = room / 2 / scale;
    return 2 * half >= high - low ? (low + high) / 2 : clamp(c, low + half, high - half);
  };
  cx = limit(cx, x0, x1, canvas.width);
  cy = limit(cy, y0, y1, canvas.height);
  if (!place) [camera.x, camera.y] = [cx - middle[0], cy - middle[1]];
  placed = {
    scale,
    left: canvas.width / 2 - cx * scale,
    top: canvas.height / 2 - cy * scale,
    middle,
  };
  context.setTransform(scale, 0, 0, scale, placed.left, placed.top);
  context.imageSmoothingEnabled = scale < 3;
  context.drawImage(bitmap, 0, 0);
  const pixel = (window.devicePixelRatio || 1) / scale; // of the screen, in pixels of the picture
  dimOthers(context, bitmap.width, bitmap.height, pixel);
  const rows = state.points ? pointsOf(i, drawAgain) : null;
  if (rows) drawPoints(context, rows, pixel);
  if (!drawn.n++) performance.mark("first-picture");
  drawn.frame = i;
  canvas.dataset.frame = String(i);
  canvas.dataset.placed = `${placed.left},${placed.top},${scale}`;
  emit("drawn");
}

const drawAgain = () => draw(drawn.frame);

function animal(i) {
  const rows = pointsOf(i, drawAgain);
  if (rows) {
    let x = 0,
      y = 0,
      n = 0;
    for (const [px, py, sure] of rows) if (sure > 0.6) [x, y, n] = [x + px, y + py, n + 1];
    if (n >= 3) return [x / n, y / n];
  }
  const frame = store.get(i);
  return frame && !Number.isNaN(frame.x) ? [frame.x, frame.y] : null;
}

on("switches", () => draw(drawn.frame));
canvas.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY / 300), [event.offsetX, event.offsetY]);
  },
  { passive: false },
);
let grabbed = null;
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  grabbed = { x: event.clientX, y: event.clientY, moved: false };
});
canvas.addEventListener("pointermove", (event) => {
  if (!grabbed) return;
  const dpr = window.devicePixelRatio || 1;
  const [dx, dy] = [event.clientX - grabbed.x, event.clientY - grabbed.y];
  if (!grabbed.moved && Math.hypot(dx, dy) < 4) return;
  grabbed = { x: event.clientX, y: event.clientY, moved: true };
  camera.x -= (dx * dpr) / placed.scale;
  camera.y -= (dy * dpr) / placed.scale;
  draw(drawn.frame);
});
canvas.addEventListener("pointerup", () => {
  if (grabbed && !grabbed.moved) toggle();
  grabbed = null;
});
