"""Runs of equal values in an array."""

from __future__ import annotations

import numpy as np


def runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, stops and values, each `(runs,)`, of the maximal runs of equal values in `(time,)`.

    Unlabelled stretches are runs too. Ranges are half-open, `[start, stop)`.
    """
    labels = np.asarray(labels)
    if labels.size == 0:
        empty = np.empty(0, np.int64)
        return empty, empty, labels
    edges = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    starts = np.concatenate(([0], edges))
    stops = np.concatenate((edges, [labels.size]))
    return starts, stops, labels[starts]
