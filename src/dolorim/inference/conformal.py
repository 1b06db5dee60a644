"""Which classes can a frame still be? Class-conditional conformal sets, calibrated on animals,
and abstention.

What is guaranteed: if animals are exchangeable, a frame of class c, drawn from a new animal that
shows c, has c in its set with a probability of at least 1 - alpha. That is a mean over animals
and over their frames, each animal weighing the same (hierarchical conformal prediction, Lee,
Barber & Willett 2023, arXiv:2306.06342); it promises nothing about the worst animal, nor about
neighboring frames. Of n animals, 1/(n+1) of alpha goes to what the new one may be like. Where
that is more than half of it, sets would hold nearly everything: then the threshold of the most
difficult animal is taken, and `guaranteed` is false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.structured import STRICT, Number, as_dataclass
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import UNLABELED
from dolorim.terminal import warn

LEAST_ANIMALS = 3  # with fewer, a threshold tells what these few are like and nothing else
_ROUNDING = 1e-9  # by which two levels that are meant to be the same may differ


@dataclass(frozen=True)
class Conformal:
    """A frame's set holds the classes whose calibrated probability is at least their threshold.

    All lists are by class. `thresholds` are probabilities, `animals` the number of animals that
    each threshold rests on, and `guaranteed` tells whether that is enough.
    """

    __pydantic_config__ = STRICT

    alpha: Number
    thresholds: tuple[Number, ...]
    animals: tuple[int, ...]
    guaranteed: tuple[bool, ...]

    def sets(self, probabilities: np.ndarray) -> np.ndarray:
        """Membership `(time, classes)` of probabilities `(time, classes)`.

        A frame with a NaN can be anything.
        """
        return ~(probabilities < np.asarray(self.thresholds))

    def to_dict(self) -> dict[str, Any]:
        """One of the `sets` of `conformal.json`."""
        values = asdict(self)
        for name, value in values.items():
            if isinstance(value, tuple):
                values[name] = list(value)
        return values

    @classmethod
    def from_dict(cls, data: Any, where: object = "conformal.json") -> Conformal:
        """Read `to_dict` back. Raises `UserError` for other keys and values."""
        return as_dataclass(cls, data, where, "train again")


def calibrate_conformal(
    probabilities: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    animals: Sequence[str],
    alpha: float = 0.1,
) -> Conformal:
    """Thresholds from calibrated probabilities `(time, classes)` and labels `(time,)` of held-out
    animals.

    The animals must not have been learned from. Those that chose the checkpoint or the decoder can
    be used, but their sets are a little too small. Raises `ValueError` for an alpha outside (0, 1)
    and for no recordings.
    """
    if not 0 < alpha < 1 or not len(probabilities):
        raise ValueError(
            f"expected recordings and an alpha between 0 and 1, got {len(probabilities)} and "
            f"{alpha}"
        )
    by_class = range(np.shape(probabilities[0])[1])
    scores = [_scores_by_animal(c, probabilities, labels, animals) for c in by_class]
    n_animals = [len(of_class) for of_class in scores]
    return Conformal(
        alpha,
        thresholds=tuple(_threshold(of_class, alpha) for of_class in scores),
        animals=tuple(n_animals),
        guaranteed=tuple(_enough(n, alpha) for n in n_animals),
    )


def _scores_by_animal(
    label: int,
    probabilities: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    animals: Sequence[str],
) -> list[np.ndarray]:
    """For each animal that shows a class, the probabilities of the class on its frames, sorted."""
    by_animal: dict[str, list[np.ndarray]] = {}
    for p, truth, animal in zip(probabilities, labels, animals, strict=True):
        own = p[truth == label, label]
        own = own[~np.isnan(own)]
        if len(own):
            by_animal.setdefault(animal, []).append(own)
    return [np.sort(np.concatenate(parts)) for parts in by_animal.values()]


def _enough(animals: int, alpha: float) -> bool:
    return animals + 1 >= 2 / alpha - _ROUNDING


def _threshold(scores: Sequence[np.ndarray], alpha: float) -> float:
    """The highest threshold that leaves out at most a share alpha of the scores.

    `scores` are those of each animal, sorted. Those of a new animal count as one more.
    """
    n_animals = len(scores)
    if n_animals == 0:
        return 0.0  # never seen: it can be anywhere
    if not _enough(n_animals, alpha):
        return min(float(own[int(alpha * len(own))]) for own in scores)
    values = np.concatenate(scores)
    # Each animal weighs the same, however many frames it has.
    share = 1 / (n_animals + 1)
    weights = np.concatenate([np.full(len(own), share / len(own)) for own in scores])
    order = np.argsort(values)
    # The new animal's mass lies below everything; what is left of alpha may be cut off.
    below = share + np.cumsum(weights[order]) - weights[order]
    last = int(np.searchsorted(below, alpha + 1e-12, "right")) - 1
    return float(values[order[last]])


def abstain(labels: np.ndarray, probabilities: np.ndarray, conformal: Conformal) -> np.ndarray:
    """Labels `(time,)` int16 that stay only where the frame's set is that label alone.

    All others become -1.
    """
    member = conformal.sets(probabilities)
    is_sure = (member.sum(1) == 1) & (member.argmax(1) == labels)
    return np.where(is_sure, labels, UNLABELED).astype(np.int16)


def read_sets(
    run: RunFolder, alpha: float, classes: Sequence[str], for_run: RunFolder | None = None
) -> Conformal:
    """The run's sets at a level, with a warning about what they do not promise.

    With `for_run`, they are to be used on the probabilities of another run, which must be of the
    same kind. A class that no calibration animal shows could be anywhere, and every frame would
    stay open: it is judged by the lowest threshold of the others instead. Raises `UserError` where
    there are no such sets.
    """
    path = run.path / "conformal.json"
    if not path.exists():
        raise UserError(
            f"the run has no conformal sets, which need {LEAST_ANIMALS} held-out animals",
            where=path,
            remedy="train with more --val_animals, or name a cross-validated run of the same "
            "recipe with --abstain_by",
        )
    contents = run.read_json(path.name)
    data = contents if isinstance(contents, dict) else {}
    at_levels = [Conformal.from_dict(entry, path) for entry in data.get("sets", ())]
    sets = _at_level(at_levels, alpha)
    own_classes = run.read_ethogram().classes
    if len(sets.thresholds) != len(classes) or own_classes != tuple(classes):
        raise UserError(
            f"its sets are of {', '.join(own_classes)}, not {', '.join(classes)}", where=path
        )
    if for_run is not None:
        _refuse_other_probabilities(run, for_run, bool(data.get("prior_corrected")))
    _warn_of_weak_classes(sets, classes)
    return _with_unseen_classes(sets)


def _at_level(sets: Sequence[Conformal], alpha: float) -> Conformal:
    for conformal in sets:
        if abs(conformal.alpha - alpha) < _ROUNDING:
            return conformal
    levels = ", ".join(f"{conformal.alpha:g}" for conformal in sets)
    raise UserError(f"--abstain {alpha:g}: expected one of {levels}")


def _with_unseen_classes(sets: Conformal) -> Conformal:
    """The sets, in which classes that no animal shows have the lowest threshold of the others."""
    by_class = list(zip(sets.thresholds, sets.animals, strict=True))
    lowest = min((threshold for threshold, n in by_class if n), default=0.0)
    thresholds = tuple(threshold if n else lowest for threshold, n in by_class)
    return replace(sets, thresholds=thresholds)


def _refuse_other_probabilities(run: RunFolder, for_run: RunFolder, corrected: bool) -> None:
    """Raises `UserError` where the probabilities of one run are corrected for what training drew,
    and those of the other are not.
    """
    if corrects_prior(for_run) == corrected:
        return
    newer, older = (run.path, for_run.path) if corrected else (for_run.path, run.path)
    raise UserError(
        f"probabilities of {newer} are corrected for what training drew, those of {older} (made by "
        "an older version) are not, so the sets of one do not fit the other",
        where=run.path / "conformal.json",
        remedy="train the older one again",
    )


def _warn_of_weak_classes(sets: Conformal, classes: Sequence[str]) -> None:
    """Name the classes that too few held-out animals show for a guarantee."""
    by_class = zip(classes, sets.animals, sets.guaranteed, strict=True)
    weak = [f"{name} ({n})" for name, n, is_guaranteed in by_class if not is_guaranteed]
    if weak:
        needed = ceil(2 / sets.alpha - _ROUNDING) - 1
        warn(
            f"at alpha {sets.alpha:g} nothing is promised for classes that fewer than {needed} "
            f"held-out animals show: {', '.join(weak)}"
        )


def corrects_prior(run: RunFolder) -> bool:
    """Are the probabilities corrected for what was drawn and weighted in training?

    In version 0.1.0 they are not.
    """
    paths = [*run.path.glob("decoder.json"), *run.path.glob("folds/*/decoder.json")]
    return any(RunFolder(path.parent).read_decoder().prior for path in paths)
