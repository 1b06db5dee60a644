"""What a network's probabilities mean, and what labels they make.

A network that draws all bouts equally often and weights rare classes up learns how likely a class
is *among what it was shown*. By Bayes' rule its probability of a class, times the class's share
of labelled frames over its share of what was learned from (share drawn times weight in the loss),
is how likely the class is in the recordings. That is corrected first; then come the temperature,
biases, smoothing, and a search that knows how short a bout can be.

A frame-wise maximum breaks bouts into splinters that no animal could perform. The search finds
the labels of the highest summed log probability among those in which every bout lasts at least as
long as its class must: Viterbi's algorithm over bouts (a hidden semi-Markov model with a minimum
duration and no preference beyond it), exact and linear in time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from dolorim.core.errors import UserError
from dolorim.labels.ethogram import UNLABELED

# No single frame may veto a class: files hold four decimals, and a network's 0 is not certain
# either
_FLOOR = 1e-5
_CHUNK = 4096
_BY_CLASS = ("prior", "biases", "min_duration_s")
_NUMBERS = ("focal_gamma", "prior_power", "temperature", "smooth_s", "switch_cost")


@dataclass(frozen=True)
class Decoder:
    """How a run turns its network's probabilities into those of the recordings, and into labels.

    `prior` `(classes,)` are the factors that correct for what the network was shown
    (`prior_factors`; empty: none), and `focal_gamma` is that of the loss it was trained with,
    which shifts probabilities too. Probabilities are corrected in full; labels by the factors to
    the power of `prior_power`, which validation animals choose: 1 gives the likeliest class, 0
    finds more of the rare ones.

    `temperature` divides log probabilities, `biases` `(classes,)` are then added to them (empty:
    none), `smooth_s` is the window of a moving average of probabilities. For `viterbi`,
    `min_duration_s` `(classes,)` is the shortest bout of each class and `switch_cost` what each
    new bout costs, in units of log probability.
    """

    kind: Literal["argmax", "viterbi"] = "argmax"
    temperature: float = 1.0
    biases: tuple[float, ...] = ()
    smooth_s: float = 0.0
    min_duration_s: tuple[float, ...] = ()
    switch_cost: float = 0.0
    prior: tuple[float, ...] = ()
    prior_power: float = 1.0
    focal_gamma: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Are its labels those of the highest corrected probability, frame by frame?"""
        return (
            self.to_dict().keys() <= {"decoder", "temperature", "prior", "focal_gamma"}
            and self.kind == "argmax"
        )

    def calibrated(self, probabilities: np.ndarray) -> np.ndarray:
        """A network's probabilities `(time, classes)` as those of the recordings; frames that
        hold a NaN stay NaN.
        """
        return self._corrected(probabilities, 1.0)

    def for_labels(self, probabilities: np.ndarray) -> np.ndarray:
        """The same as labels are chosen by, corrected by the power of the prior that serves them
        best.
        """
        return self._corrected(probabilities, self.prior_power)

    def _corrected(self, probabilities: np.ndarray, power: float) -> np.ndarray:
        p = np.asarray(probabilities, float)
        if self.prior and len(self.prior) != p.shape[1]:
            raise ValueError(
                f"a decoder of {len(self.prior)} classes got probabilities of {p.shape[1]}"
            )
        if self.temperature == 1.0 and not self.prior and not self.focal_gamma:
            return np.where(np.isnan(p).any(1, keepdims=True), np.nan, p)
        scores = np.log(np.clip(p, 1e-12, None))
        if self.focal_gamma:
            scores = scores - _log_focal(np.clip(p, 1e-12, 1.0), self.focal_gamma)
        if self.prior:
            scores = scores + power * np.log(self.prior)
        return _softmax(scores / self.temperature)

    def decode(
        self, probabilities: np.ndarray, rate_hz: float, breaks: Sequence[int] = ()
    ) -> np.ndarray:
        """Labels `(time,)` int16 of probabilities `(time, classes)` at `rate_hz` frames a second.

        `breaks` are frames at which something new begins (a trial after a pause): nothing is
        carried over them, and there as at both ends of a recording a bout may be cut short. A
        frame with a NaN has no evidence: it goes with its neighbors. Where a whole piece has
        none, it stays -1. Raises `ValueError` for other than `(time, classes)`.
        """
        n, classes = np.shape(probabilities)
        for values in (self.prior, self.biases, self.min_duration_s):
            if len(values) not in (0, classes):
                raise ValueError(
                    f"a decoder of {len(values)} classes got probabilities of {classes}"
                )
        labels = np.full(n, UNLABELED, np.int16)
        p = self.for_labels(probabilities)
        for start, stop in _pieces(n, breaks):
            known = ~np.isnan(p[start:stop, 0])
            if not known.any():
                continue
            piece = p[start:stop] if known.all() else p[start + _last_known(known)]
            if (window := round(self.smooth_s * rate_hz)) > 1:
                piece = _moving_average(piece, window)
            scores = np.log(np.clip(piece, _FLOOR, None)) + np.asarray(self.biases or 0.0)
            if self.kind == "argmax":
                labels[start:stop] = scores.argmax(1)
            else:
                shortest = [max(1, round(d * rate_hz)) for d in self.min_duration_s] or [
                    1
                ] * classes
                scores[~known] = 0.0
                labels[start:stop] = best_bouts(scores, shortest, self.switch_cost)
        return labels

    def to_dict(self) -> dict[str, Any]:
        """What `decoder.json` holds: all that is not at its default; plain argmax is `{"decoder":
        "argmax"}`.
        """
        data = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        plain = asdict(Decoder())
        return {
            "decoder": data.pop("kind"),
            **{k: v for k, v in data.items() if v != plain[k] and v != []},
        }

    @classmethod
    def from_dict(
        cls, data: Any, classes: int | None = None, where: str = "decoder.json"
    ) -> Decoder:
        """Read `to_dict` back. Raises `UserError` for an unknown key, a value that cannot be, and
        a wrong length.
        """
        if not isinstance(data, Mapping) or "decoder" not in data:
            raise UserError(
                f'{where}: expected {{"decoder": "argmax"}} or the like, found {str(data)[:60]}'
            )
        if data["decoder"] not in ("argmax", "viterbi"):
            raise UserError(
                f"{where}: expected decoder argmax or viterbi, found {data['decoder']!r}"
            )
        values: dict[str, Any] = {"kind": data["decoder"]}
        for key, value in data.items():
            if key == "decoder":
                continue
            if key in _BY_CLASS:
                if not isinstance(value, Sequence) or not all(
                    _is_number(v, key == "biases") for v in value
                ):
                    raise UserError(
                        f"{where}: expected {key} to be a list of numbers, found {value!r}"
                    )
                if key == "prior" and min(value, default=1.0) <= 0:
                    raise UserError(f"{where}: expected {key} to be above 0, found {value!r}")
                if classes is not None and len(value) not in (0, classes):
                    raise UserError(
                        f"{where}: expected {key} for {classes} classes, found {len(value)}"
                    )
                values[key] = tuple(map(float, value))
            elif key in _NUMBERS:
                if not _is_number(value) or (key == "temperature" and value == 0):
                    raise UserError(
                        f"{where}: expected {key} to be a number above 0, found {value!r}"
                    )
                values[key] = float(value)
            else:
                known = ", ".join(("decoder", *_BY_CLASS, *_NUMBERS))
                raise UserError(f"{where}: unknown key {key!r}; known are {known}")
        return cls(**values)


def prior_factors(labelled: np.ndarray, learned: np.ndarray) -> tuple[float, ...]:
    """Factors `(classes,)` that turn probabilities among what was learned from into those among
    what was labelled.

    `labelled` are the classes' labelled frames or shares of them, `learned` their shares of what
    the loss was averaged over: of drawn frames, times the weight of the class. Neither need sum
    to 1. A class that was never labelled or never learned from keeps its probability: nothing is
    known about it. Empty where nothing is labelled.
    """
    known = (labelled > 0) & (learned > 0)
    if not known.any():
        return ()
    factors = np.ones(len(labelled))
    factors[known] = (labelled[known] / labelled[known].sum()) / (
        learned[known] / learned[known].sum()
    )
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
    n, classes = scores.shape
    if classes == 1 or n == 0:
        return np.zeros(n, np.int16)
    entered = np.zeros(
        (n, classes), bool
    )  # at t: the best path into c has begun its bout shortest[c] - 1 frames ago
    leaders = np.empty(
        (n, 2), np.int8 if classes < 128 else np.int16
    )  # best and second-best class of a path that ends
    each = range(classes)
    standing = [0.0] * classes  # by class, the value of the best path less S
    running = np.zeros(classes)
    # waiting[c][(t - 1) % d]: what a bout of c that begins at t would have standing. Read d - 1
    # frames after its begin.
    waiting = [[-math.inf] * d for d in shortest]
    best = [0.0] * classes
    for first in range(0, n, _CHUNK):
        sums = running + np.cumsum(scores[first : first + _CHUNK], axis=0, dtype=float)
        running = sums[-1]
        for t, row in enumerate(sums.tolist(), first):
            top = second = -math.inf
            leader = runner = 0
            for c in each:
                queue = waiting[c]
                came = queue[t % len(queue)]
                if came > standing[c]:
                    standing[c] = came
                    entered[t, c] = True
                value = best[c] = standing[c] + row[c]
                if value > top:
                    top, second, leader, runner = value, top, c, leader
                elif value > second:
                    second, runner = value, c
            leaders[t] = leader, runner
            for c in each:
                queue = waiting[c]
                queue[t % len(queue)] = (second if c == leader else top) - row[c] - switch_cost
    # The last bout may be cut short: it may also have begun in one of the last frames, still
    # waiting.
    label, begin = max(each, key=best.__getitem__), None
    highest = best[label]
    for c in each:
        for back in range(
            1, min(len(waiting[c]), n)
        ):  # begins at n - back, after the path that ends at n - back - 1
            value = waiting[c][(n - back - 1) % len(waiting[c])] + row[c]
            if value > highest:
                highest, label, begin = value, c, n - back
    return _trace(entered, leaders, shortest, label, begin)


def _trace(
    entered: np.ndarray, leaders: np.ndarray, shortest: Sequence[int], label: int, begin: int | None
) -> np.ndarray:
    n = len(entered)
    labels = np.empty(n, np.int16)
    entries = [np.flatnonzero(e) for e in entered.T]
    stop = n
    while True:
        if begin is None:
            at = int(np.searchsorted(entries[label], stop)) - 1
            begin = int(entries[label][at]) - shortest[label] + 1 if at >= 0 else 0
        labels[begin:stop] = label
        if begin == 0:
            return labels
        one, two = leaders[begin - 1].tolist()
        stop, label, begin = begin, two if one == label else one, None


def _pieces(n: int, breaks: Sequence[int]) -> list[tuple[int, int]]:
    edges = sorted({0, n, *(b for b in breaks if 0 < b < n)})
    return list(itertools.pairwise(edges))


def _last_known(known: np.ndarray) -> np.ndarray:
    """Indices `(time,)`: per frame the last known one up to it, else the first one after it."""
    at = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    return np.where(at < 0, int(known.argmax()), at)


def _moving_average(p: np.ndarray, window: int) -> np.ndarray:
    """Mean over a window centered on each frame, shorter at the ends."""
    sums = np.concatenate((np.zeros((1, p.shape[1])), np.cumsum(p, axis=0)))
    at = np.arange(len(p))
    start, stop = np.maximum(at - window // 2, 0), np.minimum(at + (window - 1) // 2 + 1, len(p))
    return (sums[stop] - sums[start]) / (stop - start)[:, None]


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _log_focal(p: np.ndarray, gamma: float) -> np.ndarray:
    """By how much the log probability of a network that minimizes the focal loss exceeds the true
    one, but for a constant per frame (Charoenphakdee et al. 2021, CVPR, arXiv:2011.09172, theorem
    11)."""
    left = np.clip(1 - p, 1e-12, None)
    return np.log(left**gamma - gamma * left ** (gamma - 1) * p * np.log(p))


def _is_number(value: Any, negative: bool = False) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and (negative or value >= 0)
    )
