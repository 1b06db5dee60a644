"""Annotations of the Caltech Behavior Annotator: text with one block per stream.

Frames count from 1, and both ends are included::

    S1:     start   end     type
    -----------------------------
            1       594     base
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.tables import read_text
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events, classes_of, frame_count
from dolorim.labels.label_files import LabelFile

_TITLE = "caltech behavior annotator"
# The annotator calls streams S1, S2, ...; those of several animals may have the animals' names.
_STREAM = re.compile(r"(\w[\w .+-]*?)\s*:\s+start\s+end\s+type", re.IGNORECASE)
# Numbers of more digits are damage, and would not fit into an array.
_MOST_DIGITS = 9


class _Bout(NamedTuple):
    first: int
    last: int
    behavior: str


# Bouts by the number of the line on which they stand.
_Stream = dict[int, _Bout]


def has_title(text: str) -> bool:
    """Whether a text begins like an annotation file: its title is in the first five lines."""
    return any(_TITLE in line.casefold() for line in text.splitlines()[:5])


def read_caltech(path: Path, ethogram: Ethogram, stream: str = "S1") -> LabelFile:
    """The labels of one stream, one row per frame up to the end of its last bout, from frame 0.

    Raises `UserError` for a behavior that the ethogram does not know, for overlaps, and for a file
    that cannot be read.
    """
    events = caltech_events(path, ethogram, stream, Conflicts())
    return events.on_frames(frame_count(events), None)


def caltech_events(
    path: Path, ethogram: Ethogram, stream: str | None, conflicts: Conflicts
) -> Events:
    """The bouts of a stream.

    Without a name it must be the only stream with bouts, or all must hold the same. Raises
    `UserError` otherwise, and for a file that cannot be read.
    """
    streams = _read_streams(path)
    if stream is None:
        stream = _only_stream(path, streams)
    by_folded_name = {name.casefold(): bouts for name, bouts in streams.items()}
    bouts = by_folded_name.get(stream.casefold())
    if bouts is None:
        raise UserError(
            f"{path}: no stream is called {stream}; there are {', '.join(streams)} (--label_stream)"
        )
    behaviors = [bout.behavior for bout in bouts.values()]
    labels = classes_of(path, behaviors, [*bouts], ethogram, conflicts)
    # From 1 and with the last frame included, to `[start, stop)` from 0: only the start moves.
    start = np.array([bout.first for bout in bouts.values()], np.int64) - 1
    stop = np.array([bout.last for bout in bouts.values()], np.int64)
    return Events(path, "frames", start, stop, labels)


def streams_of(path: Path) -> list[str]:
    """The names of the streams in a file. Raises `UserError`."""
    return [*_read_streams(path)]


def _only_stream(path: Path, streams: dict[str, _Stream]) -> str:
    """The name of the stream that counts where the user names none."""
    filled = [name for name, bouts in streams.items() if bouts]
    contents = {tuple(streams[name].values()) for name in filled}
    if len(contents) > 1:
        raise UserError(
            f"{path}: has the streams {', '.join(filled)}; choose one with --label_stream"
        )
    return (filled or [*streams])[0]


def _read_streams(path: Path) -> dict[str, _Stream]:
    """The bouts of each stream."""
    text = read_text(path)
    if not has_title(text):
        raise UserError(
            f"{path}: expected an annotation file of the Caltech Behavior Annotator, found another "
            f"text"
        )
    streams: dict[str, _Stream] = {}
    bouts: _Stream | None = None
    for number, line in enumerate(text.splitlines(), 1):
        title = _STREAM.match(line.strip())
        if title:
            bouts = streams.setdefault(title[1].upper(), {})
            continue
        is_ruler = set(line.strip()) <= {"-"}  # or an empty line
        if bouts is not None and not is_ruler:
            bouts[number] = _read_bout(f"{path}, line {number}", line)
    if not streams:
        raise UserError(f"{path}: has no block of annotations (S1: start end type)")
    return streams


def _read_bout(where: str, line: str) -> _Bout:
    words = line.split(maxsplit=2)
    if len(words) < 3 or not all(map(_is_frame_number, words[:2])):
        raise UserError(
            f"{where}: expected first frame, last frame and behavior, found {line[:60]!r}"
        )
    first, last = int(words[0]), int(words[1])
    if not 1 <= first <= last:
        raise UserError(f"{where}: expected frames from 1 on, in order, found {first} to {last}")
    return _Bout(first, last, words[2].strip())


def _is_frame_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= _MOST_DIGITS
