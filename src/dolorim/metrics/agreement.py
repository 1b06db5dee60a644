"""How well two ways of measuring the same animals agree: a value of each per animal.

Scores of frames say whether labels are right. A study compares read-outs, and these can agree
although frames do not, or be off by the same amount in every animal although most frames are right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from dolorim.metrics.intervals import (
    CORRELATION,
    FEWEST_ANIMALS,
    LEVEL,
    NO_INTERVAL,
    Interval,
    jackknife_interval,
)

_NORMAL_95 = 1.96
_SAME = 1e-12


@dataclass(frozen=True)
class Agreement:
    """Two measurements of `n` animals: by how much the second exceeds the first, and how alike
    they are. NaN where too few animals or no spread leave something undefined.
    """

    n: int
    bias: float
    bias_interval: Interval
    limits: Interval
    """Between these lie about 95 % of the differences."""
    concordance: float
    concordance_interval: Interval
    icc: float
    icc_interval: Interval


def agreement(first: np.ndarray, second: np.ndarray) -> Agreement:
    """The agreement of two measurements, `(animals,)` each.

    Bias with Student's interval and limits of agreement, bias +- 1.96 SD of the differences (Bland
    & Altman 1986, Lancet 327:307-310); the concordance correlation of Lin (1989, Biometrics
    45:255-268); the intraclass correlation ICC(2,1) of absolute agreement (Shrout & Fleiss 1979,
    Psychological Bulletin 86:420-428). Intervals of both correlations are by the jackknife over
    animals.
    """
    n = len(first)
    difference = second - first
    bias = float(difference.mean()) if n else float("nan")
    bias_interval, limits = NO_INTERVAL, NO_INTERVAL
    if n >= FEWEST_ANIMALS:
        spread = float(difference.std(ddof=1))
        half = float(special.stdtrit(n - 1, (1 + LEVEL) / 2)) * spread / np.sqrt(n)
        bias_interval = (bias - half, bias + half)
        limits = (bias - _NORMAL_95 * spread, bias + _NORMAL_95 * spread)
    alike, alike_interval = _with_interval(concordance, first, second)
    within, within_interval = _with_interval(intraclass, first, second)
    return Agreement(n, bias, bias_interval, limits, alike, alike_interval, within, within_interval)


def concordance(first: np.ndarray, second: np.ndarray) -> float:
    """Lin's concordance correlation; NaN where neither differs between animals."""
    if len(first) < 2:
        return float("nan")
    covariance = np.mean((first - first.mean()) * (second - second.mean()))
    spread = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    return float(2 * covariance / spread) if spread > _SAME else float("nan")


def intraclass(*measured: np.ndarray) -> float:
    """ICC(2,1) of two or more measurements, `(animals,)` each: animals and raters are random."""
    table = np.stack(measured, axis=1)
    animals, raters = table.shape
    if animals < 2:
        return float("nan")
    by_animal, by_rater, mean = table.mean(1), table.mean(0), table.mean()
    # Mean squares of the two-way analysis of variance: animals, raters, and the rest.
    between = raters * float(np.sum((by_animal - mean) ** 2)) / (animals - 1)
    of_raters = animals * float(np.sum((by_rater - mean) ** 2)) / (raters - 1)
    rest = table - by_animal[:, None] - by_rater + mean
    error = float(np.sum(rest**2)) / ((animals - 1) * (raters - 1))
    total = between + (raters - 1) * error + raters * (of_raters - error) / animals
    return (between - error) / total if total > _SAME else float("nan")


def _with_interval(
    figure: Callable[[np.ndarray, np.ndarray], float], first: np.ndarray, second: np.ndarray
) -> tuple[float, Interval]:
    value, n = figure(first, second), len(first)
    if n < FEWEST_ANIMALS:
        return value, NO_INTERVAL
    kept = [np.arange(n) != i for i in range(n)]
    without = np.array([figure(first[rows], second[rows]) for rows in kept])
    return value, jackknife_interval(value, [without], CORRELATION)
