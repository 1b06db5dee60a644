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
        f1 = 200 * self.tp / np.maximum(2 * self.tp + self.fp + self.fn, 1)
        names = [f"f1_{round(100 * o)}" for o in OVERLAPS]
        return {
            **dict(zip(names, f1.tolist(), strict=True)),
            "edit": float(np.mean(self.edits or [0.0])),
        }


def count_segments(
    sequences: Iterable[tuple[np.ndarray, np.ndarray]], background: Collection[int] = ()
) -> SegmentCounts:
    """Compare pairs of truth and prediction, each `(time,)`. Segments of background classes are
    left out.

    F1 pools all sequences; the edit score is a mean over them. A predicted segment is right when
    it overlaps a true one of its class, not taken yet, by at least the given share of their
    union.
    """
    tp, fp, fn = np.zeros((3, len(OVERLAPS)))
    total = SegmentCounts(tp, fp, fn, edits=[])
    for truth, predicted in sequences:
        if len(truth) == 0:
            continue
        true, found = _segments(truth, background), _segments(predicted, background)
        hits = np.array(_hits(true, found))
        total.tp += hits
        total.fp += len(found) - hits
        total.fn += len(true) - hits
        total.edits.append(edit_score(true[:, 2], found[:, 2]))
    return total


def labelled_stretches(labels: np.ndarray, borders: Iterable[tuple[int, int]]) -> list[slice]:
    """The stretches without a gap (-1) within each trial: `borders` are the trials' `[start,
    stop)`.
    """
    stretches = []
    for start, stop in borders:
        starts, stops, known = runs(labels[start:stop] >= 0)
        stretches += [
            slice(start + a, start + b) for a, b, k in zip(starts, stops, known, strict=True) if k
        ]
    return stretches


def edit_score(one: np.ndarray, two: np.ndarray) -> float:
    """100 minus the Levenshtein distance of two sequences in per cent of the longer one."""
    longest = max(len(one), len(two))
    if longest == 0:
        return 100.0
    at = np.arange(len(two) + 1)
    row = at
    for i, label in enumerate(one.tolist(), 1):
        best = np.concatenate(([i], np.minimum(row[1:] + 1, row[:-1] + (two != label))))
        row = (
            np.minimum.accumulate(best - at) + at
        )  # insertions: one more for each step to the right
    return 100.0 * (1 - float(row[-1]) / longest)


def _segments(labels: np.ndarray, background: Collection[int]) -> np.ndarray:
    """`(segments, 3)`: start, stop, label."""
    segments = np.stack(runs(labels), axis=1).astype(np.int64)
    return segments[~np.isin(segments[:, 2], list(background))]


def _hits(true: np.ndarray, found: np.ndarray) -> list[int]:
    """For each of `OVERLAPS` the true segments that are found: each found one speaks for the true
    one that it overlaps best, be it taken or not, as in the reference."""
    first = np.searchsorted(
        true[:, 1], found[:, 0], "right"
    )  # only true ones in [first, last) share a frame with it
    last = np.searchsorted(true[:, 0], found[:, 1])
    many = np.maximum(last - first, 0)
    i = np.repeat(np.arange(len(found)), many)
    j = np.arange(len(i)) - np.repeat(np.cumsum(many) - many - first, many)
    shared = np.minimum(found[i, 1], true[j, 1]) - np.maximum(found[i, 0], true[j, 0])
    union = np.maximum(found[i, 1], true[j, 1]) - np.minimum(found[i, 0], true[j, 0])
    share = np.where(found[i, 2] == true[j, 2], shared / union, 0)
    order = np.lexsort((j, -share, i))
    best = order[np.append(True, np.diff(i[order]) != 0)] if len(order) else order
    return [len(np.unique(j[best][share[best] >= o])) for o in OVERLAPS]
