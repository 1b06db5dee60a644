"""The check of one recording: what its files hold, and what does not fit together.

`examine_together` decodes the video once in constant memory; `place` lays the labels on its frames.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dolorim.checks import poses as pose_check
from dolorim.checks.alignment import Lag, LagEstimator
from dolorim.config import DataConfig
from dolorim.core.clock import MILLISECOND
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.dataset.study import Source, Study
from dolorim.labels.trials import Placement
from dolorim.pose.pose import Pose
from dolorim.pose.pose_track import PoseTrack, lay
from dolorim.video.cache import Cropping
from dolorim.video.chambers import part_of, picture_of
from dolorim.video.empty_chambers import find_empty
from dolorim.video.localizer import SceneSampler
from dolorim.video.oddities import describe_oddities, describe_several
from dolorim.video.picture_size import PictureSize
from dolorim.video.reader import (
    FrameStream,
    VideoInfo,
    probe,
    promised_frames,
)


@dataclass(frozen=True)
class Examined:
    """What the files of one recording hold. What is None does not exist or could not be read.

    `time_s` `(n_frames,)` is when each frame is shown. `promised` is the number of frames that the
    header of a damaged video claims; it is set only if that video is used (--allow_damaged).
    """

    n_frames: int = 0
    time_s: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    promised: int | None = None
    header_frames: int | None = None
    rate_hz: float | None = None
    constant_rate: bool | None = None
    width_px: int | None = None
    height_px: int | None = None
    sizes: tuple[PictureSize, ...] = ()
    pose_rows: int | None = None
    keypoints: str = ""
    missing: float | None = None  # share of the points
    body_length_px: float | None = None
    lag: Lag | None = None
    from_below: bool | None = None
    has_several: bool = False  # more than one animal moves
    is_empty: bool = False  # nobody is in this chamber
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Row:
    """One row of the table of recordings: a recording, its files, and its labels on its frames."""

    source: Source
    examined: Examined
    placement: Placement | None = None

    @property
    def name(self) -> str:
        return self.source.name


def examine_together(video: Path | None, recordings: Sequence[Cropping]) -> list[Examined]:
    """Examine recordings that are chambers of one video, which is decoded once.

    A file that cannot be read is a finding.
    """
    looks = [_Look(recording) for recording in recordings]
    if video is None:
        for look in looks:
            look.examined = _timed_by_pose(look.examined, look.config.rate_hz)
    else:
        try:
            _examine_video(video, looks)
        except UserError as error:
            for look in looks:
                look.findings.append(Finding.from_error(error, "video-unreadable", video))
    # The pose is compared with the frames that were decoded, not with the header.
    return [look.result(video is not None) for look in looks]


class _Look:
    """A recording whose pose has been read, and which is looked at while its video is decoded."""

    def __init__(self, recording: Cropping) -> None:
        self.config, self.pose = recording.config, recording.pose
        self.findings: list[Finding] = []
        self.examined = Examined()
        self.poses: tuple[Pose, ...] = ()
        self.track: PoseTrack | None = None
        if self.pose is None:
            return
        try:
            self.poses = pose_check.read_to_check(self.pose, self.config, self.findings)
            # A pose whose points are useless still has rows and names to report.
            self.examined = replace(
                self.examined,
                pose_rows=len(self.poses[0]),
                keypoints=pose_check.describe_keypoints(self.poses),
            )
            self.track = lay(self.poses, self.config, self.config.rate_hz)
            self.examined = replace(
                self.examined,
                missing=_share_missing(self.track),
                body_length_px=self.track.length_px,
            )
        except UserError as error:
            self.findings.append(Finding.from_error(error, "pose-unreadable", self.pose))

    def new_estimator(self) -> LagEstimator | None:
        if self.track is None:
            return None
        return LagEstimator(self.track.points, self.track.length_px)

    def result(self, has_video: bool) -> Examined:
        examined, config = self.examined, self.config
        if self.pose is not None and self.poses:
            self.findings += _check_pose(
                str(self.pose), self.poses, self.track, examined, config, has_video
            )
            shares = pose_check.sides(self.poses[0], config.kp_likelihood_thr)
            examined = replace(examined, from_below=pose_check.from_below(shares))
        return replace(examined, findings=tuple(self.findings))


def _share_missing(track: PoseTrack) -> float:
    if not track.since_seen.size:
        return 1.0
    return float(1 - (track.since_seen == 0).mean())


def _timed_by_pose(examined: Examined, rate_hz: float) -> Examined:
    """A recording without a video has a frame for each row of its pose."""
    rows = examined.pose_rows or 0
    return replace(examined, n_frames=rows, time_s=np.arange(rows) / rate_hz, rate_hz=rate_hz)


def _examine_video(video: Path, looks: Sequence[_Look]) -> None:
    """Decode a video to its end."""
    info = probe(video)
    stream = FrameStream(video)
    inside = _inside_picture(video, info, looks)
    # The lag is estimated while the video is decoded, which is done only once.
    estimators = [look.new_estimator() for look in inside]
    surveys = [SceneSampler(info.expected_frames) for _ in inside]
    time_s = _decode(stream, inside, estimators, surveys)
    rate, constant = rate_of_frames(time_s, info)
    scenes = [survey.scene() for survey in surveys]
    for look, estimator, scene in zip(inside, estimators, scenes, strict=True):
        promised = None
        if look.config.allow_damaged:
            promised = promised_frames(info, time_s, stream.damage is not None)
        lag = None
        if estimator is not None:
            lag = estimator.estimate()
        allow_damaged = look.config.allow_damaged
        look.findings += check_video(str(video), info, stream, time_s, constant, allow_damaged)
        picture = picture_of(info, look.config.chamber, video)
        look.examined = replace(
            look.examined,
            n_frames=stream.decoded,
            time_s=time_s,
            promised=promised,
            header_frames=info.header_frames,
            rate_hz=rate,
            constant_rate=constant,
            width_px=picture.width_px,
            height_px=picture.height_px,
            sizes=tuple(stream.sizes),
            lag=lag,
            has_several=scene is not None and scene.has_several,
        )
    for look, is_empty in zip(inside, find_empty(scenes, None), strict=True):
        look.examined = replace(look.examined, is_empty=is_empty)


def _decode(
    stream: FrameStream,
    looks: Sequence[_Look],
    estimators: Sequence[LagEstimator | None],
    surveys: Sequence[SceneSampler],
) -> np.ndarray:
    """The times of all frames; estimators and surveys are shown the frames that they want."""
    times = array("d")
    for frame in stream:
        times.append(frame.time_s)
        for look, estimator, survey in zip(looks, estimators, surveys, strict=True):
            is_wanted = estimator is not None and estimator.wants(frame.index)
            if not is_wanted and not survey.wants(frame.index):
                continue
            part = replace(frame, luma=part_of(frame.luma, look.config.chamber))
            if estimator is not None and is_wanted:
                estimator.look(part)
            survey.look(part)
    return np.array(times)


def _inside_picture(video: Path, info: VideoInfo, looks: Sequence[_Look]) -> list[_Look]:
    """The recordings whose chamber is in the picture; the others get a finding."""
    inside = []
    for look in looks:
        try:
            picture_of(info, look.config.chamber, video)
        except UserError as error:
            look.findings.append(Finding.from_error(error, error.name, video))
        else:
            inside.append(look)
    return inside


def check_video(
    where: str,
    info: VideoInfo,
    stream: FrameStream,
    time_s: np.ndarray,
    constant: bool,
    allow_damaged: bool,
) -> list[Finding]:
    """Findings about a video that has been decoded to its end."""
    findings: list[Finding] = []
    if stream.damage:
        what = str(stream.damage)
        remedy = "copy it again from its source, or use what decodes with --allow_damaged"
        if allow_damaged:
            findings.append(Finding("warning", where, what, remedy, "damaged"))
        else:
            findings.append(Finding("error", where, what, remedy, "damaged"))
    # Other programs may count labels and poses by the header.
    if info.header_frames != stream.decoded:
        what = f"its header claims {info.header_frames} frames, and {stream.decoded} decode"
        remedy = "labels and poses from software that relies on the header may be shifted"
        if info.header_frames:
            findings.append(Finding("warning", where, what, remedy, "header"))
        else:
            findings.append(Finding("note", where, what, remedy, "header"))
    oddities = describe_oddities(info, time_s, stream.damage is not None, stream.sizes)
    findings += [Finding("warning", where, what, name=name) for name, what in oddities.items()]
    if not constant:
        what = "its frame rate is not constant; times are taken from each frame"
        findings.append(Finding("note", where, what, name="variable-rate"))
    return findings


def rate_of_frames(times: np.ndarray, info: VideoInfo) -> tuple[float, bool]:
    """Frames per second, and whether all frames are shown about equally long."""
    steps = np.diff(times)
    if len(steps) == 0 or times[-1] <= times[0]:
        return info.header_rate_hz, True
    usual = float(np.median(steps))
    largest_deviation = float(np.abs(steps - usual).max())
    is_constant = largest_deviation < max(0.1 * usual, MILLISECOND)
    return len(steps) / float(times[-1] - times[0]), is_constant


def _check_pose(
    where: str,
    poses: Sequence[Pose],
    track: PoseTrack | None,
    examined: Examined,
    config: DataConfig,
    has_video: bool,
) -> list[Finding]:
    """Findings about a pose, alone and against the frames of its video."""
    findings: list[Finding] = []
    threshold = config.kp_likelihood_thr
    if has_video and examined.n_frames:
        lag, total_lag = None, None
        if examined.lag is not None and examined.lag.frames is not None:
            # The estimate is what remains after --pose_lag has been taken out.
            lag = examined.lag.frames
            total_lag = lag + config.pose_lag
        cut = examined.promised is not None
        findings += pose_check.check_rows(where, len(poses[0]), examined.n_frames, total_lag, cut)
        findings += pose_check.check_lag(where, lag, config.pose_lag)
    for pose in poses:
        who = where
        if len(poses) > 1:
            who += f", {pose.individual}"
        findings += pose_check.check_likelihood(who, pose, threshold)
        if examined.width_px and examined.height_px:
            size = (examined.width_px, examined.height_px)
            findings += pose_check.check_picture(who, pose, threshold, *size)
        if track is not None:
            findings += pose_check.check_swaps(who, pose, threshold, track.length_px)
        findings += pose_check.check_sides(who, pose_check.sides(pose, threshold))
    return findings


def check_occupants(source: Source, examined: Examined) -> list[Finding]:
    """Is there one animal in the picture, or in the chamber?"""
    where = str(source.recorded)
    several = describe_several(examined.has_several, source.chamber is not None)
    if several is not None:
        return [Finding("warning", where, several, name="several-animals")]
    if examined.is_empty and source.chamber is not None:
        what = "nothing moves or looks like an animal in this chamber"
        remedy = "leave its row out of recordings.csv; predict gives it no labels"
        return [Finding("warning", where, what, remedy, "chamber-empty")]
    return []


def place(
    source: Source, examined: Examined, study: Study, config: DataConfig
) -> tuple[Row, list[Finding]]:
    """Lay a recording's labels on its frames, and list what does not fit."""
    if not source.labels or not examined.n_frames:
        return Row(source, examined), []
    try:
        recording, placement = study.place(
            source, examined.time_s, config, examined.promised, examined.sizes
        )
    except UserError as error:
        # Contradictions in label files have a name and say where; other errors concern the layout.
        finding = Finding.from_error(error, "trial-layout", source.file)
        if error.name:
            finding = Finding.from_error(error, error.name, error.where)
        return Row(source, examined), [finding]
    findings = list(placement.findings)
    remedy = "left out; is it the right video, and complete?"
    for reason in placement.skipped:
        skipped = UserError(reason, remedy=remedy)
        findings.append(Finding.from_error(skipped, "trial-skipped", severity="warning"))
    findings += _check_coverage(source, examined, recording.labels, config.pose_lag)
    return Row(source, examined, placement), findings


def _check_coverage(
    source: Source, examined: Examined, labels: np.ndarray, pose_lag: int
) -> list[Finding]:
    """Have all frames a label `(n_frames,)`, and all labeled frames a pose?"""
    findings: list[Finding] = []
    labelled = np.flatnonzero(labels >= 0)
    n_frames = examined.n_frames
    gaps = n_frames - len(labelled)
    if gaps:
        what = f"{gaps} of {n_frames} frames are not labeled ({100 * gaps / n_frames:.0f} %)"
        remedy = "they are neither learned nor scored"
        findings.append(Finding("note", source.name, what, remedy, "unlabelled"))
    if source.video and examined.pose_rows is not None and len(labelled):
        beyond = int(labelled[-1]) + 1 - (examined.pose_rows - pose_lag)
        if beyond > 0:
            what = f"the labels end {beyond} frames after the pose"
            remedy = "track the whole video"
            findings.append(Finding("warning", source.name, what, remedy, "labels-beyond-pose"))
    return findings
