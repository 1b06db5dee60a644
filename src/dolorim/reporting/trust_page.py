"""The part of a report that says how far its labels can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from dolorim.metrics.intervals import FEWEST_ANIMALS, too_few
from dolorim.reporting.error_correction import why_not_corrected
from dolorim.reporting.markup import bracket, table, word
from dolorim.reporting.summary_text import number
from dolorim.reporting.trust import Trust


def trust_section(
    trust: Trust | None,
    budgets: pd.DataFrame | None,
    classes: tuple[str, ...],
    doubts: Mapping[str, str],
) -> str:
    """Scores of the run on held-out animals with the intervals that it has stored, and corrected time budgets."""
    if trust is None:
        return "<p>Nothing is known here about the errors of the labels. If a run has made them, name it with --run.</p>"
    scores = trust.scores
    animals = list(map(str, scores.get("animals", [])))
    text = (
        f"<p>Scored on animals that the run has not learned from "
        f"({escape(trust.part)}: {escape(', '.join(animals))}): macro-F1 "
        f"<b>{scores['macro_f1']:.2f}</b>{_stored(trust, 'macro_f1')}, accuracy {scores['accuracy']:.2f}, "
        f"{scores['frames']} frames. {_about_intervals(trust, len(animals))}"
        f"{' They chose the checkpoint, so the scores flatter.' * (trust.part == 'val')}</p>"
    )
    if scores.get("seen_in_training"):
        seen = escape(", ".join(scores["seen_in_training"]))
        text += f"<p class=note>Seen in training: {seen}; these scores say nothing about new animals.</p>"
    text += _calibration(scores["calibration"]) if "calibration" in scores else ""
    rows = []
    for name, s in scores["per_class"].items():
        f1 = f"{s['f1']:.2f}{_stored(trust, 'per_class', name, 'f1')}"
        bouts = str(trust.bouts[name]) if name in trust.bouts else ""
        numbers = [f"{s['precision']:.2f}", f"{s['recall']:.2f}", f1, str(s["support"]), bouts]
        rows.append([word(name), *numbers])
    text += table(["behavior", "precision", "recall", "F1", "frames", "true bouts"], rows)
    if doubts:
        items = "".join(f"<li>{word(name)}: {escape(why)}</li>" for name, why in doubts.items())
        text += f'<div class="note"><p>Nothing can be said about:</p><ul>{items}</ul></div>'
    return text + _budgets(trust, budgets, classes)


def _budgets(trust: Trust, budgets: pd.DataFrame | None, classes: tuple[str, ...]) -> str:
    heading = "<h3>Time budgets with the classifier's errors</h3>"
    if budgets is None:
        why = escape(why_not_corrected(trust, classes))
        return f"{heading}<p>Not corrected: {why}. Everything on this page is as predicted.</p>"
    rows = [
        [
            word(r.group),
            word(r.behavior),
            number(r.predicted),
            number(r.corrected) + bracket(r.low, r.high),
        ]
        for r in budgets.itertuples()
    ]
    lead = (
        f"<p>% of time, corrected for the confusion on {len(trust.confusions)} held-out animals; the interval "
        f"includes animals and the classifier's errors. Everything else on this page is as predicted.</p>"
    )
    return heading + lead + table(["group", "behavior", "as predicted", "corrected"], rows, 2)


def _stored(trust: Trust, *path: str) -> str:
    ends = trust.interval(*path)
    return "" if ends is None else bracket(*ends)


def _about_intervals(trust: Trust, animals: int) -> str:
    if animals < FEWEST_ANIMALS:
        return f"{too_few(animals).capitalize()}." if animals else ""
    if trust.interval("macro_f1") is None:
        return "The run has stored no intervals: evaluate it again."
    return "Intervals are those that evaluate shows: 95 %, over animals."


def _calibration(found: dict[str, Any]) -> str:
    """The reliability diagram: of frames with a confidence of x %, how many are right?"""
    points = [(100 * row["confidence"], 100 * row["accuracy"]) for row in found["reliability"]]
    line = " ".join(f"{x:.1f},{100 - y:.1f}" for x, y in points)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{100 - y:.1f}" r="1.6" fill="#0072b2"/>' for x, y in points
    )
    drawn = (
        '<svg viewBox="-2 -2 104 104" width="150" role="img" aria-label="reliability diagram">'
        '<rect width="100" height="100" fill="none" stroke="#999"/>'
        '<path d="M0 100L100 0" stroke="#999" stroke-dasharray="3"/>'
        f'<polyline points="{line}" fill="none" stroke="#0072b2" stroke-width="1.5"/>{dots}</svg>'
    )
    words = (
        "across: confidence, 0-100 %; up: share of frames that are right; dashed: as it should be"
    )
    error = f"Calibration error {found['ece']:.3f} (mean distance of confidence from the share of right frames)"
    return f"<figure>{drawn}<figcaption>{error}; {words}.</figcaption></figure>"


def raters_section(pairs: dict[str, dict[str, Any]]) -> str:
    """How well people agree: no model can be shown to do better than that."""
    rows = []
    for pair, found in pairs.items():
        ends = found["intervals"].get("macro_f1")
        f1 = f"{found['macro_f1']:.2f}{bracket(*ends) if ends else ''}"
        rows.append([escape(pair), f1, f"{found['kappa']:.2f}", str(found["frames"])])
    lead = "<h3>Agreement of raters</h3><p>Two people who label the same videos agree so far; scores above that mean "
    return f"{lead}nothing.</p>{table(['pair', 'macro-F1', 'kappa', 'frames'], rows)}"
