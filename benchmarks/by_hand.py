"""A group difference from few animals scored by hand and all animals predicted: does its interval
hold the truth, and is it narrower than that of the animals scored by hand alone?

Simulated mice (benchmarks/group_intervals.py), half of them treated, percent of the time with
licking (strongly skewed) and walking. A simulated classifier finds 80 % of a behavior, more in some
animals than in others, and sees some where there is none. Writes results/by_hand.json.

    python -m benchmarks.by_hand [--studies 1000]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, machine
from benchmarks.group_intervals import TREATED, population
from dolorim.metrics.intervals import PERCENT, difference_interval
from dolorim.reporting.prediction_powered import PartlyScored, powered_difference

DESIGNS = ((20, 4), (20, 8), (10, 4), (10, 3))  # animals per group, and scored by hand
FALSE_PERCENT = 0.3
RECALLS = {
    "good": ((0.8, 0.08), (0.8, 0.08)),
    "misses more in treated animals": ((0.8, 0.08), (0.5, 0.08)),
    "poor": ((0.4, 0.25), (0.4, 0.25)),
}


def predicted(
    truth: np.ndarray, recall: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """What a classifier says of animals that spend `truth` percent of the time on a behavior."""
    recalled = np.clip(rng.normal(*recall, len(truth)), 0, 1)
    return recalled * truth + rng.exponential(FALSE_PERCENT, len(truth))


def study(
    groups: Sequence[np.ndarray],
    design: tuple[int, int],
    classifier: str,
    chosen: str,
    rng: np.random.Generator,
) -> list[PartlyScored]:
    n, scored = design
    drawn = []
    for values, recall in zip(groups, RECALLS[classifier], strict=True):
        truth = rng.choice(values, n)
        said = predicted(truth, recall, rng)
        # The animals are in no order; the wrong way is to score those that seem to lick most.
        order = np.arange(n) if chosen == "by chance" else np.argsort(-said)
        of_hand = order[:scored]
        drawn.append(PartlyScored(said, truth[of_hand], said[of_hand]))
    return drawn


def measure(
    groups: Sequence[np.ndarray],
    design: tuple[int, int],
    classifier: str,
    chosen: str,
    studies: int,
) -> dict[str, Any]:
    rng = np.random.default_rng(design[0] * 100 + design[1])
    truth = groups[1].mean() - groups[0].mean()
    covered, covered_alone, predictions_covered, widths, widths_alone = [], [], [], [], []
    for _ in range(studies):
        a, b = study(groups, design, classifier, chosen, rng)
        _, (low, high) = powered_difference(a, b, PERCENT)
        covered.append(low <= truth <= high)
        widths.append(high - low)
        alone = difference_interval(a.by_hand, b.by_hand, PERCENT)
        covered_alone.append(alone[0] <= truth <= alone[1])
        widths_alone.append(alone[1] - alone[0])
        low, high = difference_interval(a.predicted, b.predicted, PERCENT)
        predictions_covered.append(low <= truth <= high)
    return {
        "animals_per_group": design[0],
        "by_hand": design[1],
        "classifier": classifier,
        "chosen": chosen,
        "covered": round(float(np.mean(covered)), 3),
        "covered_by_hand_alone": round(float(np.mean(covered_alone)), 3),
        "covered_by_predictions_alone": round(float(np.mean(predictions_covered)), 3),
        "width": round(float(np.median(widths)), 2),
        "width_by_hand_alone": round(float(np.nanmedian(widths_alone)), 2),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    given = parser.parse_args([] if arguments is None else arguments)
    rng = np.random.default_rng(0)
    control, treated = population(rng, 1.0), population(rng, TREATED)
    rows: list[dict[str, Any]] = []
    for behavior in ("licking", "walking"):
        groups = (control[behavior], treated[behavior])
        cases = [(design, "good", "by chance") for design in DESIGNS]
        cases += [(DESIGNS[0], name, "by chance") for name in list(RECALLS)[1:]]
        cases.append((DESIGNS[0], list(RECALLS)[1], "those that lick most"))
        for design, classifier, chosen in cases:
            row = measure(groups, design, classifier, chosen, given.studies)
            rows.append({"behavior": behavior, **row})
            print(rows[-1], flush=True)
    result = {"studies": given.studies, "rows": rows, **machine()}
    text = json.dumps(result, indent=1)
    (RESULTS / "by_hand.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
