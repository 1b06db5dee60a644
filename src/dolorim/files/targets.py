"""Can results be written where a command was told to put them? Asked before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

from dolorim.core.errors import UserError


def check_folder(path: Path | None, flag: str) -> None:
    """Raises `UserError` where no folder of this name is or can be made, or nothing can be written to it."""
    if path is not None:
        if _exists(path, flag) and not path.is_dir():
            raise UserError(f"{flag} {path}: is not a folder; name one for the results")
        _check_parents(path, path, flag)


def check_file(path: Path | None, flag: str) -> None:
    """The same for a file that is to be written; `-` is the standard output."""
    if path is not None and str(path) != "-":
        if _exists(path, flag) and path.is_dir():
            raise UserError(f"{flag} {path}: is a folder; name a file")
        _check_parents(path, path.absolute().parent, flag)


def _check_parents(asked: Path, folder: Path, flag: str) -> None:
    """The nearest folder that exists must be one, and one that can be written to."""
    nearest = folder.absolute()
    while not _exists(nearest, flag) and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise UserError(f"{flag} {asked}: {nearest} is a file, not a folder; choose another place")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(
            f"{flag} {asked}: {nearest} cannot be written to; ask for permission or choose another place"
        )


def _exists(path: Path, flag: str) -> bool:
    """Links to nothing count: nothing can be made where they are."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (
        OSError,
        ValueError,
    ) as error:  # a name that is too long, a folder that may not be looked into
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{flag} {path}: cannot be used ({reason}); choose another place") from None
    return True
