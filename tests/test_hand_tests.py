"""Tests that people scored by hand: latencies with a cut-off, scores, answers to filaments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import logit

from dolorim.core.errors import UserError
from dolorim.reporting.hand_tests import (
    animals_of_tests,
    hand_test_sentences,
    percent_mpe,
    psychometric,
    read_hand_tests,
)
from dolorim.reporting.observations import Observations, ObservedRecording
from dolorim.reporting.statistics import compare

GROUPS = ("vehicle", "drug")


@pytest.fixture
def study() -> Observations:
    empty = np.zeros(0)
    who = [(f"m{i}", GROUPS[i >= 4]) for i in range(8)]
    recordings = [ObservedRecording(a, a, g, empty, empty, empty, 1.0) for a, g in who]
    return Observations(("rest",), GROUPS, tuple(recordings))


def written(path: Path, *rows: object, header: str = "animal,test,value,session,cut_off") -> Path:
    path.write_text("\n".join([header, *map(str, rows)]))
    return path


def test_the_maximal_possible_effect_is_reached_at_the_cut_off() -> None:
    # 10 s after a baseline of 4 s, with a cut-off of 20 s: 6 of 16 possible seconds.
    assert percent_mpe(4, 10, 20) == 37.5
    assert percent_mpe(4, 25, 20) == 100
    assert percent_mpe(4, 2, 20) == -12.5
    assert np.isnan(percent_mpe(20, 20, 20))


def test_a_latency_at_its_cut_off_is_censored_and_goes_into_the_log_rank_test(
    study: Observations, tmp_path: Path
) -> None:
    rows = []
    for i in range(8):
        rows += [f"m{i},Hargreaves,{4 + i % 4},baseline,20", f"m{i},Hargreaves,6,60,20"]
        rows.append(f"m{i},Hargreaves,{'22' if i >= 5 else '8'},60,20")
    trials, findings = read_hand_tests(written(tmp_path / "t.csv", *rows), study)
    assert not findings
    animals = animals_of_tests(trials)
    after = animals[(animals.window == "60") & (animals.readout == "latency_s")]
    # Two trials: 6 s, and 8 s or the cut-off of 20 s.
    assert after.value.tolist() == [7] * 5 + [13] * 3
    assert after.event.tolist() == [1] * 5 + [0] * 3
    effects = animals[animals.readout == "mpe_percent"].set_index("animal").value
    assert effects["m0"] == percent_mpe(4, 7, 20)
    assert effects["m7"] == percent_mpe(7, 13, 20)
    tests = compare(animals, GROUPS)
    [row] = tests[(tests.readout == "latency_s") & (tests.window == "60")].itertuples()
    assert (row.test, row.note) == ("log-rank", "3 of 8 latencies are censored")
    said = hand_test_sentences(trials, animals, tests)
    assert said[0].startswith("Hargreaves, latency (s), session 60: vehicle 7.00")


def test_scores_are_means_and_their_course_has_an_area(study: Observations, tmp_path: Path) -> None:
    rows = [f"m{i},acetone,{score},{day}," for i in range(8) for day, score in ((0, 1), (7, 3))]
    rows += ["m0,acetone,2,7,", "m99,acetone,2,7,"]
    trials, findings = read_hand_tests(written(tmp_path / "t.csv", *rows), study)
    assert "m99" in str(findings[0])
    animals = animals_of_tests(trials)
    scores = animals[(animals.readout == "score") & (animals.window == "7")]
    assert scores.value.tolist() == [2.5] + [3] * 7
    areas = animals[animals.readout == "course_area"].set_index("animal").value
    assert areas["m1"] == 7 * (1 + 3) / 2


def test_the_psychometric_threshold_is_that_of_a_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    forces = np.tile([0.16, 0.4, 1.0, 2.0, 4.0], 40)
    chance = 1 / (1 + np.exp(-3 * (np.log10(forces) - np.log10(0.8))))
    trials = pd.DataFrame({"filament_g": forces, "value": (rng.random(200) < chance) * 1.0})
    trials["animal"] = np.arange(200) // 25
    force, (low, high) = psychometric(trials)
    fit = logit("value ~ np.log10(filament_g)", trials).fit(disp=0)
    assert force == pytest.approx(10 ** (-fit.params.iloc[0] / fit.params.iloc[1]), rel=1e-6)
    assert low < 0.8 < high
    never = trials.assign(value=0.0)
    assert np.isnan(psychometric(never)[0])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("m0,acetone,often,,", "expected a number .* found 'often'"),
        ("m0,hargreaves,3,,soon", "column cut_off: expected a number, found 'soon'"),
        ("m0,filament,X,,", "a filament needs filament_g"),
        ("m77,acetone,1,,", "names no animal of the study"),
    ],
)
def test_a_cell_that_makes_no_sense_is_named(
    study: Observations, tmp_path: Path, row: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_hand_tests(written(tmp_path / "t.csv", row), study)
