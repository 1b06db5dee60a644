"""A worker for tests that does what it is told, dying included; in a file that is quick to
import.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from dolorim.checks import check
from dolorim.checks.recordings import Examined
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset import extract
from dolorim.dataset.study import Source
from dolorim.video.body_length import BodyLengths


def worker(folder: Path, number: int) -> Callable[[str], str]:
    """Answers in capitals; what it is told says what happens.

    'bad' fails, 'slip' fails once, 'bug' raises what nobody expects, 'mortal' kills the worker
    once, 'fatal' always.
    """

    def work(task: str) -> str:
        first = not (folder / task).exists()
        with open(folder / task, "a") as file:
            file.write("x")
        if task == "bad" or (task == "slip" and first):
            raise UserError("bad: is bad")
        if task == "bug":
            raise ZeroDivisionError("of an empty video")
        if task == "fatal" or (task == "mortal" and first):
            os.kill(os.getpid(), signal.SIGKILL)
        return task.upper()

    if (folder / "nobody").exists():
        raise UserError("there is no network")
    return work


def kill_once(folder: Path, name: str) -> None:
    """Kill this process where a task of a name that begins with 'mortal' is met first, or 'fatal'
    is met at all."""
    first = not (folder / name).exists()
    (folder / name).touch()
    if name.startswith("fatal") or (name.startswith("mortal") and first):
        os.kill(os.getpid(), signal.SIGKILL)


def mortal_builder(
    folder: Path, config: DataConfig, lengths: BodyLengths, number: int
) -> Callable[[list[tuple[Path, Path | None]]], list[str]]:
    """What fills the frame cache, killed as the videos' names say."""

    def build(task: list[tuple[Path, Path | None]]) -> list[str]:
        kill_once(folder, task[0][0].stem)
        return extract._build(config, lengths, task)

    return build


def mortal_examiner(
    folder: Path, config: DataConfig, number: int
) -> Callable[[tuple[Source, ...]], list[Examined]]:
    """What looks at the recordings in one file in `check`, killed as their names say; 'buggy'
    raises what nobody expects."""

    def examine(sources: tuple[Source, ...]) -> list[Examined]:
        kill_once(folder, sources[0].name)
        if sources[0].name == "buggy":
            raise ZeroDivisionError("in the examiner")
        return check._examine(config, sources)

    return examine
