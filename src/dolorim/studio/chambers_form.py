"""Chambers in the page: rectangles drawn over a frame, kept in chambers.csv."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from dolorim.core.errors import UserError
from dolorim.files.chambers import (
    COLUMNS,
    ChamberTable,
    check_name,
    read_chambers,
    refuse_impossible,
)
from dolorim.files.recordings import Chamber
from dolorim.files.tables import number_in, write_table
from dolorim.studio.home import StudioHome
from dolorim.studio.own_files import digest_of, refuse_changed, replace_file
from dolorim.studio.recordings_form import fit_to_chambers
from dolorim.studio.studio import text_in, texts_in
from dolorim.video.chambers import lay_grid, parse_grid
from dolorim.video.propose_chambers import propose_chambers
from dolorim.video.random_access import FrameSource
from dolorim.video.reader import probe

_QUALITY = 85  # of the JPEG


@dataclass(frozen=True)
class ChambersForm:
    """The chambers of one video, and all videos to choose from, by their names in the study."""

    videos: tuple[str, ...] = ()
    video: str = ""
    chambers: tuple[Chamber, ...] = ()
    width_px: int = 0
    height_px: int = 0
    of_all: bool = True  # the chambers are those of all videos
    seen: str = ""
    problem: str = ""


def read_form(home: StudioHome, video: str = "") -> ChambersForm:
    """The chambers that chambers.csv gives a video, of the first one without a name."""
    videos = _videos_by_name(home)
    seen = digest_of(home.chambers_table)
    if not videos:
        return ChambersForm(seen=seen)
    name = video if video in videos else next(iter(videos))
    chambers: tuple[Chamber, ...] = ()
    of_all, problem = True, ""
    width = height = 0
    try:
        width, height = _size(videos[name])
        if home.chambers_table.is_file():
            table = read_chambers(home.chambers_table)
            chambers = table.chambers_of([videos[name]]).get(videos[name], ())
            of_all = chambers == table.shared
    except UserError as error:
        problem = str(error)
    return ChambersForm(tuple(videos), name, chambers, width, height, of_all, seen, problem)


def frame_of(home: StudioHome, video: str) -> bytes:
    """A frame from the middle of a video as JPEG. Raises `UserError` for another video."""
    source = FrameSource(_video_called(home, video))
    try:
        n_frames = 1 if source.packets is None else len(source.packets.pts)
        # A file that is cut off may hold fewer frames than it says.
        frames = source.read(n_frames // 2) or source.read(0)
        buffer = io.BytesIO()
        Image.fromarray(frames[0].gray).save(buffer, "JPEG", quality=_QUALITY)
        return buffer.getvalue()
    finally:
        source.close()


def proposed(home: StudioHome, video: str, layout: str) -> tuple[Chamber, ...]:
    """Chambers to begin with: a grid (`2x4`), or those that the picture shows (`auto`).

    Raises `UserError` where the picture does not clearly show any.
    """
    path = _video_called(home, video)
    if layout == "auto":
        return propose_chambers(path)
    grid = parse_grid(layout)
    if grid is None:
        raise UserError(f"expected a grid as in 2x4 (rows x columns), found {layout!r}")
    return lay_grid(_size(path), *grid)


def save_form(home: StudioHome, values: dict[str, Any]) -> None:
    """Write chambers.csv. Raises `UserError` for impossible chambers; then nothing changes."""
    refuse_changed(home.chambers_table, text_in(values, "seen"))
    video = text_in(values, "video")
    path = _video_called(home, video)
    chambers = _given_chambers(values, _size(path))
    refuse_impossible(chambers, "chambers")
    before = ChamberTable(home.chambers_table, (), {})
    if home.chambers_table.is_file():
        before = read_chambers(home.chambers_table)
    # Lines without a video are about all of them; a video's own lines replace these.
    shared, by_video = before.shared, dict(before.by_video)
    if text_in(values, "scope", "all") == "all":
        shared = chambers
    else:
        by_video[video] = chambers
    rows = [("", *_cells(chamber)) for chamber in shared]
    for name, own in by_video.items():
        rows += [(name, *_cells(chamber)) for chamber in own]
    file = home.chambers_table

    def write() -> None:
        if rows:
            write_table(file, ("video", *COLUMNS), rows)
        else:
            file.unlink(missing_ok=True)

    # Each chamber is a recording, which needs a line of its own in recordings.csv.
    replace_file(home, file, write, lambda: fit_to_chambers(home))


def _given_chambers(values: dict[str, Any], size: tuple[int, int]) -> tuple[Chamber, ...]:
    columns = [texts_in(values, column) for column in COLUMNS]
    if len({len(column) for column in columns}) > 1:
        raise UserError("the table is incomplete", remedy="reload the page")
    rows = zip(*columns, strict=True)
    return tuple(_given_chamber(name, corners, size) for name, *corners in rows)


def _given_chamber(name: str, corners: Sequence[str], size: tuple[int, int]) -> Chamber:
    check_name(name, "chambers")
    numbers = [number for number in map(number_in, corners) if number is not None]
    if len(numbers) < len(corners):
        raise UserError(f"chamber {name}: expected four numbers")
    x0, y0, x1, y1 = map(round, numbers)
    if not (0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1]):
        raise UserError(
            f"chamber {name}: expected corners within the picture, {size[0]} x {size[1]} pixels"
        )
    return Chamber(name, (x0, y0, x1, y1))


def _cells(chamber: Chamber) -> tuple[object, ...]:
    return (chamber.name, *chamber.box)


def _size(video: Path) -> tuple[int, int]:
    info = probe(video)
    return info.width_px, info.height_px


def _videos_by_name(home: StudioHome) -> dict[str, Path]:
    root = home.videos_folder
    return {video.relative_to(root).as_posix(): video for video in home.videos()}


def _video_called(home: StudioHome, name: str) -> Path:
    """A video of the study; a path that leads anywhere else is none."""
    videos = _videos_by_name(home)
    if name not in videos:
        raise UserError(f"there is no video {name!r} in this study")
    return videos[name]
