"""Features of single frames, computed once for each recording and kept in the cache.

Quick heads learn from them. Those of the picture lie in the video's entry of the frame cache; those
of a pose lie beside the entries, under a hash of the points that they were computed from.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dolorim import __version__
from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.inference.backbone_features import recording_key
from dolorim.inference.streaming import Predictor, blocks_of
from dolorim.models.quick import FrameFeatures, QuickRecognizer, with_means
from dolorim.models.recognizer import Streams
from dolorim.pose.features import REACH
from dolorim.pose.pose_track import PoseTrack
from dolorim.terminal import progress
from dolorim.video.cache import alone_with, cache_folder, feature_file
from dolorim.video.crop import Crops
from dolorim.video.crop_stream import crops_on_grid, open_crops
from dolorim.video.time_grid import TimeGrid

UNIT = 1024
"""Frames whose columns are computed at a time."""


@dataclass(frozen=True)
class StoredFrames:
    """A recording's features of frames, `(time, width)` float32 each; None for a missing stream."""

    visual: np.ndarray | None
    pose: np.ndarray | None

    @property
    def n_frames(self) -> int:
        stream = self.pose if self.visual is None else self.visual
        assert stream is not None
        return len(stream)

    def columns(self, model: QuickRecognizer, start: int, stop: int) -> torch.Tensor:
        """What the model's heads read of the frames `[start, stop)`."""
        windows: list[int] = model.windows.tolist()
        first, last = max(0, start - model.before), min(self.n_frames, stop + model.after)
        parts = []
        for stream in (self.visual, self.pose):
            values = None if stream is None else np.array(stream[first:last], np.float32)
            parts.append(None if values is None else torch.from_numpy(values)[None])
        features = model.joined(Streams(*parts))[0]
        return with_means(features, windows)[start - first : stop - first]

    def units(self, every: int = 1) -> Iterator[tuple[int, int]]:
        """The ranges of every `every`-th unit of frames."""
        for start in range(0, self.n_frames, every * UNIT):
            yield start, min(start + UNIT, self.n_frames)


class FrameStore:
    """Features of frames, computed with a predictor whose model is quick, or read where stored."""

    def __init__(self, predictor: Predictor, config: Config) -> None:
        assert isinstance(predictor.model, QuickRecognizer)
        self.predictor, self.config, self.model = predictor, config, predictor.model
        self._key = ""
        if self.model.visual is not None:
            self._key = _weights_key(predictor, self.model.visual)

    def of(self, recording: LabelledRecording) -> StoredFrames:
        """The features of a recording. Raises `UserError` where the cache cannot be written."""
        track = None if self.model.pose is None else recording.track
        pose = None if track is None else self._of_pose(track)
        return StoredFrames(self._of_pictures(recording), pose)

    def of_all(self, recordings: Sequence[LabelledRecording]) -> list[StoredFrames]:
        features = []
        with progress("features of frames", sum(r.n_frames for r in recordings)) as bar:
            for recording in recordings:
                features.append(self.of(recording))
                bar(recording.n_frames)
        return features

    def in_place_of_pictures(self, recording: LabelledRecording) -> LabelledRecording:
        """The recording with stored features of its pictures, for the predictor to read."""
        return dataclasses.replace(recording, features=self._of_pictures(recording))

    def key_of(self, track: PoseTrack | None, grid: TimeGrid | None) -> str:
        """The key of a recording's features of pictures, in the entry of its video."""
        assert self.model.visual is not None
        # The numbers of shape and motion do not know the pose; an encoder may.
        spec = dataclasses.replace(self.predictor.input_spec, points=False)
        if len(self.model.visual.encoders):
            spec = self.predictor.input_spec
        return f"frames-{self._key}-{recording_key(track, grid, spec)}"

    def has(self, recording: LabelledRecording) -> bool:
        """Are the features of the recording's pictures stored, for all its frames?"""
        assert recording.video is not None
        path = feature_file(recording.video, self.key_of(recording.track, recording.grid))
        return _stored(path, recording.n_frames) is not None

    def _of_pictures(self, recording: LabelledRecording) -> np.ndarray | None:
        video = recording.video
        if video is None or self.model.visual is None:
            return None

        def compute() -> np.ndarray:
            parts = self.predictor.features(_blocks(recording), recording.track, video.side_px)
            return np.concatenate([*parts])

        path = feature_file(video, self.key_of(recording.track, recording.grid))
        return _once(path, compute, recording.n_frames)

    def _of_pose(self, track: PoseTrack) -> np.ndarray:
        input_spec = self.predictor.input_spec
        what = [__version__, input_spec.kind, track.names, track.length_px, track.rate_hz]
        key = _digest(track.points, track.since_seen, about=json.dumps(what))

        def compute() -> np.ndarray:
            frames = np.arange(-REACH, track.n_frames + REACH)
            points, since_seen = track.at(frames, 0, track.n_frames - 1)
            return input_spec.features_of(track, points, since_seen)

        path = cache_folder(self.config.data) / "poses" / f"{key}.npy"
        return _once(path, compute, track.n_frames)


def _blocks(recording: LabelledRecording) -> Iterable[Crops]:
    """The crops of a recording: stored pictures, else what its video decodes to."""
    video = recording.video
    assert video is not None
    if video.images is not None:
        return blocks_of(video)
    assert video.cropping is not None
    crops = open_crops(video.video, video.cropping.config, video.cropping.pose)
    return crops if recording.grid is None else crops_on_grid(crops, recording.grid)


def _once(path: Path, compute: Callable[[], np.ndarray], n_frames: int) -> np.ndarray:
    """The stored array of so many rows, computed and stored first where it is not there."""
    try:
        with alone_with(path):
            stored = _stored(path, n_frames)
            if stored is not None:
                return stored
            part = path.with_suffix(".part.npy")
            np.save(part, compute())
            part.replace(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); choose another --cache DIR"
        ) from None
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _stored(path: Path, n_frames: int) -> np.ndarray | None:
    """A stored array; None if there is none of so many rows."""
    try:
        stored: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):  # the last two: a disk that was full
        return None
    return stored if len(stored) == n_frames else None


def _weights_key(predictor: Predictor, visual: FrameFeatures) -> str:
    """A hash of what features of pictures depend on beside the pictures."""
    arrays = [t.detach().cpu().contiguous().numpy() for t in visual.state_dict().values()]
    about = f"{__version__} {visual.width}"
    if len(visual.encoders):  # numbers of shape and motion are computed in full precision
        about += f" {predictor.precision}"
    return _digest(*arrays, about=about)


def _digest(*arrays: np.ndarray, about: str = "") -> str:
    digest = hashlib.sha256(about.encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
