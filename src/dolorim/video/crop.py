"""The follow crop: a window of constant size that goes with the animal, or the whole picture, as small squares.

A crop is a stream: frames go in, blocks of small pictures come out a little later, in constant memory. The center
at a frame depends on the frames within about half a second around it and on nothing else, so that a video gives the
same crops however it is cut into blocks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.pose.pose_track import read_any_track
from dolorim.video import localizer as localize
from dolorim.video.picture_size import scaled
from dolorim.video.reader import Frame, FrameStream, VideoInfo, full_range, probe
from dolorim.video.sample_frames import sample_frames

_KNOT_HZ = 15.0  # how often the animal is located; between these knots its way is straight
_MEDIAN, _SIGMA = 7, 1.5  # knots
_REACH = _MEDIAN // 2 + 4  # knots on either side that a smoothed knot depends on
_BATCH = 16  # knots that are smoothed at a time
_BLOCK = 64  # frames that are cut at a time where the way is known


@dataclass(frozen=True)
class CropPlan:
    """How a recording is looked at: `side_px` of the source window, `size` of the small picture, blanked boxes.

    Where the way of the window is known beforehand, from a pose, `centers_px` `(time, 2)` holds it, and `turns`
    `(time,)` the radians by which the window is turned, so that an animal looks upwards in it.
    """

    side_px: float
    size: int
    center_px: tuple[float, float]
    scene: localize.Scene | None
    masks: tuple[tuple[int, int, int, int], ...] = ()
    mask_luma: int = 0
    knot: int = 1  # frames between two knots
    centers_px: np.ndarray | None = None
    angles_rad: np.ndarray | None = None
    shape: tuple[int, int] | None = (
        None  # (height, width) of the pictures that all of this is about
    )


@dataclass(frozen=True)
class Crops:
    """A block of consecutive frames: `images` `(time, size, size)` uint8, full range.

    `centers` `(time, 2)` float32 are window centers `(x, y)` in units of the window's side; `time_s` `(time,)`;
    `turns` `(time,)` float32 radians by which the windows are turned, 0 for upright ones.
    """

    start: int
    images: np.ndarray
    centers: np.ndarray
    time_s: np.ndarray
    angles_rad: np.ndarray


def parse_masks(text: str) -> tuple[tuple[int, int, int, int], ...]:
    """Boxes `(x0, y0, x1, y1)` from `x0,y0,x1,y1;...`."""
    boxes = []
    for part in filter(None, text.split(";")):
        try:
            x0, y0, x1, y1 = (int(v) for v in part.split(","))
        except ValueError:
            raise UserError(
                f"--mask {text}: expected x0,y0,x1,y1 in whole pixels, found {part!r}"
            ) from None
        if not (0 <= x0 < x1 and 0 <= y0 < y1):
            raise UserError(f"--mask {text}: expected x0 < x1 and y0 < y1, found {part!r}")
        boxes.append((x0, y0, x1, y1))
    return tuple(boxes)


def plan_crop(
    path: Path, config: DataConfig, info: VideoInfo | None = None, pose: Path | None = None
) -> CropPlan:
    """Decide how to look at a video: for a follow crop, from a few of its frames, or from its pose."""
    info = info or probe(path)
    return replace(_plan(path, config, info, pose), shape=(info.height_px, info.width_px))


def _plan(path: Path, config: DataConfig, info: VideoInfo, pose: Path | None) -> CropPlan:
    masks = parse_masks(config.mask)
    middle = (info.width_px / 2, info.height_px / 2)
    longest = float(max(info.width_px, info.height_px))
    if config.align == "heading" and config.crop != "pose":
        raise UserError("--align heading turns the window by the pose; use it with --crop pose")
    if config.crop == "none" and not masks:
        return CropPlan(longest, config.image_size, middle, None)
    frames = [f.luma for f in sample_frames(path)]
    frames = [f for f in frames if f.shape == frames[0].shape]
    mask_luma = int(np.median(np.stack([f[::8, ::8] for f in frames])))
    if config.crop == "none":
        return CropPlan(longest, config.image_size, middle, None, masks, mask_luma)
    if config.crop == "pose":
        if pose is None:
            raise UserError(
                f"{path}: has no pose file that --crop pose could go by; name its folder with --dlc DIR"
            )
        track = read_any_track(pose, config, info.header_rate_hz)
        centers, heading = track.way()
        angles_rad = heading + np.pi / 2 if config.align == "heading" else None
        side = config.crop_scale * track.length_px
        return CropPlan(
            side, config.image_size, middle, None, masks, mask_luma, 1, centers, angles_rad
        )
    factor = localize.factor_for(frames[0].shape)
    small = np.stack([localize.shrink(_blank(f, masks, mask_luma), factor) for f in frames])
    scene = localize.survey(small, factor)
    side = config.crop_scale * (config.body_length_px or scene.body_length_px)
    knot = max(1, round(info.header_rate_hz / _KNOT_HZ))
    return CropPlan(side, config.image_size, scene.home_px, scene, masks, mask_luma, knot)


def crop_period(view: CropPlan) -> tuple[int, int]:
    """Frames after which cutting repeats itself, and how many to either side a window's center depends on.

    A stream from a multiple of the first on gives, from its second such stretch on, exactly the crops of the whole one.
    """
    return (_BATCH + 1) * view.knot, (_REACH + 1) * view.knot


def crop_frames(frames: Iterable[Frame], view: CropPlan, start: int = 0) -> Iterator[Crops]:
    """Cut the window out of every frame; the first one is frame `start` of the video."""
    waiting: deque[Frame] = deque()
    knots: list[tuple[float, float]] = []  # raw positions from knot `first` on
    first = done = 0  # knots forgotten; frames that have left
    for frame in frames:
        luma = frame.luma if view.shape is None else scaled(frame.luma, view.shape)
        luma = _blank(luma, view.masks, view.mask_luma)
        if luma is not frame.luma:
            frame = Frame(frame.index, frame.time_s, luma, frame.video_range)
        waiting.append(frame)
        n_in = done + len(waiting)
        if view.centers_px is not None:
            if len(waiting) == _BLOCK:
                yield _cut(
                    waiting, _known_way(view, start + done, start + n_in), view, start + done
                )
                done = n_in
            continue
        if (n_in - 1) % view.knot:
            continue
        knots.append(_locate(view, frame))
        last = first + len(knots) - 1
        if last - done // view.knot >= _BATCH + _REACH + 1:
            path = _way(knots, view.knot)
            stop = (last - _REACH) * view.knot
            yield _cut(
                waiting,
                path[done - first * view.knot : stop - first * view.knot],
                view,
                start + done,
            )
            done = stop
            forget = max(0, done // view.knot - _REACH - first)
            del knots[:forget]
            first += forget
    if waiting and view.centers_px is not None:
        yield _cut(
            waiting, _known_way(view, start + done, start + done + len(waiting)), view, start + done
        )
    elif waiting:
        path = _way(knots, view.knot, len(waiting) + done - first * view.knot)
        yield _cut(waiting, path[done - first * view.knot :], view, start + done)


def read_crops(path: Path, view: CropPlan) -> tuple[FrameStream, Iterator[Crops]]:
    """All of a video through a view, with the stream that tells about damage once it has run to its end."""
    stream = FrameStream(path)
    return stream, crop_frames(stream, view)


def _locate(view: CropPlan, frame: Frame) -> tuple[float, float]:
    if view.scene is None:
        return view.center_px
    small = localize.shrink(frame.luma, view.scene.factor)
    if small.shape != view.scene.median.shape:  # the picture changes its size within the file
        return view.center_px
    return localize.locate(view.scene, small)


def _way(knots: list[tuple[float, float]], knot: int, n_frames: int | None = None) -> np.ndarray:
    """Smoothed positions at frames, `(frames, 2)`, the first at the first knot."""
    raw = np.asarray(knots)
    smooth = ndimage.median_filter(raw, (_MEDIAN, 1), mode="nearest")
    smooth = ndimage.gaussian_filter1d(smooth, _SIGMA, axis=0, mode="nearest", radius=4)
    at = np.arange((len(raw) - 1) * knot + 1 if n_frames is None else n_frames) / knot
    return np.stack([np.interp(at, np.arange(len(raw)), smooth[:, i]) for i in (0, 1)], axis=1)


def _known_way(view: CropPlan, start: int, stop: int) -> np.ndarray:
    """Centers of frames `[start, stop)`; behind the pose's last row the window stays where it is."""
    assert view.centers_px is not None
    return view.centers_px[np.minimum(np.arange(start, stop), len(view.centers_px) - 1)]


def _cut(waiting: deque[Frame], path: np.ndarray, view: CropPlan, start: int) -> Crops:
    images = np.empty((len(path), view.size, view.size), np.uint8)
    times, angles_rad = np.empty(len(path)), np.zeros(len(path), np.float32)
    if view.angles_rad is not None:
        angles_rad[:] = view.angles_rad[
            np.minimum(start + np.arange(len(path)), len(view.angles_rad) - 1)
        ]
    for i, (x, y) in enumerate(path.tolist()):
        frame = waiting.popleft()
        images[i] = (
            _upright(frame, x, y, view)
            if view.angles_rad is None
            else _turned(frame, x, y, float(angles_rad[i]), view)
        )
        times[i] = frame.time_s
    return Crops(start, images, (path / view.side_px).astype(np.float32), times, angles_rad)


def _upright(frame: Frame, x: float, y: float, view: CropPlan) -> np.ndarray:
    return _window(frame, x - view.side_px / 2, y - view.side_px / 2, view.side_px, view.size)


def _turned(frame: Frame, x: float, y: float, turn: float, view: CropPlan) -> np.ndarray:
    """The window around `(x, y)` turned by `turn` radians: a larger upright one, turned, and cut to size."""
    size = 2 * math.ceil(view.size * math.sqrt(0.5)) + view.size % 2
    side = view.side_px * size / view.size
    wide = Image.fromarray(_window(frame, x - side / 2, y - side / 2, side, size))
    rim = (size - view.size) // 2
    whole = wide.rotate(math.degrees(turn), Image.Resampling.BILINEAR)
    return np.asarray(whole.crop((rim, rim, rim + view.size, rim + view.size)))


def _window(frame: Frame, x0: float, y0: float, side: float, size: int) -> np.ndarray:
    """The square with corner `(x0, y0)` resampled to `size`; beyond the picture its edge is repeated."""
    height, width = frame.luma.shape
    left, top = int(np.floor(x0)) - 1, int(np.floor(y0)) - 1
    right, bottom = int(np.ceil(x0 + side)) + 1, int(np.ceil(y0 + side)) + 1
    if left < 0 or top < 0 or right > width or bottom > height:
        rows = np.clip(np.arange(top, bottom), 0, height - 1)
        columns = np.clip(np.arange(left, right), 0, width - 1)
        source = frame.luma[rows][:, columns]
    else:
        source = np.ascontiguousarray(frame.luma[top:bottom, left:right])
    box = (x0 - left, y0 - top, x0 - left + side, y0 - top + side)
    small = Image.fromarray(source).resize((size, size), Image.Resampling.BILINEAR, box=box)
    return full_range(np.asarray(small), frame.video_range)


def _blank(
    luma: np.ndarray, masks: tuple[tuple[int, int, int, int], ...], value: int
) -> np.ndarray:
    if not masks:
        return luma
    luma = np.array(luma)
    for x0, y0, x1, y1 in masks:
        luma[y0:y1, x0:x1] = value
    return luma
