"""Label one recording in constant memory: decoding and cropping run beside the network."""

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
from dolorim.video.crop import Crops
from dolorim.video.crop_stream import CropStream, crops_on_grid, open_crops
from dolorim.video.frame_times import grid_of_video
from dolorim.video.picture_size import of_other_shape
from dolorim.video.random_access import DisagreementError
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
        data = self.lengths.for_crop(self.config.data, video)
        crops = open_crops(video, data, recording.pose, span=span, stopwatch=clock)
        if time_s is None:
            grid = grid_of_video(video, crops.info.header_rate_hz, data.run_rate_hz)
        else:
            grid = time_grid(time_s, data.run_rate_hz)
        if part is not None and grid is not None:
            # Parts are ranges of frames, and a resampled video is decided on in steps.
            raise DisagreementError
        poses = None
        if self.predictor.input_spec.pose is not None:
            poses = self._read_pose(recording, crops.info.header_rate_hz)
        windows = _Windows()
        with clock.on("network"):
            blocks = windows.remember(crops, video.name)
            if grid is not None:
                blocks = crops_on_grid(blocks, grid)
                poses = poses and poses.resampled(grid.places, grid.rate_hz)
            decisions = list(self.predictor.stream(blocks, poses, crops.side_px))
        # The network's time without that for which it waited for pictures.
        clock.add("network", -clock["waiting for pictures"])
        if not decisions and part is None:
            raise UserError(f"{video}: no frame of it decodes")
        decoded_s = _concatenated(windows.time_s)
        if grid is not None:
            if not grid.fits(decoded_s):
                # The packets promised other times than decode; what decodes counts.
                return self._predict_frames(recording, video, time_s=decoded_s)
            grid = grid.first(len(decoded_s))
        raw = RawPrediction(
            _concatenated([d.probabilities for d in decisions]),
            decoded_s,
            damage=crops.damage,
            inputs=("video",) if poses is None else ("video", "pose"),
            seconds=clock,
            keypoints=_keypoints_in_video(decisions, windows, crops.side_px, grid),
            grid=grid,
            seen_length_px=crops.plan.seen_length_px,
        )
        if part is None:
            return replace(raw, sizes=crops.sizes)
        first_size = (crops.info.width_px, crops.info.height_px)
        if any((s.width_px, s.height_px) != first_size for s in crops.sizes):
            # Only a prediction of the whole video knows where the picture changes its size.
            raise DisagreementError
        return cut_to_part(raw, part, crops.first_frame)

    def _read_pose(self, recording: PredictInput, rate_hz: float) -> PoseTrack | None:
        """The recording's pose, if it has one. Raises `UserError` for other keypoints than the
        run's.
        """
        if recording.pose is None:
            return None
        data = self.config.data
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


@dataclass
class _Windows:
    """The times and the crop windows of the frames that the network has taken, block by block."""

    time_s: list[np.ndarray] = field(default_factory=list)
    centers: list[np.ndarray] = field(default_factory=list)
    angles_rad: list[np.ndarray] = field(default_factory=list)

    def remember(self, crops: CropStream, name: str) -> Iterator[Crops]:
        """The blocks of a stream, with a progress bar."""
        with progress(name, crops.info.expected_frames or None) as bar:
            for block in crops:
                self.time_s.append(block.time_s)
                self.centers.append(block.centers)
                self.angles_rad.append(block.angles_rad)
                bar(len(block.images))
                yield block


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


def _keypoints_in_video(
    decisions: Sequence[Decisions], windows: _Windows, side_px: float, grid: TimeGrid | None
) -> np.ndarray | None:
    """Keypoints in pixels of the video, from those in the crop (see `RawPrediction`)."""
    points = [d.keypoints for d in decisions if d.keypoints is not None]
    visible = [d.visible for d in decisions if d.visible is not None]
    if not points:
        return None
    centers, angles_rad = np.concatenate(windows.centers), np.concatenate(windows.angles_rad)
    if grid is not None:
        centers, angles_rad = centers[grid.frames], angles_rad[grid.frames]
    in_video = video_points(np.concatenate(points), centers, angles_rad, side_px)
    return np.concatenate([in_video, np.concatenate(visible)[..., None]], -1).astype(np.float32)


def _concatenated(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0, np.float32)
