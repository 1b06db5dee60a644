"""Which bouts to look at first: those that can change the read-out most."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.runs import runs
from dolorim.files.tables import write_table
from dolorim.labels.bouts import Bout, to_bouts
from dolorim.labels.prediction_files import read_predictions
from dolorim.labels.predictions import Predictions
from dolorim.terminal import warn

POSSIBLE = 0.2
"""Probability of the indicator from which on a frame of another class is worth a look."""
_BOUTS_TO_CHECK = 500  # rows of to_check.csv


@dataclass(frozen=True)
class BoutToCheck:
    """A predicted bout and its expected effect on the read-out, if it is wrong.

    `seconds` and `bouts` are the expected change of the behavior of interest. `confidence` is the
    mean probability of the label, `margin` that minus the mean probability of the next class, the
    `rival`. `score` is the change in per cent of the read-out.
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
    score: float = 0.0


def rank_bouts(
    predictions: Iterable[Predictions], indicator: str | None = None, limit: int | None = None
) -> list[BoutToCheck]:
    """Bouts in the order in which a person should look at them; probabilities should be calibrated.

    With an `indicator`, one of its bouts may turn out not to be one, and a piece of any other bout
    may turn out to be a missed one: the frames on which the indicator has a probability of
    `POSSIBLE` or more. Bouts without such a piece cannot change the read-out and are left out,
    however long they are. The expected change in seconds is the sum over frames of the probability
    that they are wrongly in or out; the expected change in bouts is the mean of it. Without an
    indicator, every bout counts by the time that it is expected to be wrong. The score is the
    change in per cent of the read-out: of the indicator's predicted time plus of its predicted
    bouts, over all videos together.
    Raises `ValueError` for an indicator that is not a class.
    """
    bouts: list[BoutToCheck] = []
    total_s, total_bouts = 0.0, 0
    for p in predictions:
        if indicator is not None and indicator not in p.classes:
            known = ", ".join(p.classes)
            raise ValueError(f"{p.name}: no class is called {indicator!r}; there are {known}")
        target = None if indicator is None else p.classes.index(indicator)
        for bout in to_bouts(p.labels):
            if target is None or bout.label == target:
                predicted = _possibly_wrong(p, bout)
                total_s += predicted.stop_s - predicted.start_s
                total_bouts += 1
                bouts.append(predicted)
            else:
                pieces = _possible_pieces(p, bout, target)
                bouts += [_possibly_missed(p, piece, target) for piece in pieces]
    scored = [_with_score(bout, total_s, total_bouts) for bout in bouts]
    return sorted(scored, key=lambda bout: -bout.score)[:limit]


def _with_score(bout: BoutToCheck, total_s: float, total_bouts: int) -> BoutToCheck:
    share_of_time = bout.seconds / (total_s or 1)
    share_of_bouts = bout.bouts / (total_bouts or 1)
    return dataclasses.replace(bout, score=100 * (share_of_time + share_of_bouts))


def _possible_pieces(p: Predictions, bout: Bout, target: int) -> list[Bout]:
    """The stretches of a bout of another class in which the target is possible."""
    possible = np.nan_to_num(p.probabilities[bout.start : bout.stop, target]) >= POSSIBLE
    pieces = []
    for start, stop, is_possible in zip(*runs(possible), strict=True):
        if is_possible:
            pieces.append(Bout(bout.start + int(start), bout.start + int(stop), bout.label))
    return pieces


def _possibly_wrong(p: Predictions, bout: Bout) -> BoutToCheck:
    """A bout that may be of its most likely other class."""
    mean = _mean_probabilities(p, bout)
    others = np.where(np.arange(len(mean)) == bout.label, -1.0, mean)
    return _to_check(p, bout, mean, int(others.argmax()), doubt=float(1 - mean[bout.label]))


def _possibly_missed(p: Predictions, piece: Bout, target: int) -> BoutToCheck:
    """A piece of a bout of another class that may be a missed bout of the target."""
    mean = _mean_probabilities(p, piece)
    return _to_check(p, piece, mean, target, doubt=float(mean[target]))


def _mean_probabilities(p: Predictions, bout: Bout) -> np.ndarray:
    return np.nan_to_num(p.probabilities[bout.start : bout.stop].mean(0, dtype=float))


def _to_check(
    p: Predictions, bout: Bout, mean: np.ndarray, rival: int, doubt: float
) -> BoutToCheck:
    start_s, stop_s = p.interval_s(bout)
    return BoutToCheck(
        name=p.name,
        bout=bout,
        label=p.classes[bout.label],
        rival=p.classes[rival],
        start_s=start_s,
        stop_s=stop_s,
        confidence=float(mean[bout.label]),
        margin=float(mean[bout.label] - mean[rival]),
        seconds=doubt * (stop_s - start_s),
        bouts=doubt,
    )


def write_bouts_to_check(out: Path, stems: Sequence[str], indicator: str | None) -> None:
    """Write `to_check.csv`: the first bouts of `rank_bouts` over the predictions in a folder."""
    columns = [
        "recording", "start_frame", "stop_frame", "start_s", "stop_s", "label", "rival",
        "mean_probability", "margin", "seconds_at_stake", "bouts_at_stake", "percent_of_readout",
    ]  # fmt: skip
    rows = []
    for b in rank_bouts(_with_all_frames_decided(out, stems), indicator, _BOUTS_TO_CHECK):
        expected = (b.confidence, b.margin, b.seconds, b.bouts, b.score)
        times = [f"{b.start_s:.3f}", f"{b.stop_s:.3f}"]
        row = [b.name, b.bout.start, b.bout.stop, *times, b.label, b.rival]
        rows.append(row + [f"{value:.4f}" for value in expected])
    write_table(out / "to_check.csv", columns, rows)


def _with_all_frames_decided(out: Path, stems: Sequence[str]) -> Iterator[Predictions]:
    """Predictions, with open frames under their most likely class.

    A file that was damaged after it was written is reported and left out.
    """
    for stem in stems:
        try:
            predictions = read_predictions(out / f"{stem}.predictions.csv")
        except UserError as error:
            warn(f"left out of to_check.csv: {error}")
            continue
        likeliest = np.nan_to_num(predictions.probabilities).argmax(1).astype(np.int16)
        labels = np.where(predictions.labels < 0, likeliest, predictions.labels)
        yield dataclasses.replace(predictions, labels=labels)
