"""Frame-wise scores on labels `(time,)`. Frames whose truth is -1 never count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def confusion(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Counts `(classes, classes)`: rows are the truth, columns the prediction."""
    known = truth >= 0
    cells = truth[known].astype(np.int64) * n_classes + predicted[known]
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def frame_scores(counts: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Accuracy, F1 and Cohen's kappa from a confusion matrix `(classes, classes)`; fractions from 0 to 1.

    A class that neither the truth nor the prediction holds has no F1 and does not enter the macro average; one that
    is only predicted has an F1 of 0. So does scikit-learn.
    """
    counts = counts.astype(float)
    total, hits = counts.sum(), np.diag(counts)
    support, claimed = counts.sum(1), counts.sum(0)
    precision, recall = _divide(hits, claimed), _divide(hits, support)
    f1 = _divide(2 * hits, support + claimed)
    present = (support + claimed) > 0
    expected = float(_divide(support @ claimed, total**2))
    observed = float(_divide(hits.sum(), total))
    return {
        "frames": int(total),
        "accuracy": observed,
        "macro_f1": float(f1[present].mean()) if present.any() else 0.0,
        "weighted_f1": float(_divide(f1 @ support, total)),
        "kappa": float(_divide(observed - expected, 1 - expected)),
        "per_class": {
            name: {"precision": p, "recall": r, "f1": f, "support": int(s)}
            for name, p, r, f, s in zip(
                names, precision.tolist(), recall.tolist(), f1.tolist(), support.tolist(), strict=True
            )
        },
    }


def _divide(a: Any, b: Any) -> np.ndarray:
    a, b = np.asarray(a, float), np.asarray(b, float)
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b != 0)
