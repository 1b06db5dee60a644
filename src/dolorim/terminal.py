"""What a command says while it works, on stderr: lines, and progress bars."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

PROGRESS_FILE = "DOLORIM_PROGRESS"  # names a file that a program reads the progress from
_PERIOD_S = 0.5  # between two writings of that file

console = Console(stderr=True, soft_wrap=True, highlight=False)
# A worker process stays quiet: the process that started it reports.
_quiet = multiprocessing.parent_process() is not None
_display: Progress | None = None  # the bars that are on the screen
_bars: list[_Bar] = []  # all bars, the outermost first, on a screen or not
_written = 0.0  # when the file of the progress was written last
_verbose = False


def be_verbose(verbose: bool) -> None:
    """Also show details for developers, such as the shapes of tensors, or stop showing them."""
    global _verbose
    _verbose = verbose


def detail(text: str) -> None:
    """Print something that only `--verbose` shows."""
    if _verbose:
        say(text)


def be_quiet(quiet: bool) -> None:
    """Print only warnings from here on, or print everything again."""
    global _quiet
    _quiet = quiet


def say(text: str) -> None:
    """Print a line, unless quiet."""
    if not _quiet:
        console.print(text, markup=False)


def show(table: Table) -> None:
    """Print a table, unless quiet."""
    if not _quiet:
        console.print(table)


def warn(text: str) -> None:
    """Print a warning, even when quiet."""
    console.print(f"warning: {text}", markup=False, style="yellow")


def shows_progress() -> bool:
    """Can a progress bar be shown, in a terminal or in a notebook?

    A notebook draws the bar with ipywidgets; without that package there is none.
    """
    if _quiet:
        return False
    if console.is_jupyter:
        return find_spec("ipywidgets") is not None
    return sys.stderr.isatty()


@contextmanager
def progress(what: str, total: int | None) -> Iterator[_Bar]:
    """A bar that counts to `total`, below the bar that is already shown, if there is one.

    Where no bar can be shown (`shows_progress`), nothing is. If the environment variable
    `DOLORIM_PROGRESS` names a file, that file tells how far all bars are, as JSON.
    """
    with _shown(what, total) as bar:
        bar.what, bar.total = what, total
        _bars.append(bar)
        _write_progress()
        try:
            yield bar
        finally:
            _bars.remove(bar)


@contextmanager
def _shown(what: str, total: int | None) -> Iterator[_Bar]:
    """A bar on the screen, or one that nobody sees."""
    global _display
    if not shows_progress():
        if console.is_jupyter:
            _say_what_bars_need()
        yield _Bar(None, TaskID(0))
        return
    # rich allows one live display per console: an inner bar becomes a row of the outer display.
    if _display is not None:
        task = _display.add_task(what, total=total)
        try:
            yield _Bar(_display, task)
        finally:
            _display.remove_task(task)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as display:
        _display = display
        try:
            yield _Bar(display, display.add_task(what, total=total))
        finally:
            _display = None


@cache
def _say_what_bars_need() -> None:
    say("to see progress bars in this notebook: pip install ipywidgets, then restart the kernel")


class _Bar:
    """One row of the display; without a display, it only counts."""

    def __init__(self, display: Progress | None, task: TaskID) -> None:
        self._display, self._task = display, task
        self.what, self.done = "", 0
        self.total: int | None = None

    def __call__(self, steps: int) -> None:
        self.done += steps
        _write_progress()
        if self._display is not None:
            self._display.update(self._task, advance=steps)

    def describe(self, what: str) -> None:
        self.what = what
        if self._display is not None:
            self._display.update(self._task, description=what)


def _write_progress() -> None:
    """Write how far all bars are, at most twice per second, where a program wants to know."""
    global _written
    path = os.environ.get(PROGRESS_FILE)
    now = time.monotonic()
    # A worker process has bars of its own parts only.
    is_worker = multiprocessing.parent_process() is not None
    if not path or is_worker or now - _written < _PERIOD_S:
        return
    _written = now
    rows = [{"what": bar.what, "done": bar.done, "total": bar.total} for bar in _bars]
    part = Path(f"{path}.part")
    with suppress(OSError):  # progress is not worth stopping for
        part.write_text(json.dumps(rows), "utf-8")
        part.replace(path)
