"""How much two groups of animals differ, with 95 % intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import optimize, stats

from dolorim.metrics.intervals import (
    CORRELATION,
    FREE,
    NEVER_NEGATIVE,
    NO_INTERVAL,
    PERCENT,
    SHARE,
    Interval,
    Scale,
    difference_interval,
    jackknife_interval,
    mean_interval,
)

FEWEST_PER_GROUP = 4
"""Animals in a group below which no interval is given: with three it spans most of what is possible
(benchmarks/results/coverage.md)."""
_SAME = 1e-9  # of the values' size: a spread below it is rounding
_SCALES = {"time_percent": PERCENT, "response": SHARE}
_SCALES |= {"mpe_percent": FREE, "course_area": FREE}  # may be negative


def scale_of_readout(readout: str) -> Scale:
    """What a read-out can be: shares have two bounds, times and counts one."""
    return _SCALES.get(readout, NEVER_NEGATIVE)


def group_interval(values: np.ndarray, scale: Scale = FREE) -> Interval:
    """95 % interval of the mean of `(animals,)`; NaN for fewer than `FEWEST_PER_GROUP`."""
    values = values[~np.isnan(values)]
    if len(values) < FEWEST_PER_GROUP:
        return NO_INTERVAL
    return mean_interval(values, scale)


def effects(
    a: np.ndarray, b: np.ndarray, scale: Scale = FREE, paired: bool = False
) -> dict[str, Any]:
    """How much more `b` is than `a`, `(animals,)` each (rows aligned where `paired`).

    Difference of means; Cliff's delta, P(b > a) - P(b < a) (Cliff 1993); Hedges' g (Hedges 1981),
    NaN where no animal differs from its group. Their intervals are that of `difference_interval`,
    method 5 of Newcombe (2006, Statistics in Medicine 25:559), and Student's t with the error of
    Hedges & Olkin (1985); within animals, all are by the jackknife.
    """
    values = {
        "difference": _difference(a, b),
        "cliffs_delta": _cliff(a, b),
        "hedges_g": hedges(a, b),
    }
    ends: dict[str, Interval] = dict.fromkeys(values, NO_INTERVAL)
    enough = min(len(a), len(b)) >= FEWEST_PER_GROUP
    if enough and paired:
        # An animal is left out of both groups at once: its two values belong together.
        kept = [np.delete(np.arange(len(a)), i) for i in range(len(a))]
        deltas = np.array([_cliff(a[rows], b[rows]) for rows in kept])
        gs = np.array([hedges(a[rows], b[rows]) for rows in kept])
        ends["difference"] = mean_interval(b - a, scale.of_differences)
        ends["cliffs_delta"] = jackknife_interval(values["cliffs_delta"], [deltas], CORRELATION)
        ends["hedges_g"] = jackknife_interval(values["hedges_g"], [gs], FREE)
    elif enough:
        ends["difference"] = difference_interval(a, b, scale)
        ends["cliffs_delta"] = _cliff_interval(values["cliffs_delta"], len(a), len(b))
        ends["hedges_g"] = _hedges_interval(values["hedges_g"], len(a), len(b))
    row: dict[str, Any] = {}
    for name, value in values.items():
        low, high = ends[name]
        row |= {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}
    return row


def hedges(a: np.ndarray, b: np.ndarray) -> float:
    """Hedges' g; NaN with one animal in a group, and where no animal differs from its group."""
    n, m = len(a), len(b)
    freedom = n + m - 2
    if min(n, m) < 2:
        return float("nan")
    pooled = np.sqrt(((n - 1) * a.var(ddof=1) + (m - 1) * b.var(ddof=1)) / freedom)
    # Without spread g would be infinite, or rounding divided by rounding: -9e15 was seen once.
    if pooled <= _SAME * max(np.abs(a).max(), np.abs(b).max()):
        return float("nan")
    small_sample = 1 - 3 / (4 * freedom - 1)  # what makes Cohen's d unbiased in small groups
    return float(_difference(a, b) / pooled * small_sample)


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(b.mean() - a.mean())


def _cliff(a: np.ndarray, b: np.ndarray) -> float:
    # Ties count as zero.
    return float(np.sign(b[:, None] - a[None]).mean())


def _cliff_interval(delta: float, n: int, m: int) -> Interval:
    """Of P(b > a) = (1 + delta) / 2: the values that lie within z standard errors of their own."""
    observed, z, half = (1 + delta) / 2, stats.norm.ppf(0.975), (n + m) / 2 - 1

    def excess(p: float) -> float:
        spread = 1 + half * (1 - p) / (2 - p) + half * p / (1 + p)
        return float((p - observed) ** 2 - z**2 * p * (1 - p) * spread / (n * m))

    # At 0 and at 1 the standard error vanishes: an observed extreme is its own end.
    tiny = 1e-9
    low, high = 0.0, 1.0
    if observed > 2 * tiny:
        low = optimize.brentq(excess, tiny, observed - tiny)
    if observed < 1 - 2 * tiny:
        high = optimize.brentq(excess, observed + tiny, 1 - tiny)
    return 2 * low - 1, 2 * high - 1


def _hedges_interval(g: float, n: int, m: int) -> Interval:
    freedom = n + m - 2
    # The second term is the error of the standard deviation that g is divided by.
    error = np.sqrt((n + m) / (n * m) + g**2 / (2 * freedom))
    half = stats.t.ppf(0.975, freedom) * error
    return g - half, g + half
