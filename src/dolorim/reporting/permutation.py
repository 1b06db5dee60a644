"""Permutation of animals between groups."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

RESAMPLES = 4999


def permutation_p(
    samples: Sequence[np.ndarray], rng: np.random.Generator, n: int = RESAMPLES
) -> float:
    """p of the variation between groups under exchange of animals.

    Each group is `(animals,)` or `(animals, occasions)`. The statistic is F (of means), summed over
    occasions: whole animals are exchanged, so that it holds for repeated measures. Of two small
    groups all orders are tried; otherwise p is (1 + hits) / (1 + draws) after Phipson & Smyth
    (2010), doi:10.2202/1544-6115.1585.
    """
    values = np.concatenate([np.asarray(s, float).reshape(len(s), -1) for s in samples])
    sizes = [len(s) for s in samples]
    # An occasion on which all animals are alike says nothing, and would divide by zero.
    spread = values.std(0)
    if not (spread > 0).any():
        return 1.0
    values = (values - values.mean(0))[:, spread > 0] / spread[spread > 0]
    total = len(values)
    # Below so many orders, trying all of them is as cheap as drawing.
    exact = len(sizes) == 2 and math.comb(total, sizes[0]) <= n
    in_order = np.tile(np.arange(total), (n, 1))
    orders = _all_orders(total, sizes[0]) if exact else rng.permuted(in_order, axis=1)

    def statistic(order: np.ndarray) -> np.ndarray:
        between = np.zeros((len(order), values.shape[1]))
        for part in np.split(order, np.cumsum(sizes)[:-1], axis=1):
            # Values have mean 0, so that this is the variation between groups.
            between += values[part].sum(1) ** 2 / part.shape[1]
        return (between / np.maximum(total - between, 1e-12)).sum(1)

    observed = statistic(np.arange(total)[None])[0]
    # Orders that are equal but for rounding count as at least as extreme.
    hits = int((statistic(orders) >= observed * (1 - 1e-9)).sum())
    if exact:
        return hits / len(orders)
    return (1 + hits) / (1 + n)


def _all_orders(total: int, first: int) -> np.ndarray:
    """Every choice of the animals of the first group, followed by the others: `(orders, total)`."""
    everyone = set(range(total))
    chosen = itertools.combinations(range(total), first)
    return np.array([[*c, *sorted(everyone - set(c))] for c in chosen])
