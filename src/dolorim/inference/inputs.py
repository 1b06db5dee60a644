"""What there is to label: videos with their poses, or poses alone, and what results are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.naming import find_videos
from dolorim.files.poses import (
    LOOKED_FOR,
    find_pose_files,
    pose_files_below,
    pose_places,
    poses_of,
    recording_stem,
)
from dolorim.files.recordings import name_in
from dolorim.inference.raw_prediction import PredictInput
from dolorim.inference.run_folder import RunFolder
from dolorim.terminal import say, warn
from dolorim.video.chambers import chamber_tables_beside, chambers_of

_SHOWN_FILES = 3  # pose files that a message lists


def find_inputs(
    run: RunFolder, places: Sequence[Path], dlc: Path | None = None, chambers: str | None = None
) -> list[PredictInput]:
    """What there is to label in some places: videos, with poses from `dlc` or near them, or poses.

    A video with `chambers`, given or in a table beside it, is a recording per chamber. Warns about
    a video without the pose that the run was trained on. Raises `UserError` where there is nothing
    to label.
    """
    config = run.read_config()
    if config.model.visual == "none" and (dlc is None or not places):
        return _poses_alone(places, dlc)
    if not places:
        raise UserError(
            "no videos given; usage: dolorim predict RUN VIDEO... (--dlc alone is for runs that "
            "were trained on poses alone)"
        )
    videos = find_videos(places)
    whole = _recordings_in(videos, places, chambers)
    if not _uses_poses(config):
        if dlc is not None:
            warn(f"{run.path}: was not trained on poses; those in {dlc} are not used")
        return whole
    poses_alone = config.model.visual == "none"
    poses = _find_poses(videos, pose_places(places, dlc), poses_alone)
    if poses_alone and not poses:
        raise UserError(
            f"no pose file belongs to any of the {len(videos)} videos (looked for {LOOKED_FOR})",
            where=dlc,
        )
    return _with_poses(whole, poses, poses_alone)


def _with_poses(
    whole: Sequence[PredictInput], poses: Mapping[Path, Path], poses_alone: bool
) -> list[PredictInput]:
    """The recordings with their poses; with `poses_alone`, a pose stands for its video."""
    recordings = []
    for recording in whole:
        pose = poses.get(recording.file)
        # Without a pose, the video stays in the list, so that a batch counts it among the failed.
        file = pose if poses_alone and pose is not None else recording.file
        recordings.append(replace(recording, file=file, pose=pose))
    return recordings


def _recordings_in(
    videos: Sequence[Path], places: Sequence[Path], given: str | None
) -> list[PredictInput]:
    """The videos, or the chambers of them, each with the name of its results."""
    chambers = chambers_of(videos, chamber_tables_beside(places, given))
    for finding in chambers.findings:
        (say if finding.severity == "note" else warn)(str(finding))
    recordings = []
    for video, stem in zip(videos, unique_stems(videos), strict=True):
        for chamber in chambers.by_video.get(video) or (None,):
            problem = chambers.refused.get(video, "")
            name = name_in(stem, chamber)
            recordings.append(PredictInput(video, name, chamber=chamber, problem=problem))
    _refuse_same_names(recordings)
    return recordings


def _refuse_same_names(recordings: Sequence[PredictInput]) -> None:
    """Raises `UserError` for a video that is called like a chamber of another one."""
    first: dict[str, PredictInput] = {}
    for recording in recordings:
        other = first.setdefault(recording.stem, recording)
        if other is not recording:
            raise UserError(
                f"{other.recorded} and {recording.recorded} would write the same files",
                remedy="rename one of them",
            )


def _uses_poses(config: Config) -> bool:
    return config.model.pose != "none" or config.data.crop == "pose"


def _poses_alone(places: Sequence[Path], dlc: Path | None) -> list[PredictInput]:
    """Pose files as recordings, for a run that sees no pictures."""
    if not places and dlc is not None:
        places = [dlc]
    poses = find_pose_files(places)
    names = unique_stems([p.with_name(recording_stem(p) + p.suffix) for p in poses])
    return [PredictInput(p, name, p) for p, name in zip(poses, names, strict=True)]


def _find_poses(
    videos: Sequence[Path], places: Sequence[Path], poses_alone: bool
) -> dict[Path, Path]:
    """The pose of each video. Warns about a video that has none, or two."""
    findings: list[Finding] = []
    poses = poses_of(videos, places, findings)
    for finding in findings:
        warn(str(finding))
    missing = [video for video in videos if video not in poses]
    if missing:
        _warn_of_missing(missing, places, poses_alone)
    return poses


def _warn_of_missing(videos: Sequence[Path], places: Sequence[Path], poses_alone: bool) -> None:
    """For each video without a pose: what was looked for, where, and what happens instead."""
    names = [p.name for p in pose_files_below(places)]
    shown = ", ".join(names[:_SHOWN_FILES]) or "none"
    if len(names) > _SHOWN_FILES:
        shown += ", ..."
    where = ", ".join(map(str, places))
    instead = "it is not labeled" if poses_alone else "it is labeled from the video alone"
    for video in videos:
        pattern = LOOKED_FOR.replace("<video>", video.stem)
        warn(
            f"{video}: no pose file of it (looked for {pattern} in {where}; "
            f"pose files there: {shown}); the run was trained on poses: {instead}"
        )


def unique_stems(videos: Sequence[Path]) -> list[str]:
    """Names for the output files: the video's stem, or the whole file name where stems collide.

    Raises `UserError` where two videos have the same file name.
    """
    stems = Counter(video.stem for video in videos)
    names = []
    first: dict[str, Path] = {}
    for video in videos:
        name = video.name if stems[video.stem] > 1 else video.stem
        other = first.setdefault(name, video)
        if other is not video:
            raise UserError(
                f"{other} and {video} would write the same files; predict them into different "
                f"folders with --out"
            )
        names.append(name)
    return names
