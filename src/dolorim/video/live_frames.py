"""Frames as they happen: of a camera, of a network stream, or of a file played at its own rate.

A thread reads them, so that a camera is never kept waiting. What cannot be used in time is dropped
and counted; nothing piles up.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from dolorim.core.errors import UserError
from dolorim.video.reader import Frame, FrameStream, frame_rate_hz, luma_of, probe, reason_of

_WAITING = 10  # frames that may wait to be looked at; a longer queue would make labels late
_DSHOW = "video="  # Windows knows cameras by name
_TIMEOUT_S = 10.0  # for a stream to open and to send a frame


@dataclass(frozen=True)
class LiveFrame:
    """A frame, and when it arrived (`time.perf_counter`)."""

    frame: Frame
    arrived_s: float


class LiveSource:
    """Frames of `camera`, to be iterated once: the number of a camera (on Windows, `video=` and
    its name), an address (`rtsp://...`), or a video file, which is played at its own rate.

    `dropped` counts frames that nobody had time for. Raises `UserError` where nothing can be read.
    """

    def __init__(self, camera: str, seconds: float | None = None) -> None:
        self.camera, self.seconds = camera, seconds
        self.dropped = 0
        self.is_file = Path(camera).is_file()
        is_device = camera.isdigit() or camera.startswith(_DSHOW)
        if not self.is_file and not is_device and "://" not in camera:
            raise UserError(
                f"--camera {camera}: expected the number of a camera, an address such as "
                "rtsp://host/stream, or a video file"
            )
        self.rate_hz = probe(Path(camera)).header_rate_hz if self.is_file else 30.0
        self._waiting: deque[LiveFrame] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[LiveFrame]:
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        try:
            while (frame := self._next()) is not None:
                yield frame
        finally:
            with self._changed:
                self._ended = True
        if self._error is not None:
            raise self._error

    def _next(self) -> LiveFrame | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            return self._waiting.popleft() if self._waiting else None

    def _work(self) -> None:
        started = time.perf_counter()
        try:
            for frame in self._played() if self.is_file else self._received():
                now = time.perf_counter()
                with self._changed:
                    if self._ended:
                        return
                    if len(self._waiting) >= _WAITING:
                        # The oldest one is of the least use to whoever wants to react.
                        self._waiting.popleft()
                        self.dropped += 1
                    self._waiting.append(LiveFrame(frame, now))
                    self._changed.notify()
                if self.seconds is not None and now - started >= self.seconds:
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where the frames are used
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()

    def _played(self) -> Iterator[Frame]:
        """The frames of a file, each when it is due."""
        started = time.perf_counter()
        for frame in FrameStream(Path(self.camera)):
            ahead_s = frame.time_s - (time.perf_counter() - started)
            if ahead_s > 0:
                time.sleep(ahead_s)
            yield frame

    def _received(self) -> Iterator[Frame]:
        place, kind, options = _device(self.camera)
        try:
            container = av.open(place, format=kind, options=options, timeout=_TIMEOUT_S)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise UserError(
                f"--camera {self.camera}: cannot be opened ({reason_of(error)})"
            ) from None
        with container:
            stream = container.streams.video[0]
            self.rate_hz = frame_rate_hz(stream)
            started = time.perf_counter()
            try:
                for index, raw in enumerate(container.decode(stream)):
                    luma, video_range = luma_of(raw)
                    # The decoder uses its memory again, and this frame may have to wait.
                    yield Frame(index, time.perf_counter() - started, luma.copy(), video_range)
            except av.error.FFmpegError as error:
                raise UserError(
                    f"--camera {self.camera}: stopped sending ({reason_of(error)})"
                ) from None


def _device(camera: str) -> tuple[str, str | None, dict[str, str]]:
    """What FFmpeg calls a camera on this system: its address, its format, and options."""
    if camera.startswith(_DSHOW):
        return camera, "dshow", {}
    if not camera.isdigit():
        return camera, None, {"rtsp_transport": "tcp", "fflags": "nobuffer"}
    if sys.platform == "darwin":
        return camera, "avfoundation", {}
    return f"/dev/video{camera}", "v4l2", {}
