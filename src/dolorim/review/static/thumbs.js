// Over the timeline, a small picture of the frame below the mouse.

import * as api from "./api.js";
import { clockText } from "./clock.js";
import { stored, timeOf } from "./player.js";
import { $, clamp, on, state } from "./state.js";
import { GUTTER, xFrame } from "./timeline.js";

const WIDTH = 176; // pixels of the picture
const REST_MS = 60; // the mouse rests so long before a picture is asked for
const thumb = $("thumb"),
  canvas = thumb.querySelector("canvas");
let wanted = null; // {rec, frame} below the mouse
let busy = false;
let timer = 0;

function hide() {
  wanted = null;
  clearTimeout(timer);
  thumb.hidden = true;
}

function hover(surface, frame, event) {
  const { rec } = state;
  if (!rec || rec.problem || state.dragging || event.buttons || event.offsetX < GUTTER)
    return hide();
  wanted = { rec, frame: clamp(Math.floor(frame), 0, rec.n_frames - 1) };
  const box = surface.getBoundingClientRect();
  thumb.style.left = `${clamp(event.clientX - WIDTH / 2, 4, window.innerWidth - WIDTH - 8)}px`;
  thumb.style.bottom = `${window.innerHeight - box.top + 6}px`;
  clearTimeout(timer);
  timer = setTimeout(fetchWanted, REST_MS);
}

// One picture at a time; the newest wish comes next. While a video plays, the decoder is left
// alone.
async function fetchWanted() {
  if (busy || !wanted) return;
  busy = true;
  const { rec, frame } = wanted;
  try {
    const jpeg =
      stored(frame) ??
      (state.playing ? null : (await api.frames(rec.id, frame, 1, 1, false)).found[0]);
    if (jpeg && wanted?.rec === rec) draw(await api.bitmapOf(jpeg), rec, frame);
  } catch {
    /* the picture itself says what is wrong with a frame */
  }
  busy = false;
  if (wanted && wanted.frame !== frame) fetchWanted();
}

function draw(bitmap, rec, frame) {
  const [x0, y0, x1, y1] = rec.chamber?.box ?? [0, 0, bitmap.width, bitmap.height];
  const scale = WIDTH / (x1 - x0);
  [canvas.width, canvas.height] = [WIDTH, Math.round((y1 - y0) * scale)];
  canvas
    .getContext("2d")
    .drawImage(bitmap, x0, y0, x1 - x0, y1 - y0, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  thumb.querySelector("p").textContent = `${frame} · ${clockText(timeOf(frame))}`;
  thumb.dataset.frame = String(frame);
  thumb.hidden = false;
}

const timeline = $("timeline"),
  overview = $("overview");
timeline.addEventListener("pointermove", (event) => hover(timeline, xFrame(event.offsetX), event));
overview.addEventListener("pointermove", (event) => {
  const share = (event.offsetX - GUTTER) / (overview.clientWidth - GUTTER);
  hover(overview, share * (state.rec?.n_frames ?? 0), event);
});
for (const surface of [timeline, overview]) {
  for (const name of ["pointerleave", "pointerdown"]) surface.addEventListener(name, hide);
}
on("opened", hide);
