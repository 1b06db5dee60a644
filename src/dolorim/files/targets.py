"""Can results be written where a command should put them? Checked before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

from dolorim.core.errors import UserError


def check_folder(path: Path | None, flag: str) -> None:
    """Raises `UserError` unless the folder exists or can be made, and can be written to."""
    if path is None:
        return
    if _exists(path, flag) and not path.is_dir():
        raise UserError(
            "is not a folder", where=f"{flag} {path}", remedy="name one for the results"
        )
    _check_parents(path, path, flag)


def check_file(path: Path | None, flag: str) -> None:
    """Raises `UserError` unless the file can be written; `-` is the standard output."""
    if path is None or str(path) == "-":
        return
    if _exists(path, flag) and path.is_dir():
        raise UserError("is a folder", where=f"{flag} {path}", remedy="name a file")
    _check_parents(path, path.absolute().parent, flag)


def _check_parents(asked: Path, folder: Path, flag: str) -> None:
    """Raises `UserError` unless the nearest existing parent is a folder that can be written to."""
    nearest = folder.absolute()
    while not _exists(nearest, flag) and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise UserError(
            f"{nearest} is a file, not a folder",
            where=f"{flag} {asked}",
            remedy="choose another place",
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(
            f"{nearest} cannot be written to",
            where=f"{flag} {asked}",
            remedy="ask for permission or choose another place",
        )


def _exists(path: Path, flag: str) -> bool:
    """Does the name exist? A link to nothing counts, since nothing can be made in its place."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:  # the name is too long, or a folder must not be listed
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot be used ({reason})", where=f"{flag} {path}", remedy="choose another place"
        ) from None
    return True
