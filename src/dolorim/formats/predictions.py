"""Predictions as files: `<stem>.predictions.csv`, `<stem>.bouts.csv` and, written last, `<stem>.meta.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.predictions import Predictions
from dolorim.formats.bout_table import write_bout_table
from dolorim.formats.table import read_table, read_text, write_table, write_text


def meta_path(folder: Path, stem: str) -> Path:
    return folder / f"{stem}.meta.json"


def write_predictions(folder: Path, predictions: Predictions) -> None:
    """Write the three files of one video; `meta.json` comes last and so marks the others as complete."""
    meta_path(folder, predictions.name).unlink(missing_ok=True)
    names = predictions.classes
    header = ("frame", "time_s", "label", *(f"p_{n}" for n in names))
    write_table(folder / f"{predictions.name}.predictions.csv", header, _rows(predictions))
    write_bout_table(folder / f"{predictions.name}.bouts.csv", predictions)
    meta = {**predictions.meta, "classes": names, "n_frames": len(predictions.labels)}
    write_text(meta_path(folder, predictions.name), json.dumps(meta, indent=1) + "\n")


def read_predictions(path: Path) -> Predictions:
    """Read `<stem>.predictions.csv` with what lies beside it. Raises `UserError` for what is not such a file."""
    table = read_table(path)
    if table.header[:3] != ("frame", "time_s", "label") or not all(h.startswith("p_") for h in table.header[3:]):
        raise UserError(
            f"{path}: expected the columns frame,time_s,label,p_<class>..., found {', '.join(table.header)}"
        )
    classes = tuple(h.removeprefix("p_") for h in table.header[3:])
    codes = {name: i for i, name in enumerate(classes)} | {"None": -1}
    try:
        labels = np.array([codes[row[2]] for row in table.rows], np.int16)
        numbers = np.array([[*row[:2], *row[3:]] for row in table.rows], float).reshape(len(labels), -1)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: holds something that is no prediction ({error})") from None
    wrong = np.flatnonzero(numbers[:, 0] != np.arange(len(numbers)))
    if wrong.size:
        line, found = table.lines[wrong[0]], table.rows[wrong[0]][0]
        raise UserError(f"{path}, line {line}: expected frame {wrong[0]}, found {found}; predict the video again")
    name = path.name.removesuffix(".predictions.csv")
    meta = read_meta(meta_path(path.parent, name))
    return Predictions(name, classes, labels, numbers[:, 2:].astype(np.float32), numbers[:, 1], meta)


def read_meta(path: Path) -> dict[str, Any]:
    """What is known about a video's predictions; empty where nothing was written. Raises `UserError`."""
    if not path.exists():
        return {}
    try:
        meta = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); predict the video again") from None
    if not isinstance(meta, dict):
        raise UserError(f"{path}: not a JSON object; predict the video again")
    return meta


def _rows(predictions: Predictions) -> Iterator[list[str]]:
    names = [*predictions.classes, "None"]
    for start in range(0, len(predictions.labels), 4096):
        part = slice(start, start + 4096)
        probabilities = np.char.mod("%.4f", predictions.probabilities[part])
        times = np.char.mod("%.4f", predictions.time_s[part])
        labels = predictions.labels[part].tolist()
        for i, (time, label, row) in enumerate(zip(times.tolist(), labels, probabilities.tolist(), strict=True)):
            yield [str(start + i), time, names[label], *row]
