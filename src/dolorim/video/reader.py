"""Read video truthfully: every frame in decode order, gray, upright, with its own timestamp.

The container's header is never believed. What counts is what decodes. Decoding stops at the first packet that
does not decode: behind it, frame numbers mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from dolorim.core.errors import UserError
from dolorim.video.picture_size import PictureSize, note_size

# Planar or semi-planar formats whose first plane is luma, and their bit depth. All others go through the scaler.
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
_SHORT = (
    0.98  # share of the frames that a header claims: one that is merely imprecise is not so far off
)
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG

# Video-range luma (16-235) stretched to 0-255, so that the same scene reads the same from either kind of file.
_STRETCH = np.clip(np.round((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class VideoInfo:
    """What the header says. `header_frames` is a hint, often wrong and at times 0; `expected_frames` falls back on the
    duration then. Sizes are those of the upright picture."""

    width_px: int
    height_px: int
    header_frames: int
    expected_frames: int
    header_rate_hz: float
    codec: str
    pixel_format: str
    rotation_deg: int


@dataclass(frozen=True)
class Frame:
    """One decoded frame: `luma` `(height, width)` uint8, upright, as coded; read-only.

    Video-range luma (`video_range`) runs from 16 to 235; `gray` is the same picture stretched to 0-255. Stretching a
    small cut-out with `full_range` afterwards costs less.
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
    return _STRETCH[luma] if video_range else luma


@dataclass(frozen=True)
class Damage:
    """Where a file stops being readable: `frames` decode before it."""

    frames: int
    reason: str

    def __str__(self) -> str:
        return f"damaged: {self.frames} frames decode, then {self.reason}"


class FrameStream(Iterable[Frame]):
    """All frames of a video from `start` on, once; `damage` and `decoded` are final when the iteration has ended.

    `start` counts decoded frames from the file's first one, so a stream from the middle decodes what lies before it.
    """

    def __init__(self, path: Path, start: int = 0, stop: int | None = None) -> None:
        self.path, self.start, self.stop = Path(path), start, stop
        self.decoded = 0
        self.damage: Damage | None = None
        self.sizes: list[PictureSize] = []  # one, but in the odd file

    def __iter__(self) -> Iterator[Frame]:
        with _open(self.path) as container:
            stream = container.streams.video[0]
            fallback_s = 1 / _rate_hz(stream)
            for raw in self._decode(container, stream):
                index = self.decoded
                self.decoded += 1
                if self.stop is not None and index >= self.stop:
                    self.decoded = index
                    return
                if index >= self.start:
                    time_s = index * fallback_s if raw.time is None else float(raw.time)
                    luma, video_range = _luma_of(raw)
                    note_size(self.sizes, index, luma)
                    yield Frame(index, time_s, luma, video_range)

    def _decode(
        self, container: av.container.InputContainer, stream: av.VideoStream
    ) -> Iterator[VideoFrame]:
        try:
            for raw in container.decode(stream):
                if raw.is_corrupt:
                    self.damage = Damage(
                        self.decoded, "a frame that refers to data that are not there"
                    )
                    return
                yield raw
        except av.error.FFmpegError as error:
            self.damage = Damage(self.decoded, _reason(error))


def probe(path: Path) -> VideoInfo:
    """Read the header and the first frame. Raises `UserError` where there is no picture to be had."""
    with _open(path) as container:
        stream = container.streams.video[0]
        try:
            first = next(container.decode(stream))
        except (StopIteration, av.error.FFmpegError):
            raise UserError(
                f"{path}: no frame of it decodes; copy the file again from its source"
            ) from None
        height, width = _luma_of(first)[0].shape
        return VideoInfo(
            width_px=width,
            height_px=height,
            header_frames=stream.frames,
            expected_frames=_expected_frames(container, stream),
            header_rate_hz=_rate_hz(stream),
            codec=stream.codec_context.name,
            pixel_format=first.format.name,
            rotation_deg=_rotation(first),
        )


def promised_frames(info: VideoInfo, decoded: int, damaged: bool) -> int | None:
    """The frames that the header claims of a video that stops being readable before; None for a whole one.

    Matroska files end without an error where they were cut off: there only the header tells.
    """
    short = decoded < _SHORT * info.expected_frames
    return info.expected_frames if damaged or short else None


def read_frames(path: Path, indices: Iterable[int]) -> np.ndarray:
    """Frames by exact index, `(len(indices), height, width)` uint8, decoded from the file's beginning."""
    wanted = list(indices)
    found: dict[int, np.ndarray] = {}
    if wanted:
        keep = set(wanted)
        for frame in FrameStream(path, stop=max(wanted) + 1):
            if frame.index in keep:
                found[frame.index] = np.array(frame.gray)
    missing = [i for i in wanted if i not in found]
    if missing:
        raise UserError(f"{path}: frame {missing[0]} does not exist; fewer frames decode")
    return np.stack([found[i] for i in wanted]) if wanted else np.empty((0, 0, 0), np.uint8)


def _expected_frames(container: av.container.InputContainer, stream: av.VideoStream) -> int:
    return stream.frames or int(_duration_s(container, stream) * _rate_hz(stream))


def _duration_s(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else 0.0


def _luma_of(frame: VideoFrame) -> tuple[np.ndarray, bool]:
    """The luma of a decoded frame, `(height, width)` uint8 and upright, and whether it is in video range."""
    name = frame.format.name
    bits = _LUMA_BITS.get(name)
    video_range = (
        bits is not None
        and not name.startswith(("yuvj", "gray"))
        and frame.color_range != _FULL_RANGE
    )
    if bits is None:
        luma: np.ndarray = frame.reformat(format="gray", dst_color_range="JPEG").to_ndarray()
    else:
        plane = frame.planes[0]
        coded: np.ndarray = np.frombuffer(
            memoryview(plane), np.uint8 if bits == 8 else np.dtype("<u2")
        )
        luma = coded.reshape(-1, plane.line_size // coded.itemsize)[: frame.height, : frame.width]
        if bits > 8:
            # Video range scales by whole powers of two, so it is rounded; full range repeats its upper bits below.
            half = (1 << (bits - 9)) if video_range else 0
            luma = ((np.minimum(luma, (1 << bits) - 1 - half) + half) >> (bits - 8)).astype(
                np.uint8
            )
    angles_rad = _rotation(frame) // 90 % 4
    return (np.rot90(luma, angles_rad) if angles_rad else luma), video_range


def _open(path: Path) -> av.container.InputContainer:
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such video file")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty (0 bytes); copy it again from its source")
    try:
        container = av.open(
            str(path), metadata_errors="replace"
        )  # titles and the like need not be UTF-8
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(f"{path}: cannot be opened as a video ({_reason(error)})") from None
    if not container.streams.video:
        container.close()
        raise UserError(f"{path}: holds no video stream")
    stream = container.streams.video[0]
    stream.thread_type = (
        "SLICE"  # frame threads cost more processor time and give damage away later
    )
    return container


def _rate_hz(stream: av.VideoStream) -> float:
    if (
        stream.start_time is None
    ):  # no timestamps: what the coded stream itself says, not what FFmpeg assumes
        rate = stream.guessed_rate or stream.average_rate or Fraction(30)
    else:
        rate = stream.average_rate or stream.guessed_rate or Fraction(30)
    return float(rate) if rate > 0 else 30.0


def _rotation(frame: VideoFrame) -> int:
    return round(frame.rotation / 90) * 90


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text[0].lower() + text[1:]
