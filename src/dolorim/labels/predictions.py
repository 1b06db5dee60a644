"""The predictions of a model for one video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dolorim.core.clock import rate_of
from dolorim.labels.bouts import Bout, to_bouts

# Relative difference within which the rate in `meta` is that of the times. It is then the more
# precise one, as tables round times.
_SAME_RATE = 0.01


def chamber_named(meta: Mapping[str, Any]) -> str | None:
    """The chamber that the `meta` of predictions names, if any."""
    chamber = meta.get("chamber")
    if not isinstance(chamber, dict) or not chamber.get("name"):
        return None
    return str(chamber["name"])


@dataclass(frozen=True)
class Predictions:
    """Frame-wise predictions for one video.

    `labels` `(time,)` are class indices, `probabilities` `(time, classes)`. `time_s` `(time,)`
    counts from the first frame: a container's clock may begin anywhere, so its time of the first
    frame is subtracted here and kept as `meta["first_frame_s"]`. `meta` says where the predictions
    come from: run, versions, the file's hash, frame count and rate.
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
            # The class is frozen for its users; this is the only place that changes it.
            object.__setattr__(self, "time_s", self.time_s - first_s)
            object.__setattr__(self, "meta", {"first_frame_s": round(first_s, 6), **self.meta})

    def bouts(self) -> list[tuple[Bout, float]]:
        """Bouts in order, each with the mean probability of its class."""
        bouts = to_bouts(self.labels)
        means = [self.probabilities[b.start : b.stop, b.label].mean() for b in bouts]
        return [(bout, float(mean)) for bout, mean in zip(bouts, means, strict=True)]

    @property
    def chamber(self) -> str | None:
        """The name of the chamber of the video that these are about; None for a whole video."""
        return chamber_named(self.meta)

    @property
    def video_name(self) -> str:
        """The name without that of the chamber: the same for all chambers of a video."""
        return self.name if self.chamber is None else self.name.removesuffix(f".{self.chamber}")

    @property
    def rate_hz(self) -> float:
        """Frames per second: the rate in `meta` if the times agree with it, else their own."""
        by_times = rate_of(self.time_s)
        stated = self.meta.get("fps")
        if isinstance(stated, int | float) and abs(stated - by_times) <= _SAME_RATE * by_times:
            return float(stated)
        return by_times

    @property
    def container_time_s(self) -> np.ndarray:
        """The times `(time,)` on the clock of the video's container, as the decoder gives them."""
        first_s = self.meta.get("first_frame_s")
        return self.time_s + (float(first_s) if isinstance(first_s, int | float) else 0.0)

    @property
    def length_s(self) -> float:
        """Seconds from the start of the first frame to the end of the last one, pauses included."""
        if not len(self.labels):
            return 0.0
        _, stop_s = self.interval_s(Bout(0, len(self.labels), 0))
        return stop_s

    def interval_s(self, bout: Bout) -> tuple[float, float]:
        """A bout's start and stop in seconds from the first frame."""
        n_frames = len(self.time_s)
        start_s = float(self.time_s[bout.start])
        if bout.stop < n_frames:
            return start_s, float(self.time_s[bout.stop])
        # No frame follows the last one: it lasts as long as frames usually do.
        frame_s = 1 / self.rate_hz if n_frames > 1 else 0.0
        return start_s, float(self.time_s[-1]) + frame_s
