"""Pose tables as trackers and spreadsheets write them, and what is said about those that cannot be
read."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dolorim.core.errors import UserError
from dolorim.pose.read import read_pose, read_poses
from dolorim.pose.write_dlc import write_dlc

DLC = """scorer,net,net,net,net,net,net
bodyparts,mouth,mouth,mouth,tail_base,tail_base,tail_base
coords,x,y,likelihood,x,y,likelihood
0,1.5,2,0.9,3,4,0.8
1,5,6,0.7,7,8.25,0.6
"""
POINTS = [[[1.5, 2], [3, 4]], [[5, 6], [7, 8.25]]]
LIKELIHOOD = [[0.9, 0.8], [0.7, 0.6]]
TWO = """scorer,net,net,net,net,net,net
individuals,anna,anna,anna,bert,bert,bert
bodyparts,nose,nose,nose,nose,nose,nose
coords,x,y,likelihood,x,y,likelihood
0,1,2,0.9,3,4,0.8
"""


def pose_file(folder, text, name="vDLC_net.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def assert_is_the_pose(pose, likelihood=LIKELIHOOD):
    assert pose.names == ("mouth", "tail_base")
    np.testing.assert_array_equal(pose.points, POINTS)
    np.testing.assert_array_equal(pose.likelihood, likelihood)


@settings(deadline=None)
@given(
    hnp.arrays(
        float,
        st.tuples(st.integers(1, 6), st.integers(1, 4), st.just(2)),
        elements=st.floats(1e-9, 1e4),
    ),
    st.data(),
)
def test_a_deeplabcut_file_that_is_written_and_read_is_the_same_to_the_last_digit(points, data):
    likelihood = data.draw(hnp.arrays(float, points.shape[:2], elements=st.floats(0, 1)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vDLC_net.csv")
        write_dlc(path, "net", [f"paw {i}" for i in range(points.shape[1])], points, likelihood)
        pose = read_pose(path)
    np.testing.assert_array_equal(pose.points, points)
    np.testing.assert_array_equal(pose.likelihood, likelihood)
    assert (pose.source, pose.individual, pose.notes) == (path, None, ())


def saved_again(times, **how):
    text = DLC
    for _ in range(times):
        text = pd.read_csv(io.StringIO(text), low_memory=False, **how).to_csv()
    return text


def without_scorer_row():
    return pd.read_csv(io.StringIO(DLC), header=1, low_memory=False).to_csv(index=False)


def with_numbers_above():
    return pd.read_csv(io.StringIO(DLC), header=None, low_memory=False).to_csv(index=False)


def with_a_named_index():
    table = pd.read_csv(io.StringIO(DLC), header=[0, 1, 2], index_col=0)
    table.index.name = "frame"
    return table.to_csv()


@pytest.mark.parametrize(
    "text",
    [
        DLC,
        saved_again(1),
        saved_again(2),
        saved_again(1, header=[0, 1, 2]),
        saved_again(1, header=[0, 1, 2], index_col=0),
        without_scorer_row(),
        with_numbers_above(),
        with_a_named_index(),
        DLC.replace("scorer,net,net,net,net,net,net", "scorer,net,net.1,net.2,net.3,net.4,net.5"),
        DLC.replace("bodyparts", "Bodyparts").replace("coords", " Coords"),
        DLC + ",,,,,,\n,,,,,,\n",
    ],
    ids=[
        "plain",
        "twice",
        "thrice",
        "levels",
        "same",
        "no scorer",
        "numbers",
        "index",
        "suffixes",
        "case",
        "tail",
    ],
)
def test_a_deeplabcut_table_is_read_however_often_it_was_saved_again(tmp_path, text):
    assert_is_the_pose(read_pose(pose_file(tmp_path, text)))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_what_spreadsheets_save_is_read(tmp_path, delimiter, encoding, line_end):
    text = DLC.replace(",", delimiter).replace("\n", line_end)
    assert_is_the_pose(read_pose(pose_file(tmp_path, text, encoding=encoding)))


def test_a_decimal_comma_is_read_where_semicolons_divide_the_cells(tmp_path):
    text = DLC.replace(",", ";").replace(".", ",")
    assert_is_the_pose(read_pose(pose_file(tmp_path, text)))


@pytest.mark.parametrize(
    "header",
    [
        "mouth_x,mouth_y,mouth_likelihood,tail_base_x,tail_base_y,tail_base_likelihood",
        "mouth_x,mouth_y,mouth_p,tail_base_x,tail_base_y,tail_base_p",
        "mouth.x,mouth.y,mouth.score,tail_base.x,tail_base.y,tail_base.score",
        "mouth X,mouth Y,mouth P,tail_base X,tail_base Y,tail_base P",
    ],
)
@pytest.mark.parametrize("front", ["", "frame", "Unnamed: 0"])
def test_a_flat_header_names_part_and_coordinate_in_one_cell(tmp_path, header, front):
    rows = [row.split(",") for row in DLC.splitlines()[3:]]
    lines = [f"{front},{header}"] + [",".join(row) for row in rows]
    if not front:
        lines = [header] + [",".join(row[1:]) for row in rows]
    assert_is_the_pose(read_pose(pose_file(tmp_path, "\n".join(lines) + "\n")))


def test_a_flat_file_may_have_frames_without_any_point_and_columns_that_are_no_pose(tmp_path):
    pose = read_pose(pose_file(tmp_path, "time_s,nose_x,nose_y,speed\n0,1,2,5\n,,,\n0.2,3,4,5\n"))
    np.testing.assert_array_equal(pose.points[:, 0], [[1, 2], [np.nan, np.nan], [3, 4]])
    assert pose.likelihood is None


@pytest.mark.parametrize("cell", ["", " ", "nan", "NaN", "NA", "None", "inf"])
def test_what_is_no_number_in_words_that_programs_use_is_missing(tmp_path, cell):
    pose = read_pose(pose_file(tmp_path, DLC.replace("1,5,6,0.7,", f"1,{cell},6,0.7,")))
    assert pose.missing.tolist() == [[False, False], [True, False]]
    assert np.isnan(pose.points[1, 0]).all()


def test_a_point_at_0_0_is_missing_and_its_likelihood_means_nothing(tmp_path):
    pose = read_pose(pose_file(tmp_path, DLC.replace("1,5,6,", "1,0.0,0,")))
    assert pose.missing.tolist() == [[False, False], [True, False]]
    assert np.isnan(pose.likelihood[1, 0])


def test_columns_that_are_no_coordinate_are_passed_over_as_lightning_pose_writes_them(tmp_path):
    text = """scorer,lp,lp,lp,lp,lp
bodyparts,nose,nose,nose,nose,nose
coords,x,y,likelihood,x_ens_var,zscore
0,1,2,0.9,7,7
"""
    pose = read_pose(pose_file(tmp_path, text))
    np.testing.assert_array_equal(pose.points, [[[1, 2]]])


def test_hand_labelled_points_have_no_likelihood_and_their_rows_are_counted(tmp_path):
    text = (
        "scorer,,,me,me\nbodyparts,,,nose,nose\ncoords,,,x,y\n"
        "labeled-data,m4,7.png,,\nlabeled-data,m4,9.png,3,4\n"
    )
    pose = read_pose(pose_file(tmp_path, text))
    np.testing.assert_array_equal(pose.points[:, 0], [[np.nan, np.nan], [3, 4]])


def test_every_animal_of_a_multi_animal_file_is_a_pose_and_one_is_chosen_by_name(tmp_path):
    path = pose_file(tmp_path, TWO)
    assert [p.individual for p in read_poses(path)] == ["anna", "bert"]
    np.testing.assert_array_equal(read_pose(path, "Bert").points, [[[3, 4]]])
    suffixed = TWO.replace("anna,anna,anna,bert,bert,bert", "anna,anna.1,anna.2,bert,bert.1,bert.2")
    suffixed = suffixed.replace(
        "nose,nose,nose,nose,nose,nose", "nose,nose.1,nose.2,nose.3,nose.4,nose.5"
    )
    again = read_pose(pose_file(tmp_path, suffixed, "again.csv"), "bert")
    assert (again.names, again.points.tolist()) == (("nose",), [[[3, 4]]])


def test_the_only_animal_of_a_multi_animal_file_need_not_be_named(tmp_path):
    path = pose_file(
        tmp_path, TWO.replace("bert", "anna").replace("nose,nose,nose\n", "tail,tail,tail\n")
    )
    assert read_pose(path).individual == "anna"


def test_rows_stand_at_the_frames_that_they_name(tmp_path):
    text = DLC.replace("\n0,", "\n2,").replace("\n1,5", "\n4,5")
    pose = read_pose(pose_file(tmp_path, text))
    assert pose.missing[:, 0].tolist() == [True, True, False, True, False]
    assert pose.notes == ("3 of 5 frames have no row and are missing (first row: frame 2)",)


def test_frames_counted_from_1_are_counted_from_0_and_it_is_said(tmp_path):
    pose = read_pose(pose_file(tmp_path, DLC.replace("\n1,5", "\n2,5").replace("\n0,", "\n1,")))
    assert_is_the_pose(pose)
    assert pose.notes == ("its frames are counted from 1",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty; expected a pose table"),
        (DLC[: DLC.index("\n0,") + 1], "has a header but no rows"),
        (
            "Frame,Action\n0,1\n",
            r"expected a pose table \(header rows scorer, .*found the columns Frame, Action",
        ),
        (
            DLC.replace(",8.25,", ",abc,"),
            "line 5, y of tail_base: expected a number or nothing, found 'abc'",
        ),
        (DLC.replace(",8.25,0.6\n", ""), "line 5: expected 7 cells, found 5; was the file cut off"),
        (
            DLC.replace("\n1,5", "\n0,5"),
            "line 5: found frame 0 after frame 0; expected each frame once",
        ),
        (
            DLC.replace("\n1,5", "\nx,5"),
            "line 5: expected a frame number in the first column, found 'x'",
        ),
        ('"' + DLC, "found the columns scorer,net,net"),
        (
            DLC.replace("\n1,5", "\n1000000,5"),
            "goes up to 1000000 in 2 rows; expected frame numbers",
        ),
        (DLC.replace("tail_base", "mouth"), "x of mouth has two columns"),
        (TWO.replace("bert", "anna"), "x of nose of anna has two columns"),
        (
            DLC.replace("x,y,likelihood\n", "x,z,likelihood\n"),
            "expected the columns x and y for tail_base, found no y",
        ),
    ],
)
def test_a_pose_file_that_cannot_be_understood_is_refused_by_file_line_and_remedy(
    tmp_path, text, message
):
    path = pose_file(tmp_path, text)
    with pytest.raises(UserError, match=message) as caught:
        read_pose(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "individual", "message"),
    [
        (TWO, None, r"has 2 individuals \(anna, bert\); choose one with --individual"),
        (TWO, "carl", "no individual is called carl; there are anna, bert"),
        (DLC, "anna", "its one animal has no name, found --individual anna; leave it out"),
    ],
)
def test_the_error_about_an_individual_lists_those_that_there_are(
    tmp_path, text, individual, message
):
    with pytest.raises(UserError, match=message):
        read_pose(pose_file(tmp_path, text), individual)


@pytest.mark.parametrize(
    ("name", "message"),
    [("v.slp", "analysis HDF5"), ("v.mat", "export it as CSV"), ("v", "no suf")],
)
def test_a_file_of_another_kind_is_refused_with_what_to_export(tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        read_pose(tmp_path / name)


def test_a_file_that_is_not_there_is_a_users_error(tmp_path):
    for name in ("v.csv", "v.h5"):
        with pytest.raises(UserError, match="cannot be read"):
            read_pose(tmp_path / name)


@pytest.mark.parametrize("column", ["frame_idx", "Frame_Idx"])
@pytest.mark.parametrize("first", [0, 1, 3])
def test_sleap_counts_from_0_whether_or_not_its_first_frames_have_an_animal(
    tmp_path, column, first
):
    rows = "".join(f"mouse,{i},0.9,{i}.5,2.5,0.8\n" for i in range(first, 10))
    path = tmp_path / "v.analysis.csv"
    path.write_text(f"track,{column},instance.score,nose.x,nose.y,nose.score\n{rows}", "utf-8")
    (pose,) = read_poses(path)
    assert len(pose) == 10
    assert np.isnan(pose.points[:first]).all()
    assert pose.points[first:, 0, 0].tolist() == [i + 0.5 for i in range(first, 10)]
    assert not any("counted from 1" in note for note in pose.notes)
