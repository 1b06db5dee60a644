"""The follow crop: a window of constant size that follows the animal, or the whole picture.

Crops are a stream: frames go in, blocks of small pictures come out a little later, in constant
memory. The window's center at a frame depends only on the frames within about half a second
around it, so a video gives the same crops no matter how it is divided into blocks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.files.recordings import Box
from dolorim.pose.pose_track import read_any_track
from dolorim.video import localizer as localize
from dolorim.video.chambers import part_of, picture_of
from dolorim.video.picture_size import scaled
from dolorim.video.reader import Frame, VideoInfo, full_range, probe
from dolorim.video.sample_frames import sample_frames

_KNOT_HZ = 15.0  # how often the animal is located; between these knots its path is straight
_MEDIAN, _SIGMA = 7, 1.5  # knots; the filters that smooth the path
_GAUSS_RADIUS = 4  # knots
_REACH = _MEDIAN // 2 + _GAUSS_RADIUS  # knots on either side that a smoothed knot depends on
_BATCH = 16  # knots that are smoothed at a time
_BLOCK = 64  # frames that are cropped at a time where the path is known


@dataclass(frozen=True)
class CropPlan:
    """How to crop a recording.

    `side_px` is the side of the window in the video and `size` that of the small picture. Boxes in
    `masks` are painted with `mask_luma`. `knot` is the number of frames from one localization of
    the animal to the next. Where a pose gives the path beforehand, `centers_px` `(time, 2)` holds
    it, and `angles_rad` `(time,)` the angles by which the window is turned so that the animal
    looks up. `shape` is the `(height, width)` of the pictures that the plan was made for. For a
    `chamber`, everything else, but not `shape`, is about that part of the picture alone.
    `seen_length_px` is the body length that the picture alone shows, whichever one is used; along
    a pose it is the one that is used.
    """

    side_px: float
    size: int
    center_px: tuple[float, float]
    scene: localize.Scene | None
    masks: tuple[Box, ...] = ()
    mask_luma: int = 0
    knot: int = 1
    centers_px: np.ndarray | None = None
    angles_rad: np.ndarray | None = None
    shape: tuple[int, int] | None = None
    seen_length_px: float | None = None
    chamber: Box | None = None

    @property
    def shows_several(self) -> bool:
        """Does more than one animal move in the picture, as far as it was looked at?"""
        return self.scene is not None and self.scene.has_several

    @property
    def origin_px(self) -> tuple[int, int]:
        """The corner `(x, y)` of the video's picture that the plan's positions count from."""
        return (0, 0) if self.chamber is None else self.chamber[:2]


@dataclass(frozen=True)
class Crops:
    """A block of consecutive frames: `images` `(time, size, size)` uint8, full range.

    `centers` `(time, 2)` float32 are window centers `(x, y)` in units of the window's side;
    `time_s` `(time,)`; `angles_rad` `(time,)` float32 are the angles by which the windows are
    turned, 0 for upright ones. `start` is the index of the first frame.
    """

    start: int
    images: np.ndarray
    centers: np.ndarray
    time_s: np.ndarray
    angles_rad: np.ndarray

    def skip(self, n_frames: int) -> Crops:
        """The same block without its first frames."""
        return Crops(
            self.start + n_frames,
            self.images[n_frames:],
            self.centers[n_frames:],
            self.time_s[n_frames:],
            self.angles_rad[n_frames:],
        )


def parse_masks(text: str) -> tuple[Box, ...]:
    """Boxes `(x0, y0, x1, y1)` from `x0,y0,x1,y1;...`. Raises `UserError` for anything else."""
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
    """Plan the crop of a video: a follow crop from a few of its frames, or from its pose file.

    Raises `UserError` if the video or the pose cannot be read, or if the settings contradict each
    other.
    """
    info = info or probe(path)
    shape = (info.height_px, info.width_px)
    info = picture_of(info, config.chamber, path)
    masks = masks_in(config.chamber, parse_masks(config.mask))
    if config.align == "heading" and config.crop != "pose":
        raise UserError("--align heading turns the window by the pose; use it with --crop pose")
    whole = CropPlan(
        side_px=float(max(info.width_px, info.height_px)),
        size=config.image_size,
        center_px=(info.width_px / 2, info.height_px / 2),
        scene=None,
        masks=masks,
        shape=shape,
        chamber=config.chamber,
    )
    if config.crop == "none" and not masks:
        return whole
    # The same frames give the color of masked boxes and, below, the size of the animal.
    lumas = sampled_lumas(path, config.chamber)
    mask_luma = int(np.median(np.stack([luma[::8, ::8] for luma in lumas])))
    masked = replace(whole, mask_luma=mask_luma)
    if config.crop == "none":
        return masked
    if config.crop == "pose":
        return _along_pose(masked, path, config, info, pose)
    return follow_animal(masked, lumas, config, info)


def sampled_lumas(path: Path, chamber: Box | None) -> list[np.ndarray]:
    """Pictures `(height, width)` of one size spread over a video, or of a chamber of it.

    Raises `UserError` if no frame decodes.
    """
    if chamber is None:
        return _samples_of_one_size(path)
    # One after the other, the chambers of a video look at the same pictures.
    pictures = _recent_samples(path, path.stat().st_mtime_ns)
    return [part_of(picture, chamber) for picture in pictures]


def _samples_of_one_size(path: Path) -> list[np.ndarray]:
    lumas = [frame.luma for frame in sample_frames(path)]
    return [luma for luma in lumas if luma.shape == lumas[0].shape]


@lru_cache(maxsize=1)
def _recent_samples(path: Path, changed: int) -> list[np.ndarray]:
    return _samples_of_one_size(path)


def masks_in(chamber: Box | None, masks: tuple[Box, ...]) -> tuple[Box, ...]:
    """Masks in pixels of the picture as masks in pixels of a chamber; those outside it are gone."""
    if chamber is None:
        return masks
    left, top, right, bottom = chamber
    inside = []
    for x0, y0, x1, y1 in masks:
        x0, x1 = max(x0, left) - left, min(x1, right) - left
        y0, y1 = max(y0, top) - top, min(y1, bottom) - top
        if x0 < x1 and y0 < y1:
            inside.append((x0, y0, x1, y1))
    return tuple(inside)


def crop_period(plan: CropPlan) -> tuple[int, int]:
    """Frames after which cropping repeats itself, and how far a window's center looks around.

    A stream that starts at a multiple of the first number gives exactly the crops of the full
    stream from its second such period on. The second number counts the frames to either side.
    """
    return (_BATCH + 1) * plan.knot, (_REACH + 1) * plan.knot


def crop_frames(frames: Iterable[Frame], plan: CropPlan, start: int = 0) -> Iterator[Crops]:
    """Cut the window out of every frame; the first one is frame `start` of the video."""
    prepared = (prepared_frame(frame, plan) for frame in frames)
    if plan.centers_px is None:
        return _crop_located(prepared, plan, start)
    return _crop_along(plan.centers_px, prepared, plan, start)


def _along_pose(
    plan: CropPlan, path: Path, config: DataConfig, info: VideoInfo, pose: Path | None
) -> CropPlan:
    if pose is None:
        raise UserError(
            f"{path}: has no pose file, which --crop pose needs; name its folder with --dlc DIR"
        )
    track = read_any_track(pose, config, info.header_rate_hz)
    centers_px, heading_rad = track.way()
    plan = replace(
        plan,
        side_px=config.crop_scale * track.length_px,
        seen_length_px=track.length_px,
        centers_px=centers_px,
    )
    if config.align == "heading":
        # Turned by a quarter more, an animal that heads along x looks up.
        plan = replace(plan, angles_rad=heading_rad + np.pi / 2)
    return plan


def follow_animal(
    plan: CropPlan, lumas: list[np.ndarray], config: DataConfig, info: VideoInfo
) -> CropPlan:
    """The plan with a window that follows the animal, learned from some pictures."""
    factor = localize.factor_for(lumas[0].shape)
    masked = [_blank(luma, plan.masks, plan.mask_luma) for luma in lumas]
    scene = localize.survey(np.stack([localize.shrink(luma, factor) for luma in masked]), factor)
    # A length that is known for the camera is better than one from a single video.
    body_length_px = config.body_length_px or scene.body_length_px
    return replace(
        plan,
        side_px=config.crop_scale * body_length_px,
        center_px=scene.home_px,
        scene=scene,
        seen_length_px=scene.body_length_px,
        knot=max(1, round(info.header_rate_hz / _KNOT_HZ)),
    )


def prepared_frame(frame: Frame, plan: CropPlan) -> Frame:
    """The frame at the planned picture size, or the chamber in it, with masks painted over."""
    luma = frame.luma
    if plan.shape is not None:
        luma = scaled(luma, plan.shape)
    luma = _blank(part_of(luma, plan.chamber), plan.masks, plan.mask_luma)
    if luma is frame.luma:
        return frame
    return replace(frame, luma=luma)


def _crop_along(
    centers_px: np.ndarray, frames: Iterable[Frame], plan: CropPlan, start: int
) -> Iterator[Crops]:
    """Crops along a known path `(time, 2)`; after its last row the window stays where it is."""
    last_row = len(centers_px) - 1
    waiting: deque[Frame] = deque()
    for frame in frames:
        waiting.append(frame)
        if len(waiting) == _BLOCK:
            rows = np.minimum(np.arange(start, start + _BLOCK), last_row)
            yield cut_windows(waiting, centers_px[rows], plan, start)
            start += _BLOCK
    if waiting:
        rows = np.minimum(np.arange(start, start + len(waiting)), last_row)
        yield cut_windows(waiting, centers_px[rows], plan, start)


def _crop_located(frames: Iterable[Frame], plan: CropPlan, start: int) -> Iterator[Crops]:
    """Crops along the path of an animal that is located at every knot, as the frames come in."""
    waiting: deque[Frame] = deque()
    knots: list[tuple[float, float]] = []  # located positions, from knot `first_knot` on
    first_knot = done = 0  # knots that have been forgotten; frames that have left
    for frame in frames:
        waiting.append(frame)
        n_in = done + len(waiting)
        # Between knots, frames only wait.
        if (n_in - 1) % plan.knot:
            continue
        knots.append(locate_animal(plan, frame))
        last_knot = first_knot + len(knots) - 1
        if last_knot - done // plan.knot >= _BATCH + _REACH + 1:
            path = _smooth_path(knots, plan.knot)
            first_frame = first_knot * plan.knot
            # Later knots can still move the path from here on.
            stop = (last_knot - _REACH) * plan.knot
            yield cut_windows(
                waiting, path[done - first_frame : stop - first_frame], plan, start + done
            )
            done = stop
            # The filters need `_REACH` knots before the next frame; older ones are forgotten.
            n_forgotten = max(0, done // plan.knot - _REACH - first_knot)
            del knots[:n_forgotten]
            first_knot += n_forgotten
    if waiting:
        first_frame = first_knot * plan.knot
        path = _smooth_path(knots, plan.knot, len(waiting) + done - first_frame)
        yield cut_windows(waiting, path[done - first_frame :], plan, start + done)


def locate_animal(plan: CropPlan, frame: Frame) -> tuple[float, float]:
    """The position `(x, y)` of the animal in a frame, in pixels.

    The window's own center if the plan follows no animal.
    """
    if plan.scene is None:
        return plan.center_px
    # Locating works on a shrunk picture, as the scene was surveyed.
    small = localize.shrink(frame.luma, plan.scene.factor)
    if small.shape != plan.scene.median.shape:  # the picture changes its size within the file
        return plan.center_px
    return localize.locate(plan.scene, small)


def _smooth_path(
    knots: list[tuple[float, float]], knot: int, n_frames: int | None = None
) -> np.ndarray:
    """Smoothed positions at frames, `(frames, 2)`, the first at the first knot."""
    # The median drops a knot at which something else was taken for the animal.
    raw = np.asarray(knots)
    smooth = ndimage.median_filter(raw, (_MEDIAN, 1), mode="nearest")
    smooth = ndimage.gaussian_filter1d(smooth, _SIGMA, axis=0, mode="nearest", radius=_GAUSS_RADIUS)
    if n_frames is None:
        n_frames = (len(raw) - 1) * knot + 1
    at_knot = np.arange(n_frames) / knot
    columns = [np.interp(at_knot, np.arange(len(raw)), column) for column in smooth.T]
    return np.stack(columns, axis=1)


def cut_windows(waiting: deque[Frame], path: np.ndarray, plan: CropPlan, start: int) -> Crops:
    """Take one waiting frame per row of `path` `(time, 2)` and cut the window around it."""
    n_frames = len(path)
    angles_rad = np.zeros(n_frames, np.float32)
    if plan.angles_rad is not None:
        rows = np.minimum(start + np.arange(n_frames), len(plan.angles_rad) - 1)
        angles_rad[:] = plan.angles_rad[rows]
    images = np.empty((n_frames, plan.size, plan.size), np.uint8)
    times_s = np.empty(n_frames)
    for i, (x, y) in enumerate(path.tolist()):
        frame = waiting.popleft()
        times_s[i] = frame.time_s
        if plan.angles_rad is None:
            images[i] = _window(frame, x, y, plan.side_px, plan.size)
        else:
            images[i] = _turned_window(frame, x, y, float(angles_rad[i]), plan)
    return Crops(start, images, (path / plan.side_px).astype(np.float32), times_s, angles_rad)


def _turned_window(
    frame: Frame, x: float, y: float, angle_rad: float, plan: CropPlan
) -> np.ndarray:
    """The window around `(x, y)`, turned: a larger upright one is turned and cut to size."""
    # A square whose side is the window's diagonal covers the window at any angle. Its side differs
    # from the window's by an even number of pixels, so that the rim is the same on both sides.
    size = 2 * math.ceil(plan.size * math.sqrt(0.5)) + plan.size % 2
    side_px = plan.side_px * size / plan.size
    wide = Image.fromarray(_window(frame, x, y, side_px, size))
    turned = wide.rotate(math.degrees(angle_rad), Image.Resampling.BILINEAR)
    rim = (size - plan.size) // 2
    return np.asarray(turned.crop((rim, rim, rim + plan.size, rim + plan.size)))


def _window(frame: Frame, x: float, y: float, side_px: float, size: int) -> np.ndarray:
    """The square around `(x, y)` resampled to `(size, size)`, the picture's edge repeated."""
    x0, y0 = x - side_px / 2, y - side_px / 2
    height, width = frame.luma.shape
    # One pixel more to each side, for the bilinear filter.
    left, top = int(np.floor(x0)) - 1, int(np.floor(y0)) - 1
    right, bottom = int(np.ceil(x0 + side_px)) + 1, int(np.ceil(y0 + side_px)) + 1
    if left < 0 or top < 0 or right > width or bottom > height:
        rows = np.clip(np.arange(top, bottom), 0, height - 1)
        columns = np.clip(np.arange(left, right), 0, width - 1)
        source = frame.luma[rows][:, columns]
    else:
        source = np.ascontiguousarray(frame.luma[top:bottom, left:right])
    box = (x0 - left, y0 - top, x0 - left + side_px, y0 - top + side_px)
    small = Image.fromarray(source).resize((size, size), Image.Resampling.BILINEAR, box=box)
    return full_range(np.asarray(small), frame.video_range)


def _blank(luma: np.ndarray, masks: tuple[Box, ...], value: int) -> np.ndarray:
    """The picture with boxes painted over; the same array if there are none."""
    if not masks:
        return luma
    luma = np.array(luma)
    for x0, y0, x1, y1 in masks:
        luma[y0:y1, x0:x1] = value
    return luma
