"""What BORIS has recorded, from an export or a project file: who did what and when, laid on the media files.

Times are seconds of the observation, which may run over several media files, one after the other or side by side.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events, classes_of, seconds

PointEvents = Literal["keep", "conflict", "drop"]
_NO_SUBJECT = ("", "no focal subject")
_A_FRAME_HZ = 50.0  # where nobody says the rate: half a frame of this is no behavior but rounding


@dataclass(frozen=True)
class Row:
    """A START, STOP, POINT or STATE (both ends). Times are seconds, image indices are kept as written."""

    where: str
    media: str
    subject: str
    behavior: str
    modifiers: tuple[str, ...]
    status: str
    start: float | None
    stop: float | None
    images: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Media:
    """A media file of an observation, and when it begins there; None for what nobody says.

    `has_next` is true where another file follows it in the same player, `alone` where it is the only one.
    """

    path: str
    start_s: float | None = 0.0
    length_s: float | None = None
    rate_hz: float | None = None
    has_next: bool = False
    alone: bool = True

    @property
    def name(self) -> str:
        return base_name(self.path)

    def holds(self, start_s: float, stop_s: float) -> tuple[float, float]:
        """The part of `[start_s, stop_s)` that this file shows, in seconds of the observation."""
        if self.alone or self.start_s is None:
            return start_s, stop_s
        if self.length_s is not None:
            stop_s = min(stop_s, self.start_s + self.length_s)
        return max(start_s, self.start_s), stop_s


@dataclass(frozen=True)
class Observation:
    """One observation; `first_image` is the number of the first picture, where events name pictures."""

    name: str
    rows: tuple[Row, ...]
    media: tuple[Media, ...]
    time_offset_s: float = 0.0
    first_image: int = 0


@dataclass(frozen=True)
class _Bout:
    start: float
    stop: float
    row: Row


def base_name(path: str) -> str:
    """The name of a file in a path as Windows or others write it."""
    return re.split(r"[\\/]", path)[-1]


def subject_of(text: str) -> str:
    """A subject's name; "" for none."""
    return "" if text.casefold() in _NO_SUBJECT else text


def in_a_row(
    paths: Sequence[str],
    lengths_s: Sequence[float | None],
    rates_hz: Sequence[float | None],
    offset_s: float = 0.0,
    side_by_side: bool = False,
) -> list[Media]:
    """The media files of one player, each of which begins where the one before it ends.

    `side_by_side` says that other players show other files at the same time.
    """
    found: list[Media] = []
    start_s: float | None = offset_s
    alone = len(paths) == 1 and not side_by_side
    for path, length_s, rate_hz in zip(paths, lengths_s, rates_hz, strict=True):
        has_next = len(found) < len(paths) - 1
        found.append(Media(path, start_s, length_s, rate_hz, has_next, alone))
        start_s = None if start_s is None or length_s is None else start_s + length_s
    return found


def events_by_media(
    path: Path,
    observations: Sequence[Observation],
    ethogram: Ethogram,
    subject: str | None,
    conflicts: Conflicts,
    wanted: Callable[[str], bool],
    point_events: PointEvents,
) -> dict[str, Events]:
    """The bouts of each media file that is `wanted`, by the file's name; "" where none is named.

    Raises `UserError` where several subjects or observations could be meant, and for what cannot be understood.
    """
    paths = {m.path for o in observations for m in o.media}
    of_name: dict[str, set[str]] = defaultdict(set)
    for known in paths:
        of_name[base_name(known)].add(known)
    scored: dict[str, list[tuple[Observation, Media]]] = defaultdict(list)
    for observation in observations:
        for media in observation.media:
            unique = len(of_name[media.name]) == 1
            scored[media.name if unique else media.path].append((observation, media))
    found: dict[str, Events] = {}
    paired: dict[str, list[_Bout]] = {}
    for key, places in scored.items():
        if not wanted(key):
            continue
        if len(places) > 1:
            names = ", ".join(sorted(o.name for o, _ in places))
            which = key or "a video without a name"
            raise UserError(
                f"{path}: {which} was scored in {len(places)} observations ({names}); keep one"
            )
        observation, media = places[0]
        if media.start_s is None or (media.has_next and media.length_s is None):
            where = f", {observation.rows[0].where}" if observation.rows else ""
            raise UserError(
                f"{path}{where}: its observation runs over several media files and does not say how long "
                f"they are, so its times cannot be laid on one video; export it with a newer BORIS"
            )
        if observation.name not in paired:
            rows = _of_subject(path, observation.rows, subject)
            paired[observation.name] = _bouts(path, observation, rows, conflicts)
        bouts = paired[observation.name]
        found[key] = _on_media(path, bouts, media, ethogram, conflicts, point_events)
    return found


def _of_subject(path: Path, rows: Sequence[Row], subject: str | None) -> list[Row]:
    there = sorted({r.subject for r in rows})
    shown = ", ".join(s or "No focal subject" for s in there)
    if subject is None:
        if len(there) > 1:
            raise UserError(f"{path}: has the subjects {shown}; choose one with --label_stream")
        return [*rows]
    if not rows:  # somebody has looked and seen nothing
        return []
    wanted = subject_of(subject).casefold()
    mine = [r for r in rows if r.subject.casefold() == wanted]
    if not mine:
        raise UserError(
            f"{path}: no subject is called {subject}; there are {shown} (--label_stream)"
        )
    return mine


def _bouts(
    path: Path, observation: Observation, rows: list[Row], conflicts: Conflicts
) -> list[_Bout]:
    """The bouts of an observation: in its seconds, or in pictures counted from 0 where it has no times."""
    if observation.time_offset_s and rows:
        what = f"has a time offset of {observation.time_offset_s:g} s"
        remedy = "set it to 0 in BORIS and export again"
        conflicts.add(path, what, remedy, "times are kept as written")
    timed = all(r.start is not None and r.stop is not None for r in rows)
    found = []
    for row, start, stop in _paired(path, rows, timed, conflicts):
        if timed:
            begin, end = start.start or 0.0, stop.stop or 0.0
        else:
            begin = _image(path, start, 0) - observation.first_image
            end = _image(path, stop, 1) - observation.first_image
        if end < begin:
            raise UserError(
                f"{path}, {stop.where}: {row.behavior} ends before it begins; mend it in BORIS"
            )
        found.append(_Bout(begin, end, row))
    if timed:
        _note_cuts(path, observation, found, conflicts)
    return found


def _note_cuts(
    path: Path, observation: Observation, bouts: list[_Bout], conflicts: Conflicts
) -> None:
    for media in observation.media:
        if not media.has_next or media.start_s is None or media.length_s is None:
            continue
        end_s, tolerance_s = media.start_s + media.length_s, _half_a_frame(media)
        cut = [b for b in bouts if b.start < end_s - tolerance_s and b.stop > end_s + tolerance_s]
        if cut:
            names = ", ".join(dict.fromkeys(b.row.behavior for b in cut))
            what = f"{names} runs from {media.name} into the next media file"
            remedy = "cut at the end of the one, continued at the start of the other"
            conflicts.found.append(Finding("note", str(path), what, remedy, "bout-over-two-media"))


def _half_a_frame(media: Media) -> float:
    return 0.5 / (media.rate_hz or _A_FRAME_HZ)


def _on_media(
    path: Path,
    bouts: list[_Bout],
    media: Media,
    ethogram: Ethogram,
    conflicts: Conflicts,
    point_events: PointEvents,
) -> Events:
    """The part of an observation's bouts that one media file shows."""
    assert media.start_s is not None
    timed = all(b.row.start is not None and b.row.stop is not None for b in bouts)
    if timed and not media.alone:
        bouts = [piece for b in bouts for piece in _piece(b, media)]
    if point_events == "drop":
        dropped = [b for b in bouts if b.row.status == "POINT"]
        bouts = [b for b in bouts if b.row.status != "POINT"]
        if dropped:
            what = f"{len(dropped)} point events are left out"
            conflicts.found.append(
                Finding("note", str(path), what, "--point_events drop", "points-dropped")
            )
    words, places = [b.row.behavior for b in bouts], [b.row.where for b in bouts]
    labels = classes_of(path, words, places, ethogram, conflicts)
    shift = media.start_s if timed else 0.0
    start = np.array([b.start for b in bouts], np.float64) - shift
    stop = np.array([b.stop for b in bouts], np.float64) - shift
    points = np.array([b.row.status == "POINT" for b in bouts], bool)
    return Events(
        path,
        "s" if timed else "frames",
        np.maximum(start, 0.0),
        np.maximum(stop, 0.0),
        labels,
        media.rate_hz,
        points if point_events == "keep" else None,
        media.length_s,
    )


def _piece(bout: _Bout, media: Media) -> list[_Bout]:
    """What a media file shows of a bout: nothing or one piece."""
    if bout.row.status == "POINT" and bout.row.media:
        return [bout] if bout.row.media == media.name else []
    start_s, stop_s = media.holds(bout.start, bout.stop)
    if bout.start == bout.stop:
        at_the_end = stop_s == (media.start_s or 0.0) + (media.length_s or 0.0)
        before = media.has_next and at_the_end
        return [bout] if start_s == stop_s and not before else []
    # Times are rounded: what reaches into the next file by less than half a frame does not belong to it.
    least_s = min(_half_a_frame(media), (bout.stop - bout.start) / 2)
    return [_Bout(start_s, stop_s, bout.row)] if stop_s - start_s >= least_s else []


def _paired(
    path: Path, rows: list[Row], timed: bool, conflicts: Conflicts
) -> list[tuple[Row, Row, Row]]:
    """Bouts as (row that names it, row where it starts, row where it stops)."""
    found: list[tuple[Row, Row, Row]] = []
    running: dict[tuple[str, str, tuple[str, ...]], Row] = {}

    def lost(row: Row, what: str) -> None:
        conflicts.add(
            f"{path}, {row.where}",
            f"{row.behavior} has {what}",
            "mend it in BORIS",
            "it is left out",
        )

    order = (
        sorted(rows, key=lambda r: r.start or 0.0) if timed else rows
    )  # exports may be sorted by behavior
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


def _image(path: Path, row: Row, which: int) -> int:
    text = row.images[which]
    number = seconds(text)
    if number is None or number != int(number):
        raise UserError(f"{path}, {row.where}: expected a time or an image index, found {text!r}")
    return int(number)
