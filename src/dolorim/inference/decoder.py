"""What a network's probabilities mean, and what labels they make.

A network that draws all bouts equally often and weights rare classes up learns how likely a class
is *among what it was shown*. By Bayes' rule, its probability of a class, times the class's share of
labeled frames over its share of what was learned from (share drawn times weight in the loss), is
how likely the class is in the recordings. This is corrected first. Then come the temperature,
biases, smoothing, and a search that knows how short a bout can be.

The most likely class of each frame breaks bouts into splinters that no animal could perform. The
search finds the labels with the highest sum of log probabilities among those whose bouts each last
at least as long as their class requires: Viterbi's algorithm over bouts (a hidden semi-Markov model
with a minimum duration and no preference beyond it), exact and linear in time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from dolorim.core.errors import UserError
from dolorim.files.structured import STRICT, Number, as_dataclass
from dolorim.labels.ethogram import UNLABELED

# No single frame may veto a class: files hold four decimals, and a network's 0 is not certain
# either.
_LEAST_PROBABILITY = 1e-5
_ALMOST_ZERO = 1e-12  # in place of 0 under a logarithm
_CHUNK = 4096  # frames whose running sums are in memory at a time
_BY_CLASS = ("prior", "biases", "min_duration_s")

NotNegative = Annotated[Number, Field(ge=0)]
Above0 = Annotated[Number, Field(gt=0)]


@dataclass(frozen=True)
class Decoder:
    """How a run turns its network's probabilities into those of the recordings, and into labels.

    `prior` `(classes,)` are the factors that correct for what the network was shown
    (`prior_factors`; empty: none), and `focal_gamma` is that of the loss it was trained with, which
    shifts probabilities too. Probabilities are corrected in full; labels by the factors to the
    power of `prior_power`, which validation animals choose: 1 gives the most likely class, 0 finds
    more of the rare ones.

    `temperature` divides log probabilities, `biases` `(classes,)` are then added to them (empty:
    none), `smooth_s` is the window of a moving average of probabilities in seconds. For `viterbi`,
    `min_duration_s` `(classes,)` is the shortest bout of each class in seconds, and `switch_cost`
    what each new bout costs, in units of log probability.
    """

    __pydantic_config__ = STRICT

    kind: Annotated[Literal["argmax", "viterbi"], Field(alias="decoder")] = "argmax"
    temperature: Above0 = 1.0
    biases: tuple[Number, ...] = ()
    smooth_s: NotNegative = 0.0
    min_duration_s: tuple[NotNegative, ...] = ()
    switch_cost: NotNegative = 0.0
    prior: tuple[Above0, ...] = ()
    prior_power: NotNegative = 1.0
    focal_gamma: NotNegative = 0.0

    @property
    def is_plain(self) -> bool:
        """Are its labels those of the highest corrected probability, frame by frame?"""
        changed = self.to_dict().keys()
        about_probabilities = {"decoder", "temperature", "prior", "focal_gamma"}
        return self.kind == "argmax" and changed <= about_probabilities

    def calibrated(self, probabilities: np.ndarray) -> np.ndarray:
        """A network's probabilities `(time, classes)` as those of the recordings.

        Frames that hold a NaN become NaN.
        """
        return self._corrected(probabilities, 1.0)

    def for_labels(self, probabilities: np.ndarray) -> np.ndarray:
        """The same, corrected by the power of the prior that serves labels best."""
        return self._corrected(probabilities, self.prior_power)

    def _corrected(self, probabilities: np.ndarray, power: float) -> np.ndarray:
        p = np.asarray(probabilities, float)
        self._refuse_other_classes(p.shape[1], ("prior",))
        if self.temperature == 1.0 and not self.prior and not self.focal_gamma:
            return np.where(np.isnan(p).any(1, keepdims=True), np.nan, p)
        scores = np.log(np.clip(p, _ALMOST_ZERO, None))
        if self.focal_gamma:
            scores = scores - _log_focal(np.clip(p, _ALMOST_ZERO, 1.0), self.focal_gamma)
        if self.prior:
            scores = scores + power * np.log(self.prior)
        return _softmax(scores / self.temperature)

    def decode(
        self, probabilities: np.ndarray, rate_hz: float, breaks: Sequence[int] = ()
    ) -> np.ndarray:
        """Labels `(time,)` int16 of probabilities `(time, classes)` at `rate_hz` frames per second.

        `breaks` are frames at which something new begins (a trial after a pause): nothing is
        carried over them, and there, as at both ends of a recording, a bout may be cut short. A
        frame with a NaN tells nothing and goes with its neighbors; where a whole piece has no other
        frames, it stays -1. Raises `ValueError` for another number of classes.
        """
        n_frames, n_classes = np.shape(probabilities)
        self._refuse_other_classes(n_classes, _BY_CLASS)
        labels = np.full(n_frames, UNLABELED, np.int16)
        corrected = self.for_labels(probabilities)
        for start, stop in _pieces(n_frames, breaks):
            known = ~np.isnan(corrected[start:stop, 0])
            if known.any():
                piece = corrected[start + _last_known(known)]
                labels[start:stop] = self._decode_piece(piece, known, rate_hz)
        return labels

    def most_likely(self, probabilities: np.ndarray) -> np.ndarray:
        """The likeliest class of each frame alone, `(time,)`, of probabilities `(time, classes)`.

        What looks at other frames is left out: smoothing, shortest bouts, the cost of a new bout.
        """
        self._refuse_other_classes(np.shape(probabilities)[1], _BY_CLASS)
        return self._scores(self.for_labels(probabilities)).argmax(1)

    def _scores(self, corrected: np.ndarray) -> np.ndarray:
        """What labels are chosen by, `(time, classes)`, of probabilities that are corrected."""
        scores = np.log(np.clip(corrected, _LEAST_PROBABILITY, None))
        if self.biases:
            scores = scores + np.asarray(self.biases)
        return scores

    def _decode_piece(
        self, probabilities: np.ndarray, known: np.ndarray, rate_hz: float
    ) -> np.ndarray:
        """Labels of a piece without breaks; frames that are not `known` repeat a neighbor's."""
        window = round(self.smooth_s * rate_hz)
        if window > 1:
            probabilities = _moving_average(probabilities, window)
        scores = self._scores(probabilities)
        if self.kind == "argmax":
            return scores.argmax(1)
        shortest = [1] * probabilities.shape[1]
        if self.min_duration_s:
            shortest = [max(1, round(duration * rate_hz)) for duration in self.min_duration_s]
        # A repeated neighbor fills a gap, but is no evidence that a bout went on.
        scores[~known] = 0.0
        return best_bouts(scores, shortest, self.switch_cost)

    def _refuse_other_classes(self, n_classes: int, fields: Sequence[str]) -> None:
        for name in fields:
            n_values = len(getattr(self, name))
            if n_values not in (0, n_classes):
                raise ValueError(
                    f"a decoder of {n_values} classes got probabilities of {n_classes}"
                )

    def to_dict(self) -> dict[str, Any]:
        """What `decoder.json` holds: the kind, and whatever differs from plain argmax."""
        values: dict[str, Any] = {"decoder": self.kind}
        plain = asdict(Decoder())
        for name, value in asdict(self).items():
            if name != "kind" and value != plain[name]:
                values[name] = list(value) if isinstance(value, tuple) else value
        return values

    @classmethod
    def from_dict(
        cls, data: Any, classes: int | None = None, where: str = "decoder.json"
    ) -> Decoder:
        """Read `to_dict` back.

        Raises `UserError` for an unknown key, an impossible value, and, if the number of `classes`
        is given, for a list of another length.
        """
        if not isinstance(data, Mapping) or "decoder" not in data:
            example = '{"decoder": "argmax"}'
            raise UserError(f"expected {example} or the like, found {str(data)[:60]}", where=where)
        decoder = as_dataclass(cls, data, where)
        for name in _BY_CLASS:
            n_values = len(getattr(decoder, name))
            if classes is not None and n_values not in (0, classes):
                raise UserError(
                    f"expected {name} for {classes} classes, found {n_values}", where=where
                )
        return decoder


def prior_factors(labelled: np.ndarray, learned: np.ndarray) -> tuple[float, ...]:
    """Factors `(classes,)` that turn probabilities among what was learned from into those among
    what was labeled.

    `labelled` are the classes' labeled frames or shares of them, `learned` their shares of what
    the loss was averaged over: of drawn frames, times the weight of the class. Neither need sum
    to 1. A class that was never labeled or never learned from keeps its probability, because
    nothing is known about it. Empty where nothing is labeled.
    """
    known = (labelled > 0) & (learned > 0)
    if not known.any():
        return ()
    share_labelled = labelled[known] / labelled[known].sum()
    share_learned = learned[known] / learned[known].sum()
    factors = np.ones(len(labelled))
    factors[known] = share_labelled / share_learned
    return tuple(np.round(factors, 6).clip(min=1e-6).tolist())


def best_bouts(scores: np.ndarray, shortest: Sequence[int], switch_cost: float = 0.0) -> np.ndarray:
    """Labels `(time,)` int16 with the highest sum of `scores` `(time, classes)`, less
    `switch_cost` for each new bout.

    A bout of class c lasts at least `shortest[c]` frames, except the first and the last, which
    may be cut short.

    With S the running sum of scores, a path that has been in c since frame s is worth (value at
    s) + S[t, c] - S[s, c]: the value less S is constant while a bout lasts. So only entries need
    comparing, each `shortest[c]` frames late.
    """
    n_frames, n_classes = scores.shape
    if n_classes == 1 or n_frames == 0:
        return np.zeros(n_frames, np.int16)
    # At t: the best path into c began its bout shortest[c] - 1 frames ago.
    entered = np.zeros((n_frames, n_classes), bool)
    leaders = np.empty((n_frames, 2), np.int16)  # best and second-best class of a path that ends
    classes = range(n_classes)
    standing = [0.0] * n_classes  # by class, the value of the best path less S
    running = np.zeros(n_classes)
    # waiting[c][(t - 1) % d]: what a bout of c that begins at t would have standing. It is read
    # d - 1 frames after that bout begins.
    waiting = [[-math.inf] * duration for duration in shortest]
    best = [0.0] * n_classes
    row: list[float] = []
    for first in range(0, n_frames, _CHUNK):
        sums = running + np.cumsum(scores[first : first + _CHUNK], axis=0, dtype=float)
        running = sums[-1]
        for t, row in enumerate(sums.tolist(), first):
            top = second = -math.inf
            leader = runner_up = 0
            for c in classes:
                queue = waiting[c]
                came = queue[t % len(queue)]
                if came > standing[c]:
                    standing[c] = came
                    entered[t, c] = True
                value = best[c] = standing[c] + row[c]
                if value > top:
                    top, second, leader, runner_up = value, top, c, leader
                elif value > second:
                    second, runner_up = value, c
            leaders[t] = leader, runner_up
            _queue_next_bouts(waiting, t, row, leader, top - switch_cost, second - switch_cost)
    label, begin = _last_bout(best, waiting, row, n_frames)
    return _trace(entered, leaders, shortest, label, begin)


def _queue_next_bouts(
    waiting: list[list[float]], t: int, sums: list[float], leader: int, top: float, second: float
) -> None:
    """What bouts that begin after frame `t` would have standing: they follow the best path of
    another class.
    """
    for c, queue in enumerate(waiting):
        before = second if c == leader else top
        queue[t % len(queue)] = before - sums[c]


def _last_bout(
    best: list[float], waiting: list[list[float]], sums: list[float], n_frames: int
) -> tuple[int, int | None]:
    """The class of the last bout, and the frame at which it begins, where it is cut short.

    It may have begun in one of the last frames, and then it is still waiting.
    """
    label = max(range(len(best)), key=best.__getitem__)
    highest, begin = best[label], None
    for c, queue in enumerate(waiting):
        # It begins at n_frames - back, after the path that ends in the frame before.
        for back in range(1, min(len(queue), n_frames)):
            value = queue[(n_frames - back - 1) % len(queue)] + sums[c]
            if value > highest:
                highest, label, begin = value, c, n_frames - back
    return label, begin


def _trace(
    entered: np.ndarray, leaders: np.ndarray, shortest: Sequence[int], label: int, begin: int | None
) -> np.ndarray:
    """Follow the best path back from its last bout, which begins at `begin` or, if that is None,
    where the path last entered its class.
    """
    labels = np.empty(len(entered), np.int16)
    entries = [np.flatnonzero(of_class) for of_class in entered.T]
    stop = len(labels)
    while True:
        if begin is None:
            # The last entry before `stop`; without one, the class lasts from the first frame on.
            last = int(np.searchsorted(entries[label], stop)) - 1
            begin = 0
            if last >= 0:
                begin = int(entries[label][last]) - shortest[label] + 1
        labels[begin:stop] = label
        if begin == 0:
            return labels
        leader, runner_up = leaders[begin - 1].tolist()
        before = runner_up if leader == label else leader
        stop, label, begin = begin, before, None


def _pieces(n_frames: int, breaks: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges `[start, stop)` between the breaks."""
    edges = sorted({0, n_frames, *(b for b in breaks if 0 < b < n_frames)})
    return list(itertools.pairwise(edges))


def _last_known(known: np.ndarray) -> np.ndarray:
    """Indices `(time,)`: per frame the last known one up to it, else the first one after it."""
    at = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    return np.where(at < 0, int(known.argmax()), at)


def _moving_average(p: np.ndarray, window: int) -> np.ndarray:
    """Mean over a window centered on each frame, shorter at the ends."""
    sums = np.concatenate((np.zeros((1, p.shape[1])), np.cumsum(p, axis=0)))
    frames = np.arange(len(p))
    start = np.maximum(frames - window // 2, 0)
    stop = np.minimum(frames + (window - 1) // 2 + 1, len(p))
    return (sums[stop] - sums[start]) / (stop - start)[:, None]


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _log_focal(p: np.ndarray, gamma: float) -> np.ndarray:
    """By how much the log probability of a network that minimizes the focal loss exceeds the true
    one, up to a constant per frame.

    Charoenphakdee et al. 2021, CVPR, arXiv:2011.09172, theorem 11.
    """
    left = np.clip(1 - p, _ALMOST_ZERO, None)
    return np.log(left**gamma - gamma * left ** (gamma - 1) * p * np.log(p))
