"""Any frame of a video by its exact index, quickly.

A frame's index is its position in decode order, as in `dolorim.video.reader`. A list of all
packets, read without decoding anything, says which timestamp has which index and where the key
frames are; a jump then decodes from the key frame before the wanted one. Where the list and what
decodes disagree, frames are counted from the beginning instead: slower, but always right.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from dolorim.core.errors import UserError
from dolorim.video.picture_size import PictureSize, note_size
from dolorim.video.reader import (
    REFERENCE_LOST,
    Damage,
    Frame,
    FrameStream,
    frame_rate_hz,
    luma_of,
    open_container,
    reason_of,
)
from dolorim.video.sample_frames import readable_packets

_AHEAD = 48  # up to this distance, decoding on is faster than a jump
_DECODERS = 3  # open at a time for one video
_KEYS_BEFORE = (0, 1, 3, 7)  # a jump that lands too late is tried again so many key frames earlier


@dataclass(frozen=True)
class PacketList:
    """What the packets of a video say without being decoded.

    `pts` `(frames,)` are the timestamps in the container's units, ascending, and `time_s` the same
    in seconds. `keys` are the timestamps of key frames. `bytes` `(frames,)` is the size of each
    frame in the file, 0 for key frames.
    """

    pts: np.ndarray
    time_s: np.ndarray
    keys: np.ndarray
    bytes: np.ndarray

    def index_of(self, pts: int | None) -> int | None:
        if pts is None:
            return None
        i = int(np.searchsorted(self.pts, pts))
        return i if i < len(self.pts) and self.pts[i] == pts else None


def list_packets(path: Path) -> PacketList | None:
    """Read the list; None if packets lack timestamps, or if two have the same one.

    Raises `UserError` if the file cannot be opened as a video.
    """
    pts, sizes, keys = [], [], []
    with open_container(path) as container:
        stream = container.streams.video[0]
        for packet in readable_packets(container, stream):
            if packet.is_discard:
                continue
            if packet.pts is None:
                return None
            pts.append(packet.pts)
            sizes.append(0 if packet.is_keyframe else packet.size)
            if packet.is_keyframe:
                keys.append(packet.pts)
        base = stream.time_base
    # Packets come in the order of decoding, frames in that of their timestamps.
    order = np.argsort(pts, kind="stable")
    sorted_pts = np.asarray(pts, np.int64)[order]
    if not pts or base is None or (np.diff(sorted_pts) == 0).any():
        return None
    return PacketList(sorted_pts, sorted_pts * float(base), np.sort(keys), np.asarray(sizes)[order])


class DisagreementError(Exception):
    """The frames that decode are not those that the packets promised."""


class _Decoder:
    """One open file and how far it has been decoded."""

    def __init__(self, path: Path) -> None:
        self._container = open_container(path)
        self._stream = self._container.streams.video[0]
        self._codec = self._stream.codec_context
        self.position = 0  # index of the frame that comes next
        self.counting = True  # since the beginning, without a jump
        # Frames before this pts that no other frame refers to need not be decoded.
        self._skip_before: int | None = None
        self._skipping = False  # the previous frame lies before that pts
        self._pending: VideoFrame | None = None
        self._raw = self._decode()

    def close(self) -> None:
        self._container.close()

    def _decode(self) -> Iterator[VideoFrame]:
        for packet in self._container.demux(self._stream):
            self._codec.skip_frame = "NONREF" if self._is_early(packet.pts) else "DEFAULT"
            for frame in packet.decode():
                assert isinstance(frame, VideoFrame)
                if not frame.is_corrupt:
                    yield frame
                elif not self._is_early(frame.pts):
                    # An early one merely refers to frames before the key frame.
                    raise av.error.InvalidDataError(0, REFERENCE_LOST)

    def _is_early(self, pts: int | None) -> bool:
        return self._skip_before is not None and pts is not None and pts < self._skip_before

    def jump(self, packets: PacketList, target: int) -> bool:
        """Go to a key frame at or before a frame; False if no jump lands there."""
        wanted = packets.pts[target]
        # The nearest key frame first. Some containers land later than asked, hence earlier ones.
        keys = packets.keys[packets.keys <= wanted][::-1].tolist()
        for key in [keys[i] for i in _KEYS_BEFORE if i < len(keys)]:
            try:
                self._container.seek(key, stream=self._stream, backward=True)
                self._skip_before, self.counting = int(wanted), False
                self._raw = self._decode()
                first = next(self._raw)
            except (av.error.FFmpegError, StopIteration):
                continue
            index = packets.index_of(first.pts)
            if index is not None and index <= target:
                self.position, self._pending = index, first
                return True
        return False

    def frames(self, packets: PacketList | None) -> Iterator[tuple[int, VideoFrame]]:
        """All frames from the position on, with their index; jumps may skip some.

        Raises `DisagreementError` if a frame has another index than the packets promise.
        """
        while (raw := self._pending or next(self._raw, None)) is not None:
            self._pending = None
            index = self._index_of(raw, packets)
            # After a jump, frames that nothing refers to may be left out before the wanted one.
            may_skip = not self.counting and self._skipping
            if index is None or index < self.position or (index > self.position and not may_skip):
                raise DisagreementError
            self._skipping = self._is_early(raw.pts)
            self.position = index + 1
            yield index, raw

    def _index_of(self, raw: VideoFrame, packets: PacketList | None) -> int | None:
        if packets is not None:
            return packets.index_of(raw.pts)
        return self.position if self.counting else None


class FrameSpan(Iterable[Frame]):
    """Frames `[start, stop)` as `FrameStream` gives them, reached by a jump; `damage` as there.

    Iterating raises `DisagreementError` if it is not certain that both count alike.
    """

    def __init__(self, path: Path, packets: PacketList, start: int, stop: int | None) -> None:
        self.path, self.packets, self.start, self.stop = Path(path), packets, start, stop
        self.damage: Damage | None = None
        self.sizes: list[PictureSize] = []

    def __iter__(self) -> Iterator[Frame]:
        decoder, expected = _Decoder(self.path), self.start
        try:
            for index, raw in self._raw_frames(decoder):
                if index != expected or raw.time is None:
                    raise DisagreementError
                expected += 1
                luma, video_range = luma_of(raw)
                note_size(self.sizes, index, luma)
                yield Frame(index, float(raw.time), luma, video_range)
        except av.error.FFmpegError as error:
            self.damage = Damage(expected, reason_of(error))
        finally:
            decoder.close()

    def _raw_frames(self, decoder: _Decoder) -> Iterator[tuple[int, VideoFrame]]:
        if self.start >= len(self.packets.pts):
            raise DisagreementError
        if self.start and not decoder.jump(self.packets, self.start):
            raise DisagreementError
        for index, raw in decoder.frames(self.packets):
            if self.stop is not None and index >= self.stop:
                return
            if index >= self.start:
                yield index, raw


class FrameSource:
    """Frames of one video by index. Threads may share it; each read has a decoder of its own."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.n_frames: int | None = None  # once they have been counted by decoding
        self._counted_s: np.ndarray | None = None  # when each of them is shown
        self.damage: str | None = None
        self._lock = threading.Lock()
        self._list_lock = threading.Lock()
        self.listed = False  # whether the packet list has been read
        self._packets: PacketList | None = None
        self._idle: list[_Decoder] = []
        self._rate_hz: float | None = None

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.close()

    @property
    def packets(self) -> PacketList | None:
        """The packet list, read when it is first needed; None if it cannot be trusted."""
        with self._list_lock:
            if not self.listed:
                self._packets, self.listed = list_packets(self.path), True
            return self._packets

    @property
    def rate_hz(self) -> float:
        if self._rate_hz is None:
            with open_container(self.path) as container:
                self._rate_hz = frame_rate_hz(container.streams.video[0])
        return self._rate_hz

    def doubt(self) -> None:
        """Count from the beginning from now on."""
        with self._list_lock:
            self._packets, self.listed = None, True
        self.close()

    def check(self, time_s: np.ndarray) -> bool:
        """Whether the packets have the timestamps `(frames,)` of decoded frames; if not, count."""
        packets = self.packets
        if packets is not None and len(packets.time_s) >= len(time_s):
            difference_s = np.abs(packets.time_s[: len(time_s)] - time_s)
            if difference_s.max(initial=0) < 1e-3:
                return True
        self.doubt()
        return False

    def count(self, wait: Callable[[], object] = lambda: None) -> int:
        """Decode everything once to count the frames; `wait` is called after each and may block.

        Sets `n_frames` and `damage`, and drops the packet list if it promised other timestamps.
        """
        stream = FrameStream(self.path)
        packets = self.packets
        times = array("d")
        for frame in stream:
            times.append(frame.time_s)
            if packets is not None and not _promised(packets, frame):
                self.doubt()
                packets = None
            wait()
        self._counted_s = np.array(times)
        self.n_frames = stream.decoded
        self.damage = str(stream.damage) if stream.damage else None
        return stream.decoded

    def times(self, n_frames: int) -> np.ndarray:
        """When each of the first `n_frames` frames is shown, in seconds.

        The packets tell it, unless the frames have been counted or the packets are too few: then
        decoding tells it. Raises `UserError` if there are fewer frames.
        """
        packets = self.packets
        if self._counted_s is None and packets is not None and len(packets.pts) >= n_frames:
            return packets.time_s[:n_frames]
        if self._counted_s is None:
            self.count()
        assert self._counted_s is not None
        if len(self._counted_s) < n_frames:
            raise UserError(
                f"{self.path}: has only {len(self._counted_s)} of the expected {n_frames} frames; "
                "predict it again"
            )
        return self._counted_s[:n_frames]

    def read(self, first: int, count: int = 1, step: int = 1) -> list[Frame]:
        """Frames `first`, `first + step`, ...: up to `count` of them, fewer if the video ends.

        Raises `UserError` if the first one does not exist.
        """
        frames, reason = self._read(first, count, step)
        if not frames:
            self.doubt()
            frames, reason = self._read(first, count, step)
        if not frames:
            raise UserError(f"{self.path}: frame {first} does not exist or does not decode{reason}")
        return frames

    def _read(self, first: int, count: int, step: int) -> tuple[list[Frame], str]:
        """The frames, or none and the reason if the first one could not be reached."""
        # Reading on is cheap, so decoders are kept where they stopped.
        decoder = self._take(first)
        frames: list[Frame] = []
        reason = ""
        last = first + (count - 1) * step
        try:
            for index, raw in decoder.frames(self._packets):
                if index >= first and (index - first) % step == 0:
                    frames.append(self._frame(index, raw))
                if index >= last:
                    self._give_back(decoder)
                    break
            else:
                decoder.close()
        except DisagreementError:
            decoder.close()
        except av.error.FFmpegError as error:
            decoder.close()
            reason = f" ({reason_of(error)})"
        if frames and frames[0].index != first:
            frames = []
        return frames, reason

    def _frame(self, index: int, raw: VideoFrame) -> Frame:
        time_s = index / self.rate_hz if raw.time is None else float(raw.time)
        luma, video_range = luma_of(raw)
        return Frame(index, time_s, np.array(luma), video_range)

    def _take(self, first: int) -> _Decoder:
        """A decoder shortly before a frame, else one that jumps there, else one at frame 0."""
        with self._lock:
            nearest = _nearest(self._idle, first)
            if nearest is not None:
                self._idle.remove(nearest)
                return nearest
            spare = self._idle.pop(0) if len(self._idle) >= _DECODERS else None
        packets = self.packets if first > _AHEAD else None
        if packets is not None and first < len(packets.pts):
            decoder = spare or _Decoder(self.path)
            if decoder.jump(packets, first):
                return decoder
            decoder.close()
        elif spare is not None:
            spare.close()
        return _Decoder(self.path)

    def _give_back(self, decoder: _Decoder) -> None:
        with self._lock:
            self._idle.append(decoder)
            extra = self._idle[:-_DECODERS]
            del self._idle[:-_DECODERS]
        for old in extra:
            old.close()


def _nearest(decoders: list[_Decoder], frame: int) -> _Decoder | None:
    """The decoder that reaches a frame soonest by decoding on; None if a jump would be faster."""
    near = [d for d in decoders if 0 <= frame - d.position <= _AHEAD]
    return max(near, key=lambda d: d.position, default=None)


def _promised(packets: PacketList, frame: Frame) -> bool:
    """Whether the packets have a frame of this index and time."""
    if frame.index >= len(packets.pts):
        return False
    return bool(abs(packets.time_s[frame.index] - frame.time_s) <= 1e-6)
