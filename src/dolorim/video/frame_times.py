"""When the frames of a video are shown, without its pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dolorim.video.random_access import list_packets
from dolorim.video.reader import FrameStream


def frame_times(path: Path, decode: bool = False) -> np.ndarray:
    """The time of each frame `(frames,)` in seconds, on the container's clock.

    Packets tell it without decoding. If they lack timestamps, or with `decode`, the video is
    decoded, so that only readable frames count. Raises `UserError` if the file is not a video.
    """
    packets = None if decode else list_packets(path)
    if packets is not None:
        return packets.time_s
    return np.array([frame.time_s for frame in FrameStream(path)])
