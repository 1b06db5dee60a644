"""What to check next, drawn so that what has been checked says how good the rest is.

Pieces of predicted bouts are drawn one after the other, without replacement, each with a known
probability: first an animal (all that have pieces left alike), then one of its pieces, the likelier
the less sure the model is and the more the piece weighs in that animal's time budget. A weighted
mean of what the rater finds is then an unbiased estimate of the share of all predicted frames that
are wrong: R_LURE of Farquhar, Gal & Rainforth (2021), On Statistical Bias In Active Learning,
equation 8.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from dolorim.labels.bouts import Bout

PIECE = 300  # frames of a piece at most
# Share of draws within an animal by length alone: nothing is so sure that it is never looked at
_EVEN = 0.4
FEW = 10  # checked pieces below which no interval is given: it would be as wide as to say nothing
_TAIL = 0.025  # of a 95 % interval, on either side


@dataclass(frozen=True)
class Piece:
    """Frames `[start, stop)` of recording `item`, predicted as `label`, drawn at rate `q`."""

    item: int
    start: int
    stop: int
    label: int
    q: float = 0.0

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Estimate:
    """Accuracy over all predicted frames after `checked` pieces; `low` and `high` bound it with 95
    % confidence.

    The bounds are None where too few pieces have been checked; `missing` says how many more it
    takes.
    """

    checked: int
    accuracy: float | None
    low: float | None
    high: float | None
    missing: int = 0


def cut(item: int, bouts: Sequence[tuple[Bout, float]]) -> list[tuple[Piece, float]]:
    """Bouts as pieces of about equal length, each with how unsure the model is (1 - mean
    probability)."""
    pieces = []
    for bout, sure in bouts:
        edges = (
            np.linspace(bout.start, bout.stop, -(-len(bout) // PIECE) + 1)
            .round()
            .astype(int)
            .tolist()
        )
        pieces += [(Piece(item, a, b, bout.label), 1 - sure) for a, b in itertools.pairwise(edges)]
    return pieces


def draw(
    pieces: Sequence[tuple[Piece, float]],
    animals: Sequence[str],
    seed: int,
    *,
    indicator: int | None = None,
) -> list[Piece]:
    """All pieces in the order in which they are to be checked, with the probabilities that they
    were drawn with.

    `animals[i]` is the animal of recording i. The same pieces and seed give the same order. Pieces
    of the sign of pain weigh twice.
    """
    rng = np.random.default_rng(seed)
    by_animal: dict[str, list[int]] = {}
    for i, (piece, _) in enumerate(pieces):
        by_animal.setdefault(animals[piece.item], []).append(i)
    weights = np.empty(len(pieces))
    left = {name: np.array(members) for name, members in by_animal.items()}
    for members in left.values():
        length = np.array([len(pieces[i][0]) for i in members], float)
        unsure = np.array([pieces[i][1] for i in members]) + 0.02
        labels = np.array([pieces[i][0].label for i in members])
        budget = np.bincount(labels + 1, length)[labels + 1]
        pain = np.where(labels == indicator, 2.0, 1.0)
        wish = unsure * pain * length / budget
        weights[members] = (1 - _EVEN) * wish / wish.sum() + _EVEN * length / length.sum()
    names = sorted(left)
    order = []
    while names:
        name = names[rng.integers(len(names))]
        members = left[name]
        w = weights[members] / weights[members].sum()
        at = int(rng.choice(len(members), p=w))
        piece = pieces[int(members[at])][0]
        order.append(
            Piece(piece.item, piece.start, piece.stop, piece.label, float(w[at]) / len(names))
        )
        left[name] = np.delete(members, at)
        if not len(left[name]):
            names.remove(name)
    return order


def estimate(order: Sequence[Piece], wrong: Sequence[int], unsure: Sequence[int]) -> Estimate:
    """Accuracy from the first `len(wrong)` pieces of an order: how many of their frames are wrong,
    how many unsure.

    Frames about which the rater is unsure do not count.
    """
    checked, n = len(wrong), len(order)
    missing = max(0, min(FEW, n) - checked)
    if checked == 0:
        return Estimate(0, None, None, None, missing)
    length = np.array([len(p) for p in order])
    total = int(length.sum())
    weight = _lure_weights(order, checked) * n / total
    errors = np.array(wrong, float)
    judged = length[:checked] - np.array(unsure, float)
    known = max(1 - float((weight * (length[:checked] - judged)).mean()), 1e-9)
    accuracy = float(np.clip(1 - (weight * errors).mean() / known, 0, 1))
    if missing or not judged.any():
        return Estimate(checked, accuracy, None, None, missing)
    low, high = _interval(weight * errors, weight * judged, n)
    # Whatever is drawn later cannot undo what has been seen: this closes the interval as the last
    # pieces are checked.
    right = float((judged - errors).sum())
    left = float(length[checked:].sum())
    seen = float(judged.sum()) + left
    low, high = max(low, right / seen), min(high, (right + left) / seen)
    return Estimate(checked, accuracy, min(low, accuracy), max(high, accuracy))


def _lure_weights(order: Sequence[Piece], checked: int) -> np.ndarray:
    n = len(order)
    if checked == n:
        return np.ones(n)
    m = np.arange(1, checked + 1)
    q = np.array([p.q for p in order[:checked]])
    weights: np.ndarray = 1 + (n - checked) / (n - m) * (1 / ((n - m + 1) * q) - 1)
    return weights


def _interval(losses: np.ndarray, judged: np.ndarray, n: int) -> tuple[float, float]:
    """Bounds of the accuracy from weighted wrong and weighted judged frames per checked piece, of n
    pieces in all.

    The interval of Korn and Graubard (1998), Confidence Intervals for Proportions With Small
    Expected Number of Positive Counts Estimated From Survey Data: that of Clopper and Pearson for
    as many independent frames as the weighted pieces are worth. Where all pieces agree, which says
    nothing of their spread, that number comes from the weights alone (Kish); it never exceeds it.
    `python -m benchmarks.queue_coverage` measures the coverage.
    """
    m = len(losses)
    rate = float(losses.sum() / judged.sum())
    kish = float(judged.sum() ** 2 / (judged**2).sum())
    variance = (
        float((losses - rate * judged).var(ddof=1)) / m * (1 - m / n) / float(judged.mean()) ** 2
    )
    size = kish if variance <= 0 or not 0 < rate < 1 else min(kish, rate * (1 - rate) / variance)
    size *= float(ndtri(1 - _TAIL) / stdtrit(m - 1, 1 - _TAIL)) ** 2
    errors = rate * size
    fewest = float(betaincinv(errors, size - errors + 1, _TAIL)) if errors > 0 else 0.0
    most = float(betaincinv(errors + 1, size - errors, 1 - _TAIL)) if errors < size else 1.0
    return 1 - most, 1 - fewest
