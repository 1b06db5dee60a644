"""What raters and models say about the same videos, laid side by side.

A rater is a folder (or one file) of label files in any format, a folder of predictions, a run, or `FILE.npz:RATER`: a
NumPy archive with one array of class ids `(time,)` under the key `<video>|<rater>`, -1 where there is no label.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.files.naming import find_videos
from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.events import Events
from dolorim.labels.gaps import warn_of_gaps
from dolorim.labels.label_files import LabelFile
from dolorim.labels.labelled import (
    Names,
    are_trials,
    clock_of,
    count_trial,
    label_paths,
    names_of,
    read_label_files,
    video_name,
)
from dolorim.labels.placing import place_labels
from dolorim.labels.prediction_files import read_predictions
from dolorim.labels.trials import TrialLabels

T = TypeVar("T")
Borders = tuple[tuple[int, int], ...]


@dataclass
class Ratings:
    """By video, labels of the whole of it with the times of its frames if known, or label files."""

    name: str
    whole: dict[str, np.ndarray] = field(default_factory=dict)
    time_s: dict[str, np.ndarray] = field(default_factory=dict)
    files: dict[str, list[LabelFile | Events]] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Rated:
    """One video as all raters see it: `labels` `(raters, time)`, -1 for all where one of them says nothing."""

    video: str
    labels: np.ndarray
    borders: Borders
    time_s: np.ndarray | None


def read_raters(places: Sequence[str], ethogram: Ethogram, config: DataConfig) -> list[Ratings]:
    """Read all that each rater says. What cannot be read is noted in `failed`.

    A label file may name its video inside, or carry its name: what another rater calls that video decides. Raises
    `UserError` where nothing of a rater can be read.
    """
    raters = [_open(place, ethogram) for place in places]
    names = {path: names_of(path, config) for r in raters for path in r.paths}
    videos = {} if config.videos is None else {v: v.stem for v in find_videos([config.videos])}
    for rater in raters:
        others = {n.casefold() for r in raters if r is not rater for n in _names_of(r, names)}
        others |= {stem.casefold() for stem in videos.values()}
        if rater.paths:
            _read_files(rater, names, others, videos, config, ethogram)
        if not rater.whole and not rater.files:
            reason = (
                rater.failed[0][1] if rater.failed else "no label file and no predictions in it"
            )
            raise UserError(f"{rater.name}: nothing to compare ({reason})")
    spelled: dict[str, str] = {}
    for rater in raters:
        rater.whole = _spelled_alike(rater.whole, spelled)
        rater.time_s = _spelled_alike(rater.time_s, spelled)
        rater.files = _spelled_alike(rater.files, spelled)
    return raters


def _spelled_alike(table: dict[str, T], spelled: dict[str, str]) -> dict[str, T]:
    """The same table with each video under the spelling that came first: letter case tells no videos apart."""
    return {spelled.setdefault(name.casefold(), name): value for name, value in table.items()}


def _open(place: str, ethogram: Ethogram) -> Ratings:
    """A rater's predictions, read, or the paths of their label files."""
    path, found = Path(place), Ratings(place)
    if not path.exists() and ".npz:" in place:
        return _read_archive(place, ethogram)
    if not path.exists():
        raise UserError(
            f"{place}: there is no such file or folder; name label files, predictions, or FILE.npz:RATER"
        )
    if path.is_dir() and (path / "config.toml").exists():
        path = path / "predictions"
    pattern = "*.predictions.csv"
    predicted = (
        sorted(path.rglob(pattern)) if path.is_dir() else [path] if path.match(pattern) else []
    )
    if not predicted:
        found.paths = label_paths(path) if path.exists() else []
    for file in predicted:
        try:
            _add_predictions(found, file, ethogram)
        except UserError as error:
            found.failed.append((file, str(error)))
    return found


def _names_of(rater: Ratings, names: dict[Path, Names]) -> list[str]:
    return [*rater.whole, *(n for p in rater.paths for n in (*names[p].inside, names[p].own))]


def _read_files(
    rater: Ratings, names: dict[Path, Names], others: set[str], videos: dict[Path, str], config: DataConfig,
    ethogram: Ethogram,
) -> None:  # fmt: skip
    meant = {_key(n).casefold(): n for path in rater.paths for n in names[path].meant(others)}
    recordings = videos or {Path(name): name for name in meant.values()}
    read = read_label_files(rater.paths, recordings, config, ethogram)
    rater.failed += read.failures
    rater.notes += [str(finding) for finding in read.findings]
    for name, files in read.files.items():
        rater.files.setdefault(_key(name), []).extend(files)


def lay_side_by_side(
    raters: Sequence[Ratings],
    config: DataConfig,
    ethogram: Ethogram,
    rate_hz: float | None = None,
    times_of: Callable[[str], np.ndarray | None] = lambda video: None,
) -> tuple[list[Rated], list[str]]:
    """The videos that all raters have, and notes on what was left out. Raises `UserError` where they share none.

    Label files are laid on the frames of the video: at `times_of` a video if that is known, else at the times of
    somebody's predictions, else on as many frames as the files need, `rate_hz` or their own rate apart. Label files of
    trials alone, of which nobody knows the video, are compared trial by trial.
    """
    videos = [set(r.whole) | set(r.files) for r in raters]
    shared = set.intersection(*videos)
    if not shared:
        some = "; ".join(
            f"{r.name}: {', '.join(sorted(v)[:3])}" for r, v in zip(raters, videos, strict=True)
        )
        raise UserError(
            f"the raters share no video ({some}); name files after their videos, alike for all"
        )
    notes = [note for r in raters for note in r.notes]
    notes += [
        f"{r.name}: {video} left out, as not all have it"
        for r, v in zip(raters, videos, strict=True)
        for video in sorted(v - shared)
    ]
    rated: list[Rated] = []
    refused: list[UserError] = []
    open_shares: dict[str, float] = {}
    for video in sorted(shared):
        try:
            rated.append(
                _lay(video, raters, config, ethogram, rate_hz, times_of(video), notes, open_shares)
            )
        except UserError as error:
            refused.append(error)
            raters[0].failed.append((Path(video), str(error)))
    if not rated:
        raise refused[0]
    notes += [str(finding) for finding in warn_of_gaps(open_shares, config.label_gaps, ethogram)]
    return rated, notes


def _lay(
    video: str, raters: Sequence[Ratings], config: DataConfig, ethogram: Ethogram, rate_hz: float | None,
    time_s: np.ndarray | None, notes: list[str], open_shares: dict[str, float],
) -> Rated:  # fmt: skip
    known = [time_s, *(r.time_s.get(video) for r in raters)]
    time_s = next((t for t in known if t is not None), None)
    lengths = [len(r.whole[video]) for r in raters if video in r.whole]
    if lengths and max(lengths) > min(lengths):
        notes.append(
            f"{video}: lengths of {min(lengths)} to {max(lengths)} frames; the first {min(lengths)} count"
        )
    files = [f for r in raters for f in r.files.get(video, ())]
    if time_s is None and not lengths and are_trials(files):
        return _rated(video, *_trial_by_trial(raters, video, config, notes), None)
    on_frames, is_known = time_s, time_s is not None
    if on_frames is None:
        clock = clock_of([f for f in files if not are_trials([f])], rate_hz)
        n_frames, is_known = max(clock.n_frames, *lengths, 0), clock.rate_hz is not None
        on_frames = np.arange(n_frames) / (clock.rate_hz or rate_hz or 30.0)
    n = min([len(on_frames), *lengths])
    rows: list[np.ndarray] = []
    borders: Borders = ((0, n),)
    for rater in raters:
        if video in rater.whole:
            rows.append(rater.whole[video][:n])
            continue
        placement = place_labels(rater.files[video], on_frames, config, ethogram)
        notes += [*placement.skipped, *(str(finding) for finding in placement.findings)]
        if placement.lists_bouts:
            open_shares[f"{rater.name}: {video}"] = placement.open_share
        borders = (
            tuple((t.start, min(t.stop, n)) for t in placement.trials if t.start < n) or borders
        )
        rows.append(placement.labels[:n])
    return _rated(video, np.stack(rows), borders, on_frames[:n] if is_known else None)


def _rated(video: str, labels: np.ndarray, borders: Borders, time_s: np.ndarray | None) -> Rated:
    labels = np.where((labels >= 0).all(0), labels, UNLABELED).astype(np.int16)
    return Rated(video, labels, borders, time_s)


def _trial_by_trial(
    raters: Sequence[Ratings], video: str, config: DataConfig, notes: list[str]
) -> tuple[np.ndarray, Borders]:
    """Trials in number order, one after the other: labels `(raters, time)` and the trials' borders."""
    counted = [[_counted(f, config, notes) for f in r.files[video]] for r in raters]
    numbers = sorted({t.number or 0 for trials in counted for t in trials})
    parts, borders, start = [], [], 0
    for number in numbers:
        mine = [[t for t in trials if (t.number or 0) == number] for trials in counted]
        span = max(t.span for trials in mine for t in trials)
        part = np.full((len(raters), span), UNLABELED, np.int16)
        for row, trials in zip(part, mine, strict=True):
            for t in trials:
                row[t.frames] = t.labels
        parts.append(part)
        borders.append((start, start + span))
        start += span
    return np.concatenate(parts, axis=1), tuple(borders)


def _counted(file: LabelFile | Events, config: DataConfig, notes: list[str]) -> TrialLabels:
    assert isinstance(file, LabelFile)
    found = count_trial(file, config)
    if found.doubt:
        notes.append(f"{file.path}: {found.doubt}; taken to count from {found.counted_from}")
    return found


def _add_predictions(found: Ratings, file: Path, ethogram: Ethogram) -> None:
    predictions = read_predictions(file)
    if predictions.classes != ethogram.classes:
        raise UserError(
            f"{file}: expected the classes {', '.join(ethogram.classes)}, found {', '.join(predictions.classes)}; "
            f"give --classes"
        )
    key = _key(predictions.name)
    if key in found.whole:
        raise UserError(
            f"{file}: a second prediction of the same video; name the folder that counts"
        )
    found.whole[key], found.time_s[key] = predictions.labels, predictions.time_s


def _read_archive(place: str, ethogram: Ethogram) -> Ratings:
    path, _, rater = place.rpartition(":")
    found, others = Ratings(rater), set()
    try:
        with np.load(path, allow_pickle=False) as table:
            for key in table.files:
                video, _, name = key.rpartition("|")
                others.add(name)
                if name == rater:
                    found.whole[_key(video)] = ethogram.merge(table[key])
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a NumPy archive of arrays ({error})") from None
    except KeyError as error:
        raise UserError(
            f"{path}: class id {error} is not in the ethogram; give --classes"
        ) from None
    if not found.whole:
        raise UserError(
            f"{path}: no rater is called {rater!r}; there are {', '.join(sorted(others))}"
        )
    return found


def _key(name: str) -> str:
    """What raters know a video by: its name without extension, and without what we append to true labels."""
    return video_name(name.removesuffix(".truth"))
