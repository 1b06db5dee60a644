"""Frames and points in, decisions out, for a recording of any length in constant memory."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dolorim.dataset.labelled_recording import InputSpec, LabelledRecording, crop_points
from dolorim.inference.hardware import Precision, autocast, pick_precision
from dolorim.models.pretrained import Pretrained
from dolorim.models.quick import QuickRecognizer
from dolorim.models.recognizer import Inputs, Recognizer, Streams
from dolorim.pose.features import REACH
from dolorim.pose.pose_track import PoseTrack
from dolorim.terminal import warn
from dolorim.video.cache import CachedVideo
from dolorim.video.crop import Crops

T = TypeVar("T")
Model = TypeVar("Model", bound=nn.Module)
UNIT = 1024
"""Frames that are decided at a time by default; a multiple of the frames that are encoded at a
time.
"""
_CHUNK_CPU, _CHUNK_GPU = 64, 256  # frames that are encoded at a time


class Decisions(NamedTuple):
    """The network's output for consecutive frames.

    `probabilities` `(time, classes)` float32. `keypoints` `(time, keypoint, 2)` are places in the
    crop, from -1 to 1, and `visible` `(time, keypoint)` the probability that each is visible.
    `features` `(time, width)` are those of the pictures. None where they were not requested.
    """

    probabilities: np.ndarray
    keypoints: np.ndarray | None = None
    visible: np.ndarray | None = None
    features: np.ndarray | None = None


class Predictor:
    """A recognizer made ready to predict, on its device.

    `chunk` frames are encoded at a time, and `read` frames are decided at a time. These numbers
    do not change the result: each chunk comes with the real frames around it, and only the ends
    of a video are padded, with its outermost frames. `fold` copies the recognizer and folds batch
    normalization into convolutions; without it, the recognizer is used as it is. Keypoints are
    found only on request, because the maps that they are read from take a thousand times their
    memory. With `features`, decisions come with what the encoder has seen in the pictures.
    """

    def __init__(
        self,
        model: Recognizer | QuickRecognizer,
        input_spec: InputSpec,
        device: torch.device,
        precision: str = "auto",
        chunk: int | None = None,
        read: int = UNIT,
        fold: bool = True,
        compiled: bool = False,
        keypoints: bool = False,
        features: bool = False,
    ) -> None:
        self.keypoints, self.keeps_features = keypoints, features
        self.model = fold_normalization(model).to(device) if fold else model
        self.input_spec, self.device, self.read = input_spec, device, read
        self.chunk = chunk or (_CHUNK_CPU if device.type == "cpu" else _CHUNK_GPU)
        encode = self.model.encode
        self._encode_with = compiled_with_fallback(encode) if compiled else encode
        self.precision: Precision = pick_precision(precision, device)

    def __call__(self, recording: LabelledRecording) -> Decisions:
        """Decisions on a whole recording."""
        if recording.features is not None:
            return _joined_decisions(self._decide_all(self._stored_streams(recording)))
        blocks, side_px = None, 1.0
        if recording.video is not None:
            blocks, side_px = blocks_of(recording.video), recording.video.side_px
        return _joined_decisions(self.stream(blocks, recording.track, side_px))

    def stream(
        self, blocks: Iterable[Crops] | None, poses: PoseTrack | None = None, side_px: float = 1.0
    ) -> Iterator[Decisions]:
        """Decisions on consecutive frames, some at a time.

        `blocks` are crops whose windows are `side_px` wide; without them, the pose alone decides,
        on all its frames. A recognizer that can use a pose does without it where `poses` is None.
        """
        if blocks is None:
            yield from self._decide_all(self._encode_poses(poses))
        else:
            yield from self._decide_all(self._encode_crops(blocks, poses, side_px))

    def features(
        self, blocks: Iterable[Crops], poses: PoseTrack | None, side_px: float
    ) -> Iterator[np.ndarray]:
        """The visual encoder's output for consecutive frames, `(time, width)`, for a cache.

        That of a pretrained encoder is float16, to which it has been rounded.
        """
        rounded = isinstance(self.model.visual, Pretrained)
        for streams in self._encode_crops(blocks, poses, side_px):
            assert streams.visual is not None
            features = streams.visual[0].half() if rounded else streams.visual[0].float()
            yield features.cpu().numpy()

    def _encode_crops(
        self, blocks: Iterable[Crops], poses: PoseTrack | None, side_px: float
    ) -> Iterator[Streams]:
        before, after = self._context()
        # `waiting` begins with the `before` frames of context of the next chunk, which is to begin
        # at frame `start` of the video.
        waiting: Crops | None = None
        start = 0
        for block in blocks:
            if len(block.images) == 0:
                continue
            if waiting is None:
                waiting, start = _repeated(block, 0, before), block.start
            waiting = _joined_crops(waiting, block)
            while len(waiting.images) >= self.chunk + before + after:
                yield self._encode_chunk(waiting, start, self.chunk, poses, side_px)
                waiting, start = waiting.skip(self.chunk), start + self.chunk
        if waiting is None:
            return
        waiting = _joined_crops(waiting, _repeated(waiting, -1, after))
        while (left := len(waiting.images) - before - after) > 0:
            yield self._encode_chunk(waiting, start, min(self.chunk, left), poses, side_px)
            waiting, start = waiting.skip(self.chunk), start + self.chunk

    def _encode_poses(self, poses: PoseTrack | None) -> Iterator[Streams]:
        if poses is None:
            raise ValueError("neither frames nor a pose to decide by")
        for start in range(0, poses.n_frames, self.read):
            n_frames = min(self.read, poses.n_frames - start)
            yield self._encode(self._pose_inputs(poses, start, n_frames))

    def _encode_chunk(
        self, crops: Crops, start: int, n_frames: int, poses: PoseTrack | None, side_px: float
    ) -> Streams:
        before, after = self._context()
        stop = n_frames + before + after
        # Bytes travel to the device: floats would be four times as many.
        images = self._to_device(crops.images[:stop])
        inputs = {
            "frames": images[None, None].float() / 255,
            "crop_centers": self._to_device(crops.centers[:stop])[None],
        }
        if poses is not None:
            inputs |= self._pose_inputs(poses, start, n_frames)
            if self.input_spec.points:
                inner = slice(before, before + n_frames)
                frames = np.arange(start, start + n_frames)
                points, _ = poses.at(frames, 0, poses.n_frames - 1)
                centers, angles_rad = crops.centers[inner], crops.angles_rad[inner]
                in_crop = crop_points(points[:, 0], centers, angles_rad, side_px)
                inputs["points"] = self._to_device(in_crop)[None]
        return self._encode(inputs)

    def _pose_inputs(self, poses: PoseTrack, start: int, n_frames: int) -> dict[str, torch.Tensor]:
        halo = self.input_spec.pose
        if halo is None:
            return {}
        # Features of a frame look REACH frames to either side, beyond the network's own halo.
        frames = np.arange(start - halo.before - REACH, start + n_frames + halo.after + REACH)
        features = self.input_spec.features_of(poses, *poses.at(frames, 0, poses.n_frames - 1))
        inner = frames[REACH : len(frames) - REACH]
        exists = (inner >= 0) & (inner < poses.n_frames)
        return {
            "pose": self._to_device(features)[None],
            "pose_inside": self._to_device(exists)[None],
        }

    def _to_device(self, array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            # From pinned memory, the copy runs while the GPU computes.
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    @torch.inference_mode()
    def _encode(self, inputs: dict[str, torch.Tensor]) -> Streams:
        with autocast(self.device, self.precision):
            streams = self._encode_with(Inputs(**inputs), halo=True, maps=int(self.keypoints))
        if isinstance(self.model.visual, Pretrained) and streams.visual is not None:
            # Stored features are float16; rounding here makes both ways decide alike.
            streams = streams._replace(visual=streams.visual.half().float())
        return streams

    def _stored_streams(self, recording: LabelledRecording) -> Iterator[Streams]:
        """Streams of a recording whose visual features are stored, in the chunks of the frames.

        A sum depends, in its last bits, on how many are computed at a time.
        """
        assert recording.features is not None
        for start in range(0, recording.n_frames, self.chunk):
            features = recording.features[start : start + self.chunk].astype(np.float32)
            inputs = {"features": torch.from_numpy(features)[None].to(self.device)}
            if recording.track is not None:
                inputs |= self._pose_inputs(recording.track, start, len(features))
            yield self._encode(inputs)

    def _decide_all(self, chunks: Iterable[Streams]) -> Iterator[Decisions]:
        before, after = self.model.before, self.model.after
        if before == after == 0:
            for streams in chunks:
                yield self._decide(streams, 0, _length(streams))
            return
        waiting: Streams | None = None
        context = 0  # frames of `waiting` that have been decided on and stay as context
        for streams in chunks:
            waiting = streams if waiting is None else _joined_streams(waiting, streams)
            while _length(waiting) - context >= self.read + after:
                yield self._decide(waiting, context, self.read)
                drop = max(0, context + self.read - before)
                waiting, context = _streams_from(waiting, drop), context + self.read - drop
        if waiting is not None and _length(waiting) > context:
            yield self._decide(waiting, context, _length(waiting) - context)

    @torch.inference_mode()
    def _decide(self, streams: Streams, first: int, n_frames: int) -> Decisions:
        with autocast(self.device, self.precision):
            output = self.model.read(streams, dense=True)
        inner = slice(first, first + n_frames)
        probabilities = output.actions[0, inner].float().softmax(-1).cpu().numpy()
        features = None
        if self.keeps_features and streams.visual is not None:
            features = streams.visual[0, inner].float().cpu().numpy()
        if output.keypoints is None:
            return Decisions(probabilities, features=features)
        keypoints = output.keypoints.places[0, inner].float()
        visible = output.keypoints.visibility[0, inner].float().sigmoid()
        return Decisions(probabilities, keypoints.cpu().numpy(), visible.cpu().numpy(), features)

    def around(self, start: int, stop: int | None) -> tuple[int, int | None]:
        """The range of crops that `[start, stop)` needs to come out exactly as in the whole video.

        `start` and `stop` must be multiples of `unit`: the same chunks are then computed, so the
        numbers are identical. A stop of None is the end of the video.
        """
        before, after = self._context()
        first = max(0, (start - self.model.before - before) // self.unit * self.unit)
        if stop is None:
            return first, None
        last_chunk = math.ceil((stop + self.model.after) / self.chunk)
        return first, last_chunk * self.chunk + after

    @property
    def unit(self) -> int:
        """Frames after which the pattern of encoding and deciding repeats."""
        return math.lcm(self.chunk, self.read)

    def _context(self) -> tuple[int, int]:
        """Frames before and after a chunk that its encoding depends on."""
        halo = self.input_spec.visual
        return (0, 0) if halo is None else (halo.before, halo.after)


def compiled_with_fallback(encode: Callable[..., T]) -> Callable[..., T]:
    """The same function, compiled; if that fails, there is a warning and the plain one is used."""
    compiled, broken = torch.compile(encode), False

    def with_fallback(*inputs: Any, **options: Any) -> T:
        nonlocal broken
        if not broken:
            try:
                return compiled(*inputs, **options)
            except RuntimeError as error:  # torch.compile's own errors are among these
                broken = True
                reason = str(error).splitlines()[0][:200]
                warn(f"torch.compile failed ({reason}); continuing without it")
        return encode(*inputs, **options)

    return with_fallback


def fold_normalization(model: Model) -> Model:
    """A copy in evaluation mode with batch normalization folded into the convolutions before it."""
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for i, (layer, following) in enumerate(itertools.pairwise(list(module))):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                module[i], module[i + 1] = fuse_conv_bn_eval(layer, following), nn.Identity()
    return model


def blocks_of(video: CachedVideo, size: int = 256) -> Iterator[Crops]:
    """A cached video as blocks of crops, like those of a video that is being decoded."""
    for start in range(0, video.n_frames, size):
        part = slice(start, start + size)
        images = video.pictures(np.arange(start, min(start + size, video.n_frames)))
        yield Crops(start, images, video.centers[part], video.time_s[part], video.angles_rad[part])


def _joined_decisions(parts: Iterable[Decisions]) -> Decisions:
    arrays: list[Any] = []
    for array in zip(*parts, strict=True):
        arrays.append(None if array[0] is None else np.concatenate(array))
    return Decisions(*arrays)


def _arrays(crops: Crops) -> tuple[np.ndarray, ...]:
    return crops.images, crops.centers, crops.time_s, crops.angles_rad


def _joined_crops(first: Crops, second: Crops) -> Crops:
    pairs = zip(_arrays(first), _arrays(second), strict=True)
    return Crops(first.start, *(np.concatenate(pair) for pair in pairs))


def _repeated(crops: Crops, frame: int, times: int) -> Crops:
    return Crops(crops.start, *(np.repeat(a[[frame]], times, axis=0) for a in _arrays(crops)))


def _length(streams: Streams) -> int:
    return next(s.shape[1] for s in streams if s is not None)


def _joined_streams(first: Streams, second: Streams) -> Streams:
    joined: list[torch.Tensor | None] = []
    for a, b in zip(first, second, strict=True):
        joined.append(None if a is None or b is None else torch.cat([a, b], 1))
    return Streams(*joined)


def _streams_from(streams: Streams, frame: int) -> Streams:
    return Streams(*(None if s is None else s[:, frame:] for s in streams))
