"""What raters and models say about videos, read from their files.

A rater is a folder (or one file) of label files in any format, a folder of predictions, a run, or
`FILE.npz:RATER`: a NumPy archive with one array of class ids `(time,)` under the key
`<video>|<rater>`, -1 where there is no label.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.files.naming import find_videos
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Events
from dolorim.labels.label_files import LabelFile
from dolorim.labels.label_folder import (
    VideoNames,
    label_paths,
    names_of,
    read_label_files,
    video_name,
)
from dolorim.labels.predicted_files import PREDICTIONS
from dolorim.labels.prediction_files import read_predictions, which_counts

T = TypeVar("T")


@dataclass
class Ratings:
    """What one rater says, by video.

    `whole` holds labels `(n_frames,)` of whole videos, `time_s` the times of their frames if known,
    and `files` label files that have not been assigned to frames yet. `paths` are label files that
    remain to be read.
    """

    name: str
    whole: dict[str, np.ndarray] = field(default_factory=dict)
    time_s: dict[str, np.ndarray] = field(default_factory=dict)
    files: dict[str, list[LabelFile | Events]] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_raters(places: Sequence[str], ethogram: Ethogram, config: DataConfig) -> list[Ratings]:
    """Read all that each rater says. A file that cannot be read is noted in `failed`.

    A label file may name its video inside, or carry its name: the name that another rater uses for
    the video decides. Raises `UserError` if nothing of a rater can be read.
    """
    # Predictions tell their videos at once; label files only together with those of other raters.
    raters = [_open_rater(place, ethogram) for place in places]
    names: dict[Path, VideoNames] = {}
    for rater in raters:
        names |= {path: names_of(path, config) for path in rater.paths}
    videos: dict[Path, str] = {}
    if config.videos is not None:
        videos = {path: path.stem for path in find_videos([config.videos])}
    for rater in raters:
        if rater.paths:
            known = {name.casefold() for name in videos.values()}
            for other in raters:
                if other is not rater:
                    known |= _folded_names(other, names)
            _read_files(rater, names, known, videos, config, ethogram)
        _refuse_nothing_read(rater)
    # `Mouse1` and `mouse1` are one video, so all raters must spell it alike to be compared.
    spellings: dict[str, str] = {}
    for rater in raters:
        rater.whole = _spelled_alike(rater.whole, spellings)
        rater.time_s = _spelled_alike(rater.time_s, spellings)
        rater.files = _spelled_alike(rater.files, spellings)
    return raters


def _refuse_nothing_read(rater: Ratings) -> None:
    if rater.whole or rater.files:
        return
    reason = "no label file and no predictions in it"
    if rater.failed:
        _, reason = rater.failed[0]
    raise UserError(f"{rater.name}: nothing to compare ({reason})")


def _spelled_alike(table: dict[str, T], spellings: dict[str, str]) -> dict[str, T]:
    """The same table with each video under the spelling that came first.

    Letter case does not distinguish videos.
    """
    return {spellings.setdefault(name.casefold(), name): value for name, value in table.items()}


def _open_rater(place: str, ethogram: Ethogram) -> Ratings:
    """A rater's predictions, read, or the paths of the label files."""
    path, ratings = Path(place), Ratings(place)
    # A path may contain a colon, so an existing file is never taken for an archive and a rater.
    if not path.exists() and ".npz:" in place:
        return _read_archive(place, ethogram)
    if not path.exists():
        raise UserError(
            f"{place}: there is no such file or folder; name label files, predictions, or "
            f"FILE.npz:RATER"
        )
    if path.is_dir() and (path / "config.toml").exists():  # a run
        path = path / "predictions"
    predicted = _prediction_paths(path)
    if not predicted and path.exists():
        ratings.paths = label_paths(path)
    for file in predicted:
        try:
            _add_predictions(ratings, file, ethogram)
        except UserError as error:
            ratings.failed.append((file, str(error)))
    return ratings


def _prediction_paths(path: Path) -> list[Path]:
    """The files of predictions below a folder, or the file itself if it is one."""
    pattern = f"*{PREDICTIONS}"
    if path.is_dir():
        return sorted(path.rglob(pattern))
    if path.match(pattern):
        return [path]
    return []


def _folded_names(rater: Ratings, names: dict[Path, VideoNames]) -> set[str]:
    """The videos that a rater may have labeled, in lower case."""
    videos = [*rater.whole]
    for path in rater.paths:
        videos += [*names[path].inside, names[path].own]
    return {video.casefold() for video in videos}


def _read_files(
    rater: Ratings,
    names: dict[Path, VideoNames],
    known: set[str],
    videos: dict[Path, str],
    config: DataConfig,
    ethogram: Ethogram,
) -> None:
    """Read the label files of a rater; `known` are the videos that others name, in lower case."""
    meant: dict[str, str] = {}
    for path in rater.paths:
        # The names that the files turn out to mean, each in one spelling.
        for name in names[path].meant(known):
            meant[_key(name).casefold()] = name
    # Without videos, the names in the files stand for the recordings.
    recordings = videos or {Path(name): name for name in meant.values()}
    folder = read_label_files(rater.paths, recordings, config, ethogram)
    rater.failed += folder.failures
    rater.notes += [str(finding) for finding in folder.findings]
    for name, files in folder.files.items():
        rater.files.setdefault(_key(name), []).extend(files)


def _add_predictions(ratings: Ratings, file: Path, ethogram: Ethogram) -> None:
    predictions = read_predictions(file)
    if predictions.classes != ethogram.classes:
        raise UserError(
            f"{file}: expected the classes {', '.join(ethogram.classes)}, found "
            f"{', '.join(predictions.classes)}; give --classes"
        )
    ratings.notes += which_counts(file.parent, predictions.name).notes
    key = _key(predictions.name)
    if key in ratings.whole:
        raise UserError(
            f"{file}: a second prediction of the same video; name the folder that counts"
        )
    ratings.whole[key], ratings.time_s[key] = predictions.labels, predictions.time_s


def _read_archive(place: str, ethogram: Ethogram) -> Ratings:
    """One rater of a NumPy archive, `FILE.npz:RATER`, whose arrays are called `VIDEO|RATER`."""
    path, _, rater = place.rpartition(":")
    ratings, names = Ratings(rater), set()
    try:
        # Without pickles: an archive from elsewhere must not run code.
        with np.load(path, allow_pickle=False) as archive:
            for key in archive.files:
                video, _, name = key.rpartition("|")
                names.add(name)
                if name == rater:
                    ratings.whole[_key(video)] = ethogram.merge(archive[key])
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a NumPy archive of arrays ({error})") from None
    except KeyError as error:
        raise UserError(
            f"{path}: class id {error} is not in the ethogram; give --classes"
        ) from None
    if not ratings.whole:
        raise UserError(
            f"{path}: no rater is called {rater!r}; there are {', '.join(sorted(names))}"
        )
    return ratings


def _key(name: str) -> str:
    """The name by which raters know a video: no extension, no suffix of our own true labels."""
    return video_name(name.removesuffix(".truth"))
