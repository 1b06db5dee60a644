"""When the frames of a video are shown, without its pictures."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from dolorim.video.random_access import list_packets
from dolorim.video.reader import FrameStream
from dolorim.video.time_grid import TimeGrid, time_grid

packets_of = lru_cache(maxsize=2)(list_packets)  # the parts of one video share its list


def frame_times(path: Path, decode: bool = False) -> np.ndarray:
    """The time of each frame `(frames,)` in seconds, on the container's clock.

    Packets tell it without decoding. If they lack timestamps, or with `decode`, the video is
    decoded, so that only readable frames count. Raises `UserError` if the file is not a video.
    """
    packets = None if decode else list_packets(path)
    if packets is not None:
        return packets.time_s
    return np.array([frame.time_s for frame in FrameStream(path)])


def grid_of_video(video: Path, header_rate_hz: float, rate_hz: float | None) -> TimeGrid | None:
    """The grid of a run at `rate_hz` for a video; None where each frame is a step (`time_grid`).

    Raises `UserError` if the file is not a video.
    """
    if rate_hz is None:
        return None
    packets = packets_of(video)
    if packets is not None:
        return time_grid(packets.time_s, rate_hz)
    # Frames without timestamps are as far apart as the header says.
    if time_grid(np.arange(2) / header_rate_hz, rate_hz) is None:
        return None
    return time_grid(frame_times(video, decode=True), rate_hz)
