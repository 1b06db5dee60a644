"""What a command says while it works: to stderr, with a bar where somebody watches, in plain lines where not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

console = Console(stderr=True, soft_wrap=True, highlight=False)
_quiet = False
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
    """A bar that counts to `total`; without a terminal it says nothing."""
    if not watched():
        yield _Bar(None, TaskID(0))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        yield _Bar(shown, shown.add_task(what, total=total))


class _Bar:
    def __init__(self, shown: Progress | None, task: TaskID) -> None:
        self._shown, self._task = shown, task

    def __call__(self, steps: int) -> None:
        if self._shown is not None:
            self._shown.update(self._task, advance=steps)
