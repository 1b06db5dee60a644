"""Label tables with one column per behavior and one row per frame.

These are DeepEthogram's labels and SimBA's `targets_inserted`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.tables import read_cells, write_table
from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.events import Conflicts, classes_of
from dolorim.labels.label_files import LabelFile
from dolorim.labels.predictions import Predictions

BACKGROUND = "background"
_UNNAMED = ("", "unnamed: 0")  # how pandas writes and reads a column without a name
_INDEX = (*_UNNAMED, "index", "frame", "frames")
# -1 is DeepEthogram's "not scored"; spreadsheets and pandas write the others.
_FLAGS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "-1": -1, "-1.0": -1, "": -1, "nan": -1}


def begins_like_one(header: Sequence[str]) -> bool:
    """Whether a first row begins as DeepEthogram and pandas begin tables of one column each."""
    first = header[0].strip().casefold()
    return first == BACKGROUND or (first in _UNNAMED and len(header) > 1)


def is_flag(cell: str) -> bool:
    """Whether the column of a behavior may hold this cell."""
    return cell.strip().casefold() in _FLAGS


def read_deepethogram(
    path: Path, ethogram: Ethogram, gap_label: int, conflicts: Conflicts
) -> LabelFile:
    """DeepEthogram's labels: columns are `background` and behaviors; -1 is unlabeled.

    Background frames get `gap_label`, unless the ethogram has a class of that name. Raises
    `UserError` for a file that cannot be read.
    """
    header = _read_header(path)
    # Only the first column can be the index of the frame.
    first = int(bool(header) and header[0].casefold() in _INDEX)
    return _read_columns(path, header, first, ethogram, gap_label, conflicts)


def read_simba(path: Path, ethogram: Ethogram, gap_label: int, conflicts: Conflicts) -> LabelFile:
    """SimBA's `targets_inserted`: columns of pose, then of features, then of 0 and 1 per behavior.

    Behaviors begin with the first column that the ethogram knows. Frames that are 0 in all of them
    get `gap_label`. Raises `UserError` for a file that cannot be read.
    """
    header = _read_header(path)
    known = _known_names(ethogram)
    first = next((i for i, name in enumerate(header) if name.casefold() in known), None)
    if first is None:
        raise UserError(
            f"{path}: none of its columns is a behavior of the ethogram "
            f"({', '.join(ethogram.classes)})"
        )
    return _read_columns(path, header, first, ethogram, gap_label, conflicts)


def _known_names(ethogram: Ethogram) -> set[str]:
    raw_names = {raw.name.casefold() for raw in ethogram.raw}
    return raw_names | {name.casefold() for name in ethogram.classes}


def _read_header(path: Path) -> list[str]:
    header = next((cells for _, cells in read_cells(path)), None)
    if header is None:
        raise UserError(f"{path}: the file is empty; expected one column per behavior")
    return [cell.strip() for cell in header]


def _read_columns(
    path: Path,
    header: Sequence[str],
    first: int,
    ethogram: Ethogram,
    gap_label: int,
    conflicts: Conflicts,
) -> LabelFile:
    """The labels in the columns from `first` on."""
    names = header[first:]
    flags = _read_flags(path, header, first)
    is_on, is_unscored = flags == 1, (flags < 0).any(axis=1)
    # DeepEthogram's background means that no behavior was seen, unless it is one of our classes.
    has_background = BACKGROUND not in _known_names(ethogram)
    is_gap_column = np.array([has_background and n.casefold() == BACKGROUND for n in names], bool)
    used = np.flatnonzero(is_on.any(axis=0) & ~is_gap_column).tolist()
    # A column without a 1 need not be in the ethogram.
    classes = classes_of(path, [names[i] for i in used], [1] * len(used), ethogram, conflicts)
    column_labels = [*zip(used, classes.tolist(), strict=True)]
    # Behaviors come first: they win over the background.
    column_labels += [(i, gap_label) for i in np.flatnonzero(is_gap_column).tolist()]

    labels = np.full(len(flags), UNLABELED, np.int16)
    clash = np.zeros(len(flags), bool)
    for i, label in column_labels:
        on = is_on[:, i]
        clash |= on & (labels >= 0) & (labels != label) & (label >= 0)
        labels[on & (labels < 0)] = label
    is_free = ~is_unscored & ~is_on.any(axis=1)
    labels[is_free] = gap_label
    conflicts.add_overlap(path, clash, "leave one of them 1")
    labels[clash] = UNLABELED

    is_gap = is_free | is_on[:, is_gap_column].any(axis=1)
    # Otherwise, most frames without a label have simply not been scored yet.
    lists_bouts = bool(is_gap.sum() > is_unscored.sum())
    n_frames = len(labels)
    return LabelFile(path, None, np.arange(n_frames), labels, 0, n_frames, lists_bouts)


def _read_flags(path: Path, header: Sequence[str], first: int) -> np.ndarray:
    """The cells `(frames, columns)` int8 from column `first` on: 0, 1, and -1 for unlabeled."""
    rows = []
    for line, cells in itertools.islice(read_cells(path), 1, None):
        if len(cells) < len(header):
            raise UserError(
                f"{path}, line {line}: expected {len(header)} cells, found {len(cells)}"
            )
        flags = [_FLAGS.get(cell.strip().casefold()) for cell in cells[first : len(header)]]
        if None in flags:
            bad = first + flags.index(None)
            raise UserError(
                f"{path}, line {line}, column {header[bad]}: expected 0, 1 or -1, found "
                f"{cells[bad][:40]!r}"
            )
        # Tables of a million frames fit into memory at one byte per cell.
        rows.append(np.array(flags, np.int8).tobytes())
    n_columns = len(header) - first
    if not rows or not n_columns:
        raise UserError(
            f"{path}: has a header but no rows with labels; label at least one frame or remove the "
            f"file"
        )
    return np.frombuffer(b"".join(rows), np.int8).reshape(-1, n_columns)


def write_deepethogram(path: Path, predictions: Predictions) -> None:
    """Write one column for each class, and `background`, which is never 1.

    Our classes say what there is: a frame of none of them is unlabeled, -1 in all columns.
    """
    flags = _flags(predictions)
    flags[predictions.labels < 0] = -1
    names = [*predictions.classes]
    if BACKGROUND not in (name.casefold() for name in names):
        background = np.where(predictions.labels < 0, -1, 0)
        names, flags = [BACKGROUND, *names], np.column_stack([background, flags])
    _write_flags(path, names, flags)


def write_simba(path: Path, predictions: Predictions) -> None:
    """Write one column of 0 and 1 for each class; unlabeled frames are 0 in all of them."""
    _write_flags(path, predictions.classes, _flags(predictions))


def _flags(predictions: Predictions) -> np.ndarray:
    """1 in the column of each frame's class, else 0: `(time, classes)` int8."""
    classes = np.arange(len(predictions.classes))
    return (predictions.labels[:, None] == classes).astype(np.int8)


def _write_flags(path: Path, names: Sequence[str], flags: np.ndarray) -> None:
    rows = ([frame, *row] for frame, row in enumerate(flags.tolist()))
    write_table(path, ("", *names), rows)
