"""Files in folders, and which recording a written name means."""

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
from dolorim.files.recordings import InChamber, R, Recorded, file_of

VIDEO_SUFFIXES = frozenset(
    (
        *(".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".mpeg", ".wmv", ".webm", ".flv"),
        *(".ts", ".mts", ".m2ts", ".mjpeg", ".mjpg", ".h264", ".264", ".hevc", ".h265"),
        *(".ogv", ".3gp"),
    )
)
NOTES = ".notes.csv"  # what people have written about bouts, beside their labels
# What dolorim itself writes about a video. These are never read as labels or poses.
OUR_SUFFIXES = (
    ".predictions.csv",
    ".bouts.csv",
    ".meta.json",
    ".truth.csv",
    ".keypoints.csv",
    ".overlay.mp4",
    NOTES,
)
_TABLES = (".csv", ".tsv", ".txt")


def find_videos(places: Iterable[Path]) -> list[Path]:
    """Video files among the given files and below the given folders, sorted, without hidden files.

    A file that is named counts as a video even if it does not exist: opening it will say so.
    Raises `UserError` for a folder that does not exist or has no video.
    """
    videos: list[Path] = []
    for place in places:
        if place.is_file() or (is_video(place) and not place.exists()):
            videos.append(place)
            continue
        below = [p for p in files_below(place) if is_video(p)]
        if not below:
            looked_for = "*.mp4, *.avi, *.mov, *.mkv and the like"
            raise UserError(f"no video in this folder (looked for {looked_for})", where=place)
        videos += below
    return list(dict.fromkeys(videos))


def is_video(path: Path) -> bool:
    """Is this a video file, judging by its name?"""
    return path.suffix.casefold() in VIDEO_SUFFIXES


def files_below(folder: Path) -> list[Path]:
    """All files below a folder, sorted folder by folder, without hidden files and folders.

    Raises `UserError` if the folder does not exist, or one below it cannot be read.
    """
    if not folder.is_dir():
        raise UserError("there is no such folder", where=folder)
    errors: list[OSError] = []
    files: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=errors.append):
        # `os.walk` goes into the folders that are left in this list, in its order.
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        files += [Path(parent, n) for n in sorted(names) if not n.startswith(".")]
    if errors:
        raise UserError(
            f"cannot be read ({errors[0].strerror})",
            where=errors[0].filename,
            remedy="ask for permission",
        )
    return files


def inside(folder: Path, name: str) -> Path | None:
    """The folder's entry of this name (given in lower case) in any letter case, if there is one."""
    if not folder.is_dir():
        return None
    return next((p for p in sorted(folder.iterdir()) if p.name.casefold() == name), None)


def folded(text: str) -> str:
    """A name in lower case with accents stored in one way (NFC): systems differ in both."""
    return unicodedata.normalize("NFC", text).casefold().strip()


def spellings(name: str) -> Iterator[str]:
    """What a written name may mean, folded, most literal first: as it is, then without suffixes."""
    name = folded(name)
    yield name
    for suffix in (*OUR_SUFFIXES, *_TABLES):
        if name.endswith(suffix):
            name = name.removesuffix(suffix)
            yield name
    suffix = PurePosixPath(name).suffix
    if suffix in VIDEO_SUFFIXES:
        yield name.removesuffix(suffix)


def by_name(recordings: Mapping[R, str]) -> dict[str, list[R]]:
    """Recordings by what they may be called: their own names, and those of their files.

    The name of a video with chambers means all of them.
    """
    names: dict[str, list[R]] = defaultdict(list)
    for recording, name in recordings.items():
        possible_names = [name, *_other_names(recording)]
        for possible_name in dict.fromkeys(map(folded, possible_names)):
            names[possible_name].append(recording)
    return names


def _other_names(recording: Recorded) -> list[str]:
    """What a recording may be called apart from its own name."""
    if not isinstance(recording, InChamber):
        return [recording.name]
    # In a label file's name, an underscore separates the chamber: prediction_cage_A1_2.csv.
    videos = (recording.file.stem, recording.file.name)
    own = [f"{video}{mark}{recording.chamber.name}" for video in videos for mark in "._"]
    return [*own, *videos]


def named(name: str, names: Mapping[str, Sequence[R]]) -> list[R]:
    """The recordings that a person may mean by a name; several if the name is ambiguous.

    The name may be in any letter case, with or without its suffix, with or without folders in front
    of it, separated as on Windows or elsewhere.
    """
    *folders, last = re.split(r"[\\/]", name.strip())
    for spelling in spellings(last):
        if spelling in names:
            return _in_folders(list(names[spelling]), [folded(f) for f in folders])
    return []


def _in_folders(matches: list[R], folders: list[str]) -> list[R]:
    """Of several recordings of one name, those that share most of the folders before it."""
    if len(matches) < 2 or not folders:
        return matches

    def count_shared(recording: R) -> int:
        parents = [folded(part) for part in file_of(recording).parent.parts]
        pairs = zip(reversed(folders), reversed(parents), strict=False)
        equal_pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)
        return len(list(equal_pairs))

    most = max(map(count_shared, matches))
    return [m for m in matches if count_shared(m) == most]


@contextlib.contextmanager
def noting(findings: list[Finding] | None, name: str) -> Iterator[None]:
    """Adds a user error to the findings; without findings, the error is raised."""
    try:
        yield
    except UserError as error:
        if findings is None:
            raise
        findings.append(Finding.from_error(error, name))
