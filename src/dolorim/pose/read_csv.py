"""Pose tables in text: DeepLabCut and what writes like it (Lightning Pose), and flat headers.

DeepLabCut stacks header rows (scorer, individuals, bodyparts, coords), each named in its first cell. A table that was
read and saved again by pandas has further columns in front, further rows above, and suffixes that make labels unique.
"""

from __future__ import annotations

import itertools
import re
from array import array
from collections.abc import Iterator, Sequence
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
    "frame",
    "frames",
    "frame_number",
    "frame number",
    "frame_index",
    "frame_idx",
    "index",
    "unnamed: 0",
    "",
)
_FROM_ZERO = ("frame_idx",)  # SLEAP's, which leaves frames without an animal out, the first one too
_MISSING = frozenset(["", "nan", "-nan", "na", "n/a", "#n/a", "none", "null", "-", "."])
_SUFFIX = re.compile(r"\.\d+$")
_FLAT = re.compile(r"(?P<part>.+?)[ _.\-](?P<coordinate>[^ _.\-]+)")

Rows = Iterator[tuple[int, list[str]]]


def read_pose_csv(path: Path) -> tuple[Pose, ...]:
    """The poses of all individuals in a table. Raises `UserError` that names the line for what cannot be understood."""
    rows = read_cells(path)
    top = list(itertools.islice(rows, _HEADER_ROWS))
    if not top:
        raise UserError(f"{path}: the file is empty; expected a pose table")
    levels = {}
    for i, (_, cells) in enumerate(top):
        for column, cell in enumerate(cells[:_FRONT]):
            level = _LEVELS.get(cell.strip().casefold())
            if level and level not in levels:
                levels[level] = (i, column)
                break
    if "bodyparts" in levels and "coords" in levels:
        stop = 1 + max(i for i, _ in levels.values())
        header = {level: top[i][1] for level, (i, _) in levels.items()}
        index = levels["coords"][1]
        columns = _stacked_columns(header, index + 1)
        width = len(header["coords"])
        from_zero = False
    else:
        stop = 1
        header_cells = [" ".join(c.split()) for c in top[0][1]]
        columns = _flat_columns(header_cells)
        known = [c.casefold() for c in header_cells]
        index = next((known.index(n) for n in _FRAME if n in known), -1)
        width = len(header_cells)
        from_zero = index >= 0 and known[index] in _FROM_ZERO
        if not columns:
            raise UserError(
                f"{path}: expected a pose table (header rows scorer, bodyparts, coords; or columns <part>_x, <part>_y, "
                f"<part>_likelihood), found the columns {', '.join(header_cells[:8])[:200]}"
            )
    values, frames, lines = _numbers(path, itertools.chain(top[stop:], rows), columns, index, width)
    notes: list[str] = []
    if frames is not None:
        values, notes = by_frame(path, frames, values, lines, from_zero)
    return to_poses(path, list(columns.values()), values, notes)


def _stacked_columns(header: dict[str, list[str]], first: int) -> dict[int, Column]:
    coords = header["coords"]
    parts = _without_suffixes(header["bodyparts"][first:])
    individuals = _without_suffixes(header.get("individuals", [])[first:])
    columns = {}
    for i, (part, word) in enumerate(zip(parts, _without_suffixes(coords[first:]), strict=False)):
        kind = coordinate(word)
        if kind:
            columns[first + i] = Column(
                individuals[i] if i < len(individuals) else None, part, kind
            )
    return columns


def _without_suffixes(row: Sequence[str]) -> list[str]:
    """Labels as they were before pandas made them unique: nose, nose.1, nose.2."""
    row = [" ".join(c.split()) for c in row]  # a line break in a name would tear an error message
    if len(set(row)) < len(row):  # each label of a true header stands at least twice, above x and y
        return row
    bases = set(row)
    return [base if (base := _SUFFIX.sub("", c)) in bases else c for c in row]


def _flat_columns(header: Sequence[str]) -> dict[int, Column]:
    columns = {}
    for i, cell in enumerate(header):
        match = _FLAT.fullmatch(cell)
        kind = coordinate(match["coordinate"]) if match else None
        if match and kind:
            columns[i] = Column(None, match["part"], kind)
    located = {c.part for c in columns.values() if c.coordinate != "likelihood"}
    return {i: c for i, c in columns.items() if c.part in located}


def _numbers(
    path: Path,
    rows: Rows | itertools.chain[tuple[int, list[str]]],
    columns: dict[int, Column],
    index: int,
    width: int,
) -> tuple[np.ndarray, np.ndarray | None, list[int]]:
    """Values `(rows, columns)`, frame numbers `(rows,)` where the index column has any, and the rows' lines."""
    wanted = list(columns)
    values, frames, lines = array("d"), array("q"), []
    numbered: bool | None = None
    for line, cells in rows:
        if index >= 0 and not any(cells[i].strip() for i in wanted if i < len(cells)):
            # Spreadsheets leave empty lines at the end, and pandas writes the name of an index above its numbers.
            label = cells[index].strip().casefold() if index < len(cells) else ""
            if label in _FRAME:
                continue
        if len(cells) < width:
            raise UserError(
                f"{path}, line {line}: expected {width} cells, found {len(cells)}; was the file cut off?"
            )
        try:
            row = [float(cells[i] or "nan") for i in wanted]
        except ValueError:
            row = [_number(path, line, cells[i], columns[i]) for i in wanted]
        if index >= 0:
            if numbered is None:
                numbered = _is_number(cells[index])
            if numbered:
                frames.append(_frame(path, line, cells[index]))
        values.extend(row)
        lines.append(line)
    table = (
        np.frombuffer(values, np.float64).reshape(-1, len(wanted))
        if values
        else np.empty((0, len(wanted)))
    )
    return table, np.frombuffer(frames, np.int64) if numbered else None, lines


def _is_number(text: str) -> bool:
    try:
        return float(text) == int(float(text))
    except (ValueError, OverflowError):
        return False


def _frame(path: Path, line: int, text: str) -> int:
    if not _is_number(text) or abs(float(text)) >= 2**31:
        raise UserError(
            f"{path}, line {line}: expected a frame number in the first column, found {text[:40]!r}"
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
            f"{path}, line {line}, {column.coordinate} of {column.part}: expected a number or nothing, "
            f"found {text[:40]!r}"
        ) from None
