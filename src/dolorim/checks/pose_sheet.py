"""The pose drawn on a few frames, to see in one picture whether it can be trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from dolorim.checks.sheet import overview_of, save_sheet
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.palette import class_colors
from dolorim.pose.graph import BONES
from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.pose_track import PoseTrack, read_any_track
from dolorim.video.reader import FrameStream, probe

_TILES, _COLUMNS, _SIDE = 12, 4, 300
_WIDE = 2.2  # body lengths that a tile shows


def pose_sheet(video: Path, pose: Path, config: DataConfig, path: Path) -> None:
    """Draw the cleaned pose on frames spread over the video, cut out around the animal.

    Next to them is the first of these frames as a whole. Tracked points are filled; those
    interpolated over a short gap are rings. Raises `UserError` if no frame has a point.
    """
    info = probe(video)
    track = read_any_track(pose, config, info.header_rate_hz)
    there = np.isfinite(track.points).all(-1).any(axis=(1, 2))
    frames = np.flatnonzero(there[: info.expected_frames or None])
    if not len(frames):
        raise UserError(
            f"no frame of {video.name} has a point",
            where=pose,
            remedy="lower --kp_likelihood_thr",
        )
    wanted = set(frames[np.linspace(0, len(frames) - 1, _TILES).round().astype(int)].tolist())
    tiles: list[Image.Image] = []
    whole: Image.Image | None = None
    for frame in FrameStream(video, stop=max(wanted) + 1):
        if frame.index not in wanted:
            continue
        points = track.points[frame.index]
        center = (np.nanmin(points, (0, 1)) + np.nanmax(points, (0, 1))) / 2
        tiles.append(_tile(frame.gray, center, track, frame.index))
        if whole is None:
            whole, scale = overview_of(frame.gray, _TILES // _COLUMNS * _SIDE)
            _paint(ImageDraw.Draw(whole), track, frame.index, scale, np.zeros(2), False)
    assert whole is not None
    save_sheet(whole, tiles, _COLUMNS, path)


def _tile(gray: np.ndarray, center: np.ndarray, track: PoseTrack, index: int) -> Image.Image:
    side = _WIDE * track.length_px
    corner = center - side / 2
    box = (*corner.tolist(), *(corner + side).tolist())
    image = Image.fromarray(np.ascontiguousarray(gray))
    tile = image.transform((_SIDE, _SIDE), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
    tile = ImageOps.autocontrast(tile, (0, 1)).convert("RGB")
    draw = ImageDraw.Draw(tile)
    # Half a pixel is added in `_paint`: coordinate 0 is the center of the first pixel.
    _paint(draw, track, index, _SIDE / side, corner, True)
    font = ImageFont.load_default(13)
    draw.text(
        (5, 3),
        f"frame {index}",
        fill=(255, 255, 0),
        font=font,
        stroke_width=1,
        stroke_fill=(0, 0, 0),
    )
    return tile


def _paint(
    draw: ImageDraw.ImageDraw,
    track: PoseTrack,
    index: int,
    scale: float,
    corner: np.ndarray,
    named: bool,
) -> None:
    """Draw the points of a frame: filled if they were seen, rings if they were bridged."""
    names = track.names
    colors = class_colors(len(names) + 1)[1:]
    font = ImageFont.load_default(12)
    bones: tuple[tuple[str, str], ...] = ()
    if set(KEYPOINTS) <= set(names):
        bones = BONES
    for points, since in zip(track.points[index], track.since_seen[index], strict=True):
        at = (points - corner + 0.5) * scale
        known = np.isfinite(at).all(-1)
        for one, two in bones:
            ends = [names.index(one), names.index(two)]
            if known[ends].all():
                draw.line([tuple(p) for p in at[ends].tolist()], fill=(235, 235, 235), width=1)
        for k, (x, y) in enumerate(at.tolist()):
            if not known[k]:
                continue
            disk = (x - 4, y - 4, x + 4, y + 4)
            if since[k] == 0:
                draw.ellipse(disk, fill=colors[k])
            else:
                draw.ellipse(disk, outline=colors[k], width=2)
            if named:
                draw.text(
                    (x + 6, y - 7),
                    names[k],
                    fill=colors[k],
                    font=font,
                    stroke_width=1,
                    stroke_fill=(0, 0, 0),
                )
