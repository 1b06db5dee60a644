"""Which classes can a frame still be? Class-conditional conformal sets, calibrated on animals, and abstention.

What is guaranteed: animals being exchangeable, a frame of class c, drawn from a new animal that shows c, has c in its
set with a probability of at least 1 - alpha. That is a mean over animals and over their frames, each animal weighing
the same (hierarchical conformal prediction, Lee, Barber & Willett 2023, arXiv:2306.06342); it promises nothing about
the worst animal, nor about neighboring frames. Of n animals, 1/(n+1) of alpha goes to what the new one may be like.
Where that is more than half of it, sets would hold nearly everything: then the threshold of the most difficult animal
is taken, and `guaranteed` is false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.ethogram import UNLABELED


@dataclass(frozen=True)
class Conformal:
    """A frame's set holds the classes whose calibrated probability is at least their threshold `(classes,)`.

    `animals` `(classes,)` says on how many animals each threshold rests, `guaranteed` whether that is enough.
    """

    alpha: float
    thresholds: tuple[float, ...]
    animals: tuple[int, ...]
    guaranteed: tuple[bool, ...]

    def sets(self, probabilities: np.ndarray) -> np.ndarray:
        """Membership `(time, classes)` of probabilities `(time, classes)`; a frame with a NaN can be anything."""
        return ~(probabilities < np.asarray(self.thresholds))

    def to_dict(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Any, where: str = "conformal.json") -> Conformal:
        """Read `to_dict` back. Raises `UserError` for other keys and values."""
        known = set(cls.__dataclass_fields__)
        if not isinstance(data, Mapping) or set(data) != known:
            raise UserError(f"{where}: expected the keys {', '.join(sorted(known))}, found {', '.join(map(str, data))}")
        try:
            return cls(
                float(data["alpha"]),
                tuple(map(float, data["thresholds"])),
                tuple(map(int, data["animals"])),
                tuple(map(bool, data["guaranteed"])),
            )
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: holds something other than numbers ({error}); train again") from None


def calibrate_conformal(
    probabilities: Sequence[np.ndarray], labels: Sequence[np.ndarray], animals: Sequence[str], alpha: float = 0.1
) -> Conformal:
    """Thresholds from calibrated probabilities `(time, classes)` and labels `(time,)` of held-out animals.

    The animals must not have been learned from. Those that chose the checkpoint or the decoder serve, but their sets
    are a little too small. Raises `ValueError` for an alpha outside (0, 1) and for no recordings.
    """
    if not 0 < alpha < 1 or not len(probabilities):
        raise ValueError(f"expected recordings and an alpha between 0 and 1, got {len(probabilities)} and {alpha}")
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
    return Conformal(alpha, tuple(thresholds), tuple(counts), tuple(_enough(n, alpha) for n in counts))


def _enough(animals: int, alpha: float) -> bool:
    return animals + 1 >= 2 / alpha - 1e-9


def _threshold(scores: Sequence[np.ndarray], alpha: float) -> float:
    """The highest threshold that leaves out at most a share alpha of the scores, those of a new animal counted in."""
    n = len(scores)
    if n == 0:
        return 0.0  # never seen: it can be anywhere
    if not _enough(n, alpha):
        return min(float(s[int(alpha * len(s))]) for s in scores)
    values = np.concatenate(scores)
    weights = np.concatenate([np.full(len(s), 1 / (len(s) * (n + 1))) for s in scores])
    order = np.argsort(values)
    # The new animal's mass, 1 / (n + 1), lies below everything; what is left of alpha may be cut off.
    below = 1 / (n + 1) + np.cumsum(weights[order]) - weights[order]
    last = int(np.searchsorted(below, alpha + 1e-12, "right")) - 1
    return float(values[order[last]])


def abstain(labels: np.ndarray, probabilities: np.ndarray, conformal: Conformal) -> np.ndarray:
    """Labels `(time,)` int16 that stay only where the frame's set is that label alone; all others become -1."""
    member = conformal.sets(probabilities)
    sure = (member.sum(1) == 1) & (member.argmax(1) == labels)
    return np.where(sure, labels, UNLABELED).astype(np.int16)
