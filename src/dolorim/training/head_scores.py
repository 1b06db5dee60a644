"""How well heads do on animals that they have not learned from, and which difference counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dolorim.metrics.frames import confusion, frame_figures
from dolorim.metrics.intervals import FEWEST_ANIMALS, jackknife_variance
from dolorim.metrics.segments import SegmentCounts, count_segments, labelled_stretches

_SMOOTH_S = 0.5  # probabilities are averaged over so long before the likeliest class is taken
POWERS = (1.0, 0.5, 0.0)
"""Of the prior's correction, as the decoder tries them."""


@dataclass(frozen=True)
class Stretch:
    """Consecutive frames of an animal: labels `(time,)`, -1 unlabeled, and their rate."""

    animal: str
    labels: np.ndarray
    rate_hz: float


@dataclass(frozen=True)
class HeadScore:
    """Macro-F1 and segment F1@50, both 0-1, of all animals and with each left out `(animals,)`."""

    macro_f1: float
    f1_50: float
    macro_f1_without: np.ndarray
    f1_50_without: np.ndarray

    @property
    def sum(self) -> float:
        return self.macro_f1 + self.f1_50


def score_head(
    stretches: Sequence[Stretch], scores: Sequence[np.ndarray], log_prior: np.ndarray
) -> HeadScore:
    """Score log probabilities `(time, classes)` of stretches by the labels that they make.

    A label is the likeliest class of probabilities averaged over half a second, after the prior's
    correction by the power that serves best, which is what a decoder does at the least.
    """
    candidates = []
    for power in POWERS if log_prior.any() else POWERS[:1]:
        labels = [
            smoothed(s + power * log_prior, one.rate_hz).argmax(1)
            for s, one in zip(scores, stretches, strict=True)
        ]
        candidates.append(score_labels(stretches, labels, len(log_prior)))
    return max(candidates, key=lambda score: score.sum)


def score_labels(
    stretches: Sequence[Stretch], predicted: Sequence[np.ndarray], n_classes: int
) -> HeadScore:
    """Score labels `(time,)` of stretches."""
    counts: dict[str, np.ndarray] = {}
    bouts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for one, labels in zip(stretches, predicted, strict=True):
        of_stretch = confusion(one.labels, labels, n_classes)
        counts[one.animal] = counts.get(one.animal, 0) + of_stretch
        pairs = bouts.setdefault(one.animal, [])
        for part in labelled_stretches(one.labels, [(0, len(labels))]):
            pairs.append((one.labels[part], labels[part]))
    animals = sorted(counts)
    by_animal = np.stack([counts[a] for a in animals])
    segments = np.stack([_at_half(count_segments(bouts[a])) for a in animals])
    total, all_segments = by_animal.sum(0), segments.sum(0)
    macro_f1 = _macro_f1(np.concatenate([total[None], total - by_animal]))
    f1_50 = _f1(np.concatenate([all_segments[None], all_segments - segments]))
    return HeadScore(float(macro_f1[0]), float(f1_50[0]), macro_f1[1:], f1_50[1:])


def standard_error(one: HeadScore, two: HeadScore) -> float:
    """Standard error over animals of the difference of two scores, by the jackknife.

    Infinite where there are fewer than `FEWEST_ANIMALS`.
    """
    differences = one.macro_f1_without - two.macro_f1_without
    differences = differences + one.f1_50_without - two.f1_50_without
    if len(differences) < FEWEST_ANIMALS:
        return math.inf
    return math.sqrt(jackknife_variance(differences))


def _at_half(counts: SegmentCounts) -> np.ndarray:
    """True, false and missed segments at an overlap of a half."""
    return np.array([counts.tp[-1], counts.fp[-1], counts.fn[-1]])


def _f1(segments: np.ndarray) -> np.ndarray:
    """F1 `(batch,)` of true, false and missed segments `(batch, 3)`."""
    right, wrong, missed = segments.T
    return 2 * right / np.maximum(2 * right + wrong + missed, 1)


def _macro_f1(counts: np.ndarray) -> np.ndarray:
    return np.nan_to_num(frame_figures(counts, [])[("macro_f1",)])


def smoothed(scores: np.ndarray, rate_hz: float) -> np.ndarray:
    """Probabilities `(time, classes)` averaged over half a second, from log probabilities."""
    window = max(1, round(_SMOOTH_S * rate_hz))
    highest = scores.max(1, keepdims=True)
    unscaled = np.exp(scores - highest)
    probabilities = unscaled / unscaled.sum(1, keepdims=True)
    return ndimage.uniform_filter1d(probabilities, window, axis=0, mode="nearest")
