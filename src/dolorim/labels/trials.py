"""Recordings and trials, and the rule that says where a trial lies in its video.

All ranges are half-open `[start, stop)` in frames of the video, counted from 0 in decode order.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.labels.ethogram import UNLABELED

Layout = Literal["auto", "fixed", "cumulative"]
_EXACT = 2  # a video may be this many frames longer than its cumulative trials together


@dataclass(frozen=True)
class TrialLabels:
    """The labels of one file: `frames` `(rows,)` count from 0 at the trial's first labelled frame, ascending.

    `number` is None where the file labels the whole video. `labels` `(rows,)` are class indices, -1 unlabelled.
    `doubt` says why the frames may be one further on or back, `counted_from` what the file was taken to count from.
    """

    source: Path
    number: int | None
    frames: np.ndarray
    labels: np.ndarray
    doubt: str = ""
    counted_from: int = 0

    @property
    def gapless(self) -> bool:
        """Is each frame labelled from the first possible to the last labelled one?"""
        return self.span == len(self.frames)

    @property
    def span(self) -> int:
        """Frames from the first possible to the last labelled one."""
        return int(self.frames[-1]) + 1 if len(self.frames) else 0


@dataclass(frozen=True)
class Trial:
    number: int
    start: int
    stop: int


@dataclass(frozen=True)
class Placement:
    """Labels laid on a video: `labels` `(n_frames,)` int16, the trials that fit, and why others did not.

    `findings` are doubts, and contradictions that were only to be warned of. `lists_bouts` says that the labels come
    from files that list bouts, in which a frame may be open because nobody has cared about it.
    """

    labels: np.ndarray
    trials: tuple[Trial, ...]
    layout: str
    skipped: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    lists_bouts: bool = False

    @property
    def open_share(self) -> float:
        """Share of the frames that have no label."""
        return float((self.labels < 0).mean()) if len(self.labels) else 0.0


@dataclass(frozen=True)
class Recording:
    """A recording with what is known about it. `labels` `(n_frames,)` int16 class indices, -1 unlabelled.

    `name` is the stem of its video, or what its pose file says that it tracks; `file` the video, else the pose file.
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
    """Lay label files on a video of `n_frames` frames.

    *fixed*: trial k covers `[(k-1)*length, k*length)`; a file that spans `length - context` frames labels the last
    ones of its trial. *cumulative*: trials follow one another in number order, each as long as its file spans.
    *auto* takes the layout that fits; where both fit and disagree, or neither fits, it raises `UserError`.
    A file without a number labels the whole video and must be the only one. Trials that do not fit are skipped.
    """
    whole = [f for f in files if f.number is None]
    if whole:
        if len(files) > 1:
            other = next(f for f in files if f is not whole[0])
            raise UserError(
                f"{whole[0].source} labels the whole video, and {other.source} labels it too; keep one"
            )
        return _lay(files, [0], [n_frames], n_frames, "whole")
    if not files:
        return Placement(np.full(n_frames, UNLABELED, np.int16), (), layout)
    files = sorted(files, key=lambda f: f.number or 0)
    for one, two in itertools.pairwise(files):
        if one.number == two.number:
            raise UserError(
                f"{one.source} and {two.source} both label trial {one.number}; keep one of them"
            )

    def fixed() -> Placement:
        first = min(1, files[0].number or 0)  # some count their trials from 0
        starts = [((f.number or 0) - first) * length for f in files]
        offsets = _context_offsets(files, length, context)
        return _lay(files, starts, [s + length for s in starts], n_frames, "fixed", offsets)

    def cumulative() -> Placement:
        ends = np.cumsum([f.span for f in files]).tolist()
        return _lay(files, [0, *ends[:-1]], ends, n_frames, "cumulative")

    if layout != "auto":
        return fixed() if layout == "fixed" else cumulative()
    return _choose(fixed(), cumulative(), files, n_frames, length)


def _choose(
    fixed: Placement,
    cumulative: Placement,
    files: Sequence[TrialLabels],
    n_frames: int,
    length: int,
) -> Placement:
    if np.array_equal(fixed.labels, cumulative.labels) and len(fixed.skipped) == len(
        cumulative.skipped
    ):
        return fixed if n_frames % length == 0 else cumulative
    total = sum(f.span for f in files)
    spare = n_frames - total
    cannot_be_fixed = any(f.span > length for f in files) or n_frames < length
    fixed_fits = n_frames % length == 0 and bool(fixed.trials) and not cannot_be_fixed
    cumulative_fits = 0 <= spare <= _EXACT
    if fixed_fits and cumulative_fits and bool(fixed.skipped) != bool(cumulative.skipped):
        fixed_fits, cumulative_fits = not fixed.skipped, not cumulative.skipped
    if not fixed_fits and not cumulative_fits:
        # The video is longer than its trials: that they cannot lie in the one way may still decide for the other.
        cumulative_fits = cannot_be_fixed and not cumulative.skipped
    if fixed_fits == cumulative_fits:
        spans = ", ".join(f"{f.number}: {f.span}" for f in files)
        verb = "fit both" if fixed_fits else "fit neither"
        raise UserError(
            f"{files[0].source}: the label files of its video with {n_frames} frames (frames per trial: {spans}) "
            f"{verb} the fixed layout ({length} frames a trial) {'and' if fixed_fits else 'nor'} the cumulative one; "
            f"say which with --trial_layout fixed or --trial_layout cumulative"
        )
    return fixed if fixed_fits else cumulative


def _context_offsets(files: Sequence[TrialLabels], length: int, context: int) -> list[int]:
    # A tool that needs `context` frames before its first decision leaves them out at the front, in all files alike:
    # one that also lacks rows at its end is still one of them.
    short = length - context
    if max(f.span for f in files) == short:
        return [context] * len(files)
    return [context if f.span == short else 0 for f in files]


def _lay(
    files: Sequence[TrialLabels],
    starts: Sequence[int],
    stops: Sequence[int],
    n_frames: int,
    layout: str,
    offsets: Sequence[int] | None = None,
) -> Placement:
    labels = np.full(n_frames, UNLABELED, np.int16)
    trials, skipped = [], []
    for file, start, stop, offset in zip(
        files, starts, stops, offsets or [0] * len(files), strict=True
    ):
        first, last = start + offset, start + offset + file.span
        if last > n_frames or start >= n_frames:
            end = max(last, first + 1)
            skipped.append(
                f"{file.source}: labels frames [{first}, {end}) of a video that has only {n_frames} frames"
            )
        elif last > stop:
            skipped.append(
                f"{file.source}: labels {file.span} frames, but a trial has {stop - start}"
            )
        else:
            labels[first + file.frames] = file.labels
            trials.append(
                Trial(1 if file.number is None else file.number, start, min(stop, n_frames))
            )
    return Placement(labels, tuple(trials), layout, tuple(skipped))
