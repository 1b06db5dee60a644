"""Read video truthfully: every frame in decode order, gray, upright, with its own timestamp.

The header of the container is only a hint; what counts is what decodes. Decoding stops at the first
packet that does not decode, because frame numbers have no meaning after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

from dolorim.core.errors import UserError
from dolorim.video.picture_size import PictureSize, note_size

# Planar or semi-planar formats whose first plane is luma, and their bit depth. All others go
# through FFmpeg's scaler.
_LUMA_BITS = {
    **{f"yuv{s}p": 8 for s in ("420", "422", "444", "440", "411", "410")},
    **{f"yuvj{s}p": 8 for s in ("420", "422", "444", "440", "411")},
    **{f"yuv{s}p{b}le": b for s in ("420", "422", "444", "440") for b in (9, 10, 12, 14, 16)},
    **{f"gray{b}le": b for b in (9, 10, 12, 14, 16)},
    "nv12": 8,
    "nv21": 8,
    "nv16": 8,
    "gray": 8,
}
_SHORT = 0.98  # share of the frames that a header claims; a merely imprecise header is closer
_NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
REFERENCE_LOST = "a frame that refers to data that are not there"  # why a corrupt frame is damage

# Video-range luma (16-235, ITU-R BT.601) stretched to 0-255, so that a scene looks the same from
# either kind of file.
_STRETCH = np.clip(np.round((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class VideoInfo:
    """What the header says. Sizes are those of the upright picture.

    `header_frames` is often wrong and sometimes 0; `expected_frames` is then estimated from the
    duration. `rate_is_assumed` if neither timestamps nor the coded stream tell the frame rate. The
    last frame ends at `end_s`, 0 if the header does not say.
    """

    width_px: int
    height_px: int
    header_frames: int
    expected_frames: int
    header_rate_hz: float
    codec: str
    pixel_format: str
    rotation_deg: int
    rate_is_assumed: bool = False
    end_s: float = 0.0


@dataclass(frozen=True)
class Frame:
    """One decoded frame: `luma` `(height, width)` uint8, upright, as coded; read-only.

    Video-range luma (`video_range`) runs from 16 to 235; `gray` is the same picture stretched to
    0-255. Cropping first and stretching the crop with `full_range` costs less.
    """

    index: int
    time_s: float
    luma: np.ndarray
    video_range: bool

    @property
    def gray(self) -> np.ndarray:
        return full_range(self.luma, self.video_range)


def full_range(luma: np.ndarray, video_range: bool) -> np.ndarray:
    """Coded luma of any shape as gray values from 0 to 255."""
    return _STRETCH.take(luma) if video_range else luma


@dataclass(frozen=True)
class Damage:
    """Where a file stops being readable: `frames` decode before it."""

    frames: int
    reason: str

    def __str__(self) -> str:
        return f"damaged: {self.frames} frames decode, then {self.reason}"


class FrameStream(Iterable[Frame]):
    """Frames `[start, stop)` of a video, to be iterated once.

    `damage`, `decoded` and `sizes` are final when the iteration has ended. `start` counts decoded
    frames from the first one of the file, so a stream from the middle decodes everything before it.
    Raises `UserError` on iteration if the file cannot be opened as a video.
    """

    def __init__(self, path: Path, start: int = 0, stop: int | None = None) -> None:
        self.path, self.start, self.stop = Path(path), start, stop
        self.decoded = 0
        self.damage: Damage | None = None
        self.sizes: list[PictureSize] = []  # one, except in odd files

    def __iter__(self) -> Iterator[Frame]:
        with open_container(self.path) as container:
            stream = container.streams.video[0]
            fallback_s = 1 / frame_rate_hz(stream)
            for raw in self._decode(container, stream):
                index = self.decoded
                self.decoded += 1
                if self.stop is not None and index >= self.stop:
                    self.decoded = index
                    return
                if index >= self.start:
                    time_s = index * fallback_s if raw.time is None else float(raw.time)
                    luma, video_range = luma_of(raw)
                    note_size(self.sizes, index, luma)
                    yield Frame(index, time_s, luma, video_range)

    def _decode(
        self, container: av.container.InputContainer, stream: av.VideoStream
    ) -> Iterator[VideoFrame]:
        try:
            for raw in container.decode(stream):
                if raw.is_corrupt:
                    self.damage = Damage(self.decoded, REFERENCE_LOST)
                    return
                yield raw
        except av.error.FFmpegError as error:
            self.damage = Damage(self.decoded, reason_of(error))


def probe(path: Path) -> VideoInfo:
    """Read the header and the first frame. Raises `UserError` if no frame decodes."""
    with open_container(path) as container:
        stream = container.streams.video[0]
        try:
            first = next(container.decode(stream))
        except (StopIteration, av.error.FFmpegError):
            raise UserError(
                f"{path}: no frame of it decodes; copy the file again from its source"
            ) from None
        height, width = luma_of(first)[0].shape
        return VideoInfo(
            width_px=width,
            height_px=height,
            header_frames=stream.frames,
            expected_frames=_expected_frames(container, stream),
            header_rate_hz=frame_rate_hz(stream),
            codec=stream.codec_context.name,
            pixel_format=first.format.name,
            rotation_deg=_rotation_deg(first),
            rate_is_assumed=_lacks_rate(container, stream),
            end_s=_span_s(container, stream)[1],
        )


def promised_frames(info: VideoInfo, time_s: np.ndarray, damaged: bool) -> int | None:
    """The frames that the header claims for a damaged or truncated video; None for a whole one.

    `time_s` `(n_frames,)` is when each frame that decodes is shown. A truncated Matroska file ends
    without an error, so only its header shows it. A header that states a duration and no number of
    frames says when the last frame ends, however late the first one is and whatever lies between.
    """
    decoded = len(time_s)
    if info.header_frames or not (decoded and info.end_s):
        promised = info.header_frames or info.expected_frames
        return promised if damaged or decoded < _SHORT * promised else None
    missing_s = info.end_s - float(time_s.max()) - 1 / info.header_rate_hz
    promised = decoded + round(max(0.0, missing_s) * info.header_rate_hz)
    is_short = missing_s > (1 - _SHORT) * (info.end_s - float(time_s[0]))
    return promised if damaged or is_short else None


def read_frames(path: Path, indices: Iterable[int]) -> np.ndarray:
    """Frames by exact index, `(len(indices), height, width)` uint8, decoded from the beginning.

    Raises `UserError` if one of them does not exist.
    """
    wanted = list(indices)
    if not wanted:
        return np.empty((0, 0, 0), np.uint8)
    pictures: dict[int, np.ndarray] = {}
    needed = set(wanted)
    for frame in FrameStream(path, stop=max(wanted) + 1):
        if frame.index in needed:
            pictures[frame.index] = np.array(frame.gray)
    missing = [i for i in wanted if i not in pictures]
    if missing:
        raise UserError(f"{path}: frame {missing[0]} does not exist; fewer frames decode")
    return np.stack([pictures[i] for i in wanted])


def _expected_frames(container: av.container.InputContainer, stream: av.VideoStream) -> int:
    start_s, end_s = _span_s(container, stream)
    return stream.frames or int((end_s - start_s) * frame_rate_hz(stream))


def _span_s(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[float, float]:
    """When the first frame begins and the last one ends; 0, 0 if the header does not say."""
    if stream.duration and stream.time_base:
        duration_s = float(stream.duration * stream.time_base)
    elif container.duration:
        duration_s = container.duration / av.time_base
    else:
        return 0.0, 0.0
    start_s = max(0.0, container.start_time / av.time_base) if container.start_time else 0.0
    # Matroska counts the duration from 0, and most others from the first frame.
    is_from_zero = duration_s > start_s
    return start_s, duration_s if is_from_zero else start_s + duration_s


def luma_of(frame: VideoFrame) -> tuple[np.ndarray, bool]:
    """Upright luma `(height, width)` uint8 of a decoded frame, and whether it is video range."""
    name = frame.format.name
    bits = _LUMA_BITS.get(name)
    video_range = (
        bits is not None
        and not name.startswith(("yuvj", "gray"))
        and frame.color_range != _FULL_RANGE
    )
    if bits is None:
        luma: np.ndarray = frame.reformat(format="gray", dst_color_range="JPEG").to_ndarray()
    elif bits == 8:
        # The luma as it is coded: conversion by FFmpeg would cost more than decoding.
        luma = _first_plane(frame, np.dtype(np.uint8))
    else:
        luma = _to_8_bits(_first_plane(frame, np.dtype("<u2")), bits, video_range)
    quarter_turns = _rotation_deg(frame) // 90 % 4
    if quarter_turns:
        luma = np.rot90(luma, quarter_turns)
    return luma, video_range


def _first_plane(frame: VideoFrame, dtype: np.dtype[Any]) -> np.ndarray:
    """The first plane of a frame `(height, width)` without the padding of its lines; not a copy."""
    plane = frame.planes[0]
    coded = np.frombuffer(memoryview(plane), dtype)
    lines = coded.reshape(-1, plane.line_size // coded.itemsize)
    return lines[: frame.height, : frame.width]


def _to_8_bits(luma: np.ndarray, bits: int, video_range: bool) -> np.ndarray:
    """Luma of more than 8 bits as uint8.

    Video range scales by whole powers of two, so it is rounded. Full range repeats its upper bits
    below, so it is cut off.
    """
    half = (1 << (bits - 9)) if video_range else 0
    brightest = (1 << bits) - 1
    return ((np.minimum(luma, brightest - half) + half) >> (bits - 8)).astype(np.uint8)


def open_container(path: Path) -> av.container.InputContainer:
    """Open a file that holds a video stream. Raises `UserError` for any other."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such video file")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty (0 bytes); copy it again from its source")
    try:
        # Titles and other metadata need not be UTF-8.
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(f"{path}: cannot be opened as a video ({reason_of(error)})") from None
    if not container.streams.video:
        container.close()
        raise UserError(f"{path}: holds no video stream")
    # Frame threads cost more processor time and hide damage: they hand out broken frames later.
    container.streams.video[0].thread_type = "SLICE"
    return container


def frame_rate_hz(stream: av.VideoStream) -> float:
    """Frames per second as the container says, or 30 if it says nothing."""
    rates = [stream.average_rate, stream.guessed_rate]
    if stream.start_time is None:
        # Without timestamps, FFmpeg assumes an average rate; the coded stream itself knows better.
        rates.reverse()
    rate = rates[0] or rates[1] or Fraction(30)
    return float(rate) if rate > 0 else 30.0


def _lacks_rate(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Whether FFmpeg made up the frame rate, as it does for bare coded streams (.mjpeg, .obu)."""
    has_timestamps = not container.format.flags & _NO_TIMESTAMPS
    return not has_timestamps and not stream.codec_context.framerate


def _rotation_deg(frame: VideoFrame) -> int:
    return round(frame.rotation / 90) * 90


def reason_of(error: Exception) -> str:
    """What FFmpeg or the system says, for the middle of a sentence."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text[0].lower() + text[1:]
