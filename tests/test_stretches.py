"""Recordings of unequal length are compared over what all of them cover, and the page says so."""

from __future__ import annotations

import numpy as np
import pytest

from dolorim.core.errors import UserError
from dolorim.reporting.assays import read_assay
from dolorim.reporting.families import Question
from dolorim.reporting.methods import methods
from dolorim.reporting.observations import Observations, ObservedRecording, order_groups
from dolorim.reporting.raster import COLUMNS, column_s, paint, priorities
from dolorim.reporting.readouts import collect
from dolorim.reporting.statistics import compare
from dolorim.reporting.stretches import find_stretches
from dolorim.reporting.summary_text import summary_sentences

CLASSES = ("rest", "lick", "walk")


def resting(
    animal: str, group: str, minutes: float, *licks: tuple[float, float]
) -> ObservedRecording:
    """An animal that rests but for these licks, each `(start, stop)` in seconds."""
    edges = [0.0, *(moment for lick in licks for moment in lick), 60 * minutes]
    labels = [i % 2 for i in range(len(edges) - 1)]
    return ObservedRecording(
        f"v{animal}",
        animal,
        group,
        np.array(edges[:-1]),
        np.array(edges[1:]),
        np.array(labels),
        edges[-1],
    )


def study_of(**minutes: tuple[float, ...]) -> Observations:
    recordings = [
        resting(f"{group}{i}", group, length)
        for group, lengths in minutes.items()
        for i, length in enumerate(lengths)
    ]
    return Observations(CLASSES, tuple(minutes), tuple(recordings))


def test_where_nobody_licks_no_group_is_sooner_however_long_it_was_filmed() -> None:
    study = study_of(control=(10,) * 6, drug=(18,) * 6)
    tables = collect(study, read_assay("whole"))
    latency = tables["animals"].query("readout == 'latency_s' and behavior == 'lick'")
    assert set(latency.value) == {600.0}
    comparison = compare(tables["animals"], study.groups).query(
        "behavior == 'lick' and readout == 'latency_s'"
    )
    assert comparison.difference.to_list() == [0]
    assert comparison.p.to_list() == [1]
    [finding] = find_stretches(study, read_assay("whole"))[1]
    assert "recordings end at 10 to 18 min; compared over 0-10 min" in str(finding)


def test_areas_and_counts_are_of_the_same_time() -> None:
    licks = [(60 * m + 1.0, 60 * m + 31.0) for m in range(20)]
    short = [resting(f"c{i}", "control", 10, *licks[:10]) for i in range(4)]
    long = [resting(f"x{i}", "drug", 20, *licks) for i in range(4)]
    tables = collect(
        Observations(CLASSES, ("control", "drug"), (*short, *long)), read_assay("whole")
    )
    for readout, expected in (("time_s", 300), ("bouts", 10), ("time_percent", 50), ("auc", 450)):
        cell = tables["animals"].query("readout == @readout and behavior == 'lick'")
        assert cell.value.to_numpy() == pytest.approx(expected), readout


def test_one_recording_that_broke_off_does_not_shorten_all_others() -> None:
    study = study_of(control=(30, 30, 30, 2), drug=(30, 30, 30, 30.1))
    assay = read_assay("formalin")
    stretches, findings = find_stretches(study, assay)
    assert [(s.name, s.end_s / 60) for s in stretches] == [
        ("whole", 30), ("phase I", 10), ("interphase", 15), ("phase II", 30),
    ]  # fmt: skip
    assert all(s.left_out == {3} for s in stretches)
    said = " ".join(map(str, findings))
    assert "window phase I: too short in vcontrol3; left out of it" in said
    assert (
        "planned to 60 min, but the recordings end at 30 min; it is 15-30 min here, 33 % of the "
        "plan" in said
    )
    assert "phase II (15-30 min)" in methods(study, assay, {"correction": "holm"})
    assert collect(study, assay)["animals"].query("animal == 'control3'").empty


def test_a_phase_that_no_recording_reaches_is_none() -> None:
    study = study_of(control=(9,) * 5, drug=(9,) * 5)
    assay = read_assay("formalin")
    stretches, findings = find_stretches(study, assay)
    assert [s.name for s in stretches] == ["whole", "phase I"]
    assert "window phase II: no recording reaches it" in " ".join(map(str, findings))
    tables = collect(study, assay)
    question = Question("lick", "time_percent", assay.primary, ("walk",))
    statistics = compare(tables["animals"], study.groups, question=question)
    assert "phase II" not in " ".join(
        summary_sentences(study, assay, tables["overall"], statistics, ["lick"], ["walk"])
    )


def test_a_trial_that_ends_early_is_no_trial() -> None:
    study = study_of(control=(0.5,) * 4, drug=(0.5, 0.5, 0.5, 0.025))  # the last one 1.5 s of 2
    study = study.after_stimuli({(t.video, ""): [0.0] for t in study.recordings}, 2.0)
    [stretch], _ = find_stretches(study, read_assay("von_frey"))
    assert (stretch.end_s, stretch.left_out) == (2.0, {7})


def test_nothing_labelled_is_said_in_one_line() -> None:
    bare = ObservedRecording("v", "a", "g", np.zeros(0), np.zeros(0), np.zeros(0, int), 60.0)
    with pytest.raises(UserError, match="nothing is labeled in v"):
        collect(Observations(CLASSES, ("g",), (bare,)), read_assay("whole"))


def test_latencies_of_an_animal_are_censored_where_one_of_them_is() -> None:
    never, soon = resting("a", "g", 1), resting("a", "g", 1, (5, 6))
    animals = collect(Observations(CLASSES, ("g",), (never, soon)), read_assay("whole"))["animals"]
    row = animals.query("readout == 'latency_s' and behavior == 'lick'").iloc[0]
    assert (row.value, row.event) == (32.5, 0)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("10", "2", "1"), ("1", "2", "10")),
        (
            ("10 mg/kg", "3mg/kg", "0.3 mg/kg", "vehicle"),
            ("vehicle", "0.3 mg/kg", "3mg/kg", "10 mg/kg"),
        ),
        (("1 mg/kg", "300 ug/kg", "3 mg/kg"), ("300 ug/kg", "1 mg/kg", "3 mg/kg")),
        (
            ("formalin_5pct", "formalin_1pct", "control"),
            ("control", "formalin_1pct", "formalin_5pct"),
        ),
        (("day_10", "day_2"), ("day_2", "day_10")),
        (("wild type", "KO"), ("wild type", "KO")),
        (("morphine 3", "gabapentin 30", "saline"), ("saline", "morphine 3", "gabapentin 30")),
    ],
)
def test_the_lowest_dose_or_the_vehicle_is_the_control(
    names: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert order_groups(names) == expected
    assert order_groups(names, names[-1])[0] == names[-1]


def test_a_raster_loses_no_pain_bout() -> None:
    rng = np.random.default_rng(0)
    starts = np.sort(rng.uniform(0, 3590, 300))
    licks = [(s, s + 0.05) for s in starts[np.append(True, np.diff(starts) > 0.2)]]
    recording = resting("a", "g", 60, *licks)
    study = Observations(CLASSES, ("g",), (recording,) * 200)
    width_s, order = column_s(study), priorities(study, ["lick"])
    row = paint(recording, width_s, order)
    assert order[-1] == 1
    assert len(row) == COLUMNS
    assert all(row[int(start / width_s)] == 1 for start, _ in licks)
    assert (row >= 0).all()
