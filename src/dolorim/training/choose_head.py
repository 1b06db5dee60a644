"""Choose what decides in a run: a quick head, the network, or their mean.

Quick heads are compared on inner folds of the training animals. The network has learned from all
of these, so it is compared with the quick head on validation animals; they have also chosen its
checkpoint, which favors it a little. Test animals have no part in any of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dolorim.config import Config
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.inference.frame_features import FrameStore
from dolorim.inference.head import NETWORK, Head
from dolorim.inference.predictor import predictor_with
from dolorim.inference.run_folder import RunFolder
from dolorim.metrics.intervals import FEWEST_ANIMALS
from dolorim.models.quick_heads import QuickHead
from dolorim.terminal import say
from dolorim.training.head_scores import (
    HeadScore,
    Stretch,
    score_head,
    standard_error,
)
from dolorim.training.losses import learned_shares
from dolorim.training.module import Learner
from dolorim.training.quick import (
    KINDS,
    LeftOut,
    Teacher,
    best_strength,
    empty_recognizer,
    head_scores,
    labelled_stretches_of,
    leave_out,
    new_quick,
    prepare_quick,
    units_between,
)

Shares = Mapping[str, float]
_LEAST = 1e-12
_EQUAL = 0.5
# Shares of the network, the preferred first. Over few animals the lead of one candidate is mostly
# chance, and learners of different kinds err in different frames, so their equal mean goes first.
_NETWORK_SHARES = (_EQUAL, 0.0, 1.0, 1 / 3, 2 / 3)


@dataclass(frozen=True)
class Choice:
    """Shares of heads, the reason for them, and the scores that were compared."""

    shares: dict[str, float]
    why: str
    scores: tuple[dict[str, Any], ...] = ()


def choose_head(
    config: Config, run: RunFolder, learner: Learner, recordings: Sequence[LabelledRecording]
) -> None:
    """Fit quick heads to the training `recordings`, choose, and write weights and `head.json`."""
    empty = empty_recognizer(config, run.read_skeleton(), recordings)
    store = FrameStore(predictor_with(run, empty), config)
    shares = learned_shares(config.train, learner.shares)
    teacher = prepare_quick(config, store, recordings, shares, learner.decoder.prior)
    if not teacher.can_learn:
        why = "the training animals show fewer than two behaviors, so quick heads learn nothing"
        _write(run, learner, Head({NETWORK: 1.0}, why))
        return
    strength, linear = best_strength(teacher, store.model)
    quick = choose_quick(teacher, _with_trees(teacher, store, linear))
    everything = range(len(recordings))
    heads: dict[str, QuickHead] = {}
    for kind in KINDS:
        if kind in quick.shares:
            heads[kind] = teacher.fit(kind, everything, strength)
    windows = store.model.windows.tolist()
    weights = [quick.shares[kind] for kind in heads]
    model = new_quick(config, run.read_skeleton(), windows, heads, weights)
    left_out = _validation_scores(run, learner, store, heads, quick.shares)
    choice = choose_network_share(left_out, quick, teacher.log_prior)
    if config.model.tasks == "multitask":  # the network stays, because it finds the keypoints
        choice.shares.setdefault(NETWORK, 0.0)
    head = Head(choice.shares, choice.why, (*quick.scores, *choice.scores))
    _write(run, learner, head, model)


def choose_quick(teacher: Teacher, left_out: LeftOut) -> Choice:
    """Linear, trees or both, by their scores on inner folds."""
    both: dict[str, float] = {kind: 1 / len(KINDS) for kind in KINDS}
    candidates: dict[str, Shares] = {" + ".join(KINDS): both}
    candidates |= {kind: {kind: 1.0} for kind in KINDS}
    animals = {stretch.animal for stretch in left_out.stretches}
    if len(animals) < FEWEST_ANIMALS:
        why = f"fewer than {FEWEST_ANIMALS} training animals, so linear and trees share equally"
        return Choice(both, why)
    return _choose(candidates, left_out, teacher.log_prior, "training animals, inner folds")


def choose_network_share(left_out: LeftOut, quick: Choice, log_prior: np.ndarray) -> Choice:
    """The network, the chosen quick heads or their mean, by their scores on validation animals.

    `left_out` has the scores of `network` and of `quick`.
    """
    candidates: dict[str, Shares] = {}
    for share in _NETWORK_SHARES:
        shares = {NETWORK: share, "quick": 1 - share}
        candidates[_name(shares)] = {k: v for k, v in shares.items() if v}
    n_animals = len({stretch.animal for stretch in left_out.stretches})
    if n_animals < FEWEST_ANIMALS:
        equal = {NETWORK: _EQUAL, "quick": _EQUAL}
        why = f"fewer than {FEWEST_ANIMALS} validation animals, so both share equally"
        choice = Choice(equal, why)
    else:
        choice = _choose(candidates, left_out, log_prior, f"{n_animals} validation animals")
    own = choice.shares.pop("quick", 0.0)
    if own:
        choice.shares.update({kind: own * share for kind, share in quick.shares.items()})
    why = f"network or quick heads: {choice.why}"
    if own:
        why += f"; among quick heads: {quick.why}"
    return Choice(choice.shares, why, choice.scores)


def _choose(
    candidates: Mapping[str, Shares], left_out: LeftOut, log_prior: np.ndarray, where: str
) -> Choice:
    """The first candidate that is at most a standard error (over animals) behind the best one."""
    scores: dict[str, HeadScore] = {}
    for name, shares in candidates.items():
        mixed = [
            sum((share * left_out.scores[part][i] for part, share in shares.items()), np.zeros(()))
            for i in range(len(left_out.stretches))
        ]
        scores[name] = score_head(left_out.stretches, mixed, log_prior)
    best = max(scores, key=lambda name: scores[name].sum)
    errors = {name: standard_error(scores[best], score) for name, score in scores.items()}
    chosen = next(n for n in scores if scores[best].sum - scores[n].sum <= errors[n])
    table = tuple(
        {
            "head": name,
            "on": where,
            "macro_f1": round(score.macro_f1, 4),
            "f1_50": round(100 * score.f1_50, 2),
            "standard_error_to_best": round(errors[name], 4),
        }
        for name, score in scores.items()
    )
    chosen_score = scores[chosen]
    figures = f"macro-F1 {chosen_score.macro_f1:.3f}, F1@50 {100 * chosen_score.f1_50:.1f}"
    why = f"{chosen} ({figures} on {where})"
    if chosen == best:
        why += " is the best"
    else:
        lead = scores[best].sum - chosen_score.sum
        margin = f"{lead:.3f} +- {errors[chosen]:.3f}"
        why += f" is kept: the lead of {best} ({margin}) may be chance"
    return Choice(dict(candidates[chosen]), why, table)


def _name(shares: Shares) -> str:
    there = {name: share for name, share in shares.items() if share}
    if len(there) == 1:
        return next(iter(there))
    return " + ".join(f"{share:.2g} {name}" for name, share in there.items())


def _with_trees(teacher: Teacher, store: FrameStore, linear: LeftOut) -> LeftOut:
    """The scores of the linear head on inner folds, and those of trees beside them."""
    if not linear.stretches:
        return linear
    trees = leave_out(teacher, store.model, {"trees": ("trees", 0.0)})
    return LeftOut(linear.stretches, {**linear.scores, **trees.scores})


def _validation_scores(
    run: RunFolder,
    learner: Learner,
    store: FrameStore,
    heads: Mapping[str, QuickHead],
    shares: Shares,
) -> LeftOut:
    """Log probabilities of the network and of the quick heads' mean for validation animals."""
    predictor = predictor_with(run, learner.model)
    stretches: list[Stretch] = []
    scores: dict[str, list[np.ndarray]] = {NETWORK: [], "quick": []}
    frames = store.of_all(learner.val)
    every = units_between(frames)
    for recording, stored in zip(learner.val, frames, strict=True):
        probabilities = predictor(recording).probabilities
        for start, stop, stretch in labelled_stretches_of(recording, stored, every):
            stretches.append(stretch)
            scores[NETWORK].append(np.log(np.clip(probabilities[start:stop], _LEAST, None)))
            log_probabilities = head_scores(heads, stored.columns(store.model, start, stop))
            mean = sum((shares[kind] * log_probabilities[kind] for kind in heads), np.zeros(()))
            scores["quick"].append(mean)
    return LeftOut(stretches, scores)


def _write(run: RunFolder, learner: Learner, head: Head, quick: Any = None) -> None:
    has_network = NETWORK in head.shares
    run.save_model(learner.model if has_network else None, quick if head.quick_shares else None)
    run.write_json("head.json", head.to_dict())
    say(f"head: {head.name} ({head.why})")
