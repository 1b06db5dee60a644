"""All figures of one set of scored recordings, with intervals over animals.

Every figure is a function of sums over frames or bouts, so leaving an animal out costs one sum
over the others', however many frames they have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dolorim.metrics.events import event_figures, event_sums
from dolorim.metrics.frames import Figures, confusion, divide, frame_figures, frame_scores, nested
from dolorim.metrics.intervals import (
    FEWEST_ANIMALS,
    LEVEL,
    Intervals,
    Sums,
    intervals_of,
    paired_intervals_of,
    too_few,
)
from dolorim.metrics.probabilities import (
    average_precision,
    edges_of,
    probability_figures,
    probability_sums,
    reliability_table,
)
from dolorim.metrics.segments import OVERLAPS, count_segments, labelled_stretches

_FEW_ANIMALS = 6


@dataclass(frozen=True)
class Scored:
    """One recording with truth and prediction, each `(time,)` class indices, -1 where there is
    none.

    `probabilities` `(time, classes)` should be calibrated; `borders` are the `[start, stop)` of
    its trials (none: one).
    """

    animal: str
    truth: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None = None
    time_s: np.ndarray | None = None
    borders: Sequence[tuple[int, int]] = ()


def summarize(
    recordings: Sequence[Scored], classes: Sequence[str], background: Sequence[str] = ()
) -> dict[str, Any]:
    """The figures of `metrics.json` for one split, as a tree; None for what is not defined.

    Event scores need the times of all recordings, ranking and calibration their probabilities.
    `intervals` repeats the tree with 95 % intervals over animals; with fewer than `FEWEST_ANIMALS`
    there are none, and `note` says so. Frames that the truth or the prediction leaves at -1 count
    nowhere but in `abstained`.
    """
    edges = _edges(recordings)
    sums, animals = by_animal(recordings, classes, background, edges)
    figures = partial(_figures, classes=classes, background=background)
    whole = {key: values.sum(0) for key, values in sums.items()}
    summary = frame_scores(whole["confusion"], classes)
    # A batch of one: figures are computed for all animals together.
    of_all = figures({key: values[None] for key, values in whole.items()})
    _add_figures(summary, nested(of_all))
    if "true_bouts" in whole:
        _count_bouts(summary["per_class"], whole, classes)
    summary["confusion"] = whole["confusion"].astype(int).tolist()
    summary["segments_without_background"] = summary.get("segments_without_background")
    labelled = sum(int(np.sum(r.truth >= 0)) for r in recordings)
    summary["abstained"] = 1 - summary["frames"] / labelled if labelled else 0.0
    if edges:
        summary["calibration"]["reliability"] = reliability_table(whole["reliability"])
        _add_exact_areas(summary, recordings, classes)
    summary["animals"] = animals
    summary["intervals"] = _about_intervals(len(animals))
    if len(animals) >= FEWEST_ANIMALS:
        summary["intervals"] |= _interval_tree(intervals_of(sums, figures))
    return summary


def _add_figures(summary: dict[str, Any], figures: dict[str, Any]) -> None:
    """Add figures to frame scores, which win where both have a figure: they have 0 for NaN."""
    for name, scores in figures["per_class"].items():
        summary["per_class"][name] = {**scores, **summary["per_class"][name]}
    for key, value in figures.items():
        summary.setdefault(key, value)


def _add_exact_areas(
    summary: dict[str, Any], recordings: Sequence[Scored], classes: Sequence[str]
) -> None:
    """Replace areas from binned probabilities, which intervals need, by those from all frames."""
    truth, probabilities = _pooled(recordings)
    areas = []
    for c, name in enumerate(classes):
        area = average_precision(probabilities[:, c], truth == c)
        is_known = not np.isnan(area)
        summary["per_class"][name]["average_precision"] = area if is_known else None
        if is_known:
            areas.append(area)
    summary["pr_auc"] = float(np.mean(areas)) if areas else None


def _count_bouts(per_class: dict[str, Any], totals: Sums, classes: Sequence[str]) -> None:
    """Add to each class how many true bouts there are, how many were found, and how many
    predicted ones are false.

    A bout is found, or not false, if it shares a frame with one of its class on the other side.
    """
    hours = float(totals["minutes"]) / 60
    for i, name in enumerate(classes):
        false = int(totals["spurious"][i])
        per_class[name] |= {
            "bouts": int(totals["true_bouts"][i]),
            "bouts_found": int(totals["found_bouts"][i]),
            "false_bouts": false,
            "false_bouts_per_hour": false / hours if hours else None,
        }


def compare(
    one: Sequence[Scored],
    two: Sequence[Scored],
    classes: Sequence[str],
    background: Sequence[str] = (),
) -> dict[str, Any]:
    """By how much every figure of `two` exceeds that of `one` on the same recordings, in the same
    order.

    `difference` is a tree of figures, `intervals` repeats it with paired 95 % intervals: an
    animal counts for both. Raises `ValueError` where the recordings are not the same.
    """
    if [(r.animal, r.truth.tolist()) for r in one] != [(r.animal, r.truth.tolist()) for r in two]:
        raise ValueError(
            "only runs that were scored on the same recordings, in the same order, can be compared"
        )
    edges = _edges([*one, *two])
    sums_one, animals = by_animal(one, classes, background, edges)
    sums_two, _ = by_animal(two, classes, background, edges)
    figures = partial(_figures, classes=classes, background=background)
    about = _about_intervals(len(animals))
    if len(animals) < FEWEST_ANIMALS:
        first, second = (_figures_of_all(sums, figures) for sums in (sums_one, sums_two))
        difference = {key: second[key] - first[key] for key in first}
    else:
        difference, intervals = paired_intervals_of(sums_one, sums_two, figures)
        about |= _interval_tree(intervals)
    return {"difference": nested(difference), "animals": animals, "intervals": about}


def _figures_of_all(sums: Sums, figures: Callable[[Sums], Figures]) -> Figures:
    """Figures `(1,)` of all animals together."""
    return figures({key: values.sum(0)[None] for key, values in sums.items()})


def _figures(totals: Sums, classes: Sequence[str], background: Sequence[str]) -> Figures:
    """Figures of a batch of totals, each `(batch, ...)`."""
    figures = frame_figures(totals["confusion"], classes)
    figures |= _segment_figures("segments", totals, 0)
    if background:
        figures |= _segment_figures("segments_without_background", totals, 1)
    if "events" in totals:
        foreground = [i for i, name in enumerate(classes) if name not in background]
        figures |= event_figures(totals, classes, foreground)
    if "ranks" in totals:
        figures |= probability_figures(totals, classes)
    return figures | budget_figures(totals["budget"], classes)


def _segment_figures(name: str, totals: Sums, i: int) -> Figures:
    """Segment F1 and edit score from the totals with (0) or without (1) background classes."""
    tp, fp, fn = np.moveaxis(totals["segments"][:, i], -1, 0)
    f1 = 100 * divide(2 * tp, 2 * tp + fp + fn)
    figures: Figures = {}
    for k, overlap in enumerate(OVERLAPS):
        figures[name, f"f1_{round(100 * overlap)}"] = np.nan_to_num(f1[:, k])
    edit_sum, n_sequences = np.moveaxis(totals["edits"][:, i], -1, 0)
    figures[name, "edit"] = np.nan_to_num(divide(edit_sum, n_sequences))
    return figures


def budget_figures(budget: np.ndarray, classes: Sequence[str]) -> Figures:
    """Agreement of the animals' time budgets, their shares of labeled frames.

    The figures are the mean true and predicted share, the bias, and the concordance of Lin (1989,
    Biometrics 45:255), from moments `(batch, classes, 6)`: sums over animals of 1, x, y, x^2, y^2,
    and xy of the true share x and the predicted share y.
    """
    n, x, y, xx, yy, xy = np.moveaxis(budget, -1, 0)
    x, y = divide(x, n), divide(y, n)
    covariance = divide(xy, n) - x * y
    variances = divide(xx + yy, n) - x**2 - y**2
    # Where all animals have the same shares, rounding leaves a variance of about 1e-17.
    denominator = np.where(variances > 1e-12, variances + (x - y) ** 2, 0)
    concordance = divide(2 * covariance, denominator)
    figures: Figures = {}
    for i, name in enumerate(classes):
        columns = {"true": x, "predicted": y, "bias": y - x, "concordance": concordance}
        figures |= {("time_budget", name, what): values[:, i] for what, values in columns.items()}
    return figures


def by_animal(
    recordings: Sequence[Scored],
    classes: Sequence[str],
    background: Sequence[str] = (),
    edges: dict[str, np.ndarray] | None = None,
) -> tuple[Sums, list[str]]:
    """Sums of each animal, `(animals, ...)`, and the animals' names.

    `edges` are the bins of probabilities; without them, probabilities are not scored. Raises
    `ValueError` where there are no recordings.
    """
    if not recordings:
        raise ValueError("nothing to score: no recordings were given")
    in_background = [classes.index(name) for name in background]
    with_time = all(r.time_s is not None for r in recordings)
    totals: dict[str, Sums] = defaultdict(dict)
    for recording in recordings:
        total = totals[recording.animal]
        sums = _sums_of(recording, len(classes), in_background, with_time, edges)
        for key, values in sums.items():
            total[key] = total.get(key, 0) + values
    for total in totals.values():
        total["budget"] = _budget_moments(total["confusion"])
    animals = sorted(totals)
    stacked = {}
    for key in totals[animals[0]]:
        stacked[key] = np.stack([totals[name][key] for name in animals]).astype(float)
    return stacked, animals


def _sums_of(
    recording: Scored,
    n_classes: int,
    in_background: Sequence[int],
    with_time: bool,
    edges: dict[str, np.ndarray] | None,
) -> Sums:
    """Everything that figures need of one recording, in sums over its frames, bouts and trials."""
    truth, predicted = recording.truth, recording.predicted
    stretches = labelled_stretches(truth, recording.borders or [(0, len(truth))])
    sequences = [(truth[stretch], predicted[stretch]) for stretch in stretches]
    with_background = count_segments(sequences)
    without_background = count_segments(sequences, in_background)
    counts = (with_background, without_background)
    sums: Sums = {
        "confusion": confusion(truth, predicted, n_classes),
        "segments": np.stack([np.stack((c.tp, c.fp, c.fn), axis=1) for c in counts]),
        "edits": np.array([[np.sum(c.edits), len(c.edits)] for c in counts]),
    }
    if with_time and recording.time_s is not None:
        sums |= event_sums(truth, predicted, recording.time_s, stretches, n_classes)
    if edges is not None and recording.probabilities is not None:
        known = _known(recording)
        sums |= probability_sums(truth[known], recording.probabilities[known], edges)
    return sums


def _budget_moments(counts: np.ndarray) -> np.ndarray:
    """Moments `(classes, 6)` of an animal's time budget, from its confusion matrix; 0 without
    labeled frames (`budget_figures`).
    """
    n_frames = max(counts.sum(), 1)
    x, y = counts.sum(1) / n_frames, counts.sum(0) / n_frames
    has_frames = np.full(len(counts), float(counts.any()))
    return np.stack((has_frames, x, y, x * x, y * y, x * y), axis=1)


def _edges(recordings: Sequence[Scored]) -> dict[str, np.ndarray] | None:
    """Bins of the probabilities of all recordings; None unless all have some."""
    if not recordings or any(r.probabilities is None for r in recordings):
        return None
    truth, probabilities = _pooled(recordings)
    return edges_of(probabilities, truth) if len(truth) else None


def _pooled(recordings: Sequence[Scored]) -> tuple[np.ndarray, np.ndarray]:
    """Truth `(frames,)` and probabilities `(frames, classes)` of all recordings together."""
    truth, probabilities = [], []
    for recording in recordings:
        if recording.probabilities is not None:
            known = _known(recording)
            truth.append(recording.truth[known])
            probabilities.append(recording.probabilities[known])
    return np.concatenate(truth), np.concatenate(probabilities)


def _known(recording: Scored) -> np.ndarray:
    """Frames with a label and with probabilities."""
    has_probabilities = ~np.isnan(np.asarray(recording.probabilities)).any(1)
    return (recording.truth >= 0) & has_probabilities


def _about_intervals(animals: int) -> dict[str, Any]:
    """How the intervals were made, and a note where animals are few."""
    about: dict[str, Any] = {
        "level": LEVEL,
        "animals": animals,
        "method": "jackknife over animals, Student's t",
    }
    if animals < FEWEST_ANIMALS:
        about["note"] = too_few(animals)  # what to do about it depends on the command
    elif animals < _FEW_ANIMALS:
        about["note"] = (
            f"{animals} animals are few: the intervals are wide, and rest on these {animals} "
            "being typical"
        )
    return about


def _interval_tree(intervals: Intervals) -> dict[str, Any]:
    """Intervals as a tree of [low, high]; None where there is none."""
    tree: dict[str, Any] = {}
    for (*path, last), ends in intervals.items():
        place = tree
        for step in path:
            place = place.setdefault(step, {})
        place[last] = None if np.isnan(ends[0]) else [float(end) for end in ends]
    return tree
