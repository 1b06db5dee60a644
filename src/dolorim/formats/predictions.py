"""Predictions as files: `<stem>.predictions.csv`, `<stem>.bouts.csv` and, written last, `<stem>.meta.json`."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.predictions import Predictions
from dolorim.files.table import read_rows, read_text, write_table, write_text
from dolorim.formats.bout_table import write_bout_table


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
    header, rows = read_rows(path)
    if header[:3] != ("frame", "time_s", "label") or not all(h.startswith("p_") for h in header[3:]):
        raise UserError(f"{path}: expected the columns frame,time_s,label,p_<class>..., found {', '.join(header)}")
    classes = tuple(h.removeprefix("p_") for h in header[3:])
    codes = {name: i for i, name in enumerate(classes)} | {"None": -1}
    labels, times, probabilities = array("h"), array("d"), array("f")
    for line, (frame, time, label, *row) in rows:
        try:
            if float(frame) != len(labels):
                raise UserError(
                    f"{path}, line {line}: expected frame {len(labels)}, found {frame}; predict the video again"
                )
            if len(row) != len(classes):
                raise ValueError(f"{len(row)} probabilities of {len(classes)} classes")
            times.append(float(time))
            probabilities.extend(map(float, row))
            labels.append(codes[label])
        except (KeyError, ValueError) as error:
            raise UserError(f"{path}, line {line}: holds something that is no prediction ({error})") from None
    shares = np.array(probabilities).reshape(len(labels), len(classes))
    name = path.name.removesuffix(".predictions.csv")
    meta = read_meta(meta_path(path.parent, name))
    return Predictions(name, classes, np.array(labels), shares, np.array(times), meta)


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
