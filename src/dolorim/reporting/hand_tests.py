"""Stimulus tests that people scored: latencies with a cut-off, acetone scores, single filaments.

Definitions: docs/readouts.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.core.wording import first_of
from dolorim.files.animals import animal_key
from dolorim.files.tables import number_in, read_table
from dolorim.metrics.intervals import NO_INTERVAL, Interval, jackknife_interval
from dolorim.reporting.effect_sizes import FEWEST_PER_GROUP, group_interval, scale_of_readout
from dolorim.reporting.linear_models import FAILED
from dolorim.reporting.observations import Observations
from dolorim.reporting.wording import READOUT_LABELS, interval_text, number, p_text, shown

FILAMENT = "filament"
_BASELINES = ("baseline", "bl", "pre")
_ANSWERS = {"x": 1.0, "yes": 1.0, "o": 0.0, "no": 0.0}
_NAMED = 5
_KEYS = ["animal", "group", "test", "session"]
HAND_TEST_METHODS = (
    "Latencies that reached the cut-off were censored there and compared by the log-rank test "
    "(Hargreaves et al. 1988). The maximal possible effect was 100 (after - baseline) / (cut-off - "
    "baseline) % (Harris & Pierce 1964)."
)


def percent_mpe(baseline: float, after: float, cut_off: float) -> float:
    """% of the maximal possible effect, 100 (after - baseline) / (cut_off - baseline).

    Harris & Pierce (1964, Journal of Pharmacology and Experimental Therapeutics 143:141-148). An
    animal at the cut-off has 100; one below its baseline has less than 0. NaN where the baseline
    reaches the cut-off, so that no effect is possible.
    """
    if not cut_off > baseline:
        return float("nan")
    return 100 * (min(after, cut_off) - baseline) / (cut_off - baseline)


def read_hand_tests(path: Path, study: Observations) -> tuple[pd.DataFrame, list[Finding]]:
    """A row per trial from `animal,test,value[,session][,cut_off][,filament_g]`.

    Raises `UserError` for a cell that is no number (or X and O), and where no animal is known.
    """
    table = read_table(path)
    columns = {
        name: table.column(name)
        for name in ("animal", "test", "value", "session", "cut_off", "filament_g")
    }
    if columns["animal"] is None or columns["test"] is None or columns["value"] is None:
        header = ", ".join(table.header)
        raise UserError(
            f"{path}: expected the columns animal,test,value[,session][,cut_off][,filament_g], "
            f"found {header}"
        )
    animals = {animal_key(r.animal): (r.animal, r.group) for r in study.recordings}
    rows: list[dict[str, Any]] = []
    unknown: dict[str, None] = {}
    for line, cells in zip(table.lines, table.rows, strict=True):
        texts = {name: "" if i is None else cells[i].strip() for name, i in columns.items()}
        who = animals.get(animal_key(texts["animal"]))
        if who is None:
            unknown.setdefault(texts["animal"])
            continue
        rows.append(_trial(texts, f"{path}, line {line}") | {"animal": who[0], "group": who[1]})
    if not rows:
        raise UserError(f"{path}: names no animal of the study; it has {', '.join(unknown)}")
    findings = []
    if unknown:
        what = f"names animals that the study lacks ({first_of(list(unknown), _NAMED)})"
        findings.append(Finding("warning", path.name, what, "left out"))
    return pd.DataFrame(rows), findings


def _trial(texts: Mapping[str, str], where: str) -> dict[str, Any]:
    """One line of the table."""
    value = _ANSWERS.get(texts["value"].casefold(), number_in(texts["value"]))
    if value is None or value < 0:
        raise UserError(f"{where}: expected a number (or X and O), found {texts['value']!r}")
    numbers = {}
    for name in ("cut_off", "filament_g"):
        given = number_in(texts[name]) if texts[name] else float("nan")
        if given is None or given <= 0:
            raise UserError(f"{where}, column {name}: expected a number, found {texts[name]!r}")
        numbers[name] = given
    test = texts["test"].casefold().replace(" ", "_")
    if test == FILAMENT and (value not in (0, 1) or np.isnan(numbers["filament_g"])):
        raise UserError(f"{where}: a filament needs filament_g and an answer, X or O (1 or 0)")
    return {"test": test, "session": texts["session"] or "whole", "value": value, **numbers}


def animals_of_tests(trials: pd.DataFrame) -> pd.DataFrame:
    """The read-outs of each animal, in the form that `compare` takes: `behavior` is the test and
    `window` its session.

    Trials are averaged. A latency is censored (`event` 0) where a trial reached the cut-off.
    """
    timed = trials.cut_off.notna()
    trials = trials.assign(
        value=trials.value.where(~timed, np.minimum(trials.value, trials.cut_off)),
        event=(~timed | (trials.value < trials.cut_off)).astype(float),
    )
    filaments = trials.test == FILAMENT
    names = trials.test.where(~filaments, trials.filament_g.map(lambda g: f"filament {g:g} g"))
    readout = np.select([filaments, timed], ["response", "latency_s"], "score")
    trials = trials.assign(test=names, readout=readout)
    grouped = trials.groupby([*_KEYS, "readout"], sort=False)
    means = grouped.agg(
        value=("value", "mean"),
        event=("event", "min"),
        cut_off=("cut_off", "max"),
        trials=("value", "size"),
    )
    means = means.reset_index()
    derived = [*_effects(means), *_areas(means)]
    table = pd.concat([means, pd.DataFrame(derived, columns=means.columns)], ignore_index=True)
    return table.rename(columns={"test": "behavior", "session": "window"})


def _effects(means: pd.DataFrame) -> list[dict[str, Any]]:
    """% of the maximal possible effect in each session after a baseline."""
    rows = []
    latencies = means[means.readout == "latency_s"]
    for _, of_animal in latencies.groupby(["animal", "test"], sort=False):
        is_baseline = of_animal.session.str.casefold().isin(_BASELINES)
        if is_baseline.sum() != 1:
            continue
        baseline = float(of_animal[is_baseline].value.iloc[0])
        for row in of_animal[~is_baseline].to_dict("records"):
            effect = percent_mpe(baseline, row["value"], row["cut_off"])
            rows.append({**row, "readout": "mpe_percent", "value": effect, "event": np.nan})
    return rows


def _areas(means: pd.DataFrame) -> list[dict[str, Any]]:
    """Area under the course of an animal whose sessions are times (trapezoids)."""
    rows = []
    for _, of_animal in means.groupby(["animal", "test", "readout"], sort=False):
        times = pd.to_numeric(of_animal.session, errors="coerce")
        known = of_animal.assign(time=times)[times.notna()].sort_values("time")
        if len(known) < 2:
            continue
        area = float(np.trapezoid(known.value, known.time))
        row = known.iloc[0].drop("time").to_dict()
        # A latency at its cut-off makes the area a lower bound, which a rank test keeps in order.
        row |= {"session": "all", "readout": "course_area", "value": area, "event": np.nan}
        rows.append(row)
    return rows


def psychometric(trials: pd.DataFrame) -> tuple[float, Interval]:
    """The force in grams that half of the stimuli are answered at, and its 95 % interval.

    Logistic regression of the answers on log10 of the force, all animals of a group together; the
    interval is by the jackknife over animals, on the logarithm. NaN where answers do not rise with
    force, or the filaments do not reach from less to more than half.
    """
    whole = _log_threshold(trials)
    animals = trials.animal.unique()
    if np.isnan(whole) or len(animals) < FEWEST_PER_GROUP:
        return float(10**whole), NO_INTERVAL
    without = np.array([_log_threshold(trials[trials.animal != animal]) for animal in animals])
    low, high = jackknife_interval(whole, [without])
    return float(10**whole), (float(10**low), float(10**high))


def _log_threshold(trials: pd.DataFrame) -> float:
    rates = trials.groupby("filament_g")["value"].mean()
    if not (rates.min() < 0.5 < rates.max()):
        return float("nan")
    force = np.log10(trials.filament_g.to_numpy(float))
    regressors = np.column_stack([np.ones(len(force)), force])
    with warnings.catch_warnings():
        # Answers that force alone decides have no finite slope.
        warnings.simplefilter("ignore")
        try:
            fit = GLM(trials.value.to_numpy(float), regressors, family=Binomial()).fit()
        except FAILED:
            return float("nan")
    intercept, slope = fit.params
    threshold = -intercept / slope if slope > 0 else float("nan")
    # Outside the filaments it would be a guess.
    return float(threshold) if force.min() <= threshold <= force.max() else float("nan")


def hand_test_sentences(
    trials: pd.DataFrame, animals: pd.DataFrame, tests: pd.DataFrame
) -> list[str]:
    """Each test in its last session: the groups with their intervals, and the test between them."""
    sentences = []
    told = animals[animals.readout.isin(["latency_s", "score", "mpe_percent"])]
    for (behavior, readout), cell in told.groupby(["behavior", "readout"], sort=False):
        window = cell.window.iloc[-1]
        last = cell[cell.window == window]
        parts = []
        for group, values in last.groupby("group", sort=False)["value"]:
            low, high = group_interval(values.to_numpy(float), scale_of_readout(readout))
            parts.append(f"{shown(str(group))} {number(values.mean())} {interval_text(low, high)}")
        session = "" if window == "whole" else f", session {window}"
        text = f"{shown(behavior).capitalize()}, {READOUT_LABELS[readout]}{session}: "
        text += ", ".join(part.strip() for part in parts)
        about = tests[(tests.behavior == behavior) & (tests.readout == readout)]
        about = about[(about.window == window) & about.p.notna()]
        if len(about):
            text += f"; {about.iloc[0].test} {p_text(about.iloc[0].p)}, {about.iloc[0].n} animals"
        sentences.append(f"{text}.")
    filaments = trials[trials.test == FILAMENT]
    if len(filaments):
        parts = []
        for group, of_group in filaments.groupby("group", sort=False):
            force, (low, high) = psychometric(of_group)
            given = f"{number(force)} g {interval_text(low, high)}".strip()
            parts.append(f"{shown(str(group))} {given if force == force else 'not reached'}")
        sentences.append(f"Force answered half of the time: {', '.join(parts)}.")
    return sentences
