"""A few frames spread over a video, cheaply, and the same ones in any container.

Two copies of one stream must give the same frames, because the size of the follow crop is estimated
from them. So nothing here relies on the index, the duration, or the timestamps of a container:
packets are counted in file order, and frames are decoded from key frames chosen by that count.
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
from dolorim.video.reader import Frame, FrameStream, luma_of, open_container

# Frames that may be decoded: this share of the video, or the minimum if that is more.
_BUDGET_SHARE, _BUDGET_MINIMUM = 0.15, 400
_LANDING = 64  # packets after a jump among which the wanted key frame must be


@dataclass(frozen=True)
class _KeyFrame:
    """The packet of a key frame: `position` frames come before it; the rest identifies it."""

    position: int
    pts: int | None
    dts: int | None
    size: int

    def is_in(self, packet: av.Packet) -> bool:
        return (packet.pts, packet.dts, packet.size) == (self.pts, self.dts, self.size)


def readable_packets(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.Packet]:
    """The packets of a stream that hold data, until the file ends or stops being readable."""
    with contextlib.suppress(av.error.FFmpegError):  # decoding will report the damage
        for packet in container.demux(stream):
            if packet.size:
                yield packet


def sample_frames(path: Path, n: int = 32) -> list[Frame]:
    """About `n` frames spread over a video: a few after each of several key frames.

    Only the stream determines which frames these are. Their index and time are unknown and given
    as -1 and NaN. Raises `UserError` if no frame decodes.
    """
    # Only key frames decode alone, so samples begin at some of them.
    total, keys = _key_frames(path)
    chosen = _evenly(keys, total, n)
    frames: list[Frame] = []
    if chosen:
        per_key = math.ceil(n / len(chosen))
        budget = max(_BUDGET_MINIMUM, int(_BUDGET_SHARE * total))
        # Not rounded, so that the last frames of the video are reached too.
        step = max(1.0, min(total, budget) / (len(chosen) * per_key))
        with contextlib.closing(_PacketReader(path)) as reader:
            for key, following in itertools.zip_longest(chosen, chosen[1:]):
                stop = total if following is None else following.position
                for i, raw in enumerate(reader.decode(key, stop)):
                    if i % step < 1 and not raw.is_corrupt:
                        luma, video_range = luma_of(raw)
                        frames.append(Frame(-1, math.nan, np.array(luma), video_range))
                    if i >= step * (per_key - 1):
                        break
    if not frames:  # no key frame decodes on its own, so the first frame has to do
        frames = [*FrameStream(path, stop=1)]
    if not frames:
        raise UserError(f"{path}: no frame of it decodes; copy the file again from its source")
    return frames


def _key_frames(path: Path) -> tuple[int, list[_KeyFrame]]:
    """The number of frames in the packets, and the key frames; the first packet counts as one."""
    position = 0
    keys: list[_KeyFrame] = []
    with open_container(path) as container:
        for packet in readable_packets(container, container.streams.video[0]):
            if packet.is_keyframe or not keys:
                keys.append(_KeyFrame(position, packet.pts, packet.dts, packet.size))
            position += not packet.is_discard
    return position, keys


def _evenly(keys: Sequence[_KeyFrame], total: int, n: int) -> list[_KeyFrame]:
    """Up to `n` key frames, evenly spread: the last one before each n-th part of the video."""
    if not keys:
        return []
    wanted = [total * i // n for i in range(n)]
    # Videos with few key frames give the same one several times; each counts once.
    at = np.searchsorted([key.position for key in keys], wanted, side="right") - 1
    return [keys[i] for i in np.unique(at.clip(min=0))]


class _PacketReader:
    """Decodes from one key frame after another, in ascending order.

    It jumps to a key frame if the container supports that, and otherwise reads on to it: slower,
    with the same result.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jumps = True
        self._start_over()

    def close(self) -> None:
        self._container.close()

    def _start_over(self) -> None:
        self._container = open_container(self._path)
        self._stream = self._container.streams.video[0]
        self._packets = readable_packets(self._container, self._stream)
        self._position = 0  # of the next packet in frames; after a jump, of the key frame

    def decode(self, key: _KeyFrame, stop: int) -> Iterator[VideoFrame]:
        """Frames from a key frame on, from the packets before position `stop`."""
        codec = self._stream.codec_context
        packet = self._jump(key) if self._jumps else None
        if packet is None:
            packet = self._walk(key)
            codec = self._stream.codec_context  # the file may have been opened again
        codec.flush_buffers()
        # Damage here says nothing about the frames after the next key frame.
        with contextlib.suppress(av.error.FFmpegError):
            while packet is not None:
                self._position += not packet.is_discard
                yield from codec.decode(packet)
                packet = next(self._packets, None) if self._position < stop else None
            yield from codec.decode(None)  # frames held back to be put in order

    def _jump(self, key: _KeyFrame) -> av.Packet | None:
        """The key frame's packet, reached by a jump; after the first failure always None."""
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
