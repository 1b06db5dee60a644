"""Which pose file belongs to which video, and the points of those animals that are meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.core.keypoints import KEYPOINTS, Match, parse_kp_names, with_our_names
from dolorim.core.pose import Pose
from dolorim.files.naming import files_below, inside
from dolorim.formats.pose import READERS, read_pose, read_poses

_TRACKER = re.compile(r"(?P<stem>.+?)(DLC_.*|\.analysis|\.predictions|_pose|_tracks)$", re.IGNORECASE | re.DOTALL)
ALL = "all"  # the word for every animal of a file


def recording_stem(pose: Path) -> str:
    """The name of the recording that a pose file tracks: what stands before the tracker's own words."""
    match = _TRACKER.fullmatch(pose.stem)
    return match["stem"] if match else pose.stem


def is_pose_name(path: Path) -> bool:
    """Does the file's name say that it is a pose file? Tables may be anything, HDF5 files are poses."""
    suffix = path.suffix.casefold()
    return suffix in READERS and (suffix in (".h5", ".hdf5") or _TRACKER.fullmatch(path.stem) is not None)


def find_poses(files: Iterable[Path], stems: Iterable[str], findings: list[Finding]) -> dict[str, Path]:
    """The pose file of each recording, by the recording's stem.

    Of a table and an HDF5 file of one name the table is taken, of a filtered and an unfiltered one the filtered. Where
    files of other names track one recording, none is taken, and that is a finding.
    """
    wanted = {s.casefold(): s for s in stems}
    found: dict[str, list[Path]] = {}
    for file in files:
        stem = wanted.get(recording_stem(file).casefold())
        if stem is not None:
            found.setdefault(stem, []).append(file)
    chosen = {}
    for stem, several in found.items():
        best = [f for f in several if f.stem.casefold().endswith("_filtered")] or several
        if len({f.stem for f in best}) > 1:
            what = f"{best[0].name} and {best[1].name} both track this recording"
            remedy = "keep one, or name a folder with --dlc; no pose is used"
            findings.append(Finding("warning", stem, what, remedy, "two-poses"))
        else:
            chosen[stem] = min(best, key=lambda f: list(READERS).index(f.suffix.casefold()))
    return chosen


def load_poses(path: Path, config: DataConfig, any_skeleton: bool) -> tuple[tuple[Pose, ...], tuple[Match, ...]]:
    """The poses of the animals that the settings mean, with the six keypoints by our names, and what was matched.

    With `any_skeleton`, the keypoints stay as they are in the file, or are those that `kp_names` gives. Raises
    `UserError`.
    """
    every = config.individual is not None and config.individual.casefold() == ALL
    return name_poses(read_poses(path) if every else (read_pose(path, config.individual),), config, any_skeleton)


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


def pose_files_below(folders: Iterable[Path]) -> list[Path]:
    """Pose files, as far as their names say so, below some folders."""
    return sorted({f for folder in folders for f in files_below(folder) if is_pose_name(f)})


def find_pose_files(places: Iterable[Path]) -> list[Path]:
    """One pose file for each recording among the given files and below the given folders, sorted."""
    files = [p for place in places for p in ([place] if not place.is_dir() else pose_files_below([place]))]
    found = find_poses(files, [recording_stem(f) for f in files], [])
    if not found:
        raise UserError(f"{next(iter(places))}: no pose file here (looked for <recording>DLC_*.csv or .h5)")
    return sorted(found.values())


def pose_of(video: Path, config: DataConfig) -> Path | None:
    """The pose file of a single video: --dlc (a file or a folder), else beside it or in the DLC/ beside its folder.

    Raises `UserError` where there are several.
    """
    if config.dlc is not None and config.dlc.is_file():
        return config.dlc
    beside = [video.parent, inside(video.resolve().parent.parent, "dlc")]
    for place in [config.dlc] if config.dlc else beside:
        findings: list[Finding] = []
        files = [f for f in sorted(place.iterdir()) if is_pose_name(f)] if place and place.is_dir() else []
        found = find_poses(files, [video.stem], findings)
        if findings:
            raise UserError(f"{place}: {findings[0].what}; name the one that is meant with --dlc FILE")
        if found:
            return found[video.stem]
    return None
