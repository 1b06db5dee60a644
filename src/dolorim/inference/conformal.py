"""Which classes can a frame still be? Class-conditional conformal sets, calibrated on animals,
and abstention.

What is guaranteed: animals being exchangeable, a frame of class c, drawn from a new animal that
shows c, has c in its set with a probability of at least 1 - alpha. That is a mean over animals
and over their frames, each animal weighing the same (hierarchical conformal prediction, Lee,
Barber & Willett 2023, arXiv:2306.06342); it promises nothing about the worst animal, nor about
neighboring frames. Of n animals, 1/(n+1) of alpha goes to what the new one may be like. Where
that is more than half of it, sets would hold nearly everything: then the threshold of the most
difficult animal is taken, and `guaranteed` is false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from dolorim.core.errors import UserError
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import UNLABELED
from dolorim.terminal import warn

LEAST_ANIMALS = 3  # with fewer, a threshold says what these few are like and nothing else


@dataclass(frozen=True)
class Conformal:
    """A frame's set holds the classes whose calibrated probability is at least their threshold
    `(classes,)`.

    `animals` `(classes,)` says on how many animals each threshold rests, `guaranteed` whether
    that is enough.
    """

    alpha: float
    thresholds: tuple[float, ...]
    animals: tuple[int, ...]
    guaranteed: tuple[bool, ...]

    def sets(self, probabilities: np.ndarray) -> np.ndarray:
        """Membership `(time, classes)` of probabilities `(time, classes)`; a frame with a NaN can
        be anything.
        """
        return ~(probabilities < np.asarray(self.thresholds))

    def to_dict(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Any, where: str = "conformal.json") -> Conformal:
        """Read `to_dict` back. Raises `UserError` for other keys and values."""
        known = set(cls.__dataclass_fields__)
        if not isinstance(data, Mapping) or set(data) != known:
            raise UserError(
                f"{where}: expected the keys {', '.join(sorted(known))}, found "
                f"{', '.join(map(str, data))}"
            )
        try:
            return cls(
                float(data["alpha"]),
                tuple(map(float, data["thresholds"])),
                tuple(map(int, data["animals"])),
                tuple(map(bool, data["guaranteed"])),
            )
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{where}: holds something other than numbers ({error}); train again"
            ) from None


def calibrate_conformal(
    probabilities: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    animals: Sequence[str],
    alpha: float = 0.1,
) -> Conformal:
    """Thresholds from calibrated probabilities `(time, classes)` and labels `(time,)` of held-out
    animals.

    The animals must not have been learned from. Those that chose the checkpoint or the decoder
    serve, but their sets are a little too small. Raises `ValueError` for an alpha outside (0, 1)
    and for no recordings.
    """
    if not 0 < alpha < 1 or not len(probabilities):
        raise ValueError(
            f"expected recordings and an alpha between 0 and 1, got {len(probabilities)} and "
            f"{alpha}"
        )
    thresholds, counts = [], []
    for c in range(np.shape(probabilities[0])[1]):
        by_animal: dict[str, list[np.ndarray]] = {}
        for p, truth, animal in zip(probabilities, labels, animals, strict=True):
            own = p[truth == c, c]
            if len(own := own[~np.isnan(own)]):
                by_animal.setdefault(animal, []).append(own)
        scores = [np.sort(np.concatenate(parts)) for parts in by_animal.values()]
        counts.append(len(scores))
        thresholds.append(_threshold(scores, alpha))
    return Conformal(
        alpha, tuple(thresholds), tuple(counts), tuple(_enough(n, alpha) for n in counts)
    )


def _enough(animals: int, alpha: float) -> bool:
    return animals + 1 >= 2 / alpha - 1e-9


def _threshold(scores: Sequence[np.ndarray], alpha: float) -> float:
    """The highest threshold that leaves out at most a share alpha of the scores, those of a new
    animal counted in.
    """
    n = len(scores)
    if n == 0:
        return 0.0  # never seen: it can be anywhere
    if not _enough(n, alpha):
        return min(float(s[int(alpha * len(s))]) for s in scores)
    values = np.concatenate(scores)
    weights = np.concatenate([np.full(len(s), 1 / (len(s) * (n + 1))) for s in scores])
    order = np.argsort(values)
    # The new animal's mass, 1 / (n + 1), lies below everything; what is left of alpha may be cut
    # off.
    below = 1 / (n + 1) + np.cumsum(weights[order]) - weights[order]
    last = int(np.searchsorted(below, alpha + 1e-12, "right")) - 1
    return float(values[order[last]])


def abstain(labels: np.ndarray, probabilities: np.ndarray, conformal: Conformal) -> np.ndarray:
    """Labels `(time,)` int16 that stay only where the frame's set is that label alone; all others
    become -1.
    """
    member = conformal.sets(probabilities)
    sure = (member.sum(1) == 1) & (member.argmax(1) == labels)
    return np.where(sure, labels, UNLABELED).astype(np.int16)


def read_sets(
    run: RunFolder, alpha: float, classes: Sequence[str], for_run: RunFolder | None = None
) -> Conformal:
    """The run's sets at a level, and a warning of what they do not promise. Raises `UserError`
    where there are none.

    With `for_run`, they are to serve the probabilities of another run, which must be of the same
    kind. A class that no calibration animal shows could be anywhere, and every frame would stay
    open: it is judged by the lowest threshold of the others instead.
    """
    path = run.path / "conformal.json"
    if not path.exists():
        raise UserError(
            f"{path}: the run has no conformal sets, which need {LEAST_ANIMALS} held-out animals; "
            "train with more "
            f"--val_animals, or name a cross-validated run of the same recipe with --abstain_by"
        )
    data = run.read_json(path.name)
    found = (
        [Conformal.from_dict(d, str(path)) for d in data.get("sets", ())]
        if isinstance(data, dict)
        else []
    )
    sets = next((s for s in found if abs(s.alpha - alpha) < 1e-9), None)
    if sets is None:
        raise UserError(
            f"--abstain {alpha:g}: expected one of {', '.join(f'{s.alpha:g}' for s in found)}"
        )
    if len(sets.thresholds) != len(classes) or run.read_ethogram().classes != tuple(classes):
        raise UserError(
            f"{path}: its sets are of {', '.join(run.read_ethogram().classes)}, not "
            f"{', '.join(classes)}"
        )
    corrected = bool(data.get("prior_corrected"))
    if for_run is not None and corrects_prior(for_run) != corrected:
        with_, without = (run.path, for_run.path) if corrected else (for_run.path, run.path)
        raise UserError(
            f"{path}: probabilities of {with_} are corrected for what training drew, those of "
            f"{without} (made by an "
            "older version) are not, so the sets of one do not fit the other; train the older "
            "one again"
        )
    weak = [
        f"{c} ({n})"
        for c, n, sure in zip(classes, sets.animals, sets.guaranteed, strict=True)
        if not sure
    ]
    if weak:
        needed = ceil(2 / alpha - 1e-9) - 1
        warn(
            f"at alpha {alpha:g} nothing is promised for classes that fewer than {needed} "
            f"held-out animals show: "
            f"{', '.join(weak)}"
        )
    lowest = min((t for t, n in zip(sets.thresholds, sets.animals, strict=True) if n), default=0.0)
    shown = zip(sets.thresholds, sets.animals, strict=True)
    return replace(sets, thresholds=tuple(t if n else lowest for t, n in shown))


def corrects_prior(run: RunFolder) -> bool:
    """Are the probabilities corrected for what was drawn and weighted in training? In version
    0.1.0 they are not.
    """
    runs = [
        RunFolder(path.parent)
        for path in (*run.path.glob("decoder.json"), *run.path.glob("folds/*/decoder.json"))
    ]
    return any(r.read_decoder().prior for r in runs)
