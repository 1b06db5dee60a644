"""What was begun in the review page outlives whatever happens to the page, the tab and the
server.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from browsing import (
    Browser,
    Page,
    Visitor,
    drag,
    go_to,
    page_state,
    press,
    saved,
    timeline_xy,
    visiting,
    wait_bouts,
    wait_frame,
    wait_open,
    wait_saved,
)
from dolorim.config import DataConfig
from dolorim.labels.ethogram import PAIN
from dolorim.review.contents import Review, open_review
from dolorim.review.session import Session
from reviewing import BOUT, N, predicted_study, serving

LICK, SHAKE = PAIN.classes.index("paw_lick"), PAIN.classes.index("paw_shake")
FRAME = "() => Number(document.querySelector('#video').dataset.frame)"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    predicted_study(folder)
    return folder


@pytest.fixture
def place(study: Path, tmp_path: Path) -> Path:
    shutil.copytree(study / "predictions", tmp_path / "predictions")
    return tmp_path / "predictions"


@pytest.fixture
def scratch(study: Path, tmp_path: Path) -> Review:
    """The same study with no label but those that are made."""
    return open_review(study / "Videos", DataConfig(), out=tmp_path / "out")


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visitor]:
    with visiting(browser) as visitor:
        yield visitor


def paint_until(page: Page, frame: int) -> None:
    """Play from the start, and paint class 3 from the first frames on; the stroke is left
    unfinished."""
    press(page, "Home", ",", " ", "3")
    page.wait_for_function(f"f => ({FRAME})() >= f", arg=frame)


def painted(review: Review) -> np.ndarray:
    """Frames of the first recording that a new server knows as painted."""
    frames: np.ndarray = np.flatnonzero(Session(review, "ann").corrections(0).marks == LICK)
    return frames


@pytest.mark.parametrize(
    "end", ["reload", "close", "leave", "space", "another recording", "key of a jump"]
)
def test_a_stroke_is_kept_whatever_ends_it(scratch: Review, visit: Visitor, end: str) -> None:
    with serving(Path(), review=scratch) as served:
        page = visit(served.url)
        wait_bouts(page)
        paint_until(page, 12)
        seen = page_state(page)["frame"]
        if end == "reload":
            page.reload()
        elif end == "close":
            page.close(run_before_unload=True)
        elif end == "leave":
            page.goto("about:blank")
        elif end == "space":
            press(page, " ")
        elif end == "another recording":
            press(page, "r")
        else:
            press(page, "Home")
        # A page that closes cannot be waited on.
        waiting = visit("about:blank") if end == "close" else page
        for _ in range(400):
            if len(labels := painted(scratch)) and labels[-1] >= seen:
                break
            waiting.wait_for_timeout(50)
    frames = painted(scratch)
    assert frames[0] < 8
    assert frames[-1] >= seen
    assert np.array_equal(frames, np.arange(frames[0], frames[-1] + 1))
    corrections = Session(scratch, "ann").corrections(0)
    corrections.undo(corrections.version)  # all of it was one stroke
    assert not corrections.can_undo


def test_a_stroke_is_kept_every_second_though_nobody_ends_it(
    scratch: Review, visit: Visitor
) -> None:
    with serving(Path(), review=scratch) as served:
        page = visit(served.url)
        wait_bouts(page)
        press(page, ",", ",")  # slowly
        paint_until(page, 2)
        for _ in range(400):
            if served.session.corrections(0).version >= 2:
                break
            page.wait_for_timeout(50)
        assert page_state(page)["paint"] is not None
        assert len(painted(scratch)) > 0


def test_steps_of_a_page_without_a_server_are_sent_by_the_next_page(
    place: Path, visit: Visitor
) -> None:
    with serving(place) as served:
        page = visit(served.url)
        wait_bouts(page)
    press(page, "ArrowDown", "3", "ArrowDown", "4", "z", "ArrowDown", "u")
    page.wait_for_function(
        "() => document.querySelector('#saved').textContent.startsWith('Not saved')"
    )
    page.close(run_before_unload=True)
    assert not (place / "review" / "ann" / "a_201M.history.jsonl").exists()
    with serving(place, port=int(served.base.rpartition(":")[2])) as again:
        page = visit(again.url)
        wait_saved(page)
        page.wait_for_function(
            "() => Object.keys(localStorage).every((k) => !k.startsWith('dolorim unsent'))"
        )
        wait_open(page)
        labels = page_state(page)["labels"]
        marks = again.session.corrections(0).marks
    assert marks[:BOUT].tolist() == [LICK] * BOUT
    assert marks[BOUT : 2 * BOUT].tolist() == [-2] * BOUT
    assert (marks[2 * BOUT :] == -1).all()
    assert labels[: 2 * BOUT] == marks[: 2 * BOUT].tolist()


def test_a_step_that_arrives_twice_is_done_once(place: Path, visit: Visitor) -> None:
    """The answer to a step is lost with the page; the next page sends it again."""
    with serving(place) as served:
        page = visit(served.url)
        wait_bouts(page)
        lost = []

        def swallow(route) -> None:  # type: ignore[no-untyped-def]
            route.fetch()
            lost.append(route.request.post_data_json)
            route.abort()

        page.route("**/edit", swallow)
        page.route("**/steps", lambda route: route.abort())
        press(page, "ArrowDown")
        for _ in range(100):
            if page_state(page)["selection"]:
                break
            page.wait_for_timeout(50)
        press(page, "3")
        page.wait_for_function(
            "() => document.querySelector('#saved').textContent.startsWith('Not saved')"
        )
        page.close()
        page = visit(served.base)
        wait_saved(page)
        assert len(lost) >= 1
        assert served.session.corrections(0).version == 1
        press(page, "ArrowDown", "4")
        wait_saved(page)
        assert served.session.corrections(0).version == 2


def test_steps_that_somebody_has_overtaken_are_not_applied_and_this_is_said(
    place: Path, visit: Visitor
) -> None:
    with serving(place) as served:
        page = visit(served.url)
        wait_bouts(page)
    press(page, "ArrowDown", "3")
    page.wait_for_function(
        "() => document.querySelector('#saved').textContent.startsWith('Not saved')"
    )
    page.close()
    session = Session(open_review(place, DataConfig()), "ann")
    session.corrections(0).edit(0, [(0, 5, 4)])
    session.close()
    with serving(place, port=int(served.base.rpartition(":")[2])) as again:
        page = visit(again.url)
        page.wait_for_function(
            "() => document.querySelector('#alert').textContent.includes('were not applied')"
        )
        assert again.session.corrections(0).marks[:6].tolist() == [4] * 5 + [-1]


def test_a_reload_returns_to_the_frame_and_to_what_was_being_marked(
    place: Path, visit: Visitor
) -> None:
    with serving(place) as served:
        page = visit(served.url)
        wait_bouts(page)
        page.click("#recordings [data-id='1']")
        wait_frame(page, 0)
        wait_open(page)
        go_to(page, 40)
        press(page, "[")
        go_to(page, 57)
        page.reload()
        wait_frame(page, 57)
        wait_open(page)
        assert page_state(page)["mark"] == {"at": 40, "side": "start"}
        press(page, "]", "3")
        wait_saved(page)
        assert np.flatnonzero(served.session.corrections(1).marks == LICK).tolist() == list(
            range(40, 58)
        )


def test_looking_at_recordings_writes_nothing(place: Path, scratch: Review, visit: Visitor) -> None:
    for review, home in ((None, place / "review"), (scratch, scratch.home)):
        with serving(place, review=review) as served:
            page = visit(served.url)
            wait_bouts(page)
            press(page, "ArrowDown", "[", "ArrowRight", "]", "Escape", "z", "r")
            wait_frame(page, 0)
            wait_open(page)
            page.evaluate("async () => (await import('/static/edits.js')).save()")
            wait_saved(page)
        assert [p for p in home.rglob("*") if p.is_file()] == []


def test_a_label_file_changed_by_hand_is_taken_up_without_writing(place: Path) -> None:
    folder = place / "review" / "ann"
    folder.mkdir(parents=True)
    (folder / "a_201M.csv").write_text("Frame,Action\n" + "".join(f"{i},2\n" for i in range(10)))
    review = open_review(place, DataConfig())
    session = Session(review, "ann")
    assert session.corrections(0).marks[:11].tolist() == [LICK] * 10 + [-1]
    session.close()
    assert [p.name for p in folder.iterdir()] == ["a_201M.csv"]
    session = Session(review, "ann")
    session.corrections(0).edit(1, [(20, 30, 3)])
    session.close()
    lines = (folder / "a_201M.history.jsonl").read_text().splitlines()
    assert [json.loads(line).get("from") for line in lines] == ["a_201M.csv", None]
    assert Session(review, "ann").corrections(0).marks[[9, 10, 20]].tolist() == [LICK, -1, 3]


def test_accept_the_rest_asks_first(place: Path, visit: Visitor) -> None:
    with serving(place) as served:
        page = visit(served.url)
        wait_bouts(page)
        press(page, "ArrowDown", "3", "Shift+A")
        assert "100 frames in 5 bouts" in page.inner_text("#ask-what")
        press(page, "4", "Delete", "Escape")  # the keys are the question's
        page.click("#accept-rest")
        page.click("#ask-no")
        assert page_state(page)["marks"] == [LICK] * BOUT + [-1] * (N - BOUT)
        page.click("#accept-rest")
        page.click("#ask-yes")
        wait_saved(page)
        assert saved(place).tolist() == [LICK] * BOUT + [i // BOUT for i in range(BOUT, N)]


def test_delete_from_scratch_makes_a_bout_unlabelled_again(scratch: Review, visit: Visitor) -> None:
    with serving(Path(), review=scratch) as served:
        page = visit(served.url)
        wait_bouts(page)
        for start, key in ((10, "2"), (30, "3"), (50, "2")):
            go_to(page, start)
            press(page, "[")
            go_to(page, start + 19)
            press(page, "]", key)
        go_to(page, 35)
        press(page, "Delete")
        wait_saved(page)
        marks = served.session.corrections(0).marks
    assert marks[10:70].tolist() == [1] * 20 + [-1] * 20 + [1] * 20


def test_after_undo_nothing_shows_a_bout_that_is_gone(place: Path, visit: Visitor) -> None:
    with serving(place) as served:
        page = visit(served.url)
        wait_bouts(page)
        for keys in (("ArrowDown", "m"), ("ArrowDown", "4"), ("ArrowDown", "ArrowRight", "[")):
            press(page, "Home", *keys, "z")
            state = page_state(page)
            assert state["selection"] is None
            assert set(state["marks"]) == {-1}
            assert page.inner_text("#selection").startswith("Here rest: frames 0 to 19")
            press(page, "Shift+Z")
            assert page_state(page)["selection"] is None
            press(page, "z", "Escape")


@pytest.mark.parametrize(
    ("edge", "to"), [(60, 56), (60, 66), (60, 20), (60, 100), (0, 7), (120, 113)]
)
def test_a_dragged_edge_leaves_no_sliver(place: Path, visit: Visitor, edge: int, to: int) -> None:
    """Bouts of 20 frames, each of another class: what an edge gives up goes to the neighbor,
    whole.
    """
    with serving(place) as served:
        page = visit(served.url)
        wait_bouts(page)
        inside = min(edge, N - 1) if edge else 5
        page.mouse.click(*timeline_xy(page, inside - 5 if edge == N else inside + 5))
        drag(page, edge + (-0.02 if edge == N else 0.02), to)
        wait_saved(page)
        labels = np.array(page_state(page)["labels"])
    starts = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist()]
    if edge == 0:
        assert starts[:2] == [0, to]
        assert (labels[:to] == -2).all()
    elif edge == N:
        assert starts[-1] == to
        assert (labels[to:] == -2).all()
    elif to == 100:  # beyond its other end: nothing is left of the bout [60, 80)
        assert starts == [0, 20, 40, 80, 100]
    else:
        assert to in starts
        assert edge not in starts
        assert all(b - a >= 4 for a, b in zip(starts, [*starts[1:], N], strict=True))
