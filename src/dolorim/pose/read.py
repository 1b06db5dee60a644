"""Pose files of any tracker, as poses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dolorim.core.errors import UserError
from dolorim.pose.pose import Pose
from dolorim.pose.read_csv import read_pose_csv
from dolorim.pose.read_h5 import read_pose_h5

READERS = {
    ".csv": read_pose_csv,
    ".tsv": read_pose_csv,
    ".txt": read_pose_csv,
    ".h5": read_pose_h5,
    ".hdf5": read_pose_h5,
}
_EXPORTS = {
    ".slp": "export it from SLEAP as an analysis HDF5 file",
    ".pickle": "let DeepLabCut save it as CSV",
}


def read_poses(path: Path) -> tuple[Pose, ...]:
    """The poses of all individuals in a file, in the file's order. Raises `UserError`."""
    suffix = Path(path).suffix.casefold()
    if suffix not in READERS:
        remedy = _EXPORTS.get(suffix, "export it as CSV")
        known = ", ".join(READERS)
        raise UserError(
            f"expected a pose file ({known}), found {suffix or 'no suffix'}",
            where=path,
            remedy=remedy,
        )
    return READERS[suffix](Path(path))


def read_pose(path: Path, individual: str | None = None) -> Pose:
    """The pose of one animal.

    Raises `UserError` if there are several and none is named, or none has the given name.
    """
    poses = read_poses(path)
    if individual is not None:
        return _named(path, poses, individual)
    if len(poses) != 1:
        names = ", ".join(pose.individual or "" for pose in poses)
        raise UserError(
            f"it has {len(poses)} individuals ({names})",
            where=path,
            remedy="choose one with --individual",
        )
    return poses[0]


def _named(path: Path, poses: Sequence[Pose], individual: str) -> Pose:
    names = [pose.individual or "" for pose in poses]
    if names == [""]:
        raise UserError(
            f"its one animal has no name, found --individual {individual}",
            where=path,
            remedy="leave it out",
        )
    # The very name first: two individuals may differ in letter case only.
    matches = [i for i, name in enumerate(names) if name == individual]
    if not matches:
        wanted = individual.casefold()
        matches = [i for i, name in enumerate(names) if name.casefold() == wanted]
    if len(matches) != 1:
        raise UserError(
            f"no individual is called {individual}",
            where=path,
            remedy=f"there are {', '.join(names)}",
        )
    return poses[matches[0]]
