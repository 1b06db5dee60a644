"""The tables on a report's page, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dolorim.reporting.effect_sizes import FEWEST_PER_GROUP
from dolorim.reporting.families import PAIR
from dolorim.reporting.observations import Observations
from dolorim.reporting.rank_tests import ALPHA
from dolorim.reporting.rendering import Cell, Table
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.summary_text import find_rank_tests
from dolorim.reporting.wording import READOUT_LABELS, interval_text, number, p_value, shown

ANSWER_KEY = (
    f"Mean [95 % interval] over animals; no interval below {FEWEST_PER_GROUP} animals. p: rank "
    f"test of all groups (latencies: log-rank test). Bold: the main question. Its p values, those "
    f"of its pairs of groups included, are corrected together; all others are corrected over "
    f"behaviors. n: animals per group, in the order of the columns."
)
_UNRELIABLE = "not found reliably"
_OTHER_PAIN_BEHAVIORS = 3  # shown beside the indicator


def answer_table(results: StudyResults) -> Table:
    """The indicator in every window; other pain behaviors and movement in the last primary one."""
    groups = results.observations.groups
    rows: list[list[str | Cell]] = []
    strong = set()
    for behavior, window, readout in _answer_rows(results):
        of_row = results.select("overall", window, behavior, readout)
        if not len(of_row):
            continue
        by_group = of_row.set_index("group")
        cells: list[str | Cell] = [shown(behavior), window, READOUT_LABELS[readout]]
        cells += [_mean_cell(by_group, group) for group in groups]
        tests = find_rank_tests(results.tables["statistics"], window, behavior, readout)
        cells += _p_cells(tests.head(1), behavior in results.doubts)
        if behavior == results.pain[0] and window in results.assay.primary:
            # Bold: the rows that answer the question of the assay.
            strong.add(len(rows))
        rows.append(cells)
    header = ["behavior", "window", "read-out", *map(shown, groups), "p", "p corrected", "n"]
    return Table(header, rows, 3, frozenset(strong))


def _answer_rows(results: StudyResults) -> list[tuple[str, str, str]]:
    """Behavior, window and read-out of each row."""
    assay, pain = results.assay, results.pain
    last = assay.primary[-1]
    rows: list[tuple[str, str, str]] = []
    rows += [(pain[0], window.name, assay.readout) for window in assay.windows]
    rows += [(b, last, assay.readout) for b in pain[1 : 1 + _OTHER_PAIN_BEHAVIORS]]
    return rows + [(b, last, "time_percent") for b in results.locomotion]


def _mean_cell(by_group: pd.DataFrame, group: str) -> str | Cell:
    if group not in by_group.index:
        return "-"
    row = by_group.loc[group]
    return Cell(number(row["mean"]), interval_text(row.mean_low, row.mean_high))


def _p_cells(test: pd.DataFrame, doubted: bool) -> list[str | Cell]:
    """p, corrected p and animals of the first of some tests."""
    if not len(test):
        return ["-"] * 3
    row = test.iloc[0]
    if doubted:
        return [_UNRELIABLE, "-", row.n]
    # With very few animals no p can be small, and "0.10" would read as a result.
    note = ""
    if row.smallest_adjusted >= ALPHA:
        note = f"(none below {ALPHA:g} possible)"
    return [p_value(row.p), Cell(p_value(row.p_adjusted), note), row.n]


def pairs_table(results: StudyResults) -> Table | None:
    """Effect sizes of each pair of groups in the indicator; None where no pair was compared."""
    assay, indicator = results.assay, results.pain[0]
    if results.doubts.get(indicator):
        return None
    rows: list[list[str | Cell]] = []
    for window in assay.primary:
        tests = find_rank_tests(results.tables["statistics"], window, indicator, assay.readout)
        # The test of all groups has no difference.
        for row in tests[tests.difference.notna()].itertuples():
            rows.append(
                [
                    window,
                    _compared(row),
                    *(_effect_cell(row, name) for name in ("difference", "cliffs_delta")),
                    _effect_cell(row, "hedges_g", "not defined"),
                    p_value(row.p),
                    p_value(row.p_adjusted),
                    _animals(row),
                ]
            )
    if not rows:
        return None
    difference = f"difference ({READOUT_LABELS[assay.readout]})"
    effects = [difference, "Cliff's delta", "Hedges' g"]
    header = [f"{shown(indicator)}, window", "groups", *effects, "p", "p corrected", "n"]
    return Table(header, rows, 2)


def _compared(row: Any) -> str:
    """The groups of a test: `drug - vehicle` is the difference from vehicle to drug."""
    return str(row.compared).replace("_", " ")


def _animals(row: Any) -> str:
    """How many animals were compared, in the order in which `_compared` names their groups."""
    if not isinstance(row.n, str):
        return ""
    # A difference is named second minus first, and so are its animals (NaN is not equal to itself).
    if row.difference == row.difference:
        return " vs. ".join(reversed(row.n.split("/")))
    return row.n


def _effect_cell(row: Any, name: str, undefined: str = "") -> str | Cell:
    value = getattr(row, name)
    if value != value:
        return undefined
    interval = interval_text(getattr(row, f"{name}_low"), getattr(row, f"{name}_high"))
    return Cell(number(value), interval)


def groups_table(observations: Observations) -> Table:
    """Animals, recordings and their lengths in minutes, by group."""
    rows = []
    for group in observations.groups:
        recordings = [r for r in observations.recordings if r.group == group]
        # Lengths that look alike on the page are said once.
        lengths = sorted({f"{r.length_s / 60:.2f}" for r in recordings}, key=float)
        span = lengths[0]
        if len(lengths) > 1:
            span += f"-{lengths[-1]}"
        animals = {r.animal for r in recordings}
        rows.append([shown(group), str(len(animals)), str(len(recordings)), span])
    return Table(["group", "animals", "recordings", "minutes each"], rows)


def tests_table(results: StudyResults) -> Table:
    """The tests on the page: all of pain and movement, of other behaviors those of all groups."""
    tests = results.tables["statistics"][_tests_on_page(results)]
    rows = [_test_row(row, results.doubts) for row in tests.itertuples()]
    header = ["behavior", "window", "read-out", "test", "compared", "n", "statistic"]
    header += ["p", "p corrected", "Cliff's delta", "note"]
    return Table(header, rows, 5, remarks=True)


def _tests_on_page(results: StudyResults) -> pd.Series:
    tests = results.tables["statistics"]
    in_focus = tests.behavior.isin(results.behaviors_in_focus)
    is_main = (tests.readout == results.assay.readout) & (tests.test != "permutation")
    # Of other behaviors, only the tests of all groups; pairs of groups would flood the table.
    kept = is_main & (in_focus | ~tests.test.str.endswith(PAIR))
    latencies = (tests.readout == "latency_s") & (tests.test == "log-rank")
    kept |= latencies & tests.behavior.isin(results.pain)
    kept |= tests.readout == "threshold_g"
    # Tests that people scored are no behaviors of the recordings.
    behaviors = set(results.tables["animals"].behavior)
    kept |= ~tests.behavior.isin(behaviors) & (tests.test != "permutation")
    # "time_percent by day": the tests of repeated measures.
    kept |= tests.readout.str.contains(" by ", regex=False) & in_focus
    return kept


def _test_row(row: Any, doubts: Mapping[str, str]) -> list[str | Cell]:
    cells: list[str | Cell] = [
        shown(row.behavior),
        row.window,
        READOUT_LABELS.get(row.readout, row.readout),
        row.test,
        _compared(row),
        _animals(row),
    ]
    if row.statistic == row.statistic:
        cells.append(number(row.statistic))
    else:
        cells.append("")
    if row.behavior in doubts:
        cells += [_UNRELIABLE, "-", "-"]
    else:
        cells += [p_value(row.p), p_value(row.p_adjusted), _effect_cell(row, "cliffs_delta")]
    note = row.note if isinstance(row.note, str) else ""
    return [*cells, note]
