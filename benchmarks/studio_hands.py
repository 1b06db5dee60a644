"""Hands on the studio: its server in a process of its own, and the keys of a person in Chromium."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from dolorim.studio.home import StudioHome
from dolorim.studio.jobs import Job, Jobs

RATER = "newcomer"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_S = 600.0


class Server:
    """`dolorim studio FOLDER`, always at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "dolorim", "studio", str(self.folder), "--no_browser"]
        command += ["--rater", RATER, "--port", str(self.port)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            address = re.search(r"open (http\S+)", line)
            if address is not None:
                self.url = address[1]
                return
        raise RuntimeError("the studio did not start")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.communicate()
            self.process = None


class Hands:
    """A person at the keyboard of one browser. Errors on pages are collected in `errors`."""

    def __init__(self, browser: Browser, width: int = 1280, height: int = 800) -> None:
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": height}
        )
        self.errors: list[str] = []
        self.page: Page = self._new_page()

    def _new_page(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    def new_tab(self) -> None:
        """The tab goes as if its process had died, and there is another."""
        self.page.close(run_before_unload=False)
        self.page = self._new_page()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    # -- pages --

    def go(self, name: str) -> None:
        """To another page of the studio: the link in its head, by the keyboard."""
        link = self.page.get_by_role("navigation").get_by_role("link", name=name, exact=True)
        link.focus()
        self.press("Enter")
        address = "/" if name == "Study" else f"/{name.lower()}"
        self.page.wait_for_url(re.compile(rf":\d+{address}$"))

    def press_button(self, name: str, where: str = "main") -> None:
        button = self.page.locator(where).get_by_role("button", name=name).first
        button.focus()
        self.press("Enter")

    # -- the labeling room --

    def open_room(self, url: str) -> None:
        self.page.goto(url)
        self.wait_recording()

    def recording(self) -> str:
        """The name of the recording that is shown."""
        name = self.page.evaluate(
            """async () => {
              const { state } = await import("/static/state.js");
              return state.study.recordings[state.rec.id].name;
            }"""
        )
        return str(name)

    def wait_recording(self) -> None:
        self.page.wait_for_url("**/label*")
        self.until("state.rec?.marks")

    def until(self, condition: str, value: str | int | None = None) -> None:
        """Wait until something is true of the `state` of the labeling room, given a `value`."""
        # Not `wait_for_function`, which does not wait for what an async function returns.
        script = """async (value) => {
          const { state } = await import("/static/state.js");
          while (!(CONDITION)) await new Promise((go) => setTimeout(go, 20));
        }"""
        self.page.evaluate(script.replace("CONDITION", condition), value)

    def to_recording(self, name: str) -> None:
        """`r` goes from recording to recording."""
        for _ in range(1000):
            before = self.recording()
            if before == name:
                return
            self.press("r")
            self.until(
                "state.rec?.marks && state.study.recordings[state.rec.id].name !== value", before
            )
        raise RuntimeError(f"no recording {name}")

    def go_to(self, frame: int) -> None:
        self.press("g", *str(frame), "Enter")
        self.page.wait_for_function(
            "f => document.querySelector('#video').dataset.frame === String(f)", arg=frame
        )

    def label(self, start: int, stop: int, label: int) -> None:
        """A stretch between two brackets, and its class."""
        self.press("Escape")
        self.go_to(start)
        self.press("[")
        self.go_to(stop - 1)
        self.press("]", str(label + 1), "Escape")

    def to_class_on_wall(self, value: str) -> list[dict[str, Any]]:
        """Show the bouts of a class on the wall; they come back in their order."""
        with self.page.expect_response(lambda answer: "/wall/bouts?" in answer.url) as answer:
            self.page.locator("#wall-class").select_option(value)
            self.page.locator("#wall-class").dispatch_event("change")
        bouts: list[dict[str, Any]] = answer.value.json()["bouts"]
        self.page.wait_for_function(
            "n => document.querySelectorAll('#bouts li').length === n", arg=len(bouts)
        )
        self.page.locator("#bouts").focus()
        return bouts

    def wait_saved_on_wall(self) -> None:
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('#bouts b')].some((b) => /…/.test(b.textContent))"
        )

    def wait_saved(self) -> None:
        self.page.wait_for_function(
            "() => document.querySelector('#saved').textContent === 'Saved'"
        )


def wait_for(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("waited too long")
        time.sleep(0.1)


def wait_job(home: StudioHome, number: int) -> tuple[Job, float]:
    """Wait for the end of a job: what became of it, and the processor time that it took."""
    jobs, processor_s = Jobs(home.jobs), 0.0
    wait_for(lambda: len(jobs.all()) >= number)
    end = time.monotonic() + PATIENCE_S
    begun_s: float | None = None
    while not (job := jobs.get(number)).has_ended:
        if time.monotonic() > end:
            raise RuntimeError(f"job {number} does not end")
        if job.pid is not None:
            now_s = _processor_s(job.pid)
            begun_s = now_s if begun_s is None else begun_s
            processor_s = max(processor_s, now_s - begun_s)
        time.sleep(0.1)
    return job, processor_s


def _processor_s(pid: int) -> float:
    """Processor time of a process and of those that it has waited for; 0 where nothing tells."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
