"""The chambers of a video: where they are, what they show, and a picture of them for a look."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dolorim.checks.sheet import overview_of, save_sheet
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.palette import class_colors
from dolorim.files.recordings import Chamber
from dolorim.video.chambers import chambers_of, in_chamber
from dolorim.video.crop import CropPlan, plan_crop
from dolorim.video.crop_stream import cut_together
from dolorim.video.empty_chambers import find_empty
from dolorim.video.reader import FrameStream, probe

_SIDE, _COLUMNS = 120, 8  # pixels of a tile; tiles of each chamber


def find_chambers(video: Path, config: DataConfig) -> tuple[Chamber, ...]:
    """The chambers that `config.chambers` gives a video. Raises `UserError` if it gives none."""
    of_videos = chambers_of([video], config)
    if video in of_videos.refused:
        raise UserError(of_videos.refused[video])
    chambers = of_videos.by_video.get(video, ())
    if not chambers:
        raise UserError(f"names no chamber of {video.name}", where=config.chambers or "--chambers")
    return tuple(chambers)


def look_at_chambers(
    video: Path, chambers: Sequence[Chamber], config: DataConfig
) -> dict[str, Any]:
    """Corners of each chamber, and who is in it, by what to call it. Raises `UserError`."""
    plans = _plans(video, chambers, config)
    empty = find_empty([plan.scene for plan in plans], config.body_length_px)
    facts: dict[str, Any] = {}
    for chamber, plan, is_empty in zip(chambers, plans, empty, strict=True):
        text = ", ".join(map(str, chamber.box))
        if is_empty:
            text += " (nobody in it)"
        elif plan.shows_several:
            text += " (more than one animal moves in it)"
        facts[f"chamber {chamber.name}"] = text
    return facts


def rack_sheet(video: Path, chambers: Sequence[Chamber], config: DataConfig, path: Path) -> None:
    """Draw the chambers on the first frame, and beside it what the network sees of each.

    A row of crops is one chamber, from the beginning of the video to its end.
    """
    info = probe(video)
    plans = _plans(video, chambers, dataclasses.replace(config, image_size=_SIDE))
    first = next(iter(FrameStream(video, stop=1))).gray
    overview, scale = overview_of(first, len(chambers) * _SIDE)
    draw = ImageDraw.Draw(overview)
    colors = class_colors(len(chambers))
    for chamber, color in zip(chambers, colors, strict=True):
        x0, y0, x1, y1 = (edge * scale for edge in chamber.box)
        draw.rectangle((x0 + 1, y0 + 1, x1 - 2, y1 - 2), outline=color, width=3)
        font = ImageFont.load_default(max(14, min(round((y1 - y0) / 6), 40)))
        draw.text((x0 + 8, y0 + 4), chamber.name, fill=color, font=font)
    tiles = []
    streams = cut_together(video, info, plans, prefetched=False)
    blocks = zip(*streams, strict=True)  # read side by side, as all come from one decoding
    for chamber, color, of_chamber in zip(chambers, colors, zip(*blocks, strict=True), strict=True):
        crops = np.concatenate([block.images for block in of_chamber])
        for frame in np.linspace(0, len(crops) - 1, _COLUMNS).round().astype(int).tolist():
            tile = Image.fromarray(crops[frame]).convert("RGB")
            ImageDraw.Draw(tile).text((4, 2), f"{chamber.name}  {frame}", fill=color)
            tiles.append(tile)
    save_sheet(overview, tiles, _COLUMNS, path)


def _plans(video: Path, chambers: Sequence[Chamber], config: DataConfig) -> list[CropPlan]:
    info = probe(video)
    return [plan_crop(video, in_chamber(config, chamber), info) for chamber in chambers]
