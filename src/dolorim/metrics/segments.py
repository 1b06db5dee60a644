"""Segment-wise scores: is each bout found, and do the bouts come in the right order?

Segmental F1 and the edit score of Lea et al. (2017, Temporal Convolutional Networks for Action
Segmentation), as the evaluation of MS-TCN (Farha & Gall 2019) computes them; from 0 to 100.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from dolorim.core.runs import runs

OVERLAPS = (0.10, 0.25, 0.50)


@dataclass
class SegmentCounts:
    """Sums over sequences; `scores` turns them into figures."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    edits: list[float]

    @property
    def scores(self) -> dict[str, float]:
        """F1 by overlap (`f1_10`, ...) and `edit`, from 0 to 100."""
        f1 = 200 * self.tp / np.maximum(2 * self.tp + self.fp + self.fn, 1)
        names = [f"f1_{round(100 * overlap)}" for overlap in OVERLAPS]
        scores = dict(zip(names, f1.tolist(), strict=True))
        scores["edit"] = float(np.mean(self.edits or [0.0]))
        return scores


def count_segments(
    sequences: Iterable[tuple[np.ndarray, np.ndarray]], background: Collection[int] = ()
) -> SegmentCounts:
    """Compare pairs of truth and prediction, each `(time,)`, without segments of the background.

    F1 pools all sequences; the edit score is a mean over them. A predicted segment is right if it
    overlaps a true one of its class by at least the given share of their union; of several that
    overlap the same one, only one is right.
    """
    tp, fp, fn = np.zeros((3, len(OVERLAPS)))
    total = SegmentCounts(tp, fp, fn, edits=[])
    for truth, predicted in sequences:
        if len(truth) == 0:
            continue
        true, claimed = _segments(truth, background), _segments(predicted, background)
        hits = np.array(_hits(true, claimed))
        total.tp += hits
        total.fp += len(claimed) - hits
        total.fn += len(true) - hits
        total.edits.append(edit_score(true[:, 2], claimed[:, 2]))
    return total


def labelled_stretches(labels: np.ndarray, borders: Iterable[tuple[int, int]]) -> list[slice]:
    """The stretches without a gap (-1) within each trial.

    `borders` are the trials' `[start, stop)`.
    """
    stretches = []
    for start, stop in borders:
        for first, last, is_labelled in zip(*runs(labels[start:stop] >= 0), strict=True):
            if is_labelled:
                stretches.append(slice(start + first, start + last))
    return stretches


def edit_score(one: np.ndarray, two: np.ndarray) -> float:
    """100 minus the Levenshtein distance of two sequences in per cent of the longer one."""
    longest = max(len(one), len(two))
    if longest == 0:
        return 100.0
    columns = np.arange(len(two) + 1)
    row = columns
    for i, label in enumerate(one.tolist(), 1):
        deleted_or_replaced = np.minimum(row[1:] + 1, row[:-1] + (two != label))
        best = np.concatenate(([i], deleted_or_replaced))
        # Insertions cost one more for each step to the right.
        row = np.minimum.accumulate(best - columns) + columns
    return 100.0 * (1 - float(row[-1]) / longest)


def _segments(labels: np.ndarray, background: Collection[int]) -> np.ndarray:
    """`(segments, 3)`: start, stop, label."""
    segments = np.stack(runs(labels), axis=1).astype(np.int64)
    return segments[~np.isin(segments[:, 2], list(background))]


def _hits(true: np.ndarray, claimed: np.ndarray) -> list[int]:
    """For each of `OVERLAPS`, how many true segments are found.

    Each predicted segment stands for the true one of its class that it overlaps best, even if
    another one stands for it already, as in the reference implementation of MS-TCN.
    """
    # Only the true segments from `first` to before `last` share a frame with a predicted one.
    first = np.searchsorted(true[:, 1], claimed[:, 0], "right")
    last = np.searchsorted(true[:, 0], claimed[:, 1])
    n_shared = np.maximum(last - first, 0)
    # All pairs of a predicted segment i and a true segment j that share a frame.
    i = np.repeat(np.arange(len(claimed)), n_shared)
    j = np.arange(len(i)) - np.repeat(np.cumsum(n_shared) - n_shared - first, n_shared)
    shared = np.minimum(claimed[i, 1], true[j, 1]) - np.maximum(claimed[i, 0], true[j, 0])
    union = np.maximum(claimed[i, 1], true[j, 1]) - np.minimum(claimed[i, 0], true[j, 0])
    overlap = np.where(claimed[i, 2] == true[j, 2], shared / union, 0)
    # Sorted by predicted segment and falling overlap, the first pair of each one is its best.
    order = np.lexsort((j, -overlap, i))
    best = order
    if len(order):
        best = order[np.append(True, np.diff(i[order]) != 0)]
    return [len(np.unique(j[best][overlap[best] >= least])) for least in OVERLAPS]
