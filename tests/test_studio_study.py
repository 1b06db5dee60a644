"""The forms of the page Study: what they write is what every other command reads, and no line of a
table is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.dataset.study import open_study
from dolorim.files.chambers import read_chambers
from dolorim.labels.ethogram import PAIN
from dolorim.labels.ethogram_file import read_ethogram
from dolorim.studio import chambers_form, ethogram_form, reading_form, recordings_form
from dolorim.studio.check_findings import grouped, read_result
from dolorim.studio.home import StudioHome
from dolorim.studio.jobs import Jobs
from videos import numbered, write_film

NAMES = ("one_201M.mp4", "two_202F.mp4", "three_202F.mp4")


@pytest.fixture(scope="module")
def filmed_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name in NAMES:
        write_film(folder / name, numbered(4, 64, 96))
    return folder


@pytest.fixture
def home(filmed_study: Path, tmp_path: Path) -> StudioHome:
    """A folder of videos, and nothing else."""
    return StudioHome(Path(shutil.copytree(filmed_study, tmp_path / "study")))


def values_of(form: recordings_form.RecordingsForm) -> dict[str, Any]:
    """What the page would send back."""
    values: dict[str, Any] = {"seen": form.seen, "column": list(form.columns)}
    values["recording"] = [row.key for row in form.rows]
    for column in form.columns:
        values[f"cell-{column}"] = [row.cells[column] for row in form.rows]
    return values


def animals(home: StudioHome) -> dict[str, str]:
    """The animal of each recording as training reads it."""
    return {source.name: source.animal for source in open_study(home.data()).sources}


def test_a_folder_of_videos_is_enough_and_animals_are_guessed(home: StudioHome) -> None:
    form = recordings_form.read_form(home)
    assert [row.cells["animal"] for row in form.rows] == ["201M", "202F", "202F"]
    assert form.guessed == 3
    values = values_of(form)
    values["cell-animal"] = ["mouse 1", "mouse 2", "mouse 3"]
    values["cell-group"] = ["drug", "control", "control"]
    recordings_form.save_form(home, values)
    assert home.recordings_table.read_text().splitlines() == [
        "video,animal,group",
        "one_201M.mp4,mouse 1,drug",
        "three_202F.mp4,mouse 2,control",
        "two_202F.mp4,mouse 3,control",
    ]
    assert animals(home) == {
        "one_201M": "mouse 1",
        "three_202F": "mouse 2",
        "two_202F": "mouse 3",
    }
    assert recordings_form.read_form(home).guessed == 0


def test_other_columns_and_lines_of_a_table_stay(home: StudioHome) -> None:
    text = "Cage,Video file,Mouse ID,Treatment\n7,elsewhere.mp4,9,x\n8,two_202F,2,sham\n"
    home.recordings_table.write_text(text)
    form = recordings_form.read_form(home)
    assert form.columns[:2] == ("animal", "group")
    assert "cage" in form.columns
    by_name = {row.name: row.cells for row in form.rows}
    assert (by_name["two_202F"]["animal"], by_name["two_202F"]["group"]) == ("2", "sham")
    values = values_of(form)
    values["cell-sex"][2] = "F"
    recordings_form.save_form(home, values)
    assert home.recordings_table.read_text().splitlines() == [
        "Cage,Video file,Mouse ID,Treatment,sex",
        "7,elsewhere.mp4,9,x,",
        "8,two_202F,2,sham,F",
        ",one_201M.mp4,201M,,",
        ",three_202F.mp4,202F,,",
    ]
    # The table as it was lies in the folder of backups, once.
    recordings_form.save_form(home, values_of(recordings_form.read_form(home)))
    (backup,) = (home.own / "backups").iterdir()
    assert backup.read_text() == text


def test_a_table_of_animals_becomes_one_of_recordings(home: StudioHome) -> None:
    home.recordings_table.write_text("animal,group\n201M,a\n202F,b\n")
    recordings_form.save_form(home, values_of(recordings_form.read_form(home)))
    lines = home.recordings_table.read_text().splitlines()
    assert lines[0] == "video,animal,group"
    assert set(lines[1:]) >= {
        "one_201M.mp4,201M,a",
        "two_202F.mp4,202F,b",
        "three_202F.mp4,202F,b",
    }
    assert set(animals(home).values()) == {"201M", "202F"}


def test_what_makes_no_sense_changes_nothing(home: StudioHome) -> None:
    form = recordings_form.read_form(home)
    with pytest.raises(UserError, match="name its animal"):
        recordings_form.save_form(home, values_of(form) | {"cell-animal": ["", "2", "3"]})
    with pytest.raises(UserError, match="reload the page"):
        recordings_form.save_form(home, values_of(form) | {"recording": ["../x", "b", "c"]})
    with pytest.raises(UserError, match="incomplete"):
        recordings_form.save_form(home, values_of(form) | {"cell-group": ["a"]})
    assert not home.recordings_table.exists()
    home.recordings_table.write_text("video,animal\none_201M,1\ntwo_202F,2\nthree_202F,3\n")
    before = home.recordings_table.read_bytes()
    with pytest.raises(UserError, match="has changed since"):
        recordings_form.save_form(home, values_of(form))
    assert home.recordings_table.read_bytes() == before


def behaviors(form: ethogram_form.EthogramForm) -> dict[str, Any]:
    """What the page would send back."""
    rows = list(enumerate(form.rows))
    return {
        "seen": form.seen,
        "id": [row.id for row in form.rows],
        "name": [row.name for row in form.rows],
        "merged": [row.merged for row in form.rows],
        "background": [str(i) for i, row in rows if row.background],
        "indicator": next((str(i) for i, row in rows if row.indicator), ""),
        "point": [str(i) for i, row in rows if row.point],
    }


def test_the_ethogram_is_made_in_the_page(home: StudioHome) -> None:
    form = ethogram_form.read_form(home)
    ethogram_form.save_form(home, behaviors(form))
    assert read_ethogram(home.ethogram_file) == PAIN
    values = behaviors(ethogram_form.read_form(home))
    names = ["quiet", "lick", "bite", "rear", "", "", "", "", "", "", ""]
    merged = ["", "", "lick", "none", "", "", "", "", "", "", ""]
    values |= {"name": names, "merged": merged, "indicator": "1", "point": ["1"]}
    ethogram_form.save_form(home, values)
    ethogram = read_ethogram(home.data().classes or Path())
    assert ethogram.classes == ("quiet", "lick")
    assert (ethogram.indicator, ethogram.background) == ("lick", ("quiet",))
    assert ethogram.points == ("lick",)
    assert [raw.merged for raw in ethogram.raw] == ["quiet", "lick", "lick", None]
    with pytest.raises(UserError, match="at least two classes"):
        ethogram_form.save_form(
            home,
            behaviors(ethogram_form.read_form(home)) | {"name": ["a"], "merged": [""], "id": [""]},
        )
    assert read_ethogram(home.ethogram_file) == ethogram


def test_classes_keep_their_numbers_once_there_are_labels(home: StudioHome) -> None:
    ethogram_form.save_form(home, behaviors(ethogram_form.read_form(home)))
    (home.labels / "ann").mkdir(parents=True)
    (home.labels / "ann" / "one_201M.history.jsonl").write_text("")
    values = behaviors(ethogram_form.read_form(home))
    for lost in (0, 6):
        names = [*values["name"]]
        names[lost] = ""
        with pytest.raises(UserError, match="cannot be removed"):
            ethogram_form.save_form(home, values | {"name": names})
    names = [*values["name"]]
    names[6], names[8] = "run", "rear"
    ethogram_form.save_form(home, values | {"name": names})
    classes = read_ethogram(home.ethogram_file).classes
    assert classes == ("rest", "paw_withdraw", "paw_lick", "paw_shake", "run", "active", "rear")


def chambers(video: str, seen: str, *boxes: tuple[str, int, int, int, int]) -> dict[str, Any]:
    values: dict[str, Any] = {"video": video, "seen": seen, "scope": "all"}
    columns = list(zip(*boxes, strict=True)) if boxes else [()] * 5
    for name, column in zip(("chamber", "x0", "y0", "x1", "y1"), columns, strict=True):
        values[name] = [str(value) for value in column]
    return values


def test_chambers_are_recordings_with_lines_of_their_own(home: StudioHome) -> None:
    recordings_form.save_form(
        home,
        values_of(recordings_form.read_form(home)) | {"cell-group": ["drug", "sham", "sham"]},
    )
    left, right = ("A1", 0, 0, 48, 64), ("A2", 48, 0, 96, 64)
    chambers_form.save_form(home, chambers(NAMES[0], "", left, right))
    assert [c.name for c in read_chambers(home.chambers_table).shared] == ["A1", "A2"]
    form = recordings_form.read_form(home)
    assert not form.problem
    assert {row.name: row.cells["group"] for row in form.rows}["one_201M.A2"] == "drug"
    assert animals(home)["one_201M.A2"] == "one_201M.A2"
    # Without chambers, each video has one line again.
    seen = chambers_form.read_form(home).seen
    chambers_form.save_form(home, chambers(NAMES[0], seen))
    assert not home.chambers_table.exists()
    assert len(home.recordings_table.read_text().splitlines()) == 4
    assert set(animals(home)) == {"one_201M", "two_202F", "three_202F"}


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([("A1", 0, 0, 97, 64)], "within the picture"),
        ([("A1", 9, 0, 9, 64)], "within the picture"),
        ([("../A", 0, 0, 9, 64)], "letters and digits"),
        ([("A1", 0, 0, 40, 64), ("A1", 40, 0, 80, 64)], "two chambers"),
        ([("A1", 0, 0, 40, 64), ("A2", 0, 0, 42, 64)], "overlap"),
    ],
)
def test_impossible_chambers_are_refused(
    home: StudioHome, boxes: list[tuple[str, int, int, int, int]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        chambers_form.save_form(home, chambers(NAMES[0], "", *boxes))
    assert not home.chambers_table.exists()


def test_a_frame_and_a_grid_are_only_of_videos_of_the_study(home: StudioHome) -> None:
    assert chambers_form.frame_of(home, NAMES[0]).startswith(b"\xff\xd8")
    grid = chambers_form.proposed(home, NAMES[0], "1x2")
    assert [chamber.box for chamber in grid] == [(0, 0, 48, 64), (48, 0, 96, 64)]
    for name in ("../secret.mp4", "/etc/passwd", ""):
        with pytest.raises(UserError, match="no video"):
            chambers_form.frame_of(home, name)
    with pytest.raises(UserError, match="rows x columns"):
        chambers_form.proposed(home, NAMES[0], "many")


def test_how_files_are_read_counts_in_every_command(home: StudioHome) -> None:
    reading_form.save_form(home, {"trial_layout": "fixed", "pose_lag": "2", "allow_damaged": "yes"})
    assert (home.data().trial_layout, home.data().pose_lag) == ("fixed", 2)
    flags = ["--trial_layout", "fixed", "--pose_lag", "2", "--allow_damaged"]
    assert home.study_flags()[2:] == flags
    with pytest.raises(UserError, match="expected a number"):
        reading_form.save_form(home, {"pose_lag": "two"})
    with pytest.raises(UserError, match="trial_layout"):
        reading_form.save_form(home, {"trial_layout": "odd"})
    assert home.data().pose_lag == 2
    reading_form.save_form(home, {})
    assert home.study_flags() == ["--videos", str(home.folder)]


def test_findings_are_grouped_and_lead_to_where_they_are_mended(home: StudioHome) -> None:
    findings = [
        Finding("note", "a", "is fine", name="merged"),
        Finding("warning", "b", "which animal?", name="animals-unknown"),
        Finding("warning", "c", "which animal?", name="animals-unknown"),
        Finding("error", f"{home.folder}/d.mp4", "is broken", name="crash"),
    ]
    groups = grouped(findings, home)
    assert [(group.severity, len(group.lines), group.place) for group in groups] == [
        ("error", 1, ""),
        ("warning", 2, "#recordings"),
        ("note", 1, "#ethogram"),
    ]
    assert groups[0].lines == ("d.mp4: is broken",)
    home.own.mkdir()
    for damaged in ("{", "[]", '{"findings": [{"a": 1}], "recordings": []}'):
        home.check_file.write_text(damaged)
        assert "cannot be read" in read_result(home, Jobs(home.jobs)).problem
    home.check_file.write_text(json.dumps({"findings": [], "recordings": [1, 2]}))
    assert read_result(home, Jobs(home.jobs)).n_recordings == 2
