"""Poses in HDF5, and that nothing in such a file is ever executed."""

import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dolorim.core.errors import UserError
from dolorim.pose.pickled_text import literal
from dolorim.pose.read import read_pose, read_poses

NAMES = ["mouth", "tail_base", "Pfötchen"]
LABELS = [("net", n, c) for n in NAMES for c in ("x", "y", "likelihood")]
VALUES = np.arange(1.0, 37).reshape(4, 9) / 40


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def table_file(path, labels=LABELS, values=VALUES, index=None, pickled=None, order=None):
    """What pandas writes through PyTables with format="table"."""
    pickled = pickle.dumps(labels, 0) if pickled is None else pickled
    axes = pickle.dumps([(1, labels if order is None else order)], 0)
    rows = np.empty(len(values), [("index", "<i8"), ("values_block_0", "<f8", (values.shape[1],))])
    rows["index"] = np.arange(len(values)) if index is None else index
    rows["values_block_0"] = values
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["pandas_type"] = np.bytes_("frame_table")
        group.attrs["non_index_axes"] = np.bytes_(axes)
        table = group.create_dataset("table", data=rows)
        table.attrs["values_block_0_kind"] = np.bytes_(pickled)
    return path


def sleap_file(path, tracks, nodes, names, scores=None, **attributes):
    with h5py.File(path, "w") as file:
        file["tracks"] = tracks
        file["node_names"] = np.array(nodes, "S")
        file["track_names"] = np.array(names, "S")
        if scores is not None:
            file["point_scores"] = scores
        for name, value in attributes.items():
            file["tracks"].attrs[name] = value
    return path


def test_a_table_that_pandas_wrote_is_read_without_pandas(tmp_path):
    pose = read_pose(table_file(tmp_path / "vDLC.h5"))
    assert pose.names == tuple(NAMES)
    np.testing.assert_array_equal(pose.points, VALUES.reshape(4, 3, 3)[..., :2])
    np.testing.assert_array_equal(pose.likelihood, VALUES.reshape(4, 3, 3)[..., 2])


def test_the_animals_of_a_table_with_four_levels_are_told_apart(tmp_path):
    labels = [
        ("net", who, "nose", c)
        for who in ("anna", "bert", "carl")
        for c in ("x", "y", "likelihood")
    ]
    path = table_file(tmp_path / "vDLC.h5", labels)
    assert [p.individual for p in read_poses(path)] == ["anna", "bert", "carl"]
    np.testing.assert_array_equal(read_pose(path, "bert").points[:, 0], VALUES[:, 3:5])


def test_keypoints_stand_in_the_order_of_the_table_not_in_that_in_which_it_was_stored(tmp_path):
    pose = read_pose(table_file(tmp_path / "vDLC.h5", order=LABELS[6:] + LABELS[:6]))
    assert pose.names == (NAMES[2], NAMES[0], NAMES[1])
    np.testing.assert_array_equal(pose.xy(NAMES[0]), VALUES[:, :2])


def test_frames_without_a_row_are_missing(tmp_path):
    pose = read_pose(table_file(tmp_path / "vDLC.h5", index=[0, 1, 4, 5]))
    assert pose.missing[:, 0].tolist() == [False, False, True, True, False, False]


def test_a_pickle_that_would_call_something_is_refused_and_nothing_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for protocol in range(6):
        path = table_file(tmp_path / "vDLC.h5", pickled=pickle.dumps([Bomb()], protocol))
        with pytest.raises(UserError, match="not read, for safety"):
            read_pose(path)
    assert not Path("exploded").exists()


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=1)
    ),
    max_leaves=12,
)


@given(plain, st.sampled_from([0, 1]))
def test_plain_values_come_out_of_a_pickle_as_they_went_in(value, protocol):
    assert literal(pickle.dumps(value, protocol)) == value


@given(st.binary(max_size=60))
def test_no_bytes_make_the_reader_of_pickles_do_more_than_refuse(raw):
    try:
        value = literal(raw)
    except ValueError:
        return
    assert value is None or type(value) in (bool, int, str, tuple, list, dict)


@pytest.mark.parametrize("content", [b"", b"scorer,a\n", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_file_that_is_no_hdf5_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "vDLC.h5"
    path.write_bytes(content)
    with pytest.raises(UserError, match="expected a pose file in HDF5, found") as caught:
        read_pose(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=20))
@example([(7312, 0)])  # makes a type of the table
def test_whatever_bytes_have_changed_a_file_is_read_or_refused_in_one_line(
    tmp_path_factory, changes
):
    path = table_file(tmp_path_factory.mktemp("damaged") / "vDLC.h5")
    raw = bytearray(path.read_bytes())
    for at, byte in changes:
        raw[at % len(raw)] = byte
    path.write_bytes(raw)
    try:
        told = [f"{p.source}: read" for p in read_poses(path)]
    except UserError as refusal:
        told = [str(refusal)]
    assert all(t.startswith(f"{path}") and "\n" not in t for t in told)


def test_hdf5_of_something_else_is_refused_by_what_is_in_it(tmp_path):
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        file["spikes"] = [1, 2]
    with pytest.raises(
        UserError,
        match=r"expected one table of DeepLabCut .*, found spikes; export the pose as CSV",
    ):
        read_pose(path)


@pytest.mark.parametrize("nodes", [2, 3])
@pytest.mark.parametrize("layout", ["as saved", "transposed", "transposed with names"])
def test_sleap_tracks_are_read_in_either_order_of_their_dimensions(tmp_path, nodes, layout):
    rng = np.random.default_rng(0)
    n = (
        3 if layout == "transposed with names" else 7
    )  # as many frames as tracks: only the names can tell
    tracks, scores = rng.uniform(1, 99, (3, 2, nodes, n)), rng.uniform(size=(3, nodes, n))
    tracks[1, :, 0, 2] = np.nan
    names, attributes = ["a", "b", "c"], {}
    data = (
        (tracks, scores)
        if layout == "as saved"
        else (tracks.transpose(3, 2, 1, 0), scores.transpose(2, 1, 0))
    )
    if layout == "transposed with names":
        attributes["dims"] = json.dumps(["frame", "node", "xy", "track"])
    path = sleap_file(
        tmp_path / "v.h5", data[0], [f"n{i}" for i in range(nodes)], names, data[1], **attributes
    )
    poses = read_poses(path)
    assert [p.individual for p in poses] == names
    for i, pose in enumerate(poses):
        np.testing.assert_array_equal(pose.points, tracks[i].transpose(2, 1, 0))
    np.testing.assert_array_equal(poses[0].likelihood, scores[0].T)
    assert poses[1].missing.sum() == 1


def test_sleap_scores_above_1_are_clipped_and_noted(tmp_path):
    path = sleap_file(
        tmp_path / "v.h5", np.ones((1, 2, 3, 4)), ["a", "b", "c"], ["t"], np.full((1, 3, 4), 1.1)
    )
    pose = read_pose(path)
    assert (pose.likelihood == 1).all()
    assert "clipped" in pose.notes[0]


def test_sleap_tracks_of_another_shape_are_refused(tmp_path):
    path = sleap_file(tmp_path / "v.h5", np.ones((1, 3, 3, 4)), ["a", "b"], ["t"])
    with pytest.raises(
        UserError, match=r"expected SLEAP tracks \(track, 2, 2, frame\), found \(1, 3, 3, 4\)"
    ):
        read_pose(path)
