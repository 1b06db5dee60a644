"""Statistics between groups. The samples are animals, never frames, bouts or trials.

Definitions: docs/readouts.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dolorim.metrics.intervals import Scale
from dolorim.reporting.effect_sizes import FEWEST_PER_GROUP, effects, scale_of_readout
from dolorim.reporting.families import PAIR, Question, adjust
from dolorim.reporting.latencies import hazard_ratio, log_rank, sign_test
from dolorim.reporting.linear_models import Row, mixed_model, two_factors
from dolorim.reporting.permutation import permutation_p
from dolorim.reporting.rank_tests import RANK_TESTS, omnibus, smallest_p

_TESTED = (
    "time_percent",
    "bouts_per_min",
    "bout_mean_s",
    "latency_s",
    "response",
    "auc",
    "threshold_g",  # of von Frey filaments
    *("score", "mpe_percent", "course_area"),  # of tests that people scored
)
_COLUMNS = ["window", "behavior", "readout", "test", "compared", "n", "statistic", "p"]
for _effect in ("difference", "cliffs_delta", "hedges_g", "hazard_ratio"):
    _COLUMNS += [_effect, f"{_effect}_low", f"{_effect}_high"]
_COLUMNS.append("note")


def compare(
    animals: pd.DataFrame,
    groups: Sequence[str],
    *,
    paired: bool = False,
    within: str | None = None,
    second: str | None = None,
    correction: str = "holm",
    seed: int = 0,
    question: Question | None = None,
) -> pd.DataFrame:
    """Every test of every read-out, one row per test.

    `animals` is the table of that name from `collect`. With two groups, the rank test itself
    carries the effect sizes; with more, each pair has a row of its own. `n` has the animals of each
    group, in the order of the groups. `paired`: every animal is in every group. `within` and
    `second` are columns of further factors: sessions of an animal, and a factor between animals.
    """
    # One generator for all tests: the same seed gives the same table.
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    if within is not None:
        # Sessions are compared first; after that, an animal counts with the mean of its sessions.
        rows += _repeated(animals, groups, within, rng)
        animals = _mean_of_sessions(animals, second)
    cells = animals.groupby(["window", "behavior", "readout"], sort=False)
    for (window, behavior, readout), cell in cells:
        if readout not in _TESTED or len(groups) < 2:
            continue
        where = {"window": window, "behavior": behavior, "readout": readout}
        tests = _tests_of(cell, readout, groups, paired, rng)
        if second is not None and not paired:
            tests += _by_second_factor(cell.dropna(subset="value"), second)
        rows += [{**where, **test} for test in tests]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    table["is_rank_test"] = table.test.str.removesuffix(PAIR).isin(RANK_TESTS)
    table["smallest_p"] = [_smallest_p_of(row) for row in table.itertuples()]
    control = next(iter(groups), None)
    return adjust(table, correction, question, control).drop(columns="is_rank_test")


def _tests_of(
    cell: pd.DataFrame,
    readout: str,
    groups: Sequence[str],
    paired: bool,
    rng: np.random.Generator,
) -> list[Row]:
    """The tests between groups of one read-out; latencies may be censored."""
    if readout == "latency_s":
        return _between_latencies(cell, groups, paired, rng)
    return _between(cell, groups, paired, scale_of_readout(readout), rng)


def _mean_of_sessions(animals: pd.DataFrame, second: str | None) -> pd.DataFrame:
    """One value per animal: the mean over its sessions; censored where one of them is."""
    keys = ["animal", "group", "window", "behavior", "readout"]
    if second is not None:
        keys.insert(2, second)
    grouped = animals.groupby(keys, sort=False)
    return grouped.agg(value=("value", "mean"), event=("event", "min")).reset_index()


def _smallest_p_of(row: Any) -> float:
    if not row.is_rank_test or row.p != row.p:
        return np.nan
    sizes = tuple(int(n) for n in row.n.split("/"))
    return smallest_p(row.test.removesuffix(PAIR), sizes)


def _samples(
    cell: pd.DataFrame, groups: Sequence[str], paired: bool
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Values and whether they were observed (not censored), an array `(animals,)` per group."""
    # A row per animal, a column per group: missing where an animal is not in a group.
    values = cell.pivot(index="animal", columns="group", values="value")
    values = values.reindex(columns=list(groups))
    if paired:
        values = values.dropna()
    observed = cell.pivot(index="animal", columns="group", values="event")
    # Animals that were dropped above are dropped here too.
    observed = observed.reindex(index=values.index, columns=list(groups))
    samples = [values[group].dropna().to_numpy() for group in groups]
    events = [observed[group][values[group].notna()].to_numpy() > 0 for group in groups]
    return samples, events


def _note_on_few(samples: Sequence[np.ndarray]) -> str:
    if min(map(len, samples)) >= FEWEST_PER_GROUP:
        return ""
    return f"no interval below {FEWEST_PER_GROUP} animals in a group"


def _sizes(samples: Sequence[np.ndarray]) -> str:
    return "/".join(str(len(sample)) for sample in samples)


def _all_groups(samples: Sequence[np.ndarray]) -> Row:
    return {"compared": "all groups", "n": _sizes(samples)}


def _untested(samples: Sequence[np.ndarray], note: str) -> Row:
    return {"test": "none", **_all_groups(samples), "note": note}


def _test_name(name: str, groups: Sequence[str]) -> str:
    """Of more than two groups, the test of two of them is named as one of a pair."""
    if len(groups) <= 2:
        return name
    return name + PAIR


def _join(notes: Sequence[str]) -> str:
    return "; ".join(note for note in notes if note)


def _between(
    cell: pd.DataFrame, groups: Sequence[str], paired: bool, scale: Scale, rng: np.random.Generator
) -> list[Row]:
    samples, _ = _samples(cell, groups, paired)
    if min(map(len, samples)) < 2:
        return [_untested(samples, "fewer than two animals in a group")]
    whole = {**_all_groups(samples), "note": _note_on_few(samples)}
    rows: list[Row] = []
    if len(groups) > 2:
        name, statistic, p = omnibus(samples, paired)
        rows.append({"test": name, "statistic": statistic, "p": p, **whole})
    for i, j in itertools.combinations(range(len(groups)), 2):
        name, statistic, p = omnibus([samples[i], samples[j]], paired)
        test = {"test": _test_name(name, groups), "statistic": statistic, "p": p}
        rows.append(test | _effects_of_pair(samples, groups, i, j, scale, paired))
    if not paired:
        # Permutation needs no assumption about the distribution, and confirms the rank test.
        rows.append({"test": "permutation", "p": permutation_p(samples, rng), **whole})
    return rows


def _between_latencies(
    cell: pd.DataFrame, groups: Sequence[str], paired: bool, rng: np.random.Generator
) -> list[Row]:
    """Censored latencies are no times: log-rank test between animals, sign test within them."""
    samples, events = _samples(cell, groups, paired)
    if min(map(len, samples)) < 2:
        return [_untested(samples, "fewer than two animals in a group")]
    censored = sum(int((~event).sum()) for event in events)
    # Times that are all known are compared like any other read-out.
    if paired and not censored:
        return _between(cell, groups, paired, scale_of_readout("latency_s"), rng)
    note = f"{censored} of {sum(map(len, samples))} latencies are censored" if censored else ""
    rows: list[Row] = []
    if len(groups) > 2 and paired:
        why = f"{note}: only pairs of groups are tested within animals"
        rows.append(_untested(samples, why))
    elif len(groups) > 2:
        statistic, p = log_rank(samples, events, rng)
        test = {"test": "log-rank", "statistic": statistic, "p": p, **_all_groups(samples)}
        rows.append({**test, "note": _join([note, _note_on_few(samples)])})
    for i, j in itertools.combinations(range(len(groups)), 2):
        row = _effects_of_pair(samples, groups, i, j, scale_of_readout("latency_s"), paired)
        times, observed = [samples[i], samples[j]], [events[i], events[j]]
        # The hazard ratio is given against the control only.
        test = _latency_test(times, observed, paired, rng, with_ratio=i == 0)
        test["test"] = _test_name(test["test"], groups)
        notes = [note, row["note"], test.pop("note")]
        rows.append({**row, **test, "note": _join(notes)})
    return rows


def _latency_test(
    times: list[np.ndarray],
    observed: list[np.ndarray],
    paired: bool,
    rng: np.random.Generator,
    with_ratio: bool,
) -> Row:
    """The test of two groups: log-rank between animals, sign test within them."""
    if paired:
        statistic, p, ordered = sign_test(times, observed)
        note = f"{ordered} animals could be ordered"
        return {"test": "sign test", "statistic": statistic, "p": p, "note": note}
    statistic, p = log_rank(times, observed, rng)
    test: Row = {"test": "log-rank", "statistic": statistic, "p": p, "note": ""}
    if with_ratio:
        ratio, low, high = hazard_ratio(times, observed)
        test |= {"hazard_ratio": ratio, "hazard_ratio_low": low, "hazard_ratio_high": high}
    return test


def _effects_of_pair(
    samples: Sequence[np.ndarray], groups: Sequence[str], i: int, j: int, scale: Scale, paired: bool
) -> Row:
    a, b = samples[i], samples[j]
    row: Row = {"compared": f"{groups[j]} - {groups[i]}", "n": _sizes([a, b])}
    row |= effects(a, b, scale, paired)
    notes = [_note_on_few([a, b])]
    if np.isnan(row["hedges_g"]) and min(len(a), len(b)) > 1:
        notes.append("Hedges' g is not defined: no animal differs from its group")
    return row | {"note": _join(notes)}


def _by_second_factor(cell: pd.DataFrame, second: str) -> list[Row]:
    # An analysis of variance would take a censored time for a real one.
    latencies = set(cell.readout) == {"latency_s"}
    if latencies and not (cell.event > 0).all():
        return [{"test": "two-way ANOVA", "note": "not done: some latencies are censored"}]
    return two_factors(cell, second)


def _repeated(
    animals: pd.DataFrame, groups: Sequence[str], within: str, rng: np.random.Generator
) -> list[Row]:
    """Tests over sessions for the share of time, by window and behavior."""
    rows: list[Row] = []
    shares = animals[animals.readout == "time_percent"].dropna(subset="value")
    for (window, behavior), cell in shares.groupby(["window", "behavior"], sort=False):
        where = {"window": window, "behavior": behavior, "readout": f"time_percent by {within}"}
        table = cell.rename(columns={within: "time"})
        tests = [*mixed_model(table), *_whole_courses(table, groups, rng)]
        rows += [{**where, **test} for test in tests]
    return rows


def _whole_courses(
    table: pd.DataFrame, groups: Sequence[str], rng: np.random.Generator
) -> list[Row]:
    """Permutation of whole animals and, where sessions are numbers, the area under the course."""
    # A row per animal, a column per session.
    courses = table.pivot_table(
        index=["group", "animal"], columns="time", values="value", sort=True
    )
    complete = courses.dropna()
    present = complete.index.get_level_values(0)
    samples = [complete.loc[[group]].to_numpy() for group in groups if group in present]
    # A group without a complete animal leaves nothing to compare it by.
    every_group = len(samples) == len(groups)
    if not every_group or len(groups) < 2 or min(map(len, samples)) < 2:
        return []
    incomplete = len(courses) - len(complete)
    note = f"{incomplete} animals without all occasions left out" if incomplete else ""
    row = {"compared": "group at any time", "n": _sizes(samples), "note": note}
    tests: list[Row] = [{"test": "permutation", "p": permutation_p(samples, rng), **row}]
    times = complete.columns
    if all(isinstance(time, (int, float)) for time in times):
        areas = [np.trapezoid(sample, times.to_numpy(float), axis=1) for sample in samples]
        name, statistic, p = omnibus(areas)
        area = {"test": f"{name} (area)", **row, "compared": "all groups"}
        tests.append({**area, "statistic": statistic, "p": p})
    return tests
