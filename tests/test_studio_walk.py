"""The whole way through the studio by the keyboard alone, and what outlives a kill on the way."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from browsing import Browser, Page, press, visiting, wait_bouts, wait_open, wait_saved
from dolorim.files.tables import read_table
from dolorim.labels.ethogram import PAIN
from dolorim.labels.label_files import read_labels
from dolorim.review.history import read_history
from dolorim.studio.server import make_studio_app
from dolorim.studio.studio import PAGES, Studio
from reviewing import BOUT, predicted_study, serving_app
from videos import numbered, write_film

FOCUSED = """() => {
  const { activeElement: a } = document;
  if (a === document.body) return "";
  const label = a.getAttribute("aria-label") ?? "";
  return [a.textContent.trim(), a.value ?? "", label, a.tagName].join("|");
}"""
# What a person could want to press on this page, and the keyboard cannot reach: the Tab key passes
# by all others. Of radio buttons of one name it reaches the one that is on.
UNREACHABLE = """(reached) => {
  const seen = new Set(reached);
  const wanted = [...document.querySelectorAll("a[href], button, input, select, summary, iframe")];
  return wanted
    .filter((e) => e.checkVisibility() && !e.disabled && e.type !== "hidden")
    .filter((e) => e.type !== "radio" || e.checked)
    .filter((e) => !seen.has(e.dataset.number))
    .map((e) => e.outerHTML.slice(0, 100));
}"""


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """Two videos with predictions and a finished run. Jobs are queued, and none runs."""
    monkeypatch.setattr("dolorim.studio.jobs._start_runner", lambda folder: None)
    folder = tmp_path / "study"
    predictions = predicted_study(folder)
    run = folder / "dolorim" / "runs" / "01"
    run.mkdir(parents=True)
    predictions.rename(folder / "dolorim" / "predictions")
    (run / "metrics.json").write_text('{"test": {"macro_f1": 0.5, "animals": ["a"], "frames": 9}}')
    return Studio(folder, "ann")


def tab_to(page: Page, pattern: str) -> None:
    """Press Tab until what has the focus is called like that."""
    for _ in range(200):
        page.keyboard.press("Tab")
        if re.search(pattern, page.evaluate(FOCUSED)):
            return
    raise AssertionError(f"Tab does not reach {pattern}")


def follow(page: Page, name: str) -> None:
    """To another page of the studio."""
    tab_to(page, rf"^{name}\|")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf":\d+{PAGES[name]}$"))


def unreachable(page: Page) -> list[str]:
    """Tab once around the page; what was not passed by."""
    page.evaluate(
        "() => document.querySelectorAll('*').forEach((e, i) => { e.dataset.number = i; })"
    )
    reached: list[str] = []
    for _ in range(300):
        page.keyboard.press("Tab")
        number = page.evaluate("() => document.activeElement.dataset.number")
        if number in reached[:1]:
            break
        reached.append(number)
    rest: list[str] = page.evaluate(UNREACHABLE, reached)
    return rest


def test_the_whole_way_by_the_keyboard_alone(studio: Studio, browser: Browser) -> None:
    folder = studio.home.folder
    with serving_app(make_studio_app(studio)) as url, visiting(browser) as visit:
        page = visit(url)
        page.set_viewport_size({"width": 1024, "height": 700})
        # Groups are typed in; Enter saves them.
        for name, group in (("a_201M", "drug"), ("b_202F", "vehicle")):
            tab_to(page, rf"\|group of {name}")
            page.keyboard.type(group)
        press(page, "Enter")
        page.wait_for_selector("#recordings [role=status]")
        table = read_table(folder / "recordings.csv")
        group = table.header.index("group")
        assert [row[group] for row in table.rows] == ["drug", "vehicle"]

        follow(page, "Label")
        wait_bouts(page)
        press(page, "3")
        wait_saved(page)
        tab_to(page, "^← Studio")
        press(page, "Enter")
        page.wait_for_url(re.compile(r":\d+/$"))

        follow(page, "Wall")
        page.wait_for_selector("#bouts li[aria-selected]")
        tab_to(page, r"\|Bouts\|OL$")
        press(page, "a")
        page.wait_for_selector("#bouts li[data-verdict=accepted]")
        page.wait_for_function("() => !document.querySelector('#alert .bad')")

        follow(page, "Learn")
        press(page, "l")
        page.wait_for_selector("#jobs li:nth-child(1)")
        for number, (name, button) in enumerate(
            (("Predict", "Label all"), ("Findings", "Make the report"), ("Export", "Export")), 2
        ):
            follow(page, name)
            tab_to(page, rf"^{button}.*BUTTON$")
            press(page, "Enter")
            page.wait_for_selector(f"#jobs li:nth-child({number})")
        titles = [job.title for job in studio.jobs.all()]
        assert titles == [
            "Learn, round 02",
            "Label 2 videos of this study with run 01",
            "Report",
            "Export to boris",
        ]
    files = sorted((studio.home.labels / "ann").glob("*_20[0-9][MF].csv"))
    labels = [read_labels(file, PAIN).labels for file in files]
    assert (labels[0][:BOUT] == 2).all()
    # The bout that was labeled, and the one that was accepted on the wall.
    assert sum((of_file >= 0).sum() for of_file in labels) == 2 * BOUT


def test_tab_reaches_every_control_and_nothing_is_cut_off(studio: Studio, browser: Browser) -> None:
    with serving_app(make_studio_app(studio)) as url, visiting(browser) as visit:
        page = visit(url)
        for width, height in ((1024, 700), (1280, 800)):
            page.set_viewport_size({"width": width, "height": height})
            for name, address in PAGES.items():
                if name == "Label":
                    continue  # its own tests
                page.goto(url.partition("/?")[0] + address)
                if name == "Wall":
                    page.wait_for_selector("#bouts li[aria-selected]")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
                if width == 1024:
                    assert unreachable(page) == [], name


def start_server(folder: Path, port: int) -> tuple[subprocess.Popen[str], str]:
    """The command itself, in a process that can be killed, and the address that it prints."""
    command = [sys.executable, "-m", "dolorim", "studio", str(folder), "--no_browser"]
    command += ["--rater", "ann", "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("open "):
            return process, line.split()[1]
    raise AssertionError("the server did not start")


def test_nothing_is_lost_or_doubled_when_server_and_tab_are_killed(
    tmp_path: Path, browser: Browser
) -> None:
    write_film(tmp_path / "a_201M.mp4", numbered(30, 96, 128))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server, url = start_server(tmp_path, port)
    try:
        with visiting(browser) as visit:
            page = visit(url)
            page.goto(f"http://127.0.0.1:{port}/label")
            wait_bouts(page)
            press(page, "[", *["ArrowRight"] * 4, "]", "2")
            wait_saved(page)
            server.kill()
            server.communicate()
            # Nobody is there to take this step, and then the page is gone, too.
            press(page, "3")
            page.wait_for_function("() => document.querySelector('#saved').textContent !== 'Saved'")
            page.close(run_before_unload=False)
            server, url = start_server(tmp_path, port)
            page = visit(url)
            page.goto(f"http://127.0.0.1:{port}/label")
            wait_open(page)
            page.wait_for_function(
                "() => !Object.keys(localStorage).some((key) => key.startsWith('dolorim unsent'))"
            )
            wait_saved(page)
    finally:
        server.kill()
        server.communicate()
    folder = tmp_path / "dolorim" / "labels" / "ann"
    steps, _ = read_history(folder / "a_201M.history.jsonl")
    ids = [step["id"] for step in steps]
    assert len(ids) == len(set(ids)) == 2
    labels = read_labels(folder / "a_201M.csv", PAIN).labels
    assert (labels[:5] == 2).all()
    assert (labels[5:] == -1).all()
