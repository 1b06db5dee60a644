"""Label tables with one column a behavior and one row a frame: DeepEthogram's labels and SimBA's `targets_inserted`."""

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
_INDEX = ("", "unnamed: 0", "index", "frame", "frames")
_VALUES = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "-1": -1, "-1.0": -1, "": -1, "nan": -1}


def is_flag(cell: str) -> bool:
    """Is this what such a column holds?"""
    return cell.strip().casefold() in _VALUES


def read_deepethogram(path: Path, ethogram: Ethogram, gaps: int, conflicts: Conflicts) -> LabelFile:
    """DeepEthogram's labels: columns are `background` and behaviors; -1 is unlabelled.

    Background is the class `gaps`, unless the ethogram has a class of that name.
    """
    header = _header(path)
    columns = [i for i, name in enumerate(header) if name.casefold() not in _INDEX or i]
    return _read(path, header, columns, ethogram, gaps, conflicts)


def read_simba(path: Path, ethogram: Ethogram, gaps: int, conflicts: Conflicts) -> LabelFile:
    """SimBA's `targets_inserted`: behind pose and features, from the first behavior that the ethogram knows, there are
    columns of 0 and 1; frames that are 0 in all of them are of class `gaps`."""
    header = _header(path)
    known = [*(r.name.casefold() for r in ethogram.raw), *(c.casefold() for c in ethogram.classes)]
    first = next((i for i, name in enumerate(header) if name.casefold() in known), None)
    if first is None:
        raise UserError(
            f"{path}: none of its columns is a behavior of the ethogram ({', '.join(ethogram.classes)})"
        )
    return _read(path, header, list(range(first, len(header))), ethogram, gaps, conflicts)


def _header(path: Path) -> list[str]:
    header = next((cells for _, cells in read_cells(path)), None)
    if header is None:
        raise UserError(f"{path}: the file is empty; expected one column a behavior")
    return [c.strip() for c in header]


def _read(
    path: Path,
    header: Sequence[str],
    columns: list[int],
    ethogram: Ethogram,
    gaps: int,
    conflicts: Conflicts,
) -> LabelFile:
    rows = []
    for line, cells in itertools.islice(read_cells(path), 1, None):
        if len(cells) < len(header):
            raise UserError(
                f"{path}, line {line}: expected {len(header)} cells, found {len(cells)}"
            )
        try:
            rows.append(bytes(_VALUES[cells[i].strip().casefold()] & 255 for i in columns))
        except KeyError:
            bad = next(i for i in columns if not is_flag(cells[i]))
            found = repr(cells[bad][:40])
            raise UserError(
                f"{path}, line {line}, column {header[bad]}: expected 0, 1 or -1, found {found}"
            ) from None
    if not rows or not columns:
        raise UserError(
            f"{path}: has a header but no rows with labels; label at least one frame or remove the file"
        )
    flags = np.frombuffer(b"".join(rows), np.int8).reshape(-1, len(columns))
    names = [header[i] for i in columns]
    known = {r.name.casefold() for r in ethogram.raw} | {c.casefold() for c in ethogram.classes}
    behind = [
        i
        for i, name in enumerate(names)
        if name.casefold() == BACKGROUND and BACKGROUND not in known
    ]
    used = [i for i in range(len(names)) if i not in behind and (flags[:, i] == 1).any()]
    classes = classes_of(path, [names[i] for i in used], [1] * len(used), ethogram, conflicts)
    labels = np.full(len(flags), UNLABELED, np.int16)
    free, clash = ~(flags < 0).any(axis=1), np.zeros(len(flags), bool)
    for i, label in zip(
        [*used, *behind], [*classes.tolist(), *(gaps for _ in behind)], strict=True
    ):
        on = flags[:, i] == 1
        clash |= on & (labels >= 0) & (labels != label) & (label >= 0)
        labels[on & (labels < 0)] = label
        free &= ~on
    labels[free] = gaps
    if clash.any():
        conflicts.add(
            path, f"{int(clash.sum())} frames have two behaviors at once, the first is frame "
            f"{int(np.flatnonzero(clash)[0])}", "leave one of them 1", "they are unlabelled",
        )  # fmt: skip
    labels[clash] = UNLABELED
    gap = free | (flags[:, behind] == 1).any(axis=1)
    unscored = (flags < 0).any(axis=1)
    left_out = bool(
        gap.sum() > unscored.sum()
    )  # else what has no label is mostly what nobody has scored yet
    return LabelFile(
        path, None, np.arange(len(labels)), labels, 0, n_frames=len(labels), lists_bouts=left_out
    )


def write_deepethogram(path: Path, predictions: Predictions) -> None:
    """Write the columns `background` (never used: our classes say what there is) and one for each class."""
    flags = _flags(predictions)
    flags[predictions.labels < 0] = -1
    background = np.where(predictions.labels < 0, -1, 0)
    names = [*predictions.classes]
    if BACKGROUND not in (n.casefold() for n in names):
        names, flags = [BACKGROUND, *names], np.column_stack([background, flags])
    write_table(path, ("", *names), ([i, *row] for i, row in enumerate(flags.tolist())))


def write_simba(path: Path, predictions: Predictions) -> None:
    """Write one column of 0 and 1 for each class; unlabelled frames are 0 in all of them."""
    write_table(
        path,
        ("", *predictions.classes),
        ([i, *row] for i, row in enumerate(_flags(predictions).tolist())),
    )


def _flags(predictions: Predictions) -> np.ndarray:
    return (predictions.labels[:, None] == np.arange(len(predictions.classes))).astype(np.int8)
