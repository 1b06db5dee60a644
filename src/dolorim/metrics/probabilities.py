"""Are probabilities worth their name? Ranking (average precision) and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dolorim.metrics.frames import Figures, divide, mean_of_known

_BINS = 15  # of the reliability diagram
_STEPS = 400  # bins of each class's scores, from which average precision is computed
_LEAST = 1e-5  # smaller probabilities count as this one in the log loss


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under precision over recall, without interpolation, as scikit-learn computes it.

    `scores` and `positive` are `(frames,)`. NaN without a positive frame.
    """
    order = np.argsort(-scores, kind="stable")
    # Frames with the same score are claimed together, at the last one of them.
    last = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum(positive[order])[last]
    if len(hits) == 0 or hits[-1] == 0:
        return float("nan")
    claimed = np.flatnonzero(last) + 1
    gained = np.diff(hits, prepend=0)
    return float(np.sum(gained * hits / claimed) / hits[-1])


def edges_of(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Where to cut probabilities `(frames, classes)` into bins of equal mass.

    `confidence` `(bins - 1,)` is for calibration. `scores` `(classes, steps)` are for average
    precision: quantiles of each class's probability, half of them on its own frames and half on
    all, so that a rare class has enough bins where its frames are.
    """
    levels = np.linspace(0, 1, _STEPS // 2 + 2)[1:-1]
    scores = []
    for c, p in enumerate(probabilities.T):
        own = p[truth == c] if (truth == c).any() else p
        scores.append(np.sort(np.concatenate((np.quantile(p, levels), np.quantile(own, levels)))))
    return {
        "confidence": np.quantile(probabilities.max(1), np.linspace(0, 1, _BINS + 1)[1:-1]),
        "scores": np.stack(scores),
    }


def probability_sums(
    truth: np.ndarray, probabilities: np.ndarray, edges: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Sums over the labeled frames of one recording.

    `ranks` `(classes, steps, 2)` counts other and own frames by score; `reliability` `(bins, 3)`
    sums frames, confidence and hits; `quality` `(3,)` sums frames, squared errors and log losses;
    `expected` `(classes, 2)` the frames of each class, and the class's probabilities.
    """
    n_frames, n_classes = probabilities.shape
    n_cells = 2 * (_STEPS + 1)
    ranks = np.zeros((n_classes, _STEPS + 1, 2))
    for c in range(n_classes):
        steps = np.searchsorted(edges["scores"][c], probabilities[:, c], "right")
        cells = 2 * steps + (truth == c)
        ranks[c] = np.bincount(cells, minlength=n_cells)[:n_cells].reshape(-1, 2)
    confidence, hit = probabilities.max(1), probabilities.argmax(1) == truth
    bins = np.searchsorted(edges["confidence"], confidence, "right")
    summed = (np.ones(n_frames), confidence, hit)
    columns = [np.bincount(bins, weights, minlength=_BINS) for weights in summed]
    of_truth = probabilities[np.arange(n_frames), truth]
    # The sum over classes of (p - 1[true])^2, multiplied out.
    squares = np.sum(probabilities**2) - 2 * of_truth.sum() + n_frames
    log_loss = -np.log(np.clip(of_truth, _LEAST, None)).sum()
    own_frames = np.bincount(truth, minlength=n_classes)[:n_classes]
    return {
        "expected": np.stack([own_frames, probabilities.sum(0)], axis=1),
        "ranks": ranks,
        "reliability": np.stack(columns, axis=1),
        "quality": np.array([n_frames, squares, log_loss]),
    }


def probability_figures(totals: dict[str, np.ndarray], names: Sequence[str]) -> Figures:
    """Figures of a batch of totals, sums of `probability_sums` with a batch dimension.

    ECE is the mean distance between confidence and accuracy over bins of equal mass, the Brier
    score the mean over frames of the squared error summed over classes (0-2), NLL the mean log
    loss in nats. `expected_over_true` is the sum of a class's probabilities over its true frames:
    2 where they promise twice the time that there is.
    """
    counts = totals["ranks"][:, :, ::-1].cumsum(2)  # from the highest score down
    hits = counts[..., 1]
    gained = np.diff(hits, axis=2, prepend=0.0)
    precision = np.nan_to_num(divide(hits, counts.sum(-1)))
    areas = divide((gained * precision).sum(2), hits[:, :, -1])
    frames, confidence, hit = np.moveaxis(totals["reliability"], -1, 0)
    n = totals["quality"][:, 0]
    true, expected = np.moveaxis(totals["expected"], -1, 0)
    figures: Figures = {
        ("pr_auc",): mean_of_known(areas),
        ("calibration", "ece"): divide(np.abs(confidence - hit).sum(1), frames.sum(1)),
        ("calibration", "brier"): divide(totals["quality"][:, 1], n),
        ("calibration", "nll"): divide(totals["quality"][:, 2], n),
    }
    for c, name in enumerate(names):
        figures["per_class", name, "average_precision"] = areas[:, c]
        figures["per_class", name, "expected_over_true"] = divide(expected[:, c], true[:, c])
    return figures


def reliability_table(sums: np.ndarray) -> list[dict[str, Any]]:
    """Rows of the reliability diagram from `reliability` `(bins, 3)`; empty bins are left out."""
    return [
        {"confidence": confidence / n, "accuracy": hits / n, "frames": int(n)}
        for n, confidence, hits in sums.tolist()
        if n
    ]
