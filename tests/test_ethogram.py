"""Which behaviors there are, how they are merged, and the files that say so."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.core.errors import UserError
from dolorim.labels.ethogram import PAIN, Ethogram, RawClass
from dolorim.labels.ethogram_file import read_ethogram, write_ethogram
from ethograms import unmerged

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).map(
    lambda w: f"b{w}".strip()
)


@st.composite
def ethograms(draw):
    classes = tuple(draw(st.lists(WORDS, min_size=2, max_size=6, unique=True)))
    names = draw(st.lists(WORDS, min_size=1, max_size=8, unique_by=str.casefold))
    ids = draw(st.lists(st.integers(0, 99), min_size=len(names), max_size=len(names), unique=True))
    merged = draw(
        st.lists(st.none() | st.sampled_from(classes), min_size=len(names), max_size=len(names))
    )
    raw = tuple(RawClass(*row) for row in zip(ids, names, merged, strict=True))
    background = draw(st.lists(st.sampled_from(classes), unique=True))
    return Ethogram(raw, classes, draw(st.none() | st.sampled_from(classes)), tuple(background))


def written(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def test_the_eight_pain_behaviors_are_learned_as_six_with_guard_and_flinch_counted_as_withdrawal():
    assert PAIN.merge(np.arange(8)).tolist() == [0, 1, 2, 1, 3, 1, 4, 5]
    assert PAIN.classes == ("rest", "paw_withdraw", "paw_lick", "paw_shake", "walk", "active")
    assert PAIN.indicator == "paw_withdraw"


def test_merging_keeps_the_shape_and_leaves_unlabelled_frames_unlabelled():
    assert PAIN.merge(np.array([[7, -1, 5], [-1, 3, 0]])).tolist() == [[5, -1, 1], [-1, 1, 0]]
    assert PAIN.merge(np.empty(0, int)).tolist() == []


@pytest.mark.parametrize("text", ["3", "3.0", " 3 ", "paw_guard", "Paw_Guard "])
def test_a_label_may_be_an_id_or_a_name_in_any_letter_case(text):
    assert PAIN.raw_id(text) == 3


@pytest.mark.parametrize(
    "text", ["", " ", "None", "NaN", "NA", "n/a", "null", "unlabelled", "unlabeled", "-1", "-1.0"]
)
def test_every_usual_word_for_nothing_means_unlabelled(text):
    assert PAIN.raw_id(text) == -1


@pytest.mark.parametrize("text", ["8", "3.5", "-2", "inf"])
def test_a_class_id_that_is_not_in_the_ethogram_is_refused_with_the_ids_that_are(text):
    with pytest.raises(
        ValueError, match=rf"{text} is not in the ethogram \(ids 0, 1, 2, 3, 4, 5, 6, 7; -1"
    ):
        PAIN.raw_id(text)


def test_a_text_that_is_no_class_is_refused_with_the_names_that_are():
    with pytest.raises(
        ValueError, match="no class is called 'licking'; there are rest, paw_withdraw, paw_lick"
    ):
        PAIN.raw_id("licking")


@pytest.mark.parametrize(
    ("raw", "classes", "settings_", "message"),
    [
        ([(0, "a", "a"), (0, "b", "b")], "ab", {}, "raw id 0 occurs twice"),
        ([(0, "a", "a"), (1, "A", "b")], "ab", {}, "raw name 'a' occurs twice"),
        ([(0, "a", "a")], "aba", {}, "class name 'a' occurs twice"),
        ([(-1, "a", "a")], "ab", {}, "raw id -1 of 'a' is negative"),
        ([(0, "a", "c")], "ab", {}, "'a' is merged into 'c', which is not among"),
        ([(0, "a", "a")], "ab", {"indicator": "c"}, "'c' is not among the classes a, b"),
        ([(0, "a", "a")], "ab", {"background": ("c",)}, "'c' is not among the classes a, b"),
        ([(0, "a", "a")], "a", {}, "at least two classes are needed"),
        ([(0, "None", "a")], "ab", {}, "'None' means unlabeled"),
    ],
)
def test_an_ethogram_that_contradicts_itself_is_refused(raw, classes, settings_, message):
    with pytest.raises(UserError, match=message):
        Ethogram(tuple(RawClass(*r) for r in raw), tuple(classes), **settings_)


def test_a_class_that_is_called_like_an_unlabelled_frame_is_refused():
    with pytest.raises(UserError, match="'none' means unlabeled"):
        Ethogram((RawClass(0, "still", "none"), RawClass(1, "walk", "walk")), ("none", "walk"))


def test_a_mirror_turns_left_into_right_and_leaves_the_rest():
    names = ("walk", "lick_L", "lick_R", "orient left", "orient right", "guard_L", "level")
    assert unmerged(names).mirrored == (0, 2, 1, 4, 3, 5, 6)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["l", "r", "lick_L", "lick_R", "L_R", "R_L", "turn-left",
"turn-right", "rest"]),
                min_size=2, unique=True))  # fmt: skip
def test_a_mirror_image_of_a_mirror_image_is_the_behavior_itself(names):
    mirrored = unmerged(names).mirrored
    assert [mirrored[i] for i in mirrored] == list(range(len(names)))


@settings(deadline=None)
@given(ethograms())
def test_an_ethogram_that_is_written_and_read_is_the_same(ethogram):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ethogram.toml")
        write_ethogram(path, ethogram)
        assert read_ethogram(path) == ethogram


@settings(deadline=None)
@given(ethograms(), st.data())
def test_every_raw_behavior_is_found_by_its_id_and_by_its_name(ethogram, data):
    raw = data.draw(st.sampled_from(ethogram.raw))
    assert ethogram.raw_id(str(raw.id)) == ethogram.raw_id(f" {raw.name}\t") == raw.id
    learned = int(ethogram.merge(np.array(raw.id)))
    assert raw.merged == (None if learned == -1 else ethogram.classes[learned])


def test_a_table_of_ids_and_names_makes_every_behavior_a_class_of_its_own(tmp_path):
    path = written(tmp_path, "classes.csv", "id,name\n3,walk\n1,rest\n")
    assert read_ethogram(path) == unmerged(["walk", "rest"], [3, 1])


def test_a_table_may_merge_behaviors_and_an_empty_cell_merges_nothing(tmp_path):
    path = written(
        tmp_path,
        "classes.csv",
        "id;name;merged\n0;rest;\n1;lick_L;lick\n2;lick_R;lick\n",
        "utf-8-sig",
    )
    ethogram = read_ethogram(path)
    assert ethogram.classes == ("rest", "lick")
    assert ethogram.merge(np.arange(3)).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.csv", "id,name,merged\n0,base,none\n1,social,\n2,nonsocial,\n3,bite,None\n"),
        ("ethogram.toml",
        '[[raw]]\nid = 0\nname = "base"\nmerged = "none"\n[[raw]]\nid = 1\nname = "social"\n'
         '[[raw]]\nid = 2\nname = "nonsocial"\n[[raw]]\nid = 3\nname = "bite"\nmerged = "None"\n'),
    ],
)  # fmt: skip
def test_a_behavior_that_is_merged_into_none_is_known_but_its_frames_are_unlabelled(
    tmp_path, name, text
):
    ethogram = read_ethogram(written(tmp_path, name, text))
    assert ethogram.classes == ("social", "nonsocial")
    assert ethogram.raw_id("Base") == 0
    assert ethogram.merge(np.array([0, 1, 2, 3, -1])).tolist() == [-1, 0, 1, -1, -1]
    write_ethogram(tmp_path / "again.toml", ethogram)
    assert read_ethogram(tmp_path / "again.toml") == ethogram


def test_a_toml_file_may_name_classes_alone_and_they_are_counted_from_0(tmp_path):
    path = written(tmp_path, "ethogram.toml", 'classes = ["rest", "lick"]\nindicator = "lick"\n')
    assert read_ethogram(path) == Ethogram((RawClass(0, "rest", "rest"),
    RawClass(1, "lick", "lick")),
                                           ("rest", "lick"), "lick")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", 'classes = ["a", "b"]\ncolour = 1\n', "unknown key 'colour'"),
        ("a.toml", 'classes = ["a", "b"\n', "not valid TOML"),
        ("a.toml", 'classes = "a"\n', "expected classes"),
        ("a.toml", 'classes = ["a", "b"]\nindicator = 1\n', "expected indicator"),
        (
            "a.toml",
            '[[raw]]\nid = "0"\nname = "a"\n',
            r"expected a \[\[raw\]\] table with id \(a number\)",
        ),
        ("a.toml", "", "at least two classes are needed"),
        ("a.csv", "id,name\n0,a\nx,b\n", "line 3: expected a number and a name, found 'x', 'b'"),
        ("a.csv", "number,name\n0,a\n", "expected the columns id,name"),
        ("a.csv", "id,name\n", "at least two classes are needed"),
        ("a.csv", "", "the file is empty"),
    ],
)
def test_an_ethogram_file_that_cannot_be_understood_is_refused_by_name(
    tmp_path, name, text, message
):
    path = written(tmp_path, name, text)
    with pytest.raises(UserError, match=message) as caught:
        read_ethogram(path)
    assert str(caught.value).startswith(str(path))


def test_an_ethogram_file_that_is_not_there_is_a_users_error(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_ethogram(tmp_path / "ethogram.toml")


def test_the_default_merging_is_named_with_how_to_keep_behaviors_apart() -> None:
    assert PAIN.merging == {"paw_withdraw": ("paw_guard", "flinch")}
    note = PAIN.merging_note()
    assert note.startswith("paw_guard and flinch count as paw_withdraw; to keep behaviors apart")
    assert "classes.csv" in note
    apart = Ethogram(
        tuple(RawClass(r.id, r.name, r.name) for r in PAIN.raw), tuple(r.name for r in PAIN.raw)
    )
    assert apart.merging_note() == ""
