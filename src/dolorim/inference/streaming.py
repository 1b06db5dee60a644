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
from dolorim.models.recognizer import Inputs, Recognizer, Streams
from dolorim.pose.features import REACH
from dolorim.pose.pose_track import PoseTrack
from dolorim.terminal import warn
from dolorim.video.cache import CachedVideo
from dolorim.video.crop import Crops

T = TypeVar("T")
UNIT = 1024
"""Frames that are decided at a time, as long as nobody says otherwise; a multiple of those that are encoded."""


class Decisions(NamedTuple):
    """Of consecutive frames: `probabilities` `(time, classes)` float32; or None, `keypoints` `(time, keypoint, 2)` in
    the crop, from -1 to 1, and the probability that they are `visible` `(time, keypoint)`."""

    probabilities: np.ndarray
    keypoints: np.ndarray | None = None
    visible: np.ndarray | None = None


class Predictor:
    """A recognizer made ready to predict, on its device.

    `chunk` frames are encoded at a time, and `read` are decided. Their numbers have no influence on the result: each
    chunk comes with the real frames around it, and only a video's own ends are padded with its outermost frames. `fold`
    copies the recognizer and folds normalizations into convolutions; without it, the recognizer is used as it stands.
    Keypoints are only found where they are asked for: what they are read from takes a thousand times their memory.
    """

    def __init__(
        self,
        model: Recognizer,
        input_spec: InputSpec,
        device: torch.device,
        precision: str = "auto",
        chunk: int | None = None,
        read: int = UNIT,
        fold: bool = True,
        compiled: bool = False,
        keypoints: bool = False,
    ) -> None:
        self.keypoints = keypoints
        self.model = fold_normalization(model).to(device) if fold else model
        self.input_spec, self.device, self.read = input_spec, device, read
        self.chunk = chunk or (64 if device.type == "cpu" else 256)
        self._see_with = compiled_or_not(self.model.encode) if compiled else self.model.encode
        self.precision: Precision = pick_precision(precision, device)

    def __call__(self, footage: LabelledRecording) -> Decisions:
        """Decisions on a whole recording."""
        if footage.features is not None:
            return _joined(self._read(self._stored(footage)))
        blocks = None if footage.video is None else blocks_of(footage.video)
        side_px = 1.0 if footage.video is None else footage.video.side_px
        return _joined(self.stream(blocks, footage.track, side_px))

    def stream(
        self, blocks: Iterable[Crops] | None, track: PoseTrack | None = None, side_px: float = 1.0
    ) -> Iterator[Decisions]:
        """Decisions on consecutive frames, some at a time.

        Without `blocks` of crops (whose windows are `side_px` wide), the pose alone decides, on all its frames. A
        recognizer that could use a pose does without where there is no `track`.
        """
        seen = (
            self._encode(blocks, track, side_px) if blocks is not None else self._encode_pose(track)
        )
        yield from self._read(seen)

    def features(
        self, blocks: Iterable[Crops], track: PoseTrack | None, side_px: float
    ) -> Iterator[np.ndarray]:
        """What the visual encoder alone sees of consecutive frames, `(time, width)` float16, for a cache."""
        for streams in self._encode(blocks, track, side_px):
            assert streams.visual is not None
            yield streams.visual[0].half().cpu().numpy()

    def _encode(
        self, blocks: Iterable[Crops], track: PoseTrack | None, side_px: float
    ) -> Iterator[Streams]:
        before, after = self._context()
        waiting: Crops | None = None
        start = 0
        for block in blocks:
            if len(block.images) == 0:
                continue
            start = block.start if waiting is None else start
            waiting = _joined_crops(
                _repeated(block, 0, before) if waiting is None else waiting, block
            )
            while len(waiting.images) >= self.chunk + before + after:
                yield self._see(waiting, start, self.chunk, track, side_px)
                waiting, start = waiting.skip(self.chunk), start + self.chunk
        if waiting is None:
            return
        waiting = _joined_crops(waiting, _repeated(waiting, -1, after))
        while (left := len(waiting.images) - before - after) > 0:
            yield self._see(waiting, start, min(self.chunk, left), track, side_px)
            waiting, start = waiting.skip(self.chunk), start + self.chunk

    def _encode_pose(self, track: PoseTrack | None) -> Iterator[Streams]:
        if track is None:
            raise ValueError("neither frames nor a pose to decide by")
        for start in range(0, track.n_frames, self.read):
            yield self._encoded(self._pose(track, start, min(self.read, track.n_frames - start)))

    def _see(
        self, crops: Crops, start: int, frames: int, track: PoseTrack | None, side_px: float
    ) -> Streams:
        before, after = self._context()
        stop = frames + before + after
        pictures = self._moved(
            crops.images[:stop]
        )  # as bytes: a quarter of what floats would take on the way
        inputs = {
            "frames": pictures[None, None].float() / 255,
            "crop_centers": self._moved(crops.centers[:stop])[None],
        }
        if track is not None:
            inputs |= self._pose(track, start, frames)
            if self.input_spec.points:
                inner = slice(before, before + frames)
                points, _ = track.at(np.arange(start, start + frames), 0, track.n_frames - 1)
                places = crop_points(
                    points[:, 0], crops.centers[inner], crops.angles_rad[inner], side_px
                )
                inputs["points"] = self._moved(places)[None]
        return self._encoded(inputs)

    def _pose(self, track: PoseTrack, start: int, frames: int) -> dict[str, torch.Tensor]:
        halo = self.input_spec.pose
        if halo is None:
            return {}
        places = np.arange(start - halo.before - REACH, start + frames + halo.after + REACH)
        found = self.input_spec.features_of(track, *track.at(places, 0, track.n_frames - 1))
        inside = places[REACH : len(places) - REACH]
        return {
            "pose": self._moved(found)[None],
            "pose_inside": self._moved((inside >= 0) & (inside < track.n_frames))[None],
        }

    def _moved(self, array: np.ndarray) -> torch.Tensor:
        """To the device; to a GPU out of pinned memory, so that the copy runs beside what the GPU is doing."""
        tensor = torch.from_numpy(array)
        return (tensor.pin_memory() if self.device.type == "cuda" else tensor).to(
            self.device, non_blocking=True
        )

    @torch.inference_mode()
    def _encoded(self, inputs: dict[str, torch.Tensor]) -> Streams:
        with autocast(self.device, self.precision):
            seen = self._see_with(Inputs(**inputs), halo=True, maps=int(self.keypoints))
        if isinstance(self.model.visual, Pretrained) and seen.visual is not None:
            seen = seen._replace(
                visual=seen.visual.half().float()
            )  # as they are stored: both ways decide alike
        return seen

    def _stored(self, footage: LabelledRecording) -> Iterator[Streams]:
        """Streams of a recording whose visual features have been computed before, in chunks as of frames: to the last
        bit, a sum depends on how many are made at a time."""
        assert footage.features is not None
        for start in range(0, footage.n_frames, self.chunk):
            stored = torch.from_numpy(
                footage.features[start : start + self.chunk].astype(np.float32)
            )[None].to(self.device)
            inputs = {"features": stored}
            if footage.track is not None:
                inputs |= self._pose(footage.track, start, stored.shape[1])
            yield self._encoded(inputs)

    def _read(self, streams: Iterable[Streams]) -> Iterator[Decisions]:
        before, after = self.model.before, self.model.after
        if before == after == 0:
            for seen in streams:
                yield self._decide(seen, 0, _length(seen))
            return
        waiting: Streams | None = None
        context = 0  # frames of `waiting` that have been decided on and stay as context
        for seen in streams:
            waiting = seen if waiting is None else _laid_together(waiting, seen)
            while _length(waiting) - context >= self.read + after:
                yield self._decide(waiting, context, self.read)
                drop = max(0, context + self.read - before)
                waiting, context = _cut(waiting, drop), context + self.read - drop
        if waiting is not None and _length(waiting) > context:
            yield self._decide(waiting, context, _length(waiting) - context)

    @torch.inference_mode()
    def _decide(self, streams: Streams, first: int, frames: int) -> Decisions:
        with autocast(self.device, self.precision):
            found = self.model.read(streams, dense=True)
        inner = slice(first, first + frames)
        probabilities = found.actions[0, inner].float().softmax(-1).cpu().numpy()
        if found.keypoints is None:
            return Decisions(probabilities)
        keypoints = found.keypoints.places[0, inner].float()
        visible = found.keypoints.visibility[0, inner].float().sigmoid()
        return Decisions(probabilities, keypoints.cpu().numpy(), visible.cpu().numpy())

    def around(self, start: int, stop: int | None) -> tuple[int, int | None]:
        """From which frame on, and up to which, crops are needed so that `[start, stop)` come out as of the whole.

        `start` and `stop` must be multiples of `unit`; the very numbers come out, since the same pieces are computed.
        """
        before, after = self._context()
        first = max(0, (start - self.model.before - before) // self.unit * self.unit)
        last = (
            None
            if stop is None
            else -(-(stop + self.model.after) // self.chunk) * self.chunk + after
        )
        return first, last

    @property
    def unit(self) -> int:
        """Frames after which encoding and deciding repeat themselves."""
        return math.lcm(self.chunk, self.read)

    def _context(self) -> tuple[int, int]:
        halo = self.input_spec.visual
        return (0, 0) if halo is None else (halo.before, halo.after)


def compiled_or_not(see: Callable[..., T]) -> Callable[..., T]:
    """The same, compiled; where that fails it is said, and the uncompiled one goes on."""
    fast, broken = torch.compile(see), False

    def with_fallback(*inputs: Any, **how: Any) -> T:
        nonlocal broken
        if not broken:
            try:
                return fast(*inputs, **how)
            except RuntimeError as error:  # what torch.compile raises, its own errors among them
                broken = True
                warn(f"torch.compile failed ({str(error).splitlines()[0][:200]}); going on without")
        return see(*inputs, **how)

    return with_fallback


def fold_normalization(model: Recognizer) -> Recognizer:
    """A copy in evaluation mode whose convolutions carry the batch normalization that follows them."""
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            for i, (one, two) in enumerate(itertools.pairwise(list(module))):
                if isinstance(one, nn.Conv2d) and isinstance(two, nn.BatchNorm2d):
                    module[i], module[i + 1] = fuse_conv_bn_eval(one, two), nn.Identity()
    return model


def blocks_of(video: CachedVideo, size: int = 256) -> Iterator[Crops]:
    """A cached video as the stream that a decoded one would be."""
    for start in range(0, video.n_frames, size):
        part = slice(start, start + size)
        yield Crops(
            start, np.asarray(video.images[part]), video.centers[part], video.time_s[part], video.angles_rad[part]
        )  # fmt: skip


def _joined(parts: Iterable[Decisions]) -> Decisions:
    probabilities, keypoints, visible = zip(*parts, strict=True)
    if keypoints[0] is None:
        return Decisions(np.concatenate(probabilities))
    return Decisions(*map(np.concatenate, (probabilities, keypoints, visible)))


def _arrays(crops: Crops) -> tuple[np.ndarray, ...]:
    return crops.images, crops.centers, crops.time_s, crops.angles_rad


def _joined_crops(one: Crops, two: Crops) -> Crops:
    return Crops(
        one.start, *(np.concatenate(pair) for pair in zip(_arrays(one), _arrays(two), strict=True))
    )


def _repeated(crops: Crops, frame: int, times: int) -> Crops:
    return Crops(crops.start, *(np.repeat(a[[frame]], times, axis=0) for a in _arrays(crops)))


def _length(streams: Streams) -> int:
    return next(s.shape[1] for s in streams if s is not None)


def _laid_together(one: Streams, two: Streams) -> Streams:
    return Streams(
        *(
            None if a is None or b is None else torch.cat([a, b], 1)
            for a, b in zip(one, two, strict=True)
        )
    )


def _cut(streams: Streams, frames: int) -> Streams:
    return Streams(*(None if s is None else s[:, frames:] for s in streams))
