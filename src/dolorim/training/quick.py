"""Train quick heads: fit them to the training animals, and compare them on animals left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dolorim.config import Config
from dolorim.core.clock import rate_of
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.inference.encoder_folder import load_encoder_folder
from dolorim.inference.frame_features import FrameStore, StoredFrames
from dolorim.models.build import build_quick
from dolorim.models.frame_encoder import WindowEncoder
from dolorim.models.pretrained import Pretrained, load_encoder
from dolorim.models.quick import QuickRecognizer
from dolorim.models.quick_heads import QuickHead
from dolorim.pose.pose import Skeleton
from dolorim.training.fit_quick_heads import STRENGTHS, Kind, fit_head
from dolorim.training.head_scores import HeadScore, Stretch, score_head
from dolorim.training.quick_rows import QuickRows, rows_of, windows_at, without_streams

KINDS: tuple[Kind, ...] = ("linear", "trees")  # from the simplest on
_INNER_FOLDS = 4
_SCORED = 40_000  # frames that heads are compared on, spread over all recordings


@dataclass(frozen=True)
class Teacher:
    """What quick heads learn from and how their probabilities are corrected.

    `shares` `(classes,)` are those that classes have among what is learned from, and `log_prior`
    `(classes,)` the logarithms of the factors that correct for them (`prior_factors`).
    """

    recordings: Sequence[LabelledRecording]
    frames: Sequence[StoredFrames]
    rows: QuickRows
    shares: np.ndarray
    log_prior: np.ndarray
    seed: int = 0

    @property
    def animals(self) -> list[str]:
        return [r.recording.animal for r in self.recordings]

    @property
    def can_learn(self) -> bool:
        """Are there two behaviors to tell apart?"""
        return len(np.unique(self.rows.labels)) > 1

    def fit(self, kind: Kind, recordings: Sequence[int], strength: float) -> QuickHead:
        """One head, fitted to some of the recordings."""
        rows = self.rows.of(recordings)
        weights = rows.weights(self.shares)
        n_classes = len(self.shares)
        return fit_head(kind, rows.columns, rows.labels, weights, n_classes, strength, self.seed)


@dataclass(frozen=True)
class LeftOut:
    """Log probabilities of heads, by name, for stretches of animals that they have not seen."""

    stretches: list[Stretch]
    scores: dict[str, list[np.ndarray]]


def empty_recognizer(
    config: Config, skeleton: Skeleton, recordings: Sequence[LabelledRecording]
) -> QuickRecognizer:
    """A quick recognizer without heads, for recordings of this frame rate."""
    rate_hz = float(np.median([rate_of(r.time_s) for r in recordings]))
    return new_quick(config, skeleton, windows_at(rate_hz))


def new_quick(
    config: Config,
    skeleton: Skeleton,
    windows: Sequence[int],
    heads: Mapping[str, QuickHead] | None = None,
    weights: Sequence[float] = (),
) -> QuickRecognizer:
    """A quick recognizer with the weights of the encoder that the settings name."""
    model = build_quick(config, skeleton, windows, heads, weights)
    for seen in () if model.visual is None else model.visual.encoders:
        if isinstance(seen, WindowEncoder):
            encoder = load_encoder_folder(Path(config.model.encoder))
            seen.network.load_state_dict(encoder.network.state_dict())
        elif isinstance(seen, Pretrained):
            load_encoder(seen, config.model.encoder_weights)
    return model


def prepare_quick(
    config: Config,
    store: FrameStore,
    recordings: Sequence[LabelledRecording],
    shares: np.ndarray,
    prior: Sequence[float],
) -> Teacher:
    """Compute or read the features of the training recordings, and choose the rows."""
    frames = store.of_all(recordings)
    labels = [np.asarray(r.recording.labels) for r in recordings]
    rows = rows_of(frames, labels, store.model, len(shares))
    model, settings = store.model, config.train
    rows = without_streams(rows, model.widths, config.model.modality_dropout, settings.seed)
    log_prior = np.log(np.asarray(prior)) if prior else np.zeros(len(shares))
    return Teacher(recordings, frames, rows, shares, log_prior, settings.seed)


def inner_folds(animals: Sequence[str]) -> list[list[int]]:
    """Indices of the recordings in each fold; all of an animal are in one. Empty for one animal."""
    names = sorted(set(animals))
    if len(names) < 2:
        return []
    n_folds = min(_INNER_FOLDS, len(names))
    return [
        [i for i, animal in enumerate(animals) if names.index(animal) % n_folds == k]
        for k in range(n_folds)
    ]


def leave_out(
    teacher: Teacher, model: QuickRecognizer, wanted: Mapping[str, tuple[Kind, float]]
) -> LeftOut:
    """Fit heads to all inner folds but one, and let them score stretches of the one left out."""
    every = units_between(teacher.frames)
    result = LeftOut([], {name: [] for name in wanted})
    for fold in inner_folds(teacher.animals):
        others = [i for i in range(len(teacher.recordings)) if i not in fold]
        if len(np.unique(teacher.rows.of(others).labels)) < 2:
            continue  # the others show one behavior alone
        heads = {name: teacher.fit(kind, others, s) for name, (kind, s) in wanted.items()}
        for i in fold:
            stretches = labelled_stretches_of(teacher.recordings[i], teacher.frames[i], every)
            for start, stop, stretch in stretches:
                result.stretches.append(stretch)
                scores = head_scores(heads, teacher.frames[i].columns(model, start, stop))
                for name, values in scores.items():
                    result.scores[name].append(values)
    return result


def labelled_stretches_of(
    recording: LabelledRecording, frames: StoredFrames, every: int
) -> list[tuple[int, int, Stretch]]:
    """Every `every`-th unit of a recording that holds labels, as frames `[start, stop)`."""
    labels, rate_hz = np.asarray(recording.recording.labels), rate_of(recording.time_s)
    stretches = []
    for start, stop in frames.units(every):
        if (labels[start:stop] >= 0).any():
            stretch = Stretch(recording.recording.animal, labels[start:stop], rate_hz)
            stretches.append((start, stop, stretch))
    return stretches


def head_scores(heads: Mapping[str, QuickHead], columns: torch.Tensor) -> dict[str, np.ndarray]:
    """Log probabilities `(time, classes)` of each head."""
    with torch.inference_mode():
        return {name: head(columns).numpy() for name, head in heads.items()}


def best_strength(teacher: Teacher, model: QuickRecognizer) -> tuple[float, LeftOut]:
    """The penalty of the linear head that does best on inner folds, and its scores there."""
    wanted: dict[str, tuple[Kind, float]] = {f"{s:g}": ("linear", s) for s in STRENGTHS}
    left_out = leave_out(teacher, model, wanted)
    if not left_out.stretches:
        return STRENGTHS[1], left_out
    scores = {name: _score(left_out, name, teacher).sum for name in wanted}
    best = max(wanted, key=lambda name: scores[name])
    return wanted[best][1], LeftOut(left_out.stretches, {"linear": left_out.scores[best]})


def _score(left_out: LeftOut, name: str, teacher: Teacher) -> HeadScore:
    return score_head(left_out.stretches, left_out.scores[name], teacher.log_prior)


def units_between(frames: Sequence[StoredFrames]) -> int:
    """Of all units of frames, every how many-th heads are compared on."""
    return max(1, round(sum(f.n_frames for f in frames) / _SCORED))
