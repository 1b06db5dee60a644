"""A real browser for tests of the review page, and what hands do in it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolorim.labels.ethogram import PAIN
from dolorim.labels.label_files import read_labels

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = os.environ.get("DOLORIM_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
Page = sync_api.Page
Browser = sync_api.Browser


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(
            "no Chromium here (looked for chromium, chromium-browser, google-chrome and "
            "$DOLORIM_CHROMIUM)"
        )
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Visitor:
    """A browser that knows nothing yet; calling it opens an address. Errors on its pages are
    collected."""

    def __init__(self, browser: Browser) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 800})
        self.errors: list[str] = []

    def __call__(self, url: str) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(url)
        return page


@contextlib.contextmanager
def visiting(browser: Browser) -> Iterator[Visitor]:
    """Fails for any error on the pages that were opened."""
    visitor = Visitor(browser)
    yield visitor
    visitor.context.close()
    assert visitor.errors == []


def wait_frame(page: Page, frame: int) -> None:
    page.wait_for_function(
        "f => document.querySelector('#video').dataset.frame === String(f)", arg=frame
    )


def wait_open(page: Page) -> None:
    """The picture comes first; keys that go from bout to bout have to wait for the recording."""
    # Not `wait_for_function`, which does not wait for what an async function returns.
    page.evaluate(
        """async () => {
          const { state } = await import("/static/state.js");
          while (!state.rec?.marks) await new Promise((go) => setTimeout(go, 20));
        }"""
    )


def wait_bouts(page: Page) -> None:
    wait_frame(page, 0)
    wait_open(page)


def wait_saved(page: Page) -> None:
    page.wait_for_function("() => document.querySelector('#saved').textContent === 'Saved'")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def go_to(page: Page, frame: int) -> None:
    press(page, "g", *str(frame), "Enter")
    wait_frame(page, frame)


def timeline_xy(page: Page, frame: float, row: str = "corrected") -> tuple[float, float]:
    """Where on the page a frame lies in a row of the timeline."""
    corner = page.evaluate(
        """async ([frame, row]) => {
          const { state } = await import("/static/state.js");
          const { layout } = await import("/static/timeline.js");
          const box = document.querySelector("#timeline").getBoundingClientRect();
          const r = layout().find((r) => r.name === row);
          const share = (frame - state.view.first) / (state.view.last - state.view.first);
          return [box.x + 92 + share * (box.width - 92), box.y + r.y + r.height / 2];
        }""",
        [frame, row],
    )
    return corner[0], corner[1]


def drag(page: Page, start: float, stop: float, row: str = "corrected") -> None:
    """With the left button, from one frame to another."""
    page.mouse.move(*timeline_xy(page, start, row))
    page.mouse.down()
    page.mouse.move(*timeline_xy(page, (start + stop) / 2, row))
    page.mouse.move(*timeline_xy(page, stop, row))
    page.mouse.up()


def page_state(page: Page) -> dict[str, Any]:
    """What the page holds: labels of all frames, the frame, the selection."""
    state: dict[str, Any] = page.evaluate(
        """async () => {
          const { state } = await import("/static/state.js");
          const { frame, selection, mark, paint, rec } = state;
          const labels = Array.from(rec.effective), marks = Array.from(rec.marks);
          return { frame, selection, mark, paint, labels, marks };
        }"""
    )
    return state


def saved(place: Path, name: str = "a_201M") -> np.ndarray:
    return read_labels(place / "review" / "ann" / f"{name}.csv", PAIN).labels
