"""When frames are shown: the rate of a recording, from timestamps that containers and tables have rounded."""

from __future__ import annotations

import numpy as np

_MILLISECOND = 1.01e-3  # Matroska rounds timestamps to whole milliseconds, so a step is wrong by as much as one


def rate_of(time_s: np.ndarray, otherwise_hz: float = 30.0) -> float:
    """Frames per second from the times `(time,)` of a recording's frames; `otherwise_hz` where they tell no rate.

    The median step alone would be wrong for rounded times: at 300 frames/s, milliseconds make steps of 3 and 4. Steps
    that differ from the median by no more than the rounding are averaged, and all others (pauses) are left out.
    """
    steps = np.diff(time_s)
    median = (
        float(np.quantile(steps, 0.5, method="lower")) if len(steps) else 0.0
    )  # a step that occurs
    if not (np.isfinite(median) and median > 0):
        return otherwise_hz
    rounding = min(_MILLISECOND, 0.6 * median)
    return 1 / float(steps[np.abs(steps - median) <= rounding].mean())


def edges_of(time_s: np.ndarray) -> np.ndarray:
    """When each frame begins and the last one ends `(time + 1,)`, for frames shown at `time_s` `(time,)`."""
    if not len(time_s):
        return np.zeros(1)
    return np.append(time_s, time_s[-1] + 1 / rate_of(time_s))
