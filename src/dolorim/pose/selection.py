"""The points of those animals of a pose file that are meant. Which file belongs to a video: `files/poses.py`."""

from __future__ import annotations

from pathlib import Path

from dolorim.config import DataConfig
from dolorim.pose.keypoints import KEYPOINTS, Match, parse_kp_names, with_our_names
from dolorim.pose.pose import Pose
from dolorim.pose.read import read_pose, read_poses

ALL = "all"  # the word for every animal of a file


def load_poses(
    path: Path, config: DataConfig, any_skeleton: bool
) -> tuple[tuple[Pose, ...], tuple[Match, ...]]:
    """The poses of the animals that the settings mean, with the six keypoints by our names, and what was matched.

    With `any_skeleton`, the keypoints stay as they are in the file, or are those that `kp_names` gives. Raises
    `UserError`.
    """
    every = config.individual is not None and config.individual.casefold() == ALL
    return name_poses(
        read_poses(path) if every else (read_pose(path, config.individual),), config, any_skeleton
    )


def name_poses(
    poses: tuple[Pose, ...], config: DataConfig, any_skeleton: bool
) -> tuple[tuple[Pose, ...], tuple[Match, ...]]:
    """Poses with the six keypoints by our names, and what was matched; or, with `any_skeleton`, as they are."""
    given = parse_kp_names(config.kp_names)
    if any_skeleton and not given:
        return poses, ()
    wanted = tuple(given.values()) if any_skeleton else KEYPOINTS
    named = [with_our_names(pose, wanted, given) for pose in poses]
    return tuple(pose for pose, _ in named), named[0][1]
