"""The animals and keypoints of a pose file that the settings select.

`files/poses.py` tells which file belongs to a video.
"""

from __future__ import annotations

from pathlib import Path

from dolorim.config import DataConfig
from dolorim.pose.in_chamber import pose_in_chamber
from dolorim.pose.keypoints import KEYPOINTS, Match, parse_kp_names, with_our_names
from dolorim.pose.pose import Pose
from dolorim.pose.read import read_pose, read_poses

ALL = "all"  # the word for every animal of a file


def load_poses(
    path: Path, config: DataConfig, any_skeleton: bool
) -> tuple[tuple[Pose, ...], tuple[Match, ...]]:
    """The poses of the selected animals with their keypoints renamed, and how these were matched.

    With `any_skeleton`, the keypoints stay as they are in the file, or are those that `kp_names`
    lists. Raises `UserError`.
    """
    poses: tuple[Pose, ...]
    if config.chamber is not None:
        # Where the points lie tells whose they are.
        poses = (pose_in_chamber(read_poses(path), config.chamber),)
    elif config.individual is not None and config.individual.casefold() == ALL:
        poses = read_poses(path)
    else:
        poses = (read_pose(path, config.individual),)
    return name_poses(poses, config, any_skeleton)


def name_poses(
    poses: tuple[Pose, ...], config: DataConfig, any_skeleton: bool
) -> tuple[tuple[Pose, ...], tuple[Match, ...]]:
    """Poses with the names of the six keypoints, and how these were matched.

    With `any_skeleton`, the keypoints stay as they are in the file, or are those that `kp_names`
    lists.
    """
    given = parse_kp_names(config.kp_names)
    if any_skeleton and not given:
        return poses, ()
    wanted = tuple(given.values()) if any_skeleton else KEYPOINTS
    named = [with_our_names(pose, wanted, given) for pose in poses]
    return tuple(pose for pose, _ in named), named[0][1]
