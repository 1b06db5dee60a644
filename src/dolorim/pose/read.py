"""Pose files of any tracker."""

from __future__ import annotations

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
        raise UserError(
            f"{path}: expected a pose file ({', '.join(READERS)}), found {suffix or 'no suffix'}; {remedy}"
        )
    return READERS[suffix](Path(path))


def read_pose(path: Path, individual: str | None = None) -> Pose:
    """The pose of one animal. Raises `UserError` where there are several and none is named, or the named one is not."""
    poses = read_poses(path)
    if individual is None and len(poses) == 1:
        return poses[0]
    names = [p.individual or "" for p in poses]
    there = ", ".join(names)
    if individual is None:
        raise UserError(
            f"{path}: it has {len(poses)} individuals ({there}); choose one with --individual"
        )
    if names == [""]:
        raise UserError(
            f"{path}: its one animal has no name, found --individual {individual}; leave it out"
        )
    found = [p for p in poses if p.individual == individual] or [
        p for p in poses if (p.individual or "").casefold() == individual.casefold()
    ]
    if len(found) != 1:
        raise UserError(f"{path}: no individual is called {individual}; there are {there}")
    return found[0]
