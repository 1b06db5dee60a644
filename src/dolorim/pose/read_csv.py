"""Pose tables as text: those of DeepLabCut and Lightning Pose, and tables with one header row.

DeepLabCut stacks header rows (scorer, individuals, bodyparts, coords), each named in its first
cell. A table that pandas has read and saved again has more columns in front, more rows above, and
suffixes that make labels unique.
"""

from __future__ import annotations

import itertools
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.tables import read_cells
from dolorim.pose.columns import Column, by_frame, coordinate, to_poses
from dolorim.pose.pose import Pose

_LEVELS = {
    "scorer": "scorer",
    "individuals": "individuals",
    "individual": "individuals",
    "bodyparts": "bodyparts",
    "bodypart": "bodyparts",
    "coords": "coords",
    "coord": "coords",
}
_HEADER_ROWS = 8  # that are searched for the levels of a header
_FRONT = 6  # columns in which the level's name may stand
_FRAME = (
    *("frame", "frames", "frame_number", "frame number", "frame_index", "frame_idx"),
    *("index", "unnamed: 0", ""),
)
# SLEAP's, which omits frames without an animal: if the first one is omitted, 1 is still frame 1.
_FROM_ZERO = ("frame_idx",)
_MISSING = frozenset(["", "nan", "-nan", "na", "n/a", "#n/a", "none", "null", "-", "."])
_SUFFIX = re.compile(r"\.\d+$")
_FLAT = re.compile(r"(?P<part>.+?)[ _.\-](?P<coordinate>[^ _.\-]+)")


@dataclass(frozen=True)
class _Layout:
    """Where a table has what: the first row of numbers, the points, and the frame numbers."""

    first_row: int
    columns: dict[int, Column]
    index: int  # column of the frame numbers, -1 if there is none
    width: int  # columns that every row must have
    from_zero: bool = False


def read_pose_csv(path: Path) -> tuple[Pose, ...]:
    """The poses of all individuals in a table.

    Raises `UserError` that names the line for what cannot be understood.
    """
    rows = read_cells(path)
    top = list(itertools.islice(rows, _HEADER_ROWS))
    if not top:
        raise UserError("the file is empty; expected a pose table", where=path)
    layout = _stacked_layout(top) or _flat_layout(path, top[0][1])
    numbers = itertools.chain(top[layout.first_row :], rows)
    values, frames, lines = _numbers(path, numbers, layout)
    notes: list[str] = []
    if frames is not None:
        values, notes = by_frame(path, frames, values, lines, layout.from_zero)
    return to_poses(path, list(layout.columns.values()), values, notes)


def _stacked_layout(top: Sequence[tuple[int, list[str]]]) -> _Layout | None:
    """The layout of a table with the header rows of DeepLabCut; None if it has other ones."""
    levels: dict[str, tuple[int, int]] = {}
    for i, (_, cells) in enumerate(top):
        for column, cell in enumerate(cells[:_FRONT]):
            level = _LEVELS.get(cell.strip().casefold())
            if level and level not in levels:
                levels[level] = (i, column)
                break
    if "bodyparts" not in levels or "coords" not in levels:
        return None
    header = {level: top[i][1] for level, (i, _) in levels.items()}
    index = levels["coords"][1]
    return _Layout(
        first_row=1 + max(i for i, _ in levels.values()),
        columns=_stacked_columns(header, index + 1),
        index=index,
        width=len(header["coords"]),
    )


def _flat_layout(path: Path, header: Sequence[str]) -> _Layout:
    """The layout of a table with columns <part>_x, <part>_y in one header row."""
    names = [" ".join(cell.split()) for cell in header]
    columns = _flat_columns(names)
    if not columns:
        raise UserError(
            "expected a pose table (header rows scorer, bodyparts, coords; or columns <part>_x, "
            f"<part>_y, <part>_likelihood), found the columns {', '.join(names[:8])[:200]}",
            where=path,
        )
    known = [name.casefold() for name in names]
    index = next((known.index(n) for n in _FRAME if n in known), -1)
    from_zero = index >= 0 and known[index] in _FROM_ZERO
    return _Layout(1, columns, index, len(names), from_zero)


def _stacked_columns(header: dict[str, list[str]], first: int) -> dict[int, Column]:
    """What the columns hold from the index `first` on, by the rows of a stacked header."""
    coords = header["coords"]
    parts = _without_suffixes(header["bodyparts"][first:])
    individuals = _without_suffixes(header.get("individuals", [])[first:])
    columns = {}
    words = _without_suffixes(coords[first:])
    # A file of one animal has no row of individuals, and rows may be of different lengths.
    every_individual = itertools.chain(individuals, itertools.repeat(None))
    cells = zip(parts, words, every_individual, strict=False)
    for i, (part, word, individual) in enumerate(cells, first):
        kind = coordinate(word)
        if kind:
            columns[i] = Column(individual, part, kind)
    return columns


def _without_suffixes(row: Sequence[str]) -> list[str]:
    """Labels as they were before pandas made them unique: nose, nose.1, nose.2."""
    row = [" ".join(label.split()) for label in row]
    labels = set(row)
    # In an original header, each label occurs at least twice, above x and y.
    if len(labels) < len(row):
        return row
    bases = [_SUFFIX.sub("", label) for label in row]
    return [base if base in labels else label for base, label in zip(bases, row, strict=True)]


def _flat_columns(header: Sequence[str]) -> dict[int, Column]:
    """What the columns <part>_x, <part>_y and <part>_likelihood hold, by their index."""
    columns = {}
    for i, cell in enumerate(header):
        match = _FLAT.fullmatch(cell)
        if match is None:
            continue
        kind = coordinate(match["coordinate"])
        if kind:
            columns[i] = Column(None, match["part"], kind)
    # Something with a likelihood alone is no point.
    located = {column.part for column in columns.values() if column.coordinate != "likelihood"}
    return {i: column for i, column in columns.items() if column.part in located}


def _numbers(
    path: Path, rows: Iterable[tuple[int, list[str]]], layout: _Layout
) -> tuple[np.ndarray, np.ndarray | None, list[int]]:
    """Values `(rows, columns)`, frame numbers `(rows,)` or None, and the rows' lines."""
    columns, index = layout.columns, layout.index
    # Arrays of machine numbers: a list of Python floats would take four times the memory.
    values, frames = array("d"), array("q")
    lines: list[int] = []
    has_numbers = index >= 0
    for line, cells in rows:
        if _is_filler(cells, layout):
            continue
        if len(cells) < layout.width:
            raise UserError(
                f"expected {layout.width} cells, found {len(cells)}",
                where=f"{path}, line {line}",
                remedy="was the file cut off?",
            )
        try:
            values.extend([float(cells[i] or "nan") for i in columns])
        except ValueError:
            # Slower, for decimal commas and other ways to write a missing number.
            values.extend([_number(path, line, cells[i], columns[i]) for i in columns])
        # The first row decides whether the first column numbers the frames.
        if has_numbers and not lines:
            has_numbers = _is_number(cells[index])
        if has_numbers:
            frames.append(_frame(path, line, cells[index]))
        lines.append(line)
    table = np.array(values, np.float64).reshape(len(lines), len(columns))
    if not has_numbers or not lines:
        return table, None, lines
    return table, np.array(frames, np.int64), lines


def _is_filler(cells: Sequence[str], layout: _Layout) -> bool:
    """Is this an empty line, or the name of an index?

    Spreadsheets leave empty lines at the end, and pandas writes an index's name above its numbers.
    """
    if layout.index < 0:
        return False
    if any(cells[i].strip() for i in layout.columns if i < len(cells)):
        return False
    label = "".join(cells[layout.index : layout.index + 1])  # empty if the line is too short
    return label.strip().casefold() in _FRAME


def _is_number(text: str) -> bool:
    try:
        return float(text) == int(float(text))
    except (ValueError, OverflowError):
        return False


def _frame(path: Path, line: int, text: str) -> int:
    if not _is_number(text) or abs(float(text)) >= 2**31:
        raise UserError(
            f"expected a frame number in the first column, found {text[:40]!r}",
            where=f"{path}, line {line}",
        )
    return int(float(text))


def _number(path: Path, line: int, text: str, column: Column) -> float:
    text = text.strip()
    if text.casefold() in _MISSING:
        return np.nan
    try:
        return float(text.replace(",", "."))  # a decimal comma, where semicolons divide the cells
    except ValueError:
        raise UserError(
            f"expected a number or nothing, found {text[:40]!r}",
            where=f"{path}, line {line}, {column.coordinate} of {column.part}",
        ) from None
