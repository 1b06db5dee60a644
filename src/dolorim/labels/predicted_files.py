"""The files that prediction writes of one video: where the video is, and which of two tables counts for the labels."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

PREDICTIONS, BOUTS = ".predictions.csv", ".bouts.csv"


def where_video_is(video: str, folder: Path) -> dict[str, str]:
    """What `meta.json` says of the place of a video: its whole path, and the way to it from the folder of the json."""
    absolute = Path(os.path.normpath(Path.cwd() / video))
    found = {"video_absolute": str(absolute)}
    with contextlib.suppress(ValueError):  # on another drive there is no way from here
        found["video_relative"] = Path(os.path.relpath(absolute, Path.cwd() / folder)).as_posix()
    return found


def video_of(meta: Mapping[str, Any], folder: Path, name: str) -> Path:
    """The video that a `meta.json` in a folder is about, wherever this is called from.

    It is looked for where it was when it was predicted, on the way from the json, beside the json, and, since version
    0.1.0 wrote the path from the folder that predict ran in, from each folder above. One of the predicted file's size
    comes first. Where nothing is there, the path as it was written.
    """
    there = [p for p in _candidates(meta, folder, name) if p.is_file()]
    size = meta["fingerprint"].get("bytes") if isinstance(meta.get("fingerprint"), dict) else None
    same = [p for p in there if size is None or p.stat().st_size == size]
    return next(iter([*same, *there]), Path(str(meta.get("video", name))))


def _candidates(meta: Mapping[str, Any], folder: Path, name: str) -> Iterator[Path]:
    if isinstance(meta.get("video_absolute"), str):
        yield Path(meta["video_absolute"])
    if isinstance(meta.get("video_relative"), str):
        yield folder / meta["video_relative"]
    written = str(meta.get("video", name))
    if "\\" in written and "/" not in written:
        written = PureWindowsPath(written).as_posix()
    if Path(written).is_absolute():
        yield Path(written)
    yield folder / Path(written).name
    home = Path(os.path.normpath(Path.cwd() / folder))
    for above in (home, *home.parents):
        yield above / written
    yield Path(written)


def digests(folder: Path, stem: str) -> dict[str, str]:
    """What `meta.json` keeps of the two tables of labels, so that an edit of either is seen."""
    return {suffix: _digest(folder / f"{stem}{suffix}") for suffix in (PREDICTIONS, BOUTS)}


def edited(meta: Mapping[str, Any], folder: Path, stem: str) -> dict[str, bool | None]:
    """Has each of the two tables been changed since it was written? None where that is not known."""
    known = meta.get("tables")
    found: dict[str, bool | None] = {}
    for suffix in (PREDICTIONS, BOUTS):
        path = folder / f"{stem}{suffix}"
        before = known.get(suffix) if isinstance(known, dict) else None
        found[suffix] = _digest(path) != before if before is not None and path.is_file() else None
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
