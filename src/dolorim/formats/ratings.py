"""What raters and models say about the same videos, laid side by side.

A rater is a folder (or one file) of label files, a folder of predictions, a run, or `FILE.npz:RATER`: a NumPy archive
with one array of class ids `(time,)` under the key `<video>|<rater>`, -1 where there is no label.
"""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.ethogram import UNLABELED, Ethogram
from dolorim.core.recording import TrialLabels, place_trials
from dolorim.files.naming import VIDEO_SUFFIXES
from dolorim.formats.labels import LabelFile, parse_name, read_labels
from dolorim.formats.predictions import read_predictions


@dataclass
class Ratings:
    """By video, labels of the whole of it with the times of its frames if known, or label files of its trials."""

    name: str
    whole: dict[str, np.ndarray] = field(default_factory=dict)
    time_s: dict[str, np.ndarray] = field(default_factory=dict)
    files: dict[str, list[LabelFile]] = field(default_factory=lambda: defaultdict(list))
    failed: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Rated:
    """One video as all raters see it: `labels` `(raters, time)`, -1 for all where one of them says nothing."""

    video: str
    labels: np.ndarray
    borders: tuple[tuple[int, int], ...]
    time_s: np.ndarray | None


def read_ratings(place: str, ethogram: Ethogram) -> Ratings:
    """Read all that a rater says. What cannot be read is noted in `failed`; raises `UserError` where nothing can."""
    path, found = Path(place), Ratings(place)
    if not path.exists() and ".npz:" in place:
        return _read_archive(place, ethogram)
    if path.is_dir():
        path = path / "predictions" if (path / "config.toml").exists() else path
        files = sorted(p for p in path.rglob("*") if p.suffix.casefold() in (".csv", ".tsv", ".txt"))
        predicted = [p for p in files if p.name.endswith(".predictions.csv")]
        files = predicted or [p for p in files if not p.name.startswith(".")]
    elif path.is_file():
        files = [path]
    else:
        raise UserError(f"{place}: there is no such file or folder; name label files, predictions, or FILE.npz:RATER")
    for file in files:
        try:
            if file.name.endswith(".predictions.csv"):
                _add_predictions(found, file, ethogram)
            else:
                labels = read_labels(file, ethogram)
                found.files[_video_key(parse_name(file)[0])].append(labels)
        except UserError as error:
            found.failed.append((file, str(error)))
    if not found.whole and not found.files:
        reason = found.failed[0][1] if found.failed else "no label file and no predictions in it"
        raise UserError(f"{place}: nothing to compare ({reason})")
    return found


def lay_side_by_side(raters: Sequence[Ratings], config: DataConfig) -> tuple[list[Rated], list[str]]:
    """The videos that all raters have, and notes on what was left out. Raises `UserError` where they share none.

    Label files of trials are laid on the video where somebody has labels for all of it (and so its frame count), by the
    rule of `place_trials`; else they are compared trial by trial.
    """
    videos = [set(r.whole) | set(r.files) for r in raters]
    shared = set.intersection(*videos)
    if not shared:
        some = "; ".join(f"{r.name}: {', '.join(sorted(v)[:3])}" for r, v in zip(raters, videos, strict=True))
        raise UserError(f"the raters share no video ({some}); name files after their videos, alike for all")
    notes = [
        f"{r.name}: {video} left out, as not all have it"
        for r, v in zip(raters, videos, strict=True)
        for video in sorted(v - shared)
    ]
    rated = []
    for video in sorted(shared):
        lengths = [len(r.whole[video]) for r in raters if video in r.whole]
        everyone = [f for r in raters for f in r.files.get(video, ())]
        known = [*lengths, *(int(f.frames[-1]) + 1 for f in everyone if f.trial is None and f.frames[0] == 0)]
        at_least = max(known, default=None)  # frames that the video has
        trials = {}
        for f in everyone:
            found = f.counted_from_zero(config.trial_length, config.label_context, at_least, config.label_counts_from)
            trials[id(f)] = found
            if found.doubt:
                notes.append(f"{f.path}: {found.doubt}; taken to count from {found.counted_from}")
        mine = [[trials[id(f)] for f in r.files.get(video, ())] for r in raters]
        if lengths:
            n = min(lengths)
            borders: tuple[tuple[int, int], ...] = ((0, n),)
            if max(lengths) > n:
                notes.append(f"{video}: lengths of {n} to {max(lengths)} frames; the first {n} are compared")
            rows = []
            for r, files in zip(raters, mine, strict=True):
                if video in r.whole:
                    rows.append(r.whole[video][:n])
                    continue
                layout = place_trials(
                    files, n, config.trial_layout, length=config.trial_length, context=config.label_context
                )
                notes += layout.skipped
                borders = tuple((t.start, t.stop) for t in layout.trials) or borders
                rows.append(layout.labels)
            labels = np.stack(rows)
        else:
            labels, borders = _trial_by_trial(mine)
        labels = np.where((labels >= 0).all(0), labels, UNLABELED).astype(np.int16)
        times = next((r.time_s[video][: labels.shape[1]] for r in raters if video in r.time_s), None)
        rated.append(Rated(video, labels, borders, times))
    return rated, notes


def _trial_by_trial(raters: Sequence[Sequence[TrialLabels]]) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """Trials in number order, one after the other: labels `(raters, time)` and the trials' borders."""
    numbers = sorted({t.number or 0 for trials in raters for t in trials})
    parts, borders, start = [], [], 0
    for number in numbers:
        mine = [[t for t in trials if (t.number or 0) == number] for trials in raters]
        span = max(t.span for trials in mine for t in trials)
        part = np.full((len(raters), span), UNLABELED, np.int16)
        for row, trials in zip(part, mine, strict=True):
            for t in trials:
                row[t.frames] = t.labels
        parts.append(part)
        borders.append((start, start + span))
        start += span
    return np.concatenate(parts, axis=1), tuple(borders)


def _add_predictions(found: Ratings, file: Path, ethogram: Ethogram) -> None:
    predictions = read_predictions(file)
    if predictions.classes != ethogram.classes:
        raise UserError(
            f"{file}: expected the classes {', '.join(ethogram.classes)}, found {', '.join(predictions.classes)}; "
            f"give --classes"
        )
    key = _video_key(predictions.name)
    if key in found.whole:
        raise UserError(f"{file}: a second prediction of the same video; name the folder that counts")
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
                    found.whole[_video_key(video)] = ethogram.merge(table[key])
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a NumPy archive of arrays ({error})") from None
    except KeyError as error:
        raise UserError(f"{path}: class id {error} is not in the ethogram; give --classes") from None
    if not found.whole:
        raise UserError(f"{path}: no rater is called {rater!r}; there are {', '.join(sorted(others))}")
    return found


def _video_key(name: str) -> str:
    """A video's name without its extension: `a.mp4` and `a` are one video."""
    name = name.removesuffix(".truth")
    return next((name[: -len(s)] for s in VIDEO_SUFFIXES if name.casefold().endswith(s)), name)
