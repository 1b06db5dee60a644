"""What does a fitted decoder gain over argmax on animals that it was not fitted to?

    python -m benchmarks.decoding        # writes results/decoding.json

Simulated animals (labels and probabilities, no video), and real ones: the published network of
`raters/`, whose labels are decoded to agree with one human rater.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.common import RESULTS, machine, real_data
from benchmarks.coverage import CLASSES, RATE_HZ, simulated_animal
from dolorim.inference.decoder import Decoder
from dolorim.metrics.summary import Scored, compare, summarize
from dolorim.training.fit_decoder import fit_decoder

REPEATS = 20


def decoded(recordings: Sequence[Scored], decoder: Decoder, rate_hz: float) -> list[Scored]:
    return [
        Scored(
            r.animal,
            r.truth,
            decoder.decode(r.probabilities, rate_hz),
            decoder.calibrated(r.probabilities),
            r.time_s,
        )
        for r in recordings
    ]


def gain(
    known: Sequence[Scored], new: Sequence[Scored], rate_hz: float, classes: Sequence[str]
) -> dict[str, object]:
    """Figures on `new` of argmax and of the decoder fitted to `known`, and intervals of the
    differences."""
    start = time.process_time()
    decoder = fit_decoder(
        [r.probabilities for r in known],
        [r.truth for r in known],
        rate_hz,
        classes,
        animals=[r.animal for r in known],
    )
    seconds = time.process_time() - start
    before, after = decoded(new, Decoder(), rate_hz), decoded(new, decoder, rate_hz)
    rows: dict[str, object] = {"decoder": decoder.to_dict(), "fit_s": round(seconds, 1)}
    for name, scored in (("argmax", before), ("fitted", after)):
        m = summarize(scored, classes, classes[:1])
        rows[name] = {
            "macro_f1": m["macro_f1"], "f1_50": m["segments"]["f1_50"],
            "edit": m["segments"]["edit"],
            "event_f1_200ms": m["events"]["200ms"]["f1"], "ece": m["calibration"]["ece"],
            "false_per_minute": m["events"]["false_per_minute"],
        }  # fmt: skip
    intervals = compare(before, after, classes, classes[:1])["intervals"]
    rows["macro_f1_gain"], rows["f1_50_gain"] = (
        intervals["macro_f1"],
        intervals["segments"]["f1_50"],
    )
    return rows


def simulated(n_known: int) -> list[dict[str, object]]:
    rows = []
    for seed in range(REPEATS):
        rng = np.random.default_rng([n_known, seed])
        animals = [simulated_animal(rng) for _ in range(n_known + 12)]
        animals = [
            Scored(str(i), r.truth, r.predicted, r.probabilities, r.time_s)
            for i, r in enumerate(animals)
        ]
        rows.append(gain(animals[:n_known], animals[n_known:], RATE_HZ, CLASSES))
    return rows


def raters() -> dict[str, object]:
    """Fitted on five videos, scored on the other fifteen; the network gives labels only, taken as
    90 % sure."""
    with np.load(real_data("raters") / "openfield20.npz") as table:
        videos = sorted({k.split("|")[0] for k in table.files})
        recordings = []
        for video in videos:
            labels, truth = (table[f"{video}|{r}"].astype(int) for r in ("NN", "Furkan"))
            known = (labels >= 0) & (truth >= 0)
            labels, truth = labels[known], truth[known]
            p = np.eye(3)[labels] * 0.85 + 0.05
            recordings.append(Scored(video, truth, labels, p, np.arange(len(truth)) / 25))
    return gain(recordings[:5], recordings[5:], 25.0, ("nothing", "supported", "unsupported"))


def main() -> None:
    result: dict[str, object] = {**machine(), "repeats": REPEATS, "real": raters()}
    print(result["real"])
    for n in (1, 2, 4, 8):
        rows = simulated(n)
        figures = {
            who: {k: round(float(np.mean([r[who][k] for r in rows])), 3) for k in rows[0][who]}
            for who in ("argmax", "fitted")
        }
        changes = [r["fitted"]["macro_f1"] - r["argmax"]["macro_f1"] for r in rows]
        result[f"simulated, {n} animals to fit"] = {
            **figures,
            "smallest_macro_f1_gain": round(min(changes), 3),
            "kinds": sorted(r["decoder"]["decoder"] for r in rows),
            "fit_s": max(r["fit_s"] for r in rows),
        }
        print(n, result[f"simulated, {n} animals to fit"])
    (RESULTS / "decoding.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
