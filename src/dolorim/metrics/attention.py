"""Which bouts to look at first: those that can change the read-out most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dolorim.core.bouts import Bout
from dolorim.core.predictions import Predictions


@dataclass(frozen=True)
class BoutToCheck:
    """A predicted bout and what it may change: `seconds` and `bouts` of the behavior of interest, as expected values.

    `confidence` is the mean probability of its label, `margin` that less the mean of the next class, `rival`.
    """

    name: str
    bout: Bout
    label: str
    rival: str
    start_s: float
    stop_s: float
    confidence: float
    margin: float
    seconds: float
    bouts: float
    score: float


def rank_bouts(
    predictions: Iterable[Predictions], indicator: str | None = None, limit: int | None = None
) -> list[BoutToCheck]:
    """Bouts in the order in which a person should look at them; probabilities should be calibrated.

    With an `indicator`, a bout of it may turn out to be none, and any other bout to hold some: the expected change is
    the sum over its frames of the probability that they are wrongly in or out, in seconds, and in bouts the mean of it.
    Without, every bout counts by the time that it is expected to be wrong. The score is the change in per cent of the
    read-out: of the indicator's predicted time plus of its predicted bouts, over all videos together.
    Raises `ValueError` for an indicator that is not a class.
    """
    found: list[dict[str, Any]] = []
    total_s, total_bouts = 0.0, 0
    for p in predictions:
        if indicator is not None and indicator not in p.classes:
            raise ValueError(f"{p.name}: no class is called {indicator!r}; there are {', '.join(p.classes)}")
        target = None if indicator is None else p.classes.index(indicator)
        for bout, confidence in p.bouts():
            start_s, stop_s = p.interval_s(bout)
            mean = np.nan_to_num(p.probabilities[bout.start : bout.stop].mean(0, dtype=float))
            rival = int(np.where(np.arange(len(mean)) == bout.label, -1.0, mean).argmax())
            counted = target is None or target == bout.label
            doubt = float(1 - mean[bout.label] if counted else mean[target])
            if counted:
                total_s, total_bouts = total_s + stop_s - start_s, total_bouts + 1
            found.append({
                "name": p.name, "bout": bout, "label": p.classes[bout.label], "rival": p.classes[rival],
                "start_s": start_s, "stop_s": stop_s, "confidence": confidence,
                "margin": float(mean[bout.label] - mean[rival]), "seconds": doubt * (stop_s - start_s), "bouts": doubt,
            })  # fmt: skip
    ranked = [
        BoutToCheck(**row, score=100 * (row["seconds"] / (total_s or 1.0) + row["bouts"] / (total_bouts or 1)))
        for row in found
    ]
    return sorted(ranked, key=lambda b: -b.score)[:limit]
