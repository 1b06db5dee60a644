"""Any frame of a video by its exact index, quickly.

A frame's index is its position in decode order, as in `dolorim.video.reader`. A list of all packets, read without
decoding anything, says which timestamp has which index and where the key frames are; a jump then decodes from the key
frame before the wanted one. Wherever the list and what decodes disagree, frames are counted from the beginning instead:
slower, and always right.
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
from dolorim.video.reader import Damage, Frame, FrameStream, _luma_of, _open, _rate_hz, _reason
from dolorim.video.sample_frames import readable_packets

_AHEAD = 48  # frames that are rather decoded than jumped over
_DECODERS = 3  # open at a time for one video


@dataclass(frozen=True)
class PacketList:
    """What the packets say: `pts` `(frames,)` ascending with their `time_s`, `keys` the pts of key frames.

    `bytes` `(frames,)` is what each frame takes in the file, 0 for key frames.
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
    """Read the list; None where packets carry no timestamps, or the same ones twice."""
    pts, sizes, keys = [], [], []
    with _open(path) as container:
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
    order = np.argsort(pts, kind="stable")
    sorted_pts = np.asarray(pts, np.int64)[order]
    if not pts or base is None or (np.diff(sorted_pts) == 0).any():
        return None
    return PacketList(sorted_pts, sorted_pts * float(base), np.sort(keys), np.asarray(sizes)[order])


class DisagreementError(Exception):
    """What decodes is not what the packets have promised."""


class _Decoder:
    """One open file and how far it has been decoded."""

    def __init__(self, path: Path) -> None:
        self._container = _open(path)
        self._stream = self._container.streams.video[0]
        self._codec = self._stream.codec_context
        self.position = 0  # index of the frame that comes next
        self.counting = True  # since the beginning, without a jump
        self._skip_before: int | None = (
            None  # pts before which frames that nothing refers to need not be decoded
        )
        self._skipping = False  # the frame before was among those
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
                elif not self._is_early(
                    frame.pts
                ):  # else it belongs to what lies before the key frame
                    raise av.error.InvalidDataError(
                        0, "a frame that refers to data that are not there"
                    )

    def _is_early(self, pts: int | None) -> bool:
        return self._skip_before is not None and pts is not None and pts < self._skip_before

    def jump(self, packets: PacketList, target: int) -> bool:
        """Go to the key frame before a frame; False where no jump lands before it."""
        wanted = packets.pts[target]
        before = packets.keys[packets.keys <= wanted]
        for key in before[::-1][[i for i in (0, 1, 3, 7) if i < len(before)]].tolist():
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
        """All frames from the position on, with their index; on the way to a jump's target some are left out."""
        while (raw := self._pending or next(self._raw, None)) is not None:
            self._pending = None
            counted = self.position if self.counting else None
            index = counted if packets is None else packets.index_of(raw.pts)
            skipped = not self.counting and self._skipping
            if index is None or index < self.position or (index > self.position and not skipped):
                raise DisagreementError
            self._skipping = self._is_early(raw.pts)
            self.position = index + 1
            yield index, raw


class FrameSpan(Iterable[Frame]):
    """Frames `[start, stop)` as `FrameStream` gives them, reached by a jump; `damage` as there.

    Raises `DisagreementError` where it cannot be sure that it counts as that one does.
    """

    def __init__(self, path: Path, packets: PacketList, start: int, stop: int | None) -> None:
        self.path, self.packets, self.start, self.stop = Path(path), packets, start, stop
        self.damage: Damage | None = None
        self.sizes: list[PictureSize] = []

    def __iter__(self) -> Iterator[Frame]:
        decoder, expected = _Decoder(self.path), self.start
        try:
            if self.start >= len(self.packets.pts) or (
                self.start and not decoder.jump(self.packets, self.start)
            ):
                raise DisagreementError
            for index, raw in decoder.frames(self.packets):
                if self.stop is not None and index >= self.stop:
                    return
                if index >= self.start:
                    if index != expected or raw.time is None:
                        raise DisagreementError
                    expected += 1
                    luma, video_range = _luma_of(raw)
                    note_size(self.sizes, index, luma)
                    yield Frame(index, float(raw.time), luma, video_range)
        except av.error.FFmpegError as error:
            self.damage = Damage(expected, _reason(error))
        finally:
            decoder.close()


class FrameSource:
    """Frames of one video by index. Safe to use from several threads; each gets a decoder of its own."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.n_frames: int | None = None  # once they have been counted by decoding
        self._counted_s: np.ndarray | None = None  # when each of them is shown
        self.damage: str | None = None
        self._lock = threading.Lock()
        self._list_lock = threading.Lock()
        self.listed = False  # has the packet list been read?
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
        """The packet list, read when it is first needed."""
        with self._list_lock:
            if not self.listed:
                self._packets, self.listed = list_packets(self.path), True
            return self._packets

    @property
    def rate_hz(self) -> float:
        if self._rate_hz is None:
            with _open(self.path) as container:
                self._rate_hz = _rate_hz(container.streams.video[0])
        return self._rate_hz

    def doubt(self) -> None:
        """Count from the beginning from now on."""
        with self._list_lock:
            self._packets, self.listed = None, True
        self.close()

    def check(self, time_s: np.ndarray) -> bool:
        """Do the packets' timestamps agree with those of decoded frames `(frames,)`? If not, frames are counted."""
        packets = self.packets
        fits = packets is not None and len(packets.time_s) >= len(time_s)
        if (
            fits
            and packets is not None
            and np.abs(packets.time_s[: len(time_s)] - time_s).max(initial=0) < 1e-3
        ):
            return True
        self.doubt()
        return False

    def count(self, wait: Callable[[], object] = lambda: None) -> int:
        """Decode everything once to count the frames; `wait` is called for each and may hold it up.

        Sets `n_frames` and `damage`, and gives the packet list up where it has promised other timestamps.
        """
        stream = FrameStream(self.path)
        packets = self.packets
        times = array("d")
        for frame in stream:
            times.append(frame.time_s)
            if packets is not None and (
                frame.index >= len(packets.pts)
                or abs(packets.time_s[frame.index] - frame.time_s) > 1e-6
            ):
                self.doubt()
                packets = None
            wait()
        self._counted_s = np.array(times)
        self.n_frames, self.damage = stream.decoded, str(stream.damage) if stream.damage else None
        return stream.decoded

    def times(self, n_frames: int) -> np.ndarray:
        """When each of the first `n_frames` frames is shown, in seconds: as counted, else as the packets say.

        Counts where these do not say it. Raises `UserError` where there are fewer frames.
        """
        packets = self.packets
        if self._counted_s is None and (packets is None or len(packets.pts) < n_frames):
            self.count()
        found = self._counted_s
        if found is None:
            assert packets is not None
            found = packets.time_s
        if len(found) < n_frames:
            raise UserError(
                f"{self.path}: has only {len(found)} of the expected {n_frames} frames; predict it again"
            )
        return found[:n_frames]

    def read(self, first: int, count: int = 1, step: int = 1) -> list[Frame]:
        """Frames `first`, `first + step`, ...: up to `count` of them, fewer where the video ends.

        Raises `UserError` where none of them is there.
        """
        found, why = self._read(first, count, step)
        if not found:
            self.doubt()
            found, why = self._read(first, count, step)
        if not found:
            raise UserError(f"{self.path}: frame {first} does not exist or does not decode{why}")
        return found

    def _read(self, first: int, count: int, step: int) -> tuple[list[Frame], str]:
        decoder = self._take(first)
        found: list[Frame] = []
        why = ""
        try:
            for index, raw in decoder.frames(self._packets):
                if index >= first and (index - first) % step == 0:
                    time_s = index / self.rate_hz if raw.time is None else float(raw.time)
                    luma, video_range = _luma_of(raw)
                    found.append(Frame(index, time_s, np.array(luma), video_range))
                if index >= first + (count - 1) * step:
                    self._give_back(decoder)
                    break
            else:
                decoder.close()
        except (DisagreementError, av.error.FFmpegError) as error:
            decoder.close()
            why = f" ({_reason(error)})" if isinstance(error, av.error.FFmpegError) else ""
        return (found if found and found[0].index == first else []), why

    def _take(self, first: int) -> _Decoder:
        """An idle decoder that is near before a frame, else one that jumps there, else one that begins at 0."""
        with self._lock:
            near = [d for d in self._idle if 0 <= first - d.position <= _AHEAD]
            if near:
                best = max(near, key=lambda d: d.position)
                self._idle.remove(best)
                return best
            old = self._idle.pop(0) if len(self._idle) >= _DECODERS else None
        packets = self.packets if first > _AHEAD else None
        if packets is not None and first < len(packets.pts):
            decoder = old or _Decoder(self.path)
            if decoder.jump(packets, first):
                return decoder
            old = decoder
        if old is not None:
            old.close()
        return _Decoder(self.path)

    def _give_back(self, decoder: _Decoder) -> None:
        with self._lock:
            self._idle.append(decoder)
            extra = self._idle[:-_DECODERS]
            del self._idle[:-_DECODERS]
        for old in extra:
            old.close()
