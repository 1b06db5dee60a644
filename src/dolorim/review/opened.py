"""An opened recording: frames, probabilities, motion and points, each worked out when it is first
asked for."""

from __future__ import annotations

import io
import struct
import threading
import time
from functools import cached_property

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter1d

from dolorim.core.errors import UserError
from dolorim.labels.prediction_files import read_predictions
from dolorim.review.contents import Item, Review, points_of, pose_of, predicted_labels
from dolorim.video import localizer as localize
from dolorim.video.crop import CropPlan, plan_crop
from dolorim.video.random_access import FrameSource
from dolorim.video.reader import Frame, probe, promised_frames

TILE = 1024  # columns of a tile
_COUNT_AT_ONCE = 1500  # frames up to which a video is counted before it is shown
_FRAME_HEAD = struct.Struct("<IIfff")
_QUALITY = 85


class Opened:
    """A recording that is open; what takes time is worked out when it is first asked for."""

    def __init__(self, item: Item, review: Review) -> None:
        self.item, self.review = item, review
        self.lock = threading.RLock()
        self.last_asked = 0.0
        self.source = None if item.problem else FrameSource(item.video)

    @property
    def n_frames(self) -> int:
        """Predicted frames; without predictions those that decode, or, until they are counted, that
        the file holds."""
        if self.item.n_frames is not None:
            return self.item.n_frames
        source = self._source()
        with self.lock:
            if source.n_frames is None and (
                source.packets is None or len(source.packets.pts) <= _COUNT_AT_ONCE
            ):
                source.count()
        if source.n_frames is not None:
            return source.n_frames
        assert source.packets is not None
        return len(source.packets.pts)

    def n_frames_or(self, default: int) -> int:
        """The number of frames, or a default where it is not known yet: a first picture should not
        wait for it."""
        known = self.item.n_frames is not None or (
            self.source is not None and self.source.n_frames is not None
        )
        return self.n_frames if known or self.source is None or self.source.listed else default

    @property
    def counted(self) -> bool:
        return (
            self.source is None
            or self.item.n_frames is not None
            or self.source.n_frames is not None
        )

    def count(self) -> None:
        """Count the frames by decoding, whenever nobody waits for a picture."""
        if self.source is not None:
            self.source.count(self._wait_until_idle)

    def _wait_until_idle(self) -> None:
        while time.monotonic() - self.last_asked < 1.0:
            time.sleep(0.2)

    @cached_property
    def bouts(self) -> list[list[float]] | None:
        """Predicted bouts as [start, stop, label, mean probability]."""
        if self.item.predictions is None:
            return None
        return [
            [b.start, b.stop, b.label, p]
            for b, p in predicted_labels(self.item, self.review.ethogram)[0]
        ]

    @cached_property
    def probabilities(self) -> np.ndarray | None:
        """`(n_frames, classes)` uint8."""
        if self.item.predictions is None:
            return None
        found = read_predictions(self.item.predictions)
        if self.source is not None:
            self.source.check(found.container_time_s)
        return np.round(found.probabilities * 255).astype(np.uint8)

    @cached_property
    def points(self) -> tuple[list[str], list[tuple[int, int]], np.ndarray] | None:
        path = pose_of(self.item, self.review)
        return None if path is None else points_of(path)

    @cached_property
    def _view(self) -> CropPlan:
        return plan_crop(self._source().path, self.review.config)

    @cached_property
    def _motion(self) -> np.ndarray | None:
        """`(n_frames,)` uint8: what each frame adds to the file, a cheap measure of how much has
        moved in it."""
        packets = None if self.source is None else self.source.packets
        if (
            packets is None or np.mean(packets.bytes == 0) > 0.5
        ):  # every picture stands for itself: no differences
            return None
        size = packets.bytes.astype(np.float32)
        keys = np.flatnonzero(size == 0)
        size[keys] = size[np.minimum(keys + 1, len(size) - 1)]
        size = uniform_filter1d(size, 9, mode="nearest")  # kinds of frames alternate
        low, high = np.percentile(size, (5, 99.5))
        return np.round(np.sqrt(np.clip((size - low) / max(1, high - low), 0, 1)) * 255).astype(
            np.uint8
        )

    def tile(self, step: int, index: int) -> tuple[np.ndarray, bool, bool]:
        """`(columns, channels)` uint8, `step` frames a column: mean probabilities and the largest
        doubt (1 - highest probability), then motion; and whether there are probabilities and
        motion."""
        first, last = index * TILE * step, min((index + 1) * TILE * step, self.n_frames)
        parts = []
        with self.lock:
            probabilities, motion = self.probabilities, self._motion
        if last <= first:
            return np.empty((0, 0), np.uint8), probabilities is not None, motion is not None
        at = np.arange(0, last - first, step)
        if probabilities is not None:
            part = probabilities[first:last]
            width = np.diff(np.append(at, len(part)))[:, None]
            parts.append(
                (np.add.reduceat(part, at, axis=0, dtype=np.uint32) / width).astype(np.uint8)
            )
            parts.append(np.maximum.reduceat(255 - part.max(1), at)[:, None])
        if motion is not None:
            part = np.zeros(last - first, np.uint8)
            part[: max(0, len(motion) - first)] = motion[first:last]
            parts.append(np.maximum.reduceat(part, at)[:, None])
        found = np.concatenate(parts, axis=1) if parts else np.empty((0, 0), np.uint8)
        return found, probabilities is not None, motion is not None

    def frames(self, first: int, count: int, step: int, follow: bool) -> bytes:
        """Frames as JPEG, each behind a head: index, bytes, time in s, and the animal's x and y
        (NaN if not asked)."""
        self.last_asked = time.monotonic()
        view = None
        if follow:
            with self.lock:
                view = self._view
        out = []
        count = min(count, -(-(self.n_frames_or(first + count * step) - first) // step))
        for frame in self._source().read(first, count, step):
            buffer = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(frame.gray)).save(buffer, "JPEG", quality=_QUALITY)
            x, y = (float("nan"),) * 2 if view is None else _place(view, frame)
            out += [
                _FRAME_HEAD.pack(frame.index, buffer.tell(), frame.time_s, x, y),
                buffer.getvalue(),
            ]
        return b"".join(out)

    @property
    def side_px(self) -> float:
        """Side of the window that follows the animal."""
        with self.lock:
            return self._view.side_px

    def times(self) -> np.ndarray:
        """When each frame is shown, `(n_frames,)` float64 in seconds; empty where only the rate is
        known."""
        packets = None if self.source is None else self.source.packets
        return np.empty(0) if packets is None else packets.time_s[: self.n_frames]

    def frame_times(self) -> np.ndarray:
        """When each frame is shown, `(n_frames,)` seconds; counts the frames where the file does
        not say it."""
        if (
            self.source is None and self.item.predictions is not None
        ):  # the video is away, what was predicted is not
            return read_predictions(self.item.predictions).time_s
        return self._source().times(self.n_frames)

    @property
    def promised(self) -> int | None:
        """Frames that the header of a video claims which stops being readable; None for a whole
        one."""
        if self.source is None:
            return None
        damaged = bool(self.source.damage or self.item.meta.get("damage"))
        if not damaged and not self.review.config.allow_damaged:
            return None
        return promised_frames(probe(self.source.path), self.n_frames, damaged)

    def _source(self) -> FrameSource:
        if self.source is None:
            raise UserError(self.item.problem)
        return self.source


def _place(view: CropPlan, frame: Frame) -> tuple[float, float]:
    if view.scene is None:
        return view.center_px
    small = localize.shrink(frame.luma, view.scene.factor)
    return (
        localize.locate(view.scene, small)
        if small.shape == view.scene.median.shape
        else view.center_px
    )
