"""Pose tables in HDF5: those of DeepLabCut, saved through pandas, and SLEAP's analysis files.

pandas stores the labels of a table's columns as a pickle. Nothing is unpickled here:
`pickled_text.literal` reads such an attribute without executing anything.
SLEAP's analysis file consists of plain arrays. Its own .slp projects would need sleap-io, a heavy
dependency for what SLEAP exports with one command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.structured import parse_json
from dolorim.pose.columns import Column, by_frame, coordinate, to_poses
from dolorim.pose.pickled_text import literal
from dolorim.pose.pose import Pose, tracked

# What h5py raises where bytes have changed.
_DAMAGE = (LookupError, TypeError, ValueError, RuntimeError, MemoryError)
# A few bytes may claim to be terabytes: beyond 64 MiB, this is the highest compression believed.
_SMALL, _RATIO = 2**26, 500
_LEVELS = {3: (None, 1, 2), 4: (1, 2, 3)}  # of labels: where individual, part and coordinate stand


def read_pose_h5(path: Path) -> tuple[Pose, ...]:
    """The poses of all individuals in an HDF5 file. Raises `UserError` if it cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            if "tracks" in file and "node_names" in file:
                return _sleap(path, file)
            return _pandas(path, file)
    except OSError as error:
        if not Path(path).is_file():
            reason = error.strerror or "there is no such file"
            raise UserError(f"cannot be read ({reason})", where=path) from None
        size = Path(path).stat().st_size
        content = f"{size} bytes that are not HDF5, or only a part of it"
        if size == 0:
            content = "an empty file"
        raise UserError(
            f"expected a pose file in HDF5, found {content}",
            where=path,
            remedy="copy or export it again",
        ) from None
    except _DAMAGE as error:
        what = " ".join(str(error).split())[:120]
        raise UserError(
            f"a damaged or unusual pose file ({what})",
            where=path,
            remedy="export it again, or as CSV",
        ) from error


def _pandas(path: Path, file: h5py.File) -> tuple[Pose, ...]:
    group = _pandas_table(path, file)
    if "table" in group:
        labels, values, frames = _stored_as_table(path, group)
    else:
        labels, values, frames = _stored_fixed(path, group)
    columns, kept = [], []
    for i, label in enumerate(labels):
        if len(label) not in _LEVELS:
            raise UserError(
                "expected column labels of 3 or 4 levels (scorer, bodyparts, coords), "
                f"found {label}",
                where=path,
            )
        who, part, word = _LEVELS[len(label)]
        kind = coordinate(label[word])
        if kind:
            individual = None
            if who is not None:
                individual = label[who]
            columns.append(Column(individual, label[part], kind))
            kept.append(i)
    values = values[:, kept]
    notes: list[str] = []
    if frames is not None:
        values, notes = by_frame(path, frames, values)
    return to_poses(path, columns, values, notes)


def _pandas_table(path: Path, file: h5py.File) -> h5py.Group:
    """The group of the one table in a file. Raises `UserError` if there are none or several."""
    tables: dict[str, h5py.Group] = {}

    def collect(name: str, item: Any) -> None:
        is_table = "pandas_type" in item.attrs and ("axis0_level0" in item or "table" in item)
        if is_table:
            tables[name] = item

    file.visititems(collect)
    if "df_with_missing" in tables:  # DeepLabCut's own name
        return tables["df_with_missing"]
    if len(tables) != 1:
        content = ", ".join(file) or "nothing"
        if tables:
            content = f"{len(tables)} tables ({', '.join(tables)})"
        raise UserError(
            "expected one table of DeepLabCut or the tracks of a SLEAP analysis file, "
            f"found {content}",
            where=path,
            remedy="export the pose as CSV",
        )
    return next(iter(tables.values()))


def _stored_as_table(
    path: Path, group: h5py.Group
) -> tuple[list[tuple[str, ...]], np.ndarray, np.ndarray | None]:
    """Labels, values `(rows, columns)` and frames that pandas stored with `format="table"`."""
    table = group["table"]
    labels: list[tuple[str, ...]] = []
    blocks = []
    refuse_bomb(table)
    fields = table.dtype.names or ()
    for name in fields:
        if name.startswith("values_block_"):
            labels += _labels(path, table.attrs[f"{name}_kind"])
            blocks.append(np.asarray(table[name], np.float64))
    # Columns of one type are stored together, so they have to be put in order again.
    stored_order = _labels(path, group.attrs["non_index_axes"], axes=True)
    order = {label: i for i, label in enumerate(stored_order)}
    values = np.empty((0, 0))
    if blocks:
        values = np.concatenate([block.reshape(len(table), -1) for block in blocks], axis=1)
    if len(order) != len(labels) or values.shape[1] != len(labels):
        raise UserError(
            f"{len(labels)} column labels for {values.shape[1]} columns",
            where=path,
            remedy="export the pose as CSV",
        )
    sort = sorted(range(len(labels)), key=lambda i: order.get(labels[i], 0))
    frames = None
    if "index" in fields:
        frames = _as_frames(np.asarray(table["index"]))
    return [labels[i] for i in sort], values[:, sort], frames


def _stored_fixed(
    path: Path, group: h5py.Group
) -> tuple[list[tuple[str, ...]], np.ndarray, np.ndarray | None]:
    """Labels, values `(rows, columns)` and frames that pandas stored with `format="fixed"`."""
    labels = _levels(path, group, "axis0")
    index_of = {label: i for i, label in enumerate(labels)}
    values = np.empty((0, len(labels)))
    for block in range(int(group.attrs["nblocks"])):
        numbers = group[f"block{block}_values"]
        if numbers.dtype.kind not in "fiu":
            continue
        numbers = stored(numbers, np.float64)
        if not len(values):
            values = np.full((len(numbers), len(labels)), np.nan)
        indices = [index_of[label] for label in _levels(path, group, f"block{block}_items")]
        values[:, indices] = numbers
    frames = None
    if "axis1" in group:
        frames = _as_frames(stored(group["axis1"]))
    return labels, values, frames


def _levels(path: Path, group: h5py.Group, axis: str) -> list[tuple[str, ...]]:
    """The labels of an axis: each level is stored as its different words and an index per label."""
    columns = []
    for level in range(int(group.attrs[f"{axis}_nlevels"])):
        words = group[f"{axis}_level{level}"]
        if words.dtype.kind != "S":
            raise UserError(
                f"its column labels are not plain text ({words.dtype})",
                where=path,
                remedy="export the pose as CSV",
            )
        texts = [w.decode("utf-8", "replace") for w in stored(words)]
        columns.append([texts[i] for i in stored(group[f"{axis}_label{level}"])])
    return list(zip(*columns, strict=True))


def _as_frames(index: np.ndarray) -> np.ndarray | None:
    """An index of whole numbers; None for one of names of pictures, for instance."""
    if index.dtype.kind not in "iu":
        return None
    return index.astype(np.int64)


def _labels(path: Path, attribute: Any, axes: bool = False) -> list[tuple[str, ...]]:
    """The labels that pandas keeps in an attribute: a list of tuples, or `[(axis, labels)]`."""
    try:
        stored_labels = literal(bytes(attribute))
        if axes:
            stored_labels = stored_labels[0][1]
        return [_label(words) for words in stored_labels]
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"its column labels are stored in a way that is not read, for safety ({error})",
            where=path,
            remedy="export the pose as CSV",
        ) from None


def _label(words: Any) -> tuple[str, ...]:
    # A damaged file may hold lists within lists, which may be endless when written out.
    if not all(isinstance(word, str | int) for word in words):
        raise ValueError("something that is no label")
    return tuple(map(str, words))


def _sleap(path: Path, file: h5py.File) -> tuple[Pose, ...]:
    """SLEAP's analysis file: tracks `(track, xy, node, frame)`, or `(frame, node, xy, track)`."""
    names = [text_of(name) for name in stored(file["node_names"])]
    tracks = stored(file["tracks"], np.float64)
    individuals: list[str] = []
    if "track_names" in file:
        individuals = [text_of(name) for name in stored(file["track_names"])]
    scores: np.ndarray | None = None
    if "point_scores" in file:
        scores = stored(file["point_scores"], np.float64)
    if not _as_saved(path, file["tracks"], len(names), len(individuals)):
        tracks = tracks.transpose(3, 2, 1, 0)
        if scores is not None:
            scores = scores.transpose(2, 1, 0)
    individuals += [f"track_{i}" for i in range(len(individuals), len(tracks))]
    poses = []
    for i, track in enumerate(tracks):
        likelihood = None
        if scores is not None:
            likelihood = scores[i].T
        points = track.transpose(2, 1, 0)
        poses.append(tracked(names, points, likelihood, individual=individuals[i], source=path))
    return tuple(poses)


def _as_saved(path: Path, tracks: h5py.Dataset, nodes: int, individuals: int) -> bool:
    """Is the array `(track, xy, node, frame)` rather than `(frame, node, xy, track)`?

    Raises `UserError` for any other shape.
    """
    shape = tracks.shape
    if len(shape) != 4 or 0 in shape:
        raise UserError(
            f"expected SLEAP tracks of 4 dimensions, found {shape}",
            where=path,
            remedy="export the analysis file again",
        )
    as_saved = shape[1:3] == (2, nodes)
    transposed = shape[1:3] == (nodes, 2)
    dims = _dims(tracks)
    if dims is not None:
        as_saved, transposed = dims[0] == "track", dims[0] == "frame"
    elif as_saved and transposed and individuals:  # two nodes: only the number of tracks can tell
        as_saved = shape[0] == individuals
    if not as_saved and not transposed:
        raise UserError(
            f"expected SLEAP tracks (track, 2, {nodes}, frame), found {shape}",
            where=path,
            remedy="export the file again",
        )
    return as_saved


def stored(dataset: h5py.Dataset, dtype: type | None = None) -> np.ndarray:
    """All of a dataset. Raises `ValueError` if it claims far more bytes than the file can hold."""
    refuse_bomb(dataset)
    return np.asarray(dataset[()], dtype)


def refuse_bomb(dataset: h5py.Dataset) -> None:
    """Raise `ValueError` for what is no dataset, or claims more bytes than the file can hold."""
    if not isinstance(dataset, h5py.Dataset):  # a changed byte makes it a group or a type
        raise ValueError(f"expected a dataset, found {type(dataset).__name__}")
    claimed = dataset.size * max(dataset.dtype.itemsize, 8)
    if claimed > max(_SMALL, _RATIO * dataset.id.get_storage_size()):
        raise ValueError(f"{dataset.name} claims {claimed:.1e} bytes, more than the file can hold")


def _dims(dataset: h5py.Dataset) -> list[str] | None:
    """The names of the dimensions, which newer exports carry: track or frame comes first."""
    if "dims" not in dataset.attrs:
        return None
    try:
        words = parse_json(text_of(dataset.attrs["dims"]), dataset.name)
    except UserError:
        return None
    return [str(w).casefold().rstrip("s") for w in words]


def text_of(value: bytes | str) -> str:
    """Text as a file holds it: h5py returns some as bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
