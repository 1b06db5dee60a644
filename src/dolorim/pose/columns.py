"""From labeled columns of numbers to poses, whatever file they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dolorim.core.errors import UserError
from dolorim.pose.pose import Pose, tracked

_LIKELIHOOD = ("likelihood", "p", "prob", "probability", "score", "confidence", "conf")
_SPREAD = 20  # frames per row: if there are more, the numbers cannot be those of frames


@dataclass(frozen=True)
class Column:
    """What a column holds: `coordinate` is x, y or likelihood."""

    individual: str | None
    part: str
    coordinate: str


def coordinate(word: str) -> str | None:
    """x, y or likelihood, whatever it is called; None for others (a variance, a third axis)."""
    word = word.strip().casefold()
    if word in ("x", "y"):
        return word
    return "likelihood" if word in _LIKELIHOOD else None


def to_poses(
    path: Path, columns: Sequence[Column], values: np.ndarray, notes: Sequence[str] = ()
) -> tuple[Pose, ...]:
    """One pose per individual, in the order of the columns. `values` is `(time, columns)`.

    Raises `UserError` for a table without rows, for two columns of one thing, and for half a point.
    """
    if not len(values):
        raise UserError(
            "has a header but no rows",
            where=path,
            remedy="track the video again or remove the file",
        )
    # Where each thing is, and the parts of each individual in the order of the file.
    where: dict[Column, int] = {}
    parts: dict[str | None, dict[str, None]] = {}
    for i, column in enumerate(columns):
        if column in where:
            of = f" of {column.individual}" if column.individual else ""
            raise UserError(
                f"{column.coordinate} of {column.part}{of} has two columns",
                where=path,
                remedy="keep one of them",
            )
        where[column] = i
        parts.setdefault(column.individual, {})[column.part] = None
    return tuple(
        _pose(path, who, tuple(names), where, values, notes) for who, names in parts.items()
    )


def _pose(
    path: Path,
    individual: str | None,
    names: tuple[str, ...],
    where: dict[Column, int],
    values: np.ndarray,
    notes: Sequence[str],
) -> Pose:
    # In place of a likelihood that the file does not have.
    absent = np.full(len(values), np.nan)

    def column(name: str, which: str, needed: bool = True) -> np.ndarray:
        at = where.get(Column(individual, name, which))
        if at is None and needed:
            raise UserError(
                f"expected the columns x and y for {name}, found no {which}",
                where=path,
                remedy="remove the others too",
            )
        return absent if at is None else values[:, at]

    points = np.stack([np.c_[column(n, "x"), column(n, "y")] for n in names], axis=1)
    likelihood = np.stack([column(n, "likelihood", needed=False) for n in names], axis=1)
    return tracked(names, points, likelihood, individual=individual, source=path, notes=notes)


def by_frame(
    path: Path,
    frames: np.ndarray,
    values: np.ndarray,
    lines: Sequence[int] | None = None,
    from_zero: bool = False,
) -> tuple[np.ndarray, list[str]]:
    """The rows at their frames `(time, columns)`, and notes about that.

    `values` is `(rows, columns)`, `frames` their frame numbers `(rows,)`. A tracker may leave out
    frames in which it detected nothing: these are missing. Numbers that begin with 1 are counted
    from 1, unless they are known to count `from_zero`. Raises `UserError` for numbers that do not
    increase; `lines` are the rows' lines in the file, for this message.
    """
    notes: list[str] = []
    if len(frames) == 0 or np.array_equal(frames, np.arange(len(frames))):
        return values, notes
    _check_increasing(path, frames, lines)
    if frames[0] == 1 and not from_zero:
        frames = frames - 1
        notes.append("its frames are counted from 1")
    n = int(frames[-1]) + 1
    # Times in milliseconds, for instance, would make an endless table.
    if n > _SPREAD * len(frames) + 10_000:
        raise UserError(
            f"its first column goes up to {frames[-1]} in {len(frames)} rows; "
            "expected frame numbers",
            where=path,
        )
    if n == len(frames):
        return values, notes
    absent = f"{n - len(frames)} of {n} frames have no row and are missing"
    notes.append(f"{absent} (first row: frame {frames[0]})")
    placed = np.full((n, values.shape[1]), np.nan)
    placed[frames] = values
    return placed, notes


def _check_increasing(path: Path, frames: np.ndarray, lines: Sequence[int] | None) -> None:
    """Raises `UserError` where a frame number is negative or not above the previous one."""
    back = np.flatnonzero(np.diff(frames) <= 0)
    if not back.size and frames[0] >= 0:
        return
    row = int(back[0]) + 1 if back.size else 0
    place = f"row {row + 1}" if lines is None else f"line {lines[row]}"
    after = f" after frame {frames[row - 1]}" if row else ""
    raise UserError(
        f"found frame {frames[row]}{after}; expected each frame once, in order, from 0 (poses of "
        "several animals in one column are read from an analysis HDF5 file of SLEAP)",
        where=f"{path}, {place}",
    )
