"""Files in folders, and what their names say about what belongs together."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding

VIDEO_SUFFIXES = frozenset((
    ".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".mpeg", ".wmv", ".webm", ".flv", ".ts", ".mts", ".m2ts",
    ".mjpeg", ".mjpg", ".h264", ".264", ".hevc", ".h265", ".ogv", ".3gp",
))  # fmt: skip


def find_videos(places: Iterable[Path]) -> list[Path]:
    """Video files among the given files and below the given folders, sorted; hidden files are passed over.

    A file that is named is taken for a video, even one that is not there: whoever opens it will say so.
    """
    found: dict[Path, None] = {}
    for place in places:
        if place.is_file() or (place.suffix.casefold() in VIDEO_SUFFIXES and not place.exists()):
            found[place] = None
            continue
        here = [p for p in files_below(place) if is_video(p)]
        if not here:
            raise UserError(f"{place}: no video in this folder (looked for *.mp4, *.avi, *.mov, *.mkv and the like)")
        found.update(dict.fromkeys(here))
    return list(found)


def is_video(path: Path) -> bool:
    return path.suffix.casefold() in VIDEO_SUFFIXES


def files_below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    refused: list[OSError] = []
    found = []
    for parent, folders, names in os.walk(folder, onerror=refused.append):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        found += [Path(parent, n) for n in sorted(names) if not n.startswith(".")]
    if refused:
        raise UserError(f"{refused[0].filename}: cannot be read ({refused[0].strerror}); ask for permission")
    return found


def inside(folder: Path, name: str) -> Path | None:
    """The folder's entry of this name, letter case aside."""
    if not folder.is_dir():
        return None
    return next((p for p in sorted(folder.iterdir()) if p.name.casefold() == name), None)


def by_name(recordings: dict[Path, str]) -> dict[str, list[Path]]:
    names: dict[str, list[Path]] = defaultdict(list)
    for file, name in recordings.items():
        names[name.casefold()].append(file)
    return names


def named(name: str, names: dict[str, list[Path]]) -> list[Path]:
    """The videos that people mean by a name, written with or without its suffix."""
    name = name.casefold()
    suffix = Path(name).suffix
    return names.get(name) or (names.get(name.removesuffix(suffix), []) if suffix in VIDEO_SUFFIXES else [])


@contextlib.contextmanager
def noting(findings: list[Finding] | None, name: str) -> Iterator[None]:
    """A user's error becomes a finding, where findings are wanted."""
    try:
        yield
    except UserError as error:
        if findings is None:
            raise
        where, _, what = str(error).partition(": ")
        findings.append(Finding("error", where, what, name=name))
