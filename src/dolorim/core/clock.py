"""The frame rate of a recording, from timestamps that containers and tables have rounded."""

from __future__ import annotations

import numpy as np

# Matroska rounds timestamps to whole milliseconds, so a step between frames is off by up to one.
MILLISECOND = 1.01e-3


def rate_of(time_s: np.ndarray, otherwise_hz: float = 30.0) -> float:
    """Frames per second from the times `(time,)` of a recording's frames.

    Returns `otherwise_hz` where the times tell no rate. The median step alone would be wrong for
    rounded times: at 300 frames/s, milliseconds make steps of 3 and 4. Steps that differ from the
    median by no more than the rounding are averaged; all others are pauses and are left out.
    """
    steps = np.diff(time_s)
    if not len(steps):
        return otherwise_hz
    median = float(np.quantile(steps, 0.5, method="lower"))  # a step that does occur
    if not (np.isfinite(median) and median > 0):
        return otherwise_hz
    rounding = min(MILLISECOND, 0.6 * median)
    regular = np.abs(steps - median) <= rounding
    return 1 / float(steps[regular].mean())


def edges_of(time_s: np.ndarray) -> np.ndarray:
    """When each frame begins and the last one ends `(time + 1,)`, for start times `(time,)`."""
    if not len(time_s):
        return np.zeros(1)
    return np.append(time_s, time_s[-1] + 1 / rate_of(time_s))
