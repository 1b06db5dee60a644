"""Neurodata Without Borders: predictions as an NWB file (extra `nwb`), and bouts from NWB files."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from dolorim.core.errors import UserError
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events, classes_of
from dolorim.labels.nwb_subject import SessionFacts
from dolorim.labels.predictions import Predictions
from dolorim.pose.pose import Pose
from dolorim.pose.read_h5 import stored, text_of

# What h5py raises for damaged files, apart from OSError.
_DAMAGE = (LookupError, TypeError, ValueError, RuntimeError, MemoryError, AttributeError)
_LABEL = ("label", "behavior", "behaviour", "action", "class", "annotation")
# Frames come first: they are exact.
_INTERVALS: tuple[tuple[Literal["frames", "s"], str, str], ...] = (
    ("frames", "start_frame", "stop_frame"),
    ("s", "start_time", "stop_time"),
)
# NWB demands a start time of the session.
_UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)
_BOUT_COLUMNS = {
    "label": "class, as in the ethogram",
    "start_frame": "first frame, counted from 0 in decode order",
    "stop_frame": "the frame after the last one",
    "mean_probability": "of the class, over the bout",
}


def write_nwb(
    path: Path,
    predictions: Predictions,
    provenance: dict[str, Any],
    pose: Pose | None = None,
    facts: SessionFacts | None = None,
) -> None:
    """Write bouts (`TimeIntervals`), ethogram, probabilities (`TimeSeries`) and pose (ndx-pose).

    They lie in the processing module `behavior`; times are those of the video. NWB demands a start
    of the session: where `facts` do not know it the file says 1970, and that it is not known.
    Raises `UserError` if pynwb is not installed or the file cannot be written.
    """
    pynwb = _import_extra("pynwb")
    description = "behaviors recognised in video by dolorim"
    facts = facts or SessionFacts()
    if facts.start is None:
        description += "; the start time is not known"
    origin = json.dumps(provenance, sort_keys=True, default=str)
    # The same predictions get the same identifier.
    identifier = uuid.uuid5(uuid.NAMESPACE_URL, f"{predictions.name} {origin}")
    file = pynwb.NWBFile(
        session_description=description,
        identifier=str(identifier),
        session_start_time=facts.start or _UNKNOWN_START,
        notes=origin,
        subject=_subject(pynwb, facts),
    )
    module = file.create_processing_module(
        name="behavior", description="behaviors, frame by frame, and how sure the model is of them"
    )
    probabilities = pynwb.TimeSeries(
        name="behavior_probabilities",
        data=predictions.probabilities.astype(np.float32),
        unit="probability",
        timestamps=predictions.time_s,
        description=f"one column per class: {', '.join(predictions.classes)}",
    )
    # The bouts name classes; the ethogram gives their order.
    module.add(_ethogram_table(pynwb, predictions))
    module.add(_bout_intervals(pynwb, predictions))
    module.add(probabilities)
    if pose is not None:
        _add_pose(module, pose, probabilities, len(predictions.labels))
    _write_whole(pynwb, Path(path), file)


def _subject(pynwb: Any, facts: SessionFacts) -> Any:
    """The animal; None where nobody has said which it is."""
    if not facts.animal:
        return None
    # NWB allows no / in a subject's id: it may become the name of a folder.
    details = {"subject_id": facts.animal.replace("/", "_"), "sex": facts.sex}
    details["species"] = facts.species
    if facts.age:
        details["age"] = facts.age
    if facts.group:
        details["description"] = f"group {facts.group}"
    return pynwb.file.Subject(**details)


def _ethogram_table(pynwb: Any, predictions: Predictions) -> Any:
    ethogram = pynwb.core.DynamicTable(
        name="ethogram", description="the classes that the model knows, in order"
    )
    ethogram.add_column(name="label", description="name of the class")
    for label in predictions.classes:
        ethogram.add_row(label=label)
    return ethogram


def _bout_intervals(pynwb: Any, predictions: Predictions) -> Any:
    bouts = pynwb.epoch.TimeIntervals(name="behavior_bouts", description="bouts of the classes")
    for column, description in _BOUT_COLUMNS.items():
        bouts.add_column(name=column, description=description)
    for bout, probability in predictions.bouts():
        start_s, stop_s = predictions.interval_s(bout)
        bouts.add_row(
            start_time=start_s,
            stop_time=stop_s,
            label=predictions.classes[bout.label],
            start_frame=bout.start,
            stop_frame=bout.stop,
            mean_probability=probability,
        )
    return bouts


def _write_whole(pynwb: Any, path: Path, file: Any) -> None:
    """Write the file under a temporary name first, so that `path` is never half written."""
    part = path.with_name(f".{path.stem}.{os.getpid()}.part.nwb")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pynwb.NWBHDF5IO(str(part), "w") as io:
            io.write(file)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        reason = error.strerror or error
        raise UserError(f"{path}: cannot be written ({reason}); free some space") from None


def _add_pose(module: Any, pose: Pose, clock: Any, n_frames: int) -> None:
    """Add the pose; `clock` is the series whose timestamps it shares."""
    ndx = _import_extra("ndx_pose")
    # The two may differ: a tracker may have seen another number of frames.
    n = min(n_frames, len(pose))
    comments = "no comments"
    if not n == len(pose) == n_frames:
        comments = f"{len(pose)} rows for {n_frames} frames, the rest is left out"
    # NWB allows neither / nor : in a name.
    names = [name.replace("/", "_").replace(":", "_") for name in pose.names]
    series = []
    for i, name in enumerate(names):
        likelihood = None if pose.likelihood is None else pose.likelihood[:n, i]
        series.append(
            ndx.PoseEstimationSeries(
                name=name,
                data=pose.points[:n, i],
                reference_frame="(0, 0) is the top left corner of the picture",
                confidence=likelihood,
                confidence_definition="likelihood as the tracker gives it; NaN where it has none",
                # Linking to the series of probabilities stores the timestamps once.
                timestamps=clock if n == n_frames else clock.timestamps[:n],
                comments=comments,
            )
        )
    skeleton = ndx.Skeleton(name="skeleton", nodes=names)
    module.add(ndx.Skeletons(skeletons=[skeleton]))
    source = pose.source.name if pose.source else "unknown"
    estimation = ndx.PoseEstimation(
        pose_estimation_series=series, skeleton=skeleton, description=f"pose file: {source}"
    )
    module.add(estimation)


def read_nwb(path: Path, ethogram: Ethogram, conflicts: Conflicts) -> Events:
    """The bouts of the one table of intervals that has a column of labels.

    Frames count where the table has them; otherwise times are seconds from the first frame. Raises
    `UserError` if there is no such table or more than one, and for a damaged file.
    """
    try:
        with h5py.File(path, "r") as file:
            unit, start, stop, words = _read_intervals(path, file)
    except OSError as error:
        reason = error.strerror or "not HDF5, or damaged"
        raise UserError(f"{path}: cannot be read ({reason}); copy it again") from None
    except _DAMAGE as error:
        what = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path}: a damaged or unusual NWB file ({what}); write it again"
        ) from error
    if not _are_intervals(start, stop, len(words)):
        raise UserError(f"{path}: expected intervals that begin before they end; write it again")
    labels = classes_of(path, words, range(1, len(words) + 1), ethogram, conflicts)
    return Events(path, unit, start, stop, labels)


def _read_intervals(
    path: Path, file: h5py.File
) -> tuple[Literal["frames", "s"], np.ndarray, np.ndarray, list[str]]:
    """Unit, starts, stops and labels of the table of bouts."""
    tables: dict[str, h5py.Group] = {}

    def collect(name: str, item: Any) -> None:
        if _has_bouts(item):
            tables[name] = item

    file.visititems(collect)
    if len(tables) != 1:
        names = ", ".join(tables) or "none"
        raise UserError(
            f"{path}: expected one table of intervals with start, stop and label, found {names}"
        )
    (table,) = tables.values()
    unit, first, last = next(i for i in _INTERVALS if i[1] in table and i[2] in table)
    label = next(name for name in _LABEL if name in table)
    start, stop = stored(table[first], np.float64), stored(table[last], np.float64)
    return unit, start, stop, [text_of(word) for word in stored(table[label])]


def _are_intervals(start: np.ndarray, stop: np.ndarray, n_bouts: int) -> bool:
    """Whether each of `n_bouts` intervals has a start, a stop, and these in order."""
    if not start.shape == stop.shape == (n_bouts,):
        return False
    # Comparisons with NaN are false.
    in_order = (start >= 0) & (start <= stop) & (stop < 1e9)
    return bool(in_order.all())


def _has_bouts(item: Any) -> bool:
    if not isinstance(item, h5py.Group):
        return False
    has_interval = any(first in item and last in item for _, first, last in _INTERVALS)
    return has_interval and any(name in item for name in _LABEL)


def _import_extra(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise UserError(
            f"NWB files are written with {module.replace('_', '-')}, which is not installed; "
            f"pip install 'dolorim[nwb]', or choose another format"
        ) from None
