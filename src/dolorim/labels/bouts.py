"""Bouts and frames: two ways to write down the same behavior.

A bout is a maximal run of frames with one label, `[start, stop)`. Unlabelled frames (-1) are gaps,
not bouts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dolorim.core.runs import runs
from dolorim.labels.ethogram import UNLABELED


@dataclass(frozen=True, order=True)
class Bout:
    """Frames `[start, stop)` of one class index."""

    start: int
    stop: int
    label: int

    def __len__(self) -> int:
        return self.stop - self.start


def to_bouts(labels: np.ndarray) -> list[Bout]:
    """The bouts in frame-wise labels `(time,)`, in order."""
    starts, stops, run_labels = (column.tolist() for column in runs(labels))
    bouts = map(Bout, starts, stops, run_labels)
    return [bout for bout in bouts if bout.label != UNLABELED]


def to_frames(bouts: Iterable[Bout], n_frames: int) -> np.ndarray:
    """Frame-wise labels `(n_frames,)` int16 of bouts; frames without a bout are -1.

    Raises `ValueError` for a bout outside `[0, n_frames)` and for two bouts that overlap.
    """
    labels = np.full(n_frames, UNLABELED, np.int16)
    end = 0  # of the previous bout
    for bout in sorted(bouts):
        if not 0 <= bout.start < bout.stop <= n_frames:
            raise ValueError(f"bout [{bout.start}, {bout.stop}) lies outside [0, {n_frames})")
        if bout.start < end:
            raise ValueError(f"bout [{bout.start}, {bout.stop}) overlaps the previous one")
        labels[bout.start : bout.stop] = bout.label
        end = bout.stop
    return labels
