"""Local arithmetic on tracks with gaps: smoothing, velocities, rolling statistics, directions.

Time is the first axis. At the ends of an array, windows are shorter, and a difference uses the last
frame that exists.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

REACH = 32
"""Frames on either side that a feature may depend on, by smoothing, lags and rolling windows."""
_SMOOTH, _LAG, _ROLL = 4, 12, 16
# At none of the usual frame rates (29.97 and 30.3 among them) are these near half a frame: rounding
# would otherwise decide what a feature measures.
_SMOOTH_S, _LAGS_S, _ROLL_S = 0.072, (0.063, 0.143, 0.4), 0.51
_UNSEEN_S = 2.0


class Clock:
    """The sizes of all windows in frames at a frame rate: at least 1, and within `REACH` in sum."""

    def __init__(self, rate_hz: float) -> None:
        # Times stay the same at every frame rate, as far as the reach in frames allows.
        self.rate_hz = rate_hz
        self.smooth = _frames(_SMOOTH_S, rate_hz, _SMOOTH)
        self.lags = tuple(_frames(s, rate_hz, _LAG) for s in _LAGS_S)
        self.roll = _frames(_ROLL_S, rate_hz, _ROLL)

    def velocity(self, x: np.ndarray, lag: int) -> np.ndarray:
        """Change per second from `lag` frames before to `lag` after; NaN for a single frame."""
        before, after, seconds = self.around(len(x), lag)
        return _ratio(x[after] - x[before], seconds.reshape(-1, *[1] * (x.ndim - 1)))

    def around(self, frames: int, lag: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each frame those `lag` before and after it, and the seconds between these two."""
        at = np.arange(frames)
        before, after = np.maximum(at - lag, 0), np.minimum(at + lag, frames - 1)
        return before, after, (after - before) / self.rate_hz


def rolling_mean(x: np.ndarray, half: int) -> np.ndarray:
    """Mean of the known values within `half` frames on either side; NaN if there are none."""
    known = np.isfinite(x)
    count = _rolling_sum(known.astype(np.float64), half)
    return _ratio(_rolling_sum(np.where(known, x, 0.0), half), count)


def rolling_mean_and_std(x: np.ndarray, half: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation of the known values within `half` frames."""
    known = np.isfinite(x)
    values = np.where(known, x, 0.0)
    count = _rolling_sum(known.astype(np.float64), half)
    # The mean of the squares minus the square of the mean: two sums do for any window.
    mean = _ratio(_rolling_sum(values, half), count)
    variance = _ratio(_rolling_sum(values * values, half), count) - mean**2
    return mean, np.sqrt(np.maximum(variance, 0.0))  # rounding may make it slightly negative


def mean_seen(x: np.ndarray, axis: int) -> np.ndarray:
    """Mean over an axis of the known values; NaN if there are none."""
    known = np.isfinite(x)
    return _ratio(np.where(known, x, 0.0).sum(axis), known.sum(axis))


def length(vectors: np.ndarray) -> np.ndarray:
    """Lengths of vectors `(..., xy)`."""
    return np.hypot(vectors[..., 0], vectors[..., 1])


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors `(..., xy)` of length 1; NaN where there is no direction."""
    return _ratio(vectors, length(vectors)[..., None])


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1]


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Positive where b is clockwise of a in a picture (y down)."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def turning(heading: np.ndarray, clock: Clock) -> np.ndarray:
    """Radians per second `(time, animal)` between headings `(time, animal, xy)` a lag apart."""
    before, after, seconds = clock.around(len(heading), clock.lags[1])
    angle = np.arctan2(cross(heading[before], heading[after]), dot(heading[before], heading[after]))
    return _ratio(angle, seconds[:, None])


def unseen_s(since_seen: np.ndarray, clock: Clock) -> np.ndarray:
    """Seconds since something was last seen, from frames; at most `_UNSEEN_S`."""
    return np.minimum(since_seen / clock.rate_hz, _UNSEEN_S)


def _frames(seconds: float, rate_hz: float, most: int) -> int:
    return max(1, min(most, round(seconds * rate_hz)))


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # Nothing divided by nothing stays unknown, without NumPy's warning.
    return np.divide(a, b, out=np.full(np.broadcast_shapes(a.shape, b.shape), np.nan), where=b > 0)


def _rolling_sum(x: np.ndarray, half: int) -> np.ndarray:
    # The difference of two cumulative sums costs the same for a window of any length.
    total = np.concatenate([np.zeros((1, *x.shape[1:])), np.cumsum(x, axis=0)])
    at = np.arange(len(x))
    return total[np.minimum(at + half + 1, len(x))] - total[np.maximum(at - half, 0)]


class Columns:
    """Named features in the making."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.blocks: list[np.ndarray] = []

    def add(self, names: Sequence[str], block: np.ndarray) -> None:
        """`block` `(time, names)`."""
        self.names += names
        self.blocks.append(block.reshape(len(block), len(names)))

    def add_each(self, names: Sequence[str], block: np.ndarray) -> None:
        """Add features `(time, animal or pair, names)`; of several, the minimum and the maximum."""
        if block.shape[1] == 1:
            self.add(names, block[:, 0])
        elif block.shape[1] > 1:
            # Animals have no order, so that neither may come first.
            self.add([f"{n}:min" for n in names], np.fmin.reduce(block, axis=1))
            self.add([f"{n}:max" for n in names], np.fmax.reduce(block, axis=1))

    def array(self) -> np.ndarray:
        """`(time, features)` float32."""
        return np.concatenate(self.blocks, axis=1).astype(np.float32)
