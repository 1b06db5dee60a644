"""A few frames spread over a video, cheaply, and the same ones whatever container the stream lies in.

Two copies of one stream must give the same frames, because the size of the follow crop is estimated from them. So
nothing here relies on a container's index, its duration, or its timestamps: packets are counted in the order in which
they lie in the file, and frames are decoded from key frames chosen by that count.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from dolorim.core.errors import UserError
from dolorim.video.reader import Frame, FrameStream, _luma_of, _open

_BUDGET = (
    400,
    0.15,
)  # frames that may be decoded for this: at least so many, or this share of the video
_LANDING = 64  # packets behind a jump among which the wanted key frame must be


@dataclass(frozen=True)
class _KeyFrame:
    """A key frame's packet: `position` packets lie before it; the rest tells it from others."""

    position: int
    pts: int | None
    dts: int | None
    size: int

    def is_in(self, packet: av.Packet) -> bool:
        return (packet.pts, packet.dts, packet.size) == (self.pts, self.dts, self.size)


def readable_packets(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.Packet]:
    """The stream's packets that hold anything, to the end of the file or to where it stops being readable."""
    with contextlib.suppress(av.error.FFmpegError):  # decoding will say where it stops
        for packet in container.demux(stream):
            if packet.size:
                yield packet


def sample_frames(path: Path, n: int = 32) -> list[Frame]:
    """About `n` frames spread over a video: some from behind each of a number of key frames.

    Which frames come depends on the stream alone. Their indices and times are not known and are given as -1 and NaN.
    Raises `UserError` where no frame decodes.
    """
    total, keys = _key_frames(path)
    chosen = _evenly(keys, total, n)
    frames: list[Frame] = []
    if chosen:
        per_key = math.ceil(n / len(chosen))
        budget = max(_BUDGET[0], int(_BUDGET[1] * total))
        # Not rounded, so that the last frames of the video are reached too.
        step = max(1.0, min(total, budget) / (len(chosen) * per_key))
        with contextlib.closing(_PacketReader(path)) as reader:
            for key, following in itertools.zip_longest(chosen, chosen[1:]):
                stop = total if following is None else following.position
                for i, raw in enumerate(reader.decode(key, stop)):
                    if i % step < 1 and not raw.is_corrupt:
                        luma, video_range = _luma_of(raw)
                        frames.append(Frame(-1, math.nan, np.array(luma), video_range))
                    if i >= step * (per_key - 1):
                        break
    if not frames:  # no key frame decodes on its own; what comes first must do
        frames = [*FrameStream(path, stop=1)]
    if not frames:
        raise UserError(f"{path}: no frame of it decodes; copy the file again from its source")
    return frames


def _key_frames(path: Path) -> tuple[int, list[_KeyFrame]]:
    """How many frames the packets hold, and the key frames among them; the first packet counts as one."""
    position = 0
    keys: list[_KeyFrame] = []
    with _open(path) as container:
        for packet in readable_packets(container, container.streams.video[0]):
            if packet.is_keyframe or not keys:
                keys.append(_KeyFrame(position, packet.pts, packet.dts, packet.size))
            position += not packet.is_discard
    return position, keys


def _evenly(keys: Sequence[_KeyFrame], total: int, n: int) -> list[_KeyFrame]:
    """Up to `n` key frames, evenly spread: the last one at or before each n-th part of the video."""
    positions = [k.position for k in keys]
    chosen = {}
    for i in range(n if keys else 0):
        at = max(0, int(np.searchsorted(positions, total * i // n, side="right")) - 1)
        chosen[at] = keys[at]
    return list(chosen.values())


class _PacketReader:
    """Decodes from one key frame after another, in ascending order.

    It jumps to them where the container can do that, and else reads on from where it is: slower, and as right.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jumps = True
        self._start_over()

    def close(self) -> None:
        self._container.close()

    def _start_over(self) -> None:
        self._container = _open(self._path)
        self._stream = self._container.streams.video[0]
        self._packets = readable_packets(self._container, self._stream)
        self._position = 0  # of the next packet, counted in frames; behind a jump, of the key frame

    def decode(self, key: _KeyFrame, stop: int) -> Iterator[VideoFrame]:
        """Frames from a key frame on, out of the packets before position `stop`."""
        codec = self._stream.codec_context
        packet = self._jump(key) if self._jumps else None
        if packet is None:
            packet = self._walk(key)
            codec = self._stream.codec_context  # of a file that was perhaps opened anew
        codec.flush_buffers()
        with contextlib.suppress(
            av.error.FFmpegError
        ):  # damage here says nothing of what lies behind it
            while packet is not None:
                self._position += not packet.is_discard
                yield from codec.decode(packet)
                packet = next(self._packets, None) if self._position < stop else None
            yield from codec.decode(None)  # frames that were held back to be put in order

    def _jump(self, key: _KeyFrame) -> av.Packet | None:
        """The key frame's packet, reached by a jump; None, once and for all, where a jump does not land before it."""
        at = key.pts if key.dts is None else key.dts
        if at is not None:
            with contextlib.suppress(av.error.FFmpegError):
                self._container.seek(at, stream=self._stream)
                self._packets = readable_packets(self._container, self._stream)
                for packet in itertools.islice(self._packets, _LANDING):
                    if key.is_in(packet):
                        self._position = key.position
                        return packet
        self._jumps = False
        self.close()
        self._start_over()
        return None

    def _walk(self, key: _KeyFrame) -> av.Packet | None:
        """The key frame's packet, reached by reading on."""
        for packet in self._packets:
            if self._position >= key.position and key.is_in(packet):
                return packet
            self._position += not packet.is_discard
        return None
