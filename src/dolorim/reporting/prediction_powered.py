"""A group difference from few animals that people scored and all animals that a run labeled.

Prediction-powered inference (Angelopoulos et al. 2023, Science 382:669-674): the mean of all
predictions is corrected by the mean error in the animals that were scored by hand. The result holds
for what people would have scored, however good the run is; a poor run makes it less precise, not
wrong. It takes animals that were chosen for hand scoring by chance, not by what they do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from dolorim.metrics.intervals import LEVEL, NO_INTERVAL, Interval, Scale, mean_interval

_EDGE = 1e-12
FEWEST_BY_HAND = 3
"""Animals of a group that have to be scored by hand: the spread of the run's errors is known from
them alone (benchmarks/results/by_hand.md)."""


@dataclass(frozen=True)
class PartlyScored:
    """A read-out of the animals of one group: predicted `(animals,)` of all of them, and both ways
    `(scored,)` of those that people have scored, which are among them."""

    predicted: np.ndarray
    by_hand: np.ndarray
    predicted_too: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        return self.by_hand - self.predicted_too

    @property
    def mean(self) -> float:
        """The prediction-powered mean."""
        return float(self.predicted.mean() + self.errors.mean())

    @property
    def spread_of_animals(self) -> float:
        """Variance of the read-out as people would score it."""
        covariance = 0.0
        if len(self.errors) > 1:
            covariance = float(np.cov(self.predicted_too, self.errors)[0, 1])
        of_errors = float(self.errors.var(ddof=1))
        return max(float(self.predicted.var(ddof=1)) + 2 * covariance + of_errors, 0.0)

    def interval(self, scored: int, scale: Scale) -> Interval:
        """95 % interval of the mean, were so many animals scored by hand.

        It joins two: that of the mean of all animals (`mean_interval`, which follows skewness),
        for values that differ as those of people would, and that of the mean error (Student's t).
        """
        n = len(self.predicted)
        spread = np.sqrt(self.spread_of_animals / max(float(self.predicted.var(ddof=1)), _EDGE))
        values = self.mean + (self.predicted - self.predicted.mean()) * spread
        low, high = mean_interval(values, scale)
        if np.isnan(low):
            low = high = self.mean
        error = float(self.errors.var(ddof=1)) * max(1 / scored - 1 / n, 0.0)
        half = float(special.stdtrit(scored - 1, (1 + LEVEL) / 2)) * np.sqrt(error)
        return self.mean - np.hypot(self.mean - low, half), self.mean + np.hypot(
            high - self.mean, half
        )


def powered_difference(a: PartlyScored, b: PartlyScored, scale: Scale) -> tuple[float, Interval]:
    """`b.mean - a.mean` and its 95 % interval; no interval with fewer than `FEWEST_BY_HAND`."""
    difference = b.mean - a.mean
    if min(len(a.by_hand), len(b.by_hand)) < FEWEST_BY_HAND:
        return difference, NO_INTERVAL
    return difference, _interval(a, b, (len(a.by_hand), len(b.by_hand)), scale)


def _interval(a: PartlyScored, b: PartlyScored, scored: tuple[int, int], scale: Scale) -> Interval:
    """From the intervals of the two means (MOVER, Zou & Donner 2008)."""
    difference = b.mean - a.mean
    (a_low, a_high), (b_low, b_high) = a.interval(scored[0], scale), b.interval(scored[1], scale)
    below = np.hypot(b.mean - b_low, a_high - a.mean)
    above = np.hypot(b_high - b.mean, a.mean - a_low)
    return float(difference - below), float(difference + above)


def animals_to_score(a: PartlyScored, b: PartlyScored, scale: Scale, factor: float = 1.25) -> int:
    """How many animals of each group have to be scored by hand for an interval that is at most
    `factor` times as wide as with all of them scored."""
    most = min(len(a.predicted), len(b.predicted))

    def width(scored: tuple[int, int]) -> float:
        low, high = _interval(a, b, scored, scale)
        return high - low

    widest = factor * width((len(a.predicted), len(b.predicted)))
    enough = (n for n in range(FEWEST_BY_HAND, most) if width((n, n)) <= widest)
    return next(enough, most)
