"""Exports of BORIS (www.boris.unito.it): tabular events, and aggregated events, of any version, in CSV or TSV.

*Tabular* has a row for each START, STOP and POINT; old versions put a page about the observation in front of it.
*Aggregated* has a row for each bout. Project files are read by `boris_project`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.tables import read_cells, write_table
from dolorim.labels.boris_events import (
    Media,
    Observation,
    PointEvents,
    Row,
    base_name,
    events_by_media,
    in_a_row,
    subject_of,
)
from dolorim.labels.boris_project import is_project, read_project
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events, seconds
from dolorim.labels.predictions import Predictions

_STARTS, _STOPS = ("start (s)", "start"), ("stop (s)", "stop")
_MEDIA = ("media file name", "media file path", "media file")
_RATES = ("fps", "fps (frame/s)")
_LENGTHS = ("media duration (s)", "total length")


def header_of(cells: Sequence[str]) -> list[str] | None:
    """The column names in lower case, if these are the header of a BORIS export."""
    names = [c.strip().casefold() for c in cells]
    aggregated = (
        any(n in names for n in _STARTS)
        and any(n in names for n in _STOPS)
        and "behavior type" in names
    )
    tabular = "time" in names and ("status" in names or "behavior type" in names)
    return names if "behavior" in names and "subject" in names and (aggregated or tabular) else None


def is_header(cells: Sequence[str]) -> bool:
    """Is this the header of an export? What stands in front of it is free text."""
    return header_of(cells) is not None


def read_boris(
    path: Path,
    ethogram: Ethogram,
    subject: str | None,
    conflicts: Conflicts,
    wanted: Callable[[str], bool] = lambda media: True,
    point_events: PointEvents = "keep",
) -> dict[str, Events]:
    """The bouts of each media file that is `wanted`, by the file's name; "" where none is named.

    `point_events` says what becomes of a point event inside a state. Raises `UserError` where several subjects or
    observers could be meant, and for what cannot be understood.
    """
    observations = read_observations(path, conflicts)
    if not observations:  # somebody has looked and seen nothing
        return {"": Events(path, "frames", np.empty(0), np.empty(0), np.empty(0, np.int16))}
    return events_by_media(path, observations, ethogram, subject, conflicts, wanted, point_events)


def read_observations(path: Path, conflicts: Conflicts) -> list[Observation]:
    """All observations of a project file or of an export. Raises `UserError`."""
    if is_project(path):
        return read_project(path, conflicts)
    by_observation: dict[str, list[_Line]] = defaultdict(list)
    for line in _lines(path):
        by_observation[line.observation].append(line)
    return [_observation(name, lines) for name, lines in by_observation.items()]


def media_of(path: Path) -> list[str]:
    """The media files that a file of BORIS names, as it names them. Raises `UserError`."""
    observations = read_observations(path, Conflicts("warn"))
    return [*dict.fromkeys(media.path for o in observations for media in o.media if media.path)]


@dataclass(frozen=True)
class _Line:
    observation: str
    media: str
    row: Row
    cells: dict[str, str]


def _lines(path: Path) -> list[_Line]:
    names: list[str] | None = None
    page: dict[str, str] = {}
    found = []
    for line, cells in read_cells(path, is_header):
        if names is None:
            names = header_of(cells)
            if names is None:
                page.setdefault(
                    cells[0].strip().casefold(), cells[1].strip() if len(cells) > 1 else ""
                )
            continue
        if any(c.strip() for c in cells):
            if len(cells) < len(names):
                raise UserError(
                    f"{path}, line {line}: expected {len(names)} cells, found {len(cells)}; export it again"
                )
            found.append(_line(path, line, names, cells, page))
    if names is None:
        raise UserError(
            f"{path}: expected an export of BORIS with a header (Subject, Behavior, and Time or Start (s)); "
            f"export the events again"
        )
    return found


def _line(
    path: Path, line: int, names: list[str], cells: Sequence[str], page: dict[str, str]
) -> _Line:
    values = {n: c.strip() for n, c in zip(names, cells, strict=False)}

    def value(*choices: str) -> str:
        return next((values[n] for n in choices if n in values), "")

    aggregated = any(n in values for n in _STARTS)
    status = value("status", "behavior type").upper()
    start, stop = value("time", *_STARTS), value("time", *_STOPS)
    times = seconds(start), seconds(stop)
    images = value("image index", "image index start"), value("image index", "image index stop")
    if (None in times and not all(images)) or status not in ("STATE", "POINT", "START", "STOP"):
        shown = f"{start!r}, {stop!r}" if aggregated else repr(start)
        raise UserError(
            f"{path}, line {line}: expected times in seconds and a type of event, found {shown}, {status!r}"
        )
    media = value(*_MEDIA) or page.get("player #1", "") or _player_1(value("source"))
    row = Row(
        f"line {line}",
        "" if media in ("NA", "Not found") else base_name(media),
        subject_of(value("subject")),
        value("behavior"),
        tuple(v for n, v in values.items() if n.startswith("modifier")),
        status,
        times[0],
        times[1],
        images,
    )
    observation = value("observation id") or page.get("observation id", "")
    cells_and_page = {"time offset (s)": page.get("time offset (s)", "")} | values
    return _Line(observation, media if row.media else "", row, cells_and_page)


def _player_1(source: str) -> str:
    """The media files of the first player in `player #1:a.mp4;b.mp4|player #2:c.mp4`."""
    return (
        source.split("|")[0].partition(":")[2].strip()
        if source.casefold().startswith("player #1:")
        else ""
    )


def _observation(name: str, lines: list[_Line]) -> Observation:
    cells = lines[0].cells
    source = cells.get("source", "")
    no_media = any(not line.media for line in lines)
    return Observation(
        name,
        tuple(line.row for line in lines),
        tuple(_media(lines)),
        seconds(cells["time offset (s)"]) or 0.0,
        int("images" in source or no_media),  # pictures count from 1
    )


def _media(lines: list[_Line]) -> list[Media]:
    """The media files of an observation, as its rows and its source name them, and where they begin."""
    cells = lines[0].cells
    in_rows = [*dict.fromkeys(line.media for line in lines)]
    files = [f.strip() for f in _player_1(cells.get("source", "")).split(";")]
    rates = _numbers(cells, _RATES)
    lengths = _numbers(cells, _LENGTHS)
    names = [base_name(f) for f in files]
    if all(base_name(m) in names for m in in_rows) and len(files) == len(lengths):
        each_hz = rates if len(rates) == len(files) else rates[:1] * len(files)
        return in_a_row(files, lengths, each_hz)
    rate_hz = rates[0] if len(rates) == 1 else None
    if len(in_rows) == 1:
        return [Media(in_rows[0], 0.0, lengths[0] if len(lengths) == 1 else None, rate_hz)]
    return [Media(m, None, None, rate_hz, alone=False) for m in in_rows]  # the export does not tell


def _numbers(cells: dict[str, str], columns: Sequence[str]) -> list[float | None]:
    """The numbers of the first player, one for each of its files, None for what is no number above 0."""
    text = next((cells[n] for n in columns if n in cells), "")
    return [seconds(part) or None for part in text.split("|")[0].split(";")]


_HEADER = (
    "Observation id", "Observation date", "Description", "Observation type", "Source", "Time offset (s)",
    "Coding duration", "Media duration (s)", "FPS (frame/s)", "Subject",
    "Observation duration by subject by observation", "Behavior", "Behavioral category", "Behavior type", "Start (s)",
    "Stop (s)", "Duration (s)", "Media file name", "Image index start", "Image index stop", "Image file path start",
    "Image file path stop", "Comment start", "Comment stop",
)  # fmt: skip


def write_boris(path: Path, predictions: Predictions, source: str) -> None:
    """Write aggregated events as BORIS 8 and 9 export them; `source` says where the labels come from.

    Times are seconds from the first frame; a bout stops where the frame after it begins.
    """
    length_s = predictions.length_s
    video = base_name(str(predictions.meta.get("video") or predictions.name))
    rows = []
    for bout, probability in predictions.bouts():
        start_s, stop_s = predictions.interval_s(bout)
        rows.append((
            predictions.name, "", source, "Media file(s)", f"player #1:{video}", "0.0",
            f"{length_s:.6f}", f"{length_s:.6f}", f"{predictions.rate_hz:.4f}", "No focal subject",
            "", predictions.classes[bout.label], "", "STATE", f"{start_s:.6f}",
            f"{stop_s:.6f}", f"{stop_s - start_s:.6f}", video, bout.start, bout.stop, "NA",
            "NA", f"mean probability {probability:.4f}", "",
        ))  # fmt: skip
    write_table(path, _HEADER, rows)
