"""Bring together what training and evaluation need: labelled recordings with their frames and points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dolorim.config import Config, DataConfig
from dolorim.core.errors import UserError
from dolorim.core.workers import usual_workers
from dolorim.dataset.extract import extract
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.dataset.study import Source, Study, open_study
from dolorim.labels.ethogram import UNLABELED
from dolorim.labels.gaps import warn_of_gaps
from dolorim.labels.trials import Placement, Recording
from dolorim.pose.pose import NO_SKELETON, Skeleton
from dolorim.pose.pose_track import PoseTrack, read_any_track, read_track
from dolorim.terminal import say, warn
from dolorim.video.body_length import NO_LENGTHS, BodyLengths, measure_body_lengths
from dolorim.video.cache import CachedVideo
from dolorim.video.reader import probe, promised_frames


@dataclass(frozen=True)
class StudyDataset:
    """A project's labelled recordings with their frames and points."""

    project: Study
    footage: tuple[LabelledRecording, ...]
    lengths: BodyLengths = NO_LENGTHS

    def part(self, animals: Sequence[str]) -> list[LabelledRecording]:
        """Recordings of some animals."""
        return [f for f in self.footage if f.recording.animal in animals]

    @property
    def animals(self) -> list[str]:
        return sorted({f.recording.animal for f in self.footage})

    @property
    def recordings(self) -> list[Recording]:
        return [f.recording for f in self.footage]

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton that all poses have; an empty one where there are none. Raises `UserError` where they differ."""
        found = {f.track.skeleton: f.recording.name for f in self.footage if f.track is not None}
        if len(found) > 1:
            (one, a), (two, b) = list(found.items())[:2]
            names = " and ".join(
                f"{', '.join(s.keypoints)} of {s.animals} in {n}" for s, n in ((one, a), (two, b))
            )
            raise UserError(
                f"the poses have different keypoints: {names}; choose some with --kp_names"
            )
        return next(iter(found), NO_SKELETON)


def wants_pose(config: Config) -> bool:
    return config.model.pose != "none" or config.model.tasks == "multitask"


def learns_points_alone(config: Config) -> bool:
    """Without label files, several tasks are one: to find the keypoints of the pose files in the picture."""
    return config.model.tasks == "multitask" and config.data.annotations is None


def measure_project(config: Config, project: Study) -> BodyLengths:
    """One body length for all of a project's videos of one picture size; whether they are labelled does not matter."""
    if config.model.visual == "none":
        return NO_LENGTHS
    videos = {s.video: s.pose for s in project.sources if s.video is not None}
    lengths = measure_body_lengths(
        videos, config.data, crops=True, poses=wants_pose(config),
        any_skeleton=config.model.pose in ("none", "generic"),
    )  # fmt: skip
    for what, by_size in (
        ("in pictures", lengths.pictures),
        ("between mouth and tail base", lengths.poses),
    ):
        for size, length in by_size.items():
            say(
                f"body length {what} of {size} pixels: {length:g} px (median; --body_length_px sets it)"
            )
    return lengths


def load_dataset(config: Config, lengths: BodyLengths | None = None) -> StudyDataset:
    """Open the project, fill the cache, read the poses, lay labels on frames. Says what is left out, and why.

    Where keypoints alone are learned, recordings with a pose take part with all frames unlabelled. Animals are as long
    as `lengths` say, those of a run; without, as the project's videos say.
    """
    data = config.data
    project = open_study(data)
    for finding in (*project.assumptions, *project.findings):
        (say if finding.severity == "note" else warn)(str(finding))
    points_alone = learns_points_alone(config)
    labelled = [s for s in project.sources if s.labels or (points_alone and s.pose)]
    if points_alone:
        warn(
            "no label files (--annotations): only keypoints are learned, and the behaviors it tells mean nothing"
        )
    elif not labelled:
        raise UserError(
            f"{data.videos or data.dlc}: nothing here has labels; name their folder with --annotations DIR"
        )
    lengths = measure_project(config, project) if lengths is None else lengths
    cached = _cached(labelled, config, lengths)
    footage = []
    open_shares: dict[str, float] = {}
    for source in labelled:
        video = None if cached is None or source.video is None else cached.get(source.video)
        if cached is not None and video is None:
            continue
        track = _track(source, config, video, lengths) if wants_pose(config) else None
        if video is None and track is None:
            warn(f"{source.name} is left out: it has no pose file")
            continue
        found, placement = _labelled(project, source, data, video, track)
        if placement.lists_bouts:
            open_shares[source.name] = placement.open_share
        found = replace(
            found, recording=_without_short_trials(found.recording, config.train.min_frames)
        )
        if (found.recording.labels >= 0).any() or (points_alone and track is not None):
            footage.append(found)
    for finding in warn_of_gaps(open_shares, data.label_gaps, project.ethogram):
        warn(str(finding))
    if not footage and not points_alone:
        raise UserError(
            f"{data.annotations}: no frame of any recording is labelled; see the warnings above"
        )
    dataset = StudyDataset(project, tuple(footage), lengths)
    if wants_pose(config):
        lacking = sum(f.track is None for f in footage)
        if lacking == len(footage):
            raise UserError(
                f"{data.dlc or data.videos}: no {'labelled ' * (not points_alone)}video has a pose file; "
                f"name their folder with --dlc, or do without: --pose none --tasks action_only"
            )
        skeleton = dataset.skeleton
        say(f"pose: {', '.join(skeleton.keypoints)} of {skeleton.animals} animal{'s' * (skeleton.animals > 1)}"
            f"{f'; {lacking} of {len(footage)} videos have none' if lacking else ''}")  # fmt: skip
    return dataset


def _cached(sources: Sequence[Source], config: Config, lengths: BodyLengths) -> dict | None:
    """The cached videos; None where the network does not look at any."""
    if config.model.visual == "none":
        return None
    videos = {s.video: s.pose for s in sources if s.video is not None}
    if not videos:
        raise UserError(
            "there are no videos; name their folder with --videos DIR, or learn from poses: --visual none"
        )
    cached, failures = extract(videos, config.data, usual_workers(), lengths)
    for path, reason in failures:
        warn(f"{path.name} is left out: {reason}")
    for entry in cached.values():
        if entry.damage and not config.data.allow_damaged:
            raise UserError(
                f"{entry.video}: {entry.damage}; mend or remove it, or train on what decodes with --allow_damaged"
            )
    return cached


def _track(
    source: Source, config: Config, video: CachedVideo | None, lengths: BodyLengths
) -> PoseTrack | None:
    if source.pose is None:
        return None
    # The header's rate, as in prediction, which does not know all timestamps when it begins.
    rate_hz = config.data.rate_hz if video is None else probe(video.video).header_rate_hz
    try:
        # Poses alone carry no picture size, in prediction as here: each is as long as it shows itself.
        data = config.data if video is None else lengths.for_pose(config.data, video.video)
        if config.model.pose == "none":  # points to find, not to reckon with: any will do
            track = read_any_track(source.pose, data, rate_hz)
        else:
            track = read_track(source.pose, data, config.model.pose == "generic", rate_hz)
    except UserError as error:
        if video is None:
            warn(f"{source.name} is left out: {error}")
        else:
            warn(f"{source.name} goes without pose: {error}")
        return None
    return track if video is None else track.on(video.n_frames)


def _labelled(
    project: Study,
    source: Source,
    data: DataConfig,
    video: CachedVideo | None,
    track: PoseTrack | None,
) -> tuple[LabelledRecording, Placement]:
    promised = None
    if video is not None:
        time_s = video.time_s
        if data.allow_damaged:
            promised = promised_frames(probe(video.video), video.n_frames, video.damage is not None)
    else:
        assert track is not None
        time_s = np.arange(track.n_frames) / track.rate_hz
    recording, placement = project.place(source, time_s, data, promised)
    for finding in placement.findings:
        warn(str(finding))
    for reason in placement.skipped:
        warn(f"trial left out: {reason}")
    for note in track.notes if track is not None else ():
        warn(f"{source.name}: {note}")
    return LabelledRecording(recording, video, track), placement


def _without_short_trials(recording: Recording, min_frames: int) -> Recording:
    labels = recording.labels.copy()
    for trial in recording.trials:
        part = labels[trial.start : trial.stop]
        known = int((part >= 0).sum())
        if 0 < known < min_frames:
            part[:] = UNLABELED
            warn(
                f"{recording.name}, trial {trial.number} is left out: {known} labelled frames, wanted {min_frames}"
            )
    return replace(recording, labels=labels)
