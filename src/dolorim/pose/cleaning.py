"""Cleaning of poses: doubtful points become missing, and short gaps are interpolated.

No position is made up where a point was not seen for long: it stays missing, together with the time
since it was last seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.runs import runs
from dolorim.pose.pose import Pose

BODY = ("mouth", "tail_base")
# Percentile of the distance of both ends that stands for a stretched animal; the few distances
# above it are tracking errors.
_STRETCHED = 95
_ENOUGH = 10  # frames in which both ends must have been seen


@dataclass(frozen=True, eq=False)
class CleanPose:
    """A cleaned pose. All arrays are `(time, keypoint)`.

    In `pose`, short gaps are interpolated and long ones missing. `seen` is true where the tracker's
    point was kept. A point that is neither missing nor seen was interpolated, and its likelihood is
    NaN. `since_seen` counts frames since the point was last seen: 0 where it is, infinity before
    the first time.
    """

    pose: Pose
    seen: np.ndarray
    since_seen: np.ndarray
    doubted: np.ndarray
    """Points whose likelihood was too low."""
    jumped: np.ndarray
    """Points that were too far from where the same point was before and after."""

    @property
    def interpolated(self) -> np.ndarray:
        return ~self.pose.missing & ~self.seen


def gate(pose: Pose, likelihood: float) -> np.ndarray:
    """`(time, keypoint)`: points whose likelihood reaches the threshold, or is unknown.

    The likelihood of points that were set by hand is unknown.
    """
    if pose.likelihood is None:
        return ~pose.missing
    return ~pose.missing & ~(pose.likelihood < likelihood)


def body_length_px(pose: Pose, likelihood: float = 0.6, ends: Sequence[str] = BODY) -> float:
    """The length of the stretched animal in pixels: one number for a whole recording.

    It is a high percentile of the distance of both ends: an animal seen from below is rarely
    stretched and never appears longer than it is. Raises `UserError` if both ends were seen
    together in fewer than 10 frames.
    """
    columns = [pose.names.index(e) for e in ends]
    # Only frames in which both ends are believed tell the distance.
    both = gate(pose, likelihood)[:, columns].all(axis=1)
    where = pose.source or "the pose"
    if both.sum() < _ENOUGH:
        raise UserError(
            f"expected {' and '.join(ends)} together in {_ENOUGH} frames to measure the body "
            f"length, found {both.sum()}",
            where=where,
            remedy="lower --kp_likelihood_thr or give --body_length_px",
        )
    one, two = (pose.points[both, c] for c in columns)
    length = float(np.percentile(np.hypot(*(one - two).T), _STRETCHED))
    if length <= 0:
        raise UserError(
            f"{' and '.join(ends)} are always at the same place",
            where=where,
            remedy="check the names of the keypoints",
        )
    return length


def clean(
    pose: Pose,
    body_length: float,
    *,
    likelihood: float = 0.6,
    max_jump: float = 0.3,
    max_glitch: int = 5,
    max_gap: int = 5,
) -> CleanPose:
    """Drop doubtful points and tracking errors, and interpolate gaps of up to `max_gap` frames.

    A point below the `likelihood` is dropped. Where a point moves farther than `max_jump` body
    lengths (of `body_length` pixels) between two frames, its track is cut; over a gap of n frames,
    where it moves farther than sqrt(n) times that, since steps change direction. Pieces of at most
    `max_glitch` frames are dropped; longer ones stay, because after a real leap the animal stays
    where it went. In bottom-view video of 15 and 30 frames/s, 99 % of the steps of confidently
    tracked paws are below 0.25 body lengths.
    """
    if not body_length > 0:
        raise ValueError(f"expected a body length in pixels above 0, got {body_length}")
    # First what the tracker itself doubts, then what jumps, then the gaps that this leaves.
    believed = gate(pose, likelihood)
    doubted = ~pose.missing & ~believed
    points = np.array(pose.points)
    jumped = np.zeros_like(believed)
    filled = np.full_like(points, np.nan)
    for k in range(len(pose.names)):
        jumped[:, k] = _glitches(points[:, k], believed[:, k], max_jump * body_length, max_glitch)
        filled[:, k] = _bridge(points[:, k], believed[:, k] & ~jumped[:, k], max_gap)
    seen = believed & ~jumped
    likelihoods = None if pose.likelihood is None else np.where(seen, pose.likelihood, np.nan)
    cleaned = replace(pose, points=filled, likelihood=likelihoods)
    return CleanPose(cleaned, seen, since_seen(seen), doubted, jumped)


def since_seen(seen: np.ndarray) -> np.ndarray:
    """Frames since each point was last seen `(time, keypoint)`; infinity before the first time."""
    frames = np.arange(len(seen), dtype=np.float64)[:, None]
    # The running maximum is the last frame in which the point was seen.
    last = np.where(seen, frames, -np.inf)
    return frames - np.maximum.accumulate(last, axis=0)


def _glitches(
    points: np.ndarray, believed: np.ndarray, reach_px: float, max_glitch: int
) -> np.ndarray:
    """`(time,)`: points of short pieces of a track `(time, xy)` that jumps separate from the rest.

    Without a short piece, its neighbors may turn out to be one piece, so the track is cut again
    until no piece is dropped.
    """
    bad = np.zeros(len(points), bool)
    while True:
        at = np.flatnonzero(believed & ~bad)
        if len(at) < 2:
            return bad
        # Over a gap of n frames an animal gets about sqrt(n) times as far as in one.
        step = np.hypot(*np.diff(points[at], axis=0).T)
        piece = np.concatenate(([0], np.cumsum(step > reach_px * np.sqrt(np.diff(at)))))
        sizes = np.bincount(piece)
        shortest = sizes.min()
        if len(sizes) == 1 or shortest > max_glitch:
            return bad
        bad[at[sizes[piece] == shortest]] = True


def _bridge(points: np.ndarray, seen: np.ndarray, max_gap: int) -> np.ndarray:
    """The track `(time, xy)`, linearly interpolated over gaps of up to `max_gap` frames."""
    filled = np.where(seen[:, None], points, np.nan)
    at = np.flatnonzero(seen)
    if len(at) == 0:
        return filled
    # A gap needs a point before and after it; the ends of a recording have no such gap.
    starts, stops, values = runs(seen)
    short = ~values & (stops - starts <= max_gap) & (starts > at[0]) & (stops <= at[-1])
    gaps = np.repeat(short, stops - starts)
    for axis in range(2):
        filled[gaps, axis] = np.interp(np.flatnonzero(gaps), at, points[at, axis])
    return filled
