"""Recordings and trials, and the rule that places trials in their video.

All ranges are half-open `[start, stop)` in frames of the video, counted from 0 in decode order.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.labels.ethogram import UNLABELED

Layout = Literal["auto", "fixed", "cumulative"]
# A video may be this many frames longer than its cumulative trials together.
_MAX_SPARE_FRAMES = 2


@dataclass(frozen=True)
class TrialLabels:
    """The labels of one file: `frames` `(rows,)` ascending, from 0 at the first frame it covers.

    `number` is None where the file labels the whole video. `labels` `(rows,)` are class indices, -1
    unlabeled. `counted_from` is what the file was taken to count from, and `doubt` says why the
    frames may be off by one.
    """

    source: Path
    number: int | None
    frames: np.ndarray
    labels: np.ndarray
    doubt: str = ""
    counted_from: int = 0

    @property
    def gapless(self) -> bool:
        """Whether each frame up to the last labeled one is labeled."""
        return self.span == len(self.frames)

    @property
    def span(self) -> int:
        """Frames up to the last labeled one, from frame 0 on."""
        if not len(self.frames):
            return 0
        return int(self.frames[-1]) + 1


@dataclass(frozen=True)
class Trial:
    """Frames `[start, stop)` of the video that one trial covers."""

    number: int
    start: int
    stop: int


@dataclass(frozen=True)
class Placement:
    """The labels of a video: `labels` `(n_frames,)` int16, and the trials that fit.

    `skipped` says why other trials do not fit. `findings` are doubts, and contradictions that the
    settings turn into warnings. `lists_bouts` says that the labels come from files that list bouts,
    in which a frame without a label may be one that nobody scored.
    """

    labels: np.ndarray
    trials: tuple[Trial, ...]
    layout: str
    skipped: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    lists_bouts: bool = False

    def later(self, n_frames: int) -> Placement:
        """The same, `n_frames` later in a longer video."""
        before = np.full(n_frames, UNLABELED, np.int16)
        trials = tuple(Trial(t.number, t.start + n_frames, t.stop + n_frames) for t in self.trials)
        return replace(self, labels=np.concatenate((before, self.labels)), trials=trials)

    @property
    def open_share(self) -> float:
        """Share of the frames that have no label."""
        if not len(self.labels):
            return 0.0
        return float((self.labels < 0).mean())


@dataclass(frozen=True)
class Recording:
    """A recording with its labels `(n_frames,)` int16, class indices or -1 for unlabeled.

    `name` is the stem of its video, or the recording that its pose file names; `file` is the video,
    else the pose file. `columns` are further columns of `recordings.csv`.
    """

    name: str
    animal: str
    labels: np.ndarray
    trials: tuple[Trial, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    file: Path | None = None

    @property
    def n_frames(self) -> int:
        return len(self.labels)


def place_trials(
    files: Sequence[TrialLabels],
    n_frames: int,
    layout: Layout = "auto",
    *,
    length: int = 360,
    context: int = 15,
) -> Placement:
    """Place label files in a video of `n_frames` frames.

    *fixed*: trial k covers `[(k-1)*length, k*length)`; a file that spans `length - context` frames
    labels the last ones of its trial. *cumulative*: trials follow one another in number order, each
    as long as its file spans. *auto* takes the layout that fits. A file without a number labels the
    whole video and must be the only one. Trials that do not fit are skipped.

    Raises `UserError` if both layouts fit and disagree, if neither fits, and if two files label the
    same trial.
    """
    if not files:
        return Placement(np.full(n_frames, UNLABELED, np.int16), (), layout)
    _refuse_repeated_trials(files)
    if files[0].number is None:
        return _place_at(files, [0], [n_frames], n_frames, "whole")
    files = sorted(files, key=lambda file: file.number or 0)
    if layout == "fixed":
        return _place_fixed(files, n_frames, length, context)
    if layout == "cumulative":
        return _place_cumulative(files, n_frames)
    fixed = _place_fixed(files, n_frames, length, context)
    cumulative = _place_cumulative(files, n_frames)
    return _choose_layout(fixed, cumulative, files, n_frames, length)


def _refuse_repeated_trials(files: Sequence[TrialLabels]) -> None:
    """Raise `UserError` if two files label the same trial, or one of several the whole video."""
    whole = next((file for file in files if file.number is None), None)
    if whole is not None and len(files) > 1:
        other = next(file for file in files if file is not whole)
        raise UserError(
            f"{whole.source} labels the whole video, and {other.source} labels it too; keep one"
        )
    by_number = sorted(files, key=lambda file: file.number or 0)
    for one, two in itertools.pairwise(by_number):
        if one.number == two.number:
            raise UserError(
                f"{one.source} and {two.source} both label trial {one.number}; keep one of them"
            )


def _place_fixed(
    files: Sequence[TrialLabels], n_frames: int, length: int, context: int
) -> Placement:
    first = min(1, files[0].number or 0)  # some count their trials from 0
    starts = [((file.number or 0) - first) * length for file in files]
    stops = [start + length for start in starts]
    offsets = _context_offsets(files, length, context)
    return _place_at(files, starts, stops, n_frames, "fixed", offsets)


def _place_cumulative(files: Sequence[TrialLabels], n_frames: int) -> Placement:
    stops = np.cumsum([file.span for file in files]).tolist()
    return _place_at(files, [0, *stops[:-1]], stops, n_frames, "cumulative")


def _choose_layout(
    fixed: Placement,
    cumulative: Placement,
    files: Sequence[TrialLabels],
    n_frames: int,
    length: int,
) -> Placement:
    """The layout that fits the number of frames. Raises `UserError` if both do, or neither."""
    same_labels = np.array_equal(fixed.labels, cumulative.labels)
    # One full trial, for instance, lies at the same place in both.
    if same_labels and len(fixed.skipped) == len(cumulative.skipped):
        return fixed if n_frames % length == 0 else cumulative
    fixed_fits, cumulative_fits = _which_fit(fixed, cumulative, files, n_frames, length)
    if fixed_fits == cumulative_fits:
        raise _undecided(files, n_frames, length, both_fit=fixed_fits)
    return fixed if fixed_fits else cumulative


def _which_fit(
    fixed: Placement,
    cumulative: Placement,
    files: Sequence[TrialLabels],
    n_frames: int,
    length: int,
) -> tuple[bool, bool]:
    """Whether the fixed layout fits the number of frames, and whether the cumulative one does."""
    is_whole_number_of_trials = n_frames % length == 0
    spans = [file.span for file in files]
    cannot_be_fixed = max(spans) > length or n_frames < length
    fixed_fits = is_whole_number_of_trials and bool(fixed.trials) and not cannot_be_fixed
    cumulative_fits = 0 <= n_frames - sum(spans) <= _MAX_SPARE_FRAMES
    only_one_skips = bool(fixed.skipped) != bool(cumulative.skipped)
    if fixed_fits and cumulative_fits and only_one_skips:
        # The number of frames suits both, so the layout in which every trial fits is right.
        fixed_fits, cumulative_fits = not fixed.skipped, not cumulative.skipped
    if not fixed_fits and not cumulative_fits:
        # The video is longer than its trials. If they cannot be fixed, they must be cumulative.
        cumulative_fits = cannot_be_fixed and not cumulative.skipped
    return fixed_fits, cumulative_fits


def _undecided(
    files: Sequence[TrialLabels], n_frames: int, length: int, both_fit: bool
) -> UserError:
    verb, conjunction = "fit neither", "nor"
    if both_fit:
        verb, conjunction = "fit both", "and"
    spans = ", ".join(f"{file.number}: {file.span}" for file in files)
    return UserError(
        f"{files[0].source}: the label files of its video with {n_frames} frames (frames per "
        f"trial: {spans}) {verb} the fixed layout ({length} frames per trial) {conjunction} the "
        f"cumulative one; choose with --trial_layout fixed or --trial_layout cumulative"
    )


def _context_offsets(files: Sequence[TrialLabels], length: int, context: int) -> list[int]:
    """How many frames each file leaves out at the start of its trial."""
    # A tool that needs `context` frames before its first decision leaves them out in all files: a
    # file that also lacks rows at its end is still one of them.
    short = length - context
    if max(file.span for file in files) == short:
        return [context] * len(files)
    # Otherwise only files of exactly that length come from such a tool.
    return [context if file.span == short else 0 for file in files]


def _place_at(
    files: Sequence[TrialLabels],
    starts: Sequence[int],
    stops: Sequence[int],
    n_frames: int,
    layout: str,
    offsets: Sequence[int] | None = None,
) -> Placement:
    """Place each file in its trial `[start, stop)`, `offset` frames after the start."""
    labels = np.full(n_frames, UNLABELED, np.int16)
    trials, skipped = [], []
    offsets = offsets or [0] * len(files)
    for file, start, stop, offset in zip(files, starts, stops, offsets, strict=True):
        first, last = start + offset, start + offset + file.span
        if last > n_frames or start >= n_frames:
            # A file without labels spans no frames, but the message needs a range.
            end = max(last, first + 1)
            skipped.append(
                f"{file.source}: labels frames [{first}, {end}) of a video that has only "
                f"{n_frames} frames"
            )
        elif last > stop:
            skipped.append(
                f"{file.source}: labels {file.span} frames, but a trial has {stop - start}"
            )
        else:
            labels[first + file.frames] = file.labels
            number = 1 if file.number is None else file.number
            trials.append(Trial(number, start, min(stop, n_frames)))
    return Placement(labels, tuple(trials), layout, tuple(skipped))
