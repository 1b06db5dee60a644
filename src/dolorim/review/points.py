"""The keypoints that are drawn on a recording: which file has them, and all that it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.poses import pose_of_video
from dolorim.pose.graph import BONES
from dolorim.pose.keypoints import match_keypoints
from dolorim.pose.pose import Pose
from dolorim.pose.read import read_poses
from dolorim.review.contents import Item, Review


def pose_of(item: Item, review: Review) -> Path | None:
    """The pose file of a recording, or None. Raises `UserError` if there are several."""
    if item.source is not None and item.source.pose is not None:
        return item.source.pose
    roots = []
    if review.config.videos is not None:
        roots.append(review.config.videos)
    return pose_of_video(item.video, review.dlc, roots)


def points_of(path: Path) -> tuple[list[str], list[tuple[int, int]], np.ndarray]:
    """All keypoints of a pose file, of every animal in it.

    Returns their names, the pairs of them that a bone joins, and `(time, points, 3)` float32: x and
    y in pixels and the likelihood, 1 where the tracker gives none.
    """
    poses = read_poses(path)
    names: list[str] = []
    bones: list[tuple[int, int]] = []
    parts = []
    # The poses of one file may end at different frames.
    n_frames = max(len(pose) for pose in poses)
    for pose in poses:
        first = len(names)
        if len(poses) == 1:
            names += pose.names
        else:
            names += [f"{pose.individual}: {name}" for name in pose.names]
        bones += [(first + a, first + b) for a, b in _bones(pose)]
        table = np.full((n_frames, len(pose.names), 3), np.nan, np.float32)
        table[: len(pose), :, :2] = pose.points
        table[: len(pose), :, 2] = 1
        if pose.likelihood is not None:
            table[: len(pose), :, 2] = pose.likelihood
        parts.append(table)
    return names, bones, np.concatenate(parts, axis=1)


def _bones(pose: Pose) -> list[tuple[int, int]]:
    bones = []
    for pair in BONES:
        try:
            one, two = match_keypoints(pose.names, pair)
        except UserError:
            continue  # a skeleton of other points is shown without bones
        bones.append((one.index, two.index))
    return bones
