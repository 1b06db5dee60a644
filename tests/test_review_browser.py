"""The review page in a real browser: what is shown is the very frame, and what is done is what is
saved."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from browsing import (
    Browser,
    Page,
    go_to,
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
from dolorim.labels.label_files import read_labels
from dolorim.review.contents import open_review
from reviewing import BOUT, N, predicted_study, serving
from videos import _BIT

LICK, SHAKE, WALK = (PAIN.classes.index(n) for n in ("paw_lick", "paw_shake", "walk"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predictions of a usual film, of one with a variable frame rate, and of one that is stored
    turned."""
    folder = tmp_path_factory.mktemp("study")
    predicted_study(folder, ("a_201M.mp4", "b_202F.mkv"))
    turned(folder / "Videos" / "a_201M.mp4", folder / "Videos" / "c_203M.mp4")
    return folder


@pytest.fixture
def place(study: Path, tmp_path: Path) -> Path:
    shutil.copytree(study / "predictions", tmp_path / "predictions")
    return tmp_path / "predictions"


@pytest.fixture
def go(browser: Browser) -> Iterator[Callable[[str], Page]]:
    """Opens an address in a browser that knows nothing yet, and fails for any error on the page."""
    with visiting(browser) as visitor:
        yield visitor


def turned(source: Path, target: Path) -> None:
    """The same film with a note that it is to be shown turned by 90 degrees."""
    raw = bytearray(source.read_bytes())
    at = (
        raw.index(b"tkhd") + 4 + 4 + 36
    )  # version 0: the matrix lies 40 bytes into the box's content
    matrix = [0, 1 << 16, 0, -(1 << 16) & 0xFFFFFFFF, 0, 0, 0, 0, 1 << 30]
    raw[at : at + 36] = b"".join(v.to_bytes(4, "big") for v in matrix)
    target.write_bytes(raw)


def number_shown(page: Page, rotated: bool = False) -> int:
    """The number that the picture on the screen says it is."""
    levels = page.evaluate(
        """([bit, rotated]) => {
          const canvas = document.querySelector("#video");
          const [left, top, scale] = canvas.dataset.placed.split(",").map(Number);
          const found = [];
          for (let i = 0; i < 8; i++) {
            let x = bit * (i + 0.5), y = bit / 2;
            if (rotated) [x, y] = [96 - y, x];
            const [px, py] = [Math.round(left + x * scale), Math.round(top + y * scale)];
            found.push(canvas.getContext("2d").getImageData(px, py, 1, 1).data[0]);
          }
          return found;
        }""",
        [_BIT, rotated],
    )
    return sum(1 << i for i, level in enumerate(levels) if level > 128)


def test_seeking_shows_the_very_frame(place: Path, study: Path, go: Callable[[str], Page]) -> None:
    with serving(place) as served:
        page = go(served.url)
        wait_frame(page, 0)
        assert "token" not in page.url
        for recording in (0, 1):
            page.click(f"#recordings [data-id='{recording}']")
            wait_frame(page, 0)
            for frame in (97, 31, 119, 30):
                go_to(page, frame)
                assert number_shown(page) == frame
            press(page, "ArrowRight", "ArrowRight", "ArrowLeft")
            wait_frame(page, 31)
            assert number_shown(page) == 31
            press(page, "End")
            wait_frame(page, N - 1)
            assert number_shown(page) == N - 1


def test_a_turned_film_and_one_without_predictions_show_the_very_frame(
    study: Path, go: Callable[[str], Page]
) -> None:
    with serving(study, review=open_review(study, DataConfig(), out=study / "out")) as served:
        page = go(served.url)
        wait_frame(page, 0)
        page.click("#recordings [data-id='2']")
        wait_frame(page, 0)
        for frame in (64, 7, 118):
            go_to(page, frame)
            assert number_shown(page, rotated=True) == frame


def test_playing_goes_through_the_frames_in_order_and_stops_at_the_end(
    place: Path, go: Callable[[str], Page]
) -> None:
    with serving(place) as served:
        page = go(served.url)
        wait_frame(page, 0)
        go_to(page, 60)
        page.evaluate(
            """() => {
              window.seen = [];
              const canvas = document.querySelector("#video");
              new MutationObserver(() => window.seen.push(Number(canvas.dataset.frame)))
                .observe(canvas, { attributeFilter: ["data-frame"] });
            }"""
        )
        press(page, " ")
        wait_frame(page, N - 1)
        page.wait_for_function("() => document.querySelector('#play').textContent === 'Play'")
        seen = page.evaluate("() => window.seen")
        assert seen == sorted(seen)
        assert len(set(seen)) > 10  # of 60, on however slow a machine
        assert number_shown(page) == N - 1


def test_bouts_are_corrected_by_keys_undone_and_still_there_after_a_restart(
    place: Path, go: Callable[[str], Page]
) -> None:
    with serving(place) as served:
        page = go(served.url)
        wait_bouts(page)
        press(page, "ArrowDown", "Enter")  # the first bout is right
        press(page, "4")  # the second is not
        press(page, "ArrowDown", "u", "ArrowDown", "5", "z")
        wait_saved(page)
        labels = saved(place)
        assert labels[:BOUT].tolist() == [0] * BOUT
        assert labels[BOUT : 2 * BOUT].tolist() == [SHAKE] * BOUT
        assert (labels[2 * BOUT :] == -1).all()
        page.reload()
        wait_frame(page, 3 * BOUT)  # where it was
        wait_open(page)
        page.wait_for_selector("#recordings .work")
        assert saved(place).tolist() == labels.tolist()
    with serving(place) as served:  # another server: undo goes on where it was
        page = go(served.url)
        wait_frame(page, 0)
        press(page, "z")
        go_to(page, BOUT)
        press(page, "[")
        go_to(page, BOUT + 9)
        press(page, "]", "3")
        wait_saved(page)
        assert served.session.corrections(0).version == 7
    labels = saved(place)
    assert labels[BOUT : 2 * BOUT].tolist() == [LICK] * 10 + [SHAKE] * 10
    assert (labels[2 * BOUT :] == -1).all()


def test_a_bout_is_corrected_with_the_mouse(place: Path, go: Callable[[str], Page]) -> None:
    with serving(place) as served:
        page = go(served.url)
        wait_frame(page, 0)
        page.mouse.click(*timeline_xy(page, 2.5 * BOUT))
        wait_frame(page, int(2.5 * BOUT))
        page.click("#classes [data-label='4']")
        x, y = timeline_xy(page, 3 * BOUT)  # its end is dragged by six frames
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(*timeline_xy(page, 3 * BOUT + 3))
        page.mouse.move(*timeline_xy(page, 3 * BOUT + 6))
        page.mouse.up()
        wait_saved(page)
        assert saved(place)[2 * BOUT - 1 : 3 * BOUT + 7].tolist() == [-1] + [WALK] * (BOUT + 6) + [
            -1
        ]


def test_a_class_paints_while_the_film_plays(
    study: Path, go: Callable[[str], Page], tmp_path: Path
) -> None:
    review = open_review(study / "Videos", DataConfig(), out=tmp_path / "out")
    with serving(study, review=review) as served:
        page = go(served.url)
        wait_frame(page, 0)
        go_to(page, 20)
        press(page, " ")
        page.wait_for_function("() => Number(document.querySelector('#video').dataset.frame) > 25")
        press(page, "3")
        page.wait_for_function("() => Number(document.querySelector('#video').dataset.frame) > 45")
        press(page, " ")
        wait_saved(page)
    labels = read_labels(tmp_path / "out" / "ann" / "a_201M.csv", PAIN).labels
    painted = np.flatnonzero(labels == LICK)
    assert painted[0] >= 25
    assert painted[-1] >= 45
    assert np.array_equal(painted, np.arange(painted[0], painted[-1] + 1))
    assert (np.delete(labels, painted) == -1).all()


def test_splitting_merging_deleting_and_moving_edges(
    place: Path, go: Callable[[str], Page]
) -> None:
    with serving(place) as served:
        page = go(served.url)
        wait_bouts(page)
        press(page, "ArrowDown")  # the bout [20, 40), if the first is left at once
        press(page, "ArrowUp", "ArrowDown")
        go_to(page, 30)
        press(page, "s", "4")  # what follows frame 30 is a shake
        go_to(page, 33)
        press(page, "[")  # it begins at 33: what it gives up goes to the bout before
        press(page, "m")  # and goes on until the next shake, [60, 80), has ended
        wait_saved(page)
        labels = saved(place)
        assert labels[30:33].tolist() == [1] * 3
        assert labels[33:80].tolist() == [SHAKE] * 47
        assert labels[80] == -1
        press(page, "Delete")  # no such bout: between withdrawal and walk lies the background
        wait_saved(page)
        assert saved(place)[33:80].tolist() == [0] * 47


def test_two_tabs_do_not_overwrite_each_other(place: Path, go: Callable[[str], Page]) -> None:
    with serving(place) as served:
        one = go(served.url)
        wait_bouts(one)
        two = go(served.base)  # the same browser: the cookie is enough
        wait_bouts(two)
        press(two, "ArrowDown", "3")
        wait_saved(two)
        served.session.corrections(0).edit(
            1, [(100, 110, WALK)]
        )  # and a third one, which the tabs know nothing of
        press(one, "ArrowDown", "ArrowDown", "4")
        one.wait_for_selector("#alert:not([hidden])")
        assert "another tab" in one.inner_text("#alert")
        press(one, "4")  # seen and repeated
        wait_saved(one)
        labels = saved(place)
        assert labels[:BOUT].tolist() == [LICK] * BOUT
        assert labels[BOUT : 2 * BOUT].tolist() == [SHAKE] * BOUT
        assert labels[100:110].tolist() == [WALK] * 10


def test_the_queue_leads_from_piece_to_piece_and_tells_the_accuracy(
    place: Path, go: Callable[[str], Page]
) -> None:
    with serving(place) as served:
        page = go(served.url)
        wait_frame(page, 0)
        page.wait_for_function(
            "() => document.querySelector('#progress').textContent.includes('0 of 12')"
        )
        press(page, "q")
        page.wait_for_function(
            "() => document.querySelector('#selection').textContent.includes('predicted with 80 %')"
        )
        for n in range(1, 4):
            press(page, "Enter")
            page.wait_for_function(
                "n => document.querySelector('#progress').textContent.includes(`${n} of 12`)", arg=n
            )
        assert "100.0\u00a0%" in page.inner_text("#progress")


def test_the_filter_lets_through_one_class(place: Path, go: Callable[[str], Page]) -> None:
    with serving(place) as served:
        page = go(served.url)
        wait_bouts(page)
        page.select_option("#filter-class", str(WALK))
        page.evaluate("() => document.activeElement.blur()")
        press(page, "ArrowDown")
        wait_frame(page, WALK * BOUT)
        assert page.inner_text("#selection").startswith("walk: frames 80 to 99")
        press(page, "ArrowDown")
        assert "no further bout" in page.inner_text("#alert")


def test_a_server_that_is_gone_is_said_and_the_step_waits_for_it(
    place: Path, go: Callable[[str], Page]
) -> None:
    with serving(place) as served:
        page = go(served.url)
        wait_bouts(page)
        page.route("**/edit", lambda route: route.abort())
        press(page, "ArrowDown", "3")
        page.wait_for_function(
            "() => document.querySelector('#saved').textContent.startsWith('Not saved: 1 step')"
        )
        page.unroute("**/edit")
        wait_saved(page)
        assert served.session.corrections(0).version == 1


def test_a_tab_outlives_the_server_and_sends_its_steps_to_the_next_one(
    place: Path, go: Callable[[str], Page]
) -> None:
    with serving(place) as served:
        page = go(served.url)
        wait_bouts(page)
    press(page, "ArrowDown", "3")
    page.wait_for_function(
        "() => document.querySelector('#saved').textContent.startsWith('Not saved: 1 step')"
    )
    with serving(place, port=int(served.base.rpartition(":")[2])) as again:
        page.wait_for_function(
            "() => document.querySelector('#alert').textContent.includes('started anew')"
        )
        go(again.url)
        wait_saved(page)
    assert saved(place)[:BOUT].tolist() == [LICK] * BOUT


def test_a_missing_video_and_a_refused_token_say_what_to_do(
    place: Path, study: Path, go: Callable[[str], Page]
) -> None:
    meta = place / "a_201M.meta.json"
    meta.write_text(re.sub(r'"(video\w*)": "[^"]*"', r'"\1": "/gone/a_201M.mp4"', meta.read_text()))
    with serving(place) as served:
        page = go(served.url + "x")
        assert "one-time token" in page.inner_text("body")
        page = go(served.url)
        page.wait_for_selector("#empty:not([hidden])")
        assert "--videos" in page.inner_text("#empty")


def test_the_page_works_at_125_percent_and_keys_are_explained(
    place: Path, browser: Browser
) -> None:
    with serving(place) as served:
        context = browser.new_context(
            viewport={"width": 1093, "height": 614}, device_scale_factor=1.25
        )
        page = context.new_page()
        page.goto(served.url)
        wait_frame(page, 0)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        box = page.locator("#screen").bounding_box()
        assert box is not None
        assert box["height"] > 120
        page.keyboard.press("?")
        assert page.locator("#help").is_visible()
        assert page.locator("#keys dt").count() > 20
        context.close()
