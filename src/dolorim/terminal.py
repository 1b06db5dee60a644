"""What a command says while it works: to stderr, with a bar where somebody watches, in plain lines where not."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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

console = Console(stderr=True, soft_wrap=True, highlight=False)
_quiet = (
    multiprocessing.parent_process() is not None
)  # whoever has started this process does the talking
_display: Progress | None = None  # the bars that are on the screen
_verbose = False


def be_verbose(verbose: bool) -> None:
    """Tell what only a developer needs to know as well: shapes of tensors and the like."""
    global _verbose
    _verbose = verbose


def detail(text: str) -> None:
    """Say something that only `--verbose` shows."""
    if _verbose:
        say(text)


def be_quiet(quiet: bool) -> None:
    """Say nothing but warnings from here on, or talk again."""
    global _quiet
    _quiet = quiet


def say(text: str) -> None:
    if not _quiet:
        console.print(text, markup=False)


def show(table: Table) -> None:
    if not _quiet:
        console.print(table)


def warn(text: str) -> None:
    console.print(f"warning: {text}", markup=False, style="yellow")


def watched() -> bool:
    """Is there a terminal, so that a progress bar makes sense?"""
    return sys.stderr.isatty() and not _quiet


@contextmanager
def progress(what: str, total: int | None) -> Iterator[_Bar]:
    """A bar that counts to `total`, below the bar that is shown already, if any; without a terminal it says nothing."""
    global _display
    if not watched():
        yield _Bar(None, TaskID(0))
        return
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


class _Bar:
    def __init__(self, shown: Progress | None, task: TaskID) -> None:
        self._shown, self._task = shown, task

    def __call__(self, steps: int) -> None:
        if self._shown is not None:
            self._shown.update(self._task, advance=steps)

    def describe(self, what: str) -> None:
        if self._shown is not None:
            self._shown.update(self._task, description=what)
