"""Intervals over animals, which are the samples; frames are not.

Student's t around the figure, with the standard error of the jackknife over animals (each left out in turn; Efron &
Tibshirani 1993, chapter 11), on a scale on which the figure has no bounds. In simulated studies of 4 to 20 animals they
cover the truth about as often as they say; percentile and BCa intervals of the bootstrap do so too seldom
(benchmarks/results/coverage.md).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

from dolorim.metrics.frames import Figures

LEVEL = 0.95
Sums = dict[str, np.ndarray]
Intervals = dict[tuple[str, ...], tuple[float, float]]
_BOTH_WAYS = ("kappa", "mcc", "concordance")  # from -1 to 1
_NEVER_NEGATIVE = ("onset_error_ms", "offset_error_ms", "brier", "nll", "false_per_minute", "false_per_minute_by_class")
_EDGE = 1e-9


def intervals_of(sums: Sums, figures: Callable[[Sums], Figures], level: float = LEVEL) -> Intervals:
    """Intervals of every figure from sums by animal, each `(animals, ...)`.

    NaN where a figure hangs on a single animal, without which it is not defined, and where all animals agree to the
    last digit: an interval of no width would claim a certainty that nobody has. Raises `ValueError` for one animal.
    """
    whole, without = whole_and_without(sums, figures)
    return {k: _interval(whole[k][0], without[k], k, level) for k in whole}


def paired_intervals_of(
    one: Sums, two: Sums, figures: Callable[[Sums], Figures], level: float = LEVEL
) -> tuple[Figures, Intervals]:
    """The differences `two - one`, and their intervals: an animal is left out of both at once."""
    (a, a_without), (b, b_without) = (whole_and_without(s, figures) for s in (one, two))
    difference = {k: b[k] - a[k] for k in a}
    return difference, {k: _interval(v[0], b_without[k] - a_without[k], (), level) for k, v in difference.items()}


def whole_and_without(sums: Sums, figures: Callable[[Sums], Figures]) -> tuple[Figures, Figures]:
    """Figures of all animals `(1,)`, and with each of them left out `(animals,)`."""
    n = len(next(iter(sums.values())))
    weights = np.concatenate((np.ones((1, n)), 1 - np.eye(n)))
    found = figures({k: np.tensordot(weights, v, 1) for k, v in sums.items()})
    return {k: v[:1] for k, v in found.items()}, {k: v[1:] for k, v in found.items()}


def _interval(point: float, without: np.ndarray, key: tuple[str, ...], level: float) -> tuple[float, float]:
    n = len(without)
    if n < 2:
        raise ValueError("one animal says nothing about others: an interval needs two at least")
    if not np.isfinite([point, *without]).all() or np.ptp(without) < _EDGE:
        return float("nan"), float("nan")
    there, back = _scale(key)
    moved = there(without)
    error = np.sqrt((n - 1) / n * np.sum((moved - moved.mean()) ** 2))
    low, high = back(there(np.asarray(point)) + np.array([-1, 1]) * special.stdtrit(n - 1, (1 + level) / 2) * error)
    return float(low), float(high)


def _scale(key: tuple[str, ...]) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """To a scale without bounds, and back: logit, Fisher's z, logarithm, or as it is for differences."""
    if not key or key[-1] == "bias":
        return (lambda x: x), (lambda x: x)
    if key[-1] in _BOTH_WAYS:
        return (lambda x: np.arctanh(np.clip(x, _EDGE - 1, 1 - _EDGE))), np.tanh
    if any(name in _NEVER_NEGATIVE for name in key):
        return (lambda x: np.log(np.maximum(x, _EDGE))), np.exp
    top = 100.0 if key[0].startswith("segments") else 1.0

    def logit(x: np.ndarray) -> np.ndarray:
        share = np.clip(x / top, _EDGE, 1 - _EDGE)
        return np.log(share) - np.log1p(-share)

    return logit, lambda x: top / (1 + np.exp(-np.clip(x, -500, 500)))
