"""Neurodata Without Borders: predictions as an NWB file (extra `nwb`), and bouts out of any NWB file."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dolorim.core.errors import UserError
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events, classes_of
from dolorim.labels.predictions import Predictions
from dolorim.pose.pose import Pose
from dolorim.pose.read_h5 import stored

_DAMAGE = (LookupError, TypeError, ValueError, RuntimeError, MemoryError, AttributeError)
_LABEL = ("label", "behavior", "behaviour", "action", "class", "annotation")
_PAIRS = (("frames", "start_frame", "stop_frame"), ("s", "start_time", "stop_time"))
_UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)


def write_nwb(
    path: Path,
    predictions: Predictions,
    provenance: dict[str, Any],
    pose: Pose | None = None,
    session_start: datetime | None = None,
) -> None:
    """Write bouts (`TimeIntervals`), the ethogram, probabilities (`TimeSeries`) and the pose (ndx-pose).

    All lies in the processing module `behavior`; times are those of the video. Without `session_start` the file says
    1970 and that the start is not known, for NWB demands one. Raises `UserError` where pynwb is not installed.
    """
    pynwb = _needed("pynwb")
    start = session_start or _UNKNOWN_START
    about = "behaviors recognised in video by dolorim" + (
        "" if session_start else "; the start time is not known"
    )
    origin = json.dumps(provenance, sort_keys=True, default=str)
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{predictions.name} {origin}")
    file = pynwb.NWBFile(
        session_description=about, identifier=str(name), session_start_time=start, notes=origin
    )  # fmt: skip
    module = file.create_processing_module(
        name="behavior", description="behaviors, frame by frame, and how sure the model is of them"
    )
    ethogram = pynwb.core.DynamicTable(
        name="ethogram", description="the classes that the model knows, in order"
    )
    ethogram.add_column(name="label", description="name of the class")
    for label in predictions.classes:
        ethogram.add_row(label=label)
    bouts = pynwb.epoch.TimeIntervals(name="behavior_bouts", description="bouts of the classes")
    for column, description in (
        ("label", "class, as in the ethogram"),
        ("start_frame", "first frame, counted from 0 in decode order"),
        ("stop_frame", "the frame behind the last one"),
        ("mean_probability", "of the class, over the bout"),
    ):
        bouts.add_column(name=column, description=description)
    for bout, probability in predictions.bouts():
        start_s, stop_s = predictions.interval_s(bout)
        bouts.add_row(
            start_time=start_s, stop_time=stop_s, label=predictions.classes[bout.label], start_frame=bout.start,
            stop_frame=bout.stop, mean_probability=probability,
        )  # fmt: skip
    probabilities = pynwb.TimeSeries(
        name="behavior_probabilities", data=predictions.probabilities.astype(np.float32), unit="probability",
        timestamps=predictions.time_s, description=f"one column a class: {', '.join(predictions.classes)}",
    )  # fmt: skip
    for item in (ethogram, bouts, probabilities):
        module.add(item)
    if pose is not None:
        _add_pose(module, pose, probabilities, len(predictions.labels))
    path = Path(path)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part.nwb")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pynwb.NWBHDF5IO(str(part), "w") as io:
            io.write(file)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); free some space"
        ) from None


def _add_pose(module: Any, pose: Pose, clock: Any, n_frames: int) -> None:
    ndx = _needed("ndx_pose")
    n = min(n_frames, len(pose))
    comments = (
        "no comments"
        if n == len(pose) == n_frames
        else f"{len(pose)} rows for {n_frames} frames, the rest is left out"
    )
    names = [
        name.replace("/", "_").replace(":", "_") for name in pose.names
    ]  # not allowed in the names of NWB
    series = [
        ndx.PoseEstimationSeries(
            name=name, data=pose.points[:n, i], reference_frame="(0, 0) is the top left corner of the picture",
            confidence=None if pose.likelihood is None else pose.likelihood[:n, i],
            confidence_definition="likelihood as the tracker gives it; NaN where it has none",
            timestamps=clock if n == n_frames else clock.timestamps[:n], comments=comments,
        )
        for i, name in enumerate(names)
    ]  # fmt: skip
    skeleton = ndx.Skeleton(name="skeleton", nodes=names)
    module.add(ndx.Skeletons(skeletons=[skeleton]))
    source = pose.source.name if pose.source else "unknown"
    module.add(
        ndx.PoseEstimation(
            pose_estimation_series=series, skeleton=skeleton, description=f"pose file: {source}"
        )
    )


def read_nwb(path: Path, ethogram: Ethogram, conflicts: Conflicts) -> Events:
    """The bouts of the one table of intervals with a column of labels. Raises `UserError` where there is none, or two.

    Frames are believed where the table has them; else times are taken for seconds from the first frame.
    """
    try:
        with h5py.File(path, "r") as file:
            tables: dict[str, h5py.Group] = {}
            file.visititems(
                lambda name, item: tables.update({name: item}) if _is_bouts(item) else None
            )
            if len(tables) != 1:
                found = ", ".join(tables) or "none"
                raise UserError(
                    f"{path}: expected one table of intervals with start, stop and label, found {found}"
                )
            table = next(iter(tables.values()))
            unit, first, last = next(p for p in _PAIRS if p[1] in table and p[2] in table)
            label = next(n for n in _LABEL if n in table)
            start, stop = stored(table[first], np.float64), stored(table[last], np.float64)
            words = [
                w.decode("utf-8", "replace") if isinstance(w, bytes) else str(w)
                for w in stored(table[label])
            ]
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or 'not HDF5, or damaged'}); copy it again"
        ) from None
    except _DAMAGE as error:
        what = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path}: a damaged or unusual NWB file ({what}); write it again"
        ) from error
    sound = start.shape == stop.shape == (len(words),)
    if (
        not sound
        or not (
            np.isfinite(start) & np.isfinite(stop) & (start >= 0) & (start <= stop) & (stop < 1e9)
        ).all()
    ):
        raise UserError(f"{path}: expected intervals that begin before they end; write it again")
    labels = classes_of(path, words, range(1, len(words) + 1), ethogram, conflicts)
    return Events(path, "frames" if unit == "frames" else "s", start, stop, labels)


def _is_bouts(item: Any) -> bool:
    return (
        isinstance(item, h5py.Group)
        and any(p[1] in item and p[2] in item for p in _PAIRS)
        and any(n in item for n in _LABEL)
    )


def _needed(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise UserError(
            f"NWB files are written with {module.replace('_', '-')}, which is not installed; "
            f"pip install 'dolorim[nwb]', or choose another format"
        ) from None
