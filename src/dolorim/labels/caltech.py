"""Annotations of the Caltech Behavior Annotator: text with one block a stream, frames from 1, both ends included.

S1:     start   end     type
-----------------------------
        1       594     base
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.tables import read_text
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events, classes_of, frame_count
from dolorim.labels.label_files import LabelFile

TITLE = "caltech behavior annotator"
_STREAM = re.compile(r"(S\d+)\s*:\s+start\s+end\s+type", re.IGNORECASE)


def read_caltech(path: Path, ethogram: Ethogram, stream: str = "S1") -> LabelFile:
    """The labels of one stream, a row a frame up to the end of its last bout, counted from 0.

    Raises `UserError` for a behavior that the ethogram does not know, for overlaps, and for what cannot be read.
    """
    events = caltech_events(path, ethogram, stream, Conflicts())
    return events.on_frames(frame_count(events), None)


def caltech_events(
    path: Path, ethogram: Ethogram, stream: str | None, conflicts: Conflicts
) -> Events:
    """The bouts of a stream; without a name it must be the only one, or all must say the same."""
    streams = _streams(path)
    if stream is None:
        several = [name for name, rows in streams.items() if rows]
        if len({tuple(r[1:] for r in streams[name]) for name in several}) > 1:
            raise UserError(
                f"{path}: has the streams {', '.join(several)}; choose one with --label_stream"
            )
        stream = (several or [*streams])[0]
    rows = {name.casefold(): r for name, r in streams.items()}.get(stream.casefold())
    if rows is None:
        raise UserError(
            f"{path}: no stream is called {stream}; there are {', '.join(streams)} (--label_stream)"
        )
    labels = classes_of(path, [r[3] for r in rows], [r[0] for r in rows], ethogram, conflicts)
    start = np.array([r[1] for r in rows], np.int64) - 1
    return Events(path, "frames", start, np.array([r[2] for r in rows], np.int64), labels)


def _streams(path: Path) -> dict[str, list[tuple[int, int, int, str]]]:
    """The rows (line, first frame, last frame, behavior) of each stream."""
    lines = read_text(path).splitlines()
    if not any(TITLE in line.casefold() for line in lines[:5]):
        raise UserError(
            f"{path}: expected an annotation file of the Caltech Behavior Annotator, found another text"
        )
    streams: dict[str, list[tuple[int, int, int, str]]] = {}
    rows: list[tuple[int, int, int, str]] | None = None
    for number, line in enumerate(lines, 1):
        title = _STREAM.match(line.strip())
        if title:
            rows = streams.setdefault(title[1].upper(), [])
            continue
        words = line.split(maxsplit=2)
        if rows is None or not words or set(line.strip()) == {"-"}:
            continue
        if len(words) < 3 or not all(
            w.isascii() and w.isdecimal() and len(w) < 10 for w in words[:2]
        ):
            found = repr(line[:60])
            raise UserError(
                f"{path}, line {number}: expected first frame, last frame and behavior, found {found}"
            )
        first, last = int(words[0]), int(words[1])
        if not 1 <= first <= last:
            raise UserError(
                f"{path}, line {number}: expected frames from 1 on, in order, found {first} to {last}"
            )
        rows.append((number, first, last, words[2].strip()))
    if not streams:
        raise UserError(f"{path}: has no block of annotations (S1: start end type)")
    return streams
