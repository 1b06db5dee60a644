// What other raters have labeled, in rows of the timeline, and how far they agree with this one.

import { get } from "./api.js";
import { $, emit, make, on, state } from "./state.js";
import { fitHeight, redraw } from "./timeline.js";
import { fromRuns } from "./tracks.js";

const NAME = 7; // characters of a name that fit beside a row

async function load() {
  const { rec } = state;
  $("raters").hidden = state.study.blinded;
  $("raters-card").hidden = !state.raters;
  if (!rec || !state.raters) return draw();
  const told = await get(`/api/recording/${rec.id}/raters`).catch((error) => error.message);
  if (rec !== state.rec) return;
  if (typeof told === "string") return emit("alert", `Other raters are not shown: ${told}`);
  rec.others = told.map((other) => {
    const kappa = other.kappa === null ? "" : ` κ ${other.kappa.toFixed(2)}`;
    const name = other.rater.length > NAME ? `${other.rater.slice(0, NAME - 1)}…` : other.rater;
    return { ...other, labels: fromRuns(other.runs, rec.n_frames), title: name + kappa };
  });
  $("agreement").replaceChildren(...rec.others.map(inWords));
  if (!rec.others.length)
    $("agreement").append(make("p", { class: "quiet" }, "Nobody else has labeled this recording."));
  draw();
}

function inWords({ rater, frames, kappa, problem }) {
  if (problem) return make("p", {}, make("b", {}, rater), ` is not shown: ${problem}`);
  const figure = kappa === null ? "no kappa" : `κ ${kappa.toFixed(2)}`;
  const title =
    "Cohen's kappa, frame by frame, on frames of this recording that both of you have labeled";
  return make(
    "p",
    { title },
    make("b", {}, rater),
    ` ${figure} on ${frames} frames that you share`,
  );
}

function draw() {
  fitHeight();
  redraw();
}

on("switches opened progress", () => state.study && load());
