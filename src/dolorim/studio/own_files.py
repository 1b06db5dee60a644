"""Tables of the study that the studio writes: never over what somebody else has written.

Before a file is replaced that the studio did not write itself, a copy goes to `dolorim/backups`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from dolorim.core.errors import UserError
from dolorim.files.structured import read_json
from dolorim.files.tables import write_text
from dolorim.studio.home import StudioHome


def digest_of(path: Path) -> str:
    """What tells one state of a file from another; empty where there is no file."""
    if not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refuse_changed(path: Path, seen: str) -> None:
    """Raises `UserError` if a file is not the one any more that a page has shown."""
    if digest_of(path) != seen:
        raise UserError(
            "has changed since this page was loaded", where=path.name, remedy="reload the page"
        )


def replace_file(
    home: StudioHome, path: Path, write: Callable[[], object], check: Callable[[], object]
) -> None:
    """Write a file by calling `write`, which may also delete it, then call `check`.

    If either raises `UserError`, the file is again what it was.
    """
    before = path.read_bytes() if path.is_file() else None
    _back_up(home, path)
    try:
        write()
        check()
    except UserError:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(before)
        raise
    _remember(home, path)


def _back_up(home: StudioHome, path: Path) -> None:
    if not path.is_file() or _written(home).get(path.name) == digest_of(path):
        return
    folder = home.own / "backups"
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{path.stem}-{datetime.now():%Y%m%d-%H%M%S}{path.suffix}"
    copy.write_bytes(path.read_bytes())


def _remember(home: StudioHome, path: Path) -> None:
    """Note that the file, as it is now, comes from the studio."""
    written = _written(home) | {path.name: digest_of(path)}
    write_text(_list_of(home), json.dumps(written, indent=1) + "\n")


def _written(home: StudioHome) -> dict[str, str]:
    try:
        written = read_json(_list_of(home))
    except UserError:
        return {}  # the worst that follows is a backup too many
    return written if isinstance(written, dict) else {}


def _list_of(home: StudioHome) -> Path:
    return home.own / "written.json"
