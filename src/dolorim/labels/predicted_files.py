"""The files that prediction writes for one video: where it is, and whether they were edited."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

PREDICTIONS, BOUTS = ".predictions.csv", ".bouts.csv"


def where_video_is(video: str, folder: Path) -> dict[str, str]:
    """The absolute path of a video, and its path relative to `folder`, for a `meta.json`."""
    absolute = Path(os.path.normpath(Path.cwd() / video))
    place = {"video_absolute": str(absolute)}
    with contextlib.suppress(ValueError):  # on another drive there is no relative path
        place["video_relative"] = Path(os.path.relpath(absolute, Path.cwd() / folder)).as_posix()
    return place


def video_of(meta: Mapping[str, Any], folder: Path, name: str) -> Path:
    """The video that a `meta.json` in `folder` is about, whatever the working directory.

    It is searched at its path relative to the json, at its absolute path, and beside the json.
    Version 0.1.0 wrote a path relative to the working directory of predict, so each folder above is
    tried as well. A video as large as the predicted one comes first. If there is none, the path as
    it was written.
    """
    existing = [path for path in _candidates(meta, folder, name) if path.is_file()]
    n_bytes = (meta.get("fingerprint") or {}).get("bytes")
    of_same_size = [p for p in existing if n_bytes is None or p.stat().st_size == n_bytes]
    as_written = Path(str(meta.get("video", name)))
    return [*of_same_size, *existing, as_written][0]


def _candidates(meta: Mapping[str, Any], folder: Path, name: str) -> Iterator[Path]:
    # Relative first: a copy of a whole study has videos of its own.
    if meta.get("video_relative"):
        yield folder / meta["video_relative"]
    if meta.get("video_absolute"):
        yield Path(meta["video_absolute"])
    written = str(meta.get("video", name))
    # Predicted on Windows: its paths are no paths elsewhere.
    if "\\" in written and "/" not in written:
        written = PureWindowsPath(written).as_posix()
    if Path(written).is_absolute():
        yield Path(written)
    yield folder / Path(written).name
    # Version 0.1.0 did not say which folder the path starts from.
    home = Path(os.path.normpath(Path.cwd() / folder))
    for above in (home, *home.parents):
        yield above / written
    yield Path(written)


def digests(folder: Path, stem: str) -> dict[str, str]:
    """SHA-256 of the two tables of labels, by suffix: `meta.json` keeps it, so that edits show."""
    return {suffix: _digest(folder / f"{stem}{suffix}") for suffix in (PREDICTIONS, BOUTS)}


def edited(meta: Mapping[str, Any], folder: Path, stem: str) -> dict[str, bool | None]:
    """Whether each of the two tables has changed since it was written; None if unknown."""
    known = meta.get("tables") or {}
    is_edited: dict[str, bool | None] = {}
    for suffix in (PREDICTIONS, BOUTS):
        path = folder / f"{stem}{suffix}"
        written = known.get(suffix)
        is_known = written is not None and path.is_file()
        is_edited[suffix] = _digest(path) != written if is_known else None
    return is_edited


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
