"""The chambers of videos: where they are said to be, and the part of the picture that they are."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.chambers import (
    ChamberTable,
    chambers_in_subjects,
    chambers_named_in,
    merged,
    overlaps,
    read_chambers,
)
from dolorim.files.folders import chambers_beside, homes, recordings_beside
from dolorim.files.naming import folded
from dolorim.files.recordings import Box, Chamber
from dolorim.files.subjects import SubjectTable, column_key, read_subjects
from dolorim.files.tables import head_of
from dolorim.video.propose_chambers import name_at, propose_chambers
from dolorim.video.reader import VideoInfo, probe

AUTO = "auto"
_GRID = re.compile(r"(\d+)\s*[x*]\s*(\d+)", re.IGNORECASE)
_HEADER_WITHIN = 10  # rows of a table of recordings: some begin with a title
_MOST = 64  # chambers in one picture
_LEAST_PX = 16  # side of a chamber


@dataclass(frozen=True)
class Chambers:
    """The chambers of those videos that have any.

    `refused` says why the chambers of a video could not be found.
    """

    by_video: Mapping[Path, tuple[Chamber, ...]] = field(default_factory=dict)
    refused: Mapping[Path, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def chambers_of(videos: Sequence[Path], config: DataConfig) -> Chambers:
    """The chambers that `config.recordings` and `config.chambers` give some videos.

    Where a table of recordings names chambers, those without a row are left out: nobody is in
    them. Raises `UserError` for tables that cannot be or that contradict each other.
    """
    subjects = None if config.recordings is None else read_subjects(config.recordings)
    in_rows = None if subjects is None else chambers_in_subjects(subjects)
    if config.chambers is None and in_rows is None:
        return Chambers()
    laid, refused, where = _laid_out(videos, config)
    if in_rows is not None:
        laid = _with_those_in_rows(videos, laid, in_rows, where)
    by_video: dict[Path, tuple[Chamber, ...]] = {}
    findings: list[Finding] = []
    for video in videos:
        chambers = laid.get(video, ())
        if subjects is not None and chambers:
            chambers = _with_a_row(subjects, video, chambers, findings)
        if chambers:
            by_video[video] = chambers
            findings += overlaps(chambers, str(video))
    return Chambers(by_video, refused, tuple(findings))


def chamber_tables_beside(places: Iterable[Path], given: str | None) -> DataConfig:
    """Settings that tell the chambers of videos in some places, for `chambers_of`.

    `given` is what the user says about chambers; without it, the chambers.csv in these places or
    beside them counts. A recordings.csv there counts if it has a column of chambers. Raises
    `UserError` if two tables of a kind differ.
    """
    places = list(places)
    folders = [*places, *homes(*places)]
    if given is None:
        table = chambers_beside(folders)
        given = None if table is None else str(table)
    recordings = recordings_beside(folders)
    if recordings is not None and not _names_chambers(recordings):
        recordings = None
    return DataConfig(chambers=given, recordings=recordings)


def _names_chambers(table: Path) -> bool:
    try:
        rows = head_of(table, _HEADER_WITHIN)
    except UserError:
        return False
    return any("chamber" in map(column_key, row) for row in rows)


def _laid_out(
    videos: Sequence[Path], config: DataConfig
) -> tuple[dict[Path, tuple[Chamber, ...]], dict[Path, str], Path]:
    """What `config.chambers` says about each video, why it fails, and what to call it."""
    if config.chambers is None:
        return {}, {}, Path()
    given = config.chambers
    grid = parse_grid(given)
    if grid is None and given.casefold() != AUTO:
        table = read_chambers(Path(given))
        return table.chambers_of(videos), {}, table.path
    chambers: dict[Path, tuple[Chamber, ...]] = {}
    refused: dict[Path, str] = {}
    for video in videos:
        if grid is None:
            try:
                chambers[video] = propose_chambers(video)
            except UserError as error:
                refused[video] = str(error)
            continue
        with contextlib.suppress(UserError):  # whoever reads the video reports it
            info = probe(video)
            chambers[video] = lay_grid((info.width_px, info.height_px), *grid)
    return chambers, refused, Path(f"--chambers {given}")


def _with_those_in_rows(
    videos: Sequence[Path],
    laid: Mapping[Path, tuple[Chamber, ...]],
    in_rows: ChamberTable,
    where: Path,
) -> dict[Path, tuple[Chamber, ...]]:
    """The chambers laid out by `where`, and those that the rows of a table of recordings give."""
    together = dict(laid)
    for video, chambers in in_rows.chambers_of(videos).items():
        together[video] = merged(chambers, laid.get(video, ()), in_rows.path, where)
    return together


def _with_a_row(
    subjects: SubjectTable, video: Path, chambers: Sequence[Chamber], findings: list[Finding]
) -> tuple[Chamber, ...]:
    """The chambers that a table of recordings names; all where it names none of the video's."""
    rows = chambers_named_in(subjects, video, chambers)
    if not rows:
        return tuple(chambers)
    without = [chamber.name for chamber in chambers if folded(chamber.name) not in rows]
    if without:
        what = f"has no row for {', '.join(without)} of {video.name}, which are left out as empty"
        findings.append(Finding("note", str(subjects.path), what, name="chamber-without-row"))
    return tuple(chamber for chamber in chambers if folded(chamber.name) in rows)


def parse_grid(text: str) -> tuple[int, int] | None:
    """Rows and columns of `2x4`; None for another text. Raises `UserError` for an empty grid."""
    match = _GRID.fullmatch(text.strip())
    if match is None:
        return None
    rows, columns = int(match[1]), int(match[2])
    if not 1 <= rows * columns <= _MOST:
        raise UserError(
            f"expected 1 to {_MOST} chambers (rows x columns), found {rows * columns}",
            where=f"--chambers {text}",
        )
    return rows, columns


def lay_grid(size: tuple[int, int], rows: int, columns: int) -> tuple[Chamber, ...]:
    """A picture `(width, height)` divided into equal chambers, row by row, A1 to the last one."""
    width, height = size
    chambers = []
    for row in range(rows):
        y0, y1 = (round(edge * height / rows) for edge in (row, row + 1))
        for column in range(columns):
            x0, x1 = (round(edge * width / columns) for edge in (column, column + 1))
            chambers.append(Chamber(name_at(row, column), (x0, y0, x1, y1)))
    return tuple(chambers)


def in_chamber(config: DataConfig, chamber: Chamber | None) -> DataConfig:
    """The settings for reading a recording that is a chamber of its video, or all of it."""
    return config if chamber is None else replace(config, chamber=chamber.box)


def part_of(luma: np.ndarray, box: Box | None) -> np.ndarray:
    """The part of a picture `(height, width)` that a chamber is; not a copy."""
    if box is None:
        return luma
    x0, y0, x1, y1 = box
    return luma[y0:y1, x0:x1]


def picture_of(info: VideoInfo, box: Box | None, where: object) -> VideoInfo:
    """The same video as if its picture were only a chamber of it.

    Raises `UserError` for a chamber that is too small or not inside the picture.
    """
    if box is None:
        return info
    x0, y0, x1, y1 = box
    if x1 > info.width_px or y1 > info.height_px:
        raise UserError(
            f"the chamber {x0}, {y0}, {x1}, {y1} lies outside the picture, which has "
            f"{info.width_px} x {info.height_px} pixels",
            where=where,
            remedy="give its corners in pixels of the upright picture",
            name="chamber-outside",
        )
    if min(x1 - x0, y1 - y0) < _LEAST_PX:
        raise UserError(
            f"the chamber {x0}, {y0}, {x1}, {y1} is too small; expected at least {_LEAST_PX} x "
            f"{_LEAST_PX} pixels",
            where=where,
            name="chamber-small",
        )
    return replace(info, width_px=x1 - x0, height_px=y1 - y0)
