"""One look at a video: what its header says, what it really holds, and where the animal is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from dolorim.config import DataConfig
from dolorim.data.crop import crop_frames, plan_view
from dolorim.data.video import FrameStream, probe

_TILES, _COLUMNS, _SIDE = 24, 8, 160


def look_at(video: Path, config: DataConfig) -> dict[str, Any]:
    """Decode a video once and say what is in it."""
    info = probe(video)
    stream = FrameStream(video)
    times = np.array([frame.time_s for frame in stream])
    steps = np.diff(times)
    constant = len(steps) < 2 or float(np.abs(steps - np.median(steps)).max()) < 0.1 * float(np.median(steps))
    view = plan_view(video, config, info)
    return {
        "video": str(video),
        "frames": stream.decoded,
        "frames in the header": info.header_frames,
        "damage": str(stream.damage) if stream.damage else None,
        "size": f"{info.width_px} x {info.height_px}",
        "rate_hz": round((len(times) - 1) / float(times[-1] - times[0]), 4) if len(times) > 1 else info.header_rate_hz,
        "rate": "constant" if constant else "variable",
        "first frame at": f"{times[0]:.4f} s",
        "codec": f"{info.codec}, {info.pixel_format}",
        "rotation": f"{info.rotation_deg} degrees",
        "body length": f"{view.scene.body_length_px:.0f} px" if view.scene else "not estimated",
        "crop": f"{view.side_px:.0f} px to {view.size} px",
    }


def contact_sheet(video: Path, config: DataConfig, path: Path) -> None:
    """Draw crops spread over the video, and the first frame with the crop's window and the animal's way in it."""
    view = plan_view(video, dataclasses.replace(config, image_size=_SIDE))
    first = next(iter(FrameStream(video, stop=1))).gray
    images, centers = [], []
    for block in crop_frames(FrameStream(video), view):
        images.append(block.images)
        centers.append(block.centers * view.side_px)
    crops, way = np.concatenate(images), np.concatenate(centers)
    picked = np.linspace(0, len(crops) - 1, _TILES).round().astype(int)
    rows = -(-_TILES // _COLUMNS)
    scale = rows * _SIDE / first.shape[0]
    overview = (
        Image.fromarray(np.ascontiguousarray(first))
        .resize((round(first.shape[1] * scale), rows * _SIDE))
        .convert("RGB")
    )
    draw = ImageDraw.Draw(overview)
    draw.line([tuple(p) for p in (way * scale).tolist()], fill=(213, 94, 0), width=2)
    x, y = way[0] * scale
    half = view.side_px * scale / 2
    draw.rectangle((x - half, y - half, x + half, y + half), outline=(0, 114, 178), width=2)
    sheet = Image.new("RGB", (overview.width + _COLUMNS * _SIDE, rows * _SIDE))
    sheet.paste(overview, (0, 0))
    for i, frame in enumerate(picked.tolist()):
        at = (overview.width + i % _COLUMNS * _SIDE, i // _COLUMNS * _SIDE)
        sheet.paste(Image.fromarray(crops[frame]), at)
        ImageDraw.Draw(sheet).text((at[0] + 4, at[1] + 2), str(frame), fill=(255, 255, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
