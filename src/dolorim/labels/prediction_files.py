"""Predictions as files: `<stem>.predictions.csv`, `<stem>.bouts.csv` and, written last, `<stem>.meta.json`."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.structured import read_json
from dolorim.files.tables import read_rows, read_table, write_table, write_text
from dolorim.labels.bout_table import write_bout_table
from dolorim.labels.predicted_files import BOUTS, PREDICTIONS, digests, edited, where_video_is
from dolorim.labels.predictions import Predictions


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
    meta["length_s"] = round(predictions.length_s, 6)
    if "video" in meta:
        meta |= where_video_is(str(meta["video"]), folder)
    meta["tables"] = digests(folder, predictions.name)
    write_text(meta_path(folder, predictions.name), json.dumps(meta, indent=1) + "\n")


def read_predictions(path: Path) -> Predictions:
    """Read `<stem>.predictions.csv` with what lies beside it. Raises `UserError` for what is not such a file."""
    header, rows = read_rows(path)
    if header[:3] != ("frame", "time_s", "label") or not all(
        h.startswith("p_") for h in header[3:]
    ):
        raise UserError(
            f"{path}: expected the columns frame,time_s,label,p_<class>..., found {', '.join(header)}"
        )
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
            raise UserError(
                f"{path}, line {line}: holds something that is no prediction ({error})"
            ) from None
    shares = np.array(probabilities).reshape(len(labels), len(classes))
    name = path.name.removesuffix(".predictions.csv")
    meta = read_meta(meta_path(path.parent, name))
    return Predictions(name, classes, np.array(labels), shares, np.array(times), meta)


def read_meta(path: Path) -> dict[str, Any]:
    """What is known about a video's predictions; empty where nothing was written. Raises `UserError`."""
    if not path.exists():
        return {}
    meta = read_json(path, "predict the video again")
    if not isinstance(meta, dict):
        raise UserError(f"{path}: not a JSON object; predict the video again")
    return meta


@dataclass(frozen=True)
class PredictedBouts:
    """The bouts of one video: `start_s`, `stop_s` and `labels` `(bouts,)`, in seconds from its first frame."""

    classes: tuple[str, ...]
    start_s: np.ndarray
    stop_s: np.ndarray
    labels: np.ndarray
    length_s: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelSource:
    """Whether the table of bouts says what the frames say, and may be read in their place; and what is to be said."""

    bouts: bool
    notes: tuple[str, ...] = ()


def which_counts(folder: Path, stem: str) -> LabelSource:
    """Which file says what a video's labels are: `predictions.csv`, always, where it is there.

    `bouts.csv` is read in its place, being much smaller, where both are as they were written. One that was made from
    labels which have been edited since is out of date, and that is said. Raises `UserError` where it was itself edited
    and contradicts the frames: nobody but the user knows which of the two is meant.
    """
    bouts, frames = folder / f"{stem}{BOUTS}", folder / f"{stem}{PREDICTIONS}"
    if not bouts.exists() or not frames.exists():
        return LabelSource(bouts.exists())
    changed = edited(read_meta(meta_path(folder, stem)), folder, stem)
    if changed == {PREDICTIONS: False, BOUTS: False}:
        return LabelSource(True)
    if _same_labels(bouts, read_predictions(frames)):
        return LabelSource(False)
    if changed[BOUTS] is False:
        note = f"{bouts}: is out of date, since the labels in {frames.name} have been edited, and these count"
        return LabelSource(False, (note,))
    raise UserError(
        f"{bouts}: does not say what {frames.name} says, which counts for labels; remove {bouts.name}, or correct "
        f"labels with dolorim review"
    )


def _same_labels(bouts: Path, predictions: Predictions) -> bool:
    """Does a table of bouts hold the bouts of these labels?"""
    table = read_table(bouts)
    columns = [table.column(name) for name in ("start_frame", "stop_frame", "label")]
    expected = [
        (str(b.start), str(b.stop), predictions.classes[b.label]) for b, _ in predictions.bouts()
    ]
    return (
        None not in columns
        and [tuple(row[c] for c in columns if c is not None) for row in table.rows] == expected
    )


def read_bouts(folder: Path, stem: str) -> PredictedBouts:
    """The bouts of one video, from the small table of bouts where that says all, else from the frames.

    Tables of version 0.1.0 count from the container's clock, and say nowhere when the first frame is shown nor how long
    the recording is with its pauses: of these, the frames are read. Raises `UserError`.
    """
    path, frames = folder / f"{stem}{BOUTS}", folder / f"{stem}{PREDICTIONS}"
    source = which_counts(folder, stem)
    meta = read_meta(meta_path(folder, stem))
    if not source.bouts or not ("length_s" in meta or (meta and not frames.exists())):
        return replace(_bouts_of(read_predictions(frames)), notes=source.notes)
    try:
        classes = tuple(map(str, meta["classes"]))
        table = read_table(path)
        wanted = [table.header.index(n) for n in ("start_frame", "start_s", "stop_s", "label")]
        cells = [[row[i] for i in wanted] for row in table.rows]
        numbers = np.array([c[:3] for c in cells], float).reshape(-1, 3)
        labels = np.array([classes.index(c[3]) for c in cells], np.int64)
        start_s, stop_s = numbers[:, 1:].T
        if "length_s" in meta:
            length_s = float(meta["length_s"])
        else:
            rate_hz = float(meta["fps"])
            first_s = numbers[0, 1] - numbers[0, 0] / rate_hz if len(numbers) else 0.0
            start_s, stop_s = start_s - first_s, stop_s - first_s
            length_s = max(int(meta["n_frames"]) / rate_hz, float(stop_s.max(initial=0.0)))
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise UserError(
            f"{path}: not a table of bouts as predict writes it ({error}); predict the video again"
        ) from None
    return PredictedBouts(classes, start_s, stop_s, labels, length_s)


def _bouts_of(predictions: Predictions) -> PredictedBouts:
    bouts = [bout for bout, _ in predictions.bouts()]
    start_s, stop_s = np.array([predictions.interval_s(b) for b in bouts]).reshape(-1, 2).T
    labels = np.array([b.label for b in bouts], np.int64)
    return PredictedBouts(predictions.classes, start_s, stop_s, labels, predictions.length_s)


def _rows(predictions: Predictions) -> Iterator[list[str]]:
    names = [*predictions.classes, "None"]
    for start in range(0, len(predictions.labels), 4096):
        part = slice(start, start + 4096)
        probabilities = np.char.mod("%.4f", predictions.probabilities[part])
        times = np.char.mod("%.6f", predictions.time_s[part])
        labels = predictions.labels[part].tolist()
        for i, (time, label, row) in enumerate(
            zip(times.tolist(), labels, probabilities.tolist(), strict=True)
        ):
            yield [str(start + i), time, names[label], *row]
