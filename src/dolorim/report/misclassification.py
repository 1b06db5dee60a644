"""What a classifier's errors do to time budgets: corrected shares, and intervals that include the errors.

A matrix M of P(predicted | true), estimated on animals that the run has not learned from, turns true shares t into
predicted ones, p = t M. Solving for t >= 0, sum(t) = 1 is the correction of Rogan & Gladen (1978) for several classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from dolorim.core.errors import UserError
from dolorim.files.structured import read_json
from dolorim.formats.ethogram_file import read_ethogram
from dolorim.formats.labels import read_labels
from dolorim.formats.predictions import read_predictions
from dolorim.metrics.frames import confusion

_DRAWS = 1000
Trust = tuple[str, dict[str, Any], list[np.ndarray]]


def corrected(shares: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """True shares `(classes,)` behind predicted ones, given a confusion matrix `(classes, classes)`, rows the truth.

    A class that the matrix has never seen is taken for always right.
    """
    counts = np.where(counts.sum(1, keepdims=True) > 0, counts, np.eye(len(counts)))
    chances = counts / counts.sum(1, keepdims=True)
    weight = 1e3  # the sum is 1 before anything else
    system = np.vstack([chances.T, np.full(len(shares), weight)])
    found, _ = nnls(system, np.append(shares, weight))
    return found / max(found.sum(), 1e-12)


def corrected_budgets(
    animals: pd.DataFrame, classes: Sequence[str], confusions: Sequence[np.ndarray], seed: int = 0
) -> pd.DataFrame:
    """Mean shares of time by group (percent, first window): as predicted, corrected, and with a 95 % interval.

    Each draw resamples the animals of a group and the recordings that the confusion was counted on (frames of one
    recording err together). With fewer than three of either there is no interval.
    """
    rng = np.random.default_rng(seed)
    first = animals.window.iloc[0]
    cell = animals[(animals.readout == "time_percent") & (animals.window == first)]
    wide = cell.pivot_table(index=["group", "animal"], columns="behavior", values="value", sort=False)
    stacked = np.stack(confusions)
    rows = []
    for group in dict.fromkeys(cell.group):
        shares = wide.loc[group][list(classes)].dropna().to_numpy() / 100
        point = corrected(shares.mean(0), stacked.sum(0))
        draws = np.full((1, len(classes)), np.nan)
        if min(len(shares), len(stacked)) >= 3:
            draws = np.array([
                corrected(
                    shares[rng.integers(len(shares), size=len(shares))].mean(0),
                    stacked[rng.integers(len(stacked), size=len(stacked))].sum(0),
                )
                for _ in range(_DRAWS)
            ])  # fmt: skip
        low, high = np.percentile(draws, [2.5, 97.5], axis=0)
        rows += [
            {"group": group, "behavior": c, "predicted": 100 * s, "corrected": 100 * t, "low": 100 * a, "high": 100 * b}
            for c, s, t, a, b in zip(classes, shares.mean(0), point, low, high, strict=True)
        ]
    return pd.DataFrame(rows)


def read_trust(run: Path, classes: Sequence[str]) -> Trust:
    """A run's scores: the split they come from, its part of `metrics.json`, and the confusion of each scored recording.

    Scores on test animals come first; validation animals chose the checkpoint. Where the recordings are gone, the
    one matrix of `metrics.json` stands for them. Raises `UserError` for a run with other classes.
    """
    try:
        metrics = read_json(run / "metrics.json", "evaluate the run again")
        part = next((p for p in ("folds", "test", "val") if p in metrics), next(iter(metrics)))
        found = metrics[part]
        known = tuple(found["per_class"])
        pooled = [np.array(found["confusion"], float)] if "confusion" in found else []
    except (ValueError, KeyError, TypeError, StopIteration):
        raise UserError(
            f"{run / 'metrics.json'}: holds no scores as train writes them; evaluate the run again"
        ) from None
    if known != tuple(classes):
        raise UserError(
            f"{run}: the run knows {', '.join(known)}, the recordings have {', '.join(classes)}; name their own run"
        )
    ethogram = read_ethogram(run / "ethogram.toml")
    single = []
    for path in sorted((run / "predictions" / part).glob("*.truth.csv")):
        truth = read_labels(path, ethogram).labels
        predicted = read_predictions(path.with_name(path.name.replace(".truth.csv", ".predictions.csv"))).labels
        single.append(confusion(truth, predicted, len(classes)).astype(float))
    return part, found, single or pooled


def read_agreement(path: Path, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Figures of pairs of raters, as `dolorim agree --json` writes them. Raises `UserError` for anything else."""
    try:
        pairs = read_json(path, "write it again")["pairs"]
        for found in pairs.values():
            if tuple(found["per_class"]) != tuple(classes):
                raise UserError(
                    f"{path}: the raters know {', '.join(found['per_class'])}, the recordings have {', '.join(classes)}"
                )
            float(found["macro_f1"]), float(found["kappa"]), int(found["frames"]), found["intervals"].get("macro_f1")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: expected what dolorim agree --json writes; write it again") from None
    return dict(pairs)
