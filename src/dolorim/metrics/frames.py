"""Frame-wise scores on labels `(time,)`. Frames whose truth is -1 never count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Figures = dict[tuple[str, ...], np.ndarray]
"""Figures by name, each `(batch,)`; NaN where one is not defined. `("per_class", "paw_lick",
"f1")` names a place in a tree, as `metrics.json` holds it."""


def confusion(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Counts `(classes, classes)`: rows are the truth, columns the prediction. -1 on either side
    does not count.
    """
    known = (truth >= 0) & (predicted >= 0)
    cells = truth[known].astype(np.int64) * n_classes + predicted[known]
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def frame_figures(counts: np.ndarray, names: Sequence[str]) -> Figures:
    """Scores of a batch of confusion matrices `(batch, classes, classes)`.

    A class that neither the truth nor the prediction holds has no F1 and does not enter the macro
    average; one that is only predicted has an F1 of 0. Balanced accuracy is the mean recall of
    the true classes; MCC is the multi-class one of Gorodkin (2004). So does scikit-learn.
    """
    counts = counts.astype(float)
    hits = np.diagonal(counts, axis1=1, axis2=2)
    support, claimed, total = counts.sum(2), counts.sum(1), counts.sum((1, 2))
    recall, f1 = divide(hits, support), divide(2 * hits, support + claimed)
    precision = divide(hits, claimed)
    correct = hits.sum(1)
    chance = (support * claimed).sum(1)
    spread = (total**2 - (support**2).sum(1)) * (total**2 - (claimed**2).sum(1))
    figures: Figures = {
        ("accuracy",): divide(correct, total),
        ("macro_f1",): mean_of_known(f1),
        ("weighted_f1",): divide((np.nan_to_num(f1) * support).sum(1), total),
        ("balanced_accuracy",): mean_of_known(recall),
        ("kappa",): divide(correct * total - chance, total**2 - chance),
        ("mcc",): divide(correct * total - chance, np.sqrt(spread)),
    }
    for i, name in enumerate(names):
        figures |= {
            ("per_class", name, "precision"): precision[:, i],
            ("per_class", name, "recall"): recall[:, i],
            ("per_class", name, "f1"): f1[:, i],
        }
    return figures


def frame_scores(counts: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """The figures of one confusion matrix `(classes, classes)` as a tree; what is not defined is
    0.
    """
    scores: dict[str, Any] = {"frames": int(counts.sum())}
    scores |= nested({k: np.nan_to_num(v) for k, v in frame_figures(counts[None], names).items()})
    for name, support in zip(names, counts.sum(1).tolist(), strict=True):
        scores["per_class"][name]["support"] = int(support)
    return scores


def nested(figures: Figures) -> dict[str, Any]:
    """The first figure of each batch as a tree of plain numbers; None for NaN."""
    tree: dict[str, Any] = {}
    for (*path, last), values in figures.items():
        place = tree
        for step in path:
            place = place.setdefault(step, {})
        value = float(values[0])
        place[last] = None if np.isnan(value) else value
    return tree


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`a / b`, NaN where b is 0."""
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b != 0)


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    return divide(np.where(known, values, 0).sum(-1), known.sum(-1))
