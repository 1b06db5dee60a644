"""Plain tables of bouts, `start,stop,label`, in frames from 0 or in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.tables import Table, read_table, write_table
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events, classes_of, seconds
from dolorim.labels.predictions import Predictions

HEADER = ("start_frame", "stop_frame", "start_s", "stop_s", "label", "mean_probability")

_LABEL = ("label", "behavior", "behaviour", "action", "class", "annotation", "type", "name")
# Names of the columns of start and stop, by unit; "bare" names do not tell the unit.
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
_UNITS = (("frames", _FRAMES), ("s", _SECONDS), ("bare", _BARE))


class BoutColumns(NamedTuple):
    """The unit of start and stop ("frames", "s" or "bare"), and the indices of the columns."""

    unit: str
    start: int
    stop: int
    label: int


def columns_of(header: Sequence[str]) -> BoutColumns | None:
    """The columns of a table of bouts; None for another kind of table."""
    names = [name.strip().casefold() for name in header]

    def first(choices: tuple[str, ...]) -> int | None:
        return next((names.index(choice) for choice in choices if choice in names), None)

    label = first(_LABEL)
    for unit, (starts, stops) in _UNITS:
        start, stop = first(starts), first(stops)
        if start is not None and stop is not None and label is not None:
            return BoutColumns(unit, start, stop, label)
    return None


def read_bout_table(path: Path, ethogram: Ethogram, conflicts: Conflicts) -> Events:
    """Read a table of bouts `[start, stop)`.

    Columns that are only called start and stop are seconds if any of them has a decimal point, else
    frames. Raises `UserError` for missing columns, and for a bout that is not in order.
    """
    table = read_table(path)
    columns = columns_of(table.header)
    if columns is None:
        raise UserError(
            f"{path}: expected the columns start_frame,stop_frame,label or start_s,stop_s,label, "
            f"found {', '.join(table.header)}"
        )
    # A cell that is no number becomes -1, which the check below names with its line.
    cells = [(row[columns.start], row[columns.stop]) for row in table.rows]
    numbers = np.array([(_number(start), _number(stop)) for start, stop in cells]).reshape(-1, 2)
    unit = columns.unit
    if unit == "bare":
        unit = _unit_of(path, cells, conflicts)
    wrong = _wrong_rows(numbers, unit)
    if wrong.size:
        first = int(wrong[0])
        expected = "whole frames" if unit == "frames" else "seconds"
        raise UserError(
            f"{path}, line {table.lines[first]}: expected start and stop in {expected}, in this "
            f"order, found {', '.join(cells[first])}"
        )
    words = [row[columns.label] for row in table.rows]
    labels = classes_of(path, words, table.lines, ethogram, conflicts)
    start, stop = numbers.T
    if unit == "s":
        return Events(path, "s", start, stop, labels)
    return Events(path, "frames", start, stop, labels, _rate_of(table, numbers))


def _unit_of(
    path: Path, cells: Sequence[tuple[str, str]], conflicts: Conflicts
) -> Literal["frames", "s"]:
    """The unit of starts and stops whose columns do not tell it."""
    if not all(start.isdecimal() and stop.isdecimal() for start, stop in cells):
        return "s"
    what = "its start and stop are taken for frames"
    conflicts.note(path, f"{what}; call them start_s and stop_s if they are seconds")
    return "frames"


def _number(cell: str) -> float:
    """The number in a cell, -1 for anything else."""
    number = seconds(cell)
    return -1.0 if number is None else number


def _wrong_rows(numbers: np.ndarray, unit: str) -> np.ndarray:
    """Rows of `numbers` `(bouts, 2)` that are no bouts in this unit."""
    start, stop = numbers.T
    wrong = np.flatnonzero((start < 0) | (stop < start))
    # Fractions are no frames, but the order of start and stop is the more telling message.
    if unit == "frames" and not wrong.size:
        wrong = np.flatnonzero((numbers != numbers.round()).any(axis=1))
    return wrong


def _rate_of(table: Table, frames: np.ndarray) -> float | None:
    """Frames per second of a table that gives its bouts in frames `(bouts, 2)` and in seconds.

    None if it has no seconds, or if no single rate fits all bouts.
    """
    start, stop = (table.column(*names) for names in _SECONDS)
    if start is None or stop is None:
        return None
    cells = [(_number(row[start]), _number(row[stop])) for row in table.rows]
    times = np.array(cells, np.float64).reshape(-1, 2)
    if (times < 0).any():
        return None
    if not times.size or not np.ptp(frames) or not np.ptp(times):
        return None
    # From the first start to the last stop, where rounding matters least.
    rate_hz = float(np.ptp(frames) / np.ptp(times))
    # Times are rounded, and may belong to a video of a varying rate: one frame off is tolerated.
    off_s = times - times.min() - (frames - frames.min()) / rate_hz
    return rate_hz if np.abs(off_s).max() <= 1 / rate_hz else None


def write_bout_table(path: Path, predictions: Predictions) -> None:
    """Write the bouts in frames and in seconds, with the mean probability of their class."""
    rows = []
    for bout, probability in predictions.bouts():
        start_s, stop_s = predictions.interval_s(bout)
        times = (f"{start_s:.6f}", f"{stop_s:.6f}")
        label = predictions.classes[bout.label]
        rows.append((bout.start, bout.stop, *times, label, f"{probability:.4f}"))
    write_table(path, HEADER, rows)
