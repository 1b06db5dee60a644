"""Corrections: every step is on disk, undo outlives the server, and nobody overwrites anybody."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.core.errors import UserError
from dolorim.labels.ethogram import PAIN
from dolorim.labels.label_files import read_labels
from dolorim.review.corrections import (
    Corrections,
    RequestError,
    VersionError,
    valid_rater,
)
from dolorim.review.history import UNSURE, UNTOUCHED

N = 40


def opened(folder: Path, truth: np.ndarray | None = None) -> Corrections:
    return Corrections(folder, "mouse", "ann", N, PAIN, truth)


def test_what_is_saved_reads_back_as_ordinary_labels(tmp_path: Path) -> None:
    corrections = opened(tmp_path)
    corrections.edit(0, [(3, 8, 2), (20, 30, UNSURE), (25, 28, 1)])
    corrections.save()
    file = read_labels(tmp_path / "mouse.csv", PAIN)
    assert file.frames.tolist() == list(range(N))
    assert file.labels[3:8].tolist() == [2] * 5
    assert file.labels[25:28].tolist() == [1] * 3
    assert (
        np.delete(file.labels, [*range(3, 8), *range(25, 28)]) == -1
    ).all()  # unsure and untouched: unlabeled


def test_corrections_lie_on_top_of_the_labels_from_before(tmp_path: Path) -> None:
    corrections = opened(tmp_path, np.full(N, 4, np.int16))
    corrections.edit(0, [(0, 5, 0), (5, 7, UNSURE)])
    assert corrections.labels().tolist() == [0] * 5 + [-1] * 2 + [4] * (N - 7)


def test_undo_goes_on_after_a_restart(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.edit(0, [(0, 10, 1)])
    first.edit(1, [(5, 15, 2)])
    again = opened(tmp_path)
    assert np.array_equal(again.marks, first.marks)
    again.undo(2)
    assert again.marks.tolist() == [1] * 10 + [UNTOUCHED] * (N - 10)
    third = opened(tmp_path)
    third.redo(3)
    assert np.array_equal(third.marks, first.marks)
    third.undo(4)
    third.undo(5)
    assert not third.can_undo
    with pytest.raises(RequestError, match="nothing to undo"):
        third.undo(6)


ranges = st.lists(
    st.tuples(st.integers(0, N - 1), st.integers(1, N), st.integers(-2, 5)).filter(
        lambda r: r[0] < r[1]
    ),
    min_size=1,
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(ranges, st.sampled_from(["undo", "redo"])), max_size=12))
def test_a_history_tells_the_same_story_when_it_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[tuple[int, int, int]] | str]
) -> None:
    folder = tmp_path_factory.mktemp("history")
    one = opened(folder)
    states = [one.marks.copy()]
    for step in steps:
        if step == "undo":
            if one.can_undo:
                one.undo(one.version)
        elif step == "redo":
            if one.can_redo:
                one.redo(one.version)
        else:
            assert not isinstance(step, str)
            one.edit(one.version, step)
        states.append(one.marks.copy())
    two = opened(folder)
    assert np.array_equal(one.marks, two.marks)
    assert (one.version, one.can_undo, one.can_redo) == (two.version, two.can_undo, two.can_redo)
    assert np.array_equal(two.marks_at(0), states[0])


def test_whoever_has_not_seen_the_last_step_is_refused(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)  # as two servers would
    one.edit(0, [(0, 5, 1)])
    with pytest.raises(VersionError):
        one.edit(0, [(0, 5, 2)])
    with pytest.raises(VersionError):
        two.edit(0, [(0, 5, 2)])
    assert two.marks[0] == 1
    two.edit(1, [(0, 5, 2)])


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.edit(0, [(0, 5, 1)])
    with open(one.history_path, "ab") as file:
        file.write(b'{"when":"2026')
    two = opened(tmp_path)
    assert two.version == 1
    two.edit(1, [(5, 6, 2)])
    assert opened(tmp_path).version == 2


def test_a_history_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "mouse.history.jsonl").write_text('{"set":[[0,3,1]]}\n{"set":7}\n')
    with pytest.raises(UserError, match="line 2"):
        opened(tmp_path)


def test_a_full_disk_leaves_the_history_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = opened(tmp_path)
    one.edit(0, [(0, 5, 1)])
    before = one.history_path.read_bytes()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        one.edit(1, [(0, 5, 2)])
    assert one.history_path.read_bytes() == before
    assert one.marks[0] == 1
    monkeypatch.undo()
    one.edit(1, [(0, 5, 2)])


def test_a_label_file_that_was_edited_by_hand_becomes_a_step(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.edit(0, [(0, 5, 1)])
    one.save()
    text = (
        one.labels_path.read_text().replace("4,paw_withdraw", "4,walk").replace("9,None", "9,rest")
    )
    one.labels_path.write_text(text)
    two = opened(tmp_path)
    assert two.marks[[3, 4, 9, 10]].tolist() == [1, 4, 0, UNTOUCHED]
    two.undo(2)
    assert two.marks[[4, 9]].tolist() == [1, UNTOUCHED]


def test_a_killed_server_leaves_nothing_unsaved(tmp_path: Path) -> None:
    opened(tmp_path).edit(0, [(0, 5, 1)])  # never saved
    again = opened(tmp_path)
    assert again.save()
    assert read_labels(tmp_path / "mouse.csv", PAIN).labels[:6].tolist() == [1] * 5 + [-1]
    assert not again.save()


def test_the_history_says_who_and_when(tmp_path: Path) -> None:
    opened(tmp_path).edit(0, [(0, 5, 1)])
    step = json.loads((tmp_path / "mouse.history.jsonl").read_text())
    assert step["who"] == "ann"
    assert step["when"].startswith("20")
    assert step["set"] == [[0, 5, 1]]


@pytest.mark.parametrize("bad", [(0, N + 1, 1), (5, 5, 1), (-1, 3, 1), (0, 3, 6), (0, 3, -3)])
def test_a_range_that_does_not_fit_is_refused(tmp_path: Path, bad: tuple[int, int, int]) -> None:
    corrections = opened(tmp_path)
    with pytest.raises(RequestError):
        corrections.edit(0, [bad])
    assert corrections.version == 0


@pytest.mark.parametrize("bad", ["", "..", "a/b", "a\\b", ".hidden", "x" * 61])
def test_a_rater_is_no_path(bad: str) -> None:
    with pytest.raises(UserError, match="--rater"):
        valid_rater(bad)


def test_the_state_of_a_recording_is_what_was_last_said(tmp_path: Path) -> None:
    one = opened(tmp_path)
    assert one.state == "new"
    one.edit(0, [(0, 5, 1)])
    assert one.state == "work"
    one.set_state(1, "done")
    assert opened(tmp_path).state == "done"
    one.set_state(2, "work")
    assert opened(tmp_path).state == "work"
