"""Doses: a trend, the dose of half of the effect, and no ED50 that the doses cannot tell."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from dolorim.cli import main
from dolorim.files.tables import read_table, write_table
from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.reporting.dose_response import doses_of
from dolorim.reporting.doses import Doses, dunnett, fit_curve, jonckheere
from dolorim.reporting.observations import Observations, ObservedRecording

RNG = np.random.default_rng(3)
LEVELS = np.array([0, 0.3, 1, 3, 10, 30])
DOSES = np.repeat(LEVELS, 6)


def response(doses: np.ndarray, ed50: float, slope: float = 1.5) -> np.ndarray:
    """Half of the effect of -8 at the ED50."""
    return 10 - 8 * doses**slope / (doses**slope + ed50**slope)


def test_a_trend_is_kendalls_and_its_p_counts_all_orders() -> None:
    samples = [np.array([1.0, 2]), np.array([2.0, 5]), np.array([4.0, 6])]
    statistic, p = jonckheere(samples, np.random.default_rng(0))
    dose, values = np.repeat([0, 1, 2], 2), np.concatenate(samples)
    orders = itertools.permutations(values)
    every_order = [stats.kendalltau(dose, order).statistic for order in orders]
    observed = stats.kendalltau(dose, values)[0]
    assert p == pytest.approx(np.mean(np.abs(every_order) >= observed - 1e-9), abs=0.01)
    assert statistic == pytest.approx((10 - 1) / 12)  # of 12 pairs 10 rise, 1 falls, 1 is equal
    assert jonckheere([values[::-1]] * 3, np.random.default_rng(0)) == (pytest.approx(0), 1.0)


def test_the_ed50_and_its_profile_are_those_of_another_fit() -> None:
    values = response(DOSES, 2) + RNG.normal(0, 1, len(DOSES))

    def curve(dose: np.ndarray, bottom: float, top: float, log: float, slope: float) -> np.ndarray:
        return bottom + (top - bottom) * dose**slope / (dose**slope + np.exp(log * slope))

    def squares(log: float) -> float:
        """Of the best curve with this ED50."""

        def fixed(d: np.ndarray, bottom: float, top: float, slope: float) -> np.ndarray:
            return curve(d, bottom, top, log, slope)

        best, _ = optimize.curve_fit(fixed, DOSES, values, (10, 2, 1.5), bounds=(-50, 50))
        return float(((fixed(DOSES, *best) - values) ** 2).sum())

    best, _ = optimize.curve_fit(curve, DOSES, values, (10, 2, 0.7, 1.5), bounds=(-50, 50))
    smallest, freedom = squares(best[2]), len(values) - 4
    limit = smallest * (1 + stats.f.ppf(0.95, 1, freedom) / freedom)
    fitted = fit_curve(DOSES, values)
    assert fitted.ed50 == pytest.approx(np.exp(best[2]), rel=0.05)
    low, high = np.log(fitted.interval)
    for end in (low, high):
        assert squares(end) == pytest.approx(limit, rel=0.01)
    assert low < np.log(2) < high


@pytest.mark.parametrize("ed50", [0.03, 100])
def test_an_ed50_outside_the_doses_is_refused(ed50: float) -> None:
    curve = fit_curve(DOSES, response(DOSES, ed50) + RNG.normal(0, 1, len(DOSES)))
    assert "do not bracket" in curve.refused
    assert np.isnan(curve.ed50)


def test_what_no_curve_can_be_fitted_to_is_refused() -> None:
    few = DOSES < 3
    assert "2 doses above zero" in fit_curve(DOSES[few], response(DOSES[few], 1)).refused
    assert fit_curve(DOSES, np.zeros(len(DOSES))).refused
    alike = dunnett([np.zeros(4), np.zeros(4)], np.zeros(4), 0)
    assert np.isnan(alike[0][1:]).all()


def write_study(folder: Path, doses: list[str]) -> None:
    """Four animals per dose; licking falls from half of the time to nothing."""
    rows = []
    for i, dose in enumerate(doses * 4):
        share = 0.5 - 0.12 * (i % len(doses)) + 0.01 * (i // len(doses))
        labels = (np.arange(200) < 200 * share).astype(np.int16)
        chances = np.eye(2, dtype=np.float32)[labels]
        predictions = Predictions(
            f"v{i}", ("rest", "lick"), labels, chances, np.arange(200) / 10, {}
        )
        write_predictions(folder / "found", predictions)
        rows.append((f"v{i}.mp4", f"m{i}", f"dose {i % len(doses)}", dose))
    write_table(folder / "groups.csv", ("video", "animal", "group", "dose"), rows)


def report(folder: Path, *more: str) -> int:
    labels, groups, out = (str(folder / name) for name in ("found", "groups.csv", "out"))
    return main(["report", labels, "--groups", groups, "--out", out, *more])


@pytest.mark.usefixtures("undrawn")
def test_a_report_answers_about_doses_and_filaments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path, ["0", "1 mg/kg", "3 mg/kg", "10 mg/kg"])
    # Every animal answers 2 g and not 1 g, so that its threshold lies between the two.
    stimuli = [(f"m{i}", force, "OX"[force - 1]) for i in range(16) for force in (1, 2)]
    filaments = tmp_path / "von_frey.csv"
    write_table(filaments, ("animal", "filament_g", "response"), stimuli)
    assert report(tmp_path, "--von_frey", str(filaments)) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "Dose-response: lick falls with the dose (p = 0.0002, 4/4/4/4 animals)" in said
    assert "Von Frey 50 % threshold (mean [95 % interval]): dose 0 1.41 g" in said
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<h2>Dose-response</h2>" in page
    assert "Dunnett" in page
    assert "Chaplan" in page
    table = read_table(tmp_path / "out" / "doses.csv")
    row = dict(zip(table.header, table.rows[-1], strict=True))
    assert float(row["difference"]) == pytest.approx(-36, abs=0.5)
    assert float(row["p_dunnett"]) < 0.001


@pytest.mark.parametrize(
    ("doses", "said"),
    [
        (["0", "1", "high"], "expected a number, found 'high'"),
        (["0", "300", "1,000 mg"], "expected a number, found '1,000 mg'"),  # 1000 or 1.0
        (["0", "1 mg/kg", "3 ug/kg"], "several units"),
        (["0", "1", "1"], "fewer than 3 different doses"),
        (["0", "1", "2", "2"], "dose 2 was given to several groups"),
    ],
)
def test_a_column_that_holds_no_doses_is_named(doses: list[str], said: str) -> None:
    given, (finding,) = doses_of(observed(doses))
    assert given is None
    assert said in finding.what


def test_animals_without_a_dose_are_no_part_of_the_curve() -> None:
    given, (finding,) = doses_of(observed(["0", "1 mg/kg", "3,5 mg/kg", ""]))
    assert given == Doses({"m0": 0, "m1": 1, "m2": 3.5}, "mg/kg")
    assert "m3" in finding.what


def observed(doses: list[str]) -> Observations:
    """One animal and group per dose."""
    nothing = np.zeros(0)
    recordings = [
        ObservedRecording(
            f"v{i}", f"m{i}", f"g{i}", nothing, nothing, nothing, 10, "", {"dose": dose}
        )
        for i, dose in enumerate(doses)
    ]
    groups = tuple(recording.group for recording in recordings)
    return Observations(("rest", "lick"), groups, tuple(recordings))
