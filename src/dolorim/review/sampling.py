"""What to check next, drawn so that what has been checked says how good the rest is.

Pieces of predicted bouts are drawn one after the other, without replacement, each with a known
probability. First an animal is drawn, each with the same probability; then one of its pieces. A
piece is more likely to be drawn if the model is unsure of it, and if it is a large part of what the
animal spends on that behavior. A weighted mean of what the rater finds is then an unbiased estimate
of the share of all predicted frames that are wrong: R_LURE of Farquhar, Gal & Rainforth (2021), On
Statistical Bias In Active Learning, equation 8.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from dolorim.labels.bouts import Bout

PIECE = 300  # frames of a piece at most
# Share of the draws within an animal that depend on length alone: however sure the model is, every
# piece can be drawn.
_EVEN = 0.4
_LEAST_DOUBT = 0.02  # added to every piece's doubt, so that none has a weight of 0
_PAIN_WEIGHT = 2.0  # of pieces of the class that indicates pain
FEW = 10  # with fewer checked pieces, an interval would be too wide to say anything
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
    """Accuracy over all predicted frames after `checked` pieces, with its 95 % interval.

    `low` and `high` are None if too few pieces have been checked; `missing` says how many more it
    takes.
    """

    checked: int
    accuracy: float | None
    low: float | None
    high: float | None
    missing: int = 0


def cut(item: int, bouts: Sequence[tuple[Bout, float]]) -> list[tuple[Piece, float]]:
    """Bouts as pieces of about equal length, each with the model's doubt (1 - mean probability)."""
    pieces = []
    for bout, probability in bouts:
        # Pieces of one bout differ in length by one frame at most.
        n_pieces = math.ceil(len(bout) / PIECE)
        edges = np.linspace(bout.start, bout.stop, n_pieces + 1).round().astype(int).tolist()
        for start, stop in itertools.pairwise(edges):
            pieces.append((Piece(item, start, stop, bout.label), 1 - probability))
    return pieces


def draw(
    pieces: Sequence[tuple[Piece, float]],
    animals: Sequence[str],
    seed: int,
    *,
    indicator: int | None = None,
) -> list[Piece]:
    """All pieces in the order in which to check them, each with the probability of its draw.

    `animals[i]` is the animal of recording i. The same pieces and seed give the same order. Pieces
    of the class `indicator`, which indicates pain, weigh twice.
    """
    # A draw per piece: the order in which they are checked is the order of the draws.
    rng = np.random.default_rng(seed)
    # Every animal gets the same chance, however long it was filmed.
    by_animal: dict[str, list[int]] = {}
    for i, (piece, _) in enumerate(pieces):
        by_animal.setdefault(animals[piece.item], []).append(i)
    weights = np.empty(len(pieces))
    left = {name: np.array(members) for name, members in by_animal.items()}
    for members in left.values():
        length = np.array([len(pieces[i][0]) for i in members], float)
        doubt = np.array([pieces[i][1] for i in members]) + _LEAST_DOUBT
        labels = np.array([pieces[i][0].label for i in members])
        # Frames of each piece's class in this animal; + 1 because -1 stands for no class.
        budget = np.bincount(labels + 1, length)[labels + 1]
        pain = np.where(labels == indicator, _PAIN_WEIGHT, 1.0)
        wish = doubt * pain * length / budget
        weights[members] = (1 - _EVEN) * wish / wish.sum() + _EVEN * length / length.sum()
    names = sorted(left)
    order = []
    while names:
        name = names[rng.integers(len(names))]
        members = left[name]
        probability = weights[members] / weights[members].sum()
        at = int(rng.choice(len(members), p=probability))
        piece, _ = pieces[int(members[at])]
        order.append(dataclasses.replace(piece, q=float(probability[at]) / len(names)))
        left[name] = np.delete(members, at)
        if not len(left[name]):
            names.remove(name)
    return order


def estimate(
    order: Sequence[Piece],
    wrong: Sequence[int],
    unsure: Sequence[int],
    drawn: int | None = None,
) -> Estimate:
    """Accuracy from the first `len(wrong)` pieces of an order, all before the next unchecked one.

    `wrong` and `unsure` are numbers of frames per piece. Frames about which the rater is unsure do
    not count. `drawn` of these pieces, all without it, were checked because the queue gave them;
    the rater has found the others elsewhere, such as by doubt on the wall, whatever their place in
    the order. What lies before a piece that nobody has chosen is then a sample by inverse sampling
    (Haldane 1945, On a Method of Estimating Frequencies), whose size is that of what was drawn.
    """
    checked, n = len(wrong), len(order)
    if drawn is None or checked == n:  # if everything is checked, nothing is estimated
        drawn = checked
    missing = max(0, min(FEW, n) - drawn)
    if drawn == 0:
        return Estimate(0, None, None, None, missing)
    length = np.array([len(p) for p in order])
    total = int(length.sum())
    # The paper estimates a mean over pieces; frames per piece make it one over frames.
    weight = _lure_weights(order, checked) * n / total
    errors = np.array(wrong, float)
    judged = length[:checked] - np.array(unsure, float)
    known = max(1 - float((weight * (length[:checked] - judged)).mean()), 1e-9)
    accuracy = float(np.clip(1 - (weight * errors).mean() / known, 0, 1))
    if missing or not judged.any():
        return Estimate(checked, accuracy, None, None, missing)
    low, high = _interval(weight * errors, weight * judged, n)
    # Checked frames stay right or wrong, whatever is found in the rest. So the interval closes as
    # the last pieces are checked.
    right = float((judged - errors).sum())
    unchecked = float(length[checked:].sum())
    countable = float(judged.sum()) + unchecked
    low = max(low, right / countable)
    high = min(high, (right + unchecked) / countable)
    return Estimate(checked, accuracy, min(low, accuracy), max(high, accuracy))


def _lure_weights(order: Sequence[Piece], checked: int) -> np.ndarray:
    """The weights `(checked,)` of R_LURE; `m` counts draws from 1, as in the paper."""
    n = len(order)
    if checked == n:
        return np.ones(n)
    m = np.arange(1, checked + 1)
    q = np.array([p.q for p in order[:checked]])
    weights: np.ndarray = 1 + (n - checked) / (n - m) * (1 / ((n - m + 1) * q) - 1)
    return weights


def _interval(losses: np.ndarray, judged: np.ndarray, n: int) -> tuple[float, float]:
    """The 95 % interval of the accuracy.

    `losses` and `judged` `(checked,)` are the weighted numbers of wrong and of judged frames of
    each checked piece; `n` is the number of all pieces.

    This is the interval of Korn and Graubard (1998), Confidence Intervals for Proportions With
    Small Expected Number of Positive Counts Estimated From Survey Data: that of Clopper and Pearson
    for as many independent frames as the weighted pieces are worth. If all pieces agree, they say
    nothing of their spread, and that number comes from the weights alone (Kish), which is also the
    most that it can be. `python -m benchmarks.queue_coverage` measures the coverage.
    """
    m = len(losses)
    rate = float(losses.sum() / judged.sum())
    size = float(judged.sum() ** 2 / (judged**2).sum())  # Kish's effective sample size
    finite = 1 - m / n  # the correction for a finite population
    variance = float((losses - rate * judged).var(ddof=1)) / m * finite / float(judged.mean()) ** 2
    if variance > 0 and 0 < rate < 1:
        size = min(size, rate * (1 - rate) / variance)
    # Few pieces know their variance badly, hence t in place of the normal distribution.
    size *= float(ndtri(1 - _TAIL) / stdtrit(m - 1, 1 - _TAIL)) ** 2
    errors = rate * size
    fewest, most = 0.0, 1.0
    if errors > 0:
        fewest = float(betaincinv(errors, size - errors + 1, _TAIL))
    if errors < size:
        most = float(betaincinv(errors + 1, size - errors, 1 - _TAIL))
    return 1 - most, 1 - fewest
