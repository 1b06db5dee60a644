"""Load what training and evaluation need: labeled recordings with their frames and points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dolorim.config import Config, DataConfig
from dolorim.core.errors import UserError
from dolorim.core.wording import counted
from dolorim.core.workers import usual_workers
from dolorim.dataset.extract import extract
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.dataset.run_rate import at_rate, rate_of_study
from dolorim.dataset.study import Source, Study, open_study
from dolorim.files.recordings import Recorded
from dolorim.labels.ethogram import UNLABELED
from dolorim.labels.gaps import warn_of_gaps
from dolorim.labels.trials import Placement, Recording
from dolorim.pose.pose import NO_SKELETON, Skeleton
from dolorim.pose.pose_track import PoseTrack, describe_rows, read_any_track, read_track
from dolorim.terminal import say, warn
from dolorim.video.body_length import NO_LENGTHS, BodyLengths, in_pixels, measure_body_lengths
from dolorim.video.cache import CachedVideo
from dolorim.video.picture_size import PictureSize
from dolorim.video.reader import probe, promised_frames


@dataclass(frozen=True)
class StudyDataset:
    """The labeled recordings of a study with their frames and points, seen at `rate_hz`."""

    study: Study
    labelled: tuple[LabelledRecording, ...]
    lengths: BodyLengths = NO_LENGTHS
    rate_hz: float | None = None

    def part(self, animals: Sequence[str]) -> list[LabelledRecording]:
        """The recordings of some animals."""
        return [f for f in self.labelled if f.recording.animal in animals]

    @property
    def animals(self) -> list[str]:
        return sorted({f.recording.animal for f in self.labelled})

    @property
    def recordings(self) -> list[Recording]:
        return [f.recording for f in self.labelled]

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton that all poses share; an empty one without poses.

        Raises `UserError` if the poses differ.
        """
        # One recording of each skeleton, to name in the message.
        examples = {
            f.track.skeleton: f.recording.name for f in self.labelled if f.track is not None
        }
        if len(examples) > 1:
            described = [
                f"{', '.join(skeleton.keypoints)} of {skeleton.animals} in {name}"
                for skeleton, name in list(examples.items())[:2]
            ]
            raise UserError(
                f"the poses have different keypoints: {' and '.join(described)}; "
                "choose some with --kp_names"
            )
        return next(iter(examples), NO_SKELETON)


def wants_pose(config: Config) -> bool:
    """Whether training needs the pose files: as an input, or as points to find."""
    return config.model.pose != "none" or config.model.tasks == "multitask"


def learns_points_alone(config: Config) -> bool:
    """Whether the only task is to find keypoints in pictures, because there are no label files."""
    has_label_files = config.data.annotations or config.data.corrections
    return config.model.tasks == "multitask" and not has_label_files


def measure_study(config: Config, study: Study) -> BodyLengths:
    """One body length per picture size, from all videos of the study, labeled or not."""
    if config.model.visual == "none":
        return NO_LENGTHS
    poses = {s.recorded: s.pose for s in study.sources if s.video is not None}
    lengths = measure_body_lengths(
        poses,
        config.data,
        crops=True,
        poses=wants_pose(config),
        any_skeleton=config.model.pose in ("none", "generic"),
    )
    _say_lengths("in pictures", lengths.pictures)
    _say_lengths("between mouth and tail base", lengths.poses)
    return lengths


def load_dataset(config: Config, lengths: BodyLengths | None = None) -> StudyDataset:
    """Open the study, fill the cache, read the poses, and assign labels to frames.

    Everything that is left out is reported. If only keypoints are learned, recordings with a pose
    take part with all frames unlabeled. `lengths` are the body lengths of a run, whose settings
    name its rate; without them, both are measured in the recordings of the study.

    Raises `UserError` if nothing is left to learn from.
    """
    study = open_study(config.data)
    for finding in (*study.assumptions, *study.findings):
        tell = say if finding.severity == "note" else warn
        tell(str(finding))
    # Videos without labels still help to measure the body length.
    sources = _sources_to_learn_from(study, config)
    is_measured = lengths is None
    if lengths is None:
        lengths = measure_study(config, study)
    recordings = _load_recordings(study, sources, config, lengths)
    if not recordings and not learns_points_alone(config):
        where = config.data.annotations or config.data.corrections
        raise UserError(f"{where}: no frame of any recording is labeled; see the warnings above")
    rate_hz = config.data.run_rate_hz
    if is_measured:
        rate_hz = rate_of_study(recordings, rate_hz)
    dataset = StudyDataset(study, tuple(at_rate(recordings, rate_hz)), lengths, rate_hz)
    if wants_pose(config):
        _say_poses(dataset, config)
    return dataset


def _say_lengths(what: str, by_size: Mapping[str, float]) -> None:
    for size, length_px in by_size.items():
        say(
            f"body length {what} of {in_pixels(size)}: {length_px:g} px "
            "(median; --body_length_px sets it)"
        )


def _sources_to_learn_from(study: Study, config: Config) -> list[Source]:
    """The recordings with labels; with a pose if only keypoints are learned."""
    points_alone = learns_points_alone(config)
    sources = [s for s in study.sources if s.labels or (points_alone and s.pose)]
    if points_alone:
        warn(
            "no label files (--annotations): only keypoints are learned, "
            "and the behaviors it tells mean nothing"
        )
    elif not sources:
        raise UserError(
            f"{config.data.videos or config.data.dlc}: nothing here has labels; "
            "name their folder with --annotations DIR"
        )
    return sources


def _load_recordings(
    study: Study, sources: Sequence[Source], config: Config, lengths: BodyLengths
) -> list[LabelledRecording]:
    """The recordings with at least one frame to learn from."""
    recordings = []
    open_shares: dict[str, float] = {}
    for source, video, track in _with_inputs(sources, config, lengths):
        labelled, placement = _labelled(study, source, config.data, video, track)
        # A table of bouts cannot tell rest from frames that nobody looked at, so gaps are reported.
        if placement.lists_bouts:
            open_shares[source.name] = placement.open_share
        recording = _without_short_trials(labelled.recording, config.train.min_frames)
        finds_points = learns_points_alone(config) and track is not None
        if finds_points or (recording.labels >= 0).any():
            recordings.append(replace(labelled, recording=recording))
    for finding in warn_of_gaps(open_shares, config.data.label_gaps, study.ethogram):
        warn(str(finding))
    return recordings


def _with_inputs(
    sources: Sequence[Source], config: Config, lengths: BodyLengths
) -> Iterator[tuple[Source, CachedVideo | None, PoseTrack | None]]:
    """Each recording with its video, its pose, or both; without those that have neither."""
    cached = _cached(sources, config, lengths)
    for source in sources:
        video = None
        if cached is not None:
            # Extraction has said why a video is not in the cache.
            if source.recorded not in cached:
                continue
            video = cached[source.recorded]
        track = None
        if wants_pose(config):
            track = _track(source, config, video, lengths)
        if video is None and track is None:
            warn(f"{source.name} is left out: it has no pose file")
            continue
        yield source, video, track


def _say_poses(dataset: StudyDataset, config: Config) -> None:
    """Say which keypoints there are. Raises `UserError` if no recording has a pose."""
    n_videos = len(dataset.labelled)
    n_lacking = sum(f.track is None for f in dataset.labelled)
    # Some videos without a pose are fine: the network learns to do without. None at all is not.
    if n_lacking == n_videos:
        kind = "labeled video"
        if learns_points_alone(config):
            kind = "video"
        raise UserError(
            f"{config.data.dlc or config.data.videos}: no {kind} has a pose file; "
            "name their folder with --dlc, or do without: --pose none --tasks action_only"
        )
    skeleton = dataset.skeleton
    line = f"pose: {', '.join(skeleton.keypoints)} of {counted(skeleton.animals, 'animal')}"
    if n_lacking:
        line += f"; {n_lacking} of {n_videos} videos have none"
    say(line)


def _cached(
    sources: Sequence[Source], config: Config, lengths: BodyLengths
) -> dict[Recorded, CachedVideo] | None:
    """The cached videos; None if the network does not look at any."""
    if config.model.visual == "none":
        return None
    poses = {s.recorded: s.pose for s in sources if s.video is not None}
    if not poses:
        raise UserError(
            "there are no videos; name their folder with --videos DIR, "
            "or learn from poses: --visual none"
        )
    # Quick heads read features, and decode a video only where these are missing.
    pictures = config.model.head not in ("linear", "trees")
    cached, failures = extract(poses, config.data, usual_workers(), lengths, pictures=pictures)
    for path, reason in failures:
        warn(f"{path.name} is left out: {reason}")
    for entry in cached.values():
        if entry.damage and not config.data.allow_damaged:
            raise UserError(
                f"{entry.video}: {entry.damage}; repair or remove it, "
                "or train on what decodes with --allow_damaged"
            )
    return cached


def _track(
    source: Source, config: Config, video: CachedVideo | None, lengths: BodyLengths
) -> PoseTrack | None:
    """The pose of a recording; None, with a warning, if it cannot be read."""
    if source.pose is None:
        return None
    try:
        track = _read_pose(source, source.pose, config, video, lengths)
    except UserError as error:
        outcome = "goes without pose"
        if video is None:
            outcome = "is left out"
        warn(f"{source.name} {outcome}: {error}")
        return None
    if video is None:
        return track
    rows = describe_rows(track.n_frames, video.n_frames)
    if rows is not None:
        warn(f"{source.name}: {rows}")
    return track.on(video.n_frames)


def _read_pose(
    source: Source, pose: Path, config: Config, video: CachedVideo | None, lengths: BodyLengths
) -> PoseTrack:
    """Read a pose with the body length and at the rate that prediction will use."""
    # A pose without a video says nothing of a picture size, in prediction as here, so its body
    # length is estimated from the pose itself.
    data, rate_hz = source.settings(config.data), config.data.rate_hz
    if video is not None:
        data = lengths.for_pose(data, video.video)
        # The header's rate, as in prediction, which does not know all timestamps when it begins.
        rate_hz = probe(video.video).header_rate_hz
    if config.model.pose == "none":  # points to find, but no pose features: any skeleton will do
        return read_any_track(pose, data, rate_hz)
    return read_track(pose, data, config.model.pose == "generic", rate_hz)


def _labelled(
    study: Study,
    source: Source,
    data: DataConfig,
    video: CachedVideo | None,
    track: PoseTrack | None,
) -> tuple[LabelledRecording, Placement]:
    """Assign the labels of a recording to its frames, and report what was noticed."""
    # Where a video was cut off, the header says how many frames its labels are about.
    promised = None
    sizes: tuple[PictureSize, ...] = ()
    if video is not None:
        time_s, sizes = video.time_s, video.sizes
        if data.allow_damaged:
            promised = promised_frames(probe(video.video), time_s, video.damage is not None)
    else:
        assert track is not None
        time_s = np.arange(track.n_frames) / track.rate_hz
    recording, placement = study.place(source, time_s, data, promised, sizes)
    for finding in placement.findings:
        warn(str(finding))
    for reason in placement.skipped:
        warn(f"trial left out: {reason}")
    if track is not None:
        for note in track.notes:
            warn(f"{source.name}: {note}")
    return LabelledRecording(recording, video, track), placement


def _without_short_trials(recording: Recording, min_frames: int) -> Recording:
    """Without the labels of trials that have fewer than `min_frames` of them; warns of each."""
    labels = recording.labels.copy()
    for trial in recording.trials:
        # A view: writing to it below changes `labels`.
        trial_labels = labels[trial.start : trial.stop]
        n_labelled = int((trial_labels >= 0).sum())
        if 0 < n_labelled < min_frames:
            trial_labels[:] = UNLABELED
            warn(
                f"{recording.name}, trial {trial.number} is left out: "
                f"{n_labelled} labeled frames, wanted {min_frames}"
            )
    return replace(recording, labels=labels)
