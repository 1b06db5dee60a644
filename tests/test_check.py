"""The preflight: each mismatch has a name, and a clean study has none."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dolorim.checks import poses as pose_check
from dolorim.checks.rates import check_rates
from dolorim.checks.recordings import Examined, Row
from dolorim.checks.study import (
    ClassCount,
    check_animals,
    check_classes,
    check_duplicates,
    check_views,
)
from dolorim.cli import main
from dolorim.config import DataConfig
from dolorim.core.findings import Finding
from dolorim.dataset.study import Source
from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.pose import Pose
from dolorim.pose.read import read_pose
from dolorim.pose.write_dlc import write_dlc
from examining import examine
from videos import numbered, write_film

STANDING = np.array(
    [[40, 0], [20, -9], [20, 9], [-20, -12], [-20, 12], [-40, 0]], float
)  # seen from above, y down
BELOW = STANDING * (1, -1)


def pose_of_six(points: np.ndarray, likelihood: float = 1.0) -> Pose:
    return Pose(KEYPOINTS, points, np.full(points.shape[:2], likelihood))


def standing(n: int = 100, body: np.ndarray = BELOW) -> np.ndarray:
    return np.tile(body + np.array([100, 100]), (n, 1, 1)) + np.random.default_rng(0).normal(
        0, 0.3, (n, 6, 2)
    )


def names(findings: list[Finding]) -> list[str]:
    return [f.name for f in findings]


@pytest.mark.parametrize(
    ("rows", "severity"), [(749, "warning"), (751, "warning"), (900, "error"), (100, "error")]
)
def test_rows_that_are_not_frames_are_found(rows: int, severity: str) -> None:
    (finding,) = pose_check.check_rows("a", rows, 750, None)
    assert (finding.name, finding.severity, finding.what) == (
        "pose-rows",
        severity,
        f"pose rows {rows} vs 750 frames",
    )


def test_as_many_rows_as_frames_are_no_finding() -> None:
    assert pose_check.check_rows("a", 750, 750, 2) == []


def test_a_late_pose_is_told_with_the_flag_that_mends_it() -> None:
    (finding,) = pose_check.check_lag("a", 2)
    assert (finding.name, finding.what) == (
        "pose-lag",
        "the points fit the picture best 2 frames earlier",
    )
    assert "--pose_lag 2" in finding.remedy
    (finding,) = pose_check.check_lag("a", -1, given=2)
    assert "1 frame later" in finding.what
    assert "--pose_lag 1" in finding.remedy
    assert pose_check.check_lag("a", 0) == pose_check.check_lag("a", None) == []


def test_a_likelihood_that_never_reaches_the_threshold_is_an_error_and_a_rare_one_a_warning() -> (
    None
):
    assert [
        f.severity for f in pose_check.check_likelihood("a", pose_of_six(standing(), 0.3), 0.6)
    ] == ["error"]
    assert pose_check.check_likelihood("a", pose_of_six(standing()), 0.6) == []
    likelihood = np.ones((100, 6))
    likelihood[:97, 1], likelihood[:70, 2] = 0.1, 0.1
    rare, seldom = pose_check.check_likelihood("a", Pose(KEYPOINTS, standing(), likelihood), 0.6)
    assert (rare.severity, "L_frontpaw 3 %" in rare.what) == ("warning", True)
    assert (seldom.severity, "R_frontpaw 30 %" in seldom.what) == ("note", True)


def test_points_of_another_resolution_lie_outside_the_picture() -> None:
    assert pose_check.check_picture("a", pose_of_six(standing()), 0.6, 200, 200) == []
    assert names(pose_check.check_picture("a", pose_of_six(standing() * 2), 0.6, 200, 200)) == [
        "outside-picture"
    ]
    assert pose_check.check_picture("a", pose_of_six(standing() * 2, 0.1), 0.6, 200, 200) == []


def test_paws_that_jump_to_each_others_place_are_found_and_steps_are_not() -> None:
    points = standing()
    assert pose_check.check_swaps("a", pose_of_six(points), 0.6, 80) == []
    points[30:45, [3, 4]] = points[30:45, [4, 3]]
    points[60:70, [3, 4]] = points[60:70, [4, 3]]
    (finding,) = pose_check.check_swaps("a", pose_of_six(points), 0.6, 80)
    assert (finding.name, finding.what) == (
        "paws-swap",
        "L_hindpaw and R_hindpaw change places 4 times, first at row 30",
    )


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return (points - 100) @ np.array([[cos, sin], [-sin, cos]]) + 100


@pytest.mark.parametrize("angle", [0, 1, 2, 3, 4, 5, 6])
def test_from_below_left_paws_lie_on_the_other_side_than_from_above_whatever_way_the_animal_looks(
    angle: int,
) -> None:
    below = pose_check.sides(pose_of_six(turned(standing(), angle)), 0.6)
    above = pose_check.sides(pose_of_six(turned(standing(body=STANDING), angle)), 0.6)
    assert (below, above) == ({"front": 1.0, "hind": 1.0}, {"front": 0.0, "hind": 0.0})
    assert pose_check.from_below(below) is True
    assert pose_check.from_below(above) is False
    assert pose_check.check_sides("a", below) == pose_check.check_sides("a", above) == []


def test_front_and_hind_paws_on_opposite_sides_are_exchanged_and_mixed_ones_are_mixed() -> None:
    assert names(pose_check.check_sides("a", {"front": 0.95, "hind": 0.02})) == ["sides-exchanged"]
    assert names(pose_check.check_sides("a", {"front": 0.95, "hind": 0.5})) == ["sides-mixed"]
    assert pose_check.from_below({"front": 0.95, "hind": 0.02}) is None
    assert pose_check.sides(Pose(("nose",), np.zeros((9, 1, 2))), 0.6) == {}


def row(
    name: str, animal: str = "1M", columns: dict[str, str] | None = None, **changes: object
) -> Row:
    examined = dataclasses.replace(Examined(n_frames=100, rate_hz=30.0), **changes)
    return Row(Source(Path(f"{name}.mp4"), animal, columns=columns or {}), examined)


def test_a_rate_unlike_the_others_is_found() -> None:
    rows = [row(name, time_s=np.arange(100) / 30) for name in "ab"]
    rows += [row("fast", time_s=np.arange(100) / 60), row("slow", time_s=np.arange(100) / 15)]
    findings = check_rates(rows)
    assert [(f.name, f.where, f.severity) for f in findings] == [
        ("rates-differ", "fast", "note"),
        ("rates-differ", "slow", "warning"),
    ]
    assert findings[0].what == "60 frames/s, seen at the run's 30"
    assert "paw shake" in findings[1].what


def test_the_rate_of_a_run_is_one_that_was_filmed_and_no_mean_of_two() -> None:
    rows = [row("a", time_s=np.arange(100) / 30), row("b", time_s=np.arange(100) / 60)]
    (finding,) = check_rates(rows)
    assert "45" not in str(finding)
    assert finding.what == "60 frames/s, seen at the run's 30"


def test_a_mirrored_recording_among_others_is_found_and_views_from_above_are_a_note() -> None:
    rows = [
        row("a", from_below=True),
        row("b", from_below=True),
        row("c", from_below=False),
        row("d"),
    ]
    assert [(f.name, f.where) for f in check_views(rows)] == [("sides-differ", "c")]
    assert [(f.name, f.severity) for f in check_views(rows[2:])] == [("from-above", "note")]


def test_one_id_of_two_animals_and_two_ids_of_one_are_found() -> None:
    assert (
        check_animals([row("a", columns={"group": "CFA"}), row("b", columns={"group": "CFA"})])
        == []
    )
    assert names(
        check_animals([row("a", columns={"group": "CFA"}), row("b", columns={"group": "saline"})])
    ) == ["one-id"]
    large, small = (
        {"width_px": 512, "height_px": 512, "body_length_px": length} for length in (120.0, 60.0)
    )
    assert names(check_animals([row("a", **large), row("b", **small)])) == ["one-id"]
    assert names(check_animals([row("a", "267M"), row("b", "267m"), row("c", "268M")])) == [
        "two-ids"
    ]


def test_a_class_with_few_bouts_or_of_few_animals_is_found() -> None:
    counts = {
        "a": ClassCount(900, 30, 5),
        "b": ClassCount(90, 3, 3),
        "c": ClassCount(90, 30, 1),
        "d": ClassCount(0, 0, 0),
    }
    assert [(f.where, f.name) for f in check_classes(counts, 5)] == [
        ("b", "few-bouts"),
        ("c", "few-bouts"),
        ("d", "class-absent"),
    ]
    assert names(check_classes({"a": ClassCount(900, 30, 2)}, 2)) == ["few-animals"]
    assert [f.severity for f in check_classes({"a": ClassCount(0, 0, 0)}, 5)] == ["note"]


def test_two_names_of_one_content_are_found_and_files_of_one_size_are_not(tmp_path: Path) -> None:
    for name, text in (("a", "one"), ("b", "two"), ("c", "one"), ("d", "longer")):
        (tmp_path / name).write_text(text)
    (finding,) = check_duplicates([tmp_path / n for n in "abcda"])
    assert (finding.name, finding.where, finding.severity) == (
        "duplicate",
        str(tmp_path / "c"),
        "error",
    )


def test_a_damaged_video_whose_header_lies_is_found_and_what_decodes_is_counted(
    real_data: Path,
) -> None:
    examined = examine(real_data / "odd_videos" / "corrupted.mp4", None, DataConfig())
    assert (examined.n_frames, examined.header_frames) == (28, 50)
    assert [(f.name, f.severity) for f in examined.findings] == [
        ("damaged", "error"),
        ("header", "warning"),
    ]
    examined = examine(
        real_data / "odd_videos" / "corrupted.mp4", None, DataConfig(allow_damaged=True)
    )
    assert examined.findings[0].severity == "warning"


def test_a_variable_rate_is_a_note(tmp_path: Path) -> None:
    video = write_film(
        tmp_path / "a.mkv", numbered(31), times_ms=[40 * i + 15 * (i % 2) for i in range(31)]
    )
    examined = examine(video, None, DataConfig())
    assert examined.constant_rate is False
    assert "variable-rate" in names(list(examined.findings))


def test_an_individual_that_must_be_chosen_is_an_error_and_the_rest_is_looked_at(
    real_data: Path,
) -> None:
    pose = sorted((real_data / "social_rat" / "DLC").iterdir())[0]
    examined = examine(None, pose, DataConfig())
    assert examined.findings[0].name == "individual"
    assert "individual1, individual2" in examined.findings[0].what
    assert examined.pose_rows == examined.n_frames
    assert examined.keypoints == "5 others"
    assert "individual" not in names(
        list(examine(None, pose, DataConfig(individual="all")).findings)
    )


def test_a_keypoint_of_the_six_that_cannot_be_told_by_name_is_a_warning_and_another_skeleton_a_note(
    tmp_path: Path,
) -> None:
    for theirs, severity in ((("mouth", "L_frontpaw", "R_frontpaw", "L_hindpaw", "R_hindpaw", "x"),
    "warning"),
                             (("head", "neck", "back", "hip", "nose", "x"), "note")):  # fmt: skip
        path = tmp_path / f"{severity}.csv"
        write_dlc(path, "net", theirs, standing(), np.ones((100, 6)))
        (finding,) = (
            f for f in examine(None, path, DataConfig()).findings if f.name == "keypoints"
        )
        assert finding.severity == severity


def test_the_real_pose_that_is_one_row_too_long_and_two_frames_late_is_found(
    real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(real_data / "bottomview_pose"), "--workers", "1"]) == 1
    said = capsys.readouterr().out
    assert "pose rows 750 vs 749 frames, best lag 2 frames" in said
    assert "--pose_lag 2" in said


# --- a whole study
# ------------------------------------------------------------------------------------------------


@pytest.fixture
def lab_study(study: Path, tmp_path: Path) -> Path:
    """A copy of three animals of the simulated study."""
    shutil.copy(study / "recordings.csv", tmp_path / "recordings.csv")
    lines = (tmp_path / "recordings.csv").read_text().splitlines()
    (tmp_path / "recordings.csv").write_text("\n".join(lines[:4]) + "\n")
    for folder in ("Videos", "Annotations", "DLC"):
        (tmp_path / folder).mkdir()
        for file in (study / folder).iterdir():
            if any(f"_00{i}_" in file.name for i in (1, 2, 3)):
                shutil.copy(file, tmp_path / folder / file.name)
    return tmp_path


ALONE = ("--workers", "1", "--trial_length", "90")


def check(lab_study: Path, *flags: str) -> tuple[int, dict]:
    out = lab_study / "check.json"
    code = main(
        [
            "check",
            str(lab_study),
            "--json",
            str(out),
            "--quiet",
            "--workers",
            "1",
            "--trial_length",
            "90",
            *flags,
        ]
    )
    return code, json.loads(out.read_text())


def kinds(report: dict, severity: str) -> list[str]:
    return [f["name"] for f in report["findings"] if f["severity"] == severity]


def test_a_clean_study_has_no_errors_and_its_numbers_are_true(lab_study: Path) -> None:
    code, report = check(lab_study)
    assert set(kinds(report, "warning")) <= {"few-bouts", "class-absent"}
    assert kinds(report, "error") == []
    assert code == (1 if kinds(report, "warning") else 0)
    assert [r["frames"] for r in report["recordings"]] == [180] * 3
    first = report["recordings"][0]
    assert (first["width_px"], first["pose_rows"], first["keypoints"], first["layout"]) == (
        160,
        180,
        "6/6",
        "fixed",
    )
    assert first["label_rows"] == sum(first["classes"].values()) == 180
    assert 0.05 < first["missing"] < 0.4
    assert report["recordings"][0]["lag"] in (0, None)


def test_strict_makes_errors_of_warnings(lab_study: Path) -> None:
    (lab_study / "Annotations" / "prediction_nobody_1.csv").write_text("Frame,Action\n0,0\n")
    code, report = check(lab_study)
    assert (code, "labels-without-video" in kinds(report, "warning")) == (1, True)
    assert check(lab_study, "--strict")[0] == 2


def with_late_pose(lab_study: Path) -> None:
    path = sorted((lab_study / "DLC").iterdir())[0]
    pose = read_pose(path)
    assert pose.likelihood is not None
    late, sure = np.roll(pose.points, 3, axis=0)[:-1], np.roll(pose.likelihood, 3, axis=0)[:-1]
    write_dlc(path, "net", pose.names, late, sure)


def with_broken_labels(lab_study: Path) -> None:
    sorted((lab_study / "Annotations").iterdir())[0].write_text("Frame,Action\n0,dance\n")


def with_broken_pose(lab_study: Path) -> None:
    sorted((lab_study / "DLC").iterdir())[0].write_text("no pose\n")


def with_broken_video(lab_study: Path) -> None:
    sorted((lab_study / "Videos").iterdir())[0].write_bytes(b"no video")


def with_swapped_names(lab_study: Path) -> None:
    path = sorted((lab_study / "DLC").iterdir())[0]
    text = path.read_text().replace("L_", "Q_").replace("R_", "L_").replace("Q_", "R_")
    path.write_text(text)


def with_long_labels(lab_study: Path) -> None:
    path = sorted((lab_study / "Annotations").iterdir())[1]
    path.write_text("Frame,Action\n" + "".join(f"{i},0\n" for i in range(90)))
    shutil.copy(path, path.with_name(path.name.replace("_2.csv", "_3.csv")))


def with_lonely_pose(lab_study: Path) -> None:
    path = sorted((lab_study / "DLC").iterdir())[0]
    path.rename(path.with_name(f"x{path.name}"))


def with_a_copy(lab_study: Path) -> None:
    one, two, _ = sorted((lab_study / "Videos").iterdir())
    shutil.copy(one, two)


def with_a_broken_table(lab_study: Path) -> None:
    (lab_study / "recordings.csv").write_text("film,mouse_name\n")


@pytest.mark.parametrize(
    ("harm", "name", "severity"),
    [
        (with_late_pose, "pose-rows", "warning"),
        (with_broken_labels, "labels-unreadable", "error"),
        (with_broken_pose, "pose-unreadable", "error"),
        (with_broken_video, "video-unreadable", "error"),
        (with_swapped_names, "sides-differ", "warning"),
        (with_long_labels, "trial-skipped", "warning"),
        (with_lonely_pose, "pose-without-video", "warning"),
        (with_a_copy, "duplicate", "error"),
        (with_a_broken_table, "recordings-unreadable", "error"),
    ],
)
def test_what_is_wrong_with_one_file_is_named_and_the_others_are_looked_at(
    lab_study: Path, harm: Callable[[Path], None], name: str, severity: str
) -> None:
    harm(lab_study)
    code, report = check(lab_study, "--trial_layout", "fixed")
    assert name in kinds(report, severity)
    assert code == (2 if severity == "error" else 1)
    assert sum(r["frames"] == 180 for r in report["recordings"]) >= 2


def test_a_study_of_poses_alone_is_looked_at_and_one_of_videos_alone_too(lab_study: Path) -> None:
    shutil.rmtree(lab_study / "Videos")
    (lab_study / "recordings.csv").unlink()
    _, report = check(lab_study)
    assert [(r["frames"], r["pose_rows"], r["width_px"]) for r in report["recordings"]] == [
        (180, 180, None)
    ] * 3
    assert kinds(report, "error") == []
    shutil.rmtree(lab_study / "Annotations")
    code, report = check(lab_study)
    assert (code, kinds(report, "note")[-1]) == (0, "no-labels")


def test_recordings_are_looked_at_side_by_side_with_the_same_result(
    lab_study: Path, capsys: pytest.CaptureFixture
) -> None:
    one = check(lab_study)[1]
    assert main(
        ["check", str(lab_study), "--json", "-", "--workers", "2", "--trial_length", "90"]
    ) in (0, 1)
    assert json.loads(capsys.readouterr().out) == one


def test_the_tables_name_every_recording_and_every_finding(
    lab_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["check", str(lab_study), "--workers", "1", "--trial_length", "90"])
    said = capsys.readouterr().out
    assert all(f"_00{i}_" in said for i in (1, 2, 3))
    assert "paw_withdraw" in said
    assert "0 errors" in said


def test_a_folder_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
