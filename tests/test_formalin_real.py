"""Thirty real ethograms of the formalin test: read-outs are those of the summary tables published
with them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dolorim.files.tables import read_table
from dolorim.reporting.assays import read_assay
from dolorim.reporting.observations import Observations
from dolorim.reporting.read_observations import read_observations
from dolorim.reporting.readouts import collect, row_shares
from dolorim.reporting.summary_text import repeated_recordings

PUBLISHED = {
    "control": "Control",
    "formalin_1pct": "1Per Formalin",
    "formalin_5pct": "5Per Formalin",
}
RATE_HZ = 60
_made: dict[Path, tuple[Observations, dict[str, pd.DataFrame]]] = {}


@pytest.fixture
def home(real_data: Path) -> Path:
    return real_data / "formalin"


@pytest.fixture
def made(home: Path) -> tuple[Observations, dict[str, pd.DataFrame]]:
    if home not in _made:
        study = read_observations(
            home / "ethograms", home / "groups.csv", home / "classes.csv", RATE_HZ
        )
        _made[home] = study, collect(study, read_assay("whole"))
    return _made[home]


def published(home: Path, folder: str, group: str) -> pd.DataFrame:
    [path] = (home / "reference_tables" / folder).glob(f"*{PUBLISHED[group]}.csv")
    return pd.read_csv(path)


def wide(tables: dict[str, pd.DataFrame], readout: str) -> pd.DataFrame:
    """Values by recording: rows are (group, video), columns behaviors."""
    cell = tables["recordings"].query("readout == @readout and window == 'whole'")
    return cell.pivot(index=["group", "video"], columns="behavior", values="value")


@pytest.mark.parametrize("group", PUBLISHED)
def test_bout_counts_are_the_published_ones(
    home: Path, made: tuple[Observations, dict], group: str
) -> None:
    study, tables = made
    expected = published(home, "behavior_instance-counts", group)
    counts = wide(tables, "bouts").loc[group][list(study.classes)]
    present = counts.where(counts > 0)  # published: over the recordings that have the behavior
    assert present.mean().to_numpy() == pytest.approx(expected.mean_counts.to_numpy(), abs=1e-9)
    assert present.std(ddof=0).to_numpy() == pytest.approx(expected.std_counts.to_numpy(), abs=1e-9)


@pytest.mark.parametrize("group", PUBLISHED)
def test_frames_transitions_and_durations_are_the_published_ones(
    home: Path, made: tuple[Observations, dict], group: str
) -> None:
    study, tables = made
    frames = (wide(tables, "time_s").loc[group].sum() * RATE_HZ).round(6)
    expected = published(home, "behavior_total-frames", group)
    assert {
        k.replace(" ", "_"): v for k, v in zip(expected.labels, expected["values"], strict=True)
    } == frames.to_dict()
    moves = (
        tables["transitions"].query("group == @group").groupby(["before", "after"])["count"].sum()
    )
    counts = np.array([[moves.get((a, b), 0) for b in study.classes] for a in study.classes])
    shares = published(home, "behavior_transitions", group).iloc[:, 1:].to_numpy()
    assert row_shares(counts) == pytest.approx(shares, abs=1e-12)
    lasting = published(home, "behavior_instance-durations", group).dropna()
    ours = tables["bouts"].query("group == @group").groupby("behavior").duration_s
    assert len(lasting) == ours.size().sum()
    assert ours.sum().to_dict() == pytest.approx(
        {k.replace(" ", "_"): v for k, v in lasting.groupby("behavior").duration.sum().items()},
        abs=1e-6,
    )


def test_durations_of_each_recording_are_the_published_ones(
    home: Path, made: tuple[Observations, dict]
) -> None:
    study, tables = made
    table = pd.read_csv(
        home
        / "reference_tables/behavior_instance-durations"
        / "total_average_std_durations_per_file_demo_FormalinResponse.csv"
    )
    ours = (
        tables["bouts"]
        .groupby(["video", "behavior"])
        .duration_s.agg(["sum", "mean", lambda v: v.std(ddof=0)])
    )
    seen = 0
    for row in table.to_dict("records"):
        moment = re.search(r"__\d+__\d{8}_(\d{6})", row["file_name"])
        assert moment is not None
        [video] = {t.video for t in study.recordings if t.video.endswith(moment[1])}
        for name in study.classes:
            spelled = name.replace("_", " ")
            expected = [row[f"{spelled}_{what}_duration_s"] for what in ("total", "average", "std")]
            durations = (
                ours.loc[video, name].to_list() if (video, name) in ours.index else [0, 0, 0]
            )
            assert durations == pytest.approx(expected, abs=1e-9)
            seen += 1
    assert seen == 30 * 6


@pytest.mark.parametrize("group", PUBLISHED)
def test_the_published_time_course_is_ours_in_whole_minutes(
    home: Path, made: tuple[Observations, dict], group: str
) -> None:
    study, tables = made
    expected = published(home, "behavior_binned-ratio-timeline", group)
    bins = tables["bins"].query("group == @group and start_s < 1860")
    for i, name in enumerate(study.classes):
        by = bins[bins.behavior == name].groupby("start_s")["time_percent"]
        assert by.mean().to_numpy() / 100 == pytest.approx(
            expected.iloc[:, 1 + 2 * i].to_numpy(), abs=1e-9
        )
        sem = by.std(ddof=0).to_numpy() / 100 / np.sqrt(10)  # ours divides by n - 1
        assert sem == pytest.approx(expected.iloc[:, 2 + 2 * i].to_numpy(), abs=1e-9)


def test_licking_rises_with_the_dose_and_one_animal_was_filmed_twice(
    made: tuple[Observations, dict],
) -> None:
    study, tables = made
    licking = wide(tables, "time_percent")["licking_hindpaw_L"]
    samples = [licking.loc[g].to_numpy() for g in study.groups]
    assert [round(s.mean(), 2) for s in samples] == [0.59, 3.09, 6.06]
    assert stats.kruskal(*samples).pvalue == pytest.approx(8.97e-5, rel=1e-3)
    [finding] = repeated_recordings(
        study, read_assay("whole"), tables["recordings"], ["licking_hindpaw_L"]
    )
    assert "2110.2F (2): averaged" in finding.what
    assert "0.59/3.09/6.06 % licking hindpaw L, Kruskal-Wallis p < 0.0001" in finding.what
    animals = tables["overall"].query(
        "behavior == 'licking_hindpaw_L' and readout == 'time_percent'"
    )
    assert animals.n.to_list() == [10, 10, 9]


def test_the_fast_reader_says_what_the_slow_one_says(home: Path) -> None:
    table = read_table(home / "ethograms" / "2087.0M_095944.csv")
    study = read_observations(
        home / "ethograms", home / "groups.csv", home / "classes.csv", RATE_HZ
    )
    [recording] = [t for t in study.recordings if t.video == "2087.0M_095944"]
    labels = np.array([int(row[1]) for row in table.rows])
    assert (
        np.repeat(
            recording.labels, np.round((recording.stop_s - recording.start_s) * RATE_HZ).astype(int)
        ).tolist()
        == labels.tolist()
    )
