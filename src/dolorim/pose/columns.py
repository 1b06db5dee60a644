"""From columns of numbers with labels to poses, whatever file they stood in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dolorim.core.errors import UserError
from dolorim.pose.pose import Pose, tracked

_LIKELIHOOD = ("likelihood", "p", "prob", "probability", "score", "confidence", "conf")
_SPREAD = 20  # frames per row above which a row number cannot be meant as a frame


@dataclass(frozen=True)
class Column:
    """What a column holds: `coordinate` is x, y or likelihood."""

    individual: str | None
    part: str
    coordinate: str


def coordinate(word: str) -> str | None:
    """x, y or likelihood, whatever it is called; None for anything else (a variance, a third dimension)."""
    word = word.strip().casefold()
    return word if word in ("x", "y") else "likelihood" if word in _LIKELIHOOD else None


def to_poses(
    path: Path, columns: Sequence[Column], values: np.ndarray, notes: Sequence[str] = ()
) -> tuple[Pose, ...]:
    """One pose for each individual, in the order of the columns. `values` is `(time, columns)`."""
    if not len(values):
        raise UserError(
            f"{path}: has a header but no rows; track the video again or remove the file"
        )
    where: dict[Column, int] = {}
    parts: dict[str | None, dict[str, None]] = {}
    for i, column in enumerate(columns):
        if column in where:
            of = f" of {column.individual}" if column.individual else ""
            raise UserError(
                f"{path}: {column.coordinate} of {column.part}{of} has two columns; keep one of them"
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
    absent = np.full(len(values), np.nan)

    def column(name: str, which: str, needed: bool = True) -> np.ndarray:
        at = where.get(Column(individual, name, which))
        if at is None and needed:
            raise UserError(
                f"{path}: expected the columns x and y for {name}, found no {which}; remove the others too"
            )
        return absent if at is None else values[:, at]

    points = np.stack(
        [np.stack([column(n, c) for c in ("x", "y")], axis=-1) for n in names], axis=1
    )
    likelihood = np.stack([column(n, "likelihood", needed=False) for n in names], axis=1)
    return tracked(names, points, likelihood, individual=individual, source=path, notes=notes)


def by_frame(
    path: Path,
    frames: np.ndarray,
    values: np.ndarray,
    lines: Sequence[int] | None = None,
    from_zero: bool = False,
) -> tuple[np.ndarray, list[str]]:
    """The rows at their frames: `values` `(rows, columns)` of the frame numbers `(rows,)`, and what there is to note.

    A tracker may leave out frames in which it found nothing; those are missing, and the rows after them stay where
    they belong. Numbers from 1 on without a 0 are counted from 1, unless they are known to count `from_zero`.
    """
    notes: list[str] = []
    if len(frames) == 0 or np.array_equal(frames, np.arange(len(frames))):
        return values, notes
    back = np.flatnonzero(np.diff(frames) <= 0)
    if back.size or frames[0] < 0:
        at = int(back[0]) + 1 if back.size else 0
        where = f"line {lines[at]}" if lines is not None else f"row {at + 1}"
        before = f" after frame {frames[at - 1]}" if at else ""
        raise UserError(
            f"{path}, {where}: found frame {frames[at]}{before}; expected each frame once, in order, from 0"
        )
    if frames[0] == 1 and not from_zero:
        frames = frames - 1
        notes.append("its frames are counted from 1")
    n = int(frames[-1]) + 1
    if n > _SPREAD * len(frames) + 10_000:
        raise UserError(
            f"{path}: its first column goes up to {frames[-1]} in {len(frames)} rows; expected frame numbers"
        )
    if n == len(frames):
        return values, notes
    notes.append(
        f"{n - len(frames)} of {n} frames have no row and are missing (first row: frame {frames[0]})"
    )
    placed = np.full((n, values.shape[1]), np.nan)
    placed[frames] = values
    return placed, notes
