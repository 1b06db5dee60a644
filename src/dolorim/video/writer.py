"""Write video: H.264 in MP4, which every browser and player opens."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from dolorim.core.errors import UserError

_CLOCK = Fraction(1, 90_000)  # of a second, in which frames of an unsteady rate are timed


class VideoWriter:
    """Writes frames to a file that appears when it is complete.

    Frames are uint8, `(height, width)` gray or `(height, width, 3)` RGB. Sides are cut to even
    numbers, which H.264 requires. `crf` is the quality: 18 is visually lossless, 23 is usual. The
    same frames give the same bytes, no matter how many cores the machine has.

    Raises `UserError` if the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        rate_hz: float,
        *,
        crf: int = 23,
        preset: str = "fast",
    ):
        self.path = Path(path)
        self._width, self._height = width // 2 * 2, height // 2 * 2
        # The process number keeps two processes that write the same video apart.
        self._part = self.path.with_name(f".{self.path.stem}.{os.getpid()}.part.mp4")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._container = av.open(str(self._part), "w")
        except (av.error.FFmpegError, OSError) as error:
            raise UserError(f"{path}: cannot be written ({error})") from None
        self._stream = self._container.add_stream(
            "libx264", rate=Fraction(rate_hz).limit_denominator(100_000)
        )
        self._stream.width, self._stream.height = self._width, self._height
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": str(crf), "preset": preset}
        # x264 takes other decisions with other numbers of threads, and by default uses as many as
        # there are cores. One thread also makes the smallest file.
        self._stream.codec_context.thread_count = 1

    def write(self, image: np.ndarray, time_s: float | None = None) -> None:
        """Append a frame, shown at `time_s` if the rate is not steady."""
        image = np.ascontiguousarray(image[: self._height, : self._width])
        frame = av.VideoFrame.from_ndarray(image, format="gray" if image.ndim == 2 else "rgb24")
        yuv = frame.reformat(format="yuv420p", dst_color_range="MPEG")
        if time_s is not None:
            if not self._stream.codec_context.is_open:
                self._stream.codec_context.time_base = _CLOCK
            yuv.pts, yuv.time_base = round(time_s / _CLOCK), _CLOCK
        self._container.mux(self._stream.encode(yuv))

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._part.replace(self.path)

    def discard(self) -> None:
        """Leave nothing behind."""
        self._container.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.discard()


def write_lossless(path: Path, frames: np.ndarray, rate_hz: float | None) -> Path:
    """Write gray frames `(time, height, width)` uint8 to an FFV1 file that keeps every pixel.

    Raises `UserError` for frames of another shape or type, and where there is no rate.
    """
    if frames.ndim != 3 or frames.dtype != np.uint8:
        raise UserError(
            f"expected frames (time, height, width) uint8, got {frames.shape} {frames.dtype}"
        )
    if rate_hz is None or rate_hz <= 0:
        raise UserError("an array has no timestamps; give rate_hz, its frames per second")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(rate_hz).limit_denominator(100_000))
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt = "gray"
        for image in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="gray")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
