"""Bugs, as opposed to user errors: one line names them, and their traceback goes to a log file."""

from __future__ import annotations

import os
import traceback
from datetime import datetime
from pathlib import Path

import platformdirs


def summarize(error: BaseException) -> str:
    """An exception as one line: its type and its message."""
    message = " ".join(str(error).split())
    if not message:
        return type(error).__name__
    return f"{type(error).__name__}: {message}"


def traceback_of(error: BaseException) -> str:
    """The traceback of an exception as text of several lines."""
    return "".join(traceback.format_exception(error))


def crash_log() -> Path:
    """The file that collects tracebacks: `DOLORIM_LOG`, or one in the user's log folder."""
    given = os.environ.get("DOLORIM_LOG")
    if given:
        return Path(given)
    return Path(platformdirs.user_log_path("dolorim")) / "crashes.log"


def log_crash(where: str, trace: str) -> str:
    """Append a traceback to the log, and return the end of a message that says where it is.

    With `DOLORIM_DEBUG` set, the traceback is printed as well. It is also printed if the log
    cannot be written.
    """
    # Imported here because rich takes a while to load, and most commands never crash.
    from rich.console import Console

    path = crash_log()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {where}\n{trace}\n")
        logged = True
    except OSError:
        logged = False
    if os.environ.get("DOLORIM_DEBUG") or not logged:
        Console(stderr=True, soft_wrap=True, highlight=False).print(trace, markup=False)
    place = f"its traceback is in {path}" if logged else "its traceback is above"
    return f"this is a bug; please report it ({place})"
