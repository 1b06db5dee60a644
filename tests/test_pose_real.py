"""Pose files of other labs: each reads to its shape, and its numbers are those that pandas finds.

Tables are read as text: before 3.1, pandas rounds the last bit of a number.
"""

import h5py
import numpy as np
import pandas as pd
import pytest

from dolorim.core.errors import UserError
from dolorim.pose.read import read_pose, read_poses

TWICE = "formats/pose/saved_twice_12_01_A_DeepCut_resnet50_Blockcourse1May9shuffle1_1030000.csv"
CFA = (
    "cfa_sample/DLC/shortened_2023-10-25_CFA_010_267M_tracking"
    "DLC_resnet50_pawtracking_comparisionMay7shuffle1_500000"
)
OPENFIELD = "openfield_keypoints/m3v1mp4DLC_resnet50_openfieldOct30shuffle1_6000.csv"
HAND = "openfield_keypoints/labeled-data/m4s1/CollectedData_Pranav"
TABLES = {  # frames, keypoints and missing points, of single animals with a plain header
    "formats/pose/DLC_sample_poses.csv": (1085, 2, 18),
    "formats/pose/openfield_dlc_inference_example_missingdata.csv": (2330, 4, 2),
    "formats/pose/test2DLC_csv_table.csv": (97, 14, 0),
    f"{CFA}.csv": (1080, 6, 0),
    "bottomview_pose/cropped_videoDLC_resnet50_vame.csv": (750, 6, 0),
    OPENFIELD: (2330, 4, 0),
}


def assert_same(one, two):
    assert one.names == two.names
    np.testing.assert_array_equal(one.points, two.points)
    if one.likelihood is None:
        assert two.likelihood is None
    else:
        np.testing.assert_array_equal(one.likelihood, two.likelihood)


def assert_is(pose, table, missing=None):
    """The pose is the table `(time, keypoint * 3)`, but for the points that are missing."""
    table = np.asarray(table, float).reshape(len(pose), -1, 3)
    assert pose.points.shape[:2] == table.shape[:2]
    gone = np.isnan(table[..., 0]) | (table[..., :2] == 0).all(axis=-1)
    np.testing.assert_array_equal(pose.missing, gone)
    np.testing.assert_array_equal(pose.points[~gone], table[~gone][:, :2])
    np.testing.assert_array_equal(pose.likelihood[~gone], table[~gone][:, 2])
    assert missing is None or gone.sum() == missing


@pytest.mark.parametrize(("name", "expected"), TABLES.items())
def test_a_real_deeplabcut_table_reads_as_pandas_reads_it(real_data, name, expected):
    pose = read_pose(real_data / name)
    table = pd.read_csv(real_data / name, header=[1, 2], index_col=0, dtype=str)
    assert pose.names == tuple(dict.fromkeys(table.columns.get_level_values(0)))
    assert pose.points.shape == (*expected[:2], 2)
    assert_is(pose, table, expected[2])


def test_a_real_table_that_was_saved_twice_reads_as_if_it_had_been_saved_once(real_data):
    pose = read_pose(real_data / TWICE)
    cells = pd.read_csv(real_data / TWICE, header=None, low_memory=False)
    assert pose.names == tuple(cells.iloc[1, 2::3])
    assert_is(pose, cells.iloc[3:, 2:])


def test_a_real_multi_animal_table_reads_to_one_pose_an_animal(real_data):
    path = real_data / "formats/pose/test2DLC_csv_table_madlc.csv"
    table = pd.read_csv(path, header=[1, 2, 3], index_col=0, dtype=str)
    poses = read_poses(path)
    assert [p.individual for p in poses] == ["mouse_black_tail", "mouse_white_tail"]
    for pose in poses:
        assert pose.points.shape == (97, 14, 2)
        assert_is(pose, table[pose.individual])
    with pytest.raises(UserError, match=r"2 individuals \(mouse_black_tail, mouse_white_tail\)"):
        read_pose(path)


def test_all_forty_recordings_of_two_rats_read_to_five_points_an_animal(real_data):
    paths = sorted((real_data / "social_rat/DLC").glob("*.csv"))
    assert len(paths) == 40
    missing = []
    for path in paths:
        poses = read_poses(path)
        assert [(p.individual, p.names) for p in poses] == [
            (who, ("top", "body", "tail", "tail-m", "tail-e"))
            for who in ("individual1", "individual2")
        ]
        missing += [p.missing.mean() for p in poses]
        assert all(not p.notes for p in poses)
    assert np.mean(missing) == pytest.approx(0.366, abs=0.001)
    # pandas takes a first row without any point for the name of the index: with a header of levels
    # it loses frame 0.
    table = pd.read_csv(paths[0], header=None, skiprows=4, index_col=0, dtype=str)
    one, two = read_poses(paths[0])
    assert_is(one, table.iloc[:, :15])
    assert_is(two, table.iloc[:, 15:])


@pytest.mark.parametrize("name", ["formats/pose/DLC_sample_poses", CFA, HAND])
def test_the_same_pose_is_in_the_h5_file_and_in_the_table(real_data, name):
    assert_same(read_pose(real_data / f"{name}.h5"), read_pose(real_data / f"{name}.csv"))


@pytest.mark.parametrize(
    ("name", "keypoints"), [("test2DLC_h5_table", 14), ("test2DLC_h5_table_multi", 28)]
)
def test_a_real_h5_file_in_the_fixed_format_of_pandas_reads_column_by_column(
    real_data, name, keypoints
):
    path = real_data / "formats/pose" / f"{name}.h5"
    with h5py.File(path) as file:
        group = file["df"]
        labels = [
            pd.Index(group[f"axis0_level{i}"][()])[group[f"axis0_label{i}"][()]] for i in range(3)
        ]
        table = pd.DataFrame(
            group["block0_values"][()], columns=pd.MultiIndex.from_arrays(labels)
        ).droplevel(0, axis=1)
    pose = read_pose(path)
    assert pose.points.shape == (100, keypoints, 2)
    for i, part in enumerate(pose.names):
        columns = table[part.encode()][[b"x", b"y", b"likelihood"]].to_numpy()
        np.testing.assert_array_equal(pose.points[:, i], columns[:, :2])
        np.testing.assert_array_equal(pose.likelihood[:, i], np.minimum(columns[:, 2], 1))


def test_a_real_sleap_analysis_file_reads_to_fourteen_points(real_data):
    path = real_data / "formats/pose/test2DLC_sleap.analysis.h5"
    pose = read_pose(path)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(pose.points[50, 0], file["tracks"][0, :, 0, 50])
        np.testing.assert_array_equal(pose.points[100, 13], file["tracks"][0, :, 13, 100])
    assert pose.points.shape == (101, 14, 2)
    assert (pose.individual, pose.names[0], pose.names[-1]) == ("track_0", "Nose", "Right_bhip")
    assert "clipped" in pose.notes[0]


def test_the_real_empty_h5_file_is_refused_in_one_line(real_data):
    with pytest.raises(UserError, match="found an empty file; copy or export it again") as caught:
        read_pose(real_data / "formats/pose/DLC_sample_tracks_invalid.h5")
    assert "\n" not in str(caught.value)
