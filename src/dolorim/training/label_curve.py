"""Would labeling more help? The score of a quick head against the number of labeled bouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dolorim.core.errors import UserError
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.dataset.loading import load_dataset
from dolorim.inference.frame_features import FrameStore, StoredFrames
from dolorim.inference.predictor import predictor_with
from dolorim.inference.run_folder import RunFolder
from dolorim.metrics.intervals import FEWEST_ANIMALS, NO_INTERVAL, SHARE, jackknife_interval
from dolorim.terminal import progress
from dolorim.training.fit_quick_heads import STRENGTHS, Kind, fit_head
from dolorim.training.head_scores import HeadScore, Stretch, score_head
from dolorim.training.quick import (
    Teacher,
    empty_recognizer,
    head_scores,
    inner_folds,
    labelled_stretches_of,
    prepare_quick,
    units_between,
)
from dolorim.training.train_quick import learned_and_base

SHARES = (0.1, 0.25, 0.5, 1.0)
DRAWS = 5
_NOTHING = 0.02  # macro-F1 that is not worth labeling for


@dataclass(frozen=True)
class _Fold:
    """The recordings to learn from, and stretches of other animals with their columns."""

    learned_from: list[int]
    stretches: list[Stretch]
    columns: list[torch.Tensor]


@dataclass(frozen=True)
class _Learned:
    """What heads are fitted to, and the folds of animals on which they are scored."""

    teacher: Teacher
    kind: Kind
    part: str
    folds: list[_Fold]

    @property
    def stretches(self) -> list[Stretch]:
        return [stretch for fold in self.folds for stretch in fold.stretches]

    def score(self, bouts: np.ndarray) -> HeadScore | None:
        """The score of heads that are fitted to some bouts; None for bouts of one behavior."""
        teacher, log_probabilities = self.teacher, []
        for fold in self.folds:
            rows = teacher.rows.of(fold.learned_from).of_bouts(bouts)
            if len(np.unique(rows.labels)) < 2:
                return None
            weights, n_classes = rows.weights(teacher.shares), len(teacher.shares)
            data = (rows.columns, rows.labels, weights)
            head = fit_head(self.kind, *data, n_classes, STRENGTHS[1], teacher.seed)
            for columns in fold.columns:
                log_probabilities.append(head_scores({self.kind: head}, columns)[self.kind])
        return score_head(self.stretches, log_probabilities, teacher.log_prior)


def label_curve(run: RunFolder, draws: int = DRAWS) -> dict[str, Any]:
    """Refit a quick head to random subsets of the training bouts, and score it on held-out animals.

    Within a draw, a smaller subset is part of each larger one. Held out are the test animals, or
    the validation animals where there are none; in a run that has learned from all animals, each
    is left out in turn. The result, also written to `label_curve.json`, has a point for each share
    of the bouts, and a `sentence`. Raises `UserError` where there is one animal alone, or the
    training animals show fewer than two behaviors.
    """
    learned = _learned(run)
    bouts = np.unique(learned.teacher.rows.bout)
    rng = np.random.default_rng(learned.teacher.seed)
    scores: dict[float, list[HeadScore]] = {share: [] for share in SHARES}
    with progress("fitting to subsets", draws * len(SHARES)) as bar:
        for draw in range(draws):
            order = rng.permutation(bouts)
            for share in SHARES:
                # All bouts are the same in every draw.
                if share < 1 or draw == 0:
                    score = learned.score(order[: _many(share, len(bouts))])
                    scores[share] += [] if score is None else [score]
                bar(1)
    points = [
        _point(s, _many(s, len(bouts)), of_share) for s, of_share in scores.items() if of_share
    ]
    curve = {
        "head": learned.kind,
        "part": learned.part,
        "animals": sorted({stretch.animal for stretch in learned.stretches}),
        "draws": draws,
        "points": points,
        "sentence": _sentence(points, scores, learned.kind),
    }
    run.write_json("label_curve.json", curve)
    return curve


def _learned(run: RunFolder) -> _Learned:
    config, split = run.read_config(), run.read_split()
    dataset = load_dataset(config, run.read_body_lengths())
    part = "test" if split.test else "val"
    recordings, held_out = dataset.part(split.train), dataset.part(getattr(split, part))
    shares, base = learned_and_base(config, dataset, recordings)
    empty = empty_recognizer(config, dataset.skeleton, recordings)
    store = FrameStore(predictor_with(run, empty), config)
    teacher = prepare_quick(config, store, recordings, shares, base.prior)
    if not teacher.can_learn:
        raise UserError(f"{run.path}: its training animals show fewer than two behaviors")
    if held_out:
        frames, everything = store.of_all(held_out), list(range(len(recordings)))
        folds = [_fold(everything, held_out, frames, store)]
        return _Learned(teacher, _kind_of(run), part, folds)
    folds = []
    for out in inner_folds(teacher.animals):
        others = [i for i in range(len(recordings)) if i not in out]
        left_out = [recordings[i] for i in out]
        folds.append(_fold(others, left_out, [teacher.frames[i] for i in out], store))
    if not folds:
        raise UserError(f"{run.path}: shows one animal alone, so nothing can be scored on another")
    return _Learned(teacher, _kind_of(run), "animals left out in turn", folds)


def _fold(
    learned_from: list[int],
    held_out: Sequence[LabelledRecording],
    frames: Sequence[StoredFrames],
    store: FrameStore,
) -> _Fold:
    fold, every = _Fold(learned_from, [], []), units_between(frames)
    for recording, stored in zip(held_out, frames, strict=True):
        for start, stop, stretch in labelled_stretches_of(recording, stored, every):
            fold.stretches.append(stretch)
            fold.columns.append(stored.columns(store.model, start, stop))
    return fold


def _many(share: float, n_bouts: int) -> int:
    """How many bouts a share is; one alone shows no two behaviors."""
    return max(2, round(share * n_bouts))


def _kind_of(run: RunFolder) -> Kind:
    """The quick head of the run with the largest share; linear for a run of a network alone."""
    shares = run.read_head().quick_shares
    return "trees" if shares.get("trees", 0.0) > shares.get("linear", 0.0) else "linear"


def _point(share: float, n_bouts: int, scores: Sequence[HeadScore]) -> dict[str, Any]:
    """Mean scores over draws at one share of the bouts, and an interval over animals."""
    macro_f1 = float(np.mean([s.macro_f1 for s in scores]))
    without = np.mean([s.macro_f1_without for s in scores], axis=0)
    low, high = NO_INTERVAL
    if len(without) >= FEWEST_ANIMALS:
        low, high = jackknife_interval(macro_f1, [without], SHARE)
    interval = None if np.isnan(low) else [round(low, 4), round(high, 4)]
    return {
        "share": share,
        "bouts": n_bouts,
        "macro_f1": round(macro_f1, 4),
        "interval": interval,
        "lowest_draw": round(min(s.macro_f1 for s in scores), 4),
        "highest_draw": round(max(s.macro_f1 for s in scores), 4),
        "f1_50": round(100 * float(np.mean([s.f1_50 for s in scores])), 2),
    }


def _sentence(
    points: Sequence[dict[str, Any]], scores: dict[float, list[HeadScore]], kind: Kind
) -> str:
    """Whether twice as many labels have helped more than chance among draws explains."""
    halves, [whole] = scores[0.5], scores[1.0]
    if len(halves) < 2:
        return "Too few labeled bouts to draw subsets from: nothing can be said."
    gains = np.array([whole.macro_f1 - half.macro_f1 for half in halves])
    gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
    counted = f"from half of the {points[-1]['bouts']} bouts to all, macro-F1 of {kind}"
    if gain > 2 * error and gain > _NOTHING / 2:
        return f"Labeling more would help: {counted} rose by {gain:.3f}."
    if gain + 2 * error < _NOTHING:
        return f"Labeling more of the same would hardly help: {counted} changed by {gain:+.3f}."
    return (
        f"Whether labeling more would help cannot be told: {counted} changed by {gain:+.3f}, "
        f"and {2 * error:.3f} of that may be chance."
    )
