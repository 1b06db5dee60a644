"""Rank tests of groups of animals, exact where there are few, and what they can say at all."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

ALPHA = 0.05
_EXACT = 20  # animals in each group up to which all orders are counted
_EXACT_PAIRS = 13  # pairs up to which all signs are tried where differences are equal or zero
RANK_TESTS = ("Mann-Whitney", "Kruskal-Wallis", "Wilcoxon", "Friedman", "log-rank", "sign test")


def omnibus(samples: Sequence[np.ndarray], paired: bool = False) -> tuple[str, float, float]:
    """Rank test of two or more groups, each `(animals,)`: its name, statistic and p.

    Mann-Whitney and Kruskal-Wallis between animals; Wilcoxon and Friedman within (rows aligned).
    Where every value is the same, p is 1.
    """
    name, test = _TESTS[paired, len(samples) == 2]
    no_pair_differs = name == "Wilcoxon" and (samples[0] == samples[1]).all()
    if np.ptp(np.concatenate(samples)) == 0 or no_pair_differs:
        return name, np.nan, 1.0
    statistic, p = test(*samples)
    return name, float(statistic), float(p)


def _mann_whitney(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """U of `a` and p, two-sided.

    SciPy's exact p holds without equal values only. With them, all orders of the animals are
    counted over twice the mid-ranks (the shift algorithm of Streitberg & Röhmel 1986).
    """
    values = np.concatenate([a, b])
    tied = len(np.unique(values)) < len(values)
    few = max(len(a), len(b)) <= _EXACT
    result = stats.mannwhitneyu(a, b, method="exact" if few and not tied else "asymptotic")
    if not (few and tied):
        return result.statistic, result.pvalue
    # Twice the mid-ranks are whole numbers, so that sums of ranks can be counted.
    ranks = np.round(2 * stats.rankdata(values)).astype(int)
    # How many choices of so many animals (rows) have such a sum of ranks (columns).
    orders = np.zeros((len(a) + 1, ranks.sum() + 1))
    orders[0, 0] = 1
    for rank in ranks:
        orders[1:, rank:] += orders[:-1, : orders.shape[1] - rank].copy()
    # Of all choices of as many animals as `a` has.
    chances = orders[len(a)] / orders[len(a)].sum()
    observed = ranks[: len(a)].sum()
    less, more = chances[: observed + 1].sum(), chances[observed:].sum()
    return result.statistic, min(1.0, 2 * min(less, more))


def _wilcoxon(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    size = np.abs(b - a)
    # The exact distribution of SciPy holds without zeros and equal differences only.
    tied = (size == 0).any() or len(np.unique(size)) < len(size)
    if tied and len(a) <= _EXACT_PAIRS:
        method = stats.PermutationMethod(n_resamples=2**_EXACT_PAIRS)
        result = stats.wilcoxon(a, b, method=method)
    else:
        result = stats.wilcoxon(a, b)
    return result.statistic, result.pvalue


# By whether groups are compared within animals, and whether there are two of them only.
_TESTS = {
    (True, True): ("Wilcoxon", _wilcoxon),
    (True, False): ("Friedman", stats.friedmanchisquare),
    (False, True): ("Mann-Whitney", _mann_whitney),
    (False, False): ("Kruskal-Wallis", stats.kruskal),
}


@functools.cache
def smallest_p(test: str, sizes: tuple[int, ...]) -> float:
    """The smallest p that a rank test can give with so many animals: that of groups quite apart."""
    if test == "sign test":
        return min(1.0, 2 * 0.5 ** sizes[0])
    if test == "log-rank" and len(sizes) == 2 and sizes[0] != sizes[1]:
        return 1 / math.comb(sum(sizes), sizes[0])  # its scores are permuted, on one side only
    if len(sizes) > 2 and test != "Friedman":
        return float(stats.chi2.sf(sum(sizes) - 1, len(sizes) - 1))  # H is N - 1 at most
    few = [min(n, _EXACT) for n in sizes]  # above, it is small in any case
    paired = test in ("Wilcoxon", "Friedman")
    apart = [np.arange(n) * (1 + 0.01 * i) + 100.0 * i for i, n in enumerate(few)]
    return omnibus(apart, paired)[2]
