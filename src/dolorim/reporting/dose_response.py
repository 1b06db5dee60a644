"""The doses of a study: trend, ED50 and contrasts of its read-outs, as tables and in words.

Definitions: docs/readouts.md. What is computed is in `doses.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from dolorim.core.findings import Finding
from dolorim.files.tables import number_in
from dolorim.reporting.doses import DoseCurve, Doses, dunnett, fit_curve, jonckheere
from dolorim.reporting.effect_sizes import group_interval, scale_of_readout
from dolorim.reporting.families import METHODS
from dolorim.reporting.observations import Observations
from dolorim.reporting.rank_tests import ALPHA
from dolorim.reporting.rendering import Cell, Table
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.wording import READOUT_LABELS, interval_text, number, p_text, p_value, shown

COLUMN = "dose"
_DOSE = re.compile(r"(\d+(?:[.,]\d+)*(?:e[+-]?\d+)?)\s*([^\d\s].*)?", re.IGNORECASE)
_FEWEST_LEVELS = 3  # two doses are two groups, which the other tests compare
_TREND_COLUMNS = ["window", "behavior", "readout", "doses", "n", "trend", "p", "p_adjusted"]
_TREND_COLUMNS += ["ed50", "ed50_low", "ed50_high", "bottom", "top", "slope", "note"]

Key = tuple[str, str, str]  # window, behavior, read-out


def doses_of(observations: Observations) -> tuple[Doses | None, list[Finding]]:
    """The column `dose` of the table of groups; None, and why, where it holds no doses to fit."""
    texts = _cells_by_animal(observations)
    # Untreated animals without a dose are no part of the curve.
    without = [animal for animal, of_animal in texts.items() if of_animal == {""}]
    if len(without) == len(texts):
        return None, []
    for animal in without:
        del texts[animal]
    doses, units, reason = _read_doses(texts)
    reason = reason or _why_no_curve(observations, doses, units)
    if reason:
        remedy = "no dose-response; give each animal a number (0 for vehicle) in one unit"
        return None, [Finding("warning", f"column {COLUMN}", reason, remedy)]
    findings = []
    if without:
        what = f"has no number for {', '.join(without)}"
        findings.append(Finding("note", f"column {COLUMN}", what, "not in the dose-response"))
    return Doses(doses, units.pop()), findings


def _cells_by_animal(observations: Observations) -> dict[str, set[str]]:
    """What the column `dose` says about each animal."""
    texts: dict[str, set[str]] = {}
    for recording in observations.recordings:
        text = recording.columns.get(COLUMN, "").strip()
        texts.setdefault(recording.animal, set()).add(text)
    return texts


def _read_doses(texts: Mapping[str, set[str]]) -> tuple[dict[str, float], set[str], str]:
    """The dose of each animal, the units above 0, and what is wrong with a cell, if anything."""
    doses: dict[str, float] = {}
    units: set[str] = set()
    reason = ""
    for animal, of_animal in texts.items():
        match = _DOSE.fullmatch(next(iter(of_animal)))
        amount = None if match is None else number_in(match[1])
        if len(of_animal) > 1:
            reason = f"animal {animal} has several doses ({', '.join(sorted(of_animal))})"
        elif match is None or amount is None:
            reason = f"animal {animal}: expected a number, found {next(iter(of_animal))!r}"
        else:
            doses[animal] = amount
            if doses[animal] > 0:
                units.add((match[2] or "").strip())
    return doses, units, reason


def _why_no_curve(observations: Observations, doses: Mapping[str, float], units: set[str]) -> str:
    if len(units) > 1:
        return f"several units ({', '.join(sorted(units))})"
    if len(set(doses.values())) < _FEWEST_LEVELS:
        return f"fewer than {_FEWEST_LEVELS} different doses"
    # Two groups at one dose are two substances, or two conditions: they are no single curve.
    groups: dict[float, set[str]] = {}
    for recording in observations.recordings:
        if recording.animal in doses:
            groups.setdefault(doses[recording.animal], set()).add(recording.group)
    for dose, names in groups.items():
        if len(names) > 1:
            return f"dose {dose:g} was given to several groups ({', '.join(sorted(names))})"
    return ""


def dose_tables(
    animals: pd.DataFrame, doses: Doses, keys: Sequence[Key], correction: str, seed: int
) -> dict[str, pd.DataFrame]:
    """`doses`: a row per dose and read-out. `dose_response`: trend and curve of each read-out.

    `animals` is the table of that name from `collect`. The p values of trends are corrected over
    the windows of one behavior.
    """
    rng = np.random.default_rng(seed)
    by_dose: list[dict[str, Any]] = []
    trends: list[dict[str, Any]] = []
    for window, behavior, readout in keys:
        wanted = (animals.window == window) & (animals.behavior == behavior)
        cell = animals[wanted & (animals.readout == readout)].dropna(subset="value")
        # An animal with several sessions counts with their mean.
        by_animal = cell.groupby("animal", sort=False).agg(value=("value", "mean"))
        by_animal["dose"] = by_animal.index.map(doses.by_animal)
        by_animal = by_animal.dropna(subset="dose")
        levels = {dose: rows.value.to_numpy(float) for dose, rows in by_animal.groupby("dose")}
        if len(levels) < _FEWEST_LEVELS:
            continue
        where = {"window": window, "behavior": behavior, "readout": readout}
        by_dose += [{**where, **row} for row in _dose_rows(levels, readout, seed)]
        statistic, p = jonckheere(list(levels.values()), rng)
        curve = fit_curve(by_animal.dose.to_numpy(float), by_animal.value.to_numpy(float))
        if readout == "latency_s" and not (cell.event > 0).all():
            # A censored latency is no value that a curve could be fitted to.
            curve = DoseCurve(refused="some latencies are censored")
        trends.append({**where, **_trend_row(levels, statistic, p, curve)})
    table = pd.DataFrame(trends, columns=_TREND_COLUMNS)
    for _, rows in table.groupby("behavior"):
        adjusted = multipletests(rows.p.to_numpy(float), method=METHODS[correction])[1]
        table.loc[rows.index, "p_adjusted"] = adjusted
    return {"doses": pd.DataFrame(by_dose), "dose_response": table}


def _dose_rows(levels: Mapping[float, np.ndarray], readout: str, seed: int) -> list[dict[str, Any]]:
    (lowest, control), *others = levels.items()
    contrasts = dunnett([values for _, values in others], control, seed)
    nothing = (np.nan, np.nan, np.nan, np.nan)
    rows = []
    for (dose, values), contrast in zip(levels.items(), [nothing, *contrasts], strict=True):
        low, high = group_interval(values, scale_of_readout(readout))
        row = {"dose": dose, "n": len(values), "mean": float(values.mean())}
        row |= {"mean_low": low, "mean_high": high, "compared_with_dose": lowest}
        names = ("difference", "difference_low", "difference_high", "p_dunnett")
        rows.append(row | dict(zip(names, contrast, strict=True)))
    return rows


def _trend_row(
    levels: Mapping[float, np.ndarray], statistic: float, p: float, curve: DoseCurve
) -> dict[str, Any]:
    return {
        "doses": "/".join(f"{dose:g}" for dose in levels),
        "n": "/".join(str(len(values)) for values in levels.values()),
        "trend": statistic,
        "p": p,
        "ed50": curve.ed50,
        "ed50_low": curve.interval[0],
        "ed50_high": curve.interval[1],
        "bottom": curve.bottom,
        "top": curve.top,
        "slope": curve.slope,
        "note": curve.refused and f"no ED50: {curve.refused}",
    }


def dose_sentences(results: StudyResults) -> list[str]:
    """Trend and ED50 of the indicator, a sentence per primary window."""
    if results.doses is None or results.pain[0] in results.doubts:
        return []
    table = results.tables["dose_response"]
    rows = table[table.behavior == results.pain[0]]
    return [_sentence(row, results.doses.unit) for row in rows.itertuples()]


def _sentence(row: Any, unit: str) -> str:
    what = shown(row.behavior)
    if row.window != "whole":
        what += f" in {row.window}"
    trend = f"no trend of {what} with the dose was found"
    if row.p_adjusted < ALPHA:
        verb = "rises" if row.trend > 0 else "falls"
        trend = f"{what} {verb} with the dose"
    text = f"Dose-response: {trend} ({p_text(row.p_adjusted)}, {row.n} animals)"
    if row.note:
        return f"{text}; {row.note}."
    unit = f" {unit}" if unit else ""
    ends = f"{row.ed50_low:.3g} to {row.ed50_high:.3g}"
    return f"{text}; ED50 {row.ed50:.3g}{unit} (95 % interval {ends})."


def dose_views(results: StudyResults) -> list[Table]:
    """The tables of the section on doses; none without doses."""
    if results.doses is None:
        return []
    unit = f" ({results.doses.unit})" if results.doses.unit else ""
    trends = results.tables["dose_response"]
    trends = trends[~trends.behavior.isin(results.doubts)]
    levels = results.tables["doses"]
    levels = levels[~levels.behavior.isin(results.doubts)]
    header = ["behavior", "window", "read-out", "trend (-1 to 1)", "p", "p corrected"]
    header += [f"ED50{unit}", "bottom", "top", "slope", "note"]
    rows = [_trend_cells(row) for row in trends.itertuples()]
    by_dose = ["behavior", "window", "read-out", f"dose{unit}", "animals", "mean"]
    by_dose += ["difference from the lowest dose", "p (Dunnett)"]
    cells = [_dose_cells(row) for row in levels.itertuples()]
    return [Table(header, rows, 3, remarks=True), Table(by_dose, cells, 3)]


def _trend_cells(row: Any) -> list[str | Cell]:
    ed50 = Cell("-")
    if not row.note:
        # A dose may be far smaller than any percentage, so it keeps its three figures.
        ed50 = Cell(f"{row.ed50:.3g}", f"[{row.ed50_low:.3g}, {row.ed50_high:.3g}]")
    return [
        shown(row.behavior),
        row.window,
        READOUT_LABELS[row.readout],
        number(row.trend),
        p_value(row.p),
        p_value(row.p_adjusted),
        ed50,
        *(number(value) for value in (row.bottom, row.top, row.slope)),
        row.note,
    ]


def _dose_cells(row: Any) -> list[str | Cell]:
    return [
        shown(row.behavior),
        row.window,
        READOUT_LABELS[row.readout],
        f"{row.dose:g}",
        str(row.n),
        Cell(number(row.mean), interval_text(row.mean_low, row.mean_high)),
        Cell(number(row.difference), interval_text(row.difference_low, row.difference_high)),
        p_value(row.p_dunnett),
    ]


def dose_methods(results: StudyResults) -> list[str]:
    """What the methods text says about doses; nothing without doses."""
    if results.doses is None:
        return []
    return [
        "Trends over doses were tested by the Jonckheere-Terpstra test (Jonckheere 1954; animals "
        "exchanged between doses), doses compared with the lowest one by Dunnett's test (Dunnett "
        "1955). A four-parameter logistic "
        "was fitted to the values of animals by least squares; the interval of the ED50 is its "
        "profile likelihood, and no ED50 is given unless that interval lies within the doses."
    ]
