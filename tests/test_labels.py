"""Label files as labs have them, and what is said about those that cannot be read."""

import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.core.errors import UserError
from dolorim.files.tables import write_table
from dolorim.labels.ethogram import PAIN, Ethogram, RawClass
from dolorim.labels.ethogram_file import write_ethogram
from dolorim.labels.label_files import parse_name, read_labels, write_labels
from dolorim.labels.trials import place_trials
from dolorim.pose.write_dlc import write_dlc
from ethograms import unmerged

LICKS = Ethogram(
    (RawClass(0, "rest", "rest"), RawClass(1, "lick_L", "lick"), RawClass(2, "lick_R", "lick")),
    ("rest", "lick"),
)
# Raw 0 is called a and learned as b, raw 1 the other way round.
CROSSED = Ethogram((RawClass(0, "a", "b"), RawClass(1, "b", "a")), ("a", "b"))


def label_file(folder, text, name="prediction_v_1.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def rows(frames, actions, delimiter=","):
    body = [f"{f}{delimiter}{a}" for f, a in zip(frames, actions, strict=True)]
    return "\n".join([f"Frame{delimiter}Action", *body]) + "\n"


def placed(path, n_frames):
    """What a label file says about each frame of its video."""
    return place_trials(
        [read_labels(path, PAIN).counted_from_zero(360, 15)], n_frames
    ).labels.tolist()


@pytest.mark.parametrize("first", [0, 1])
def test_frames_may_be_counted_from_0_or_from_1(tmp_path, first):
    actions = [0, 2] * 180
    path = label_file(tmp_path, rows(range(first, first + 360), actions))
    assert placed(path, 360) == actions


@pytest.mark.parametrize("first", [0, 1, 15, 16])
def test_345_rows_label_the_last_345_frames_of_their_trial_however_they_are_counted(
    tmp_path, first
):
    path = label_file(tmp_path, rows(range(first, first + 345), [2] * 345))
    assert placed(path, 360) == [-1] * 15 + [2] * 345


@pytest.mark.parametrize("first", [0, 1])
def test_a_whole_video_may_be_counted_from_0_or_from_1(tmp_path, first):
    path = label_file(tmp_path, rows(range(first, first + 50), [0] * 49 + [7]), "v.csv")
    assert placed(path, 50) == [0] * 49 + [5]


def test_a_file_that_lacks_only_frame_0_of_its_trial_is_counted_from_0(tmp_path):
    path = label_file(tmp_path, rows(range(1, 360), [2] * 359))
    assert placed(path, 360) == [-1] + [2] * 359


@pytest.mark.parametrize(
    ("frames", "n_frames", "expected", "sure"),
    [
        (range(240), 240, 0, True),
        (range(1, 241), 240, 1, True),
        (range(100, 241), 240, 1, True),
        (range(100, 240), 240, 0, True),
        (range(1, 240), 240, 0, False),
        (range(1, 239), 240, 1, False),
        (range(5, 100), 240, 0, False),
        ([0, 7, 9], 240, 0, True),
        (range(1, 301), None, 1, True),
        (range(1, 301, 2), None, 1, False),
        (range(5, 100), None, 0, False),
    ],
)
def test_what_a_file_counts_from_is_told_by_what_it_holds_and_a_doubt_is_said(
    tmp_path, frames, n_frames, expected, sure
):
    file = read_labels(label_file(tmp_path, rows(frames, [0] * len(frames)), "v.csv"), PAIN)
    counted = file.counted_from_zero(360, 15, n_frames)
    assert counted.frames[0] == frames[0] - expected
    assert (counted.doubt == "") == sure
    if frames[0] > 0:
        for said in ("0", "1"):
            settled = file.counted_from_zero(360, 15, n_frames, said)
            assert (int(settled.frames[0]), settled.doubt) == (frames[0] - int(said), "")
    else:
        with pytest.raises(UserError, match="holds frame 0, so it cannot count from 1"):
            file.counted_from_zero(360, 15, n_frames, "1")


def test_frames_without_a_row_are_unlabelled(tmp_path):
    path = label_file(tmp_path, rows([0, 1, 4, 359], [2, 2, 6, 0]))
    labels = placed(path, 360)
    assert labels[:6] == [2, 2, -1, -1, 4, -1]
    assert labels[359] == 0
    assert labels.count(-1) == 356


def test_none_marks_an_unlabelled_frame_and_names_stand_for_their_class(tmp_path):
    path = label_file(tmp_path, rows(range(5), ["None", "paw_lick", "Paw_Guard", "", 7]))
    assert read_labels(path, PAIN).labels.tolist() == [-1, 2, 1, -1, 5]


def test_the_order_of_the_rows_does_not_matter(tmp_path):
    path = label_file(tmp_path, rows([2, 0, 1], [6, 0, 2]))
    file = read_labels(path, PAIN)
    assert (file.frames.tolist(), file.labels.tolist()) == ([0, 1, 2], [0, 2, 4])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_what_spreadsheets_save_is_read_whatever_its_delimiter_encoding_and_line_end(
    tmp_path, delimiter, encoding, line_end
):
    ethogram = unmerged(["rest", "lèche"])
    text = rows(range(4), ["rest", "lèche", "LÈCHE", "1"], delimiter).replace("\n", line_end)
    assert read_labels(label_file(tmp_path, text, encoding=encoding), ethogram).labels.tolist() == [
        0,
        1,
        1,
        1,
    ]


def test_blank_lines_spaces_further_columns_and_other_headings_do_no_harm(tmp_path):
    path = label_file(
        tmp_path, "time, frame_number , Behavior,note\n\n0.0, 0 , 2 ,x\n\n0.1,1.0,6.0,\n"
    )
    file = read_labels(path, PAIN)
    assert (file.frames.tolist(), file.labels.tolist()) == ([0, 1], [2, 4])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Frame,Action\n0,1\n\n1,9\n",
            r"line 4, column Action: class id 9 is not in the ethogram \(ids 0, 1, 2, 3",
        ),
        (
            "Frame,Action\n0,licking\n",
            "line 2, column Action: no class is called 'licking'; there are rest, paw_with",
        ),
        ("Frame,Action\n0,1\n1,1\n0,2\n", "frame 0 is on line 2 and again on line 4; keep one"),
        ("Frame,Action\n0,1\n1\n", r"line 3: expected 2 cells \(Frame, Action\), found 1"),
        ("Frame,Action\nx,1\n", "line 2, column Frame: expected a frame number, found 'x'"),
        ("Frame,Action\n,1\n", "line 2, column Frame: expected a frame number, found ''"),
        ("Frame,Action\n-3,1\n", "expected a frame number, found '-3'"),
        ("Frame,Action\n1.5,1\n", "expected a frame number, found '1.5'"),
        ("Frame,Action\nnan,1\n", "expected a frame number, found 'nan'"),
        ("Frame,Action\ninf,1\n", "expected a frame number, found 'inf'"),
        ("Frame,Action\n1e30,1\n", "expected a frame number, found '1e30'"),
        ("Frame,Action\n", "has a header but no rows"),
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("time,what\n0,1\n", "expected the columns Frame and Action, found time, what"),
        ('Frame,Action\n0,"' + 200_000 * "a" + '"\n', "line 2: not a table that can be read"),
    ],
)
def test_a_label_file_that_cannot_be_understood_is_refused_by_file_line_and_remedy(
    tmp_path, text, message
):
    path = label_file(tmp_path, text)
    with pytest.raises(UserError, match=message) as caught:
        read_labels(path, PAIN)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "video", "trial"),
    [
        ("prediction_shortened_2023-10-25_CFA_010_267M_tracking.mp4_1.csv",
         "shortened_2023-10-25_CFA_010_267M_tracking.mp4", 1),
        ("prediction_267M_tracking_12.csv", "267M_tracking", 12),
        ("Prediction_a.b.avi_3.CSV", "a.b.avi", 3),
        ("267M_tracking_2.csv", "267M_tracking_2", None),
        ("267M.mp4.csv", "267M.mp4", None),
    ],
)  # fmt: skip
def test_a_label_file_names_its_video_and_its_trial(name, video, trial):
    assert parse_name(Path("Annotations", name)) == (video, trial)


@settings(deadline=None)
@given(st.sampled_from([PAIN, LICKS, CROSSED]), st.data())
def test_labels_that_are_written_and_read_are_the_same(ethogram, data):
    classes = st.integers(-1, len(ethogram) - 1)
    labels = np.array(data.draw(st.lists(classes, min_size=1, max_size=50)), np.int16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v.csv")
        write_labels(path, labels, ethogram)
        file = read_labels(path, ethogram)
    assert file.frames.tolist() == list(range(len(labels)))
    assert file.labels.tolist() == labels.tolist()


def test_a_merged_class_is_written_by_its_own_name_where_a_behavior_carries_it(tmp_path):
    ethogram = Ethogram(
        (RawClass(0, "flinch", "pain"), RawClass(1, "pain", "pain")), ("pain", "rest")
    )
    write_labels(tmp_path / "v.csv", np.array([0, -1]), ethogram)
    assert (tmp_path / "v.csv").read_text("utf-8") == "Frame,Action\n0,pain\n1,None\n"


WRITERS = {
    "labels": lambda path: write_labels(path, np.zeros(500, int), PAIN),
    "ethogram": lambda path: write_ethogram(path, PAIN),
    "table": lambda path: write_table(path, ("a", "b"), [(1, 2)]),
    "pose": lambda path: write_dlc(path, "s", ["nose"], np.zeros((9, 1, 2)), np.ones((9, 1))),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_is_a_users_error_and_the_old_file_stays_whole(tmp_path, monkeypatch, write):
    really_write = Path.write_text

    def half(self, text, **how):
        really_write(self, text[: len(text) // 2], **how)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = label_file(tmp_path, "what was there before")
    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(
        UserError, match=r"cannot be written \(No space left on device\); free some space"
    ):
        write(path)
    assert path.read_text("utf-8") == "what was there before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_file_is_written_into_a_folder_that_is_not_there_yet_and_leaves_nothing_else(
    tmp_path, write
):
    path = tmp_path / "new" / "folder" / "file"
    write(path)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["file/labels.csv", 300 * "x" + "/labels.csv", 300 * "x"])
def test_a_place_where_no_file_can_be_is_a_users_error(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_labels(tmp_path / name, np.zeros(3, int), PAIN)


def test_real_label_files_of_three_trials_label_every_frame_as_rest(real_data):
    folder = real_data / "cfa_sample" / "Annotations"
    files = [read_labels(p, PAIN) for p in sorted(folder.glob("*.csv"))]
    placement = place_trials([f.counted_from_zero(360, 15) for f in files], 1080)
    assert placement.labels.tolist() == [0] * 1080
    assert [t.number for t in placement.trials] == [1, 2, 3]
