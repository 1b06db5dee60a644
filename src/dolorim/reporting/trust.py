"""How far a run's labels can be trusted: its scores on animals that were held out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.runs import runs
from dolorim.files.structured import read_json
from dolorim.labels.ethogram_file import read_ethogram
from dolorim.labels.label_files import read_labels
from dolorim.labels.prediction_files import read_predictions
from dolorim.metrics.frames import confusion
from dolorim.metrics.intervals import (
    FEWEST_ANIMALS,
    NO_INTERVAL,
    SHARE,
    Interval,
    jackknife_interval,
)

LEAST_RECALL = LEAST_PRECISION = 0.5
"""Below one half, most of a behavior is missed, or most of what is called so is something else: a
difference between groups may then be one of errors."""
FEWEST_BOUTS = 10
"""True bouts in the held-out animals. Eight of ten found leaves a recall anywhere from 0.44 to 0.97
(exact 95 % interval); of fewer bouts nothing can be said."""
_PARTS = ("folds", "test", "val")


@dataclass(frozen=True)
class Trust:
    """A run's scores on held-out animals, and which animals it has learned from."""

    run: Path
    part: str
    scores: Mapping[str, Any]
    """That part of `metrics.json`."""
    confusions: Mapping[str, np.ndarray]
    """By held-out animal, `(classes, classes)`, rows the truth; empty without its predictions."""
    bouts: Mapping[str, int] = field(default_factory=dict)
    """True bouts of each class in the held-out animals; empty where they are not known."""
    learned_from: frozenset[str] = frozenset()

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.scores["per_class"])

    def doubt(self, names: Sequence[str]) -> str:
        """Why nothing can be said about a behavior made of these classes; empty where it can."""
        known = self.scores.get("seen_in_training")
        if known:
            return f"the run was scored on {', '.join(known)} only, from which it has learned"
        doubts = [self._doubt(name) for name in names if name in self.classes]
        return next(filter(None, doubts), "")

    def _doubt(self, name: str) -> str:
        score = self.scores["per_class"][name]
        if not score["support"]:
            return (
                "the animals that were held out of the run never show it, so its errors are not "
                "known"
            )
        # A run without stored predictions does not tell its bouts; that is no reason to doubt.
        bouts = self.bouts.get(name, FEWEST_BOUTS)
        if bouts < FEWEST_BOUTS:
            return (
                f"the animals that were held out of the run show it in only {bouts} bouts, and it "
                f"takes {FEWEST_BOUTS} to know its errors"
            )
        if score["recall"] >= LEAST_RECALL and score["precision"] >= LEAST_PRECISION:
            return ""
        return (
            f"on animals that were held out of the run it finds {100 * score['recall']:.0f} % of "
            f"it (recall), and {100 * score['precision']:.0f} % of what it calls so is right "
            f"(precision); both must reach {100 * LEAST_RECALL:.0f} %"
        )

    def finds(self, names: Sequence[str]) -> tuple[float, Interval]:
        """Recall of a behavior made of these classes, with its 95 % interval over the animals.

        NaN where the predictions of the held-out animals are not there or never show it.
        """
        indices = [self.classes.index(name) for name in names if name in self.classes]
        # By animal: frames of the behavior that were found, and all that there are.
        counts = np.array(
            [
                (table[np.ix_(indices, indices)].sum(), table[indices].sum())
                for table in self.confusions.values()
            ]
        ).reshape(-1, 2)
        matched, there = counts.sum(0)
        if not there:
            return float("nan"), NO_INTERVAL
        if len(counts) < FEWEST_ANIMALS or (there == counts[:, 1]).any():
            return float(matched / there), NO_INTERVAL
        without = (matched - counts[:, 0]) / (there - counts[:, 1])
        return float(matched / there), jackknife_interval(matched / there, [without], SHARE)

    def interval(self, *path: str) -> tuple[float, float] | None:
        """The 95 % interval that the run has stored for a score, as `evaluate` shows it."""
        stored: Any = self.scores.get("intervals", {})
        if stored.get("animals", FEWEST_ANIMALS) < FEWEST_ANIMALS:
            return None  # of an older version, which gave two animals one
        for step in path:
            if stored is None:
                return None
            stored = stored.get(step)
        if stored is None:
            return None
        return float(stored[0]), float(stored[1])


def read_trust(run: Path, classes: Sequence[str]) -> Trust:
    """The scores of a run on folds or test animals, or else on validation animals.

    Raises `UserError` for a run without scores, and for one with other classes.
    """
    try:
        metrics = read_json(run / "metrics.json", "evaluate the run again")
        part = next((p for p in _PARTS if p in metrics), next(iter(metrics)))
        scores = metrics[part]
        known = tuple(scores["per_class"])
    except (ValueError, KeyError, TypeError, StopIteration):
        raise UserError(
            f"{run / 'metrics.json'}: holds no scores as train writes them; evaluate the run again"
        ) from None
    if known != tuple(classes):
        raise UserError(
            f"{run}: the run knows {', '.join(known)}, the recordings have {', '.join(classes)}; "
            f"name their own run"
        )
    confusions, bouts = _held_out(run, part, known)
    return Trust(run, part, scores, confusions, bouts, _learned_from(run))


def _held_out(
    run: Path, part: str, classes: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Confusion by animal and true bouts by class, from the predictions that the run has kept."""
    ethogram = read_ethogram(run / "ethogram.toml")
    confusions: dict[str, np.ndarray] = {}
    counts = np.zeros(len(classes), int)
    paths = sorted((run / "predictions" / part).glob("*.truth.csv"))
    for path in paths:
        truth = read_labels(path, ethogram).labels
        name = path.name.replace(".truth.csv", ".predictions.csv")
        predicted = read_predictions(path.with_name(name))
        # Where predictions do not name their animal, each recording counts as one of its own.
        animal = str(predicted.meta.get("animal", path.name))
        counted = confusion(truth, predicted.labels, len(classes)).astype(float)
        confusions[animal] = confusions.get(animal, 0) + counted
        labels = runs(truth)[2]  # one per bout
        counts += np.bincount(labels[labels >= 0], minlength=len(classes))
    if not paths:
        return confusions, {}
    return confusions, dict(zip(classes, counts.tolist(), strict=True))


def _learned_from(run: Path) -> frozenset[str]:
    """Animals that the weights, the checkpoint or the decoder come from.

    Of folds there are none: each animal was held out in turn.
    """
    animals: set[str] = set()
    for name in ("splits.json", "seen_before.json"):
        if not (run / name).exists():
            continue
        data = read_json(run / name, "copy the run folder again")
        if isinstance(data, dict):
            # Validation animals have chosen the checkpoint, and the decoder was fitted on them.
            data = [*data.get("train", ()), *data.get("val", ())]
        animals |= set(map(str, data))
    return frozenset(animals)


def read_agreement(path: Path, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Scores of pairs of raters, as `dolorim agree --json` writes them.

    Raises `UserError` for anything else, and for raters with other classes.
    """
    try:
        pairs = read_json(path, "write it again")["pairs"]
        for scores in pairs.values():
            if tuple(scores["per_class"]) != tuple(classes):
                raise UserError(
                    f"{path}: the raters know {', '.join(scores['per_class'])}, the recordings "
                    f"have {', '.join(classes)}"
                )
            # Whatever the page will show has to be there, and a number.
            float(scores["macro_f1"]), float(scores["kappa"]), int(scores["frames"])
            scores["intervals"].get("macro_f1")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{path}: expected what dolorim agree --json writes; write it again"
        ) from None
    return dict(pairs)
