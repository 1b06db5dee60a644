"""The studio in a browser: drawing, pasting, and jobs that are shown while they change."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from browsing import Browser, Page, visiting
from dolorim.files.chambers import read_chambers
from dolorim.files.tables import read_table
from dolorim.studio.jobs import Job
from dolorim.studio.server import make_studio_app
from dolorim.studio.studio import Studio
from reviewing import serving_app
from videos import numbered, write_film


@pytest.fixture(scope="module")
def filmed_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filmed_study")
    for name in ("one_201M.mp4", "two_202F.mp4"):
        write_film(folder / name, numbered(4, 120, 160))
    return folder


@pytest.fixture
def studio(filmed_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setattr("dolorim.studio.jobs._start_runner", lambda folder: None)
    return Studio(Path(shutil.copytree(filmed_study, tmp_path / "study")), "ann")


@pytest.fixture
def page(studio: Studio, browser: Browser) -> Iterator[Page]:
    with serving_app(make_studio_app(studio)) as url, visiting(browser) as visit:
        yield visit(url)


def test_chambers_are_drawn_over_a_frame_and_saved(page: Page, studio: Studio) -> None:
    page.click("#drawing summary")
    page.wait_for_selector("#chambers-canvas[data-shown]")
    page.locator("#chambers-canvas").scroll_into_view_if_needed()
    box = page.locator("#chambers-canvas").bounding_box()
    assert box is not None
    for left in (10, 90):
        page.mouse.move(box["x"] + left, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + left + 60, box["y"] + 100)
        page.mouse.up()
    page.locator("#chambers-table [name=chamber]").nth(1).fill("right")
    page.click("text=Save chambers.csv")
    page.wait_for_selector("#chambers [role=status]")
    left_one, right_one = read_chambers(studio.home.chambers_table).shared
    assert (left_one.name, left_one.box) == ("A1", (10, 20, 70, 100))
    assert (right_one.name, right_one.box) == ("right", (90, 20, 150, 100))
    # Each chamber is now a recording; what cannot be is said in a line.
    page.wait_for_selector("text=two_202F.right")
    page.locator("#chambers-table [name=x1]").first.fill("5000")
    page.click("text=Save chambers.csv")
    assert "within the picture" in (page.text_content("#alert .bad") or "")
    page.locator("#chambers-table [name=x1]").first.fill("70")
    page.click("text=Save chambers.csv")
    page.wait_for_selector("#alert .bad", state="detached")


def test_a_column_is_pasted_from_a_spreadsheet(page: Page, studio: Studio) -> None:
    first = page.locator("[name=cell-animal]").first
    first.focus()
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.setData("text/plain", "m1\\tdrug\\nm2\\tsham\\n");
          const options = { clipboardData: data, bubbles: true, cancelable: true };
          const event = new ClipboardEvent("paste", options);
          document.activeElement.dispatchEvent(event);
        }"""
    )
    page.click("text=Save recordings.csv")
    page.wait_for_selector("#recordings [role=status]")
    table = read_table(studio.home.recordings_table)
    assert [row[:3] for row in table.rows] == [
        ["one_201M.mp4", "m1", "drug"],
        ["two_202F.mp4", "m2", "sham"],
    ]


def test_jobs_are_shown_while_they_change_and_what_was_opened_stays_open(
    page: Page, studio: Studio
) -> None:
    page.click("text=Check the study")
    page.wait_for_selector("#jobs .job.queued")
    assert page.locator("#check button").is_disabled()
    jobs = studio.jobs

    def write(state: str) -> None:
        with jobs.changing():
            job = jobs.get(1)
            jobs.write(Job(1, job.title, job.commands, state=state, ended=1.0))  # type: ignore[arg-type]

    write("failed")
    page.wait_for_selector("#jobs .job.failed")
    page.click("#jobs summary")
    write("interrupted")
    page.wait_for_selector("#jobs .job.interrupted details[open]")
    # By keyboard alone: the focus survives what is drawn anew.
    page.focus("#jobs button")
    write("canceled")
    page.wait_for_selector("#jobs .job.canceled")
    page.keyboard.press("Enter")
    page.wait_for_selector("#jobs .job.queued")
    assert jobs.get(1).state == "queued"


@pytest.mark.parametrize(("width", "height"), [(1024, 700), (1280, 800)])
def test_no_page_is_wider_than_the_window(page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    origin = page.url.rstrip("/")
    for name in ("", "learn", "wall", "predict", "findings", "export"):
        page.goto(f"{origin}/{name}")
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), name
