"""Label one recording in constant memory: decoding and cropping run beside the network."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.config import Config, DataConfig
from dolorim.core.clock import rate_of
from dolorim.core.errors import UserError
from dolorim.core.stopwatch import Stopwatch
from dolorim.dataset.labelled_recording import video_points
from dolorim.inference.conformal import Conformal, abstain
from dolorim.inference.decoder import Decoder
from dolorim.inference.ensemble import Decider
from dolorim.inference.raw_prediction import (
    PredictInput,
    RawPrediction,
    VideoPart,
    cut_to_part,
)
from dolorim.inference.streaming import Decisions
from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.predictions import Predictions
from dolorim.pose.pose_track import PoseTrack, read_track
from dolorim.terminal import progress
from dolorim.video.body_length import NO_LENGTHS, BodyLengths
from dolorim.video.chambers import in_chamber
from dolorim.video.crop import CropPlan, Crops, plan_crop
from dolorim.video.crop_stream import CropStream, crops_on_grid, cut_together, open_crops
from dolorim.video.empty_chambers import find_empty
from dolorim.video.frame_times import frame_times, grid_of_video
from dolorim.video.picture_size import of_other_shape
from dolorim.video.random_access import DisagreementError
from dolorim.video.reader import VideoInfo, probe
from dolorim.video.time_grid import TimeGrid, time_grid


@dataclass(frozen=True)
class VideoPredictor:
    """Runs a network, which is loaded once, on one recording after another."""

    predictor: Decider
    config: Config
    lengths: BodyLengths = NO_LENGTHS

    def predict_video(self, recording: PredictInput) -> RawPrediction:
        """Predict a whole recording. Raises `UserError`."""
        if recording.video is not None:
            if self.predictor.input_spec.visual is None:
                raise UserError(
                    f"{recording.file}: has no pose file, and the run labels poses alone"
                )
            return self._predict_frames(recording, recording.video)
        return self._predict_pose(recording)

    def _predict_pose(self, recording: PredictInput) -> RawPrediction:
        clock = Stopwatch()
        poses = self._read_pose(recording, self.config.data.rate_hz)
        if poses is None:
            raise UserError(f"{recording.file}: not a pose file that this run can read")
        time_s = np.arange(poses.n_frames) / poses.rate_hz
        grid = time_grid(time_s, self.config.data.run_rate_hz)
        if grid is not None:
            poses = poses.resampled(grid.places, grid.rate_hz)
        with clock.on("network"):
            decided = [d.probabilities for d in self.predictor.stream(None, poses)]
        return RawPrediction(np.concatenate(decided), time_s, None, ("pose",), clock, grid=grid)

    def predict_part(self, part: VideoPart) -> RawPrediction | None:
        """Predict a part of a video: exactly the numbers that the whole video gives.

        None where the part's frames cannot be read on their own.
        """
        video = part.recording.video
        assert video is not None
        try:
            return self._predict_frames(part.recording, video, part)
        except DisagreementError:
            return None

    def _predict_frames(
        self,
        recording: PredictInput,
        video: Path,
        part: VideoPart | None = None,
        time_s: np.ndarray | None = None,
    ) -> RawPrediction:
        """`time_s` are the times of the frames, where they are known from decoding."""
        clock = Stopwatch()
        span = None if part is None else self.predictor.around(part.start, part.stop)
        data = self._crop_settings(recording, video)
        crops = open_crops(video, data, recording.pose, span=span, stopwatch=clock)
        grid = self._grid(video, crops.info, time_s)
        if part is not None and grid is not None:
            # Parts are ranges of frames, and a resampled video is decided on in steps.
            raise DisagreementError
        reading = _Reading(crops, self._pose_to_use(recording, crops.info), grid)
        self._decide_on([reading], video.name, clock)
        if not reading.decisions and part is None:
            raise UserError(f"{video}: no frame of it decodes")
        if not reading.times_fit:
            # The packets promised other times than decode; what decodes counts.
            return self._predict_frames(recording, video, time_s=reading.time_s)
        raw = reading.result(clock)
        if part is None:
            return replace(raw, sizes=crops.sizes)
        first_size = (crops.info.width_px, crops.info.height_px)
        if any((s.width_px, s.height_px) != first_size for s in crops.sizes):
            # Only a prediction of the whole video knows where the picture changes its size.
            raise DisagreementError
        return cut_to_part(raw, part, crops.first_frame)

    def predict_chambers(
        self, recordings: Sequence[PredictInput], time_s: np.ndarray | None = None
    ) -> list[RawPrediction | UserError]:
        """Predict several chambers of a video, which is decoded once.

        A chamber that cannot be predicted gives its error in place of a prediction, and does not
        stop the others. `time_s` as in `_predict_frames`. Raises `UserError` if the video cannot
        be read.
        """
        video, clock = recordings[0].file, Stopwatch()
        info = probe(video)
        grid = self._grid(video, info, time_s)
        with clock.on("localize and crop"):
            plans, poses, errors = self._plan_chambers(recordings, info)
        plans = self._occupied(plans)
        streams = cut_together(video, info, [*plans.values()], stopwatch=clock)
        readings = {
            recording: _Reading(stream, poses[recording], grid)
            for recording, stream in zip(plans, streams, strict=True)
        }
        self._decide_on([*readings.values()], video.name, clock)
        if not all(reading.times_fit for reading in readings.values()):
            decoded_s = next(iter(readings.values())).time_s
            return self.predict_chambers(recordings, decoded_s)
        outcomes: list[RawPrediction | UserError] = []
        for recording in recordings:
            if recording in errors:
                outcomes.append(errors[recording])
            elif recording not in readings:
                outcomes.append(_nobody(video, readings.values()))
            elif not readings[recording].decisions:
                outcomes.append(UserError(f"{video}: no frame of it decodes"))
            else:
                # All time is counted for one of them, as it was spent once.
                raw = readings[recording].result(clock)
                outcomes.append(replace(raw, sizes=readings[recording].crops.sizes))
                clock = Stopwatch()
        return outcomes

    def _plan_chambers(
        self, recordings: Sequence[PredictInput], info: VideoInfo
    ) -> tuple[
        dict[PredictInput, CropPlan],
        dict[PredictInput, PoseTrack | None],
        dict[PredictInput, UserError],
    ]:
        """How to crop the chambers of a video, the pose of each, and why the others cannot be."""
        plans: dict[PredictInput, CropPlan] = {}
        poses: dict[PredictInput, PoseTrack | None] = {}
        errors: dict[PredictInput, UserError] = {}
        for recording in recordings:
            try:
                data = self._crop_settings(recording, recording.file)
                plan = plan_crop(recording.file, data, info, recording.pose)
                poses[recording] = self._pose_to_use(recording, info)
                plans[recording] = plan
            except UserError as error:
                errors[recording] = error
        return plans, poses, errors

    def _occupied(self, plans: Mapping[PredictInput, CropPlan]) -> dict[PredictInput, CropPlan]:
        """The plans of the chambers that have somebody in them."""
        scenes = [plan.scene for plan in plans.values()]
        is_empty = find_empty(scenes, self.config.data.body_length_px)
        pairs = zip(plans.items(), is_empty, strict=True)
        return {recording: plan for (recording, plan), empty in pairs if not empty}

    def _decide_on(self, readings: Sequence[_Reading], name: str, clock: Stopwatch) -> None:
        """Run the network on recordings side by side; their decisions are kept in `readings`."""
        with clock.on("network"):
            streams = []
            for i, reading in enumerate(readings):
                blocks = reading.blocks(name if i == 0 else "")
                poses = reading.poses_on_grid
                streams.append(self.predictor.stream(blocks, poses, reading.crops.side_px))
            for together in itertools.zip_longest(*streams):
                for reading, decisions in zip(readings, together, strict=True):
                    if decisions is not None:
                        reading.decisions.append(decisions)
        # The network's time without that for which it waited for pictures.
        clock.add("network", -clock["waiting for pictures"])

    def _crop_settings(self, recording: PredictInput, video: Path) -> DataConfig:
        return self.lengths.for_crop(in_chamber(self.config.data, recording.chamber), video)

    def _grid(self, video: Path, info: VideoInfo, time_s: np.ndarray | None) -> TimeGrid | None:
        run_rate_hz = self.config.data.run_rate_hz
        if time_s is None:
            return grid_of_video(video, info.header_rate_hz, run_rate_hz)
        return time_grid(time_s, run_rate_hz)

    def _pose_to_use(self, recording: PredictInput, info: VideoInfo) -> PoseTrack | None:
        if self.predictor.input_spec.pose is None:
            return None
        return self._read_pose(recording, info.header_rate_hz)

    def _read_pose(self, recording: PredictInput, rate_hz: float) -> PoseTrack | None:
        """The recording's pose, if it has one. Raises `UserError` for other keypoints than the
        run's.
        """
        if recording.pose is None:
            return None
        data = in_chamber(self.config.data, recording.chamber)
        if recording.video is not None:
            data = self.lengths.for_pose(data, recording.video)
        poses = read_track(recording.pose, data, self.config.model.pose == "generic", rate_hz)
        expected = self.predictor.input_spec.skeleton
        if poses.skeleton != expected:
            raise UserError(
                f"{recording.pose}: expected {', '.join(expected.keypoints)} of "
                f"{expected.animals}, "
                f"found {', '.join(poses.names)} of {poses.skeleton.animals}; the run was trained "
                f"on other points"
            )
        return poses


def _nobody(video: Path, readings: Collection[_Reading]) -> RawPrediction:
    """The prediction of an empty chamber; its frames are those of the other chambers."""
    times = [reading.time_s for reading in readings]
    time_s = times[0] if times else frame_times(video, decode=True)
    return RawPrediction(np.empty((0, 0), np.float32), time_s, None, ("video",), empty=True)


@dataclass
class _Reading:
    """A recording that is being read: its crops and pose, what the network has decided so far, and
    the times and crop windows of the frames that it has taken, block by block.
    """

    crops: CropStream
    poses: PoseTrack | None
    grid: TimeGrid | None
    decisions: list[Decisions] = field(default_factory=list)
    times_s: list[np.ndarray] = field(default_factory=list)
    centers: list[np.ndarray] = field(default_factory=list)
    angles_rad: list[np.ndarray] = field(default_factory=list)

    def blocks(self, name: str) -> Iterator[Crops]:
        """The crops of the steps that the network sees; with a name, there is a progress bar."""
        blocks = self._remember(name)
        return blocks if self.grid is None else crops_on_grid(blocks, self.grid)

    def _remember(self, name: str) -> Iterator[Crops]:
        expected = self.crops.info.expected_frames or None
        with progress(name, expected) if name else contextlib.nullcontext(_no_bar) as bar:
            for block in self.crops:
                self.times_s.append(block.time_s)
                self.centers.append(block.centers)
                self.angles_rad.append(block.angles_rad)
                bar(len(block.images))
                yield block

    @property
    def poses_on_grid(self) -> PoseTrack | None:
        if self.poses is None or self.grid is None:
            return self.poses
        return self.poses.resampled(self.grid.places, self.grid.rate_hz)

    @property
    def time_s(self) -> np.ndarray:
        return _concatenated(self.times_s)

    @property
    def times_fit(self) -> bool:
        """Do the frames have the times for which the grid was made?"""
        return self.grid is None or self.grid.fits(self.time_s)

    def result(self, clock: Stopwatch) -> RawPrediction:
        """The prediction of all frames that were read."""
        grid = None if self.grid is None else self.grid.first(len(self.time_s))
        centers, side_px = _concatenated(self.centers), self.crops.side_px
        origin_px = np.array(self.crops.plan.origin_px, np.float32)
        return RawPrediction(
            _concatenated([d.probabilities for d in self.decisions]),
            self.time_s,
            damage=self.crops.damage,
            inputs=("video",) if self.poses is None else ("video", "pose"),
            seconds=clock,
            keypoints=self._keypoints(grid, origin_px),
            grid=grid,
            pose_rows=None if self.poses is None else self.poses.n_frames,
            centers_px=centers.reshape(-1, 2) * side_px + origin_px,
            side_px=side_px,
            seen_length_px=self.crops.plan.seen_length_px,
            several=self.crops.plan.shows_several,
        )

    def _keypoints(self, grid: TimeGrid | None, origin_px: np.ndarray) -> np.ndarray | None:
        """Keypoints in pixels of the video, from those in the crop (see `RawPrediction`)."""
        points = [d.keypoints for d in self.decisions if d.keypoints is not None]
        visible = [d.visible for d in self.decisions if d.visible is not None]
        if not points:
            return None
        centers, angles_rad = np.concatenate(self.centers), np.concatenate(self.angles_rad)
        if grid is not None:
            centers, angles_rad = centers[grid.frames], angles_rad[grid.frames]
        in_video = video_points(np.concatenate(points), centers, angles_rad, self.crops.side_px)
        in_video = in_video + origin_px
        return np.concatenate([in_video, np.concatenate(visible)[..., None]], -1).astype(np.float32)


def _no_bar(n_frames: int) -> None:
    """What is called in place of a progress bar."""


def decide(
    recording: PredictInput,
    raw: RawPrediction,
    decoder: Decoder,
    ethogram: Ethogram,
    meta: dict[str, Any],
    sets: Conformal | None = None,
) -> Predictions:
    """Labels of a whole recording; `meta["seen"]` tells which inputs were used.

    With `sets`, frames that could be of another class than their label are left open.
    """
    rate_hz = rate_of(raw.time_s)
    other_shape = of_other_shape(raw.sizes, len(raw.time_s))
    meta = {**meta, "n_frames": len(raw.time_s), "fps": round(rate_hz, 4), "damage": raw.damage}
    if raw.empty:
        labels = np.full(len(raw.time_s), UNLABELED, np.int16)
        nothing = np.full((len(labels), len(ethogram)), np.nan, np.float32)
        meta |= {"empty": True, "seen": list(raw.inputs)}
        return Predictions(recording.stem, ethogram.classes, labels, nothing, raw.time_s, meta)
    with raw.seconds.on("decisions"):
        labels, probabilities = _decoded(raw, decoder, other_shape)
        if sets is not None:
            # The sets were calibrated on probabilities from files, which hold four decimals.
            labels = abstain(labels, probabilities.round(4), sets)
            meta["frames_left_open"] = int(np.sum(labels < 0))
        # The decoder fills frames without evidence from their neighbors; these must stay open.
        labels[other_shape] = UNLABELED
    meta["seen"] = list(raw.inputs)
    if raw.grid is not None:
        meta["seen_at_hz"] = raw.grid.rate_hz
    if len(raw.sizes) > 1:
        meta["picture_sizes"] = [asdict(size) for size in raw.sizes]
        meta["frames_of_another_shape"] = int(other_shape.sum())
    return Predictions(recording.stem, ethogram.classes, labels, probabilities, raw.time_s, meta)


def _decoded(
    raw: RawPrediction, decoder: Decoder, other_shape: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Labels `(frames,)` and calibrated probabilities `(frames, classes)`.

    Labels are decided on the steps of the grid, so that a minimum duration is the same time at
    every frame rate. `other_shape` `(frames,)` says which frames show nothing to decide by.
    """
    grid = raw.grid
    if grid is None:
        network_output = np.where(other_shape[:, None], np.nan, raw.probabilities)
        labels = decoder.decode(network_output, rate_of(raw.time_s))
        return labels, decoder.calibrated(network_output)
    without = other_shape[grid.frames]
    network_output = np.where(without[:, None], np.nan, raw.probabilities)
    labels = decoder.decode(network_output, grid.rate_hz)
    return labels[grid.steps], decoder.calibrated(network_output)[grid.steps]


def _concatenated(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0, np.float32)
