"""What is not a user's mistake but a bug: it is named where it happened, and its traceback goes to a log file."""

from __future__ import annotations

import os
import traceback
from datetime import datetime
from pathlib import Path

import platformdirs


def summarize(error: BaseException) -> str:
    """An exception as one line: its type and its message."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def traceback_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def crash_log() -> Path:
    """The file that tracebacks are appended to: that of `DOLORIM_LOG`, else one in the user's log folder."""
    given = os.environ.get("DOLORIM_LOG")
    return Path(given) if given else Path(platformdirs.user_log_path("dolorim")) / "crashes.log"


def log_crash(where: str, trace: str) -> str:
    """Append a traceback to the log and say where it stands, for the end of a message.

    With `DOLORIM_DEBUG` set, the traceback is printed as well; where the log cannot be written, it is printed instead.
    """
    from rich.console import Console

    path = crash_log()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {where}\n{trace}\n")
        place = f"its traceback is in {path}"
    except OSError:
        place = "its traceback is above"
    if os.environ.get("DOLORIM_DEBUG") or place.endswith("above"):
        Console(stderr=True, soft_wrap=True, highlight=False).print(trace, markup=False)
    return f"this is a bug; please report it ({place})"
