"""Agreement of read-outs between people and a run, and what few hand-scored animals are worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dolorim.cli import main
from dolorim.labels.ethogram import Ethogram, RawClass
from dolorim.labels.ethogram_file import write_ethogram
from dolorim.labels.label_files import write_labels
from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.metrics.agreement import agreement, concordance, intraclass
from dolorim.metrics.intervals import PERCENT, difference_interval
from dolorim.reporting.prediction_powered import (
    PartlyScored,
    animals_to_score,
    powered_difference,
)

# Table 2 of Shrout & Fleiss (1979): six targets, four judges.
JUDGES = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
)


def test_the_intraclass_correlation_is_that_of_shrout_and_fleiss() -> None:
    assert round(intraclass(*JUDGES.T.astype(float)), 2) == 0.29  # their ICC(2,1)


def test_concordance_and_limits_follow_their_definitions() -> None:
    first = np.array([1.0, 2, 3, 4, 5])
    # A shift of 1: the correlation stays 1, the concordance falls to 2 s^2 / (2 s^2 + 1).
    agreed = agreement(first, first + 1)
    assert concordance(first, first) == pytest.approx(1)
    assert agreed.concordance == pytest.approx(4 / 5)
    assert agreed.bias == 1
    assert agreed.limits == (1, 1)
    second = first + np.array([0.0, 1, -1, 2, -2])
    agreed = agreement(first, second)
    spread = np.std(second - first, ddof=1)
    assert agreed.limits == pytest.approx((-1.96 * spread, 1.96 * spread))
    assert agreed.bias_interval[0] < 0 < agreed.bias_interval[1]
    assert agreed.concordance_interval[0] < agreed.concordance < agreed.concordance_interval[1]
    assert np.isnan(agreement(first[:2], second[:2]).limits).all()


def drawn(rng: np.random.Generator, mean: float) -> PartlyScored:
    """Twenty animals, four of them scored by hand; the run finds 70 % of what there is."""
    truth = rng.gamma(6, mean / 6, 20)
    predicted = truth * rng.normal(0.7, 0.05, 20)
    return PartlyScored(predicted, truth[:4], predicted[:4])


def test_few_animals_by_hand_correct_the_run_and_narrow_the_interval() -> None:
    rng = np.random.default_rng(0)
    covered, narrower = [], []
    for _ in range(150):
        a, b = drawn(rng, 6.0), drawn(rng, 16.0)
        difference, (low, high) = powered_difference(a, b, PERCENT)
        covered.append(low <= 10 <= high)
        alone = difference_interval(a.by_hand, b.by_hand, PERCENT)
        narrower.append(high - low < alone[1] - alone[0])
        assert low < difference < high
    # 95 % is known to +- 3.6 points in so few studies.
    assert 0.91 <= np.mean(covered) <= 0.99
    assert np.mean(narrower) > 0.9


def test_a_better_run_needs_fewer_animals_by_hand() -> None:
    rng = np.random.default_rng(1)
    truth = rng.gamma(6, 1, (2, 20))

    def needed(noise: float) -> int:
        said = truth + rng.normal(0, noise, truth.shape)
        return animals_to_score(
            *(PartlyScored(p, t, p) for p, t in zip(said, truth, strict=True)), PERCENT
        )

    assert needed(0.01) == 3
    assert needed(0.5) < needed(5.0) <= 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six animals per group; the run calls every second licking frame rest, people label three of
    each group in full, and one more in part."""
    rng = np.random.default_rng(0)
    names = ("rest", "lick")
    ethogram = Ethogram(tuple(RawClass(i, n, n) for i, n in enumerate(names)), names)
    write_ethogram(tmp_path / "ethogram.toml", ethogram)
    rows = ["video,animal,group"]
    for i in range(12):
        treated = i >= 6
        truth = np.repeat(rng.random(60) < (0.6 if treated else 0.2), 10).astype(np.int16)
        said = truth.copy()
        said[::2] = 0
        write_predictions(
            tmp_path / "found",
            Predictions(
                f"v{i}", names, said, np.eye(2, dtype=np.float32)[said], np.arange(600) / 10, {}
            ),
        )
        rows.append(f"v{i}.mp4,m{i},{'drug' if treated else 'vehicle'}")
        if i % 6 < 3:
            write_labels(tmp_path / "people" / f"v{i}.csv", truth, ethogram)
    write_labels(tmp_path / "people" / "v5.csv", truth[:200], ethogram)
    (tmp_path / "groups.csv").write_text("\n".join(rows))
    return tmp_path


def test_a_report_corrects_the_difference_by_animals_that_people_scored(
    folder: Path,
    undrawn: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags = ["--groups", "groups.csv", "--hand_labels", "people", "--rate_hz", "10"]
    flags += ["--classes", "ethogram.toml", "--out", "out"]
    monkeypatch.chdir(folder)
    assert main(["report", "found", *flags]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "Corrected by the animals that people scored (3 and 3 of 6 and 6), drug and" in said
    assert "not all of m5 is labeled" in said
    [row] = pd.read_csv("out/powered.csv").itertuples()
    # The run sees 20 points of difference, people twice as many.
    assert row.difference == pytest.approx(40, abs=8)
    assert row.difference_low < row.difference < row.difference_high
    agreed = pd.read_csv("out/agreement.csv").set_index(["behavior", "readout"])
    assert agreed.loc[("lick", "time_percent"), "n"] == 6
    assert agreed.loc[("lick", "time_percent"), "bias"] == pytest.approx(-20, abs=4)
    page = Path("out/report.html").read_text("utf-8")
    assert "Animals scored by hand" in page
