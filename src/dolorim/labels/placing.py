"""Where a label lies in time: the one place that lays label files on the frames of a recording.

Every frame has its own timestamp, and what is not sure is said: in which way a file counts, whether its rows are frames
at all, and what a video that was cut off has lost.
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

_STEPS = range(2, 11)  # frames a row that labels of a lower rate may have
_DENSE = 0.9  # share of its rows that a file has which labels every frame
_ENOUGH = 10  # rows: fewer say nothing about a rate
_HEADER_OFF = (0, -1, -2, 1, 2)  # frames by which a header is usually wrong


def place_labels(
    files: Sequence[LabelFile | Events],
    time_s: np.ndarray,
    config: DataConfig,
    ethogram: Ethogram,
    promised: int | None = None,
) -> Placement:
    """Lay the label files of a recording on its frames, which are shown at `time_s` `(n_frames,)`.

    `promised` is given for a video that stops being readable: the frames that its header claims, or 0. What was
    labelled behind the last frame that decodes is then lost, which is a finding, and the rest stays. Raises `UserError`
    where the labels could lie in two ways, and where they contradict the video, unless `on_conflict` only warns of it.
    """
    n_frames = len(time_s)
    whole = max(n_frames, promised or 0)
    conflicts = Conflicts(config.on_conflict)
    gaps = gap_class(config, ethogram)
    trials = []
    for file in files:
        if _of_another_rate(file, whole, config, conflicts):
            continue
        step = config.label_step or 1
        if isinstance(file, Events):
            cut = promised is not None
            laid = file.stretched(step).on_frames(n_frames, time_s, gaps, conflicts, cut)
            trials.append(laid.counted_from_zero(config.trial_length, config.label_context))
        else:
            # A header that claims no more than what decodes does not say how long the video was.
            known = whole if promised is None or promised > n_frames else 0
            trials.append(_stretched(_counted(file, known, config), step, whole))
            if promised is None:
                trials[-1] = _cut_to(file, trials[-1], n_frames, step, conflicts)
    placement = _place(trials, n_frames, promised, config)
    if placement.layout == "fixed" and _are_trials_of_another_rate(trials, config, conflicts):
        trials = []
        placement = _place(trials, n_frames, promised, config)
    findings = (*conflicts.found, *placement.findings, *_doubts(trials, placement, n_frames))
    bouts = any(lists_bouts(f) for f in files)
    return dataclasses.replace(placement, findings=findings, lists_bouts=bouts)


def _of_another_rate(
    file: LabelFile | Events, n_frames: int, config: DataConfig, conflicts: Conflicts
) -> bool:
    """Does a file that labels a whole video have a row for every second, third, ... frame, and nobody has said so?

    Such a file is a conflict: laid on the first half of the video it would be silently wrong.
    """
    if config.label_step is not None or (isinstance(file, LabelFile) and file.trial is not None):
        return False
    if isinstance(file, Events):
        labelled, rows = file.covered
    else:
        labelled, rows = len(file.frames), int(file.frames[-1]) + int(file.frames[0] != 1)
    step = _step_of(rows, n_frames) if labelled > _DENSE * rows else None
    if step is None:
        return False
    _ask(
        file.path, f"labels the first {rows} frames of a video that has {n_frames}", step, conflicts
    )
    return True


def _are_trials_of_another_rate(
    trials: Sequence[TrialLabels], config: DataConfig, conflicts: Conflicts
) -> bool:
    """The same question for trials: does each of them end at one half, one third, ... of its length?"""
    if config.label_step is not None or any(len(t.frames) <= _DENSE * t.span for t in trials):
        return False
    lengths = (config.trial_length, config.trial_length - config.label_context)
    steps = [
        next((k for n in lengths if (k := _step_of(t.span, n)) is not None), None) for t in trials
    ]
    step = steps[0] if trials else None
    if step is None or set(steps) != {step}:
        return False
    what = f"labels the first {trials[0].span} frames of a trial that has {config.trial_length}"
    _ask(trials[0].source, what, step, conflicts)
    return True


def _ask(path: Path, what: str, step: int, conflicts: Conflicts) -> None:
    conflicts.add(
        path, f"{what}, as if each of its rows stood for {step} frames",
        f"say so with --label_step {step}, or --label_step 1 if only the beginning is labelled",
        "it is left out", "label-rate",
    )  # fmt: skip


def _step_of(rows: int, n_frames: int) -> int | None:
    """Frames a row, if that many rows fill the video at a whole fraction of its rate."""
    if rows < _ENOUGH:
        return None
    return next((k for k in _STEPS if abs(n_frames - k * rows) < k), None)


def _counted(file: LabelFile, n_frames: int, config: DataConfig) -> TrialLabels:
    step = config.label_step or 1
    length, shorter = (
        config.trial_length // step,
        (config.trial_length - config.label_context) // step,
    )
    return file.counted_from_zero(
        length, length - shorter, -(-n_frames // step), config.label_counts_from
    )


def _stretched(trial: TrialLabels, step: int, n_frames: int) -> TrialLabels:
    """The same labels where each row stands for `step` frames; the last row may stand for fewer."""
    if step == 1:
        return trial
    frames = (trial.frames[:, None] * step + np.arange(step)).ravel()
    labels = np.repeat(trial.labels, step)
    if 0 < trial.span * step - n_frames < step:
        frames, labels = frames[frames < n_frames], labels[frames < n_frames]
    return dataclasses.replace(trial, frames=frames, labels=labels)


def _cut_to(
    file: LabelFile, trial: TrialLabels, n_frames: int, step: int, conflicts: Conflicts
) -> TrialLabels:
    """The same labels for a video of `n_frames` frames, if the file claims to have a row for each of its frames."""
    if file.n_frames is None or abs(file.n_frames * step - n_frames) < step:
        return trial
    conflicts.add(
        file.path, f"has rows for {file.n_frames} frames, but its video has {n_frames}",
        "give it the labels of this video", "rows and frames are paired from the first one on",
    )  # fmt: skip
    inside = trial.frames < n_frames
    return dataclasses.replace(trial, frames=trial.frames[inside], labels=trial.labels[inside])


def _place(
    trials: Sequence[TrialLabels], n_frames: int, promised: int | None, config: DataConfig
) -> Placement:
    length, context = config.trial_length, config.label_context
    if promised is None:
        return place_trials(trials, n_frames, config.trial_layout, length=length, context=context)
    layout = config.trial_layout
    if layout == "auto" and trials and all(t.number is not None for t in trials):
        layout = _layout_of(trials, max(n_frames, promised), length, context)
    # They are laid on the whole video, of whatever length where the header does not tell, and then cut.
    room = promised + max(_HEADER_OFF)
    if promised <= n_frames:
        room = (
            sum(t.span for t in trials)
            + length * (2 + max((t.number or 0 for t in trials), default=0))
            + n_frames
        )
    placement = place_trials(trials, room, layout, length=length, context=context)
    return _cut_off(placement, trials, n_frames)


def _layout_of(trials: Sequence[TrialLabels], n_frames: int, length: int, context: int) -> Layout:
    """The layout that fits the frames which a header claims, or, as headers are often wrong, nearly so many.

    Raises `UserError` where none does.
    """
    refused: UserError | None = None
    for off in _HEADER_OFF:
        try:
            found = place_trials(
                trials, n_frames + off, "auto", length=length, context=context
            ).layout
        except UserError as error:
            refused = refused or error
        else:
            return "cumulative" if found == "cumulative" else "fixed"
    assert refused is not None
    raise refused


def _cut_off(placement: Placement, files: Sequence[TrialLabels], n_frames: int) -> Placement:
    """What is left of labels on a video of which only the first `n_frames` frames decode, and what is lost."""
    sources = {t.number: t.source for t in files}
    trials, findings = [], []
    for trial in placement.trials:
        source = sources.get(trial.number) or files[0].source
        labelled = trial.start + np.flatnonzero(placement.labels[trial.start : trial.stop] >= 0)
        who = f"trial {trial.number}" if trial.number in sources else "it"
        if (labelled >= n_frames).any():
            first = max(n_frames, int(labelled[0]))
            what = f"{who} labels frames [{first}, {int(labelled[-1]) + 1}), and only {n_frames} frames decode"
            findings.append(
                Finding("warning", str(source), what, "these labels are lost", "labels-lost")
            )
        if trial.start < n_frames:
            trials.append(Trial(trial.number, trial.start, min(trial.stop, n_frames)))
    return Placement(
        placement.labels[:n_frames],
        tuple(trials),
        placement.layout,
        placement.skipped,
        tuple(findings),
    )


def _doubts(trials: Sequence[TrialLabels], placement: Placement, n_frames: int) -> list[Finding]:
    """Files of which nobody can tell in which way they count."""
    findings = []
    for trial in trials:
        alone = placement.layout == "cumulative" and trial.gapless and trial.counted_from == 1
        if not trial.doubt or alone:  # a trial that follows another is as long as its file
            continue
        of = (
            f"its video has {n_frames} frames"
            if trial.number is None
            else f"it is of trial {trial.number}"
        )
        what = f"{trial.doubt} ({of}); taken to count from {trial.counted_from}"
        remedy = "settle it with --label_counts_from 0 or 1"
        findings.append(Finding("warning", str(trial.source), what, remedy, "label-counting"))
    return findings
