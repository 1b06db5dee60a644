"""The labels of several raters on the same frames of the same videos."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.events import Events
from dolorim.labels.gaps import warn_of_gaps
from dolorim.labels.label_files import LabelFile
from dolorim.labels.label_folder import FrameGrid, are_trials, frame_grid_of
from dolorim.labels.placing import count_without_video, place_labels
from dolorim.labels.ratings import Ratings
from dolorim.labels.trials import TrialLabels

Borders = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Rated:
    """One video as all raters see it: `labels` `(raters, time)` and the borders of its trials.

    A frame is -1 for all raters if one of them has no label there. `time_s` `(time,)` is None where
    nobody knows when the frames are shown.
    """

    video: str
    labels: np.ndarray
    borders: Borders
    time_s: np.ndarray | None


@dataclass
class _Alignment:
    """Settings of one comparison, with notes for the user and shares of frames left open."""

    raters: Sequence[Ratings]
    config: DataConfig
    ethogram: Ethogram
    rate_hz: float | None
    notes: list[str] = field(default_factory=list)
    open_shares: dict[str, float] = field(default_factory=dict)


def align_raters(
    raters: Sequence[Ratings],
    config: DataConfig,
    ethogram: Ethogram,
    rate_hz: float | None = None,
    times_of: Callable[[str], np.ndarray | None] = lambda video: None,
) -> tuple[list[Rated], list[str]]:
    """The videos that all raters have, and notes on what was left out.

    Label files are assigned to the frames of the video: at `times_of` a video if that is known,
    else at the times of a rater's predictions, else to as many frames as the files need, at
    `rate_hz` or their own rate. Label files of single trials of an unknown video are compared trial
    by trial. Raises `UserError` if the raters share no video, or none that can be compared.
    """
    videos = [set(rater.whole) | set(rater.files) for rater in raters]
    # Only videos that every rater has can be compared.
    shared = _shared_videos(raters, videos)
    alignment = _Alignment(raters, config, ethogram, rate_hz)
    for rater in raters:
        alignment.notes += rater.notes
    for rater, of_rater in zip(raters, videos, strict=True):
        for video in sorted(of_rater - shared):
            alignment.notes.append(f"{rater.name}: {video} left out, as not all have it")
    rated: list[Rated] = []
    errors: list[UserError] = []
    for video in sorted(shared):
        try:
            rated.append(_align(alignment, video, times_of(video)))
        except UserError as error:
            errors.append(error)
            raters[0].failed.append((Path(video), str(error)))
    if not rated:
        raise errors[0]
    gap_warnings = warn_of_gaps(alignment.open_shares, config.label_gaps, ethogram)
    alignment.notes += [str(finding) for finding in gap_warnings]
    return rated, alignment.notes


def _shared_videos(raters: Sequence[Ratings], videos: Sequence[set[str]]) -> set[str]:
    """The videos that all raters have. Raises `UserError` if there are none."""
    shared = set.intersection(*videos)
    if not shared:
        examples = [
            f"{rater.name}: {', '.join(sorted(of_rater)[:3])}"
            for rater, of_rater in zip(raters, videos, strict=True)
        ]
        raise UserError(
            f"the raters share no video ({'; '.join(examples)}); name files after their videos, "
            f"alike for all"
        )
    return shared


def _align(alignment: _Alignment, video: str, time_s: np.ndarray | None) -> Rated:
    """One video as all raters see it; `time_s` `(time,)` are the times of its frames, if known."""
    raters = alignment.raters
    if time_s is None:
        times_of_raters = [rater.time_s[video] for rater in raters if video in rater.time_s]
        time_s = next(iter(times_of_raters), None)
    lengths = _lengths(alignment, video)
    if time_s is not None:
        return _on_frames(alignment, video, time_s, lengths)
    files_of = (rater.files.get(video, []) for rater in raters)
    files = [*itertools.chain.from_iterable(files_of)]
    if not lengths and are_trials(files):
        labels, borders = _trial_by_trial(alignment, video)
        return _rated(video, labels, borders, None)
    time_s, rate_is_known = _times_by_files(files, lengths, alignment)
    rated = _on_frames(alignment, video, time_s, lengths)
    if not rate_is_known:
        rated = replace(rated, time_s=None)
    return rated


def _lengths(alignment: _Alignment, video: str) -> list[int]:
    """The frames of a video by each rater who labeled it whole; notes that they differ."""
    raters = alignment.raters
    lengths = [len(rater.whole[video]) for rater in raters if video in rater.whole]
    if lengths and max(lengths) > min(lengths):
        alignment.notes.append(
            f"{video}: lengths of {min(lengths)} to {max(lengths)} frames; the first "
            f"{min(lengths)} count"
        )
    return lengths


def _on_frames(
    alignment: _Alignment, video: str, time_s: np.ndarray, lengths: Sequence[int]
) -> Rated:
    """One video on frames shown at `time_s` `(time,)`, as far as all raters have them."""
    n_frames = min([len(time_s), *lengths])
    labels, borders = _place_raters(alignment, video, time_s, n_frames)
    return _rated(video, labels, borders, time_s[:n_frames])


def _times_by_files(
    files: Sequence[LabelFile | Events], lengths: Sequence[int], alignment: _Alignment
) -> tuple[np.ndarray, bool]:
    """Times of as many frames as the label files need, and whether anything tells their rate."""
    of_whole_video = [file for file in files if not are_trials([file])]
    grid = frame_grid_of(of_whole_video, alignment.config, alignment.rate_hz)
    n_frames = max(grid.n_frames, *lengths, 0)
    return FrameGrid(n_frames, grid.rate_hz).time_s, grid.rate_hz is not None


def _place_raters(
    alignment: _Alignment, video: str, time_s: np.ndarray, n_frames: int
) -> tuple[np.ndarray, Borders]:
    """Labels `(raters, n_frames)` of a video, and the borders of its trials."""
    rows: list[np.ndarray] = []
    borders: Borders = ((0, n_frames),)
    for rater in alignment.raters:
        if video in rater.whole:
            rows.append(rater.whole[video][:n_frames])
            continue
        # Label files are placed on the frames as in training.
        placement = place_labels(rater.files[video], time_s, alignment.config, alignment.ethogram)
        alignment.notes += placement.skipped
        alignment.notes += [str(finding) for finding in placement.findings]
        if placement.lists_bouts:
            alignment.open_shares[f"{rater.name}: {video}"] = placement.open_share
        trials = [trial for trial in placement.trials if trial.start < n_frames]
        if trials:
            borders = tuple((trial.start, min(trial.stop, n_frames)) for trial in trials)
        rows.append(placement.labels[:n_frames])
    return np.stack(rows), borders


def _rated(video: str, labels: np.ndarray, borders: Borders, time_s: np.ndarray | None) -> Rated:
    # Only frames that all raters have labeled are compared.
    is_complete = (labels >= 0).all(axis=0)
    labels = np.where(is_complete, labels, UNLABELED).astype(np.int16)
    return Rated(video, labels, borders, time_s)


def _trial_by_trial(alignment: _Alignment, video: str) -> tuple[np.ndarray, Borders]:
    """Trials in number order, one after the other: labels `(raters, time)` and the borders."""
    # Without a video, nothing tells where trials lie, but their numbers tell which belong together.
    trials_of = [_counted_trials(alignment, rater.files[video]) for rater in alignment.raters]
    all_trials = [*itertools.chain.from_iterable(trials_of)]
    spans: dict[int, int] = {}
    for trial in all_trials:
        number = trial.number or 0
        spans[number] = max(trial.span, spans.get(number, 0))
    numbers = sorted(spans)
    # Each trial is as long as the longest of its files.
    stops = np.cumsum([spans[number] for number in numbers]).tolist()
    starts = [0, *stops[:-1]]
    start_of = dict(zip(numbers, starts, strict=True))
    labels = np.full((len(trials_of), stops[-1]), UNLABELED, np.int16)
    for row, trials in zip(labels, trials_of, strict=True):
        for trial in trials:
            row[start_of[trial.number or 0] + trial.frames] = trial.labels
    return labels, tuple(zip(starts, stops, strict=True))


def _counted_trials(
    alignment: _Alignment, files: Sequence[LabelFile | Events]
) -> list[TrialLabels]:
    """The labels of trials with frames counted from 0."""
    counted = []
    for file in files:
        assert isinstance(file, LabelFile)
        trial = count_without_video(file, alignment.config)
        counted.append(trial)
        if trial.doubt:
            alignment.notes.append(
                f"{file.path}: {trial.doubt}; taken to count from {trial.counted_from}"
            )
    return counted
