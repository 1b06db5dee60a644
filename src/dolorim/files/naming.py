"""Files in folders, and what their names say about what belongs together."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding

VIDEO_SUFFIXES = frozenset((
    ".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".mpeg", ".wmv", ".webm", ".flv", ".ts", ".mts", ".m2ts",
    ".mjpeg", ".mjpg", ".h264", ".264", ".hevc", ".h265", ".ogv", ".3gp",
))  # fmt: skip
# What dolorim itself writes about a video: never a label file, never a pose.
OUR_SUFFIXES = (
    ".predictions.csv",
    ".bouts.csv",
    ".meta.json",
    ".truth.csv",
    ".keypoints.csv",
    ".overlay.mp4",
)
_TABLES = (".csv", ".tsv", ".txt")


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
            raise UserError(
                f"{place}: no video in this folder (looked for *.mp4, *.avi, *.mov, *.mkv and the like)"
            )
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
        raise UserError(
            f"{refused[0].filename}: cannot be read ({refused[0].strerror}); ask for permission"
        )
    return found


def inside(folder: Path, name: str) -> Path | None:
    """The folder's entry of this name, letter case aside."""
    if not folder.is_dir():
        return None
    return next((p for p in sorted(folder.iterdir()) if p.name.casefold() == name), None)


def folded(text: str) -> str:
    """A name without what people and computers write differently: letter case, and how accents are stored."""
    return unicodedata.normalize("NFC", text).casefold().strip()


def spellings(name: str) -> Iterator[str]:
    """What a written name may mean, folded, the most literal first: as it stands, then without its suffixes."""
    name = folded(name)
    yield name
    for suffix in (*OUR_SUFFIXES, *_TABLES):
        if name.endswith(suffix):
            name = name.removesuffix(suffix)
            yield name
    suffix = PurePosixPath(name).suffix
    if suffix in VIDEO_SUFFIXES:
        yield name.removesuffix(suffix)


def by_name(recordings: Mapping[Path, str]) -> dict[str, list[Path]]:
    """Recordings by what they may be called: their names, and those of their files."""
    names: dict[str, list[Path]] = defaultdict(list)
    for file, name in recordings.items():
        for known in dict.fromkeys((folded(name), folded(file.name))):
            names[known].append(file)
    return names


def named(name: str, names: Mapping[str, Sequence[Path]]) -> list[Path]:
    """The recordings that people mean by a name: in any letter case, with or without its suffix, with or without
    folders in front as Windows or others write them. Several where the name leaves a doubt."""
    *folders, last = re.split(r"[\\/]", name.strip())
    for known in spellings(last):
        if known in names:
            return _in_folders(list(names[known]), [folded(f) for f in folders])
    return []


def _in_folders(matches: list[Path], folders: list[str]) -> list[Path]:
    """Of several files of one name, those that share most of the folders in front of it."""
    if len(matches) < 2 or not folders:
        return matches

    def shared(file: Path) -> int:
        pairs = zip(
            reversed(folders), reversed([folded(f) for f in file.parent.parts]), strict=False
        )
        return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))

    most = max(map(shared, matches))
    return [m for m in matches if shared(m) == most]


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
