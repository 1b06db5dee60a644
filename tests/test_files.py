"""Which files belong together, and whose they are."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from dolorim.checks.check import check
from dolorim.cli import main
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.dataset.study import in_study_folder, open_study, with_study_files
from dolorim.files.poses import find_poses, is_pose_file, pose_of_video, poses_of
from dolorim.files.subjects import ids_in, read_subjects
from dolorim.files.tables import number_in, read_table
from dolorim.labels.predicted_files import video_of
from dolorim.labels.prediction_files import (
    read_bouts,
    read_meta,
    read_predictions,
    write_predictions,
)
from dolorim.labels.predictions import Predictions
from dolorim.reporting.read_observations import read_observations
from dolorim.review.contents import open_review, predicted_labels
from test_study import animals_of, make_study, opened
from videos import numbered, write_film

CLASSES = "id,name\n" + "".join(f"{i},c{i}\n" for i in range(8))
DLC_HEADER = "scorer,net,net,net\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n0,1,2,0.9\n"


def names(findings) -> list[str]:
    return [f.name for f in findings]


def trained_with(folder: Path, **settings) -> DataConfig:
    """What train is told: the two folders alone."""
    return with_study_files(
        DataConfig(videos=folder / "Videos", annotations=folder / "Annotations", **settings)
    )


# Tables beside the folders


def test_tables_beside_a_linked_folder_are_found_and_said(tmp_path):
    study = make_study(tmp_path / "st", ["x.mp4"], ["a.csv"], classes_csv=CLASSES)
    (study / "recordings.csv").write_text("video,animal\na,anna\n")
    archive = tmp_path / "archive" / "Videos"
    archive.mkdir(parents=True)
    (archive / "a.mp4").touch()
    (study / "Videos" / "x.mp4").unlink()
    (study / "Videos").rmdir()
    (study / "Videos").symlink_to(archive)
    opened_study = open_study(trained_with(study))
    assert opened_study.ethogram.classes == tuple(f"c{i}" for i in range(8))
    assert animals_of(opened_study) == {"a.mp4": "anna"}
    assert names(opened_study.assumptions) == ["classes-used", "recordings-used"]
    assert str(study / "recordings.csv") in str(opened_study.assumptions[1])


def test_tables_beside_either_folder_count_and_two_different_ones_are_refused(tmp_path):
    one = make_study(tmp_path / "one", ["a.mp4"])
    two = make_study(tmp_path / "two", [], ["a.csv"], classes_csv=CLASSES)
    given = DataConfig(videos=one / "Videos", annotations=two / "Annotations")
    assert with_study_files(given).classes == two / "classes.csv"
    (one / "classes.csv").write_text(CLASSES)
    assert with_study_files(given).classes == one / "classes.csv"
    (one / "classes.csv").write_text("id,name\n0,rest\n1,groom\n")
    with pytest.raises(UserError, match=r"name different behaviors; .* --classes"):
        with_study_files(given)


def test_two_tables_of_recordings_that_differ_are_refused(tmp_path):
    one = make_study(tmp_path / "one", ["a.mp4"], recordings_csv="video,animal\na,anna\n")
    two = make_study(tmp_path / "two", [], ["a.csv"], recordings_csv="video;animal\na;anna\n")
    given = DataConfig(videos=one / "Videos", annotations=two / "Annotations")
    assert with_study_files(given).recordings == one / "recordings.csv"  # they say the same
    (two / "recordings.csv").write_text("video,animal\na,bert\n")
    with pytest.raises(UserError, match=r"are different tables; .* --recordings"):
        with_study_files(given)


def test_without_a_table_it_is_said_what_is_taken_for_an_animal(tmp_path):
    (finding,) = opened(make_study(tmp_path / "1", ["a.mp4", "b.mp4"])).assumptions
    assert (finding.severity, finding.name) == ("warning", "animals-unknown")
    assert "each video is taken for an animal of its own" in str(finding)
    (finding,) = opened(make_study(tmp_path / "2", ["267M_1.mp4", "267M_2.mp4"])).assumptions
    assert (finding.severity, finding.name) == ("note", "animals-named")


def test_check_says_which_tables_count(tmp_path):
    folder = make_study(tmp_path, [], ["a.csv"], recordings_csv="video,animal\na,anna\nb,bert\n")
    for name in "ab":
        write_film(folder / "Videos" / f"{name}.mp4", numbered(20))
    checked = check(in_study_folder(folder, DataConfig()))
    assert {"recordings-used", "classes-built-in"} <= set(names(checked.findings))
    (folder / "recordings.csv").unlink()
    assert "animals-unknown" in names(check(in_study_folder(folder, DataConfig())).findings)


def test_inspect_knows_the_classes_of_the_study(tmp_path, capsys):
    folder = make_study(tmp_path, ["a.mp4"], ["a.csv"], classes_csv="id,name\n0,sit\n1,run\n")
    (folder / "Annotations" / "a.csv").write_text("Frame,Action\n0,run\n1,sit\n")
    assert main(["inspect", str(folder / "Annotations" / "a.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows of run"] == 1


# Whose is it


def workbook(path: Path, rows) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_is_read_however_it_was_saved(tmp_path, encoding, delimiter):
    rows = [["Video", "Animal ID", "Treatment"], ["D:\\films\\Käfig 1.MP4", "A 1", "Salz"]]
    text = "\r\n".join(delimiter.join(row) for row in rows) + "\r\n"
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    (tmp_path / "s.csv").write_bytes((f"sep={delimiter}\r\n" + text).encode(encoding))
    for name in ("t.csv", "s.csv"):
        assert read_table(tmp_path / name).rows == rows[1:]
        (line,) = read_subjects(tmp_path / name).subjects
        assert (line.animal, line.group) == ("A 1", "Salz")


@pytest.mark.parametrize(
    "name", ["recordings.csv", "animals.csv", "recordings.xlsx", "Animals.XLSX", "groups.csv"]
)
def test_the_table_that_a_lab_has_says_whose_the_videos_are(tmp_path, name):
    folder = make_study(tmp_path, ["cage 1.mp4", "cage 2.avi"])
    rows = [
        ["Video", "Animal ID", "Treatment", "Sex"],
        ["D:\\films\\Cage 1.MP4", "anna", "CFA", "F"],
        ["cage 2", "bert", "saline", "M"],
    ]
    if name.casefold().endswith("xlsx"):
        workbook(folder / name, rows)
    else:
        (folder / name).write_text("\n".join(";".join(row) for row in rows))
    study = opened(folder)
    assert animals_of(study) == {"cage 1.mp4": "anna", "cage 2.avi": "bert"}
    assert study.sources[0].columns["group"] == "CFA"


def test_a_table_of_animals_without_videos_goes_by_the_ids_in_the_names(tmp_path):
    table = "Animal ID;Treatment\nA1;CFA\nA12;saline\n"
    folder = make_study(
        tmp_path, ["2023-10-25_A1_day2.mp4", "2023-10-25_a12_day1.mp4"], animals_csv=table
    )
    assert animals_of(opened(folder)) == {
        "2023-10-25_A1_day2.mp4": "A1",
        "2023-10-25_a12_day1.mp4": "A12",
    }


def test_a_number_is_an_id_only_where_a_word_says_so():
    assert ids_in("2023-10-25_mouse1", ["1", "10", "25"]) == ["1"]
    assert ids_in("2023-10-25_cage", ["1", "10", "25"]) == []
    assert ids_in("267", ["267"]) == ["267"]


def test_tables_of_other_studies_are_not_used_and_it_is_said(tmp_path):
    folder = make_study(
        tmp_path,
        ["a.mp4", "b.mp4"],
        animals_csv="video,animal\nother,1\n",
        groups_csv="food,drink\n1,2\n",
    )
    study = opened(folder)
    assert animals_of(study) == {"a.mp4": "a", "b.mp4": "b"}
    assert names(study.assumptions) == ["table-not-used", "table-not-used", "animals-unknown"]
    assert "the table says other, a recording here is called a" in str(study.assumptions[0])


def test_two_tables_that_name_different_animals_of_one_video_are_refused(tmp_path):
    folder = make_study(
        tmp_path,
        ["a.mp4"],
        recordings_csv="video,animal\na,1\n",
        groups_csv="file,animal,group\na,2,x\n",
    )
    with pytest.raises(UserError, match=r"a shows 1, .*groups\.csv says 2"):
        opened(folder)


def test_lines_of_a_master_table_without_a_video_are_one_finding(tmp_path):
    lines = "".join(f"gone{i},1\n" for i in range(10))
    folder = make_study(tmp_path, ["a.mp4"], recordings_csv=f"video,animal\na,1\n{lines}")
    (finding,) = opened(folder).findings
    assert str(finding).endswith("10 of its 11 lines name no video here (gone0, ...)")


def test_videos_of_one_name_are_told_by_their_folders_or_refused(tmp_path):
    videos = ["day1/a.mp4", "day2/a.mp4"]
    folder = make_study(
        tmp_path, videos, recordings_csv="video,animal\nC:\\x\\day1\\a.mp4,1\nday2/a,2\n"
    )
    assert [s.animal for s in opened(folder).sources] == ["1", "2"]
    (folder / "recordings.csv").write_text("video,animal\na,1\n")
    with pytest.raises(UserError, match=r"a may be .* or .*; write the folder in front"):
        opened(folder)


def test_an_animal_is_one_in_any_letter_case(tmp_path):
    study = opened(make_study(tmp_path, ["267m_day1.mp4", "267M_day2.mp4", "268f.mp4"]))
    assert animals_of(study) == {
        "267m_day1.mp4": "267M",
        "267M_day2.mp4": "267M",
        "268f.mp4": "268f",
    }
    assert "267M and 267m are taken for one animal, 267M" in " ".join(map(str, study.assumptions))
    table = "video,animal\na,Anna 1\nb,anna1\n"
    assert set(
        animals_of(
            opened(make_study(tmp_path / "t", ["a.mp4", "b.mp4"], recordings_csv=table))
        ).values()
    ) == {"Anna 1"}


def test_the_real_lower_case_ids_are_three_animals(real_data):
    study = opened(real_data / "cases" / "lower_case_ids")
    assert sorted({s.animal for s in study.sources}) == ["267m", "268f", "269m"]
    assert all(len(s.labels) == 4 for s in study.sources)


BORIS = (
    "Observation id,Observation date,Description,Observation duration,Observation "
    "type,Source,Media duration (s),"
    "FPS (frame/s),Subject,Behavior,Behavioral category,Behavior type,Start (s),Stop (s),Duration "
    "(s),Media file name\n"
)


def test_a_column_subject_says_which_subject_counts_for_which_video(tmp_path):
    folder = make_study(
        tmp_path, ["a.mp4", "b.mp4"], recordings_csv="video,animal,subject\na,1,left\nb,2,right\n"
    )
    (folder / "Annotations").mkdir()
    for name in "ab":
        rows = "".join(
            f"o,,,1,Media file(s),,1,30,{who},{behavior},,STATE,0,0.5,0.5,{name}.mp4\n"
            for who, behavior in (("left", "walk"), ("right", "paw_lick"))
        )
        (folder / "Annotations" / f"{name}.csv").write_text(BORIS + rows)
    study = opened(folder)
    classes = [study.ethogram.classes[s.labels[0].labels[0]] for s in study.sources]
    assert classes == ["walk", "paw_lick"]


# Poses

POSES = [
    ("m1_DLC_test", "m1_DLC_testDLC_resnet50_xMay7shuffle1_500000.csv"),
    ("m1", "m1DLC_Resnet50_xMay7shuffle1_snapshot_200.h5"),
    ("m1", "M1dlc_resnet50_x.csv"),
    ("m1", "m1.csv"),
    ("m1", "labels.v001.000_m1.analysis.h5"),
    ("m1", "m1.mp4.predictions.analysis.h5"),
    ("m1", "m1.mp4.predictions.h5"),
    ("m1", "m1_superanimal_topviewmouse_hrnet_w32_fasterrcnn_resnet50_fpn_v2_.csv"),
    ("m1", "m1_superanimal_quadruped_hrnet_w32_.h5"),
    ("day.1 left", "DAY.1 LEFTDLC_x.csv"),
]


@pytest.mark.parametrize(("video", "pose"), POSES)
def test_a_pose_is_found_by_the_name_of_its_video(tmp_path, video, pose):
    folder = make_study(tmp_path, [f"{video}.mp4", "other.mp4"], ["prediction_other_1.csv"])
    for place in ("DLC", "Videos"):
        path = folder / place / pose
        path.parent.mkdir(exist_ok=True)
        path.write_text(DLC_HEADER)
        assert {s.name: s.pose for s in opened(folder).sources} == {video: path, "other": None}
        assert pose_of_video(folder / "Videos" / f"{video}.mp4") == path
        assert open_review(folder, DataConfig()).items[0].source.pose == path
        path.unlink()


def test_a_pose_belongs_to_the_longest_name_that_fits_and_to_no_shorter_one():
    findings: list[Finding] = []
    files = [
        Path("m1DLC_a.csv"),
        Path("m1_DLC_testDLC_a.csv"),
        Path("m10DLC_a.csv"),
        Path("m1_day2DLC_a.csv"),
    ]
    poses = find_poses(files, ["m1", "m1_DLC_test"], findings)
    assert {k: v.name for k, v in poses.items()} == {
        "m1": "m1DLC_a.csv",
        "m1_DLC_test": "m1_DLC_testDLC_a.csv",
    }
    assert findings == []
    assert find_poses(files[1:], ["m1"], findings) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m1.predictions.csv", "frame,time_s,label,p_rest\n0,0,rest,1\n"),
        ("m1.bouts.csv", "start_frame,stop_frame,start_s,stop_s,label,mean_probability\n"),
        ("m1.keypoints.csv", DLC_HEADER),
        ("m1.csv", "Frame,Action\n0,0\n"),
        ("m1.csv", "nose_x,nose_y,nose_p,groom\n1,2,0.9,1\n1,2,0.9,0\n"),
        ("m1_labels.csv", ",background,lick\n0,1,0\n"),
        ("CollectedData_me.h5", ""),
        ("m1DLC_x_skeleton.csv", DLC_HEADER),
    ],
)
def test_our_own_output_and_labels_are_never_taken_for_a_pose(tmp_path, name, text):
    video = tmp_path / "m1.mp4"
    video.touch()
    (tmp_path / name).write_text(text)
    assert not is_pose_file(tmp_path / name)
    assert pose_of_video(video) is None


def test_a_video_whose_folder_is_gone_takes_no_pose_from_the_folders_above(tmp_path: Path) -> None:
    (tmp_path / "a_201MDLC_resnet50.csv").write_text(DLC_HEADER)
    assert pose_of_video(tmp_path / "gone" / "a_201M.mp4") is None


def test_results_beside_the_videos_do_not_hide_the_true_pose(tmp_path):
    folder = make_study(tmp_path, ["m1.mp4"])
    pose = folder / "Videos" / "m1DLC_x.csv"
    pose.write_text(DLC_HEADER)
    write_predictions(folder / "Videos", predicted("m1"))
    study = opened(folder)
    assert (study.sources[0].pose, study.findings) == (pose, ())


def test_videos_of_one_name_keep_their_own_poses(tmp_path):
    videos = [tmp_path / day / "a.mp4" for day in ("day1", "day2")]
    for video in videos:
        video.parent.mkdir()
        video.touch()
        (video.parent / "aDLC_x.csv").write_text(DLC_HEADER)
    findings: list[Finding] = []
    poses = poses_of(videos, [tmp_path], findings)
    assert {v: p.parent for v, p in poses.items()} == {v: v.parent for v in videos}
    for video in videos:
        (video.parent / "aDLC_x.csv").unlink()
    (tmp_path / "aDLC_x.csv").write_text(DLC_HEADER)
    assert poses_of(videos, [tmp_path], findings) == {}
    assert names(findings) == ["two-videos"]


# Predictions: one truth, and where the video is


def predicted(name: str, **meta) -> Predictions:
    labels = np.repeat(np.array([0, 1, 0], np.int16), 10)
    shares = np.eye(2, dtype=np.float32)[labels]
    return Predictions(
        name, ("rest", "lick"), labels, shares, np.arange(30) / 10, {"fps": 10.0, **meta}
    )


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def lick_s(folder: Path) -> float:
    table = folder / "groups.csv"
    table.write_text("file,animal,group\nv,1,a\n")
    (recording,) = read_observations(folder / "p", table).recordings
    return float((recording.stop_s - recording.start_s)[recording.labels == 1].sum())


def test_after_an_edit_of_the_labels_report_review_and_export_agree(tmp_path, capsys):
    write_predictions(tmp_path / "p", predicted("v"))
    edit(tmp_path / "p" / "v.predictions.csv", "\n20,2.000000,rest", "\n20,2.000000,lick")
    assert lick_s(tmp_path) == pytest.approx(1.1)
    review = open_review(tmp_path / "p", DataConfig())
    assert (predicted_labels(review.items[0], review.ethogram)[1] == 1).sum() == 11
    assert (
        main(["export", str(tmp_path / "p"), "--to", "bouts", "--out", str(tmp_path / "out")]) == 0
    )
    assert "10,21,1.000000,2.100000,lick" in (tmp_path / "out" / "v.bouts.csv").read_text()
    assert "v.bouts.csv: is out of date" in capsys.readouterr().err


def test_bouts_that_were_edited_against_the_frames_are_refused_everywhere(tmp_path, capsys):
    write_predictions(tmp_path / "p", predicted("v"))
    edit(tmp_path / "p" / "v.bouts.csv", "10,20,1.000000,2.000000", "10,25,1.000000,2.500000")
    with pytest.raises(
        UserError, match=r"contradicts v\.predictions\.csv, which counts for labels"
    ):
        lick_s(tmp_path)
    assert (
        main(["export", str(tmp_path / "p"), "--to", "bouts", "--out", str(tmp_path / "out")]) == 2
    )
    assert "v.bouts.csv: contradicts v.predictions.csv" in capsys.readouterr().err
    (tmp_path / "classes.csv").write_text("id,name\n0,rest\n1,lick\n")
    rater = str(tmp_path / "p")
    assert main(["agree", rater, rater, "--classes", str(tmp_path / "classes.csv")]) == 2
    assert "v.bouts.csv: contradicts v.predictions.csv" in capsys.readouterr().err
    (tmp_path / "p" / "v.bouts.csv").unlink()
    assert lick_s(tmp_path) == pytest.approx(1.0)


def test_a_table_of_bouts_that_was_only_saved_again_is_no_contradiction(tmp_path):
    write_predictions(tmp_path / "p", predicted("v"))
    path = tmp_path / "p" / "v.bouts.csv"
    path.write_text(path.read_text().replace(",", ";"))
    assert read_bouts(tmp_path / "p", "v").labels.tolist() == [0, 1, 0]


def test_predictions_that_a_spreadsheet_saved_with_decimal_commas_are_read(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p", predicted("v"))
    path = tmp_path / "p" / "v.predictions.csv"
    before = read_predictions(path)
    path.write_text(path.read_text().replace(",", ";").replace(".", ","))
    after = read_predictions(path)
    np.testing.assert_array_equal(after.probabilities, before.probabilities)
    np.testing.assert_array_equal(after.time_s, before.time_s)


def test_a_copied_study_is_reviewed_with_its_own_videos(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "Videos").mkdir(parents=True)
    (home / "Videos" / "v.mp4").write_bytes(b"video")
    write_predictions(home / "out", predicted("v", video=str(home / "Videos" / "v.mp4")))
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    meta = read_meta(copy / "out" / "v.meta.json")
    assert video_of(meta, copy / "out", "v").samefile(copy / "Videos" / "v.mp4")


@pytest.mark.parametrize("moved", [False, True])
def test_the_video_is_found_from_wherever_the_verb_is_called(tmp_path, monkeypatch, moved):
    home = tmp_path / "home"
    (home / "Videos").mkdir(parents=True)
    (home / "Videos" / "v.mp4").write_bytes(b"video")
    monkeypatch.chdir(home)
    write_predictions(Path("out"), predicted("v", video="Videos/v.mp4"))
    monkeypatch.chdir(tmp_path)
    if moved:
        home = home.rename(tmp_path / "elsewhere")
    os.chdir("/")
    meta = read_meta(home / "out" / "v.meta.json")
    assert video_of(meta, home / "out", "v").samefile(home / "Videos" / "v.mp4")
    old = {"video": "Videos/v.mp4"}  # as version 0.1.0 wrote it
    assert video_of(old, home / "out", "v").samefile(home / "Videos" / "v.mp4")
    assert open_review(home / "out", DataConfig()).items[0].problem == ""


# Groups


@pytest.fixture
def labs(tmp_path: Path) -> Path:
    for i in range(1, 7):
        write_predictions(
            tmp_path / "p", Predictions(**{**predicted(f"m{i}").__dict__, "name": f"m{i}"})
        )
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "D:\\videos\\cohort 1\\m{}.mp4;m{};{}",
        "m{};m{};{}",
        "M{}.MP4;m{};{}",
        "x/m{}.predictions.csv;m{};{}",
    ],
)
@pytest.mark.parametrize("first", ["", "sep=;\n"])
def test_groups_are_found_however_the_videos_are_written(labs, line, first):
    rows = "\n".join(line.format(i, i, "ab"[i % 2]) for i in range(1, 7))
    (labs / "groups.csv").write_text(f"{first}file;animal;group\n{rows}\n")
    study = read_observations(labs / "p", labs / "groups.csv")
    assert [(t.animal, t.group) for t in study.recordings] == [
        (f"m{i}", "ab"[i % 2]) for i in range(1, 7)
    ]
    assert study.findings == ()


def test_names_that_do_not_fit_are_one_line_with_an_example_of_both(labs):
    (labs / "groups.csv").write_text("file,animal,group\ncage_1,1,a\ncage_2,2,b\n")
    with pytest.raises(UserError, match="the table says cage_1, a recording here is called m1"):
        read_observations(labs / "p", labs / "groups.csv")


def test_groups_that_differ_in_letter_case_are_a_question(labs):
    (labs / "groups.csv").write_text(
        "file,animal,group\n" + "".join(f"m{i},{i},{'Ss'[i % 2]}aline\n" for i in range(1, 7))
    )
    with pytest.raises(UserError, match="'Saline' and 'saline' differ in letter case"):
        read_observations(labs / "p", labs / "groups.csv")


def test_a_genotype_is_guarded_once_and_reads_back(labs, undrawn):
    rows = "".join(
        f"m{i},{i},{'+/+' if i % 2 else '-/-'},{'M' if i < 4 else 'F'}\n" for i in range(1, 7)
    )
    (labs / "groups.csv").write_text(f"file,animal,group,Sex\n{rows}")
    command = [
        "report",
        str(labs / "p"),
        "--groups",
        str(labs / "groups.csv"),
        "--out",
        str(labs / "r"),
        "--quiet",
    ]
    assert main([*command, "--second_factor", "sex"]) == 0
    assert ",'+/+," in (labs / "r" / "animals.csv").read_text()
    table = read_table(labs / "r" / "animals.csv")
    assert {row[table.header.index("group")] for row in table.rows} == {"+/+", "-/-"}


def test_a_second_factor_that_varies_within_an_animal_is_named(labs, capsys):
    rows = "".join(
        f"m{i},A{i % 4},{'ab'[i % 4 // 2]},{'MF'[i % 2] if i < 5 else 'F'}\n" for i in range(1, 7)
    )
    (labs / "groups.csv").write_text(f"file,animal,group,sex\n{rows}")
    command = [
        "report",
        str(labs / "p"),
        "--groups",
        str(labs / "groups.csv"),
        "--out",
        str(labs / "r"),
    ]
    assert main([*command, "--second_factor", "sex"]) == 2
    assert (
        "--second_factor sex has to be one value per animal; animal A2 has M (m2) and F (m6)"
        in capsys.readouterr().err
    )


def test_a_paired_animal_without_a_bout_is_left_out_of_that_read_out_alone(tmp_path, undrawn):
    rows = []
    for animal in range(4):
        for group in "ab":
            name = f"{animal}{group}"
            predictions = predicted(name)
            if name == "2b":  # never licks: its bouts have no length
                labels = np.zeros(30, np.int16)
                predictions = Predictions(
                    name,
                    predictions.classes,
                    labels,
                    np.eye(2, dtype=np.float32)[labels],
                    predictions.time_s,
                    predictions.meta,
                )
            write_predictions(tmp_path / "p", predictions)
            rows.append(f"{name},{animal},{group}\n")
    (tmp_path / "groups.csv").write_text("file,animal,group\n" + "".join(rows))
    command = [
        "report",
        str(tmp_path / "p"),
        "--groups",
        str(tmp_path / "groups.csv"),
        "--out",
        str(tmp_path / "r"),
    ]
    assert main([*command, "--quiet"]) == 0
    table = read_table(tmp_path / "r" / "statistics.csv")
    at = table.header.index
    n_by_readout = {
        row[at("readout")]: row[at("n")]
        for row in table.rows
        if row[at("behavior")] == "lick" and row[at("test")] == "Wilcoxon"
    }
    assert (n_by_readout["bout_mean_s"], n_by_readout["time_percent"]) == ("3/3", "4/4")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("g_case", "'Saline' and 'saline'"),
        ("g_sec2", "animal A has M"),
        ("g_sep", ""),
        ("g_ext", ""),
    ],
)
def test_the_real_tables_of_groups(real_data, tmp_path, table, complaint):
    folder = real_data / "cases" / "groups"
    if table != "g_sec2" and complaint:
        with pytest.raises(UserError, match=complaint):
            read_observations(folder / "labs", folder / f"{table}.csv", folder / "classes.csv", 30)
    elif complaint:
        command = [
            "report",
            str(folder / "labs"),
            "--groups",
            str(folder / f"{table}.csv"),
            "--rate_hz",
            "30",
        ]
        command += [
            "--classes",
            str(folder / "classes.csv"),
            "--out",
            str(tmp_path),
            "--second_factor",
            "sex",
        ]
        assert main(command) == 2
    else:
        study = read_observations(
            folder / "labs", folder / f"{table}.csv", folder / "classes.csv", 30
        )
        assert len(study.recordings) == 7


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("301.5", 301.5),
        (" 301,5", 301.5),
        ("0,125", 0.125),
        ("-2", -2.0),
        ("1e3", 1000.0),
        ("1,200", None),  # 1200 or 1.2
        ("1,200,000", None),
        ("inf", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_number_in_a_table_of_a_lab_has_one_meaning_or_none(
    text: str, number: float | None
) -> None:
    assert number_in(text) == number
