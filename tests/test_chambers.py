"""Which chambers a study has, and which labels and animals belong to them."""

from pathlib import Path

import numpy as np
import pytest

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.study import in_study_folder, open_study
from dolorim.files.chambers import read_chambers
from dolorim.files.recordings import Chamber
from dolorim.files.tables import write_table
from dolorim.reporting.read_observations import read_observations
from dolorim.video.chambers import chambers_of, lay_grid, parse_grid
from dolorim.video.propose_chambers import propose_chambers
from racks import rack_film
from videos import write_film

BOXES = {"A1": (0, 0, 48, 64), "A2": (48, 0, 96, 64)}


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A study with two videos of one rig of two chambers, as yet without tables or labels."""
    for name in ("cage1", "cage2"):
        pictures = [np.full((64, 96), 90, np.uint8)] * 3
        write_film(tmp_path / "Videos" / f"{name}.mp4", pictures)
    return tmp_path


def chambers_csv(folder: Path, rows: list[tuple], name: str = "chambers.csv") -> Path:
    header = ("chamber", "x0", "y0", "x1", "y1")
    write_table(folder / name, ("video", *header)[-len(rows[0]) :], rows)
    return folder / name


def names_in(folder: Path, **settings) -> list[str]:
    return [s.name for s in open_study(in_study_folder(folder, DataConfig(**settings))).sources]


def test_a_grid_is_rows_times_columns_named_like_a_well_plate():
    assert parse_grid("2x4") == (2, 4)
    assert parse_grid("chambers.csv") is None
    chambers = lay_grid((1920, 1080), 2, 4)
    assert [c.name for c in chambers] == ["A1", "A2", "A3", "A4", "B1", "B2", "B3", "B4"]
    assert chambers[0].box == (0, 0, 480, 540)
    assert chambers[7].box == (1440, 540, 1920, 1080)


def test_a_grid_divides_the_picture_without_gaps():
    boxes = [c.box for c in lay_grid((101, 67), 3, 7)]
    covered = np.zeros((67, 101), int)
    for x0, y0, x1, y1 in boxes:
        covered[y0:y1, x0:x1] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("text", ["0x4", "9x9"])
def test_an_empty_or_huge_grid_is_refused(text):
    with pytest.raises(UserError, match="expected 1 to 64 chambers"):
        parse_grid(text)


def test_one_table_holds_the_chambers_of_all_videos_of_a_rig(lab):
    chambers_csv(lab, [(name, *box) for name, box in BOXES.items()])
    assert names_in(lab) == ["cage1.A1", "cage1.A2", "cage2.A1", "cage2.A2"]


def test_rows_that_name_a_video_replace_those_of_all_videos(lab):
    rows = [("", name, *box) for name, box in BOXES.items()]
    chambers_csv(lab, [*rows, ("cage2.mp4", "left", 0, 0, 30, 64)])
    assert names_in(lab) == ["cage1.A1", "cage1.A2", "cage2.left"]


def test_a_grid_on_the_command_line_needs_no_table(lab):
    assert names_in(lab, chambers="1x2") == ["cage1.A1", "cage1.A2", "cage2.A1", "cage2.A2"]


def test_without_chambers_the_videos_are_the_recordings(lab):
    assert names_in(lab) == ["cage1", "cage2"]


def test_recordings_csv_gives_each_chamber_its_animal(lab):
    header = ("video", "chamber", "x0", "y0", "x1", "y1", "animal", "group")
    rows = [
        ("cage1.mp4", "A1", *BOXES["A1"], "201M", "CFA"),
        ("cage1.mp4", "A2", *BOXES["A2"], "202F", "saline"),
        ("cage2.mp4", "", "", "", "", "", "203M", "CFA"),
    ]
    write_table(lab / "recordings.csv", header, rows)
    sources = open_study(in_study_folder(lab, DataConfig())).sources
    assert [(s.name, s.animal) for s in sources] == [
        ("cage1.A1", "201M"),
        ("cage1.A2", "202F"),
        ("cage2", "203M"),
    ]
    assert sources[1].chamber == Chamber("A2", (48, 0, 96, 64))
    assert sources[1].columns["group"] == "saline"


def test_corners_and_animals_may_stand_in_two_tables(lab):
    chambers_csv(lab, [(name, *box) for name, box in BOXES.items()])
    rows = [(f"cage{i}", chamber, f"20{i}{chamber}") for i in (1, 2) for chamber in ("A1", "A2")]
    write_table(lab / "recordings.csv", ("video", "chamber", "animal"), rows)
    sources = open_study(in_study_folder(lab, DataConfig())).sources
    assert [s.animal for s in sources] == ["201A1", "201A2", "202A1", "202A2"]


def test_a_chamber_without_a_row_is_left_out_and_that_is_said(lab):
    chambers_csv(lab, [(name, *box) for name, box in BOXES.items()])
    rows = [("cage1", "A1", "201M"), ("cage2", "A1", "202F"), ("cage2", "A2", "203M")]
    write_table(lab / "recordings.csv", ("video", "chamber", "animal"), rows)
    study = open_study(in_study_folder(lab, DataConfig()))
    assert [s.name for s in study.sources] == ["cage1.A1", "cage2.A1", "cage2.A2"]
    [note] = [f for f in study.findings if f.name == "chamber-without-row"]
    assert "no row for A2 of cage1.mp4" in note.what


def test_a_line_about_a_video_with_chambers_must_name_one(lab):
    chambers_csv(lab, [(name, *box) for name, box in BOXES.items()])
    write_table(lab / "recordings.csv", ("video", "animal"), [("cage1", "201M"), ("cage2", "202F")])
    with pytest.raises(UserError, match="cage1 has the chambers A1, A2, and this line names none"):
        open_study(in_study_folder(lab, DataConfig()))


def test_a_column_chamber_without_corners_says_only_where_a_video_was_filmed(lab):
    rows = [("cage1", "box 3", "201M"), ("cage2", "box 4", "202F")]
    write_table(lab / "recordings.csv", ("video", "chamber", "animal"), rows)
    sources = open_study(in_study_folder(lab, DataConfig())).sources
    assert [(s.name, s.animal) for s in sources] == [("cage1", "201M"), ("cage2", "202F")]


def test_two_animals_of_one_video_without_corners_are_told_what_is_missing(lab):
    rows = [("cage1", "A1", "201M"), ("cage1", "A2", "202F"), ("cage2", "A1", "203M")]
    write_table(lab / "recordings.csv", ("video", "chamber", "animal"), rows)
    with pytest.raises(UserError, match="say where its chambers are"):
        open_study(in_study_folder(lab, DataConfig()))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (("A2", 48, 0, 48, 64), "no area"),
        (("A2", 60, 0, 50, 64), "no area"),
        (("A2", -5, 0, 50, 64), "no area"),
        (("A2", "left", 0, 50, 64), "expected the corners"),
        (("A2", 48, 0, "inf", 64), "expected the corners"),
        (("a1", 48, 0, 96, 64), "two chambers are called a1"),
        (("A2", 4, 0, 48, 64), "overlap"),
        (("A/2", 48, 0, 96, 64), "a chamber's name of letters and digits"),
        (("", 48, 0, 96, 64), "a chamber's name of letters and digits"),
    ],
    ids=[
        "zero size",
        "reversed",
        "negative",
        "words",
        "no end",
        "name twice",
        "one place",
        "slash",
        "none",
    ],
)
def test_chambers_that_cannot_be_are_refused_in_one_line(tmp_path, row, why):
    path = chambers_csv(tmp_path, [("A1", *BOXES["A1"]), row])
    with pytest.raises(UserError, match=why) as refused:
        read_chambers(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_small_overlap_is_a_warning(lab):
    chambers_csv(lab, [("A1", 0, 0, 50, 64), ("A2", 44, 0, 96, 64)])
    findings = open_study(in_study_folder(lab, DataConfig())).findings
    assert {f.name for f in findings} == {"chambers-overlap"}
    assert "12 % of the smaller one" in findings[0].what


def test_two_tables_that_disagree_are_refused(lab):
    chambers_csv(lab, [(name, *box) for name, box in BOXES.items()])
    header = ("video", "chamber", "x0", "y0", "x1", "y1", "animal")
    write_table(lab / "recordings.csv", header, [("cage1", "A1", 0, 0, 40, 64, "201M")])
    with pytest.raises(UserError, match=r"recordings.csv says chamber A1 \(0, 0, 40, 64\)"):
        open_study(in_study_folder(lab, DataConfig()))


def test_two_different_chambers_csv_are_refused(lab):
    chambers_csv(lab, [("A1", *BOXES["A1"])])
    other = lab / "elsewhere"
    chambers_csv(other, [("A1", *BOXES["A2"])])
    (other / "Annotations").mkdir()
    with pytest.raises(UserError, match="are different tables"):
        in_study_folder(lab, DataConfig(annotations=other / "Annotations"))


def test_a_row_about_a_chamber_that_is_not_there_is_refused(lab):
    chambers_csv(lab, [(name, *box) for name, box in BOXES.items()])
    write_table(lab / "recordings.csv", ("video", "chamber", "animal"), [("cage1", "Z9", "201M")])
    with pytest.raises(UserError, match="cage1 has no chamber Z9; it has A1, A2"):
        open_study(in_study_folder(lab, DataConfig()))


# Labels


def label(folder: Path, name: str, actions: list[int]) -> None:
    write_table(folder / "Annotations" / name, ("Frame", "Action"), enumerate(actions))


@pytest.fixture
def rack(lab: Path) -> Path:
    chambers_csv(lab, [(name, *box) for name, box in BOXES.items()])
    rows = [(f"cage{i}", c, f"{i}{c}m") for i in (1, 2) for c in ("A1", "A2")]
    write_table(lab / "recordings.csv", ("video", "chamber", "animal"), rows)
    return lab


def labels_in(folder: Path) -> dict[str, list[int]]:
    """The labels of each recording's three frames."""
    config = in_study_folder(folder, DataConfig(trial_length=3, label_context=0))
    study = open_study(config)
    times = np.arange(3) / 30
    placed = {s.name: study.place(s, times, config)[0].labels for s in study.sources if s.labels}
    return {name: labels.tolist() for name, labels in placed.items()}


def test_a_label_file_names_its_chamber(rack):
    label(rack, "prediction_cage1_A1_1.csv", [0, 0, 6])
    label(rack, "prediction_cage1.mp4_A2_1.csv", [6, 6, 0])
    label(rack, "cage2.A1.csv", [0, 6, 0])
    assert labels_in(rack) == {
        "cage1.A1": [0, 0, 4],
        "cage1.A2": [4, 4, 0],
        "cage2.A1": [0, 4, 0],
    }


def test_a_label_file_that_names_only_the_video_is_refused(rack):
    label(rack, "prediction_cage1_1.csv", [0, 0, 6])
    with pytest.raises(UserError, match="does not say which of them; name it prediction_cage1_<ch"):
        labels_in(rack)


def test_labels_of_a_chamber_that_is_not_there_are_a_warning(rack):
    label(rack, "prediction_cage1_A1_1.csv", [0, 0, 6])
    label(rack, "prediction_cage1_Z9_1.csv", [0, 0, 6])
    findings = open_study(in_study_folder(rack, DataConfig())).findings
    assert [f.what for f in findings] == ["labels chamber Z9 of cage1.mp4, which has A1, A2"]


BORIS = "Observation id,Media file name,Subject,Behavior,Behavior type,Start (s),Stop (s)\n"


def boris(folder: Path, name: str, rows: list[tuple[str, str, float, float]]) -> None:
    lines = [f"o1,cage1.mp4,{who},{what},STATE,{a},{b}\n" for who, what, a, b in rows]
    (folder / "Annotations").mkdir(exist_ok=True)
    (folder / "Annotations" / name).write_text(BORIS + "".join(lines))


@pytest.mark.parametrize(("left", "right"), [("A1", "A2"), ("1A1m", "1a2M"), ("A1", "1A2m")])
def test_a_subject_of_boris_is_named_like_its_chamber_or_its_animal(rack, left, right):
    boris(rack, "scored.csv", [(left, "rest", 0, 0.034), (right, "walk", 0.033, 0.1)])
    assert labels_in(rack) == {"cage1.A1": [0, -1, -1], "cage1.A2": [-1, 4, 4]}


@pytest.mark.parametrize("by_subject", [True, False], ids=["boris", "file names"])
def test_a_report_on_labels_of_people_knows_the_chambers(lab, by_subject):
    chambers_csv(lab, [(name, *box) for name, box in BOXES.items()])
    rows = [("cage1", "A1", "1m", "CFA"), ("cage1", "A2", "2m", "saline")]
    table = lab / "groups.csv"
    write_table(table, ("video", "chamber", "animal", "group"), rows)
    if by_subject:
        boris(lab, "scored.csv", [("A1", "walk", 0, 0.1), ("2m", "rest", 0, 0.1)])
    else:
        label(lab, "cage1.A1.csv", [6, 6, 6])
        label(lab, "prediction_cage1_A2_1.csv", [0, 0, 0])
    observed = read_observations(
        lab / "Annotations", table, None, None, None,
        DataConfig(videos=lab / "Videos", trial_length=3, label_context=0),
        lambda video: np.arange(3) / 30,
    )  # fmt: skip
    said = {r.animal: [observed.classes[i] for i in r.labels] for r in observed.recordings}
    assert said == {"1m": ["walk"], "2m": ["rest"]}
    assert observed.failures == ()


def test_a_subject_that_is_in_no_chamber_is_a_warning(rack):
    boris(rack, "scored.csv", [("A1", "rest", 0, 0.1), ("A7", "walk", 0, 0.1)])
    findings = open_study(in_study_folder(rack, DataConfig())).findings
    assert ["A7" in f.what for f in findings if f.name == "labels-without-chamber"] == [True]
    assert labels_in(rack) == {"cage1.A1": [0, 0, 0]}


def test_subjects_that_are_no_chambers_at_all_are_refused(rack):
    boris(rack, "scored.csv", [("mouse", "rest", 0, 0.1), ("other", "walk", 0, 0.1)])
    with pytest.raises(
        UserError, match=r"its subjects are mouse, other, and cage1\.mp4 has the cham"
    ):
        labels_in(rack)


def test_streams_of_caltech_are_named_like_chambers(rack):
    head = "Caltech Behavior Annotator - Annotation File\n\nConfiguration file:\n\n"
    blocks = [
        f"{name}: start end type\n-----\n1 3 {what}\n\n"
        for name, what in (("A2", "walk"), ("A1", "rest"))
    ]
    (rack / "Annotations").mkdir()
    (rack / "Annotations" / "cage2.txt").write_text(head + "".join(blocks))
    assert labels_in(rack) == {"cage2.A1": [0, 0, 0], "cage2.A2": [4, 4, 4]}


# Chambers that are found in the picture


@pytest.mark.parametrize(("chambers", "columns"), [(4, 2), (6, 3), (2, 2)])
def test_a_rack_shows_its_chambers(tmp_path, chambers, columns):
    video = rack_film(tmp_path / "rack.mp4", chambers, columns, n_frames=120)
    proposed = propose_chambers(video)
    expected = lay_grid((96 * columns, 96 * chambers // columns), chambers // columns, columns)
    assert [c.name for c in proposed] == [c.name for c in expected]
    off = np.abs(np.array([c.box for c in proposed]) - np.array([c.box for c in expected]))
    assert off.max() <= 4


def test_one_animal_alone_is_no_rack(tmp_path):
    video = rack_film(tmp_path / "single.mp4", 1, 1)
    with pytest.raises(UserError, match=r"cannot be told from the picture.*--chambers 2x4"):
        propose_chambers(video)


def test_a_video_whose_chambers_are_unclear_is_named_and_the_others_are_found(tmp_path):
    single = rack_film(tmp_path / "single.mp4", 1, 1)
    rack = rack_film(tmp_path / "rack.mp4", n_frames=120)
    chambers = chambers_of([single, rack], DataConfig(chambers="auto"))
    assert [*chambers.by_video] == [rack]
    assert [*chambers.refused] == [single]
