"""All figures of one set of scored recordings, with intervals over animals.

Every figure is a function of sums over frames or bouts, so leaving an animal out costs one sum
over the others', however many frames they have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
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
    sums, animals = by_animal(recordings, classes, background, edges := _edges(recordings))
    figures = partial(_figures, classes=classes, background=background)
    whole = {k: v.sum(0) for k, v in sums.items()}
    found = frame_scores(whole["confusion"], classes)
    for key, value in nested(figures({k: v[None] for k, v in whole.items()})).items():
        if key == "per_class":
            for name, scores in value.items():
                found[key][name] = {**scores, **found[key][name]}
        else:
            found.setdefault(key, value)
    if "true_bouts" in whole:
        _count_bouts(found["per_class"], whole, classes)
    found["confusion"] = whole["confusion"].astype(int).tolist()
    found["segments_without_background"] = found.get("segments_without_background")
    labelled = sum(int(np.sum(r.truth >= 0)) for r in recordings)
    found["abstained"] = 1 - found["frames"] / labelled if labelled else 0.0
    if edges:
        found["calibration"]["reliability"] = reliability_table(whole["reliability"])
        for name, area in zip(classes, _exact_areas(recordings, len(classes)), strict=True):
            found["per_class"][name]["average_precision"] = None if np.isnan(area) else area
        areas = [
            a
            for a in (c["average_precision"] for c in found["per_class"].values())
            if a is not None
        ]
        found["pr_auc"] = float(np.mean(areas)) if areas else None
    found["animals"] = animals
    found["intervals"] = _told(len(animals))
    if len(animals) >= FEWEST_ANIMALS:
        found["intervals"] |= _pairs(intervals_of(sums, figures))
    return found


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
    (a, animals), (b, _) = (by_animal(r, classes, background, edges) for r in (one, two))
    figures = partial(_figures, classes=classes, background=background)
    found: dict[str, Any] = {
        "difference": None,
        "animals": animals,
        "intervals": _told(len(animals)),
    }
    if len(animals) < FEWEST_ANIMALS:
        first, second = (figures({k: v.sum(0)[None] for k, v in s.items()}) for s in (a, b))
        return {**found, "difference": nested({k: second[k] - first[k] for k in first})}
    difference, intervals = paired_intervals_of(a, b, figures)
    found["intervals"] |= _pairs(intervals)
    return {**found, "difference": nested(difference)}


def _figures(totals: Sums, classes: Sequence[str], background: Sequence[str]) -> Figures:
    """Figures of a batch of totals, each `(batch, ...)`."""
    found = frame_figures(totals["confusion"], classes)
    for i, name in enumerate(
        ["segments", *(["segments_without_background"] if background else [])]
    ):
        tp, fp, fn = np.moveaxis(totals["segments"][:, i], -1, 0)
        f1 = 100 * divide(2 * tp, 2 * tp + fp + fn)
        found |= {
            (name, f"f1_{round(100 * o)}"): np.nan_to_num(f1[:, k]) for k, o in enumerate(OVERLAPS)
        }
        found[name, "edit"] = np.nan_to_num(
            divide(totals["edits"][:, i, 0], totals["edits"][:, i, 1])
        )
    if "events" in totals:
        foreground = [i for i, c in enumerate(classes) if c not in background]
        found |= event_figures(totals, classes, foreground)
    if "ranks" in totals:
        found |= probability_figures(totals, classes)
    return found | budget_figures(totals["budget"], classes)


def budget_figures(budget: np.ndarray, classes: Sequence[str]) -> Figures:
    """Agreement of the animals' time budgets: shares of their labelled frames, true and
    predicted, mean bias, and the concordance of Lin (1989, Biometrics 45:255), from moments
    `(batch, classes, 6)`."""
    n, x, y, xx, yy, xy = np.moveaxis(budget, -1, 0)
    x, y = divide(x, n), divide(y, n)
    spread = divide(xx + yy, n) - x**2 - y**2
    concordance = divide(
        2 * (divide(xy, n) - x * y), np.where(spread > 1e-12, spread + (x - y) ** 2, 0)
    )
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
    """Sums of each animal, `(animals, ...)`, and the animals' names."""
    n = len(classes)
    behind = [classes.index(b) for b in background]
    with_time = bool(recordings) and all(r.time_s is not None for r in recordings)
    found: dict[str, Sums] = defaultdict(dict)
    for r in recordings:
        stretches = labelled_stretches(r.truth, r.borders or [(0, len(r.truth))])
        sequences = [(r.truth[s], r.predicted[s]) for s in stretches]
        counts = [count_segments(sequences, b) for b in ([], behind)]
        sums: Sums = {
            "confusion": confusion(r.truth, r.predicted, n),
            "segments": np.stack([np.stack((c.tp, c.fp, c.fn), axis=1) for c in counts]),
            "edits": np.array([[np.sum(c.edits), len(c.edits)] for c in counts]),
        }
        if with_time and r.time_s is not None:
            sums |= event_sums(r.truth, r.predicted, r.time_s, stretches, n)
        if edges is not None and r.probabilities is not None:
            known = _known(r)
            sums |= probability_sums(r.truth[known], r.probabilities[known], edges)
        total = found[r.animal]
        for key, values in sums.items():
            total[key] = total[key] + values if key in total else values
    for total in found.values():
        frames = max(total["confusion"].sum(), 1)
        x, y = total["confusion"].sum(1) / frames, total["confusion"].sum(0) / frames
        total["budget"] = np.stack(
            (np.full(n, float(total["confusion"].any())), x, y, x * x, y * y, x * y), axis=1
        )
    animals = sorted(found)
    if not animals:
        raise ValueError("nothing to score: no recordings were given")
    return {
        key: np.stack([found[a][key] for a in animals]).astype(float) for key in found[animals[0]]
    }, animals


def _edges(recordings: Sequence[Scored]) -> dict[str, np.ndarray] | None:
    """Bins of the probabilities of all recordings; None unless all have some."""
    if not recordings or any(r.probabilities is None for r in recordings):
        return None
    truth, probabilities = _pooled(recordings)
    return edges_of(probabilities, truth) if len(truth) else None


def _exact_areas(recordings: Sequence[Scored], n_classes: int) -> list[float]:
    truth, probabilities = _pooled(recordings)
    return [average_precision(probabilities[:, c], truth == c) for c in range(n_classes)]


def _pooled(recordings: Sequence[Scored]) -> tuple[np.ndarray, np.ndarray]:
    pairs = [
        (r.truth[k], r.probabilities[k])
        for r in recordings
        if r.probabilities is not None
        for k in [_known(r)]
    ]
    return np.concatenate([t for t, _ in pairs]), np.concatenate([p for _, p in pairs])


def _known(r: Scored) -> np.ndarray:
    """Frames with a label and with probabilities."""
    return (r.truth >= 0) & ~np.isnan(np.asarray(r.probabilities)).any(1)


def _told(animals: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "level": LEVEL,
        "animals": animals,
        "method": "jackknife over animals, Student's t",
    }
    if animals < FEWEST_ANIMALS:
        told["note"] = too_few(animals)  # what to do about it depends on the command
    elif animals < _FEW_ANIMALS:
        told["note"] = (
            f"{animals} animals are few: the intervals are wide, and rest on these {animals} "
            "being typical"
        )
    return told


def _pairs(found: Intervals) -> dict[str, Any]:
    """Intervals as a tree of [low, high]; None where there is none."""
    low, high = (nested({k: np.array([v[i]]) for k, v in found.items()}) for i in (0, 1))

    def both(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
        return {
            k: both(v, two[k]) if isinstance(v, dict) else None if v is None else [v, two[k]]
            for k, v in one.items()
        }

    return both(low, high)
