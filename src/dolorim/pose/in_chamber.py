"""The pose of the one animal in a chamber, from a file that tracks the animals of all chambers.

Trackers exchange animals, and give one animal's point to another. Where a point lies is certain, so
the points in a chamber are its animal's, frame by frame, whatever name they have in the file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dolorim.files.recordings import Box
from dolorim.pose.pose import Pose


def pose_in_chamber(poses: Sequence[Pose], box: Box) -> Pose:
    """The points that lie in a chamber, in pixels from its corner; what has none is missing.

    Where several individuals of the file have a keypoint there, that of the individual with most
    points in the chamber counts, in each frame.
    """
    x0, y0, x1, y1 = box
    n_frames = max(map(len, poses))
    points = np.stack([_padded(pose.points, n_frames) for pose in poses])
    x, y = points[..., 0], points[..., 1]
    with np.errstate(invalid="ignore"):  # a missing point is in no chamber
        inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    # `(individual, time, keypoint)`: those without the point rank below all who have it.
    rank = np.where(inside, 1 + inside.sum(axis=2, keepdims=True), 0)
    chosen = rank.argmax(axis=0)[None]
    in_chamber = np.take_along_axis(points, chosen[..., None], axis=0)[0] - (x0, y0)
    is_there = inside.any(axis=0)
    in_chamber[~is_there] = np.nan
    likelihood = None
    if any(pose.likelihood is not None for pose in poses):
        stacked = np.stack([_likelihood(pose, n_frames) for pose in poses])
        likelihood = np.take_along_axis(stacked, chosen, axis=0)[0]
    first = poses[0]
    return Pose(first.names, in_chamber, likelihood, source=first.source, notes=first.notes)


def _padded(values: np.ndarray, n_frames: int) -> np.ndarray:
    """Values `(time, ...)` with missing rows at the end."""
    lacking = [(0, n_frames - len(values)), *[(0, 0)] * (values.ndim - 1)]
    return np.pad(values, lacking, constant_values=np.nan)


def _likelihood(pose: Pose, n_frames: int) -> np.ndarray:
    if pose.likelihood is None:
        return np.full((n_frames, len(pose.names)), np.nan)
    return _padded(pose.likelihood, n_frames)
