"""Plain tables of bouts: `start,stop,label`, in frames counted from 0 or in seconds from the first frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.tables import Table, read_table, write_table
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events, classes_of, seconds
from dolorim.labels.predictions import Predictions

_LABEL = ("label", "behavior", "behaviour", "action", "class", "annotation", "type", "name")
_FRAMES = (
    ("start_frame", "start frame", "startframe"),
    ("stop_frame", "end_frame", "stop frame", "end frame"),
)
_SECONDS = (
    ("start_s", "start (s)", "start_time", "start_seconds", "start_sec", "onset_s"),
    (
        "stop_s",
        "end_s",
        "stop (s)",
        "end (s)",
        "stop_time",
        "end_time",
        "stop_seconds",
        "end_sec",
        "offset_s",
    ),
)
_BARE = (("start", "from", "onset", "begin"), ("stop", "to", "end", "offset"))


def columns_of(header: Sequence[str]) -> tuple[str, int, int, int] | None:
    """Unit (frames, s or bare) and the columns of start, stop and label; None for another kind of table."""
    names = [h.strip().casefold() for h in header]

    def first(choices: tuple[str, ...]) -> int | None:
        return next((names.index(c) for c in choices if c in names), None)

    label = first(_LABEL)
    for unit, (starts, stops) in (("frames", _FRAMES), ("s", _SECONDS), ("bare", _BARE)):
        start, stop = first(starts), first(stops)
        if start is not None and stop is not None and label is not None:
            return unit, start, stop, label
    return None


def read_bout_table(path: Path, ethogram: Ethogram, conflicts: Conflicts) -> Events:
    """Read a table of bouts, `[start, stop)`.

    Columns that are only called start and stop are seconds where any of them has a decimal point, else frames.
    """
    table = read_table(path)
    found = columns_of(table.header)
    if found is None:
        raise UserError(
            f"{path}: expected the columns start_frame,stop_frame,label or start_s,stop_s,label, found "
            f"{', '.join(table.header)}"
        )
    unit, *where, label = found
    cells = [[row[i] for i in where] for row in table.rows]
    numbers = np.array(
        [[-1.0 if (s := seconds(c)) is None else s for c in pair] for pair in cells]
    ).reshape(-1, 2)
    wrong = np.flatnonzero((numbers[:, 0] < 0) | (numbers[:, 1] < numbers[:, 0]))
    if unit == "bare":
        unit = "frames" if all(c.isdecimal() for pair in cells for c in pair) else "s"
        if unit == "frames":
            what = "its start and stop are taken for frames; call them start_s and stop_s if they are seconds"
            conflicts.found.append(Finding("note", str(path), what))
    if unit == "frames" and not wrong.size:
        wrong = np.flatnonzero((numbers != numbers.round()).any(axis=1))
    if wrong.size:
        at = int(wrong[0])
        expected = "whole frames" if unit == "frames" else "seconds"
        raise UserError(
            f"{path}, line {table.lines[at]}: expected start and stop in {expected}, in this order, found "
            f"{', '.join(cells[at])}"
        )
    labels = classes_of(path, [row[label] for row in table.rows], table.lines, ethogram, conflicts)
    rate_hz = _rate_of(table, numbers) if unit == "frames" else None
    return Events(
        path, "s" if unit == "s" else "frames", numbers[:, 0], numbers[:, 1], labels, rate_hz
    )


def _rate_of(table: Table, frames: np.ndarray) -> float | None:
    """Frames per second of a table that gives its bouts `(bouts, 2)` in seconds too, if one rate fits all of them."""
    columns = [table.column(*names) for names in _SECONDS]
    cells = [seconds(row[c]) for row in table.rows for c in columns if c is not None]
    if None in columns or None in cells or not cells:
        return None
    times = np.array(cells, np.float64).reshape(-1, 2)
    frames_passed, seconds_passed = np.ptp(frames), np.ptp(times)
    if not (frames_passed and seconds_passed):
        return None
    rate_hz = float(frames_passed / seconds_passed)
    off_s = times - times.min() - (frames - frames.min()) / rate_hz
    return rate_hz if np.abs(off_s).max() <= 1 / rate_hz else None


HEADER = ("start_frame", "stop_frame", "start_s", "stop_s", "label", "mean_probability")


def write_bout_table(path: Path, predictions: Predictions) -> None:
    """Write the bouts, `[start_frame, stop_frame)` and in seconds, with the mean probability of their class."""
    rows = []
    for bout, probability in predictions.bouts():
        start_s, stop_s = predictions.interval_s(bout)
        label = predictions.classes[bout.label]
        rows.append(
            (bout.start, bout.stop, f"{start_s:.6f}", f"{stop_s:.6f}", label, f"{probability:.4f}")
        )
    write_table(path, HEADER, rows)
