"""Filaments applied up and down give the force that half of the stimuli are answered at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dolorim.core.errors import UserError
from dolorim.files.tables import write_table
from dolorim.reporting.observations import Observations, ObservedRecording
from dolorim.reporting.von_frey import (
    compare_thresholds,
    read_thresholds,
    tabular_k,
    threshold_g,
    threshold_sentences,
)

FILAMENTS_G = np.array([0.4, 0.6, 1.0, 2.0, 4.0, 6.0, 8.0, 15.0])
STEP = float(np.diff(np.log10(FILAMENTS_G)).mean())


def answered(pattern: str) -> list[bool]:
    return [letter == "X" for letter in pattern]


# Three decimals, as Dixon's table prints them; a mirrored series has the opposite sign.
@pytest.mark.parametrize(
    ("pattern", "k"),
    [("OX", -0.5), ("OXO", 0.842), ("OXX", -0.178), ("XOO", 0.178), ("OOX", -0.388),
     ("XOOO", -0.194), ("OXXOXO", 0.831), ("OXOOXO", 0.372), ("OOXOOX", -0.861)],
)  # fmt: skip
def test_k_is_the_most_likely_threshold_of_a_series(pattern: str, k: float) -> None:
    assert tabular_k(answered(pattern)) == pytest.approx(k, abs=6e-4)
    mirrored = [not answer for answer in answered(pattern)]
    assert tabular_k(mirrored) == pytest.approx(-k, abs=6e-4)
    # The same by brute force: the chance of these answers at every threshold of a fine grid.
    level, chances, grid = 0, np.ones(80_001), np.linspace(-4, 4, 80_001)
    for answer in answered(pattern):
        share = stats.norm.cdf(level - grid)
        chances *= share if answer else 1 - share
        last, level = level, level - 1 if answer else level + 1
    assert tabular_k(answered(pattern)) == pytest.approx(grid[chances.argmax()] - last, abs=1e-3)


def test_a_threshold_lies_k_steps_above_the_last_filament() -> None:
    # Between the last two filaments where the series ends with its first response.
    assert threshold_g(np.array([1.0, 2.0]), np.array([False, True]), np.log10(2)) == pytest.approx(
        np.sqrt(2)
    )
    assert threshold_g(np.array([2.0, 1.0, 0.6]), np.ones(3, bool), STEP) == 0.6
    assert threshold_g(FILAMENTS_G[5:], np.zeros(3, bool), STEP) == 15


def simulated(folder: Path, rng: np.random.Generator) -> Observations:
    """Six mice each that answer half of the stimuli at 4 g (vehicle) and at 0.8 g (injured)."""
    rows: list[tuple[str, float, str]] = []
    recordings = []
    for i in range(12):
        group = ("vehicle", "injured")[i % 2]
        true_log = np.log10((4.0, 0.8)[i % 2])
        where = 3
        for _ in range(6):
            answer = rng.normal(true_log, 0.1) < np.log10(FILAMENTS_G[where])
            rows.append((f"m{i}", FILAMENTS_G[where], "OX"[int(answer)]))
            where += -1 if answer else 1
            if not 0 <= where < len(FILAMENTS_G):
                break
        nothing = np.zeros(0)
        recordings.append(ObservedRecording(f"v{i}", f"M{i}", group, nothing, nothing, nothing, 10))
    write_table(folder / "von_frey.csv", ("animal", "filament_g", "response"), rows)
    return Observations(("rest", "lick"), ("vehicle", "injured"), tuple(recordings))


def test_a_table_of_answers_becomes_thresholds_and_a_test(tmp_path: Path) -> None:
    observations = simulated(tmp_path, np.random.default_rng(0))
    thresholds, findings = read_thresholds(tmp_path / "von_frey.csv", observations)
    assert not findings
    means = thresholds.groupby("group").threshold_g.mean()
    assert means["vehicle"] == pytest.approx(4, rel=0.3)
    assert means["injured"] == pytest.approx(0.8, rel=0.3)
    tests = compare_thresholds(thresholds, observations, "holm", 0)
    (sentence,) = threshold_sentences(thresholds, tests)
    assert "Mann-Whitney p = 0.002, 6/6 animals" in sentence


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("m0", "much", "X"), "expected grams above 0, found 'much'"),
        (("m0", "1", "maybe"), "expected X .* found 'maybe'"),
        (("m99", "1", "X"), "names no animal of the study"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(
    tmp_path: Path, row: tuple[str, str, str], said: str
) -> None:
    observations = simulated(tmp_path, np.random.default_rng(0))
    write_table(tmp_path / "von_frey.csv", ("animal", "filament_g", "response"), [row])
    with pytest.raises(UserError, match=said):
        read_thresholds(tmp_path / "von_frey.csv", observations)


def test_a_series_that_was_not_applied_up_and_down_has_no_threshold(tmp_path: Path) -> None:
    observations = simulated(tmp_path, np.random.default_rng(0))
    rows = [("m0", force_g, "O" if force_g < 1 else "X") for force_g in FILAMENTS_G[:4]]
    rows += [("m1", 1.0, "O"), ("m1", 2.0, "X")]
    write_table(tmp_path / "von_frey.csv", ("animal", "filament_g", "response"), rows)
    thresholds, _ = read_thresholds(tmp_path / "von_frey.csv", observations)
    assert thresholds.note.tolist() == ["not applied up and down", ""]
    assert np.isnan(thresholds.threshold_g[0])


def test_grams_may_have_a_decimal_comma(tmp_path: Path) -> None:
    observations = simulated(tmp_path, np.random.default_rng(0))
    series = [
        ("0,4", "X"),
        ("0,16", "O"),
        ("0,4", "X"),
        ("0,16", "X"),
        ("0,07", "O"),
        ("0,16", "X"),
    ]
    rows = [("m0", grams, answer) for grams, answer in series]
    comma, point = tmp_path / "comma.csv", tmp_path / "point.csv"
    write_table(comma, ("animal", "filament_g", "response"), rows)
    with_point = [(animal, grams.replace(",", "."), answer) for animal, grams, answer in rows]
    write_table(point, ("animal", "filament_g", "response"), with_point)
    pd.testing.assert_frame_equal(
        read_thresholds(comma, observations)[0], read_thresholds(point, observations)[0]
    )
