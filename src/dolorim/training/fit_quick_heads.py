"""Fit quick heads with scikit-learn, and take their numbers out of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from dolorim.models.quick_heads import (
    LinearArrays,
    LinearHead,
    QuickHead,
    TreeArrays,
    TreesHead,
    standardized,
)

Kind = Literal["linear", "trees"]
STRENGTHS = (0.1, 0.01, 0.001)
"""Penalties of the linear head that are tried, relative to the mean loss of a frame."""
_ABSENT = -30.0  # score of a class that was never seen
_STEPS = 100
_TREES: dict[str, Any] = {
    "max_leaf_nodes": 15,
    "max_features": 0.3,
    "l2_regularization": 1.0,
    "early_stopping": False,
}
_GROWN = 300  # trees in all, about
_RATE = 0.1  # learning rate of 100 rounds
_BINS = 63  # of a column's values, for trees
_RANKED = 10_000  # values of a column that its bins are found from
_CHECKED = 200  # rows on which the taken numbers must decide as scikit-learn does


def fit_head(
    kind: Kind,
    columns: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    n_classes: int,
    strength: float = STRENGTHS[1],
    seed: int = 0,
) -> QuickHead:
    """Fit one head to columns `(rows, columns)`, NaN where missing.

    `labels` `(rows,)` are classes, at least two different ones; `weights` `(rows,)` have a mean of
    about 1. `strength` is the penalty of a linear head.
    """
    if kind == "linear":
        return LinearHead(_linear(columns, labels, weights, n_classes, strength))
    return TreesHead(_trees(columns, labels, weights, n_classes, seed))


def _linear(
    columns: np.ndarray, labels: np.ndarray, weights: np.ndarray, n_classes: int, strength: float
) -> LinearArrays:
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column that is never known has no mean
        mean, std = np.nanmean(columns, 0), np.nanstd(columns, 0)
    mean = np.nan_to_num(mean).astype(np.float32)
    std = np.where(std > 0, std, 1.0).astype(np.float32)
    masked = _different_gaps(columns)
    parts = (torch.from_numpy(part) for part in (columns, mean, std, masked))
    inputs = standardized(*parts).numpy()
    # scikit-learn's C multiplies the sum of the losses, so the number of rows is divided out.
    model = LogisticRegression(C=1 / (strength * len(labels)), max_iter=_STEPS, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it could go on for more steps
        model.fit(inputs, labels, weights)
    coefficients, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercept = np.concatenate([np.zeros_like(intercept), intercept])
    all_coefficients = np.zeros((n_classes, inputs.shape[1]))
    all_coefficients[model.classes_] = coefficients
    all_intercepts = np.full(n_classes, _ABSENT)
    all_intercepts[model.classes_] = intercept
    return LinearArrays(mean, std, masked, all_coefficients, all_intercepts)


def _different_gaps(columns: np.ndarray) -> np.ndarray:
    """One column for each pattern of missing rows; the points of a pose often go together."""
    missing = np.isnan(columns)
    patterns: dict[bytes, int] = {}
    for column in np.flatnonzero(missing.any(0) & ~missing.all(0)).tolist():
        patterns.setdefault(np.packbits(missing[:, column]).tobytes(), column)
    return np.array(sorted(patterns.values()), np.int64)


def _trees(
    columns: np.ndarray, labels: np.ndarray, weights: np.ndarray, n_classes: int, seed: int
) -> TreeArrays:
    from sklearn.ensemble import HistGradientBoostingClassifier

    cuts = [_cuts(column) for column in columns.T]
    # Each round grows a tree for each class: with many classes fewer rounds, in larger steps.
    rounds = max(40, min(100, _GROWN // len(np.unique(labels))))
    size = {"max_iter": rounds, "learning_rate": _RATE * 100 / rounds, "max_bins": _BINS}
    model = HistGradientBoostingClassifier(**{**size, **_TREES}, random_state=seed)
    model.fit(_binned(columns, cuts), labels, weights)
    arrays = tree_arrays(model, n_classes, cuts)
    # The nodes are no part of scikit-learn's public interface, so each fit is checked.
    rows = columns[:: max(1, len(columns) // _CHECKED)]
    probabilities = TreesHead(arrays)(torch.from_numpy(rows)).exp().numpy()[:, model.classes_]
    if not np.allclose(probabilities, model.predict_proba(_binned(rows, cuts)), atol=1e-6):
        raise RuntimeError("the trees decide other than scikit-learn's, whose nodes they were")
    return arrays


def _cuts(column: np.ndarray) -> np.ndarray:
    """Values `(bins - 1,)` between which a column's values differ enough for trees.

    scikit-learn finds such values itself, but with weights of rows it takes a hundred times longer.
    """
    known = column[~np.isnan(column)]
    values = np.unique(known[:: max(1, len(known) // _RANKED)]).astype(np.float64)
    if len(values) < 2:
        return np.empty(0)
    if len(values) <= _BINS:
        return (values[1:] + values[:-1]) / 2
    cuts = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]).astype(np.float64))
    # Halfway to the next value, so that rounding moves no frame across.
    following = np.minimum(np.searchsorted(values, cuts, "right"), len(values) - 1)
    return np.unique((cuts + values[following]) / 2)


def _binned(columns: np.ndarray, cuts: Sequence[np.ndarray]) -> np.ndarray:
    """The number of each value's bin, as a column to learn from; NaN stays."""
    bins = [np.searchsorted(cut, column) for cut, column in zip(cuts, columns.T, strict=True)]
    return np.where(np.isnan(columns), np.nan, np.stack(bins, 1)).astype(np.float32)


def tree_arrays(model: Any, n_classes: int, cuts: Sequence[np.ndarray]) -> TreeArrays:
    """The trees of a `HistGradientBoostingClassifier` that knows some of `n_classes` classes.

    It has learned from the numbers of bins, whose limits are `cuts`, by column.
    """
    classes = np.asarray(model.classes_)
    baseline = np.full(n_classes, _ABSENT)
    baseline[classes] = 0.0
    learned = classes[1:] if len(classes) == 2 else classes  # of two classes, only one has trees
    baseline[learned] += model._baseline_prediction[0]
    # Classes without trees share a tree that is a single leaf of value 0.
    trees = [_leaf()]
    roots = np.zeros((len(model._predictors), n_classes), np.int64)
    n_nodes = 1
    for i, by_class in enumerate(model._predictors):
        for c, tree in zip(learned, by_class, strict=True):
            roots[i, c] = n_nodes
            trees.append(_placed(tree.nodes, n_nodes, cuts))
            n_nodes += len(tree.nodes)
    parts = zip(*trees, strict=True)
    feature, threshold, missing_left, left, right, value = map(np.concatenate, parts)
    deepest = max(int(tree.nodes["depth"].max()) for row in model._predictors for tree in row)
    depth = np.array(deepest, np.int64)
    return TreeArrays(feature, threshold, missing_left, left, right, value, roots, baseline, depth)


def _leaf() -> tuple[np.ndarray, ...]:
    zero = np.zeros(1, np.int64)
    return zero, np.full(1, np.inf), np.ones(1, bool), zero, zero, np.zeros(1)


def _placed(nodes: np.ndarray, first: int, cuts: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The fields of a tree's nodes (see `TreeArrays`), numbered from `first`."""
    own = np.arange(first, first + len(nodes))
    leaf = nodes["is_leaf"].astype(bool)
    return (
        np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
        np.array([_limit(node, cuts) for node in nodes]),
        nodes["missing_go_to_left"].astype(bool),
        np.where(leaf, own, first + nodes["left"].astype(np.int64)),
        np.where(leaf, own, first + nodes["right"].astype(np.int64)),
        np.where(leaf, nodes["value"], 0.0),
    )


def _limit(node: np.void, cuts: Sequence[np.ndarray]) -> float:
    """The value up to which a node sends frames to its left; infinite in a leaf."""
    own, at = cuts[int(node["feature_idx"])], float(node["num_threshold"])
    # A threshold halfway between two numbers of bins; an infinite one only parts what is missing.
    if node["is_leaf"] or not 0 <= at < len(own):
        return np.inf
    return float(own[int(at)])
