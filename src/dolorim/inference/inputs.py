"""What there is to label: videos with their poses, or poses alone, each with the name that its results get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

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
from dolorim.inference.predict_video import PredictInput
from dolorim.inference.run_folder import RunFolder
from dolorim.terminal import warn


def find_inputs(
    run: RunFolder, places: Sequence[Path], dlc: Path | None = None
) -> list[PredictInput]:
    """What there is to label for a run below some places: videos, with poses from `dlc` or near them, or poses alone.

    A video without the pose that the run has learned from is named; a run of poses alone cannot label it. Raises
    `UserError` where there is nothing to label.
    """
    config = run.read_config()
    if config.model.visual == "none" and (dlc is None or not places):
        poses = find_pose_files(places or [dlc] if dlc is not None else places)
        names = unique_stems([p.with_name(recording_stem(p) + p.suffix) for p in poses])
        return [PredictInput(p, name, p) for p, name in zip(poses, names, strict=True)]
    videos = find_videos(places)
    stems = unique_stems(videos)
    if config.model.pose == "none" and config.data.crop != "pose":
        if dlc is not None:
            warn(f"{run.path}: has not learned from poses; those in {dlc} are not used")
        return [PredictInput(v, s) for v, s in zip(videos, stems, strict=True)]
    poses_by_video = _poses_to_see(videos, pose_places(places, dlc), config.model.visual == "none")
    jobs = []
    for video, stem in zip(videos, stems, strict=True):
        pose = poses_by_video.get(video)
        if config.model.visual != "none":
            jobs.append(PredictInput(video, stem, pose))
        elif pose is not None:
            jobs.append(PredictInput(pose, stem, pose))
        else:
            jobs.append(PredictInput(video, stem))  # the batch counts it among what failed
    if config.model.visual == "none" and not poses_by_video:
        raise UserError(
            f"{dlc}: no pose file belongs to one of the {len(videos)} videos (looked for {LOOKED_FOR})"
        )
    return jobs


def _poses_to_see(
    videos: Sequence[Path], places: Sequence[Path], poses_alone: bool
) -> dict[Path, Path]:
    """The pose of each video; one that has none, or two, is named with what was looked for and what is done."""
    findings: list[Finding] = []
    found = poses_of(videos, places, findings)
    for finding in findings:
        warn(str(finding))
    lacking = [v for v in videos if v not in found]
    if lacking:
        there = [p.name for p in pose_files_below(places)]
        shown = ", ".join(there[:3]) + (", ..." if len(there) > 3 else "")
        where = ", ".join(str(p) for p in places)
        instead = "it is not labelled" if poses_alone else "it is labelled from the video alone"
        for video in lacking:
            looked_for = LOOKED_FOR.replace("<video>", video.stem)
            warn(
                f"{video}: no pose file of it (looked for {looked_for} in {where}; pose files there: "
                f"{shown or 'none'}); the run has learned from poses: {instead}"
            )
    return found


def unique_stems(videos: Sequence[Path]) -> list[str]:
    """Names for the output files: the video's stem, or the whole file name where two videos share a stem.

    Raises `UserError` where two videos share even that.
    """
    stems = Counter(v.stem for v in videos)
    names = [v.name if stems[v.stem] > 1 else v.stem for v in videos]
    taken: dict[str, Path] = {}
    for video, name in zip(videos, names, strict=True):
        other = taken.setdefault(name, video)
        if other is not video:
            raise UserError(
                f"{other} and {video} would write the same files; predict them into different folders with --out"
            )
    return names
