"""Exports of BORIS (www.boris.unito.it): tabular events, and aggregated events, of any version, in CSV or TSV.

*Tabular* has a row for each START, STOP and POINT; old versions put a page about the observation in front of it.
*Aggregated* has a row for each bout. Times are seconds of the observation, which may run over several media files.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.ethogram import Ethogram
from dolorim.core.predictions import Predictions
from dolorim.files.table import read_cells, write_table
from dolorim.formats.events import Conflicts, Events, classes_of, seconds

_TOP = 200  # lines in which the header is looked for
_STARTS, _STOPS = ("start (s)", "start"), ("stop (s)", "stop")
_MEDIA = ("media file name", "media file path", "media file")
_NO_SUBJECT = ("", "no focal subject")


@dataclass(frozen=True)
class _Row:
    """A row of either kind: `status` is START, STOP, POINT or STATE. Times in seconds, image indices as written."""

    line: int
    observation: str
    media: str
    subject: str
    behavior: str
    modifiers: tuple[str, ...]
    status: str
    start: float | None
    stop: float | None
    images: tuple[str, str]
    cells: dict[str, str]


def header_of(cells: Sequence[str]) -> list[str] | None:
    """The column names in lower case, if these are the header of a BORIS export."""
    names = [c.strip().casefold() for c in cells]
    aggregated = any(n in names for n in _STARTS) and any(n in names for n in _STOPS) and "behavior type" in names
    tabular = "time" in names and ("status" in names or "behavior type" in names)
    return names if "behavior" in names and "subject" in names and (aggregated or tabular) else None


def read_boris(
    path: Path,
    ethogram: Ethogram,
    subject: str | None,
    conflicts: Conflicts,
    wanted: Callable[[str], bool] = lambda media: True,
) -> dict[str, Events]:
    """The bouts of each media file that is `wanted`, by the file's name; "" where none is named.

    Raises `UserError` where several subjects or observers could be meant, and for what cannot be understood.
    """
    by_media: dict[str, list[_Row]] = defaultdict(list)
    for row in _rows(path):
        by_media[row.media].append(row)
    if not by_media:  # somebody has looked and seen nothing
        return {"": Events(path, "frames", np.empty(0), np.empty(0), np.empty(0, np.int16))}
    offsets = _media_offsets(by_media)
    found = {}
    for media, rows in by_media.items():
        if not wanted(media):
            continue
        observations = {r.observation for r in rows}
        if len(observations) > 1:
            names = ", ".join(sorted(observations))
            raise UserError(f"{path}: {media} was scored in {len(observations)} observations ({names}); keep one")
        mine = _of_subject(path, rows, subject)
        found[media] = _events(path, mine, offsets.get(media), ethogram, conflicts)
    return found


def _rows(path: Path) -> list[_Row]:
    names: list[str] | None = None
    page: dict[str, str] = {}
    rows = []
    for line, cells in read_cells(path):
        if names is None:
            names = header_of(cells)
            if names is None and line > _TOP:
                break
            if names is None:
                page.setdefault(cells[0].strip().casefold(), cells[1].strip() if len(cells) > 1 else "")
            continue
        if any(c.strip() for c in cells):
            if len(cells) < len(names):
                raise UserError(
                    f"{path}, line {line}: expected {len(names)} cells, found {len(cells)}; export it again"
                )
            rows.append(_row(path, line, names, cells, page))
    if names is None:
        raise UserError(
            f"{path}: expected an export of BORIS with a header (Subject, Behavior, and Time or Start (s)); "
            f"export the events again"
        )
    return rows


def _row(path: Path, line: int, names: list[str], cells: Sequence[str], page: dict[str, str]) -> _Row:
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
    subject = value("subject")
    return _Row(
        line,
        value("observation id") or page.get("observation id", ""),
        "" if media in ("NA", "Not found") else re.split(r"[\\/]", media)[-1],
        "" if subject.casefold() in _NO_SUBJECT else subject,
        value("behavior"),
        tuple(v for n, v in values.items() if n.startswith("modifier")),
        status,
        times[0],
        times[1],
        images,
        {"time offset (s)": page.get("time offset (s)", "")} | values,
    )


def _player_1(source: str) -> str:
    """The media files of the first player in `player #1:a.mp4;b.mp4|player #2:c.mp4`."""
    return source.split("|")[0].partition(":")[2].strip() if source.casefold().startswith("player #1:") else ""


def _media_offsets(by_media: dict[str, list[_Row]]) -> dict[str, float | None]:
    """When each media file begins in its observation, in seconds; None where the export does not tell."""
    together: dict[str, set[str]] = defaultdict(set)
    for media, rows in by_media.items():
        for row in rows:
            together[row.observation].add(media)
    offsets: dict[str, float | None] = {}
    for media, rows in by_media.items():
        cells = rows[0].cells
        files = [re.split(r"[\\/]", f)[-1] for f in _player_1(cells.get("source", "")).split(";")]
        lengths = [seconds(t) for t in cells.get("media duration (s)", "").split("|")[0].split(";")]
        if media in files and len(files) == len(lengths):
            before = [length for length in lengths[: files.index(media)] if length is not None]
            offsets[media] = sum(before) if len(before) == files.index(media) else None
        else:
            offsets[media] = 0.0 if len(together[rows[0].observation]) == 1 else None
    return offsets


def _of_subject(path: Path, rows: list[_Row], subject: str | None) -> list[_Row]:
    there = sorted({r.subject for r in rows})
    shown = ", ".join(s or "No focal subject" for s in there)
    if subject is None:
        if len(there) > 1:
            raise UserError(f"{path}: has the subjects {shown}; choose one with --label_stream")
        return rows
    wanted = "" if subject.casefold() in _NO_SUBJECT else subject.casefold()
    mine = [r for r in rows if r.subject.casefold() == wanted]
    if not mine:
        raise UserError(f"{path}: no subject is called {subject}; there are {shown} (--label_stream)")
    return mine


def _events(path: Path, rows: list[_Row], offset: float | None, ethogram: Ethogram, conflicts: Conflicts) -> Events:
    if offset is None:
        raise UserError(
            f"{path}, line {rows[0].line}: its observation runs over several media files and does not say how long "
            f"they are, so its times cannot be laid on one video; export it with a newer BORIS"
        )
    shifted = seconds(rows[0].cells["time offset (s)"])
    if shifted:
        remedy = "set it to 0 in BORIS and export again"
        conflicts.add(path, f"has a time offset of {shifted:g} s", remedy, "times are kept as written")
    timed = all(r.start is not None and r.stop is not None for r in rows)
    first_image = int("images" in rows[0].cells.get("source", "") or rows[0].media == "")  # pictures count from 1
    bouts = []
    for row, start, stop in _paired(path, rows, timed, conflicts):
        begin, end = (
            (start.start or 0.0) - offset if timed else _image(path, start, 0) - first_image,
            (stop.stop or 0.0) - offset if timed else _image(path, stop, 1) - first_image,
        )
        if end < begin:
            raise UserError(f"{path}, line {stop.line}: {row.behavior} ends before it begins; mend it in BORIS")
        bouts.append((begin, end, row))
    labels = classes_of(path, [b[2].behavior for b in bouts], [b[2].line for b in bouts], ethogram, conflicts)
    rate = seconds(next((rows[0].cells[n] for n in ("fps", "fps (frame/s)") if n in rows[0].cells), ""))
    starts, stops = (np.array([b[i] for b in bouts], np.float64) for i in (0, 1))
    return Events(path, "s" if timed else "frames", starts, stops, labels, rate or None)


def _paired(path: Path, rows: list[_Row], timed: bool, conflicts: Conflicts) -> list[tuple[_Row, _Row, _Row]]:
    """Bouts as (row that names it, row where it starts, row where it stops)."""
    found: list[tuple[_Row, _Row, _Row]] = []
    running: dict[tuple[str, str, tuple[str, ...]], _Row] = {}

    def lost(row: _Row, what: str) -> None:
        conflicts.add(f"{path}, line {row.line}", f"{row.behavior} has {what}", "mend it in BORIS", "it is left out")

    order = sorted(rows, key=lambda r: r.start or 0.0) if timed else rows  # exports may be sorted by behavior
    for row in order:
        key = (row.subject, row.behavior, row.modifiers)
        if row.status in ("STATE", "POINT"):
            found.append((row, row, row))
        elif row.status == "START":
            if key in running:
                lost(running[key], "a START without a STOP")
            running[key] = row
        elif key in running:
            start = running.pop(key)
            found.append((start, start, row))
        else:
            lost(row, "a STOP without a START")
    for row in running.values():
        lost(row, "a START without a STOP")
    return found


def _image(path: Path, row: _Row, which: int) -> int:
    text = row.images[which]
    number = seconds(text)
    if number is None or number != int(number):
        raise UserError(f"{path}, line {row.line}: expected a time or an image index, found {text!r}")
    return int(number)


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
    video = re.split(r"[\\/]", str(predictions.meta.get("video") or predictions.name))[-1]
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
