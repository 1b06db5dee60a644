"""Label one recording: decode and crop in one thread while the network decides in another, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.config import Config
from dolorim.core.clock import rate_of
from dolorim.core.errors import UserError
from dolorim.core.stopwatch import Stopwatch
from dolorim.dataset.labelled_recording import video_points
from dolorim.inference.conformal import Conformal
from dolorim.inference.conformal import abstain as left_open
from dolorim.inference.decoder import Decoder
from dolorim.inference.streaming import Decisions, Predictor
from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.predictions import Predictions
from dolorim.pose.pose_track import PoseTrack, read_track
from dolorim.terminal import progress
from dolorim.video.body_length import NO_LENGTHS, BodyLengths
from dolorim.video.crop import Crops
from dolorim.video.crop_stream import open_crops
from dolorim.video.picture_size import PictureSize, of_other_shape
from dolorim.video.random_access import DisagreementError


@dataclass(frozen=True)
class PredictInput:
    """A recording to label: its video, its pose, or both; `stem` names its files."""

    file: Path
    stem: str
    pose: Path | None = None

    @property
    def video(self) -> Path | None:
        return None if self.file == self.pose else self.file


@dataclass(frozen=True)
class VideoPart:
    """Frames `[start, stop)` of a long recording; up to its end where `stop` is None."""

    job: PredictInput
    start: int
    stop: int | None


@dataclass(frozen=True)
class RawPrediction:
    """What the network says about consecutive frames, before anything is decided on the whole.

    `keypoints` `(time, keypoint, 3)` are x and y in pixels of the video and the probability that it is visible, where
    they were asked for.
    """

    probabilities: np.ndarray
    time_s: np.ndarray
    damage: str | None
    seen: tuple[str, ...]
    seconds: Stopwatch = field(default_factory=Stopwatch)
    keypoints: np.ndarray | None = None
    sizes: tuple[PictureSize, ...] = ()


@dataclass(frozen=True)
class VideoPredictor:
    """Looks at one recording after another with a network that is loaded once."""

    predictor: Predictor
    config: Config
    lengths: BodyLengths = NO_LENGTHS

    def predict_video(self, job: PredictInput) -> RawPrediction:
        """Look at a whole recording. Raises `UserError`."""
        clock = Stopwatch()
        if job.video is not None and self.predictor.input_spec.visual is None:
            raise UserError(f"{job.file}: has no pose file, and the run labels poses alone")
        if job.video is not None:
            return self._video(job, job.video, clock)
        track = self._track(job, self.config.data.rate_hz)
        if track is None:
            raise UserError(f"{job.file}: not a pose file that this run can read")
        with clock.on("network"):
            found = [d.probabilities for d in self.predictor.stream(None, track)]
        return RawPrediction(
            np.concatenate(found), np.arange(track.n_frames) / track.rate_hz, None, ("pose",), clock
        )

    def predict_part(self, part: VideoPart) -> RawPrediction | None:
        """Look at a part of a video: the very numbers that come of the whole. None where that cannot be had."""
        assert part.job.video is not None
        try:
            return self._video(part.job, part.job.video, Stopwatch(), part)
        except DisagreementError:
            return None

    def _video(
        self, job: PredictInput, video: Path, clock: Stopwatch, part: VideoPart | None = None
    ) -> RawPrediction:
        span = None if part is None else self.predictor.around(part.start, part.stop)
        config = self.lengths.for_crop(self.config.data, video)
        crops = open_crops(video, config, job.pose, span=span, stopwatch=clock)
        track = None
        if self.predictor.input_spec.pose is not None:
            track = self._track(job, crops.info.header_rate_hz)
        times: list[np.ndarray] = []
        places: list[tuple[np.ndarray, np.ndarray]] = []

        def counted_blocks() -> Iterator[Crops]:
            with progress(video.name, crops.info.expected_frames or None) as bar:
                for block in crops:
                    times.append(block.time_s)
                    places.append((block.centers, block.angles_rad))
                    bar(len(block.images))
                    yield block

        with clock.on("network"):
            decisions = list(self.predictor.stream(counted_blocks(), track, crops.side_px))
        clock.add("network", -clock["waiting for pictures"])
        if not decisions and part is None:
            raise UserError(f"{video}: no frame of it decodes")
        raw = RawPrediction(
            _together([d.probabilities for d in decisions]),
            _together(times),
            crops.damage,
            ("video",) if track is None else ("video", "pose"),
            clock,
            _points(decisions, places, crops.side_px),
        )
        if part is None:
            return replace(raw, sizes=crops.sizes)
        first_size = (crops.info.width_px, crops.info.height_px)
        if any((s.width_px, s.height_px) != first_size for s in crops.sizes):
            raise DisagreementError  # only a pass over the whole video tells where the size changes
        return _only(raw, part, crops.first_frame)

    def _track(self, job: PredictInput, rate_hz: float) -> PoseTrack | None:
        """The recording's pose, where it has one with the keypoints that the run has learned from."""
        if job.pose is None:
            return None
        data = (
            self.config.data
            if job.video is None
            else self.lengths.for_pose(self.config.data, job.video)
        )
        track = read_track(job.pose, data, self.config.model.pose == "generic", rate_hz)
        wanted = self.predictor.input_spec.skeleton
        if track.skeleton != wanted:
            raise UserError(
                f"{job.pose}: expected {', '.join(wanted.keypoints)} of {wanted.animals}, found "
                f"{', '.join(track.names)} of {track.skeleton.animals}; the run has learned from other points"
            )
        return track


def decide(
    job: PredictInput,
    raw: RawPrediction,
    decoder: Decoder,
    ethogram: Ethogram,
    meta: dict[str, Any],
    sets: Conformal | None = None,
) -> Predictions:
    """From what the network says about a whole recording to labels; `meta["seen"]` says what was looked at.

    With `sets`, frames that could be of another class than their label are left open.
    """
    rate_hz = rate_of(raw.time_s)
    other_shape = of_other_shape(raw.sizes, len(raw.time_s))
    evidence = np.where(other_shape[:, None], np.nan, raw.probabilities)
    meta = {**meta, "n_frames": len(raw.time_s), "fps": round(rate_hz, 4), "damage": raw.damage}
    with raw.seconds.on("decisions"):
        labels = decoder.decode(evidence, rate_hz)
        probabilities = decoder.calibrated(evidence)
        if sets is not None:
            labels = left_open(
                labels, probabilities.round(4), sets
            )  # as they were calibrated, from files
            meta["frames_left_open"] = int(np.sum(labels < 0))
        labels[other_shape] = UNLABELED  # the decoder would have them go with their neighbors
    meta["seen"] = list(raw.seen)
    if len(raw.sizes) > 1:
        meta["picture_sizes"] = [asdict(size) for size in raw.sizes]
        meta["frames_of_another_shape"] = int(other_shape.sum())
    return Predictions(job.stem, ethogram.classes, labels, probabilities, raw.time_s, meta)


def joined(parts: list[tuple[VideoPart, RawPrediction | None]]) -> RawPrediction | None:
    """The parts of a recording, in order, as its whole; None where they do not fit together."""
    kept: list[RawPrediction] = []
    for part, raw in parts:
        if raw is None:
            return None
        kept.append(raw)
        if raw.damage:  # nothing behind it counts, however well it decodes
            break
        if part.stop is not None and len(raw.time_s) != part.stop - part.start:
            return None
    if not sum(len(w.time_s) for w in kept):
        return None
    seconds = Stopwatch()
    for raw in kept:
        for what, spent in raw.seconds.items():
            seconds.add(what, spent)
    there = [w for w in kept if len(w.time_s)]
    probabilities, time_s = (
        np.concatenate([getattr(w, name) for w in there]) for name in ("probabilities", "time_s")
    )
    points = [w.keypoints for w in there if w.keypoints is not None]
    keypoints = np.concatenate(points) if points else None
    return RawPrediction(probabilities, time_s, kept[-1].damage, kept[0].seen, seconds, keypoints)


def _only(raw: RawPrediction, part: VideoPart, first: int) -> RawPrediction:
    wanted = slice(part.start - first, None if part.stop is None else part.stop - first)
    more = part.stop is not None and len(raw.time_s) > part.stop - first
    damage = None if more else raw.damage  # behind the part: the next one meets it, too
    probabilities, time_s, keypoints = raw.probabilities[wanted], raw.time_s[wanted], raw.keypoints
    keypoints = None if keypoints is None else keypoints[wanted]
    return replace(
        raw, probabilities=probabilities, time_s=time_s, keypoints=keypoints, damage=damage
    )


def _points(
    found: Sequence[Decisions], places: Sequence[tuple[np.ndarray, np.ndarray]], side_px: float
) -> np.ndarray | None:
    """Keypoints in the crop as those in the video (`RawPrediction`)."""
    points = [d.keypoints for d in found if d.keypoints is not None]
    visible = [d.visible for d in found if d.visible is not None]
    if not points:
        return None
    centers, angles_rad = (np.concatenate(part) for part in zip(*places, strict=True))
    in_video = video_points(np.concatenate(points), centers, angles_rad, side_px)
    return np.concatenate([in_video, np.concatenate(visible)[..., None]], -1).astype(np.float32)


def _together(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0, np.float32)
