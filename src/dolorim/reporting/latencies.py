"""Latencies: times until something happens, censored where it never does."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from scipy import stats
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import survdiff

from dolorim.reporting.permutation import permutation_p

_FAILED = (np.linalg.LinAlgError, ValueError, ZeroDivisionError)
_SMALLEST_RATIO = 1e-4  # beyond it, the fit has run toward infinity


def log_rank(
    times: Sequence[np.ndarray], events: Sequence[np.ndarray], rng: np.random.Generator
) -> tuple[float, float]:
    """Log-rank test of latencies that may be censored, `(animals,)` per group: chi-square and p.

    p comes from exchanging the animals' log-rank scores (event - cumulative hazard): from
    chi-square, five animals per group reject 8 % of the time without an effect
    (benchmarks/results/null_effect.md).
    """
    when, observed = np.concatenate(times), np.concatenate(events)
    group = np.repeat(np.arange(len(times)), [len(t) for t in times])
    if not observed.any():
        return np.nan, 1.0
    # The Nelson-Aalen estimate: at each moment, the share of those at risk who begin.
    moments = np.unique(when[observed])
    risks = np.array([(when[observed] == m).sum() / (when >= m).sum() for m in moments])
    hazard = np.append(0, np.cumsum(risks))
    scores = observed - hazard[np.searchsorted(moments, when, "right")]
    # Exchanging scores keeps the censoring, so that the test is exact in small groups.
    p = permutation_p([scores[group == g] for g in range(len(times))], rng)
    try:
        return float(survdiff(when, observed.astype(int), group)[0]), p
    except _FAILED:  # nobody is left at risk in one of the groups
        return np.nan, p


def hazard_ratio(
    times: Sequence[np.ndarray], events: Sequence[np.ndarray]
) -> tuple[float, float, float]:
    """How much sooner the second group begins than the first: Cox hazard ratio, 95 % interval.

    Above 1 is sooner. NaN where one group never begins, or all of one group begin before all of the
    other: no finite ratio fits that.
    """
    group = np.repeat([0.0, 1.0], [len(t) for t in times])
    # Without events in a group, its hazard is zero and the ratio zero or infinite.
    if not all(e.any() for e in events):
        return np.nan, np.nan, np.nan
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = PHReg(
                np.concatenate(times),
                group[:, None],
                np.concatenate(events).astype(int),
                ties="efron",
            ).fit()
            ratio, (low, high) = float(np.exp(fit.params[0])), np.exp(fit.conf_int()[0])
    except _FAILED:
        return np.nan, np.nan, np.nan
    if not _SMALLEST_RATIO < ratio < 1 / _SMALLEST_RATIO:
        return np.nan, np.nan, np.nan
    return ratio, float(low), float(high)


def sign_test(
    times: Sequence[np.ndarray], events: Sequence[np.ndarray]
) -> tuple[float, float, int]:
    """Sign test of two latencies of each animal, `(animals,)`, that may be censored.

    Counts the animals of which it is known which latency is the longer one. Returns how many were
    later in the second, p (binomial), and how many could be ordered.
    """
    (a, b), (a_observed, b_observed) = times, events
    # A censored latency is longer than any that was observed up to then.
    later = a_observed & ((a < b) | ((a == b) & ~b_observed))
    sooner = b_observed & ((b < a) | ((a == b) & ~a_observed))
    ordered = int(later.sum() + sooner.sum())
    if not ordered:
        return 0.0, 1.0, 0
    return float(later.sum()), float(stats.binomtest(int(later.sum()), ordered).pvalue), ordered
