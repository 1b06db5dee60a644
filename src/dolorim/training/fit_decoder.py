"""Fit a decoder to validation recordings: temperature, how far labels follow the prior, biases, minimum durations, and
whether the search is worth it.

Every choice is scored on animals that it was not fitted to (cross-validation within the validation recordings), and
has to beat plain argmax there. What is returned is then fitted to all of them. Test animals have no part in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from dolorim.core.runs import runs
from dolorim.inference.decoder import Decoder
from dolorim.metrics.frames import confusion, frame_figures
from dolorim.metrics.segments import count_segments, labelled_stretches

_FRAMES = 30_000  # as many are looked at, spread over all recordings
_WINDOW = 2000
_FOLDS = 4
_FEW_BOUTS = 8  # with fewer complete bouts of a class nothing is fitted for it
_GRID = np.linspace(-2, 2, 17)
_PULL = 0.003  # what a bias of 1 must gain in macro-F1
_GAIN = 0.01  # what a decoder must gain over argmax, in macro-F1 plus segment F1@50 (both 0-1)
_LOSS = 0.003  # macro-F1 that it may lose
_SHRINK = (1.0, 0.5)
_SMOOTH_S = (0.1, 0.2, 0.4)
_DURATIONS = (0.5, 1.0)  # of the low quantile of labelled bouts
_QUANTILE = 0.05
_POWERS = (1.0, 0.5, 0.0)  # of the prior's correction, for labels
_COSTS = (0.0, 3.0, 8.0, 20.0, 40.0)


@dataclass(frozen=True)
class _Window:
    """A stretch of a recording, to be decoded and scored on its own; frames without a label belong to it."""

    probabilities: np.ndarray
    labels: np.ndarray
    rate_hz: float
    fold: int


def fit_decoder(
    probabilities: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    rate_hz: float | Sequence[float],
    classes: Sequence[str],
    *,
    animals: Sequence[str] | None = None,
    borders: Sequence[Sequence[tuple[int, int]]] | None = None,
    base: Decoder | None = None,
) -> Decoder:
    """The decoder for recordings with `probabilities` `(time, classes)` and `labels` `(time,)`, -1 unlabelled.

    `rate_hz` is one rate or one a recording; `animals` keep recordings of one animal in one fold (without: each is an
    animal); `borders` are the trials' `[start, stop)`, over which nothing is carried. `base` says what
    probabilities are corrected for. With too few labelled bouts only the temperature is fitted, without labels nothing.
    """
    base = base or Decoder()
    rates = (
        [float(rate_hz)] * len(labels)
        if isinstance(rate_hz, int | float)
        else list(map(float, rate_hz))
    )
    animals = [str(i) for i in range(len(labels))] if animals is None else animals
    trials = [
        [(0, len(y))] if borders is None or not borders[i] else borders[i]
        for i, y in enumerate(labels)
    ]
    names = sorted(set(animals))
    windows = []
    for p, y, rate, animal, trial in zip(
        probabilities, labels, rates, animals, trials, strict=True
    ):
        for start, stop in trial:
            for first in range(start, stop, _WINDOW):
                part = slice(first, min(first + _WINDOW, stop))
                fold = names.index(animal) if len(names) > 1 else first * _FOLDS // len(y)
                windows.append(_Window(p[part], np.asarray(y[part]), rate, fold % _FOLDS))
    windows = [w for w in windows if (w.labels >= 0).any()]
    if not windows:
        return base
    bouts = [
        _durations_s(y, t, rate, len(classes))
        for y, t, rate in zip(labels, trials, rates, strict=True)
    ]
    fold_of = [names.index(a) % _FOLDS if len(names) > 1 else -1 for a in animals]
    every = max(1, round(sum(len(w.labels) for w in windows) / _FRAMES))
    some = windows[::every]

    powers = _POWERS if base.prior else _POWERS[:1]

    def fitted(without: int | None, power: float) -> Decoder:
        """Temperature, biases and durations from all folds but one."""
        mine = [w for w in windows if w.fold != without]
        durations = [
            b for b, f in zip(bouts, fold_of, strict=True) if without is None or f != without
        ]
        return _fit(
            mine, durations, len(classes), every, dataclasses.replace(base, prior_power=power)
        )

    folds = sorted({w.fold for w in some})
    whole = fitted(None, 1.0)
    plain = dataclasses.replace(base, temperature=whole.temperature)
    if len(folds) < 2 or sum(len(d) for recording in bouts for d in recording) < 2 * _FEW_BOUTS:
        return plain
    by_fold = {f: {power: fitted(f, power) for power in powers} for f in folds}

    def held_out(candidate: _Candidate) -> tuple[float, float]:
        return _score(
            [(candidate.of(by_fold[w.fold][candidate.power]), w) for w in some], len(classes)
        )

    argmax = [_Candidate(power, s) for power in powers for s in (0.0, *_SHRINK)]
    scores = {c: held_out(c) for c in argmax}
    by_frames = max(argmax, key=lambda c: scores[c][0] - _PULL * (c.shrink > 0))
    by_both = max(argmax[:: 1 + len(_SHRINK)], key=lambda c: sum(scores[c]))  # without biases
    for begin in dict.fromkeys((argmax[0], by_both, by_frames)):
        more = [dataclasses.replace(begin, smooth_s=window) for window in _SMOOTH_S]
        more += [
            dataclasses.replace(begin, scale=scale, cost=cost)
            for scale in _DURATIONS
            for cost in _COSTS
        ]
        scores |= {c: held_out(c) for c in more}
    f1, segments = scores[argmax[0]]
    good = [c for c, (f, s) in scores.items() if f + s > f1 + segments + _GAIN and f >= f1 - _LOSS]
    if not good:
        return plain
    best = max(good, key=lambda c: sum(scores[c]))
    return _rounded(best.of(fitted(None, best.power)))


@dataclass(frozen=True)
class _Candidate:
    """A way to decode, whatever the fitted numbers are; `power` is that of the prior's correction, `shrink` multiplies
    biases, `scale` minimum durations (None: no search)."""

    power: float = 1.0
    shrink: float = 0.0
    smooth_s: float = 0.0
    scale: float | None = None
    cost: float = 0.0

    def of(self, fitted: Decoder) -> Decoder:
        biases = tuple(self.shrink * b for b in fitted.biases) if self.shrink else ()
        decoder = dataclasses.replace(fitted, biases=biases, smooth_s=self.smooth_s)
        if self.scale is None:
            return dataclasses.replace(decoder, kind="argmax", min_duration_s=())
        shortest = tuple(self.scale * d for d in fitted.min_duration_s)
        return dataclasses.replace(
            decoder, kind="viterbi", min_duration_s=shortest, switch_cost=self.cost
        )


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the lowest mean log loss (Guo et al. 2017, arXiv:1706.04599) on labelled frames."""
    scores = np.log(np.clip(probabilities, 1e-12, None))
    own = scores[np.arange(len(labels)), labels]

    def loss(log_temperature: float) -> float:
        t = np.exp(log_temperature)
        return float(np.mean(special.logsumexp(scores / t, axis=1) - own / t))

    found = optimize.minimize_scalar(loss, bounds=(np.log(0.3), np.log(10)), method="bounded")
    return float(np.exp(found.x))


def fit_biases(scores: np.ndarray, labels: np.ndarray, tuned: Sequence[int]) -> np.ndarray:
    """Biases `(classes,)` for log probabilities `(frames, classes)` that raise macro-F1, by coordinate ascent.

    Only classes in `tuned` get one, and it is pulled to 0. For each class, all values of the grid are scored from one
    histogram: of the frames by the bias at which they would fall to the class, by truth, and by who has them otherwise.
    """
    n, classes = scores.shape
    biases = np.zeros(classes)
    for _ in range(3):
        before = biases.copy()
        for c in tuned:
            rivals = scores + biases
            rivals[:, c] = -np.inf
            rival = rivals.argmax(1)
            falls = np.searchsorted(
                _GRID, rivals[np.arange(n), rival] - scores[:, c]
            )  # to c from this value on
            cells = (falls * classes + labels) * classes + rival
            table = np.bincount(cells, minlength=(len(_GRID) + 1) * classes**2).reshape(
                -1, classes, classes
            )
            fallen = table.cumsum(0)[:-1]
            counts = table.sum(0) - fallen
            counts[:, :, c] += fallen.sum(2)
            gains = frame_figures(counts, [])[("macro_f1",)] - _PULL * _GRID**2
            biases[c] = _GRID[int(gains.argmax())]
        if np.array_equal(before, biases):
            break
    return biases


def _fit(
    windows: Sequence[_Window],
    bouts: Sequence[Sequence[np.ndarray]],
    classes: int,
    every: int,
    base: Decoder,
) -> Decoder:
    p = np.concatenate([w.probabilities[::every] for w in windows])
    labels = np.concatenate([w.labels[::every] for w in windows])
    known = (labels >= 0) & ~np.isnan(p).any(1)
    p, labels = p[known].astype(float), labels[known]
    durations = [np.concatenate([b[c] for b in bouts]) for c in range(classes)]
    tuned = [c for c, d in enumerate(durations) if len(d) >= _FEW_BOUTS]
    decoder = base
    if len(p):  # the temperature is that of the probabilities, whatever is made of them
        decoder = dataclasses.replace(
            base, temperature=round(fit_temperature(base.calibrated(p), labels), 4)
        )
        scores = np.log(np.clip(decoder.for_labels(p), 1e-5, None))
        decoder = dataclasses.replace(
            decoder, biases=tuple(fit_biases(scores, labels, tuned).tolist())
        )
    shortest = tuple(
        float(np.quantile(d, _QUANTILE)) if c in tuned else 0.0 for c, d in enumerate(durations)
    )
    return dataclasses.replace(decoder, min_duration_s=shortest)


def _score(pairs: Sequence[tuple[Decoder, _Window]], classes: int) -> tuple[float, float]:
    """Macro-F1 and segment F1@50, both 0-1, of windows decoded each by its own decoder."""
    counts, sequences = np.zeros((classes, classes), np.int64), []
    for decoder, w in pairs:
        found = decoder.decode(w.probabilities, w.rate_hz)
        counts += confusion(w.labels, found, classes)
        sequences += [
            (w.labels[s], found[s]) for s in labelled_stretches(w.labels, [(0, len(found))])
        ]
    macro = float(np.nan_to_num(frame_figures(counts[None], [])[("macro_f1",)][0]))
    return macro, count_segments(sequences).scores["f1_50"] / 100


def _durations_s(
    labels: np.ndarray, trials: Sequence[tuple[int, int]], rate_hz: float, classes: int
) -> list[np.ndarray]:
    """By class, the durations of bouts whose begin and end were both seen."""
    found: list[list[int]] = [[] for _ in range(classes)]
    for start, stop in trials:
        starts, stops, values = runs(np.asarray(labels[start:stop]))
        for i in range(1, len(values) - 1):
            if values[i - 1] >= 0 and values[i] >= 0 and values[i + 1] >= 0:
                found[values[i]].append(int(stops[i] - starts[i]))
    return [np.array(d, float) / rate_hz for d in found]


def _rounded(decoder: Decoder) -> Decoder:
    return dataclasses.replace(
        decoder,
        biases=tuple(round(b, 4) for b in decoder.biases),
        min_duration_s=tuple(round(d, 4) for d in decoder.min_duration_s),
    )
