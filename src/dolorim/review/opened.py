"""An opened recording: its frames, probabilities, motion, and points.

Each is computed when it is first asked for.
"""

from __future__ import annotations

import dataclasses
import io
import math
import struct
import threading
import time
from functools import cached_property

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter1d

from dolorim.core.errors import UserError
from dolorim.labels.prediction_files import read_predictions
from dolorim.review.contents import Item, Review, predicted_labels
from dolorim.review.points import points_of, pose_of
from dolorim.video.chambers import in_chamber, part_of
from dolorim.video.crop import CropPlan, locate_animal, plan_crop
from dolorim.video.random_access import FrameSource, PacketList
from dolorim.video.reader import Frame, probe, promised_frames

TILE = 1024  # columns of a tile
_COUNT_AT_ONCE = 1500  # frames up to which a video is counted before it is shown
_FRAME_HEAD = struct.Struct("<IIfff")  # index, bytes of the JPEG, time in s, x and y of the animal
_QUALITY = 85  # of the JPEG


class Opened:
    """A recording that is open. `source` is None if its video cannot be shown.

    If it is `blinded`, nothing that a model says about it can be asked for.
    """

    def __init__(self, item: Item, review: Review, *, blinded: bool = False) -> None:
        self.item, self.review, self.blinded = item, review, blinded
        self.lock = threading.RLock()
        self.last_asked = 0.0  # when the page last asked for a frame, in seconds
        self.source: FrameSource | None = None
        if not item.problem:
            self.source = FrameSource(item.video)

    def close(self) -> None:
        if self.source is not None:
            self.source.close()

    @property
    def n_frames(self) -> int:
        """The number of predicted frames.

        Without predictions, the number of frames that decode; until they are counted, the number
        that the file holds.
        """
        if self.item.n_frames is not None:
            return self.item.n_frames
        source = self._source()
        with self.lock:
            if source.n_frames is None:
                packets = source.packets
                if packets is None or len(packets.pts) <= _COUNT_AT_ONCE:
                    source.count()
        if source.n_frames is not None:
            return source.n_frames
        assert source.packets is not None
        return len(source.packets.pts)

    @property
    def rate_hz(self) -> float:
        """Frames per second, as the prediction or the file says; 30 if neither does."""
        if self.item.meta.get("fps"):
            return float(self.item.meta["fps"])
        if self.source is None:
            return 30.0
        return self.source.rate_hz

    def n_frames_or(self, default: int) -> int:
        """The number of frames, or a default if it would have to be read from the file first.

        The first picture should not wait for that.
        """
        if self.counted or self.source is None or self.source.listed:
            return self.n_frames
        return default

    @property
    def counted(self) -> bool:
        """Whether the number of frames is final."""
        if self.source is None or self.item.n_frames is not None:
            return True
        return self.source.n_frames is not None

    def count(self) -> None:
        """Count the frames by decoding, pausing while the page asks for pictures."""
        if self.source is not None:
            self.source.count(self._wait_until_idle)

    def _wait_until_idle(self) -> None:
        while time.monotonic() - self.last_asked < 1.0:
            time.sleep(0.2)

    @cached_property
    def bouts(self) -> list[list[float]] | None:
        """Predicted bouts as [start, stop, label, mean probability]; None if there are none."""
        if self.item.predictions is None or self.blinded:
            return None
        bouts, _ = predicted_labels(self.item, self.review.ethogram)
        return [[bout.start, bout.stop, bout.label, probability] for bout, probability in bouts]

    @cached_property
    def probabilities(self) -> np.ndarray | None:
        """`(n_frames, classes)` uint8, 255 for 1; None if there are none to show."""
        if self.item.predictions is None:
            return None
        predictions = read_predictions(self.item.predictions)
        if self.source is not None:
            # If the file now shows other times than prediction saw, its frames are counted.
            self.source.check(predictions.container_time_s)
        if self.blinded:
            return None
        # A byte per probability is enough for drawing, and an eighth of the memory.
        return np.round(predictions.probabilities * 255).astype(np.uint8)

    @cached_property
    def points(self) -> tuple[list[str], list[tuple[int, int]], np.ndarray] | None:
        """Keypoints as `points_of` returns them; None without a pose file."""
        path = pose_of(self.item, self.review)
        if path is None:
            return None
        return points_of(path)

    @cached_property
    def _crop_plan(self) -> CropPlan:
        config = in_chamber(self.review.config, self.item.chamber)
        return plan_crop(self._source().path, config)

    @property
    def _packets(self) -> PacketList | None:
        if self.source is None:
            return None
        return self.source.packets

    @cached_property
    def _motion(self) -> np.ndarray | None:
        """How much moves in each frame, `(n_frames,)` uint8; None if the file does not tell.

        The measure is the size of the frame in the file, which holds what changed since the frame
        before it.
        """
        packets = self._packets
        # If most frames are key frames, they hold whole pictures and not changes.
        if packets is None or np.mean(packets.bytes == 0) > 0.5:
            return None
        size = packets.bytes.astype(np.float32)
        # A key frame takes the value of the frame after it.
        keys = np.flatnonzero(size == 0)
        size[keys] = size[np.minimum(keys + 1, len(size) - 1)]
        size = uniform_filter1d(
            size, 9, mode="nearest"
        )  # large and small kinds of frames alternate
        low, high = np.percentile(size, (5, 99.5))
        share = np.clip((size - low) / max(1, high - low), 0, 1)
        return np.round(np.sqrt(share) * 255).astype(np.uint8)

    def tile(self, step: int, index: int) -> tuple[np.ndarray, bool, bool]:
        """A part of the timeline, `(columns, channels)` uint8, with `step` frames per column.

        The channels are the mean probability of each class, the largest doubt (1 - highest
        probability), and the largest motion. The second and third results say whether there are
        probabilities and motion.
        """
        # Tiles are numbered from the start, at every zoom.
        first, last = index * TILE * step, min((index + 1) * TILE * step, self.n_frames)
        with self.lock:
            probabilities, motion = self.probabilities, self._motion
        channels = []
        if last > first:
            at = np.arange(0, last - first, step)  # the first frame of each column
            if probabilities is not None:
                channels += _probability_channels(probabilities[first:last], at)
            if motion is not None:
                # The file may hold fewer frames than were predicted.
                shown = np.zeros(last - first, np.uint8)
                shown[: max(0, len(motion) - first)] = motion[first:last]
                channels.append(np.maximum.reduceat(shown, at)[:, None])
        if not channels:
            channels = [np.empty((0, 0), np.uint8)]
        return np.concatenate(channels, axis=1), probabilities is not None, motion is not None

    def frames(self, first: int, count: int, step: int, follow: bool) -> bytes:
        """Up to `count` frames as JPEG, each after a head (`_FRAME_HEAD`).

        With `follow`, the head has the position of the animal; otherwise NaN.
        """
        self.last_asked = time.monotonic()
        plan = None
        if follow:
            with self.lock:
                plan = self._crop_plan
        frames_left = self.n_frames_or(first + count * step) - first
        count = min(count, math.ceil(frames_left / step))
        parts = []
        for frame in self._source().read(first, count, step):
            # JPEG is small enough for a network, and every browser shows it.
            buffer = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(frame.gray)).save(buffer, "JPEG", quality=_QUALITY)
            x = y = math.nan
            if plan is not None:
                x, y = _located(plan, frame)
            parts.append(_FRAME_HEAD.pack(frame.index, buffer.tell(), frame.time_s, x, y))
            parts.append(buffer.getvalue())
        return b"".join(parts)

    @property
    def side_px(self) -> float:
        """Side of the window that follows the animal."""
        with self.lock:
            return self._crop_plan.side_px

    def times(self) -> np.ndarray:
        """When each frame is shown, `(n_frames,)` in seconds; empty if only the rate is known."""
        packets = self._packets
        if packets is None:
            return np.empty(0)
        return packets.time_s[: self.n_frames]

    def frame_times(self) -> np.ndarray:
        """When each frame is shown, `(n_frames,)` in seconds; decodes the video if need be."""
        # The video may be gone, and the predictions not.
        if self.source is None and self.item.predictions is not None:
            return read_predictions(self.item.predictions).time_s
        return self._source().times(self.n_frames)

    @property
    def promised(self) -> int | None:
        """The number of frames that the header of a damaged video claims; None for others."""
        if self.source is None:
            return None
        damaged = bool(self.source.damage or self.item.meta.get("damage"))
        if not damaged and not self.review.config.allow_damaged:
            return None
        return promised_frames(probe(self.source.path), self.frame_times(), damaged)

    def _source(self) -> FrameSource:
        if self.source is None:
            raise UserError(self.item.problem)
        return self.source


def _located(plan: CropPlan, frame: Frame) -> tuple[float, float]:
    """Where the animal of a chamber or of the whole picture is, in pixels of the whole picture."""
    left, top = plan.origin_px
    part = dataclasses.replace(frame, luma=part_of(frame.luma, plan.chamber))
    x, y = locate_animal(plan, part)
    return x + left, y + top


def _probability_channels(probabilities: np.ndarray, at: np.ndarray) -> list[np.ndarray]:
    """Mean probabilities and largest doubt of the columns that begin at frames `at`."""
    width = np.diff(np.append(at, len(probabilities)))[:, None]
    mean = np.add.reduceat(probabilities, at, axis=0, dtype=np.uint32) / width
    doubt = np.maximum.reduceat(255 - probabilities.max(1), at)
    return [mean.astype(np.uint8), doubt[:, None]]
