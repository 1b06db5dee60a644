"""What to check next, drawn so that what has been checked says how good the rest is.

Pieces of predicted bouts are drawn one after the other, without replacement, each with a known probability: first an
animal (all that have pieces left alike), then one of its pieces, the likelier the less sure the model is and the more
the piece weighs in that animal's time budget. A weighted mean of what the rater finds is then an unbiased estimate of
the share of all predicted frames that are wrong: R_LURE of Farquhar, Gal & Rainforth (2021), On Statistical Bias In
Active Learning, equation 8.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from dolorim.core.bouts import Bout

PIECE = 300  # frames of a piece at most
_EVEN = 0.4  # share of draws within an animal by length alone: nothing is so sure that it is never looked at
FEW = 10  # checked pieces below which no interval is given


@dataclass(frozen=True)
class Piece:
    """Frames `[start, stop)` of recording `item`, predicted as `label`, drawn with probability `q`."""

    item: int
    start: int
    stop: int
    label: int
    q: float = 0.0

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Estimate:
    """Accuracy over all predicted frames after `checked` pieces; `low` and `high` bound it with 95 % confidence.

    None where too few have been checked.
    """

    checked: int
    accuracy: float | None
    low: float | None
    high: float | None


def cut(item: int, bouts: Sequence[tuple[Bout, float]]) -> list[tuple[Piece, float]]:
    """Bouts as pieces of about equal length, each with how unsure the model is (1 - mean probability)."""
    pieces = []
    for bout, sure in bouts:
        edges = np.linspace(bout.start, bout.stop, -(-len(bout) // PIECE) + 1).round().astype(int).tolist()
        pieces += [(Piece(item, a, b, bout.label), 1 - sure) for a, b in itertools.pairwise(edges)]
    return pieces


def draw(
    pieces: Sequence[tuple[Piece, float]], animals: Sequence[str], seed: int, *, indicator: int | None = None
) -> list[Piece]:
    """All pieces in the order in which they are to be checked, with the probabilities that they were drawn with.

    `animals[i]` is the animal of recording i. The same pieces and seed give the same order. Pieces of the sign of pain
    weigh twice.
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
        order.append(Piece(piece.item, piece.start, piece.stop, piece.label, float(w[at]) / len(names)))
        left[name] = np.delete(members, at)
        if not len(left[name]):
            names.remove(name)
    return order


def estimate(order: Sequence[Piece], wrong: Sequence[int], unsure: Sequence[int]) -> Estimate:
    """Accuracy from the first `len(wrong)` pieces of an order: how many of their frames are wrong, how many unsure.

    Frames about which the rater is unsure do not count. The interval treats the weighted draws as independent.
    """
    m_all, n = len(wrong), len(order)
    if m_all == 0:
        return Estimate(0, None, None, None)
    total = sum(map(len, order))
    m = np.arange(1, m_all + 1)
    q = np.array([p.q for p in order[:m_all]])
    weight = np.ones(m_all) if m_all == n else 1 + (n - m_all) / (n - m) * (1 / ((n - m + 1) * q) - 1)
    losses = np.array(wrong, float) * n / total * weight
    dropped = float((np.array(unsure, float) * n / total * weight).mean())
    known = max(1 - dropped, 1e-9)
    rate = float(losses.mean()) / known
    accuracy = float(np.clip(1 - rate, 0, 1))
    if m_all < FEW:
        return Estimate(m_all, accuracy, None, None)
    spread = losses.std(ddof=1) / np.sqrt(m_all) * np.sqrt(1 - m_all / n) / known
    half = float(stdtrit(m_all - 1, 0.975) * spread)
    return Estimate(m_all, accuracy, max(0.0, 1 - rate - half), min(1.0, 1 - rate + half))
