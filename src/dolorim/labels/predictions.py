"""What a model says about one video."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dolorim.core.clock import rate_of
from dolorim.labels.bouts import Bout, to_bouts

_SAME_RATE = 0.01  # relative: within this, the rate in `meta` is that of the times, and more precise than these


@dataclass(frozen=True)
class Predictions:
    """Frame-wise predictions: `labels` `(time,)` class indices, `probabilities` `(time, classes)`, `time_s` `(time,)`.

    `time_s` counts from the first frame. A container's clock may begin anywhere: what it says of the first frame is
    subtracted here, for everybody, and kept as `meta["first_frame_s"]`. `meta` says where the predictions come from:
    run, versions, the file's hash, frame count and rate.
    """

    name: str
    classes: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    time_s: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first_s = float(self.time_s[0]) if len(self.time_s) else 0.0
        if first_s:
            object.__setattr__(self, "time_s", self.time_s - first_s)
            object.__setattr__(self, "meta", {"first_frame_s": round(first_s, 6), **self.meta})

    def bouts(self) -> list[tuple[Bout, float]]:
        """Bouts in order, each with the mean probability of its class."""
        return [
            (b, float(self.probabilities[b.start : b.stop, b.label].mean()))
            for b in to_bouts(self.labels)
        ]

    @property
    def rate_hz(self) -> float:
        """Frames per second: what `meta` says where the times agree, for tables round them; else what the times say."""
        by_times = rate_of(self.time_s)
        stated = self.meta.get("fps")
        if isinstance(stated, int | float) and abs(stated - by_times) <= _SAME_RATE * by_times:
            return float(stated)
        return by_times

    @property
    def container_time_s(self) -> np.ndarray:
        """The times `(time,)` on the clock of the video's container, as decoding gives them."""
        first_s = self.meta.get("first_frame_s")
        return self.time_s + (float(first_s) if isinstance(first_s, int | float) else 0.0)

    @property
    def length_s(self) -> float:
        """From the beginning of the first frame to the end of the last one, pauses included."""
        return self.interval_s(Bout(0, len(self.labels), 0))[1] if len(self.labels) else 0.0

    def interval_s(self, bout: Bout) -> tuple[float, float]:
        """A bout's start and stop in seconds from the first frame; the last frame lasts as long as a usual one."""
        n = len(self.time_s)
        if bout.stop < n:
            return float(self.time_s[bout.start]), float(self.time_s[bout.stop])
        last_s = 1 / self.rate_hz if n > 1 else 0.0
        return float(self.time_s[bout.start]), float(self.time_s[-1]) + last_s
