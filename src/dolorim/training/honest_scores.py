"""How well the linear head does on animals that it has not seen, with its penalty chosen without
them.

Animals are in folds. The labels of a fold's animals come from a head that was fitted to the other
folds, with the penalty, and the power of the prior's correction, that did best on these when each
of them was left out, too. So every label counts once as a test, and nothing was chosen by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from dolorim.core.wording import counted
from dolorim.inference.decoder import prior_factors
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import Ethogram
from dolorim.metrics.intervals import FEWEST_ANIMALS
from dolorim.metrics.summary import Scored, summarize
from dolorim.models.quick import QuickRecognizer
from dolorim.models.quick_heads import QuickHead
from dolorim.training.fit_quick_heads import STRENGTHS
from dolorim.training.head_scores import POWERS, Stretch, score_labels, smoothed
from dolorim.training.quick import (
    Teacher,
    head_scores,
    inner_folds,
    labelled_stretches_of,
    units_between,
)

FILE = "cross_validated.json"


@dataclass(frozen=True)
class _Piece:
    """A labeled stretch of a recording, with what heads read of it `(time, columns)`."""

    recording: int
    stretch: Stretch
    columns: torch.Tensor


@dataclass(frozen=True)
class _Told:
    """Log probabilities `(time, classes)` for a piece, and the correction of the prior."""

    scores: np.ndarray
    log_prior: np.ndarray

    def labels(self, power: float, rate_hz: float) -> np.ndarray:
        return smoothed(self.scores + power * self.log_prior, rate_hz).argmax(1)


@dataclass(frozen=True)
class LeftOutScores:
    """What heads say of animals that they have not seen: log probabilities of each stretch.

    `figures` are those of `metrics.json`, with a `sentence`.
    """

    strength: float
    stretches: list[Stretch]
    scores: list[np.ndarray]
    figures: dict[str, Any]


class CrossValidation:
    """Linear heads that are fitted without some of the animals, each once."""

    def __init__(self, teacher: Teacher, model: QuickRecognizer) -> None:
        self.teacher, self.model = teacher, model
        self.folds = inner_folds(teacher.animals)
        self._heads: dict[tuple[frozenset[int], float], QuickHead | None] = {}

    @cached_property
    def pieces(self) -> list[_Piece]:
        every, pieces = units_between(self.teacher.frames), []
        pairs = zip(self.teacher.recordings, self.teacher.frames, strict=True)
        for i, (recording, frames) in enumerate(pairs):
            for start, stop, stretch in labelled_stretches_of(recording, frames, every):
                pieces.append(_Piece(i, stretch, frames.columns(self.model, start, stop)))
        return pieces

    def told(self, fold: int, besides: Sequence[int], strength: float) -> list[_Told] | None:
        """What a head says of a fold that was fitted without it, and without the folds `besides`.

        None where the other folds show one behavior alone.
        """
        out = {fold, *besides}
        others = [i for k, part in enumerate(self.folds) if k not in out for i in part]
        key = (frozenset(out), strength)
        if key not in self._heads:
            self._heads[key] = self._fit(others, strength)
        head = self._heads[key]
        if head is None:
            return None
        log_prior = self._log_prior(others)
        told = []
        for piece in self.of_fold(fold):
            scores = head_scores({"linear": head}, piece.columns)["linear"]
            told.append(_Told(scores, log_prior))
        return told

    def _fit(self, recordings: Sequence[int], strength: float) -> QuickHead | None:
        if len(np.unique(self.teacher.rows.of(recordings).labels)) < 2:
            return None
        return self.teacher.fit("linear", recordings, strength)

    def _log_prior(self, recordings: Sequence[int]) -> np.ndarray:
        """The correction of the prior by the labels of these recordings."""
        n_classes = len(self.teacher.shares)
        if not self.teacher.log_prior.any():
            return np.zeros(n_classes)
        counts = np.zeros(n_classes)
        for i in recordings:
            labels = np.asarray(self.teacher.recordings[i].recording.labels)
            counts += np.bincount(labels[labels >= 0], minlength=n_classes)
        return np.log(np.asarray(prior_factors(counts, self.teacher.shares)))

    def of_fold(self, fold: int) -> list[_Piece]:
        return [piece for piece in self.pieces if piece.recording in self.folds[fold]]

    def best(self, folds: Sequence[int], besides: Sequence[int] = ()) -> tuple[float, float]:
        """The penalty and the power of the prior that do best on folds, each left out in turn."""
        best, highest = (STRENGTHS[1], 1.0), -np.inf
        for strength in STRENGTHS:
            pieces, told = [], []
            for fold in folds:
                said = self.told(fold, besides, strength)
                if said is not None:
                    pieces += self.of_fold(fold)
                    told += said
            if not pieces:
                continue
            for power in POWERS:
                score = self._score(pieces, told, power)
                if score > highest:
                    best, highest = (strength, power), score
        return best

    def _score(self, pieces: Sequence[_Piece], told: Sequence[_Told], power: float) -> float:
        stretches = [piece.stretch for piece in pieces]
        labels = [
            one.labels(power, stretch.rate_hz) for one, stretch in zip(told, stretches, strict=True)
        ]
        return score_labels(stretches, labels, len(self.teacher.shares)).sum


def score_left_out(
    teacher: Teacher, model: QuickRecognizer, ethogram: Ethogram
) -> LeftOutScores | None:
    """Score linear heads on animals left out, and choose the penalty for all animals together.

    None if there are not two animals that each show what the other can be learned from.
    """
    validation = CrossValidation(teacher, model)
    folds = range(len(validation.folds))
    strength = validation.best(folds)[0] if len(folds) > 1 else STRENGTHS[1]
    stretches: list[Stretch] = []
    scores: list[np.ndarray] = []
    scored: list[Scored] = []
    for fold in folds:
        others = [k for k in folds if k != fold]
        # With two folds there is nothing to choose by: the usual values serve.
        own_strength, power = validation.best(others, [fold])
        told = validation.told(fold, [], own_strength)
        for piece, one in zip(validation.of_fold(fold), told or [], strict=False):
            stretches.append(piece.stretch)
            scores.append(one.scores)
            labels = one.labels(power, piece.stretch.rate_hz)
            scored.append(Scored(piece.stretch.animal, piece.stretch.labels, labels))
    if not scored:
        return None
    figures = summarize(scored, ethogram.classes, ethogram.background)
    figures["sentence"] = sentence_of(figures)
    return LeftOutScores(strength, stretches, scores, figures)


def sentence_of(figures: dict[str, Any]) -> str:
    """The macro-F1 on animals left out, with its interval if there are animals enough."""
    animals = counted(len(figures["animals"]), "animal")
    text = f"macro-F1 on {animals} left out in turn: {figures['macro_f1']:.2f}"
    interval = figures.get("intervals", {}).get("macro_f1")
    if interval is not None:
        return f"{text} ({interval[0]:.2f} to {interval[1]:.2f})"
    return f"{text}; an interval takes {FEWEST_ANIMALS} animals"


def write_scores(run: RunFolder, left_out: LeftOutScores | None) -> str:
    """Write the scores to the run, and return the sentence about them."""
    if left_out is None:
        text = (
            "no score on animals left out: label two behaviors in each of two animals or more, "
            "so that each can be told by the others"
        )
        run.write_json(FILE, {"sentence": text})
        return text
    run.write_json(FILE, left_out.figures)
    return str(left_out.figures["sentence"])
