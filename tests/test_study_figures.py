"""Figures of a report: what they show, and that a journal takes them as they are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from dolorim.reporting.assays import read_assay
from dolorim.reporting.bout_figures import draw_latencies
from dolorim.reporting.estimation_figure import draw_answer
from dolorim.reporting.families import Question
from dolorim.reporting.observations import Observations, ObservedRecording
from dolorim.reporting.raster import COLUMNS, paint, priorities, strengths
from dolorim.reporting.readouts import collect
from dolorim.reporting.statistics import compare
from dolorim.reporting.study_figures import draw_study
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.summary_text import find_rank_tests
from dolorim.reporting.transition_figure import draw_transitions

GROUPS = ("vehicle", "drug")


def recording(animal: str, group: str, lick_s: float) -> ObservedRecording:
    """One minute at rest, with one bout of licking from 10 s on."""
    edges = np.array([0.0, 10.0, 10.0 + lick_s, 60.0])
    kept = np.diff(edges) > 0
    return ObservedRecording(
        *(f"{animal}.mp4", animal, group),
        *(edges[:-1][kept], edges[1:][kept], np.array([0, 1, 0])[kept]),
        60.0,
    )


@pytest.fixture(scope="module")
def results() -> StudyResults:
    """Four animals per group lick for 3, 2, 1 and 0 s (vehicle), and 5 to 8 s (drug)."""
    animals = [recording(f"v{i}", "vehicle", 3 - i) for i in range(4)]
    animals += [recording(f"d{i}", "drug", 5 + i) for i in range(4)]
    study = Observations(("rest", "lick"), GROUPS, tuple(animals))
    assay = read_assay("whole")
    tables = collect(study, assay)
    question = Question("lick", "time_percent", assay.primary)
    tables["statistics"] = compare(tables["animals"], GROUPS, question=question)
    return StudyResults(study, assay, tables, ["lick"], [])


def test_an_animal_that_never_begins_is_marked_on_its_curve_and_stays_at_risk(
    results: StudyResults,
) -> None:
    drawn = draw_latencies(results)
    curves, numbers = drawn.figure.axes
    # All others begin at 10 s, so three of four vehicle animals have begun when v3 leaves.
    marks = [line.get_xydata().tolist() for line in curves.lines if line.get_marker() == "|"]
    assert marks == [[[60.0, 0.75]], []]
    # At 0, 20, 40 and 60 s.
    assert [text.get_text() for text in numbers.texts] == [*"4111", *"4000"]
    vehicle = drawn.data[drawn.data.group == "vehicle"]
    assert vehicle[
        ["time_s", "share_begun", "at_risk", "begun", "censored"]
    ].to_numpy().tolist() == [
        [10, 0.75, 4, 3, 0],
        [60, 0.75, 1, 0, 1],
    ]
    plt.close(drawn.figure)


def test_the_answer_shows_all_animals_and_the_difference_with_its_interval(
    results: StudyResults,
) -> None:
    drawn = draw_answer(results)
    shown = drawn.data.groupby("shown").size().to_dict()
    assert shown == {"animal": 8, "mean": 2, "difference": 1}
    [row] = drawn.data[drawn.data.shown == "difference"].itertuples()
    tests = find_rank_tests(results.tables["statistics"], "whole", "lick", "time_percent")
    [test] = tests.itertuples()
    assert row.value == pytest.approx(100 * (6.5 - 1.5) / 60)
    assert (row.low, row.high) == (test.difference_low, test.difference_high)
    plt.close(drawn.figure)


def test_transitions_are_probabilities_of_the_control_and_differences_from_it() -> None:
    rng = np.random.default_rng(0)
    recordings = []
    for group, share in (("vehicle", 0.2), ("drug", 0.9)):
        for i in range(5):
            # After each rest comes licking with the probability of the group, else walking.
            after = np.where(rng.random(200) < share, 1, 2)
            labels = np.column_stack([np.zeros(200, int), after]).ravel()
            start_s = np.arange(400.0)
            recordings.append(
                ObservedRecording(
                    f"{group}{i}", f"{group}{i}", group, start_s, start_s + 1, labels, 400.0
                )
            )
    study = Observations(("rest", "lick", "walk"), GROUPS, tuple(recordings))
    results = StudyResults(study, read_assay("whole"), collect(study, read_assay("whole")), [], [])
    drawn = draw_transitions(results)
    assert drawn is not None
    table = drawn.data.set_index(["group", "before", "after"])
    assert table.loc[("vehicle", "rest", "lick"), "probability"] == pytest.approx(0.2, abs=0.05)
    row = table.loc[("drug", "rest", "lick")]
    assert row.difference == pytest.approx(0.7, abs=0.05)
    assert 0.5 < row.low < row.difference < row.high < 0.9
    assert table.loc[("drug", "lick", "rest"), "difference"] == 0
    plt.close(drawn.figure)


def test_a_column_is_paler_the_less_of_it_its_behavior_takes() -> None:
    column_s = 60.0 / COLUMNS
    lick = recording("a", "vehicle", 3 * column_s)
    study = Observations(("rest", "lick"), ("vehicle",), (lick,))
    row = paint(lick, column_s, priorities(study, ["lick"]))
    strength = strengths(lick, column_s, row)
    licking = np.flatnonzero(row == 1)
    # Licking touches four columns and fills the two in the middle.
    assert len(licking) == 4
    assert strength[licking[1:3]] == pytest.approx(1)
    assert (strength[licking[[0, 3]]] < 1).all()
    assert (strength >= 0.45).all()


def test_figures_have_a_journals_widths_and_fonts_that_can_be_edited(
    results: StudyResults, tmp_path: Path
) -> None:
    paths = draw_study(results, tmp_path)
    names = {path.stem for path in paths}
    assert {"answer", "raster", "budget", "latency", "bouts", "transitions"} <= names
    for path in paths:
        svg = path.with_suffix(".svg").read_text("utf-8")
        width_pt = float(re.search(r'width="([\d.]+)pt"', svg)[1])
        assert round(width_pt / 72 * 25.4, 1) in (89.0, 183.0)
        assert "font: 7px" in svg or "font-size: 7px" in svg or "font-size:7px" in svg
        assert b"/Type3" not in path.with_suffix(".pdf").read_bytes()
        if path.stem != "raster":  # its numbers are bouts.csv
            assert len(pd.read_csv(path.with_suffix(".csv")))
