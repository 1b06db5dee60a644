"""Intervals of group means and differences of read-outs, as `report` prints them, on simulated
animals.

Part of `python -m benchmarks.coverage`. A population of control and of treated mice stands for all
there could be; a study draws some of each. Licking is strongly skewed (some mice never lick),
walking is not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from benchmarks.null_effect import CLASSES, draw_habits, draw_track
from dolorim.metrics.intervals import (
    PERCENT,
    Interval,
    difference_interval,
    jackknife_interval,
    mean_interval,
    skewness_corrected,
)
from dolorim.reporting.effect_sizes import effects
from dolorim.reporting.readouts import measure

Methods = Callable[[np.ndarray, np.ndarray, np.random.Generator], dict[tuple[str, str], Interval]]
RESAMPLES, POPULATION = 1000, 1000
SIZES = (3, 4, 5, 6, 8, 12)
BEHAVIORS = {"licking": 1, "walking": 2}
TREATED = 2.5  # times as often as the control
OURS = {"mean": "jackknife t and Hall (ours)", "difference": "MOVER of these (ours)"}
JACKKNIFE = {"mean": "jackknife t, logit", "difference": "MOVER of jackknife t"}
HALL = {"mean": "Hall", "difference": "MOVER of Hall"}


def population(rng: np.random.Generator, factor: float) -> dict[str, np.ndarray]:
    """Percent of time of each behavior, `(animals,)`."""
    rows = []
    for _ in range(POPULATION):
        habits = draw_habits(rng)
        habits[0] = min(0.5, habits[0] * factor)
        rows.append(measure(draw_track("a", "g", habits, rng), len(CLASSES))["time_percent"])
    values = np.array(rows)
    return {name: values[:, i] for name, i in BEHAVIORS.items()}


def resampled(values: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Means of bootstrap samples and their squared standard errors, `(resamples,)` each."""
    draws = values[rng.integers(len(values), size=(RESAMPLES, len(values)))]
    return draws.mean(1), draws.var(1, ddof=1) / len(values)


def bca(resampled: np.ndarray, point: float, influence: np.ndarray) -> Interval:
    acceleration = np.sum(influence**3) / (6 * max(np.sum(influence**2) ** 1.5, 1e-30))
    below = np.mean(resampled < point) + np.mean(resampled == point) / 2
    bias = stats.norm.ppf(np.clip(below, 1e-3, 1 - 1e-3))
    z = bias + stats.norm.ppf([0.025, 0.975])
    low, high = np.quantile(resampled, stats.norm.cdf(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


def studentized(resampled: np.ndarray, squares: np.ndarray, point: float, error: float) -> Interval:
    with np.errstate(all="ignore"):
        t = (resampled - point) / np.sqrt(squares)
    t = t[~np.isnan(t)]
    if len(t) < RESAMPLES / 2:
        return np.nan, np.nan
    high, low = np.quantile(t, [0.975, 0.025], method="nearest")
    return point - high * error, point - low * error


def jackknife(values: np.ndarray) -> Interval:
    without = (values.sum() - values) / (len(values) - 1)
    return jackknife_interval(float(values.mean()), [without], PERCENT)


def hall(values: np.ndarray) -> Interval:
    if not np.ptp(values):
        return np.nan, np.nan
    low, high = np.clip(skewness_corrected(values, 0.95), PERCENT.low, PERCENT.high)
    return float(low), float(high)


def mover(a: np.ndarray, b: np.ndarray, one: Interval, two: Interval) -> Interval:
    """Interval of a difference of means from those of the means (Zou & Donner 2008)."""
    first = (a.mean(), a.mean()) if np.isnan(one).any() else one
    second = (b.mean(), b.mean()) if np.isnan(two).any() else two
    below = np.hypot(b.mean() - second[0], first[1] - a.mean())
    above = np.hypot(second[1] - b.mean(), a.mean() - first[0])
    difference = b.mean() - a.mean()
    return float(difference - below), float(difference + above)


def bootstrap_intervals(
    a: np.ndarray, b: np.ndarray, rng: np.random.Generator
) -> dict[tuple[str, str], Interval]:
    """Of the mean of `a`, and of the difference `b - a`, by kinds of bootstrap."""
    (one, one_sq), (two, two_sq) = resampled(a, rng), resampled(b, rng)
    squares = np.array([x.var(ddof=1) / len(x) for x in (a, b)])
    point, difference = a.mean(), b.mean() - a.mean()
    influence = np.concatenate([-(a - a.mean()) / len(a), (b - b.mean()) / len(b)])
    return {
        ("mean", "percentile"): tuple(np.quantile(one, [0.025, 0.975])),
        ("mean", "BCa"): bca(one, point, a - a.mean()),
        ("mean", "studentized"): studentized(one, one_sq, point, np.sqrt(squares[0])),
        ("difference", "percentile"): tuple(np.quantile(two - one, [0.025, 0.975])),
        ("difference", "BCa"): bca(two - one, difference, influence),
        ("difference", "studentized"): studentized(
            two - one, one_sq + two_sq, difference, np.sqrt(squares.sum())
        ),
    }


def intervals(
    a: np.ndarray, b: np.ndarray, rng: np.random.Generator
) -> dict[tuple[str, str], Interval]:
    """Of the mean of `a`, of the difference `b - a`, and of effect sizes, without resampling."""
    effect = effects(a, b, PERCENT)
    with np.errstate(all="ignore"):
        student = stats.t.interval(0.95, len(a) - 1, a.mean(), stats.sem(a))
        welch = stats.ttest_ind(b, a, equal_var=False).confidence_interval()
    return {
        ("mean", "Student's t"): student,
        ("mean", JACKKNIFE["mean"]): jackknife(a),
        ("mean", HALL["mean"]): hall(a),
        ("mean", OURS["mean"]): mean_interval(a, PERCENT),
        ("difference", "Welch's t"): tuple(welch),
        ("difference", JACKKNIFE["difference"]): mover(a, b, jackknife(a), jackknife(b)),
        ("difference", HALL["difference"]): mover(a, b, hall(a), hall(b)),
        ("difference", OURS["difference"]): difference_interval(a, b, PERCENT),
        ("Cliff's delta", "Newcombe (ours)"): (effect["cliffs_delta_low"],
        effect["cliffs_delta_high"]),
        ("Hedges' g", "Hedges & Olkin (ours)"): (effect["hedges_g_low"], effect["hedges_g_high"]),
    }  # fmt: skip


def truths(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    spread = np.sqrt((a.var() + b.var()) / 2)
    return {
        "mean": a.mean(),
        "difference": b.mean() - a.mean(),
        "Cliff's delta": float(np.sign(b[:, None] - a[None]).mean()),
        "Hedges' g": (b.mean() - a.mean()) / spread,
    }


def coverage_of_groups(
    studies: int, methods: Methods = intervals, say: Callable[[str], None] = print
) -> list[dict[str, object]]:
    """By behavior, animals per group, figure and method: the share of intervals that hold the
    truth."""
    rng = np.random.default_rng(0)
    control, treated = population(rng, 1.0), population(rng, TREATED)
    rows: list[dict[str, object]] = []
    for behavior in BEHAVIORS:
        a, b = control[behavior], treated[behavior]
        truth = truths(a, b)
        for n in SIZES:
            rng = np.random.default_rng(n)
            inside: dict[tuple[str, str], list[tuple[bool, float]]] = {}
            for _ in range(studies):
                one, two = a[rng.integers(len(a), size=n)], b[rng.integers(len(b), size=n)]
                for key, (low, high) in methods(one, two, rng).items():
                    if not np.isnan([low, high]).any():
                        held = low <= truth[key[0]] <= high
                        inside.setdefault(key, []).append((held, high - low))
            for (figure, method), by_study in inside.items():
                covered, width = np.array(by_study, float).T
                rows.append({
                    "behavior": behavior, "animals": n, "figure": figure, "method": method,
                    "given": round(len(by_study) / studies, 3),
                    "covered": round(float(covered.mean()), 3),
                    "width": round(float(np.median(width)), 3),
                })  # fmt: skip
                say(str(rows[-1]))
    return rows
