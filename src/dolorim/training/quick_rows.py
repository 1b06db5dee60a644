"""The frames that quick heads learn from: some of each class, with weights, from all recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dolorim.inference.frame_features import StoredFrames
from dolorim.labels.ethogram import UNLABELED
from dolorim.models.quick import QuickRecognizer

ROWS = 20_000
"""About as many frames are learned from: neighbors show nearly the same."""
_LEAST = 1500  # frames that are learned from of a rare class, if it has so many
CONTEXTS_S = (1.0, 4.0)
"""Lengths of the windows over which features are averaged, in seconds."""


@dataclass(frozen=True)
class QuickRows:
    """Frames to learn from.

    `columns` `(rows, columns)` float32, NaN where missing; `labels` `(rows,)`; `recording` and
    `bout` `(rows,)` are the indices of the recording, and of the bout among all recordings' bouts.
    """

    columns: np.ndarray
    labels: np.ndarray
    recording: np.ndarray
    bout: np.ndarray

    def of(self, recordings: Sequence[int]) -> QuickRows:
        """The rows of some recordings."""
        return self._where(np.isin(self.recording, list(recordings)))

    def of_bouts(self, bouts: np.ndarray) -> QuickRows:
        """The rows of some bouts."""
        return self._where(np.isin(self.bout, bouts))

    def _where(self, chosen: np.ndarray) -> QuickRows:
        parts = (self.columns, self.labels, self.recording, self.bout)
        return QuickRows(*(part[chosen] for part in parts))

    def weights(self, shares: np.ndarray) -> np.ndarray:
        """Weights `(rows,)` with a mean of 1 that give each class its share `(classes,)`."""
        counts = np.bincount(self.labels, minlength=len(shares))
        weights = (shares / np.maximum(counts, 1))[self.labels]
        return weights / weights.mean()


def windows_at(rate_hz: float) -> list[int]:
    """The lengths of the averaging windows in frames: odd, because they are centered."""
    return [2 * round(seconds * rate_hz / 2) + 1 for seconds in CONTEXTS_S]


def rows_of(
    frames: Sequence[StoredFrames],
    labels: Sequence[np.ndarray],
    model: QuickRecognizer,
    n_classes: int,
) -> QuickRows:
    """The rows to learn from: every n-th labeled frame of a class, denser for rare classes."""
    counts = sum(np.bincount(one[one >= 0], minlength=n_classes) for one in labels)
    wanted = np.maximum(_LEAST, ROWS * counts / max(np.sum(counts), 1))
    strides = np.maximum(1, counts // wanted).astype(np.int64)
    columns, chosen_labels, whose, bouts = [], [], [], []
    n_bouts = 0
    for i, (stored, truth) in enumerate(zip(frames, labels, strict=True)):
        chosen = _every_nth(np.asarray(truth), strides)
        bout = n_bouts + np.cumsum(np.diff(truth, prepend=truth[:1]) != 0)
        n_bouts = int(bout[-1]) + 1
        for start, stop in stored.units():
            rows = np.flatnonzero(chosen[start:stop])
            if len(rows):
                columns.append(stored.columns(model, start, stop)[rows].numpy())
                chosen_labels.append(truth[start:stop][rows])
                whose.append(np.full(len(rows), i))
                bouts.append(bout[start:stop][rows])
    if not columns:
        return QuickRows(np.empty((0, 0), np.float32), *np.empty((3, 0), int))
    parts = (np.concatenate(part) for part in (columns, chosen_labels, whose, bouts))
    return QuickRows(*parts)


def _every_nth(labels: np.ndarray, strides: np.ndarray) -> np.ndarray:
    """Which frames `(time,)` are learned from: of class c every `strides[c]`-th."""
    chosen = np.zeros(len(labels), bool)
    for c, stride in enumerate(strides.tolist()):
        chosen[np.flatnonzero(labels == c)[stride // 2 :: stride]] = True
    return chosen & (labels != UNLABELED)


def without_streams(rows: QuickRows, widths: Sequence[int], share: float, seed: int) -> QuickRows:
    """The rows, of which a share lacks one of two streams, as recordings without a pose do.

    `widths` are the numbers of features of each stream. Heads then know what to do without it.
    """
    if not all(widths) or not share:
        return rows
    stream_of_feature = np.repeat(np.arange(len(widths)), widths)
    n_repeats = rows.columns.shape[1] // len(stream_of_feature)
    stream = np.tile(stream_of_feature, n_repeats)
    rng = np.random.default_rng(seed)
    lacks = rng.random(len(rows.labels)) < share
    which = rng.integers(len(widths), size=len(rows.labels))
    columns = rows.columns.copy()
    for s in range(len(widths)):
        columns[np.ix_(lacks & (which == s), stream == s)] = np.nan
    return replace(rows, columns=columns)
