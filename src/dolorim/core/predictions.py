"""What a model says about one video."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dolorim.core.bouts import Bout, to_bouts


@dataclass(frozen=True)
class Predictions:
    """Frame-wise predictions: `labels` `(time,)` class indices, `probabilities` `(time, classes)`, `time_s` `(time,)`.

    `meta` says where they come from: run, versions, the file's hash, frame count and rate.
    """

    name: str
    classes: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    time_s: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)

    def bouts(self) -> list[tuple[Bout, float]]:
        """Bouts in order, each with the mean probability of its class."""
        return [(b, float(self.probabilities[b.start : b.stop, b.label].mean())) for b in to_bouts(self.labels)]

    def interval_s(self, bout: Bout) -> tuple[float, float]:
        """A bout's start and stop in seconds; the last frame lasts as long as a usual one."""
        n = len(self.time_s)
        if bout.stop < n:
            return float(self.time_s[bout.start]), float(self.time_s[bout.stop])
        last_s = float(np.median(np.diff(self.time_s))) if n > 1 else 0.0
        return float(self.time_s[bout.start]), float(self.time_s[-1]) + last_s
