"""The pose of a recording, cleaned and aligned with its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.pose.cleaning import BODY, body_length_px, clean, gate
from dolorim.pose.pose import Pose, Skeleton
from dolorim.pose.selection import load_poses

_STRETCHED = 95  # percentile, as in pose/cleaning.py
_SMOOTH_S = 0.1  # of the crop's way and heading


@dataclass(frozen=True, eq=False)
class PoseTrack:
    """Cleaned points on the frames of a recording; row t is frame t.

    `points` `(time, animal, keypoint, xy)` float32 are in pixels, NaN where missing. `since_seen`
    `(time, animal, keypoint)` float32 is in frames since the point was last seen, infinity before
    the first time. `length_px` is the body length, or its substitute for other skeletons. `notes`
    says what did not fit.
    """

    names: tuple[str, ...]
    points: np.ndarray
    since_seen: np.ndarray
    length_px: float
    rate_hz: float
    notes: tuple[str, ...] = ()

    @property
    def n_frames(self) -> int:
        return len(self.points)

    @property
    def skeleton(self) -> Skeleton:
        return Skeleton(self.names, self.points.shape[1])

    def at(self, wanted: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Points and frames since they were seen, interpolated at places `(time,)` between frames.

        Outside the frames `[first, last]` nothing is known.
        """
        inside = (wanted >= first) & (wanted <= last)
        place = np.clip(wanted, first, last)
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, last)
        share = (place - low).astype(np.float32)[:, None, None, None]
        before, after = self.points[low], self.points[high]
        # On a frame, the next one does not matter: it may be NaN.
        points = np.where(share == 0, before, (1 - share) * before + share * after)
        since = self.since_seen[np.round(place).astype(np.int64)]
        points[~inside] = np.nan
        return points, np.where(inside[:, None, None], since, np.inf)

    def resampled(self, places: np.ndarray, rate_hz: float) -> PoseTrack:
        """The same at `places` `(steps,)` between its frames, `rate_hz` per second.

        Points are interpolated, so that speeds stay what they are where a frame is repeated.
        """
        points, since = self.at(places, 0, self.n_frames - 1)
        since = since * np.float32(rate_hz / self.rate_hz)
        return replace(self, points=points, since_seen=since, rate_hz=rate_hz)

    def on(self, n_frames: int) -> PoseTrack:
        """The same with `n_frames`: later rows go, and frames without a row have no pose."""
        rows = self.n_frames
        if rows == n_frames:
            return self
        # Unknown positions are NaN, and what was never seen was seen infinitely long ago.
        lacking = max(0, n_frames - rows)
        points, since = (
            np.pad(a[:n_frames], [(0, lacking), *[(0, 0)] * (a.ndim - 1)], constant_values=fill)
            for a, fill in ((self.points, np.nan), (self.since_seen, np.inf))
        )
        note = f"the pose has {rows} rows and the recording {n_frames} frames"
        return replace(self, points=points, since_seen=since, notes=(*self.notes, note))

    def way(self) -> tuple[np.ndarray, np.ndarray]:
        """Smoothed centers `(time, 2)` in pixels and headings `(time,)` in radians of the animal.

        A center is the middle of the body's points. If some are missing, the others tell it by
        where they usually lie in the body; if there are too few, it is interpolated linearly. The
        heading is from tail base to mouth, and 0 for a skeleton without these. Raises `UserError`
        if no frame has enough points.
        """
        points = self.points[:, 0].astype(np.float64)
        there = np.asarray(np.isfinite(points).all(-1))
        enough = there.sum(1) >= max(1, min(2, len(self.names)))
        if not enough.any():
            raise UserError(
                "the pose has no frame with points that the crop could follow; use --crop follow"
            )
        middle = np.full((len(points), 2), np.nan)
        middle[enough] = (np.nanmin(points[enough], 1) + np.nanmax(points[enough], 1)) / 2
        heading = self._heading(points)
        if heading is None:
            return _smooth(_filled(middle), self.rate_hz), np.zeros(len(points))
        cos, sin = np.cos(heading)[:, None], np.sin(heading)[:, None]
        # Each point relative to the middle, in axes that turn with the animal.
        off = points - middle[:, None]
        own = np.stack(
            [cos * off[..., 0] + sin * off[..., 1], cos * off[..., 1] - sin * off[..., 0]], -1
        )
        # Where each point usually lies in the body, from the frames that show most of the animal.
        whole = there.sum(1) >= np.percentile(there.sum(1)[enough], 90)
        usual = np.array(
            [np.median(o, 0) if len(o) else (np.nan, np.nan) for o in _known(own[whole])]
        )
        # The same places, turned back into the axes of the picture.
        back = np.stack(
            [cos * usual[:, 0] - sin * usual[:, 1], sin * usual[:, 0] + cos * usual[:, 1]], -1
        )
        # Each point's estimate of the middle of the body.
        estimates = points - back
        enough &= np.isfinite(estimates).all(-1).any(1)
        middle = np.full((len(points), 2), np.nan)
        middle[enough] = np.nanmedian(estimates[enough], 1)
        return _smooth(_filled(middle), self.rate_hz), heading

    def _heading(self, points: np.ndarray) -> np.ndarray | None:
        """Headings `(time,)` in radians, smoothed; None for a skeleton without mouth and tail base.

        Vectors are smoothed rather than angles, so that a curled animal, whose mouth is near its
        tail base, counts less than a stretched one.
        """
        if not set(BODY) <= set(self.names):
            return None
        # A vector from tail base to mouth; NaN where one of them is missing.
        mouth, tail = (points[:, self.names.index(name)] for name in BODY)
        ahead = mouth - tail
        if not np.isfinite(ahead).all(1).any():
            return None
        ahead = _smooth(_filled(ahead), self.rate_hz)
        return np.arctan2(ahead[:, 1], ahead[:, 0])


def describe_rows(rows: int, n_frames: int) -> str | None:
    """A sentence about a pose that has more or fewer rows than its video has frames."""
    if rows == n_frames:
        return None
    if rows > n_frames:
        return f"its pose has {rows} rows for {n_frames} frames; the last rows are left out"
    return f"its pose has {rows} rows for {n_frames} frames; the last frames have no pose"


def read_track(path: Path, config: DataConfig, any_skeleton: bool, rate_hz: float) -> PoseTrack:
    """Read, clean and align the pose of a recording of this frame rate. Raises `UserError`."""
    return lay(load_poses(path, config, any_skeleton)[0], config, rate_hz)


def lay(poses: Sequence[Pose], config: DataConfig, rate_hz: float) -> PoseTrack:
    """Clean and align the poses of one file. Raises `UserError`."""
    length = config.body_length_px or _length_px(poses, config)
    cleaned = [
        clean(pose, length, likelihood=config.kp_likelihood_thr, max_gap=config.kp_max_gap)
        for pose in poses
    ]
    points = np.stack([c.pose.points for c in cleaned], 1).astype(np.float32)
    since = np.stack([c.since_seen for c in cleaned], 1).astype(np.float32)
    # A pose that is late by `lag` frames belongs to earlier frames.
    lag = config.pose_lag
    if lag:
        points, since = _earlier(points, lag, np.nan), _earlier(since, lag, np.inf)
    return PoseTrack(poses[0].names, points, since, length, rate_hz)


def track_length_px(path: Path, config: DataConfig, any_skeleton: bool) -> float:
    """The body length that a pose file alone shows. Raises `UserError`."""
    return _length_px(load_poses(path, config, any_skeleton)[0], config)


def _length_px(poses: Sequence[Pose], config: DataConfig) -> float:
    # Several animals, or a skeleton without these ends, have no body length of their own.
    if set(BODY) <= set(poses[0].names) and len(poses) == 1:
        return body_length_px(poses[0], config.kp_likelihood_thr)
    return skeleton_length_px(poses, config.kp_likelihood_thr)


def read_any_track(path: Path, config: DataConfig, rate_hz: float) -> PoseTrack:
    """The six keypoints where they can be told by name, else the skeleton as it is in the file."""
    try:
        return read_track(path, config, False, rate_hz)
    except UserError:
        return read_track(path, config, True, rate_hz)


def skeleton_length_px(poses: Sequence[Pose], likelihood: float) -> float:
    """A substitute for the body length of other skeletons: a high percentile of the extent."""
    extents = []
    for pose in poses:
        points = np.where(gate(pose, likelihood)[..., None], pose.points, np.nan)
        with np.errstate(all="ignore"):
            # The diagonal of the box around all points of an animal in a frame.
            highest = np.nan_to_num(points, nan=-np.inf).max(axis=1)
            lowest = np.nan_to_num(points, nan=np.inf).min(axis=1)
            extents.append(np.hypot(*(highest - lowest).T))
    known = np.concatenate(extents)
    known = known[np.isfinite(known) & (known > 0)]
    if known.size == 0:
        raise UserError(
            "no frame has two points of one animal",
            where=poses[0].source,
            remedy="lower --kp_likelihood_thr",
        )
    return float(np.percentile(known, _STRETCHED))


def _earlier(values: np.ndarray, frames: int, fill: float) -> np.ndarray:
    """The rows moved to earlier frames (later ones if negative); the number of rows stays."""
    moved = np.full_like(values, fill)
    if frames > 0:
        moved[: len(values) - frames] = values[frames:]
    else:
        moved[-frames:] = values[:frames]
    return moved


def _known(values: np.ndarray) -> list[np.ndarray]:
    """The known rows `(n, 2)` of each keypoint in `(time, keypoint, 2)`."""
    return [v[np.isfinite(v).all(1)] for v in np.moveaxis(values, 1, 0)]


def _filled(values: np.ndarray) -> np.ndarray:
    """Gaps in `(time, 2)` interpolated linearly; before and after all values, the nearest one."""
    known = np.flatnonzero(np.isfinite(values).all(1))
    at = np.arange(len(values))
    return np.stack([np.interp(at, known, values[known, i]) for i in (0, 1)], 1)


def _smooth(values: np.ndarray, rate_hz: float) -> np.ndarray:
    # The median removes single outliers, and the Gaussian the trembling that is left.
    values = ndimage.median_filter(values, (2 * round(_SMOOTH_S * rate_hz) + 1, 1), mode="nearest")
    return ndimage.gaussian_filter1d(values, max(0.5, _SMOOTH_S * rate_hz), axis=0, mode="nearest")
