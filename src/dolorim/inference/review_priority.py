"""Which bouts to look at first: those that can change the read-out most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dolorim.core.runs import runs
from dolorim.labels.bouts import Bout, to_bouts
from dolorim.labels.predictions import Predictions

POSSIBLE = (
    0.2  # probability of the indicator from which on a frame of another class is worth a look
)


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

    With an `indicator`, a bout of it may turn out to be none, and a piece of any other bout to be one that was missed:
    the frames on which the indicator has a probability of `POSSIBLE` or more. Bouts without such a piece cannot change
    the read-out and are left out, however long they are. The expected change is the sum over frames of the probability
    that they are wrongly in or out, in seconds, and in bouts the mean of it. Without an indicator, every bout counts by
    the time that it is expected to be wrong. The score is the change in per cent of the read-out: of the indicator's
    predicted time plus of its predicted bouts, over all videos together.
    Raises `ValueError` for an indicator that is not a class.
    """
    rows: list[dict[str, Any]] = []
    total_s, total_bouts = 0.0, 0
    for p in predictions:
        if indicator is not None and indicator not in p.classes:
            known = ", ".join(p.classes)
            raise ValueError(f"{p.name}: no class is called {indicator!r}; there are {known}")
        target = None if indicator is None else p.classes.index(indicator)
        for bout in to_bouts(p.labels):
            if target is None or bout.label == target:
                row = _row(p, bout, None)
                total_s, total_bouts = total_s + row["stop_s"] - row["start_s"], total_bouts + 1
                rows.append(row)
            else:
                rows += [_row(p, piece, target) for piece in _possible_pieces(p, bout, target)]
    ranked = []
    for row in rows:
        share_of_time, share_of_bouts = (
            row["seconds"] / (total_s or 1),
            row["bouts"] / (total_bouts or 1),
        )
        ranked.append(BoutToCheck(**row, score=100 * (share_of_time + share_of_bouts)))
    return sorted(ranked, key=lambda b: -b.score)[:limit]


def _possible_pieces(p: Predictions, bout: Bout, target: int) -> list[Bout]:
    """The stretches of a bout of another class in which the target is possible."""
    possible = np.nan_to_num(p.probabilities[bout.start : bout.stop, target]) >= POSSIBLE
    starts, stops, values = runs(possible)
    return [
        Bout(bout.start + int(start), bout.start + int(stop), bout.label)
        for start, stop, value in zip(starts, stops, values, strict=True)
        if value
    ]


def _row(p: Predictions, bout: Bout, missed: int | None) -> dict[str, Any]:
    """What a bout may change: its own time where it is wrong or, for a piece that may be of class `missed`, that."""
    start_s, stop_s = p.interval_s(bout)
    mean = np.nan_to_num(p.probabilities[bout.start : bout.stop].mean(0, dtype=float))
    rival = int(np.where(np.arange(len(mean)) == bout.label, -1.0, mean).argmax())
    doubt = float(1 - mean[bout.label])
    if missed is not None:
        rival, doubt = missed, float(mean[missed])
    return {
        "name": p.name,
        "bout": bout,
        "label": p.classes[bout.label],
        "rival": p.classes[rival],
        "start_s": start_s,
        "stop_s": stop_s,
        "confidence": float(mean[bout.label]),
        "margin": float(mean[bout.label] - mean[rival]),
        "seconds": doubt * (stop_s - start_s),
        "bouts": doubt,
    }
