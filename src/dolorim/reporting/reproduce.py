"""`reproduce/`: what a report was made from, its settings, and the command that repeats it."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from dolorim import __version__
from dolorim.files.naming import is_video
from dolorim.files.tables import write_text

FOLDER = "reproduce"
_POSITIONAL = "predictions"


def write_reproduce(out: Path, settings: Mapping[str, Any]) -> None:
    """Write `command.txt`, `inputs.json` and `versions.txt`.

    `settings` are those of the report by the names of their flags (`ReportOptions.shown`).
    """
    folder = out / FOLDER
    write_text(folder / "command.txt", f"{command(settings)}\n")
    inputs = {str(file): _sha256(file) for file in _inputs(settings, out)}
    write_text(folder / "inputs.json", json.dumps({"sha256": inputs}, indent=1) + "\n")
    installed = sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()})
    lines = [f"# Python {platform.python_version()}, dolorim {__version__}", *installed]
    write_text(folder / "versions.txt", "\n".join(lines) + "\n")


def command(settings: Mapping[str, Any]) -> str:
    """The command line that makes the report again."""
    words = ["dolorim", "report", str(settings[_POSITIONAL])]
    for name, value in settings.items():
        if name == _POSITIONAL:
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no_{name}")
        elif isinstance(value, (list, tuple)):
            words += [f"--{name}", *map(str, value)]
        else:
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def _inputs(settings: Mapping[str, Any], out: Path) -> Iterable[Path]:
    """Every file that a setting names, and the files of folders but videos and the report."""
    for value in settings.values():
        if not isinstance(value, Path) or value == out:
            continue
        files = sorted(value.rglob("*")) if value.is_dir() else [value]
        for file in files:
            within_report = out in file.parents
            if file.is_file() and not is_video(file) and not within_report:
                yield file


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
