"""The part of a report about how far its labels can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dolorim.metrics.intervals import FEWEST_ANIMALS, too_few
from dolorim.reporting.error_correction import why_not_corrected
from dolorim.reporting.hand_scored import powered_view
from dolorim.reporting.readout_agreement import agreement_view
from dolorim.reporting.rendering import Cell, Table
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.trust import Trust
from dolorim.reporting.wording import interval_text, number, shown

NO_RUN = (
    "This report knows nothing about errors in the labels. If a trained run made them, name the "
    "run with --run to see its accuracy here."
)


@dataclass(frozen=True)
class CalibrationView:
    """The reliability diagram: of the frames with a confidence of x %, how many are correct?"""

    error: str
    points: Sequence[tuple[float, float]]
    """Confidence and share of correct frames, both in percent."""


@dataclass(frozen=True)
class TrustView:
    """What `trust.html` shows about a run."""

    part: str
    animals: Sequence[str]
    macro_f1: Cell
    accuracy: str
    frames: int
    remarks: Sequence[str]
    seen_in_training: Sequence[str]
    calibration: CalibrationView | None
    scores: Table
    doubts: Mapping[str, str]
    budgets: Table | None
    why_not_corrected: str
    held_out: int


def trust_view(trust: Trust, results: StudyResults) -> TrustView:
    """A run's scores on held-out animals, with its stored intervals, and corrected budgets."""
    scores = trust.scores
    animals = [str(animal) for animal in scores.get("animals", [])]
    calibration = scores.get("calibration")
    budgets = results.tables.get("corrected")
    return TrustView(
        part=trust.part,
        animals=animals,
        macro_f1=_score_cell(trust, scores["macro_f1"], "macro_f1"),
        accuracy=f"{scores['accuracy']:.2f}",
        frames=scores["frames"],
        remarks=_remarks(trust, len(animals)),
        seen_in_training=scores.get("seen_in_training", ()),
        calibration=None if calibration is None else _calibration_view(calibration),
        scores=_scores_table(trust),
        doubts={shown(name): reason for name, reason in results.doubts.items()},
        budgets=None if budgets is None else _budgets_table(budgets),
        why_not_corrected=why_not_corrected(trust, results.observations.classes),
        held_out=len(trust.confusions),
    )


def _scores_table(trust: Trust) -> Table:
    rows: list[list[str | Cell]] = []
    for name, score in trust.scores["per_class"].items():
        # Intervals are stored for F1 only; precision and recall stand without.
        f1 = _score_cell(trust, score["f1"], "per_class", name, "f1")
        precision, recall = f"{score['precision']:.2f}", f"{score['recall']:.2f}"
        bouts = str(trust.bouts.get(name, ""))
        rows.append([shown(name), precision, recall, f1, str(score["support"]), bouts])
    return Table(["behavior", "precision", "recall", "F1", "frames", "true bouts"], rows)


def _budgets_table(budgets: pd.DataFrame) -> Table:
    rows: list[list[str | Cell]] = []
    for row in budgets.itertuples():
        corrected = Cell(number(row.corrected), interval_text(row.low, row.high))
        rows.append([shown(row.group), shown(row.behavior), number(row.predicted), corrected])
    return Table(["group", "behavior", "as predicted", "corrected"], rows, 2)


def _score_cell(trust: Trust, value: float, *path: str) -> Cell:
    return cell_with_interval(value, trust.interval(*path))


def cell_with_interval(value: float, interval: Sequence[float] | None) -> Cell:
    """A share as two decimals, with its interval in small print where it has one."""
    if interval is None:
        return Cell(f"{value:.2f}")
    low, high = interval
    return Cell(f"{value:.2f}", interval_text(low, high))


def _remarks(trust: Trust, animals: int) -> list[str]:
    """Where the intervals come from, and whether the scores are too good."""
    remarks = []
    if 0 < animals < FEWEST_ANIMALS:
        remarks.append(f"{too_few(animals).capitalize()}.")
    elif animals and trust.interval("macro_f1") is None:
        remarks.append("The run has stored no intervals: evaluate it again.")
    elif animals:
        remarks.append("Intervals are those that evaluate shows: 95 %, over animals.")
    if trust.part == "val":
        remarks.append("These animals chose the checkpoint, so the scores are too good.")
    return remarks


def _calibration_view(calibration: dict[str, Any]) -> CalibrationView:
    # The diagram is drawn in a square of 100 units, so shares become percents here.
    points = [
        (100 * row["confidence"], 100 * row["accuracy"]) for row in calibration["reliability"]
    ]
    return CalibrationView(f"{calibration['ece']:.3f}", points)


@dataclass(frozen=True)
class ByHandView:
    """What `trust.html` shows about the animals that people have scored, too."""

    agreement: Table
    powered: Table | None


def by_hand_view(results: StudyResults) -> ByHandView | None:
    """None where people have scored no animals."""
    if "agreement" not in results.tables:
        return None
    agreed = agreement_view(results.tables["agreement"])
    return ByHandView(agreed, powered_view(results.tables["powered"]))


def raters_table(pairs: dict[str, dict[str, Any]]) -> Table:
    """How well pairs of people agree: no model can be shown to do better than that."""
    rows: list[list[str | Cell]] = []
    for pair, scores in pairs.items():
        macro_f1 = cell_with_interval(scores["macro_f1"], scores["intervals"].get("macro_f1"))
        rows.append([pair, macro_f1, f"{scores['kappa']:.2f}", str(scores["frames"])])
    return Table(["pair", "macro-F1", "kappa", "frames"], rows)
