"""More like this one: the bouts whose features are most alike."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np


class Features(Protocol):
    """Features of a recording's frames, `(time, width)`; None for a missing stream."""

    @property
    def visual(self) -> np.ndarray | None: ...

    @property
    def pose(self) -> np.ndarray | None: ...


class Place(NamedTuple):
    """Frames `[start, stop)` of the recording with this index."""

    recording: int
    start: int
    stop: int


def summaries(frames: Sequence[Features], places: Sequence[Place]) -> np.ndarray:
    """Mean and standard deviation of each feature over each place, `(places, 2 * features)`.

    They are standardized over the places; a feature that is missing, or the same everywhere, is 0.
    """
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature that is missing all along
        for place in places:
            features = _features(frames[place.recording], place)
            rows.append(np.concatenate([np.nanmean(features, 0), np.nanstd(features, 0)]))
        table = np.stack(rows)
        mean, std = np.nanmean(table, 0), np.nanstd(table, 0)
    return np.nan_to_num((table - mean) / np.where(std > 0, std, np.inf))


def nearest(table: np.ndarray, wanted: int, n: int) -> list[tuple[int, float]]:
    """The `n` rows of `summaries` that are most like row `wanted`, and their cosine with it.

    The row itself is not among them; the most similar one comes first.
    """
    lengths = np.maximum(np.linalg.norm(table, axis=1), 1e-12)
    cosines = (table @ table[wanted]) / (lengths * lengths[wanted])
    order = [i for i in np.argsort(-cosines, kind="stable").tolist() if i != wanted]
    return [(i, float(cosines[i])) for i in order[:n]]


def _features(stored: Features, place: Place) -> np.ndarray:
    """Features of both streams over a place, `(time, features)`."""
    part = slice(place.start, place.stop)
    streams = [s[part] for s in (stored.visual, stored.pose) if s is not None]
    return np.concatenate(streams, 1).astype(np.float64)
