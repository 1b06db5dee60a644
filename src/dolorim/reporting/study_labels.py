"""The labels of a study as bouts in seconds, by recording or by trial of a recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.clock import edges_of
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.core.runs import runs
from dolorim.files.recordings import Recorded, file_of
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Events
from dolorim.labels.label_files import LabelFile
from dolorim.labels.label_folder import are_trials, frame_grid_of, read_label_files
from dolorim.labels.placing import count_without_video, place_labels
from dolorim.labels.predicted_files import BOUTS, PREDICTIONS
from dolorim.labels.prediction_files import meta_path, predicted_edges_s, read_bouts, read_meta

# Bouts in seconds need no frames: without a known rate, they are put on a grid of milliseconds.
_MILLISECONDS_HZ = 1000.0


@dataclass(frozen=True)
class Piece:
    """A recording, or one trial of it, which lasts `length_s`.

    The arrays are `(bouts,)`, in seconds from its beginning. `edges_s` gives the times at which its
    frames begin, with the end of the last one `(frames + 1,)`.
    """

    file: Path
    video: str
    trial: str
    start_s: np.ndarray
    stop_s: np.ndarray
    labels: np.ndarray
    length_s: float
    edges_s: Callable[[], np.ndarray]


@dataclass
class Pieces:
    """What was read, what a user should know about it, and what could not be read.

    `open_shares` holds, for each recording whose files list bouts, the share of its frames that are
    in none of them.
    """

    pieces: list[Piece] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    failures: list[tuple[Path, str]] = field(default_factory=list)
    open_shares: dict[str, float] = field(default_factory=dict)


def predicted_stems(folder: Path) -> list[str]:
    """The videos of which a folder has predictions: of all frames, or bouts with their metadata."""
    names = {path.name for path in folder.iterdir()}
    frames = {name.removesuffix(PREDICTIONS) for name in names if name.endswith(PREDICTIONS)}
    bouts = {name.removesuffix(BOUTS) for name in names if name.endswith(BOUTS)}
    # Bouts alone do not tell how long a recording lasts; the metadata do.
    return sorted(frames | {stem for stem in bouts if f"{stem}.meta.json" in names})


def predicted_pieces(folder: Path, stems: Sequence[str]) -> tuple[Pieces, tuple[str, ...]]:
    """The predictions of these videos, and the names of their classes.

    What cannot be read is among the failures.
    """
    read = Pieces()
    classes: tuple[str, ...] = ()
    for stem in stems:
        path = folder / f"{stem}{BOUTS}"
        try:
            if read_meta(meta_path(folder, stem)).get("empty"):
                what = "nobody was in this chamber; it is left out"
                read.findings.append(Finding("note", str(path), what, name="chamber-empty"))
                continue
            bouts = read_bouts(folder, stem)
            read.findings += [Finding("warning", *note.split(": ", 1)) for note in bouts.notes]
            classes = classes or bouts.classes
            # Predictions of two runs cannot be counted together where their classes differ.
            if bouts.classes != classes:
                here = ", ".join(bouts.classes)
                raise UserError(f"{path}: expected the classes {', '.join(classes)}, found {here}")
        except UserError as error:
            read.failures.append((path, str(error)))
            continue
        edges_s = partial(predicted_edges_s, folder, stem)
        piece = Piece(
            path, stem, "", bouts.start_s, bouts.stop_s, bouts.labels, bouts.length_s, edges_s
        )
        read.pieces.append(piece)
    return read, classes


def label_pieces(
    paths: Sequence[Path],
    recordings: Mapping[Recorded, str],
    config: DataConfig,
    ethogram: Ethogram,
    rate_hz: float | None,
    times_of: Callable[[Path], np.ndarray] | None = None,
    streams: Mapping[Recorded, Sequence[str]] | None = None,
) -> Pieces:
    """The label files of these recordings, by the times of their videos (`times_of`) or their own.

    `streams` says what the subject of a recording is called; it overrides the settings. Without
    videos, each file of a trial is a piece of its own, and files that label frames need `rate_hz`.
    What cannot be read is among the failures.
    """
    # What fails for one recording must not stop the others.
    label_files = read_label_files(paths, recordings, config, ethogram, streams)
    read = Pieces([], label_files.findings, label_files.failures)
    videos = {name: file for file, name in recordings.items()}
    for name, files in label_files.files.items():
        try:
            if times_of is not None:
                time_s = times_of(file_of(videos[name]))
                pieces = _on_video(name, files, time_s, config, ethogram, read)
            elif are_trials(files):
                trials = [file for file in files if isinstance(file, LabelFile)]
                pieces = [_trial(name, file, rate_hz, config, read) for file in trials]
            else:
                pieces = _alone(name, files, rate_hz, config, ethogram, read)
        except UserError as error:
            read.failures.append((files[0].path, str(error)))
        else:
            read.pieces += pieces
    return read


def _alone(
    name: str,
    files: Sequence[LabelFile | Events],
    rate_hz: float | None,
    config: DataConfig,
    ethogram: Ethogram,
    read: Pieces,
) -> list[Piece]:
    """The labels of a recording without its video."""
    grid = frame_grid_of(files, config, rate_hz, _MILLISECONDS_HZ)
    if grid.rate_hz is None:
        raise _no_rate(files[0].path)
    return _on_video(name, files, grid.time_s, config, ethogram, read)


def _on_video(
    name: str,
    files: Sequence[LabelFile | Events],
    time_s: np.ndarray,
    config: DataConfig,
    ethogram: Ethogram,
    read: Pieces,
) -> list[Piece]:
    """The labels on the frames of a video; those of trials are a piece each."""
    # The same rules as in training decide where labels lie in time.
    placement = place_labels(files, time_s, config, ethogram)
    if placement.lists_bouts:
        read.open_shares[name] = placement.open_share
    read.findings += placement.findings
    read.findings += [Finding("warning", name, reason, "left out") for reason in placement.skipped]
    edges = edges_of(time_s)
    if not are_trials(files):
        return [_piece(files[0].path, name, "", placement.labels, edges)]
    paths = {file.trial: file.path for file in files if isinstance(file, LabelFile)}
    pieces = []
    for trial in placement.trials:
        labels = placement.labels[trial.start : trial.stop]
        number = trial.number
        pieces.append(_piece(paths[number], name, str(number), labels, edges[trial.start :]))
    return pieces


def _trial(
    name: str, file: LabelFile, rate_hz: float | None, config: DataConfig, read: Pieces
) -> Piece:
    """The labels of a trial without its video."""
    if rate_hz is None:
        raise _no_rate(file.path)
    trial = count_without_video(file, config)
    if trial.doubt:
        remedy = "settle it with --label_counts_from"
        read.findings.append(Finding("warning", str(file.path), trial.doubt, remedy))
    # Frames of the trial that the file leaves out are not labeled, rather than rest.
    labels = np.full(trial.span, -1, np.int16)
    labels[trial.frames] = trial.labels
    return _piece(file.path, name, str(file.trial), labels, np.arange(len(labels) + 1) / rate_hz)


def _piece(path: Path, name: str, trial: str, labels: np.ndarray, edges_s: np.ndarray) -> Piece:
    """`labels` `(frames,)` as bouts; frame f lasts `[edges_s[f], edges_s[f + 1])`."""
    # Gaps are left out: they belong to no bout.
    starts, stops, values = runs(labels)
    labeled = values >= 0
    edges_s = edges_s - edges_s[0]
    start_s, stop_s = edges_s[starts[labeled]], edges_s[stops[labeled]]
    bouts = values[labeled].astype(np.int64)
    length_s = float(edges_s[len(labels)])
    known_s = edges_s[: len(labels) + 1]
    return Piece(path, name, trial, start_s, stop_s, bouts, length_s, lambda: known_s)


def _no_rate(path: Path) -> UserError:
    return UserError(
        f"{path}: labels frames, but the frame rate is not known; give --rate_hz, or the videos "
        f"with --videos"
    )
