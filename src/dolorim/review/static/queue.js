// What to check next, and how good the predictions are by what has been checked.

import { select } from "./actions.js";
import { get } from "./api.js";
import { waitingSteps } from "./edits.js";
import { $, emit, make, on, state, UNTOUCHED } from "./state.js";

let report = null;

export async function loadProgress() {
  try {
    report = await get("/api/progress");
    showProgress();
  } catch (error) {
    emit("alert", error.message);
  }
}

const percent = (x) => `${(100 * x).toFixed(1)}\u00a0%`;

function showProgress() {
  $("queue-card").hidden = !report.total;
  if (!report.total) return;
  const { checked, total, accuracy, low, high, missing, scores, moved } = report;
  const parts = [
    make(
      "p",
      {},
      make("meter", {
        min: 0,
        max: Math.min(total, 100),
        value: checked,
        "aria-label": "pieces checked",
      }),
      ` ${checked} of ${total} pieces checked`,
    ),
  ];
  if (accuracy !== null) {
    const range =
      low === null
        ? `by ${checked} ${checked > 1 ? "pieces" : "piece"}; ${missing} more until an interval can be given`
        : `95\u00a0%\u00a0interval ${(100 * low).toFixed(1)}\u2013${percent(high)}`;
    parts.push(
      make(
        "p",
        {
          title:
            "Estimated from the pieces that were drawn, weighted by how likely each was to be drawn: it speaks for all predicted frames.",
        },
        make("b", {}, percent(accuracy)),
        ` of all frames are right (${range})`,
      ),
    );
  }
  if (scores) {
    const rows = Object.entries(scores.per_class)
      .filter(([, c]) => c.support)
      .map(([name, c]) => {
        const was = moved?.before.per_class[name]?.f1;
        const now = moved?.now.per_class[name]?.f1;
        return make(
          "tr",
          {},
          make("td", {}, name),
          make("td", {}, c.f1.toFixed(2)),
          make("td", {}, String(c.support)),
          make("td", {}, was === undefined ? "" : `${was.toFixed(2)} → ${now.toFixed(2)}`),
        );
      });
    const head = make(
      "tr",
      {},
      ...["class", "F1", "frames", moved ? "last round → now" : ""].map((h) =>
        make("th", { scope: "col" }, h),
      ),
    );
    parts.push(
      make(
        "details",
        {},
        make(
          "summary",
          {},
          `On ${scores.frames} corrected frames: accuracy ${scores.accuracy.toFixed(3)}, macro-F1 ${scores.macro_f1.toFixed(2)}`,
        ),
        make("table", {}, head, ...rows),
      ),
    );
  }
  if (moved) {
    const { before, now } = moved;
    const sign = now.accuracy >= before.accuracy ? "▲" : "▼";
    parts.push(
      make(
        "p",
        {
          title:
            "Both on the frames that were corrected by then. If the run has learned from them, this says how well it has learned them, not how good it is on new ones.",
        },
        `${sign} Last round to now: accuracy ${before.accuracy.toFixed(3)} → ${now.accuracy.toFixed(3)}, macro-F1 ${before.macro_f1.toFixed(2)} → ${now.macro_f1.toFixed(2)} on the same ${now.frames} frames`,
      ),
    );
  }
  const open = $("progress").querySelector("details")?.open;
  $("progress").replaceChildren(...parts);
  if (open && $("progress").querySelector("details"))
    $("progress").querySelector("details").open = true;
}

// The next piece of the queue; `after` leaves out the one that has just been checked.
export async function nextPiece() {
  const done = ([id, start, stop]) =>
    id === state.rec?.id && state.rec.marks.subarray(start, stop).every((v) => v !== UNTOUCHED);
  report.next = report?.next.filter((p) => !done(p)) ?? [];
  if (!report.next.length && !waitingSteps()) await loadProgress();
  const piece = report.next.find((p) => !done(p));
  if (!piece) return emit("alert", "Everything in the queue has been checked.");
  const [id, start, stop, label] = piece;
  state.queue = true;
  emit("open", { id, frame: start, then: () => select({ start, stop, label, kind: "piece" }) });
}

on("progress", loadProgress);
