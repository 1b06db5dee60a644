"""What has to be said about a video, although it can be read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dolorim.video.picture_size import PictureSize, describe_sizes
from dolorim.video.reader import VideoInfo, promised_frames
from dolorim.video.time_grid import frame_rate


def describe_oddities(
    info: VideoInfo,
    time_s: np.ndarray,
    damaged: bool,
    sizes: Sequence[PictureSize],
    *,
    several: bool = False,
    in_chamber: bool = False,
) -> dict[str, str]:
    """What is odd about a video, by the name of the oddity.

    `time_s` `(n_frames,)` is when each frame that decodes is shown. `several` tells that more than
    one animal moves in the picture, or in the chamber that is looked at (`in_chamber`).
    """
    texts = {
        "cut-off": _describe_cut_off(info, time_s, damaged),
        "rate-assumed": _describe_rate(info),
        "rate-unknown": _describe_no_rate(time_s),
        "times-backward": _describe_order(time_s),
        "size-changes": describe_sizes(sizes),
        "several-animals": describe_several(several, in_chamber),
    }
    return {name: text for name, text in texts.items() if text is not None}


def describe_several(several: bool, in_chamber: bool) -> str | None:
    """A sentence about a picture in which more than one animal moves."""
    if not several:
        return None
    if in_chamber:
        return (
            "more than one animal moves in this chamber, and its labels are about one; correct the "
            "chamber's corners, or cut out the other animal with --mask"
        )
    return (
        "more than one animal moves in the picture, and labels of one may belong to pictures of "
        "another; say where each of them is (--chambers 2x4, or a table chambers.csv)"
    )


def _describe_cut_off(info: VideoInfo, time_s: np.ndarray, damaged: bool) -> str | None:
    """A sentence about a video that ends, without an error, long before its header says."""
    promised = promised_frames(info, time_s, damaged)
    if damaged or promised is None:
        return None
    return (
        f"ends after {len(time_s)} frames, but its header promises about {promised}; "
        f"was it cut off? Copy it again from its source"
    )


def _describe_rate(info: VideoInfo) -> str | None:
    """A sentence about a video without timestamps that does not state its frame rate either."""
    if not info.rate_is_assumed:
        return None
    return (
        f"has no timestamps and does not state its frame rate, so {info.header_rate_hz:g} frames/s "
        f"are assumed for all times; give it its true rate, for example with "
        f"ffmpeg -framerate 30 -i IN -crf 10 OUT.mp4"
    )


def _describe_no_rate(time_s: np.ndarray) -> str | None:
    """A sentence about frames that are all shown at one time."""
    if len(time_s) < 2 or frame_rate(time_s) is not None:
        return None
    return (
        "the times of its frames tell no frame rate, so frames are taken as they come; convert it "
        "again from its source with the camera's rate"
    )


def _describe_order(time_s: np.ndarray) -> str | None:
    """A sentence about frames that are shown before the one that decodes ahead of them."""
    backward = np.flatnonzero(np.diff(time_s) < 0)
    if not backward.size:
        return None
    return (
        f"its timestamps run backward {backward.size} times, first after frame {backward[0]}; "
        f"convert it again from its source, without -c copy, or labels in seconds may be off"
    )
