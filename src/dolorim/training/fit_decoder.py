"""Fit a decoder to validation recordings.

Fitted are the temperature, how far labels follow the prior, biases and minimum durations, and
whether to search at all. Every choice is scored on animals that it was not fitted to
(cross-validation within the validation recordings), and has to beat plain argmax there; then it is
fitted to all of them. Biases have to gain more than one standard error over three animals or more.
Test animals have no part in it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from dolorim.core.runs import runs
from dolorim.inference.decoder import Decoder
from dolorim.metrics.frames import frame_figures
from dolorim.training.head_scores import HeadScore, Stretch, score_labels, standard_error

_FRAMES = 30_000  # as many are scored, spread over all recordings
_WINDOW = 2000  # frames
_FOLDS = 4
_FEW_BOUTS = 8  # with fewer complete bouts of a class nothing is fitted for it
_GRID = np.linspace(-2, 2, 17)  # of biases, in log probabilities
_PULL = 0.003  # macro-F1 that a bias of 1 must gain
_GAIN = 0.01  # gain over argmax that a decoder needs, in macro-F1 plus segment F1@50 (both 0-1)
_LOSS = 0.003  # macro-F1 that it may lose
_SHRINK = (1.0, 0.5)  # factors of the biases
_SMOOTH_S = (0.1, 0.2, 0.4)
_DURATIONS = (0.5, 1.0)  # factors of the low quantile of labeled bouts
_QUANTILE = 0.05
_POWERS = (1.0, 0.5, 0.0)  # of the prior's correction, for labels
_COSTS = (0.0, 3.0, 8.0, 20.0, 40.0)  # of a change of class

Borders = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class _Recording:
    """A validation recording; `durations_s` are those of its complete bouts, by class."""

    animal: str
    probabilities: np.ndarray
    labels: np.ndarray
    rate_hz: float
    fold: int | None
    trials: Borders
    durations_s: Sequence[np.ndarray]


@dataclass(frozen=True)
class _Window:
    """A stretch of a recording that is decoded and scored by itself, unlabeled frames included."""

    animal: str
    probabilities: np.ndarray
    labels: np.ndarray
    rate_hz: float
    fold: int


@dataclass(frozen=True)
class _Candidate:
    """A way to decode, independent of the fitted numbers.

    `power` is that of the prior's correction, `shrink` multiplies biases, `scale` minimum durations
    (None: no search).
    """

    power: float = 1.0
    shrink: float = 0.0
    smooth_s: float = 0.0
    scale: float | None = None
    cost: float = 0.0

    def of(self, fitted: Decoder) -> Decoder:
        """The decoder with this candidate's use of the fitted numbers."""
        biases = tuple(self.shrink * b for b in fitted.biases) if self.shrink else ()
        decoder = dataclasses.replace(fitted, biases=biases, smooth_s=self.smooth_s)
        if self.scale is None:
            return dataclasses.replace(decoder, kind="argmax", min_duration_s=())
        shortest = tuple(self.scale * d for d in fitted.min_duration_s)
        return dataclasses.replace(
            decoder, kind="viterbi", min_duration_s=shortest, switch_cost=self.cost
        )


Scores = dict[_Candidate, HeadScore]
_PLAIN = _Candidate(_POWERS[0], 0.0)  # argmax of the probabilities as they are


def fit_decoder(
    probabilities: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    rate_hz: float | Sequence[float],
    classes: Sequence[str],
    *,
    animals: Sequence[str] | None = None,
    borders: Sequence[Borders] | None = None,
    base: Decoder | None = None,
) -> Decoder:
    """Fit a decoder to recordings with known labels.

    `probabilities` are `(time, classes)` and `labels` `(time,)` each, -1 unlabeled. `rate_hz` is
    one rate, or one per recording. Recordings of one of the `animals` are in one fold (without it,
    each recording is an animal). `borders` are the trials' `[start, stop)`, across which nothing is
    carried. `base` holds the correction of the probabilities. With too few labeled bouts only the
    temperature is fitted, without labels nothing.
    """
    base = base or Decoder()
    if isinstance(rate_hz, int | float):
        rate_hz = [rate_hz] * len(labels)
    if animals is None:
        animals = [str(i) for i in range(len(labels))]
    trials: list[Borders] = [[(0, len(truth))] for truth in labels]
    if borders is not None:
        trials = [given or whole for given, whole in zip(borders, trials, strict=True)]
    recordings = [
        _Recording(
            animal, p, truth, float(rate), fold, cuts, _durations_s(truth, cuts, rate, len(classes))
        )
        for animal, p, truth, rate, fold, cuts in zip(
            animals, probabilities, labels, rate_hz, _folds(animals), trials, strict=True
        )
    ]
    return _fitted_to(_Validation(recordings, len(classes), base))


def _fitted_to(data: _Validation) -> Decoder:
    """The best decoder of all, if the labels are enough to tell."""
    if not data.windows:
        return data.base
    plain = dataclasses.replace(data.base, temperature=data.fitted(None, 1.0).temperature)
    if len(data.folds) < 2 or data.n_bouts < 2 * _FEW_BOUTS:
        return plain
    best = _best_candidate(data)
    if best is None:
        return plain
    return _rounded(best.of(data.fitted(None, best.power)))


def _folds(animals: Sequence[str]) -> list[int | None]:
    """The fold of each recording; None for a single animal, which is divided in time instead."""
    names = sorted(set(animals))
    if len(names) == 1:
        return [None] * len(animals)
    return [names.index(animal) % _FOLDS for animal in animals]


class _Validation:
    """The validation recordings in windows, and what is fitted to all folds of them but one."""

    def __init__(self, recordings: Sequence[_Recording], n_classes: int, base: Decoder) -> None:
        self.recordings, self.n_classes, self.base = recordings, n_classes, base
        windows = itertools.chain.from_iterable(map(_windows_of, recordings))
        self.windows = [w for w in windows if (w.labels >= 0).any()]
        n_frames = sum(len(w.labels) for w in self.windows)
        self.every = max(1, round(n_frames / _FRAMES))
        self.scored = self.windows[:: self.every]
        self.folds = sorted({w.fold for w in self.scored})

    @property
    def n_bouts(self) -> int:
        """Complete bouts of all classes."""
        by_class = itertools.chain.from_iterable(r.durations_s for r in self.recordings)
        return sum(len(durations) for durations in by_class)

    def fitted(self, without: int | None, power: float) -> Decoder:
        """Temperature, biases and minimum durations from all folds but one."""
        windows = [w for w in self.windows if w.fold != without]
        recordings = [r for r in self.recordings if without is None or r.fold != without]
        by_class = zip(*(r.durations_s for r in recordings), strict=True)
        durations_s = [np.concatenate(durations) for durations in by_class]
        base = dataclasses.replace(self.base, prior_power=power)
        return _fit(windows, durations_s, self.every, base)


def _windows_of(recording: _Recording) -> Iterator[_Window]:
    n_frames = len(recording.labels)
    for start, stop in recording.trials:
        for first in range(start, stop, _WINDOW):
            part = slice(first, min(first + _WINDOW, stop))
            fold = recording.fold
            if fold is None:
                fold = first * _FOLDS // n_frames % _FOLDS
            labels = np.asarray(recording.labels[part])
            probabilities = recording.probabilities[part]
            yield _Window(recording.animal, probabilities, labels, recording.rate_hz, fold)


def _best_candidate(data: _Validation) -> _Candidate | None:
    """The candidate with the best scores on held-out folds; None where none beats plain argmax."""
    scores = _score_candidates(data)
    plain = scores[_PLAIN]
    good = [candidate for candidate in scores if _beats(scores[candidate], plain)]
    unbiased = [candidate for candidate in good if not candidate.shrink]
    best = max(good, key=lambda c: scores[c].sum, default=None)
    if best is None or not best.shrink:
        return best
    # Biases are fitted to the animals at hand: they must show that they help others, too.
    simpler = max(unbiased, key=lambda c: scores[c].sum, default=None)
    without = plain if simpler is None else scores[simpler]
    gain = scores[best].sum - without.sum
    return best if gain > standard_error(scores[best], without) else simpler


def _score_candidates(data: _Validation) -> Scores:
    """The scores of plain argmax and of all other candidates on held-out folds."""
    powers = _POWERS if data.base.prior else _POWERS[:1]
    fitted = {key: data.fitted(*key) for key in itertools.product(data.folds, powers)}

    def held_out(candidate: _Candidate) -> HeadScore:
        decoders = [candidate.of(fitted[w.fold, candidate.power]) for w in data.scored]
        return _score(decoders, data.scored, data.n_classes)

    argmax = [_Candidate(*pair) for pair in itertools.product(powers, (0.0, *_SHRINK))]
    scores: Scores = {candidate: held_out(candidate) for candidate in argmax}
    # Smoothing and minimum durations are tried on top of three ways to take the largest
    # probability: the plain one, the best for frames and bouts, and the best for frames.
    by_frames = max(argmax, key=lambda c: scores[c].macro_f1 - _PULL * (c.shrink > 0))
    without_biases = [candidate for candidate in argmax if not candidate.shrink]
    by_both = max(without_biases, key=lambda c: scores[c].sum)
    for start in dict.fromkeys((_PLAIN, by_both, by_frames)):
        scores |= {candidate: held_out(candidate) for candidate in _variants(start)}
    return scores


def _beats(score: HeadScore, plain: HeadScore) -> bool:
    """Is a decoder worth it, compared with argmax?"""
    return score.sum > plain.sum + _GAIN and score.macro_f1 >= plain.macro_f1 - _LOSS


def _variants(start: _Candidate) -> Iterator[_Candidate]:
    """The same use of biases and prior, with smoothing or with minimum durations."""
    for window in _SMOOTH_S:
        yield dataclasses.replace(start, smooth_s=window)
    for scale, cost in itertools.product(_DURATIONS, _COSTS):
        yield dataclasses.replace(start, scale=scale, cost=cost)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the lowest mean log loss on labeled frames.

    Guo et al. 2017, arXiv:1706.04599. `probabilities` are `(frames, classes)`, `labels`
    `(frames,)`.
    """
    scores = np.log(np.clip(probabilities, 1e-12, None))
    own = scores[np.arange(len(labels)), labels]

    def loss(log_temperature: float) -> float:
        t = np.exp(log_temperature)
        return float(np.mean(special.logsumexp(scores / t, axis=1) - own / t))

    best = optimize.minimize_scalar(loss, bounds=(np.log(0.3), np.log(10)), method="bounded")
    return float(np.exp(best.x))


def fit_biases(scores: np.ndarray, labels: np.ndarray, tuned: Sequence[int]) -> np.ndarray:
    """Biases `(classes,)` for log probabilities `(frames, classes)` that raise macro-F1.

    Found by coordinate ascent, for the classes in `tuned` only, and pulled to 0. For each class,
    all values of the grid are scored from one histogram of the frames: by the bias at which a frame
    would change to the class, by its true class, and by the class that it has otherwise.
    """
    n, classes = scores.shape
    biases = np.zeros(classes)
    for _ in range(3):
        before = biases.copy()
        for c in tuned:
            rivals = scores + biases
            rivals[:, c] = -np.inf
            rival = rivals.argmax(1)
            # The first value of the grid from which on a frame has class c.
            changes_at = np.searchsorted(_GRID, rivals[np.arange(n), rival] - scores[:, c])
            cells = (changes_at * classes + labels) * classes + rival
            histogram = np.bincount(cells, minlength=(len(_GRID) + 1) * classes**2)
            histogram = histogram.reshape(-1, classes, classes)
            # Confusion matrices `(grid, true, predicted)`, for every value of the grid.
            changed = histogram.cumsum(0)[:-1]
            counts = histogram.sum(0) - changed
            counts[:, :, c] += changed.sum(2)
            gains = frame_figures(counts, [])[("macro_f1",)] - _PULL * _GRID**2
            biases[c] = _GRID[int(gains.argmax())]
        if np.array_equal(before, biases):
            break
    return biases


def _fit(
    windows: Sequence[_Window], durations_s: Sequence[np.ndarray], every: int, base: Decoder
) -> Decoder:
    """`base` with a temperature, biases and minimum durations; `durations_s` are by class."""
    probabilities = np.concatenate([w.probabilities[::every] for w in windows])
    labels = np.concatenate([w.labels[::every] for w in windows])
    known = (labels >= 0) & ~np.isnan(probabilities).any(1)
    probabilities, labels = probabilities[known].astype(float), labels[known]
    tuned = [c for c, durations in enumerate(durations_s) if len(durations) >= _FEW_BOUTS]
    decoder = base
    if len(probabilities):
        # The temperature belongs to the probabilities, however labels are made of them.
        temperature = fit_temperature(base.calibrated(probabilities), labels)
        decoder = dataclasses.replace(base, temperature=round(temperature, 4))
        scores = np.log(np.clip(decoder.for_labels(probabilities), 1e-5, None))
        biases = fit_biases(scores, labels, tuned)
        decoder = dataclasses.replace(decoder, biases=tuple(biases.tolist()))
    shortest = np.zeros(len(durations_s))
    for c in tuned:
        shortest[c] = np.quantile(durations_s[c], _QUANTILE)
    return dataclasses.replace(decoder, min_duration_s=tuple(shortest.tolist()))


def _score(decoders: Sequence[Decoder], windows: Sequence[_Window], classes: int) -> HeadScore:
    """The score of windows decoded by one decoder each."""
    pairs = zip(decoders, windows, strict=True)
    predicted = [decoder.decode(window.probabilities, window.rate_hz) for decoder, window in pairs]
    stretches = [Stretch(window.animal, window.labels, window.rate_hz) for window in windows]
    return score_labels(stretches, predicted, classes)


def _durations_s(
    labels: np.ndarray, trials: Borders, rate_hz: float, classes: int
) -> list[np.ndarray]:
    """Durations of complete bouts, by class: bouts between two labeled ones."""
    n_frames: list[list[int]] = [[] for _ in range(classes)]
    for start, stop in trials:
        starts, stops, values = runs(np.asarray(labels[start:stop]))
        for i in range(1, len(values) - 1):
            if (values[i - 1 : i + 2] >= 0).all():
                n_frames[values[i]].append(int(stops[i] - starts[i]))
    return [np.array(lengths, float) / rate_hz for lengths in n_frames]


def _rounded(decoder: Decoder) -> Decoder:
    return dataclasses.replace(
        decoder,
        biases=tuple(round(b, 4) for b in decoder.biases),
        min_duration_s=tuple(round(d, 4) for d in decoder.min_duration_s),
    )
