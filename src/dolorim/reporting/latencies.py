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


def log_rank(
    times: Sequence[np.ndarray], events: Sequence[np.ndarray], rng: np.random.Generator
) -> tuple[float, float]:
    """Log-rank test of latencies that may be censored, `(animals,)` per group: chi-square and p.

    p is that of exchanging the animals' log-rank scores (event - cumulative hazard): from chi-square, five animals in
    a group reject 8 % of the time without an effect (benchmarks/results/null_effect.md).
    """
    when, seen = np.concatenate(times), np.concatenate(events)
    group = np.repeat(np.arange(len(times)), [len(t) for t in times])
    if not seen.any():
        return np.nan, 1.0
    moments = np.unique(when[seen])
    risks = np.array([(when[seen] == m).sum() / (when >= m).sum() for m in moments])
    scores = seen - np.append(0, np.cumsum(risks))[np.searchsorted(moments, when, "right")]
    p = permutation_p([scores[group == g] for g in range(len(times))], rng)
    try:
        return float(survdiff(when, seen.astype(int), group)[0]), p
    except _FAILED:  # nobody is left at risk in one of the groups
        return np.nan, p


def hazard_ratio(
    times: Sequence[np.ndarray], events: Sequence[np.ndarray]
) -> tuple[float, float, float]:
    """Cox: how much sooner the second group begins than the first (above 1 is sooner), with 95 % interval.

    NaN where one of the two never or all of one before all of the other begin: no finite ratio fits that.
    """
    group = np.repeat([0.0, 1.0], [len(t) for t in times])
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
    return (ratio, float(low), float(high)) if 1e-4 < ratio < 1e4 else (np.nan, np.nan, np.nan)


def sign_test(
    times: Sequence[np.ndarray], events: Sequence[np.ndarray]
) -> tuple[float, float, int]:
    """Sign test of two latencies of each animal, `(animals,)`, that may be censored.

    Counts the animals of which it is known which latency is the longer one. Returns how many were
    later in the second, p (binomial), and how many could be ordered.
    """
    (a, b), (a_seen, b_seen) = times, events
    later = a_seen & ((a < b) | ((a == b) & ~b_seen))
    sooner = b_seen & ((b < a) | ((a == b) & ~a_seen))
    ordered = int(later.sum() + sooner.sum())
    if not ordered:
        return 0.0, 1.0, 0
    return float(later.sum()), float(stats.binomtest(int(later.sum()), ordered).pvalue), ordered
