"""Pose tables in HDF5: what DeepLabCut saves through pandas, and the analysis files that SLEAP exports.

pandas keeps the labels of a table's columns as a pickle. Nothing is unpickled here: `_literal` reads such an attribute
opcode by opcode and knows only text, whole numbers, tuples, lists and dictionaries.
SLEAP's analysis file is plain arrays; its own .slp projects would need sleap-io, a heavy dependency for what SLEAP
exports with one command.
"""

from __future__ import annotations

import pickletools
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.structured import parse_json
from dolorim.pose.columns import Column, by_frame, coordinate, to_poses
from dolorim.pose.pose import Pose, tracked

_DAMAGE = (
    LookupError,
    TypeError,
    ValueError,
    RuntimeError,
    MemoryError,
)  # what h5py raises where bytes have changed
_SMALL, _RATIO = (
    2**26,
    500,
)  # bytes, and how far numbers may be compressed; a few bytes may claim to be terabytes
_LEVELS = {3: (None, 1, 2), 4: (1, 2, 3)}  # of labels: where individual, part and coordinate stand


def read_pose_h5(path: Path) -> tuple[Pose, ...]:
    """The poses of all individuals in an HDF5 file. Raises `UserError` for what is no pose file that can be read."""
    try:
        with h5py.File(path, "r") as file:
            if "tracks" in file and "node_names" in file:
                return _sleap(path, file)
            return _pandas(path, file)
    except OSError as error:
        if not Path(path).is_file():
            raise UserError(
                f"{path}: cannot be read ({error.strerror or 'there is no such file'})"
            ) from None
        size = Path(path).stat().st_size
        what = (
            "an empty file"
            if size == 0
            else f"{size} bytes that are not HDF5, or only a part of it"
        )
        raise UserError(
            f"{path}: expected a pose file in HDF5, found {what}; copy or export it again"
        ) from None
    except _DAMAGE as error:
        what = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path}: a damaged or unusual pose file ({what}); export it again, or as CSV"
        ) from error


def _pandas(path: Path, file: h5py.File) -> tuple[Pose, ...]:
    groups: dict[str, h5py.Group] = {}
    file.visititems(
        lambda name, item: groups.update({name: item}) if "pandas_type" in item.attrs else None
    )
    tables = {n: g for n, g in groups.items() if "axis0_level0" in g or "table" in g}
    if "df_with_missing" in tables:  # DeepLabCut's own name
        tables = {"df_with_missing": tables["df_with_missing"]}
    if len(tables) != 1:
        found = (
            f"{len(tables)} tables ({', '.join(tables)})"
            if tables
            else ", ".join(file) or "nothing"
        )
        raise UserError(
            f"{path}: expected one table of DeepLabCut or the tracks of a SLEAP analysis file, found {found}; "
            f"export the pose as CSV"
        )
    group = next(iter(tables.values()))
    labels, values, frames = (_stored_as_table if "table" in group else _stored_fixed)(path, group)
    columns, kept = [], []
    for i, label in enumerate(labels):
        if len(label) not in _LEVELS:
            raise UserError(
                f"{path}: expected column labels of 3 or 4 levels (scorer, bodyparts, coords), found {label}"
            )
        who, part, word = _LEVELS[len(label)]
        kind = coordinate(label[word])
        if kind:
            columns.append(Column(None if who is None else label[who], label[part], kind))
            kept.append(i)
    values = values[:, kept]
    notes: list[str] = []
    if frames is not None:
        values, notes = by_frame(path, frames, values)
    return to_poses(path, columns, values, notes)


def _stored_as_table(
    path: Path, group: h5py.Group
) -> tuple[list[tuple[str, ...]], np.ndarray, np.ndarray | None]:
    table = group["table"]
    labels: list[tuple[str, ...]] = []
    blocks = []
    refuse_bomb(table)
    for name in table.dtype.names or ():
        if name.startswith("values_block_"):
            labels += _labels(path, table.attrs[f"{name}_kind"])
            blocks.append(np.asarray(table[name], np.float64))
    order = {
        label: i for i, label in enumerate(_labels(path, group.attrs["non_index_axes"], axes=True))
    }
    values = (
        np.concatenate([b.reshape(len(table), -1) for b in blocks], axis=1)
        if blocks
        else np.empty((0, 0))
    )
    if len(order) != len(labels) or values.shape[1] != len(labels):
        raise UserError(
            f"{path}: {len(labels)} column labels for {values.shape[1]} columns; export the pose as CSV"
        )
    sort = sorted(range(len(labels)), key=lambda i: order.get(labels[i], 0))
    frames = np.asarray(table["index"]) if "index" in (table.dtype.names or ()) else None
    return [labels[i] for i in sort], values[:, sort], _as_frames(frames)


def _stored_fixed(
    path: Path, group: h5py.Group
) -> tuple[list[tuple[str, ...]], np.ndarray, np.ndarray | None]:
    labels = _levels(path, group, "axis0")
    values: np.ndarray | None = None
    for block in range(int(group.attrs["nblocks"])):
        numbers = group[f"block{block}_values"]
        if numbers.dtype.kind not in "fiu":
            continue
        numbers = stored(numbers, np.float64)
        if values is None:
            values = np.full((len(numbers), len(labels)), np.nan)
        at = {label: i for i, label in enumerate(labels)}
        values[:, [at[label] for label in _levels(path, group, f"block{block}_items")]] = numbers
    frames = stored(group["axis1"]) if "axis1" in group else None
    return labels, np.empty((0, len(labels))) if values is None else values, _as_frames(frames)


def _levels(path: Path, group: h5py.Group, axis: str) -> list[tuple[str, ...]]:
    columns = []
    for level in range(int(group.attrs[f"{axis}_nlevels"])):
        words = group[f"{axis}_level{level}"]
        if words.dtype.kind != "S":
            raise UserError(
                f"{path}: its column labels are not plain text ({words.dtype}); export the pose as CSV"
            )
        texts = [w.decode("utf-8", "replace") for w in stored(words)]
        columns.append([texts[i] for i in stored(group[f"{axis}_label{level}"])])
    return list(zip(*columns, strict=True))


def _as_frames(index: np.ndarray | None) -> np.ndarray | None:
    return index.astype(np.int64) if index is not None and index.dtype.kind in "iu" else None


def _labels(path: Path, attribute: Any, axes: bool = False) -> list[tuple[str, ...]]:
    """The labels that pandas keeps in an attribute: a list of tuples, or `[(axis, labels)]`."""
    try:
        found = _literal(bytes(attribute))
        if axes:
            found = found[0][1]
        if not all(isinstance(word, str | int) for label in found for word in label):
            raise ValueError(
                "something that is no label"
            )  # lists within lists may be endless when written out
        return [tuple(map(str, label)) for label in found]
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{path}: its column labels are stored in a way that is not read, for safety ({error}); "
            f"export the pose as CSV"
        ) from None


def _literal(pickled: bytes) -> Any:
    """The plain value in a pickle. Raises `ValueError` for any opcode that could name, load or call something."""
    try:
        return _plain(pickled)
    except (LookupError, TypeError, AttributeError):
        raise ValueError("a broken pickle") from None


def _plain(pickled: bytes) -> Any:
    mark = object()
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        at = max((i for i, item in enumerate(stack) if item is mark), default=-1)
        if at < 0:
            raise ValueError("a broken pickle")
        items = stack[at + 1 :]
        del stack[at:]
        return items

    value: Any
    for opcode, value, _ in pickletools.genops(pickled):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(mark)
            case (
                "UNICODE"
                | "BINUNICODE"
                | "SHORT_BINUNICODE"
                | "STRING"
                | "BINSTRING"
                | "SHORT_BINSTRING"
            ):
                stack.append(value)
            case "INT" | "LONG" | "BININT" | "BININT1" | "BININT2" | "LONG1":
                stack.append(value)
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode.name == "NEWTRUE")
            case "LIST" | "EMPTY_LIST":
                stack.append(since_mark() if opcode.name == "LIST" else [])
            case "TUPLE" | "EMPTY_TUPLE":
                stack.append(tuple(since_mark()) if opcode.name == "TUPLE" else ())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                n = int(opcode.name[-1])
                stack[-n:] = [tuple(stack[-n:])]
            case "DICT" | "EMPTY_DICT":
                items = since_mark() if opcode.name == "DICT" else []
                stack.append(dict(zip(items[::2], items[1::2], strict=True)))
            case "SETITEM":
                item, key = stack.pop(), stack.pop()
                stack[-1][key] = item
            case "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            case "APPENDS":
                items = since_mark()
                stack[-1].extend(items)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[value] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[value])
            case "STOP":
                return stack.pop()
            case name:
                raise ValueError(f"pickle opcode {name}")
    raise ValueError("a broken pickle")


def _sleap(path: Path, file: h5py.File) -> tuple[Pose, ...]:
    """SLEAP's analysis file: tracks `(track, xy, node, frame)`, or `(frame, node, xy, track)`."""
    names = [_text(n) for n in stored(file["node_names"])]
    tracks = stored(file["tracks"], np.float64)
    individuals = [_text(n) for n in stored(file["track_names"])] if "track_names" in file else []
    scores = stored(file["point_scores"], np.float64) if "point_scores" in file else None
    shape = tracks.shape
    if tracks.ndim != 4 or 0 in shape:
        raise UserError(
            f"{path}: expected SLEAP tracks of 4 dimensions, found {shape}; export the analysis file again"
        )
    dims = _dims(file["tracks"])
    as_saved = shape[1:3] == (2, len(names))
    transposed = shape[1:3] == (len(names), 2)
    if dims is not None:
        as_saved, transposed = dims[0] == "track", dims[0] == "frame"
    elif as_saved and transposed and individuals:  # two nodes: only the number of tracks can tell
        as_saved = shape[0] == len(individuals)
    if not as_saved and not transposed:
        raise UserError(
            f"{path}: expected SLEAP tracks (track, 2, {len(names)}, frame), found {shape}; export the file again"
        )
    if not as_saved:
        tracks = tracks.transpose(3, 2, 1, 0)
        scores = None if scores is None else scores.transpose(2, 1, 0)
    return tuple(
        tracked(
            names,
            track.transpose(2, 1, 0),
            None if scores is None else scores[i].T,
            individual=individuals[i] if i < len(individuals) else f"track_{i}",
            source=path,
        )
        for i, track in enumerate(tracks)
    )


def stored(dataset: h5py.Dataset, dtype: type | None = None) -> np.ndarray:
    """All of a dataset. Raises `ValueError` for one that claims to hold far more than the file has bytes for."""
    refuse_bomb(dataset)
    return np.asarray(dataset[()], dtype)


def refuse_bomb(dataset: h5py.Dataset) -> None:
    claimed = dataset.size * max(dataset.dtype.itemsize, 8)
    if claimed > max(_SMALL, _RATIO * dataset.id.get_storage_size()):
        raise ValueError(f"{dataset.name} claims {claimed:.1e} bytes, more than the file can hold")


def _dims(dataset: h5py.Dataset) -> list[str] | None:
    """The names of the dimensions, which newer exports carry: track or frame comes first."""
    if "dims" not in dataset.attrs:
        return None
    try:
        words = parse_json(_text(dataset.attrs["dims"]), dataset.name)
    except UserError:
        return None
    return [str(w).casefold().rstrip("s") for w in words]


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
