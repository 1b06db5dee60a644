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


def scale_of_readout(readout: str) -> Scale:
    """What a read-out can be: shares have two bounds, times and counts one."""
    return _SCALES.get(readout, NEVER_NEGATIVE)


def group_interval(values: np.ndarray, scale: Scale = FREE) -> Interval:
    """95 % interval of the mean of `(animals,)`; NaN for fewer than `FEWEST_PER_GROUP`."""
    values = values[~np.isnan(values)]
    return mean_interval(values, scale) if len(values) >= FEWEST_PER_GROUP else NO_INTERVAL


def effects(
    a: np.ndarray, b: np.ndarray, scale: Scale = FREE, paired: bool = False
) -> dict[str, Any]:
    """How much more `b` is than `a`, `(animals,)` each (rows aligned where `paired`).

    Difference of means; Cliff's delta, P(b > a) - P(b < a) (Cliff 1993); Hedges' g (Hedges 1981),
    NaN where no animal differs from its group. Intervals: of the difference that of
    `difference_interval`, of delta method 5 of Newcombe (2006, Statistics in Medicine 25:559), of g
    Student's t with the error of Hedges & Olkin (1985); within animals the jackknife.
    """
    found = {
        "difference": _difference(a, b),
        "cliffs_delta": _cliff(a, b),
        "hedges_g": hedges(a, b),
    }
    ends: dict[str, Interval] = dict.fromkeys(found, NO_INTERVAL)
    enough = min(len(a), len(b)) >= FEWEST_PER_GROUP
    if enough and paired:
        ends["difference"] = mean_interval(b - a, scale.of_differences)
        for name, measure, bounds in (
            ("cliffs_delta", _cliff, CORRELATION),
            ("hedges_g", hedges, FREE),
        ):
            without = [measure(np.delete(a, i), np.delete(b, i)) for i in range(len(a))]
            ends[name] = jackknife_interval(found[name], [np.array(without)], bounds)
    elif enough:
        ends["difference"] = difference_interval(a, b, scale)
        ends["cliffs_delta"] = _cliff_interval(found["cliffs_delta"], len(a), len(b))
        ends["hedges_g"] = _hedges_interval(found["hedges_g"], len(a), len(b))
    row: dict[str, Any] = {}
    for name, value in found.items():
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
    if pooled <= _SAME * max(np.abs(a).max(), np.abs(b).max()):
        return float("nan")
    return float(_difference(a, b) / pooled * (1 - 3 / (4 * freedom - 1)))


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(b.mean() - a.mean())


def _cliff(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sign(b[:, None] - a[None]).mean())


def _cliff_interval(delta: float, n: int, m: int) -> Interval:
    """Of P(b > a) = (1 + delta) / 2: the values that lie within z standard errors of their own."""
    observed, z, half = (1 + delta) / 2, stats.norm.ppf(0.975), (n + m) / 2 - 1

    def excess(p: float) -> float:
        spread = 1 + half * (1 - p) / (2 - p) + half * p / (1 + p)
        return float((p - observed) ** 2 - z**2 * p * (1 - p) * spread / (n * m))

    tiny = 1e-9
    low = optimize.brentq(excess, tiny, observed - tiny) if observed > 2 * tiny else 0.0
    high = optimize.brentq(excess, observed + tiny, 1 - tiny) if observed < 1 - 2 * tiny else 1.0
    return 2 * low - 1, 2 * high - 1


def _hedges_interval(g: float, n: int, m: int) -> Interval:
    freedom = n + m - 2
    error = np.sqrt((n + m) / (n * m) + g**2 / (2 * freedom))
    half = stats.t.ppf(0.975, freedom) * error
    return g - half, g + half
