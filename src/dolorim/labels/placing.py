"""Where a label lies in time: the one place that assigns label files to the frames of a recording.

Every frame has its own timestamp. What is uncertain becomes a finding: what a file counts from,
whether its rows are single frames, and which labels a damaged video has lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.labels.annotations import gap_class
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events
from dolorim.labels.gaps import lists_bouts
from dolorim.labels.label_files import LabelFile
from dolorim.labels.trials import Layout, Placement, Trial, TrialLabels, place_trials

# Frames per row that labels of a lower rate may have.
_STEPS = range(2, 11)
# A file labels every frame if it has more than this share of the possible rows.
_DENSE_SHARE = 0.9
# Fewer rows do not tell a rate.
_MIN_ROWS = 10
# Frames by which the length in a video's header is usually wrong, the most likely first.
_HEADER_ERRORS = (0, -1, -2, 1, 2)


def place_labels(
    files: Sequence[LabelFile | Events],
    time_s: np.ndarray,
    config: DataConfig,
    ethogram: Ethogram,
    promised: int | None = None,
) -> Placement:
    """Assign the label files of a recording to its frames, shown at `time_s` `(n_frames,)`.

    `promised` is given for a video that decodes only up to some frame: the frames that its header
    claims, or 0 if it claims none. Labels after the last frame that decodes are then lost, which is
    a finding. Raises `UserError` where the labels could lie in two ways, and where they contradict
    the video, unless `on_conflict` makes that a warning.
    """
    n_frames = len(time_s)
    conflicts = Conflicts(config.on_conflict)
    gap_label = gap_class(config, ethogram)
    trials = []
    for file in files:
        if _has_lower_rate(file, max(n_frames, promised or 0), config, conflicts):
            continue
        if isinstance(file, Events):
            bouts = file.stretched(config.label_step or 1)
            is_cut_off = promised is not None
            on_frames = bouts.on_frames(n_frames, time_s, gap_label, conflicts, is_cut_off)
            trials.append(on_frames.counted_from_zero(config.trial_length, config.label_context))
        else:
            trials.append(_trial_of(file, n_frames, promised, config, conflicts))
    placement = _place(trials, n_frames, promised, config)
    # Only in the fixed layout does a trial have a length that its rows could fall short of.
    if placement.layout == "fixed" and _have_lower_rate(trials, config, conflicts):
        trials = []
        placement = _place(trials, n_frames, promised, config)
    doubts = _counting_doubts(trials, placement, n_frames)
    return dataclasses.replace(
        placement,
        findings=(*conflicts.findings, *placement.findings, *doubts),
        lists_bouts=any(lists_bouts(file) for file in files),
    )


def _has_lower_rate(
    file: LabelFile | Events, n_frames: int, config: DataConfig, conflicts: Conflicts
) -> bool:
    """Whether a file that labels a whole video has a row only for every second, third, ... frame.

    Unless `label_step` says so, such a file is a conflict: it would silently label the first half,
    third, ... of the video.
    """
    if config.label_step is not None or (isinstance(file, LabelFile) and file.trial is not None):
        return False
    if isinstance(file, Events):
        labelled, rows = file.covered
    else:
        labelled, rows = len(file.frames), count_without_video(file, config).span
    if labelled <= _DENSE_SHARE * rows:
        return False
    step = _step_of(rows, n_frames)
    if step is None:
        return False
    what = f"labels the first {rows} frames of a video that has {n_frames}"
    _report_lower_rate(file.path, what, step, conflicts)
    return True


def _have_lower_rate(
    trials: Sequence[TrialLabels], config: DataConfig, conflicts: Conflicts
) -> bool:
    """Whether every trial ends at the same fraction, one half, one third, ..., of its length."""
    is_sparse = any(len(trial.frames) <= _DENSE_SHARE * trial.span for trial in trials)
    if config.label_step is not None or is_sparse or not trials:
        return False
    lengths = (config.trial_length, config.trial_length - config.label_context)
    steps = {_step_of(trial.span, *lengths) for trial in trials}
    step = steps.pop()
    if step is None or steps:
        return False
    first = trials[0]
    what = f"labels the first {first.span} frames of a trial that has {config.trial_length}"
    _report_lower_rate(first.source, what, step, conflicts)
    return True


def _report_lower_rate(path: Path, what: str, step: int, conflicts: Conflicts) -> None:
    conflicts.add(
        path,
        f"{what}, as if each of its rows stood for {step} frames",
        f"say so with --label_step {step}, or --label_step 1 if only the beginning is labeled",
        "it is left out",
        "label-rate",
    )


def _step_of(rows: int, *lengths: int) -> int | None:
    """Frames per row, if rows at a whole fraction of the rate fill one of these lengths."""
    if rows < _MIN_ROWS:
        return None
    for length in lengths:
        for step in _STEPS:
            if abs(length - step * rows) < step:
                return step
    return None


def count_without_video(file: LabelFile, config: DataConfig) -> TrialLabels:
    """The labels of a file with frames counted from 0, where the length of its video is unknown."""
    return file.counted_from_zero(
        config.trial_length, config.label_context, None, config.label_counts_from
    )


def _trial_of(
    file: LabelFile,
    n_frames: int,
    promised: int | None,
    config: DataConfig,
    conflicts: Conflicts,
) -> TrialLabels:
    """The labels of a file on frames of the video, counted from 0."""
    step = config.label_step or 1
    whole = max(n_frames, promised or 0)
    # A header that claims no more than what decodes does not tell how long the video was.
    known = whole if promised is None or promised > n_frames else 0
    length = config.trial_length // step
    short = (config.trial_length - config.label_context) // step
    n_rows = -(-known // step)  # rounded up: the last row may stand for fewer frames
    trial = file.counted_from_zero(length, length - short, n_rows, config.label_counts_from)
    trial = _stretched(trial, step, whole)
    if promised is None:
        trial = _cut_to_video(file, trial, n_frames, step, conflicts)
    return trial


def _stretched(trial: TrialLabels, step: int, n_frames: int) -> TrialLabels:
    """The same labels where each row stands for `step` frames; the last row may stand for fewer."""
    if step == 1:
        return trial
    frames = (trial.frames[:, None] * step + np.arange(step)).ravel()
    labels = np.repeat(trial.labels, step)
    # A longer overhang is no rounding, and remains for the checks that follow.
    if 0 < trial.span * step - n_frames < step:
        inside = frames < n_frames
        frames, labels = frames[inside], labels[inside]
    return dataclasses.replace(trial, frames=frames, labels=labels)


def _cut_to_video(
    file: LabelFile, trial: TrialLabels, n_frames: int, step: int, conflicts: Conflicts
) -> TrialLabels:
    """The labels inside the video, for a file that claims a row for each frame of its video."""
    # With fewer rows per second, the last row may be rounded either way.
    if file.n_frames is None or abs(file.n_frames * step - n_frames) < step:
        return trial
    conflicts.add(
        file.path,
        f"has rows for {file.n_frames} frames, but its video has {n_frames}",
        "give it the labels of this video",
        "rows and frames are paired from the first one on",
    )
    inside = trial.frames < n_frames
    return dataclasses.replace(trial, frames=trial.frames[inside], labels=trial.labels[inside])


def _place(
    trials: Sequence[TrialLabels], n_frames: int, promised: int | None, config: DataConfig
) -> Placement:
    """Place trials in a video of which `n_frames` frames decode."""
    length, context, layout = config.trial_length, config.label_context, config.trial_layout
    if promised is None:
        return place_trials(trials, n_frames, layout, length=length, context=context)
    if layout == "auto" and trials and all(trial.number is not None for trial in trials):
        layout = _layout_for_header(trials, max(n_frames, promised), length, context)
    # Labels are placed in the whole video, and then cut to the frames that decode.
    room = promised + max(_HEADER_ERRORS)
    if promised <= n_frames:
        # The header does not tell the length: take one that every trial fits into.
        last_number = max((trial.number or 0 for trial in trials), default=0)
        room = sum(trial.span for trial in trials) + length * (2 + last_number) + n_frames
    placement = place_trials(trials, room, layout, length=length, context=context)
    return _cut_off(placement, trials, n_frames)


def _layout_for_header(
    trials: Sequence[TrialLabels], n_frames: int, length: int, context: int
) -> Layout:
    """The layout that fits the frames a header claims, or nearly so many: headers are often wrong.

    Raises `UserError` where none does.
    """
    first_error: UserError | None = None
    for off in _HEADER_ERRORS:
        try:
            placement = place_trials(trials, n_frames + off, "auto", length=length, context=context)
        except UserError as error:
            first_error = first_error or error
        else:
            return "cumulative" if placement.layout == "cumulative" else "fixed"
    assert first_error is not None
    raise first_error


def _cut_off(placement: Placement, files: Sequence[TrialLabels], n_frames: int) -> Placement:
    """A placement cut to the first `n_frames` frames, with a finding for labels that are lost."""
    sources = {file.number: file.source for file in files}
    trials, findings = [], []
    for trial in placement.trials:
        in_trial = placement.labels[trial.start : trial.stop]
        labelled = trial.start + np.flatnonzero(in_trial >= 0)
        lost = labelled[labelled >= n_frames]
        if lost.size:
            who = f"trial {trial.number}" if trial.number in sources else "it"
            first, stop = max(n_frames, int(labelled[0])), int(lost[-1]) + 1
            what = f"{who} labels frames [{first}, {stop}), and only {n_frames} frames decode"
            source = str(sources.get(trial.number) or files[0].source)
            remedy = "these labels are lost"
            findings.append(Finding("warning", source, what, remedy, "labels-lost"))
        if trial.start < n_frames:
            trials.append(Trial(trial.number, trial.start, min(trial.stop, n_frames)))
    return Placement(
        placement.labels[:n_frames],
        tuple(trials),
        placement.layout,
        placement.skipped,
        tuple(findings),
    )


def _counting_doubts(
    trials: Sequence[TrialLabels], placement: Placement, n_frames: int
) -> list[Finding]:
    """A warning for each file that may count from 0 or from 1."""
    findings = []
    for trial in trials:
        # A gapless trial that directly follows the previous one is as long as its file.
        is_settled = placement.layout == "cumulative" and trial.gapless and trial.counted_from == 1
        if not trial.doubt or is_settled:
            continue
        context = f"it is of trial {trial.number}"
        if trial.number is None:
            context = f"its video has {n_frames} frames"
        what = f"{trial.doubt} ({context}); taken to count from {trial.counted_from}"
        remedy = "settle it with --label_counts_from 0 or 1"
        findings.append(Finding("warning", str(trial.source), what, remedy, "label-counting"))
    return findings
