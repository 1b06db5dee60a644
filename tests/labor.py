"""A worker for tests that does what it is told, dying included; in a file that is quick to import."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from dolorim.core.errors import UserError


def worker(folder: Path, number: int) -> Callable[[str], str]:
    """Answers in capitals; 'bad' fails, 'mortal' kills the worker once, 'fatal' always, 'slip' fails once."""

    def work(task: str) -> str:
        first = not (folder / task).exists()
        with open(folder / task, "a") as file:
            file.write("x")
        if task == "bad" or (task == "slip" and first):
            raise UserError("bad: is bad")
        if task == "fatal" or (task == "mortal" and first):
            os.kill(os.getpid(), signal.SIGKILL)
        return task.upper()

    if (folder / "nobody").exists():
        raise UserError("there is no network")
    return work
