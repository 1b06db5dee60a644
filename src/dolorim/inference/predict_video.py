"""Label one recording in constant memory: decoding and cropping run beside the network."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dolorim.config import Config, DataConfig
from dolorim.core.clock import rate_of
from dolorim.core.errors import UserError
from dolorim.core.stopwatch import Stopwatch
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.inference.conformal import Conformal, abstain
from dolorim.inference.decoder import Decoder
from dolorim.inference.ensemble import Decider
from dolorim.inference.frame_features import FrameStore
from dolorim.inference.raw_prediction import (
    PredictInput,
    RawPrediction,
    VideoPart,
    cut_to_part,
)
from dolorim.inference.reading import Reading
from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.predictions import Predictions
from dolorim.labels.trials import Recording
from dolorim.pose.pose_track import PoseTrack, read_track
from dolorim.video.body_length import NO_LENGTHS, BodyLengths
from dolorim.video.cache import CachedVideo, load, state_of
from dolorim.video.chambers import in_chamber
from dolorim.video.crop import CropPlan, plan_crop
from dolorim.video.crop_stream import CropStream, cut_together, open_crops
from dolorim.video.empty_chambers import find_empty
from dolorim.video.frame_times import frame_times, grid_of_video
from dolorim.video.picture_size import of_other_shape
from dolorim.video.random_access import DisagreementError
from dolorim.video.reader import VideoInfo, probe
from dolorim.video.time_grid import TimeGrid, time_grid


class _Stored(NamedTuple):
    """A video's entry in the cache, and the recording with it as the run's time grid shows it.

    `pose_rows` is the number of rows of its pose, if there is one.
    """

    entry: CachedVideo
    recording: LabelledRecording
    pose_rows: int | None


@dataclass(frozen=True)
class VideoPredictor:
    """Runs a network, which is loaded once, on one recording after another."""

    predictor: Decider
    config: Config
    lengths: BodyLengths = NO_LENGTHS
    store: FrameStore | None = None
    """Where quick heads that decide alone find features of videos that were seen before."""

    def predict_video(self, recording: PredictInput) -> RawPrediction:
        """Predict a whole recording. Raises `UserError`."""
        if recording.video is not None:
            if self.predictor.input_spec.visual is None:
                raise UserError(
                    f"{recording.file}: has no pose file, and the run labels poses alone"
                )
            stored = self._stored(recording)
            if stored is not None:
                return self._predict_stored(recording, stored)
            return self._predict_frames(recording, recording.video)
        return self._predict_pose(recording)

    def is_stored(self, recording: PredictInput) -> bool:
        """Can the recording be predicted without decoding its video?"""
        return self._stored(recording) is not None

    def _stored(self, recording: PredictInput) -> _Stored | None:
        """The recording with its features, if they are stored; it has no labels."""
        video = recording.video
        if self.store is None or video is None:
            return None
        data = self._crop_settings(recording, video)
        entry = load(video, data, recording.pose, pictures=False)
        if entry is None:
            return None
        info = probe(video)
        grid = self._grid(video, info, None)
        if grid is not None and not grid.fits(entry.time_s):
            grid = self._grid(video, info, entry.time_s)
        labels = np.full(entry.n_frames, UNLABELED, np.int16)
        seen = LabelledRecording(Recording(recording.stem, "", labels, file=video), entry)
        track = self._pose_to_use(recording, info)
        rows = None if track is None else track.n_frames
        if grid is not None:
            seen = seen.on_grid(grid.first(entry.n_frames))
            track = None if track is None else track.resampled(grid.places, grid.rate_hz)
        stored = _Stored(entry, replace(seen, track=track), rows)
        return stored if self.store.has(stored.recording) else None

    def _stored_among(self, recordings: Sequence[PredictInput]) -> dict[PredictInput, _Stored]:
        """Those of the recordings whose features are stored."""
        stored = {recording: self._stored(recording) for recording in recordings}
        return {recording: one for recording, one in stored.items() if one is not None}

    def _predict_stored(self, recording: PredictInput, stored: _Stored) -> RawPrediction:
        """What `_predict_frames` returns, from features that are stored."""
        clock, entry = Stopwatch(), stored.entry
        with clock.on("network"):
            decisions = self.predictor(stored.recording)
        corner_px = (0, 0) if recording.chamber is None else recording.chamber.box[:2]
        return RawPrediction(
            decisions.probabilities,
            entry.time_s,
            damage=entry.damage,
            inputs=("video",) if stored.pose_rows is None else ("video", "pose"),
            seconds=clock,
            sizes=entry.sizes,
            grid=stored.recording.grid,
            pose_rows=stored.pose_rows,
            centers_px=entry.centers * entry.side_px + np.array(corner_px, np.float32),
            side_px=entry.side_px,
            seen_length_px=entry.seen_length_px,
            several=entry.several,
        )

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
        poses = self._pose_to_use(recording, crops.info)
        reading = self._reading(recording, crops, poses, grid)
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
        stored = self._stored_among([*plans])
        plans = {recording: plan for recording, plan in plans.items() if recording not in stored}
        streams: list[CropStream] = []
        if plans:
            streams = cut_together(video, info, [*plans.values()], stopwatch=clock)
        readings = {
            recording: self._reading(recording, stream, poses[recording], grid)
            for recording, stream in zip(plans, streams, strict=True)
        }
        if readings:
            self._decide_on([*readings.values()], video.name, clock)
        if not all(reading.times_fit for reading in readings.values()):
            decoded_s = next(iter(readings.values())).time_s
            return self.predict_chambers(recordings, decoded_s)
        outcomes: list[RawPrediction | UserError] = []
        for recording in recordings:
            if recording in errors:
                outcomes.append(errors[recording])
            elif recording in stored:
                outcomes.append(self._predict_stored(recording, stored[recording]))
            elif recording not in readings:
                times = [reading.time_s for reading in readings.values()]
                times += [one.entry.time_s for one in stored.values()]
                outcomes.append(_nobody(video, times))
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

    def _reading(
        self,
        recording: PredictInput,
        crops: CropStream,
        poses: PoseTrack | None,
        grid: TimeGrid | None,
    ) -> Reading:
        reading = Reading(crops, poses, grid)
        if self.store is not None and recording.video is not None:
            data = self._crop_settings(recording, recording.video)
            state = state_of(recording.video, data, recording.pose)
            reading.to_keep = self.store.key_of(reading.poses_on_grid, grid), state
        return reading

    def _decide_on(self, readings: Sequence[Reading], name: str, clock: Stopwatch) -> None:
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


def _nobody(video: Path, times: Sequence[np.ndarray]) -> RawPrediction:
    """The prediction of an empty chamber; its frames are those of the other chambers."""
    time_s = times[0] if times else frame_times(video, decode=True)
    return RawPrediction(np.empty((0, 0), np.float32), time_s, None, ("video",), empty=True)


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
