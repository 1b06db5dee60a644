"""By how many frames a pose is late, estimated from the video itself.

A point of the animal looks the same whether it moves or rests: a nose has a certain amount of floor
and of fur around it. So each keypoint's surroundings are learned while it rests, when a few frames
do not matter, and compared while it moves: with the right lag they are the same, with a wrong lag
the point lies ahead of the animal or behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dolorim.video.localizer import shrink
from dolorim.video.reader import Frame

REACH = 8  # frames; lags from -8 to 8 are compared
LAGS = np.arange(-REACH, REACH + 1)
_BODY = 40  # pixels of the shrunk picture that a body is long
_SCALES = (1.0, 2.5, 5.0, 10.0)  # blurs of the shrunk picture that tell what is around a point
_FRAMES = 200  # of each kind, moving and at rest, that are looked at
_MOVES = 0.2  # body lengths that a moving point travels within the compared frames, at least
_BLOCK = 15  # frames in which a point does not do independent things
_ENOUGH_BLOCKS, _ENOUGH_POINTS, _ENOUGH_RESTING = 8, 60, 20
_CALM = 0.3  # share of looks that are taken for rest where none is
_SURE = 0.95  # share of resamples that must agree
# The right lag costs at most this share of the usual cost: random costs have a minimum, too.
_DEPTH = 0.8


@dataclass(frozen=True)
class Lag:
    """By how many `frames` a pose is late: row t belongs to frame t - frames; None if unclear.

    `agreement` is the share of bootstrap samples of the recording that give the same number, and
    `points` the number of points compared. `costs` `(lag,)` say how unlike themselves the points
    look at each of `LAGS`.
    """

    frames: int | None
    agreement: float
    points: int
    costs: np.ndarray


class LagEstimator:
    """Estimates the lag from some frames of a recording, given in order.

    `points` `(time, animal, keypoint, xy)` are cleaned, in pixels; `length_px` is the body length.
    """

    def __init__(self, points: np.ndarray, length_px: float) -> None:
        n = len(points)
        self._length = length_px
        self._points = np.asarray(points, np.float64).reshape(
            n, int(np.prod(points.shape[1:-1])), 2
        )
        self._factor = max(1, round(length_px / _BODY))
        self._looks: dict[int, np.ndarray] = {}
        extent = _extents(self._points) / length_px
        self._moving = _spread(_of_all(np.nanmax, extent) > _MOVES)
        known = extent[np.isfinite(extent)]
        calm = float(np.quantile(known, _CALM)) if known.size else 0.0
        self._resting = _spread(_of_all(np.nanmedian, extent) <= max(calm, 0.05))
        self._extent = extent
        self._calm = max(calm, 0.05)

    def wants(self, index: int) -> bool:
        return index in self._moving or index in self._resting

    def look(self, frame: Frame) -> None:
        """Record what is around every point at every lag in a frame."""
        at = self._points[frame.index + LAGS]  # (lag, point, xy)
        known = np.isfinite(at).all(axis=(0, 2))
        looks = np.full((len(LAGS), at.shape[1], len(_SCALES)), np.nan, np.float32)
        if known.any():
            looks[:, known] = self._around(frame.luma, at[:, known])
        self._looks[frame.index] = looks

    def _around(self, luma: np.ndarray, at: np.ndarray) -> np.ndarray:
        factor, height, width = self._factor, *luma.shape
        margin = 0.75 * self._length  # the widest blur reaches as far
        xy = at.reshape(-1, 2)
        size_px = np.array((width, height))
        x0, y0 = np.clip(xy.min(axis=0) - margin, 0, size_px - factor).astype(int)
        x1, y1 = np.clip(xy.max(axis=0) + margin, 0, size_px).astype(int)
        x1, y1 = max(x1, x0 + factor), max(y1, y0 + factor)
        small = shrink(luma[y0:y1, x0:x1], factor)
        small -= np.median(shrink(luma[:: 2 * factor, :: 2 * factor], 1))
        where = ((at - (x0, y0) + 0.5) / factor - 0.5)[..., ::-1].reshape(-1, 2).T
        size = max(0.5, self._length / factor / _BODY)
        blurred = (
            ndimage.gaussian_filter(small, s * size, mode="nearest", truncate=3) for s in _SCALES
        )
        looks = [ndimage.map_coordinates(b, where, order=1, mode="nearest") for b in blurred]
        return np.stack(looks, -1).reshape(*at.shape[:2], len(_SCALES))

    def estimate(self) -> Lag:
        """The lag according to the frames that were given."""
        frames = np.array(sorted(self._looks), int)
        looks = [
            np.stack([self._looks[f][:, k] for f in frames.tolist()])
            for k in range(self._points.shape[1])
            if len(frames)
        ]
        # A point that rests still moves a little: its looks are taken at the lag that they lead to.
        at, seen = REACH, set()
        while at not in seen:
            seen.add(at)
            costs, blocks = self._costs(looks, frames, at)
            if not len(costs):
                return Lag(None, 0.0, 0, np.full(len(LAGS), np.nan))
            at = int(costs.sum(0).argmin())
        return _decide(costs, blocks)

    def _costs(
        self, looks: list[np.ndarray], frames: np.ndarray, at: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """How unlike themselves moving points look `(look, lag)`, and the block of each `(look,)`.

        A block is a point in a stretch of time. `looks` are `(frame, lag, scale)` for each point;
        its looks at rest are taken from lag `at`. The cost is a Mahalanobis distance from them.
        """
        rows, blocks = [np.empty((0, len(LAGS)))], [np.empty(0, int)]
        for k, its in enumerate(looks):
            extent, known = self._extent[frames, k], np.isfinite(its).all(axis=(1, 2))
            resting = its[known & (extent <= self._calm)][:, at]
            moving = known & (extent > _MOVES)
            if len(resting) < _ENOUGH_RESTING:
                continue
            usual = np.median(resting, axis=0)
            spread = np.cov(resting.T) + 1e-3 * np.eye(len(_SCALES))
            off = its[moving] - usual
            distance = np.einsum("tli,ij,tlj->tl", off, np.linalg.inv(spread), off)
            # The logarithm, so that one reflection does not outvote the rest.
            rows.append(np.log1p(distance / len(_SCALES)))
            blocks.append((frames[moving] // _BLOCK) * len(looks) + k)
        return np.concatenate(rows), np.concatenate(blocks)


def _decide(costs: np.ndarray, blocks: np.ndarray) -> Lag:
    """The lag of least cost if bootstrap samples of the blocks agree.

    `costs` is `(point, lag)`, `blocks` `(point,)`.
    """
    _, block = np.unique(blocks, return_inverse=True)
    total = np.zeros((block.max() + 1, len(LAGS)))
    np.add.at(total, block, costs)
    best = int(total.sum(0).argmin())
    draws = np.random.default_rng(0).integers(0, len(total), (400, len(total)))
    agreement = float(np.mean(total[draws].sum(1).argmin(1) == best))
    mean = costs.mean(0)
    inside = 0 < best < len(LAGS) - 1
    deep = mean[best] <= _DEPTH * np.median(mean)
    enough = len(total) >= _ENOUGH_BLOCKS and len(costs) >= _ENOUGH_POINTS
    told = inside and deep and enough and agreement >= _SURE
    return Lag(int(LAGS[best]) if told else None, agreement, len(costs), mean)


def _extents(points: np.ndarray) -> np.ndarray:
    """How far each point moves within the compared frames around a frame, `(time, point)`.

    NaN where it is missing in one of them.
    """
    reach = 2 * REACH + 1
    extents = np.full(points.shape[:2], np.nan)
    if len(points) >= reach:
        around = np.lib.stride_tricks.sliding_window_view(points, reach, axis=0)
        spread = around.max(-1) - around.min(-1)  # NaN wherever one is missing
        extents[REACH : len(points) - REACH] = np.hypot(spread[..., 0], spread[..., 1])
    return extents


def _of_all(join: Callable[..., np.ndarray], extent: np.ndarray) -> np.ndarray:
    """The known extents `(time, point)` per frame, reduced to `(time,)`; NaN if none is known."""
    some = np.isfinite(extent).any(axis=1)
    joined = np.full(len(extent), np.nan)
    joined[some] = join(extent[some], axis=1)
    return joined


def _spread(chosen: np.ndarray) -> frozenset[int]:
    """Some of the chosen frames, spread evenly."""
    frames = np.flatnonzero(chosen)
    if len(frames) > _FRAMES:
        frames = frames[np.linspace(0, len(frames) - 1, _FRAMES).round().astype(int)]
    return frozenset(frames.tolist())
