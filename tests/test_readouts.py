"""Read-outs say what one would count by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorim.core.errors import UserError
from dolorim.core.runs import runs
from dolorim.reporting.assays import built_in, read_assay, seconds
from dolorim.reporting.error_correction import corrected
from dolorim.reporting.observations import Observations, ObservedRecording, check_animals
from dolorim.reporting.readouts import collect, curve, measure, row_shares, transitions


def recording(
    labels: list[int], rate_hz: float = 1.0, animal: str = "a", group: str = "g", **columns: str
) -> ObservedRecording:
    starts, stops, values = runs(np.array(labels))
    known = values >= 0
    return ObservedRecording(
        "v", animal, group, starts[known] / rate_hz, stops[known] / rate_hz, values[known],
        len(labels) / rate_hz, "",
        columns,
    )  # fmt: skip


def test_read_outs_are_what_one_counts_by_hand() -> None:
    readouts = measure(recording([0, 0, 1, 1, 1, 0, 1, -1, -1, 0]), 3)
    assert readouts["time_s"].tolist() == [4, 4, 0]
    assert readouts["time_percent"].tolist() == [50, 50, 0]
    assert readouts["bouts"].tolist() == [3, 2, 0]
    assert readouts["bouts_per_min"].tolist() == [22.5, 15, 0]
    assert readouts["bout_mean_s"][1] == 2
    assert np.isnan(readouts["bout_mean_s"][2])
    assert readouts["latency_s"].tolist() == [0, 2, 10]  # what never occurs is censored at the end
    assert readouts["event"].tolist() == [True, True, False]


def test_a_bout_counts_where_it_begins_and_its_time_where_it_happens() -> None:
    whole = recording([0, 1, 1, 1, 1, 0])
    first, second = (measure(whole.between(*w), 2) for w in ((0, 3), (3, 6)))
    assert (first["bouts"][1], second["bouts"][1]) == (1, 0)
    assert (first["time_s"][1], second["time_s"][1]) == (2, 2)
    assert first["bout_mean_s"][1] == 4
    assert second["response"][1] == 0


def test_a_window_that_nobody_labelled_has_no_read_outs() -> None:
    readouts = measure(recording([0, 1, -1, -1]).between(2, 4), 2)
    assert all(np.isnan(values).all() for name, values in readouts.items() if name != "event")


def test_a_gap_is_no_transition_and_no_behavior_follows_itself() -> None:
    counts = transitions(recording([0, 1, -1, 0, 1, 1]), 2)
    assert counts.tolist() == [[0, 2], [0, 0]]
    assert row_shares(counts).tolist() == [[0, 1], [0, 0]]


def test_a_bin_with_less_than_half_of_its_time_labelled_is_left_out() -> None:
    shares = curve(recording([0, 1, 0, 0, 1]), 2, 4.0)
    assert shares[0].tolist() == [75, 25]
    assert np.isnan(shares[1]).all()


@given(st.lists(st.integers(-1, 2), min_size=1, max_size=60), st.integers(1, 59))
def test_time_adds_up_over_windows_and_so_do_bouts(labels: list[int], cut: int) -> None:
    whole = recording(labels, 2.0)
    parts = [measure(whole.between(*w), 3) for w in ((0, cut / 2), (cut / 2, 1e9))]
    everything = measure(whole, 3)
    for readout in ("time_s", "bouts"):
        total = np.nansum([p[readout] for p in parts], axis=0)
        assert np.allclose(total, np.nan_to_num(everything[readout]))


def test_two_recordings_of_an_animal_count_as_one_animal() -> None:
    recordings = (
        recording([0, 1], animal="a"),
        recording([1, 1], animal="a"),
        recording([0, 0], animal="b"),
    )
    tables = collect(Observations(("rest", "lick"), ("g",), recordings), read_assay("whole"))
    animals = (
        tables["animals"]
        .query("behavior == 'lick' and readout == 'time_percent'")
        .set_index("animal")
    )
    assert animals["value"].to_dict() == {"a": 75, "b": 0}
    assert animals["recordings"].to_dict() == {"a": 2, "b": 1}
    assert (
        tables["groups"].query("behavior == 'lick' and readout == 'time_percent'")["mean"].item()
        == 37.5
    )


def test_left_and_right_become_ipsi_and_contra() -> None:
    recordings = (
        recording([1, 1, 2], treated_side="L"),
        recording([1, 1, 2], animal="b", treated_side="right"),
    )
    study = Observations(("rest", "lick_L", "lick_R"), ("g",), recordings).by_side()
    assert study.classes == ("rest", "lick_ipsi", "lick_contra")
    assert [measure(t, 3)["time_s"].tolist() for t in study.recordings] == [[0, 2, 1], [0, 1, 2]]
    camel = Observations(("rest", "LickLeft", "LickRight"), ("g",), recordings).by_side()
    assert camel.classes == ("rest", "Lick_ipsi", "Lick_contra")
    assert [measure(t, 3)["time_s"].tolist() for t in camel.recordings] == [[0, 2, 1], [0, 1, 2]]
    half = dataclasses.replace(study, recordings=(*recordings, recording([0], animal="c")))
    with pytest.raises(UserError, match=r"animal c: expected L or R"):
        half.by_side()


def test_every_stimulus_is_a_trial() -> None:
    study = Observations(("rest", "withdraw"), ("g",), (recording([0, 1, 1, 0, 0, 0, 0, 0, 1, 0]),))
    after = study.after_stimuli({("v", ""): [0.0, 4.0, 7.0, 99.0]}, 2.0)
    responses = [measure(t, 2) for t in after.recordings]
    assert [r["response"][1] for r in responses] == [1, 0, 1]
    assert [r["latency_s"][1] for r in responses] == [1, 2, 1]
    assert "ends before its stimulus at 99 s" in str(after.findings[0])
    with pytest.raises(UserError, match="no stimulus"):
        study.after_stimuli({}, 2.0)


def test_an_animal_in_some_of_the_groups_is_refused_and_a_small_group_is_named() -> None:
    one, other = recording([0], animal="a", group="x"), recording([0], animal="a", group="y")
    third = recording([0], animal="b", group="y")
    with pytest.raises(UserError, match="animal a is in the groups x and y"):
        check_animals(Observations(("rest", "lick"), ("x", "y"), (one, other, third)))
    crossed = Observations(("rest", "lick"), ("x", "y"), (one, other))
    assert crossed.paired
    assert "only 1 animal" in str(check_animals(crossed)[0])


@given(st.lists(st.floats(0.05, 1), min_size=3, max_size=3), st.integers(0, 2**32 - 1))
def test_correcting_for_confusion_undoes_it(weights: list[float], seed: int) -> None:
    truth = np.array(weights) / sum(weights)
    counts = np.random.default_rng(seed).integers(0, 20, (3, 3)) + 100 * np.eye(3)
    predicted = truth @ (counts / counts.sum(1, keepdims=True))
    assert corrected(predicted, counts) == pytest.approx(truth, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("30s", 30), ("5min", 300), ("1.5 h", 5400), (2.0, 2)]
)
def test_times_are_written_with_units(text: object, expected: float) -> None:
    assert seconds(text) == expected


def test_every_built_in_assay_reads_and_others_are_refused_by_name(tmp_path) -> None:
    assert {"formalin", "von_frey", "acetone", "hargreaves", "cfa", "home_cage", "whole"} == set(
        built_in()
    )
    for name in built_in():
        assert read_assay(name).name == name
    assert [w.stop_s for w in read_assay("formalin").windows] == [np.inf, 600, 900, 3600]
    with pytest.raises(UserError, match="there are acetone"):
        read_assay("capsaicin")
    for text, complaint in (
        ("title = 3", "title"), ("titel = 'x'", "titel"),
        ("title = 'x'\nbin_s = '5 weeks'", "5 weeks"),
        ("title = 'x'\nprimary = ['phase I']", "phase I"), ("title =", "not valid TOML"),
        ("title = 'x'\n[[windows]]\nname = 'whole'\nstart_s = 5\nstop_s = 2", "last longer"),
    ):  # fmt: skip
        path = tmp_path / "my.toml"
        path.write_text(text)
        with pytest.raises(UserError, match=complaint):
            read_assay(str(path))
