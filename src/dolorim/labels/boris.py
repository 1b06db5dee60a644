"""Exports of BORIS (www.boris.unito.it), in CSV or TSV of any version.

*Tabular* events have a row for each START, STOP and POINT; old versions put a page about the
observation in front of them. *Aggregated* events have a row for each bout. `boris_project` reads
project files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.tables import read_cells, write_table
from dolorim.labels.boris_events import chosen_observations, events_by_media
from dolorim.labels.boris_observation import (
    Media,
    Observation,
    Row,
    base_name,
    media_in_sequence,
    subject_of,
)
from dolorim.labels.boris_project import is_project, read_project
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events, seconds
from dolorim.labels.predictions import Predictions

if TYPE_CHECKING:
    from dolorim.config import DataConfig

# Names of columns, in lower case, as the versions of BORIS write them.
_STARTS, _STOPS = ("start (s)", "start"), ("stop (s)", "stop")
_MEDIA = ("media file name", "media file path", "media file")
_RATES = ("fps", "fps (frame/s)")
_LENGTHS = ("media duration (s)", "total length")
_STATUSES = ("STATE", "POINT", "START", "STOP")
_TIME_OFFSET = "time offset (s)"


def header_of(cells: Sequence[str]) -> list[str] | None:
    """The column names in lower case if these are the header of a BORIS export, else None."""
    names = [cell.strip().casefold() for cell in cells]
    known = set(names)
    has_interval = not known.isdisjoint(_STARTS) and not known.isdisjoint(_STOPS)
    is_aggregated = has_interval and "behavior type" in known
    is_tabular = "time" in known and not known.isdisjoint(("status", "behavior type"))
    is_export = {"behavior", "subject"} <= known and (is_aggregated or is_tabular)
    return names if is_export else None


def is_header(cells: Sequence[str]) -> bool:
    """Whether this is the header of an export. Free text may precede it."""
    return header_of(cells) is not None


def read_boris(
    path: Path,
    ethogram: Ethogram,
    config: DataConfig,
    conflicts: Conflicts,
    wanted: Callable[[str], bool] = lambda media: True,
) -> dict[str, Events]:
    """The bouts of each media file that is `wanted`, by the file's name; "" where none is named.

    Raises `UserError` where several subjects or observations could be meant, and for rows that
    cannot be understood.
    """
    observations = read_observations(path, conflicts)
    if not observations:  # a header without rows: somebody scored the video, and nothing happened
        return {"": Events(path, "frames", np.empty(0), np.empty(0), np.empty(0, np.int16))}
    observations = chosen_observations(path, observations, config.label_observation, conflicts)
    return events_by_media(
        path, observations, ethogram, config.label_stream, conflicts, wanted, config.point_events
    )


def read_observations(path: Path, conflicts: Conflicts) -> list[Observation]:
    """All observations of a project file or of an export. Raises `UserError`."""
    if is_project(path):
        return read_project(path, conflicts)
    by_observation: dict[str, list[_Line]] = defaultdict(list)
    for line in _read_lines(path):
        by_observation[line.observation].append(line)
    return [_observation(name, lines) for name, lines in by_observation.items()]


def media_of(path: Path) -> list[str]:
    """The media files that a file of BORIS names, as it names them. Raises `UserError`."""
    paths: list[str] = []
    for observation in read_observations(path, Conflicts("warn")):
        paths += [media.path for media in observation.media if media.path]
    return [*dict.fromkeys(paths)]


def subjects_of(path: Path) -> list[str]:
    """The subjects that a file of BORIS names. Raises `UserError`."""
    subjects: dict[str, None] = {}
    for observation in read_observations(path, Conflicts("warn")):
        subjects |= dict.fromkeys(row.subject for row in observation.rows if row.subject)
    return [*subjects]


@dataclass(frozen=True)
class _Line:
    """A row of an export, with what it says about its observation in `cells`."""

    observation: str
    media: str
    row: Row
    cells: Mapping[str, str]


def _read_lines(path: Path) -> list[_Line]:
    names: list[str] | None = None
    page: dict[str, str] = {}  # about the observation, in front of the header
    lines = []
    for number, cells in read_cells(path, is_header):
        if names is None:
            names = header_of(cells)
            if names is None:
                value = cells[1].strip() if len(cells) > 1 else ""
                page.setdefault(cells[0].strip().casefold(), value)
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) < len(names):
            raise UserError(
                f"{path}, line {number}: expected {len(names)} cells, found {len(cells)}; "
                f"export it again"
            )
        values = {name: cell.strip() for name, cell in zip(names, cells, strict=False)}
        lines.append(_read_line(path, number, values, page))
    if names is None:  # no line of the file was a header
        raise UserError(
            f"{path}: expected an export of BORIS with a header (Subject, Behavior, and Time or "
            f"Start (s)); export the events again"
        )
    return lines


def _read_line(
    path: Path, number: int, values: Mapping[str, str], page: Mapping[str, str]
) -> _Line:
    """One row of an export; `values` are its cells by column name."""
    status = _first_of(values, "status", "behavior type").upper()
    start, stop = _first_of(values, "time", *_STARTS), _first_of(values, "time", *_STOPS)
    start_s, stop_s = seconds(start), seconds(stop)
    images = (
        _first_of(values, "image index", "image index start"),
        _first_of(values, "image index", "image index stop"),
    )
    has_place = None not in (start_s, stop_s) or all(images)
    if not has_place or status not in _STATUSES:
        is_aggregated = not values.keys().isdisjoint(_STARTS)
        shown = f"{start!r}, {stop!r}" if is_aggregated else repr(start)
        raise UserError(
            f"{path}, line {number}: expected times in seconds and a type of event, found {shown}, "
            f"{status!r}"
        )
    media = _media_path(values, page)
    # BORIS writes these words where a row has no media file.
    media_name = "" if media in ("NA", "Not found") else base_name(media)
    row = Row(
        f"line {number}",
        media_name,
        subject_of(values.get("subject", "")),
        values.get("behavior", ""),
        tuple(cell for name, cell in values.items() if name.startswith("modifier")),
        status,
        start_s,
        stop_s,
        images,
    )
    observation = values.get("observation id") or page.get("observation id", "")
    # Old versions give the offset on the page in front of the table.
    cells = {_TIME_OFFSET: page.get(_TIME_OFFSET, ""), **values}
    return _Line(observation, media if media_name else "", row, cells)


def _first_of(values: Mapping[str, str], *names: str) -> str:
    """The cell of the first of these columns that exists; "" if none does."""
    return next((values[name] for name in names if name in values), "")


def _media_path(values: Mapping[str, str], page: Mapping[str, str]) -> str:
    """The media file of a row, from whichever place this version of BORIS writes it to."""
    in_row, on_page = _first_of(values, *_MEDIA), page.get("player #1", "")
    return in_row or on_page or _first_player(values.get("source", ""))


def _first_player(source: str) -> str:
    """The media files of the first player in `player #1:a.mp4;b.mp4|player #2:c.mp4`."""
    if not source.casefold().startswith("player #1:"):
        return ""
    return source.split("|")[0].partition(":")[2].strip()


def _observation(name: str, lines: list[_Line]) -> Observation:
    cells = lines[0].cells
    has_images = "images" in cells.get("source", "") or any(not line.media for line in lines)
    return Observation(
        name,
        tuple(line.row for line in lines),
        tuple(_media(lines)),
        seconds(cells[_TIME_OFFSET]) or 0.0,
        int(has_images),  # pictures count from 1
    )


def _media(lines: list[_Line]) -> list[Media]:
    """The media files of an observation, as its rows and its source name them."""
    cells = lines[0].cells
    named_in_rows = [*dict.fromkeys(line.media for line in lines)]
    files = [file.strip() for file in _first_player(cells.get("source", "")).split(";")]
    rates_hz = _numbers(cells, _RATES)
    lengths_s = _numbers(cells, _LENGTHS)
    source_names = set(map(base_name, files))
    if source_names.issuperset(map(base_name, named_in_rows)) and len(files) == len(lengths_s):
        # One rate may stand for all files.
        each_hz = rates_hz if len(rates_hz) == len(files) else rates_hz[:1] * len(files)
        return media_in_sequence(files, lengths_s, each_hz)
    rate_hz = _only(rates_hz)
    if len(named_in_rows) == 1:
        return [Media(named_in_rows[0], 0.0, _only(lengths_s), rate_hz)]
    # Several files, and the export does not tell when each begins.
    return [Media(media, None, None, rate_hz, alone=False) for media in named_in_rows]


def _only(numbers: Sequence[float | None]) -> float | None:
    """The number if there is one; None for several, as nothing tells which file has which."""
    return numbers[0] if len(numbers) == 1 else None


def _numbers(cells: Mapping[str, str], columns: Sequence[str]) -> list[float | None]:
    """A number for each file of the first player; None where it is not above 0."""
    first_player = _first_of(cells, *columns).split("|")[0]
    return [seconds(part) or None for part in first_player.split(";")]


_HEADER = (
    "Observation id",
    "Observation date",
    "Description",
    "Observation type",
    "Source",
    "Time offset (s)",
    "Coding duration",
    "Media duration (s)",
    "FPS (frame/s)",
    "Subject",
    "Observation duration by subject by observation",
    "Behavior",
    "Behavioral category",
    "Behavior type",
    "Start (s)",
    "Stop (s)",
    "Duration (s)",
    "Media file name",
    "Image index start",
    "Image index stop",
    "Image file path start",
    "Image file path stop",
    "Comment start",
    "Comment stop",
)


def write_boris(path: Path, recordings: Sequence[Predictions], source: str) -> None:
    """Write aggregated events as BORIS 8 and 9 export them; `source` says where labels come from.

    The recordings are one video, or chambers of one: these are the subjects of one observation.
    Times are seconds from the first frame; a bout stops where the frame after it begins. A bout of
    a class of point events is one event, at its first frame.
    """
    rows: list[list[str]] = []
    for predictions in recordings:
        rows += _rows_of_recording(predictions, source)
    write_table(path, _HEADER, rows)


def _rows_of_recording(predictions: Predictions, source: str) -> Iterator[list[str]]:
    points = predictions.meta.get("points") or ()
    length_s = predictions.length_s
    video = base_name(str(predictions.meta.get("video") or predictions.name))
    same_in_all_rows = {
        "Observation id": predictions.video_name,
        "Description": source,
        "Observation type": "Media file(s)",
        "Source": f"player #1:{video}",
        "Time offset (s)": "0.0",
        "Coding duration": f"{length_s:.6f}",
        "Media duration (s)": f"{length_s:.6f}",
        "FPS (frame/s)": f"{predictions.rate_hz:.4f}",
        "Subject": predictions.chamber or "No focal subject",
        "Media file name": video,
        "Image file path start": "NA",
        "Image file path stop": "NA",
    }
    for bout, probability in predictions.bouts():
        start_s, stop_s = predictions.interval_s(bout)
        name, stop, kind = predictions.classes[bout.label], bout.stop, "STATE"
        if name in points:
            stop_s, stop, kind = start_s, bout.start, "POINT"
        row = same_in_all_rows | {
            "Behavior": name,
            "Behavior type": kind,
            "Start (s)": f"{start_s:.6f}",
            "Stop (s)": f"{stop_s:.6f}",
            "Duration (s)": f"{stop_s - start_s:.6f}",
            "Image index start": str(bout.start),
            "Image index stop": str(stop),
            "Comment start": f"mean probability {probability:.4f}",
        }
        yield [row.get(column, "") for column in _HEADER]
