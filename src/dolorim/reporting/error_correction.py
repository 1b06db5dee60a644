"""What a classifier's errors do to time budgets: corrected shares, where they can be had at all.

A matrix M of P(predicted | true), estimated on animals that the run has not learned from, turns
true shares t into predicted ones, p = t M. Solving for t >= 0, sum(t) = 1 is the correction of
Rogan & Gladen (1978, American Journal of Epidemiology 107:71) for several classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from dolorim.metrics.intervals import NO_INTERVAL, SHARE, Interval, jackknife_interval
from dolorim.reporting.effect_sizes import FEWEST_PER_GROUP
from dolorim.reporting.trust import Trust

FEWEST_SCORED = 5
"""Held-out animals that the matrix must come from: animals differ in how they are mistaken."""
FEWEST_SHOWING = 2
"""Held-out animals that must show a class: a row of the matrix from one animal is that animal's."""
WORST_CONDITION = 5.0
"""Largest condition number of M (2-norm). An error of M or of the shares reaches the corrected
shares up to so many times larger; a class that is hardly ever found makes M nearly singular."""


def corrected(shares: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """True shares `(classes,)` behind predicted ones, by non-negative least squares.

    `counts` is a confusion matrix `(classes, classes)`, rows the truth.
    """
    weight = 1e3  # the sum is 1 before anything else
    system = np.vstack([_chances(counts).T, np.full(len(shares), weight)])
    true, _ = nnls(system, np.append(shares, weight))
    return np.asarray(true / max(true.sum(), 1e-12))


def why_not_corrected(trust: Trust, classes: Sequence[str]) -> str:
    """Why time budgets are not corrected for a run's errors; empty where they can be."""
    if tuple(classes) != trust.classes:
        return "left and right became ipsi and contra, which the run was not scored on"
    if trust.scores.get("seen_in_training"):
        return "the run was scored on animals that it has learned from"
    # Animals that chose the checkpoint score too well, so a correction would be too small.
    if trust.part == "val":
        return "only validation animals were scored, and these have chosen the checkpoint"
    return _why_not_invertible(list(trust.confusions.values()), classes)


def _why_not_invertible(counts: Sequence[np.ndarray], classes: Sequence[str]) -> str:
    """Why the confusions of the held-out animals, each `(classes, classes)`, say too little."""
    if len(counts) < FEWEST_SCORED:
        animals = "one animal was" if len(counts) == 1 else f"{len(counts) or 'no'} animals were"
        return f"{animals} held out of the run, and it takes {FEWEST_SCORED} to know how it errs"
    # Summed over what was predicted, a row tells whether the animal shows the class at all.
    showing = (np.stack(counts).sum(2) > 0).sum(0)
    rare = [name for name, n in zip(classes, showing, strict=True) if n < FEWEST_SHOWING]
    if rare:
        return f"fewer than {FEWEST_SHOWING} of the held-out animals show {', '.join(rare)}"
    condition = float(np.linalg.cond(_chances(np.sum(counts, axis=0))))
    if condition <= WORST_CONDITION:
        return ""
    size = f"{condition:.1f}" if condition < 1e3 else "without bound"
    return (
        f"its errors mix the behaviors too much: the confusion matrix multiplies errors (condition "
        f"number) {size}, and more than {WORST_CONDITION:g} times is too much"
    )


def corrected_budgets(
    animals: pd.DataFrame, classes: Sequence[str], confusions: Sequence[np.ndarray]
) -> pd.DataFrame:
    """Mean shares of time by group (percent, first window), as predicted and corrected.

    `confusions` are those of the held-out animals, each `(classes, classes)`. The 95 % interval
    leaves out each animal of the group and each held-out animal in turn.
    """
    first = animals.window.iloc[0]
    measured = animals[(animals.readout == "time_percent") & (animals.window == first)]
    by_animal = measured.pivot_table(
        index=["group", "animal"], columns="behavior", values="value", sort=False
    )
    counts = np.stack(confusions)
    rows = []
    for group in dict.fromkeys(measured.group):
        shares = by_animal.loc[group][list(classes)].dropna().to_numpy() / 100
        mean = shares.mean(0)
        point = corrected(mean, counts.sum(0))
        intervals = _intervals(point, shares, counts)
        for i, name in enumerate(classes):
            low, high = intervals[i]
            fractions = {"predicted": mean[i], "corrected": point[i], "low": low, "high": high}
            percents = {key: 100 * value for key, value in fractions.items()}
            rows.append({"group": group, "behavior": name, **percents})
    return pd.DataFrame(rows)


def _intervals(point: np.ndarray, shares: np.ndarray, counts: np.ndarray) -> list[Interval]:
    """95 % interval of each corrected share.

    `shares` are predicted, `(animals, classes)`; `counts` are confusions of held-out animals,
    `(animals, classes, classes)`.
    """
    if len(shares) < FEWEST_PER_GROUP:
        return [NO_INTERVAL] * len(point)
    total, mean = counts.sum(0), shares.mean(0)
    # Two sources of variation: the animals of the group, and those that the errors are known from.
    without_animal = np.array([corrected(m, total) for m in _means_without(shares)])
    without_scored = np.array([corrected(mean, total - c) for c in counts])
    return [
        jackknife_interval(point[i], [without_animal[:, i], without_scored[:, i]], SHARE)
        for i in range(len(point))
    ]


def _means_without(shares: np.ndarray) -> np.ndarray:
    """The mean with each animal left out, `(animals, classes)`."""
    return np.asarray((shares.sum(0) - shares) / (len(shares) - 1))


def _chances(counts: np.ndarray) -> np.ndarray:
    """P(predicted | true); a class that was never seen counts as always right."""
    # Without a true frame of a class, nothing is known about its errors: the identity leaves
    # its share as it is.
    counts = np.where(counts.sum(1, keepdims=True) > 0, counts, np.eye(len(counts)))
    return np.asarray(counts / counts.sum(1, keepdims=True))
