"""50 % withdrawal thresholds from filaments that were applied up and down, over animals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, stats

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.animals import animal_key
from dolorim.files.tables import Table, number_in, read_table
from dolorim.reporting.effect_sizes import group_interval, scale_of_readout
from dolorim.reporting.observations import Observations
from dolorim.reporting.statistics import compare
from dolorim.reporting.wording import interval_text, number, p_text, shown

READOUT, BEHAVIOR = "threshold_g", "von Frey"
_ANSWERS = {"x": True, "1": True, "yes": True, "true": True}
_ANSWERS |= {"o": False, "0": False, "no": False, "false": False}
THRESHOLD_METHODS = (
    "50 % withdrawal thresholds were computed by the up-down method (Dixon 1965; Chaplan et al. "
    "1994), with k as the maximum of the likelihood."
)
_WIDEST = 10.0  # steps around a series within which its threshold is looked for

# Forces in grams with their answers, by the key of the animal and the session.
Series = dict[tuple[str, str], list[tuple[float, bool]]]


def tabular_k(responded: Sequence[bool]) -> float:
    """Dixon's k: how many steps the threshold lies above the last stimulus of an up-down series.

    The maximum of the likelihood where thresholds are normal with a standard deviation of one step
    (Dixon 1965, Journal of the American Statistical Association 60:967, whose table this computes).
    The next stimulus is one step lower after a response, one step higher without. Raises
    `ValueError` where all answers are alike: then there is no maximum.
    """
    if len(set(responded)) < 2:
        raise ValueError("a series without a change has no threshold")
    answers = np.where(responded, 1, -1)
    # Steps from the last stimulus: what follows a response lies one lower.
    levels = np.concatenate([[0], np.cumsum(-answers[:-1])])
    levels = levels - levels[-1]

    def surprise(threshold: float) -> float:
        return float(-stats.norm.logcdf(answers * (levels - threshold)).sum())

    bounds = (float(levels.min()) - _WIDEST, float(levels.max()) + _WIDEST)
    best = optimize.minimize_scalar(surprise, bounds=bounds, method="bounded")
    return float(best.x)


def threshold_g(filaments_g: np.ndarray, responded: np.ndarray, step: float) -> float:
    """The 50 % threshold of a series in grams: 10^(Xf + k step), Xf the logarithm of the last.

    Chaplan et al. (1994, Journal of Neuroscience Methods 53:55), who write it for handles of
    filaments, log10(10,000 g). `step` is the mean step of the filaments in log10 units. A series
    without a change is assigned its last filament, the strongest or the weakest one.
    """
    if responded.all() or not responded.any():
        return float(filaments_g[-1])
    return float(10 ** (np.log10(filaments_g[-1]) + tabular_k(responded.tolist()) * step))


def read_thresholds(path: Path, observations: Observations) -> tuple[pd.DataFrame, list[Finding]]:
    """Thresholds by animal and session, from `animal,filament_g,response[,session]`.

    A row is a stimulus, in the order in which they were given. Raises `UserError` for a cell that
    is no force or no answer, and where no animal of the study is in the table.
    """
    table = read_table(path)
    groups = {animal_key(r.animal): (r.animal, r.group) for r in observations.recordings}
    series, unknown = _read_series(table, groups)
    if not series:
        raise UserError(f"{path}: names no animal of the study; it has {', '.join(unknown)}")
    forces = {force_g for stimuli in series.values() for force_g, _ in stimuli}
    step = float(np.diff(np.log10(sorted(forces))).mean()) if len(forces) > 1 else 0.0
    rows = []
    for (key, of_session), stimuli in series.items():
        filaments_g, responded = (np.array(column) for column in zip(*stimuli, strict=True))
        who = {"animal": groups[key][0], "group": groups[key][1], "session": of_session}
        rows.append({**who, **_series_row(filaments_g, responded, step)})
    findings = []
    if unknown:
        what = f"names animals that the study lacks ({', '.join(unknown)})"
        findings.append(Finding("warning", path.name, what, "left out"))
    return pd.DataFrame(rows), findings


def _read_series(table: Table, known: Collection[str]) -> tuple[Series, list[str]]:
    """The stimuli of each known animal and session, and the names of the other animals."""
    animal, force = table.column("animal"), table.column("filament_g", "force_g")
    answer, session = table.column("response"), table.column("session")
    if animal is None or force is None or answer is None:
        header = ", ".join(table.header)
        raise UserError(
            f"{table.path}: expected animal,filament_g,response[,session], found {header}"
        )
    series: Series = defaultdict(list)
    unknown: dict[str, None] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        key = animal_key(row[animal])
        stimulus = _stimulus(table, line, row[force], row[answer])
        if key in known:
            series[key, "" if session is None else row[session]].append(stimulus)
        else:
            unknown[row[animal]] = None
    return series, list(unknown)


def _stimulus(table: Table, line: int, force: str, answer: str) -> tuple[float, bool]:
    force_g = number_in(force)
    if force_g is None or force_g <= 0:
        raise UserError(f"{table.path}, line {line}: expected grams above 0, found {force!r}")
    responded = _ANSWERS.get(answer.casefold())
    if responded is None:
        raise UserError(
            f"{table.path}, line {line}: expected X (response) or O (none), found {answer!r}"
        )
    return force_g, responded


def _series_row(filaments_g: np.ndarray, responded: np.ndarray, step: float) -> dict[str, Any]:
    pattern = "".join("X" if answered else "O" for answered in responded)
    changes = int((responded[1:] != responded[:-1]).sum())
    # Down after a response, up without: Dixon's formula holds for such series alone.
    moves = np.sign(np.diff(filaments_g))
    note = ""
    if changes == 0:
        note = "no change of response: the last filament"
    elif (moves != np.where(responded[:-1], -1, 1)).any():
        return {"pattern": pattern, READOUT: np.nan, "note": "not applied up and down"}
    return {"pattern": pattern, READOUT: threshold_g(filaments_g, responded, step), "note": note}


def compare_thresholds(
    thresholds: pd.DataFrame, observations: Observations, correction: str, seed: int
) -> pd.DataFrame:
    """The tests of thresholds, as `compare` writes them."""
    animals = _by_animal(thresholds)
    what = {"window": "whole", "behavior": BEHAVIOR, "readout": READOUT, "event": np.nan}
    present = [group for group in observations.groups if (animals.group == group).any()]
    return compare(animals.assign(**what), present, correction=correction, seed=seed)


def _by_animal(thresholds: pd.DataFrame) -> pd.DataFrame:
    """One value per animal, the geometric mean of its sessions: filaments grow by factors."""
    table = thresholds.dropna(subset=READOUT)
    logs = np.log10(table[READOUT]).groupby([table.animal, table.group], sort=False).mean()
    return (10**logs).reset_index(name="value")


def threshold_sentences(thresholds: pd.DataFrame, tests: pd.DataFrame) -> list[str]:
    """The threshold of each group, and the test of all groups."""
    parts = []
    for group, values in _by_animal(thresholds).groupby("group", sort=False)["value"]:
        low, high = group_interval(values.to_numpy(float), scale_of_readout(READOUT))
        interval = interval_text(low, high)
        parts.append(f"{shown(str(group))} {number(values.mean())} g {interval}".rstrip())
    if not parts:
        return []
    text = f"Von Frey 50 % threshold (mean [95 % interval]): {', '.join(parts)}"
    if len(tests) and tests.p.notna().iloc[0]:
        first = tests.iloc[0]
        text += f"; {first.test} {p_text(first.p)}, {first.n} animals"
    return [f"{text}."]
