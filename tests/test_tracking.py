"""Which pose file belongs to which video, and whose points are meant."""

from pathlib import Path

import numpy as np
import pytest

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.dataset.study import open_study, unclaimed_poses
from dolorim.files.poses import find_poses, is_pose_file, pose_of_video, recording_stem
from dolorim.files.tables import write_table
from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.selection import load_poses
from dolorim.pose.write_dlc import write_dlc

NET = "DLC_resnet50_pawsMay7shuffle1_500000"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        (f"cage_267M{NET}.csv", "cage_267M"),
        (f"cage_267M{NET}_filtered.csv", "cage_267M"),
        (f"cage.v2{NET}.h5", "cage.v2"),
        ("cage_267M.analysis.h5", "cage_267M"),
        ("cage_267M_pose.csv", "cage_267M"),
        ("cage_267M_tracks.h5", "cage_267M"),
        ("cage_267M.csv", "cage_267M"),
        ("cage_267M_preds.csv", "cage_267M"),
        ("cage_267M.proofread.analysis.h5", "cage_267M"),
        ("labels.v001.000_cage_267M.mp4.predictions.analysis.h5", "cage_267M"),
        (f"cage_267M.mp4{NET}.csv", "cage_267M"),
        ("cage_267M.avi_superanimal_topviewmouse_hrnet_w32.h5", "cage_267M"),
    ],
)
def test_a_recordings_name_is_what_stands_before_the_trackers_words(name: str, stem: str) -> None:
    assert recording_stem(Path(name)) == stem


@pytest.mark.parametrize("name", [f"a{NET}.csv", "a.h5", "a.hdf5", "a.analysis.h5"])
def test_some_names_say_that_a_file_is_a_pose(name: str) -> None:
    assert is_pose_file(Path(name))


@pytest.mark.parametrize(
    "name",
    [
        "a.csv",
        "recordings.csv",
        "prediction_a_1.csv",
        f"a{NET}.pickle",
        "a.mp4",
        "a.predictions.csv",
    ],
)
def test_other_names_do_not(name: str) -> None:
    assert not is_pose_file(Path(name))


def find(*names: str, stems: tuple[str, ...] = ("a", "b")) -> tuple[dict[str, str], list[Finding]]:
    findings: list[Finding] = []
    poses = find_poses([Path(n) for n in names], stems, findings)
    return {stem: path.name for stem, path in poses.items()}, findings


def test_a_pose_file_belongs_to_the_video_of_its_stem_in_any_letter_case() -> None:
    assert find(f"A{NET}.csv", f"b{NET}.h5", f"c{NET}.csv") == (
        {"a": f"A{NET}.csv", "b": f"b{NET}.h5"},
        [],
    )


def test_a_name_that_only_begins_alike_belongs_to_another_video() -> None:
    assert find(f"a1{NET}.csv", f"ab{NET}.csv") == ({}, [])


def test_of_a_table_and_an_hdf5_file_of_one_name_the_table_is_taken() -> None:
    assert find(f"a{NET}.h5", f"a{NET}.csv") == ({"a": f"a{NET}.csv"}, [])


def test_of_a_filtered_and_an_unfiltered_file_the_filtered_is_taken() -> None:
    assert find(f"a{NET}.csv", f"a{NET}_filtered.h5") == ({"a": f"a{NET}_filtered.h5"}, [])


def test_two_trackers_of_one_video_leave_it_without_a_pose_and_say_so() -> None:
    poses, findings = find(f"a{NET}.csv", "aDLC_mobnet_35.csv", f"b{NET}.csv")
    assert poses == {"b": f"b{NET}.csv"}
    assert [(f.name, f.where) for f in findings] == [("two-poses", "a")]


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize("place", ["Videos", "DLC"])
def test_poses_lie_beside_the_videos_or_in_a_folder_of_their_own(
    tmp_path: Path, place: str
) -> None:
    video = touch(tmp_path / "Videos" / "cage_267M.mp4")
    pose = touch(tmp_path / place / f"cage_267M{NET}.csv")
    config = DataConfig(
        videos=tmp_path / "Videos", dlc=tmp_path / "DLC" if place == "DLC" else None
    )
    (source,) = open_study(config).sources
    assert (source.video, source.pose, source.name, source.animal) == (
        video,
        pose,
        "cage_267M",
        "267M",
    )
    assert pose_of_video(video) == pose
    assert pose_of_video(video, pose) == pose


def test_a_single_video_without_a_pose_has_none_and_one_with_two_is_refused(tmp_path: Path) -> None:
    video = touch(tmp_path / "a.mp4")
    assert pose_of_video(video) is None
    touch(tmp_path / "aDLC_one.csv")
    touch(tmp_path / "aDLC_two.csv")
    with pytest.raises(
        UserError, match="both track this recording; name the right one with --dlc FILE"
    ):
        pose_of_video(video)


def test_poses_without_videos_are_the_recordings(tmp_path: Path) -> None:
    pose = touch(tmp_path / "DLC" / f"cage_267M{NET}.h5")
    (source,) = open_study(DataConfig(dlc=tmp_path / "DLC")).sources
    assert (source.file, source.video, source.pose, source.name, source.animal) == (
        pose,
        None,
        pose,
        "cage_267M",
        "267M",
    )


def test_a_pose_of_a_video_that_is_not_there_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "Videos" / "a.mp4")
    touch(tmp_path / "DLC" / f"a{NET}.csv")
    lonely = touch(tmp_path / "DLC" / f"b{NET}.csv")
    touch(tmp_path / "DLC" / "CollectedData_me.h5")
    config = DataConfig(videos=tmp_path / "Videos", dlc=tmp_path / "DLC")
    assert unclaimed_poses(config, open_study(config)) == [lonely]


def write_pose(path: Path, names: tuple[str, ...]) -> np.ndarray:
    points = np.arange(3 * len(names) * 2, dtype=float).reshape(3, len(names), 2) + 1
    path.parent.mkdir(parents=True, exist_ok=True)
    write_dlc(path, "net", names, points, np.ones(points.shape[:2]))
    return points


def test_points_come_in_our_order_under_our_names(tmp_path: Path) -> None:
    theirs = (
        "TailBase",
        "right hind paw",
        "Left_Hindpaw",
        "FrontPaw_R",
        "LeftForePaw",
        "Nose",
        "ear",
    )
    points = write_pose(tmp_path / "a.csv", theirs)
    (pose,), matches = load_poses(tmp_path / "a.csv", DataConfig(), any_skeleton=False)
    assert pose.names == KEYPOINTS
    assert np.array_equal(pose.points, points[:, [5, 4, 3, 2, 1, 0]])
    assert [m.theirs for m in matches] == [theirs[i] for i in (5, 4, 3, 2, 1, 0)]


def test_another_skeleton_stays_as_it_is_or_as_it_is_named(tmp_path: Path) -> None:
    points = write_pose(tmp_path / "a.csv", ("head", "hip"))
    with pytest.raises(UserError, match="it has head, hip"):
        load_poses(tmp_path / "a.csv", DataConfig(), any_skeleton=False)
    (pose,), _ = load_poses(tmp_path / "a.csv", DataConfig(), any_skeleton=True)
    assert pose.names == ("head", "hip")
    (pose,), _ = load_poses(tmp_path / "a.csv", DataConfig(kp_names="hip=rump"), any_skeleton=True)
    assert pose.names == ("rump",)
    assert np.array_equal(pose.points, points[:, 1:])


def write_two(path: Path) -> None:
    rows = [
        ["individuals", *["m1"] * 3, *["m2"] * 3],
        ["bodyparts", *["nose"] * 6],
        ["coords", *["x", "y", "likelihood"] * 2],
    ]
    write_table(
        path,
        ["scorer", *["net"] * 6],
        [*rows, [0, 1, 2, 0.9, 3, 4, 0.9], [1, 1, 2, 0.9, 3, 4, 0.9]],
    )


def test_of_several_animals_one_is_named_or_all_are_meant(tmp_path: Path) -> None:
    write_two(tmp_path / "a.csv")
    with pytest.raises(UserError, match="choose one with --individual"):
        load_poses(tmp_path / "a.csv", DataConfig(), any_skeleton=True)
    (pose,), _ = load_poses(tmp_path / "a.csv", DataConfig(individual="M2"), any_skeleton=True)
    assert pose.points[0, 0].tolist() == [3, 4]
    poses, _ = load_poses(tmp_path / "a.csv", DataConfig(individual="ALL"), any_skeleton=True)
    assert [p.individual for p in poses] == ["m1", "m2"]
