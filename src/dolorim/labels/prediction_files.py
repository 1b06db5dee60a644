"""Predictions as files: `<stem>.predictions.csv`, `<stem>.bouts.csv` and `<stem>.meta.json`."""

from __future__ import annotations

import itertools
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from pydantic import ConfigDict

from dolorim.core.clock import edges_of
from dolorim.core.errors import UserError
from dolorim.files.structured import Number, as_dataclass, read_json
from dolorim.files.tables import Row, read_rows, read_table, write_table, write_text
from dolorim.labels.bout_table import write_bout_table
from dolorim.labels.predicted_files import BOUTS, PREDICTIONS, digests, edited, where_video_is
from dolorim.labels.predictions import Predictions

_PREDICT_AGAIN = "predict the video again"
_BLOCK = 1024  # lines of a table that are read at once
_ROWS_AT_ONCE = 4096  # formatted together, as NumPy is slow for single rows


def meta_path(folder: Path, stem: str) -> Path:
    return folder / f"{stem}.meta.json"


def write_predictions(folder: Path, predictions: Predictions) -> None:
    """Write the three files of one video. Raises `UserError` if they cannot be written."""
    stem, names = predictions.name, predictions.classes
    # `meta.json` comes last, so that it marks the other files as complete.
    meta_path(folder, stem).unlink(missing_ok=True)
    header = ("frame", "time_s", "label", *(f"p_{name}" for name in names))
    write_table(folder / f"{stem}{PREDICTIONS}", header, _rows(predictions))
    write_bout_table(folder / f"{stem}{BOUTS}", predictions)
    meta = {**predictions.meta, "classes": names, "n_frames": len(predictions.labels)}
    meta["length_s"] = round(predictions.length_s, 6)
    if "video" in meta:
        meta |= where_video_is(str(meta["video"]), folder)
    meta["tables"] = digests(folder, stem)
    write_text(meta_path(folder, stem), json.dumps(meta, indent=1) + "\n")


def _rows(predictions: Predictions) -> Iterator[list[str]]:
    names = [*predictions.classes, "None"]  # the label -1 is the last one
    for start in range(0, len(predictions.labels), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        columns = (
            np.char.mod("%.6f", predictions.time_s[part]).tolist(),
            predictions.labels[part].tolist(),
            np.char.mod("%.4f", predictions.probabilities[part]).tolist(),
        )
        for frame, (time, label, row) in enumerate(zip(*columns, strict=True), start):
            yield [str(frame), time, names[label], *row]


def read_predictions(path: Path) -> Predictions:
    """Read `<stem>.predictions.csv` and the `meta.json` beside it.

    Raises `UserError` for another table, and for a row that is no prediction.
    """
    header, rows = read_rows(path)
    fixed, probability_columns = header[:3], header[3:]
    are_probabilities = all(name.startswith("p_") for name in probability_columns)
    if fixed != ("frame", "time_s", "label") or not are_probabilities:
        raise UserError(
            f"{path}: expected the columns frame,time_s,label,p_<class>..., found "
            f"{', '.join(header)}"
        )
    classes = tuple(name.removeprefix("p_") for name in probability_columns)
    label_of = {name: i for i, name in enumerate(classes)} | {"None": -1}
    labels, times, probabilities = _plain_columns(path, len(header), label_of) or _columns(
        path, rows, label_of
    )
    by_class = np.array(probabilities).reshape(len(labels), len(classes))
    name = path.name.removesuffix(PREDICTIONS)
    meta = read_meta(meta_path(path.parent, name))
    return Predictions(name, classes, np.array(labels), by_class, np.array(times), meta)


Columns: TypeAlias = "tuple[array[int], array[float], array[float]]"
"""Labels `(n,)`, times `(n,)`, and probabilities `(n * classes,)`."""


def _plain_columns(path: Path, width: int, label_of: Mapping[str, int]) -> Columns | None:
    """The columns of a table as `write_predictions` writes it, read at once.

    None for one that somebody has edited or damaged, which is read row by row.
    """
    labels, times, probabilities = array("h"), array("d"), array("f")
    try:
        with path.open(encoding="utf-8") as file:
            file.readline()  # the header
            # In blocks: the cells of a long table as text take many times the room of its numbers.
            while lines := list(itertools.islice(file, _BLOCK)):
                cells = ",".join(lines).split(",")
                expected = range(len(labels), len(labels) + len(lines))
                if len(cells) != width * len(lines) or cells[::width] != [*map(str, expected)]:
                    return None
                times.extend(map(float, cells[1::width]))
                columns = [[*map(float, cells[i::width])] for i in range(3, width)]
                probabilities.frombytes(np.array(columns, np.float32).T.tobytes())
                labels.extend(label_of[name] for name in cells[2::width])
    except (OSError, ValueError, KeyError):
        return None
    return labels, times, probabilities


def _columns(path: Path, rows: Iterable[Row], label_of: Mapping[str, int]) -> Columns:
    n_classes = len(label_of) - 1
    # Arrays, not lists: an hour of video has a million probabilities.
    labels, times, probabilities = array("h"), array("d"), array("f")
    for line, (frame, time, label, *row) in rows:
        try:
            # A missing or repeated row would shift all labels after it.
            if float(frame) != len(labels):
                raise UserError(
                    f"{path}, line {line}: expected frame {len(labels)}, found {frame}; "
                    f"{_PREDICT_AGAIN}"
                )
            if len(row) != n_classes:
                raise ValueError(f"{len(row)} probabilities of {n_classes} classes")
            times.append(_number(time))
            probabilities.extend(map(_number, row))
            labels.append(label_of[label])
        except (KeyError, ValueError) as error:
            raise UserError(f"{path}, line {line}: not a prediction ({error})") from None
    return labels, times, probabilities


def _number(cell: str) -> float:
    """A number, also as spreadsheets of many countries save it, with a comma."""
    try:
        return float(cell)
    except ValueError:
        return float(cell.replace(",", "."))


@dataclass(frozen=True)
class _Entries:
    """What is read of a `meta.json`, where it is there; its other entries are kept as they are."""

    __pydantic_config__ = ConfigDict(extra="ignore")

    classes: tuple[str, ...] | None = None
    n_frames: int | None = None
    fps: Number | None = None
    length_s: Number | None = None
    first_frame_s: Number | None = None
    run: str | None = None
    video: str | None = None
    video_relative: str | None = None
    video_absolute: str | None = None
    fingerprint: dict[str, Any] | None = None
    tables: dict[str, Any] | None = None
    chamber: dict[str, Any] | None = None
    points: tuple[str, ...] | None = None


def read_meta(path: Path) -> dict[str, Any]:
    """The content of a `meta.json`, empty if there is none.

    Raises `UserError` for a damaged file.
    """
    if not path.exists():
        return {}
    meta = read_json(path, _PREDICT_AGAIN)
    if not isinstance(meta, dict):
        raise UserError(f"{path}: not a JSON object; {_PREDICT_AGAIN}")
    as_dataclass(_Entries, meta, path, _PREDICT_AGAIN)
    return meta


@dataclass(frozen=True)
class PredictedBouts:
    """The bouts of one video, in seconds from its first frame.

    `start_s`, `stop_s` and `labels` are `(bouts,)`, labels as class indices.
    """

    classes: tuple[str, ...]
    start_s: np.ndarray
    stop_s: np.ndarray
    labels: np.ndarray
    length_s: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelSource:
    """Whether `bouts.csv` may be read in place of the frames, and notes for the user."""

    bouts: bool
    notes: tuple[str, ...] = ()


def which_counts(folder: Path, stem: str) -> LabelSource:
    """Which of the two tables gives the labels of a video.

    `predictions.csv` counts wherever it exists. The much smaller `bouts.csv` may be read in its
    place if nobody has edited either. If the frames have been edited since, the bouts are out of
    date, which is a note. Raises `UserError` if the bouts themselves were edited and contradict the
    frames: only the user knows which of the two is right.
    """
    bouts, frames = folder / f"{stem}{BOUTS}", folder / f"{stem}{PREDICTIONS}"
    if not bouts.exists() or not frames.exists():
        return LabelSource(bouts.exists())
    is_edited = edited(read_meta(meta_path(folder, stem)), folder, stem)
    if is_edited == {PREDICTIONS: False, BOUTS: False}:
        return LabelSource(True)
    # An edit that changed no label, such as saving the file in a spreadsheet, is harmless.
    if _has_same_labels(bouts, read_predictions(frames)):
        return LabelSource(False)
    if is_edited[BOUTS] is False:
        note = (
            f"{bouts}: is out of date, as the labels in {frames.name} have been edited; these count"
        )
        return LabelSource(False, (note,))
    raise UserError(
        f"{bouts}: contradicts {frames.name}, which counts for labels; remove {bouts.name}, or "
        f"correct labels with dolorim review"
    )


def _has_same_labels(bouts: Path, predictions: Predictions) -> bool:
    """Whether a table of bouts holds the bouts of these predictions."""
    table = read_table(bouts)
    start, stop, label = (table.column(name) for name in ("start_frame", "stop_frame", "label"))
    if start is None or stop is None or label is None:
        return False
    written = [(row[start], row[stop], row[label]) for row in table.rows]
    expected = [
        (str(bout.start), str(bout.stop), predictions.classes[bout.label])
        for bout, _ in predictions.bouts()
    ]
    return written == expected


def read_bouts(folder: Path, stem: str) -> PredictedBouts:
    """The bouts of one video, from the table of bouts if that holds all, else from the frames.

    Raises `UserError` for tables that cannot be read or contradict each other.
    """
    frames = folder / f"{stem}{PREDICTIONS}"
    source = which_counts(folder, stem)
    meta = read_meta(meta_path(folder, stem))
    # Tables of version 0.1.0 count from the container's clock, and do not say when the first frame
    # is shown nor how long the recording is with its pauses. Their frames do, where they exist.
    has_all = "length_s" in meta or (meta and not frames.exists())
    if not source.bouts or not has_all:
        return replace(_bouts_of(read_predictions(frames)), notes=source.notes)
    path = folder / f"{stem}{BOUTS}"
    try:
        return _read_bout_table(path, meta)
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise UserError(
            f"{path}: not a table of bouts as predict writes it ({error}); {_PREDICT_AGAIN}"
        ) from None


def predicted_edges_s(folder: Path, stem: str) -> np.ndarray:
    """When the frames of a video begin and the last one ends `(frames + 1,)`, from its frames.

    Without them, at the rate that the metadata state. Raises `UserError`.
    """
    frames = folder / f"{stem}{PREDICTIONS}"
    if frames.exists():
        return edges_of(read_predictions(frames).time_s)
    meta = read_meta(meta_path(folder, stem))
    return np.arange(int(meta["n_frames"]) + 1) / float(meta["fps"])


def _read_bout_table(path: Path, meta: Mapping[str, Any]) -> PredictedBouts:
    """The bouts in a table that goes with `meta`; raises built-in errors for what is missing."""
    classes = tuple(meta["classes"])
    table = read_table(path)
    *number_columns, label_column = (
        table.header.index(name) for name in ("start_frame", "start_s", "stop_s", "label")
    )
    cells = [[row[column] for column in number_columns] for row in table.rows]
    start_frame, start_s, stop_s = np.array(cells, float).reshape(-1, 3).T
    labels = np.array([classes.index(row[label_column]) for row in table.rows], np.int64)
    # After version 0.1.0, times count from the first frame.
    if "length_s" in meta:
        return PredictedBouts(classes, start_s, stop_s, labels, float(meta["length_s"]))
    # Written by version 0.1.0: the first bout tells when the container's clock begins.
    rate_hz = float(meta["fps"])
    first_s = start_s[0] - start_frame[0] / rate_hz if len(start_s) else 0.0
    start_s, stop_s = start_s - first_s, stop_s - first_s
    length_s = max(int(meta["n_frames"]) / rate_hz, float(stop_s.max(initial=0.0)))
    return PredictedBouts(classes, start_s, stop_s, labels, length_s)


def _bouts_of(predictions: Predictions) -> PredictedBouts:
    bouts = [bout for bout, _ in predictions.bouts()]
    start_s, stop_s = np.array([predictions.interval_s(b) for b in bouts]).reshape(-1, 2).T
    labels = np.array([bout.label for bout in bouts], np.int64)
    return PredictedBouts(predictions.classes, start_s, stop_s, labels, predictions.length_s)
