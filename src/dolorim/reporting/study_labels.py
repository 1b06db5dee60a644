"""The label files of a study as bouts in seconds, each with the recording, or the trial of it, that they are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.clock import edges_of
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.core.runs import runs
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Events
from dolorim.labels.label_files import LabelFile
from dolorim.labels.labelled import are_trials, clock_of, count_trial, read_label_files
from dolorim.labels.placing import place_labels
from dolorim.labels.predicted_files import BOUTS, PREDICTIONS
from dolorim.labels.prediction_files import read_bouts

_MILLISECONDS_HZ = 1000.0  # bouts in seconds need no frames: they are laid on milliseconds where nobody knows the rate


@dataclass(frozen=True)
class Piece:
    """A recording, or one trial of it: bouts `(bouts,)` in seconds from its beginning, and how long it lasts."""

    file: Path
    video: str
    trial: str
    start_s: np.ndarray
    stop_s: np.ndarray
    labels: np.ndarray
    length_s: float


@dataclass
class Pieces:
    """What was read, what was said about it, and what could not be read.

    `open_shares` holds, for each recording whose files list bouts, the share of its frames that are in none of them.
    """

    pieces: list[Piece] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    failures: list[tuple[Path, str]] = field(default_factory=list)
    open_shares: dict[str, float] = field(default_factory=dict)


def predicted_stems(folder: Path) -> list[str]:
    """The videos of which a folder has predictions: all frames, or bouts and what is known about them."""
    names = {path.name for path in folder.iterdir()}
    frames = {n.removesuffix(PREDICTIONS) for n in names if n.endswith(PREDICTIONS)}
    bouts = {n.removesuffix(BOUTS) for n in names if n.endswith(BOUTS)}
    return sorted(frames | {stem for stem in bouts if f"{stem}.meta.json" in names})


def predicted_pieces(folder: Path, stems: Sequence[str]) -> tuple[Pieces, tuple[str, ...]]:
    """The predictions of these videos, and the names of their classes. What cannot be read is among the failures."""
    found = Pieces()
    classes: tuple[str, ...] = ()
    for stem in stems:
        path = folder / f"{stem}{BOUTS}"
        try:
            bouts = read_bouts(folder, stem)
            found.findings += [Finding("warning", *note.split(": ", 1)) for note in bouts.notes]
            classes = classes or bouts.classes
            if bouts.classes != classes:
                here = ", ".join(bouts.classes)
                raise UserError(f"{path}: expected the classes {', '.join(classes)}, found {here}")
        except UserError as error:
            found.failures.append((path, str(error)))
            continue
        piece = Piece(path, stem, "", bouts.start_s, bouts.stop_s, bouts.labels, bouts.length_s)
        found.pieces.append(piece)
    return found, classes


def label_pieces(
    paths: Sequence[Path],
    recordings: Mapping[Path, str],
    config: DataConfig,
    ethogram: Ethogram,
    rate_hz: float | None,
    times_of: Callable[[Path], np.ndarray] | None = None,
    streams: Mapping[Path, str] | None = None,
) -> Pieces:
    """The label files of these recordings, by the times of their videos (`times_of`), else by what the files say.

    `streams` says which subject counts for a recording, before the settings do.

    Without videos, each file of a trial is a piece of its own, and what labels whole frames needs `rate_hz`. What
    cannot be read is among the failures.
    """
    read = read_label_files(paths, dict(recordings), config, ethogram, streams)
    found = Pieces([], read.findings, read.failures)
    videos = {name: file for file, name in recordings.items()}
    for name, files in read.files.items():
        try:
            if times_of is not None:
                found.pieces += _on_video(
                    name, files, times_of(videos[name]), config, ethogram, found
                )
            elif are_trials(files):
                found.pieces += [
                    _trial(name, f, rate_hz, config, found)
                    for f in files
                    if isinstance(f, LabelFile)
                ]
            else:
                found.pieces += _alone(name, files, rate_hz, config, ethogram, found)
        except UserError as error:
            found.failures.append((files[0].path, str(error)))
    return found


def _alone(
    name: str,
    files: Sequence[LabelFile | Events],
    rate_hz: float | None,
    config: DataConfig,
    ethogram: Ethogram,
    found: Pieces,
) -> list[Piece]:
    clock = clock_of(files, rate_hz, _MILLISECONDS_HZ)
    if clock.rate_hz is None:
        raise _no_rate(files[0].path)
    return _on_video(name, files, clock.time_s, config, ethogram, found)


def _on_video(
    name: str,
    files: Sequence[LabelFile | Events],
    time_s: np.ndarray,
    config: DataConfig,
    ethogram: Ethogram,
    found: Pieces,
) -> list[Piece]:
    """The labels on the frames of a video; those of trials are a piece each."""
    placement = place_labels(files, time_s, config, ethogram)
    if placement.lists_bouts:
        found.open_shares[name] = placement.open_share
    found.findings += placement.findings
    found.findings += [Finding("warning", name, reason, "left out") for reason in placement.skipped]
    edges = edges_of(time_s)
    if not are_trials(files):
        return [_piece(files[0].path, name, "", placement.labels, edges)]
    by_number = {f.trial: f.path for f in files if isinstance(f, LabelFile)}
    return [
        _piece(
            by_number[t.number],
            name,
            str(t.number),
            placement.labels[t.start : t.stop],
            edges[t.start :],
        )
        for t in placement.trials
    ]


def _trial(
    name: str, file: LabelFile, rate_hz: float | None, config: DataConfig, found: Pieces
) -> Piece:
    if rate_hz is None:
        raise _no_rate(file.path)
    trial = count_trial(file, config)
    if trial.doubt:
        found.findings.append(
            Finding("warning", str(file.path), trial.doubt, "settle it with --label_counts_from")
        )
    labels = np.full(trial.span, -1, np.int16)
    labels[trial.frames] = trial.labels
    return _piece(file.path, name, str(file.trial), labels, np.arange(len(labels) + 1) / rate_hz)


def _piece(path: Path, name: str, trial: str, labels: np.ndarray, edges_s: np.ndarray) -> Piece:
    starts, stops, values = runs(labels)
    here = values >= 0
    edges_s = edges_s - edges_s[0]
    start_s, stop_s = edges_s[starts[here]], edges_s[stops[here]]
    return Piece(
        path,
        name,
        trial,
        start_s,
        stop_s,
        values[here].astype(np.int64),
        float(edges_s[len(labels)]),
    )


def _no_rate(path: Path) -> UserError:
    return UserError(
        f"{path}: labels frames, and nobody says how many of them a second has; give --rate_hz, or the videos with "
        f"--videos"
    )
