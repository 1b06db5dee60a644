"""Poses for tests, and cached videos that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.pose_track import PoseTrack
from dolorim.video.cache import CachedVideo


def wandering(
    n_frames: int,
    names: Sequence[str] = KEYPOINTS,
    animals: int = 1,
    missing: float = 0.1,
    seed: int = 0,
) -> PoseTrack:
    """Animals of 40 pixels that wander about, each point missing in a share of the frames."""
    rng = np.random.default_rng([seed, animals, len(names)])
    body = rng.normal(0, 14, (1, animals, len(names), 2))
    way = 100 + np.cumsum(rng.normal(0, 1.5, (n_frames, animals, 1, 2)), 0)
    points = body + way + rng.normal(0, 1, (n_frames, animals, len(names), 2))
    gone = rng.random(points.shape[:3]) < missing
    points[gone] = np.nan
    return PoseTrack(tuple(names), points.astype(np.float32), _since_seen(gone), 40.0, 30.0)


def film_of(track: PoseTrack, size: int = 32, turned: bool = False, seed: int = 0) -> CachedVideo:
    """Pictures of noise from a window of 64 pixels that goes roughly with the first animal,
    `turned` or upright."""
    rng, n = np.random.default_rng([seed, 1]), track.n_frames
    middle = np.nan_to_num(
        np.nanmean(np.where(np.isnan(track.points[:, 0]), 100, track.points[:, 0]), 1), nan=100.0
    )
    centers = (middle / 64 + rng.normal(0, 0.02, (n, 2))).astype(np.float32)
    angles_rad = (rng.uniform(-3, 3, n) * turned).astype(np.float32)
    images = rng.integers(0, 256, (n, size, size), np.uint8)
    return CachedVideo(Path("a.mp4"), images, centers, np.arange(n) / 30, None, 64.0, angles_rad)


def _since_seen(gone: np.ndarray) -> np.ndarray:
    since, last = (
        np.full(gone.shape, np.inf, np.float32),
        np.full(gone.shape[1:], np.inf, np.float32),
    )
    for t, lost in enumerate(gone):
        last = np.where(lost, last + 1, 0)
        since[t] = last
    return since
