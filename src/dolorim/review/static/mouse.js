// The mouse on the timeline: scrub, select, drag an edge, mark a stretch, zoom and move.

import { moveEdge, select } from "./actions.js";
import { snap, stretch } from "./hands.js";
import { seek, toggle } from "./player.js";
import { $, clamp, on, state, UNTOUCHED } from "./state.js";
import { box, frameX, GUTTER, layout, redraw, reveal, xFrame, zoomTimeline } from "./timeline.js";
import { runAt } from "./tracks.js";

const canvas = $("timeline"),
  overview = $("overview");
const SNAP_PX = 4;
const framesPerPx = () => (state.view.last - state.view.first) / (box(canvas).width - GUTTER);
let drag = null; // what the pressed button has hold of

function grab(what) {
  drag = what;
  state.dragging = what?.kind ?? null;
}

function rowAt(y) {
  return layout().find((row) => y >= row.y - 2 && y < row.y + row.height + 2)?.name;
}

function edgeNear(x) {
  const rec = state.rec,
    i = clamp(Math.floor(xFrame(x)), 0, rec.n_frames - 1);
  const s = state.selection;
  if (s && s.kind === "bout")
    for (const side of ["start", "stop"])
      if (Math.abs(frameX(s[side]) - x) < 6) return { bout: s, side };
  const bout = runAt(rec.effective, i);
  if (bout.label < 0) return null;
  for (const side of ["start", "stop"])
    if (Math.abs(frameX(bout[side]) - x) < 5 && frameX(bout.stop) - frameX(bout.start) > 12)
      return { bout, side };
  return null;
}

canvas.addEventListener("pointerdown", (event) => {
  if (!state.rec || event.offsetX < GUTTER || event.button) return;
  canvas.setPointerCapture(event.pointerId);
  const i = clamp(Math.floor(xFrame(event.offsetX)), 0, state.rec.n_frames - 1);
  const row = rowAt(event.offsetY);
  if (row === "corrected" && state.playing) toggle(false);
  if (row === "corrected" && !event.shiftKey) {
    const edge = edgeNear(event.offsetX);
    grab(
      edge
        ? { kind: "edge", ...edge, moved: false }
        : { kind: "bout", from: i, x: event.offsetX, moved: false },
    );
    if (edge) select({ ...edge.bout, kind: "bout" });
  } else if (row === "corrected" || event.shiftKey) {
    grab({ kind: "bout", from: i, x: event.offsetX, moved: false });
  } else {
    grab({ kind: "scrub" });
    const run = row === "predicted" ? runAt(state.rec.predicted, i) : null;
    seek(i);
    if (run && run.label >= 0) select(stretch(state, run.start, run.stop, run.label));
  }
});
canvas.addEventListener("pointermove", (event) => {
  if (!state.rec) return;
  const n = state.rec.n_frames;
  const i = clamp(Math.floor(xFrame(event.offsetX)), 0, n - 1);
  if (!drag) {
    canvas.style.cursor =
      rowAt(event.offsetY) === "corrected" && edgeNear(event.offsetX) ? "ew-resize" : "default";
    return;
  }
  if (drag.kind === "scrub") return seek(i);
  if (drag.kind === "edge") {
    const exact = clamp(Math.round(xFrame(event.offsetX)), 0, n);
    drag.to = snap(state, drag.bout, drag.side, exact, Math.floor(SNAP_PX * framesPerPx()));
    drag.moved ||= drag.to !== drag.bout[drag.side];
    const s = { ...drag.bout, kind: "bout", [drag.side]: drag.to };
    seek(drag.side === "start" ? drag.to : drag.to - 1);
    return select(s.stop > s.start ? s : null);
  }
  drag.moved ||= Math.abs(event.offsetX - drag.x) > 4;
  if (!drag.moved) return;
  seek(i); // the playhead goes with the hand: what it marks is what the keys act on
  select({
    start: Math.min(drag.from, i),
    stop: Math.max(drag.from, i) + 1,
    label: UNTOUCHED,
    kind: "range",
  });
});
canvas.addEventListener("pointerup", () => {
  const was = drag;
  grab(null);
  if (!was || !state.rec) return;
  if (was.kind === "edge" && was.moved) moveEdge(was.bout, was.side, was.to);
  if (was.kind === "edge" && !was.moved)
    seek(clamp(state.frame, was.bout.start, was.bout.stop - 1));
  if (was.kind === "bout" && !was.moved) {
    const bout = runAt(state.rec.effective, was.from);
    seek(was.from);
    if (bout.label === UNTOUCHED) select(null);
    else select({ ...bout, kind: "bout" });
  }
});
canvas.addEventListener("pointercancel", () => {
  grab(null);
  if (state.rec) select(null);
});
on("adopted", () => grab(null)); // what the hand holds may no longer be there
canvas.addEventListener(
  "wheel",
  (event) => {
    if (!state.rec) return;
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const span = state.view.last - state.view.first;
      const first = clamp(
        state.view.first + ((event.deltaX || event.deltaY) / 800) * span,
        0,
        Math.max(0, state.rec.n_frames - span),
      );
      state.view = { first, last: first + span };
      redraw();
    } else zoomTimeline(Math.exp(event.deltaY / 400), xFrame(event.offsetX));
  },
  { passive: false },
);

let overviewDown = false;
function overviewTo(event) {
  const n = state.rec.n_frames;
  seek(
    clamp(Math.floor(((event.offsetX - GUTTER) / (box(overview).width - GUTTER)) * n), 0, n - 1),
  );
  reveal();
  redraw();
}
overview.addEventListener("pointerdown", (event) => {
  if (!state.rec) return;
  overview.setPointerCapture(event.pointerId);
  overviewDown = true;
  overviewTo(event);
});
overview.addEventListener("pointermove", (event) => overviewDown && overviewTo(event));
overview.addEventListener("pointerup", () => (overviewDown = false));
