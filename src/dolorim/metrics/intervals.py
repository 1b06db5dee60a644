"""The one interval of every figure: over animals, which are the samples; frames are not.

Student's t around the figure, with the standard error of the jackknife over animals (each left
out in turn; Efron & Tibshirani 1993, chapter 11), carried to a scale on which the figure has no
bounds, so that an interval never leaves what the figure can be. Means of a group's animals are
also corrected for skewness: a few mice lick far more than the others, and a sample without them
gives too low an upper end. In simulated studies these intervals cover the truth about as often as
they say, also where animals are few and their values skewed; percentile and BCa intervals of the
bootstrap do so too seldom, and studentized ones are no better (benchmarks/results/coverage.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from dolorim.metrics.frames import Figures

LEVEL = 0.95
FEWEST_ANIMALS = 3
"""Fewer have no interval: with two, Student's t is 12.7 and the interval holds nearly everything.
"""
Sums = dict[str, np.ndarray]
Interval = tuple[float, float]
Intervals = dict[tuple[str, ...], Interval]
NO_INTERVAL: Interval = (float("nan"), float("nan"))
_EDGE = 1e-9


@dataclass(frozen=True)
class Scale:
    """What a figure can be, from `low` to `high`.

    The jackknife works on a scale without bounds: logit where there are two (Fisher's z is that of
    -1 to 1), logarithm where there is a lower one, else as it is. `straight` keeps the figure as it
    is and only cuts the interval off at the bounds.
    """

    low: float = -np.inf
    high: float = np.inf
    straight: bool = False

    def there(self, x: np.ndarray) -> np.ndarray:
        """Figures on the scale without bounds."""
        if self.straight or np.isinf(self.low):
            return np.asarray(x, float)
        if np.isinf(self.high):
            return np.log(np.maximum(x - self.low, _EDGE))
        share = np.clip((x - self.low) / (self.high - self.low), _EDGE, 1 - _EDGE)
        return np.log(share) - np.log1p(-share)

    def back(self, x: np.ndarray) -> np.ndarray:
        """Values on the scale without bounds as figures."""
        if self.straight or np.isinf(self.low):
            return np.clip(x, self.low, self.high)
        if np.isinf(self.high):
            return self.low + np.exp(np.minimum(x, 500))
        return self.low + (self.high - self.low) * special.expit(x)

    def slope(self, x: float) -> float:
        """How much faster the unbounded scale grows than the figure, at `x`; 0 where `x` is at a
        bound.
        """
        if self.straight or np.isinf(self.low):
            return 1.0
        if min(x - self.low, self.high - x) < _EDGE:
            return 0.0
        if np.isinf(self.high):
            return 1 / (x - self.low)
        return (self.high - self.low) / ((x - self.low) * (self.high - x))

    @property
    def of_differences(self) -> Scale:
        width = self.high - self.low
        return Scale() if np.isinf(width) else Scale(-width, width)


FREE, SHARE, PERCENT = Scale(), Scale(0, 1), Scale(0, 100)
CORRELATION, NEVER_NEGATIVE, BIAS = Scale(-1, 1), Scale(0), Scale(-1, 1, straight=True)
_BY_NAME = {
    "kappa": CORRELATION,
    "mcc": CORRELATION,
    "concordance": CORRELATION,
    "bias": BIAS,
    "onset_error_ms": NEVER_NEGATIVE,
    "offset_error_ms": NEVER_NEGATIVE,
    "brier": NEVER_NEGATIVE,
    "nll": NEVER_NEGATIVE,
    "false_per_minute": NEVER_NEGATIVE,
    "expected_over_true": NEVER_NEGATIVE,
}
_OF_FRAMES = ("precision", "recall", "f1", "average_precision", "expected_over_true")


def scale_of(key: tuple[str, ...]) -> Scale:
    """What the figure of this name, a place in `metrics.json`, can be."""
    if "per_class" in key[:3] and key[-1] not in _OF_FRAMES:
        return SHARE  # of events, by class: whatever that class is called
    if key[1:2] == ("false_per_minute_by_class",):
        return NEVER_NEGATIVE
    if key[-1] in _BY_NAME:
        return _BY_NAME[key[-1]]
    return PERCENT if key[0].startswith("segments") else SHARE


def intervals_of(sums: Sums, figures: Callable[[Sums], Figures], level: float = LEVEL) -> Intervals:
    """Intervals of every figure from sums by animal, each `(animals, ...)`.

    NaN where a figure hangs on a single animal, without which it is not defined, and where all
    animals agree to the last digit: an interval of no width would claim a certainty that nobody
    has. Raises `ValueError` for fewer than `FEWEST_ANIMALS`.
    """
    whole, without = whole_and_without(sums, figures)
    _refuse_few(len(next(iter(sums.values()))))
    return {k: jackknife_interval(whole[k][0], [without[k]], scale_of(k), level) for k in whole}


def paired_intervals_of(
    one: Sums, two: Sums, figures: Callable[[Sums], Figures], level: float = LEVEL
) -> tuple[Figures, Intervals]:
    """The differences `two - one`, and their intervals: an animal is left out of both at once."""
    (a, a_without), (b, b_without) = (whole_and_without(s, figures) for s in (one, two))
    _refuse_few(len(next(iter(one.values()))))
    difference = {k: b[k] - a[k] for k in a}
    intervals = {}
    for key, value in difference.items():
        without = b_without[key] - a_without[key]
        scale = scale_of(key).of_differences
        intervals[key] = jackknife_interval(value[0], [without], scale, level)
    return difference, intervals


def whole_and_without(sums: Sums, figures: Callable[[Sums], Figures]) -> tuple[Figures, Figures]:
    """Figures of all animals `(1,)`, and with each of them left out `(animals,)`."""
    n = len(next(iter(sums.values())))
    weights = np.concatenate((np.ones((1, n)), 1 - np.eye(n)))
    all_figures = figures({k: np.tensordot(weights, v, 1) for k, v in sums.items()})
    return {k: v[:1] for k, v in all_figures.items()}, {k: v[1:] for k, v in all_figures.items()}


def jackknife_interval(
    point: float, without: list[np.ndarray], scale: Scale = FREE, level: float = LEVEL
) -> Interval:
    """Interval of a figure from what it is with each animal left out, `(animals,)` per sample.

    Several samples are independent groups of animals (those of a study, and those that a classifier
    was scored on): their variances add up, with the degrees of freedom of Welch and Satterthwaite.
    NaN where a value is not defined and where no animal changes the figure.
    """
    values = np.concatenate(without)
    if not np.isfinite([point, *values]).all() or max(np.ptp(w) for w in without) < _EDGE:
        return NO_INTERVAL
    variances = [jackknife_variance(w) for w in without]
    freedoms = [len(w) - 1 for w in without]
    variance = float(np.sum(variances))
    freedom = variance**2 / float(np.sum(np.square(variances) / freedoms))
    half = special.stdtrit(freedom, (1 + level) / 2) * np.sqrt(variance)
    slope = scale.slope(point)
    if not slope:  # at a bound, only the other side is open
        low, high = np.clip([point - half, point + half], scale.low, scale.high)
        return float(low), float(high)
    # The error is carried over by the slope: a mean without its one licking animal would lie at the
    # end of the scale, and make the interval reach over all of it.
    moved = scale.there(np.asarray(point)) + np.array([-half, half]) * slope
    low, high = scale.back(moved)
    return float(low), float(high)


def jackknife_variance(without: np.ndarray) -> float:
    """Variance of a figure from what it is with each animal left out, `(animals,)`."""
    n = len(without)
    return float((n - 1) / n * np.sum((without - without.mean()) ** 2))


def mean_interval(values: np.ndarray, scale: Scale = FREE, level: float = LEVEL) -> Interval:
    """Interval of the mean of `(animals,)`; NaN values do not count.

    The jackknife's interval, and on the long side of skewed values that of `skewness_corrected`
    where it reaches further: it covers more of the truths that lie far out there. It is followed
    up to the most extreme animal at most.
    """
    values = values[~np.isnan(values)]
    n = len(values)
    if n < FEWEST_ANIMALS:
        return NO_INTERVAL
    without = (values.sum() - values) / (n - 1)
    low, high = jackknife_interval(float(values.mean()), [without], scale, level)
    if np.isnan(low):
        return NO_INTERVAL
    corrected_low, corrected_high = skewness_corrected(values, level)
    if np.mean((values - values.mean()) ** 3) < 0:
        return min(low, max(corrected_low, float(values.min()))), high
    return low, max(high, min(corrected_high, float(values.max())))


def skewness_corrected(values: np.ndarray, level: float) -> Interval:
    """Student's interval of the mean of `(animals,)`, which differ, with t made symmetric.

    The cubic transformation is that of Hall (1992, Journal of the Royal Statistical Society B
    54:221), with quantiles of Student's t. Skewness within sampling error of 0 is shrunk to 0
    (James & Stein): in few values that are not skewed it is mostly noise.
    """
    n, mean, spread = len(values), float(values.mean()), float(values.std(ddof=1))
    skewness = float(np.mean(((values - mean) / values.std()) ** 3))
    noise = 6 * (n - 2) / ((n + 1) * (n + 3))  # variance of the skewness of normal values
    skewness *= max(0.0, 1 - noise / max(skewness**2, _EDGE))
    limits = np.array([1, -1]) * special.stdtrit(n - 1, (1 + level) / 2) / np.sqrt(n)
    third = skewness / 3
    if abs(third) > _EDGE:
        limits = (np.cbrt(1 + 3 * third * (limits - skewness / (6 * n))) - 1) / third
    low, high = mean - spread * limits
    return float(low), float(high)


def difference_interval(
    a: np.ndarray, b: np.ndarray, scale: Scale = FREE, level: float = LEVEL
) -> Interval:
    """Interval of `mean(b) - mean(a)` of two groups of animals, `(animals,)` each.

    From the intervals of the two means: MOVER of Zou & Donner (2008, Statistics in Medicine
    27:1693), which keeps their skewness. A group whose animals are all alike (a control that never
    licks) adds nothing to the width; NaN where that is so of both, or one has too few animals.
    """
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    if min(len(a), len(b)) < FEWEST_ANIMALS:
        return NO_INTERVAL
    one, two = float(a.mean()), float(b.mean())
    first, second = mean_interval(a, scale, level), mean_interval(b, scale, level)
    if np.isnan([*first, *second]).all():
        return NO_INTERVAL
    a_low, a_high = (one, one) if np.isnan(first).any() else first
    b_low, b_high = (two, two) if np.isnan(second).any() else second
    below, above = np.hypot(two - b_low, a_high - one), np.hypot(b_high - two, one - a_low)
    bounds = scale.of_differences
    low, high = np.clip([two - one - below, two - one + above], bounds.low, bounds.high)
    return float(low), float(high)


def too_few(animals: int) -> str:
    """Why there is no interval, in words; empty where there are animals enough."""
    if animals >= FEWEST_ANIMALS:
        return ""
    if animals == 1:
        return "one animal says nothing about others: no intervals"
    return f"{animals} animals are too few for an interval: it takes {FEWEST_ANIMALS}"


def _refuse_few(animals: int) -> None:
    if animals < FEWEST_ANIMALS:
        raise ValueError(too_few(animals))
