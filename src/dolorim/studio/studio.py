"""What all pages of the studio share: the study, its jobs, its labeling room, and the templates."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse

from dolorim.core.errors import UserError
from dolorim.reporting.rendering import templates_of
from dolorim.review.session import Session
from dolorim.studio.home import open_home
from dolorim.studio.jobs import Jobs
from dolorim.studio.room import Room, open_room, stamp_of

# Names of pages, and their addresses.
PAGES = {
    "Study": "/",
    "Label": "/label",
    "Learn": "/learn",
    "Wall": "/wall",
    "Predict": "/predict",
    "Findings": "/findings",
    "Export": "/export",
}


# Where systems show other drives.
_DRIVES = ("/mnt", "/media", "/run/media", "/Volumes")


class Studio:
    """One study that is open in the browser, for one rater."""

    def __init__(self, folder: Path, rater: str, tell: Callable[[str], object] = print) -> None:
        self.rater, self.tell = rater, tell
        self.home = open_home(folder)
        self.roots = _roots(self.home.folder)
        self._lock = threading.RLock()
        self._room: Room | None = None

    @property
    def jobs(self) -> Jobs:
        return Jobs(self.home.jobs)

    def open(self, folder: Path) -> None:
        """Turn to another study. Raises `UserError` if there is no such folder."""
        home = open_home(folder)
        with self._lock:
            self.close()
            self.home = home

    def room(self) -> Session:
        """The session of the labeling room, opened anew if what it shows has changed.

        Raises `UserError` if there is nothing to label.
        """
        return self.open_room().session

    def open_room(self) -> Room:
        """The labeling room as it is now; see `room`."""
        # One request at a time opens it, and the others wait for the same one.
        with self._lock:
            if self._room is None or self._room.stamp != stamp_of(self.home):
                self.close()
                self._room = open_room(self.home, self.rater, self.tell)
            return self._room

    def current_room(self) -> Room:
        """The labeling room as it was opened last, or as it is now if it is not open."""
        with self._lock:
            return self._room or self.open_room()

    @property
    def room_note(self) -> str:
        """What the labeling room cannot show; empty if that is nothing, or it is not open."""
        with self._lock:
            return "" if self._room is None else self._room.note

    def close(self) -> None:
        """Close the labeling room. Raises `UserError` if labels cannot be written."""
        with self._lock:
            if self._room is not None:
                self._room.close()
                self._room = None

    def render(
        self,
        template: str,
        *,
        page: str = "",
        commands: Sequence[Sequence[str]] = (),
        status: int = 200,
        **values: Any,
    ) -> HTMLResponse:
        """A page or a part of one. `commands` do the same at a terminal: arguments of dolorim."""
        shown = {
            "page": page,
            "pages": PAGES,
            "home": self.home,
            "rater": self.rater,
            "commands": [as_typed(command) for command in commands],
        }
        text = templates_of("dolorim.studio").get_template(template).render(**shown, **values)
        return HTMLResponse(text, status)


def _roots(folder: Path) -> tuple[Path, ...]:
    """What the folder picker may reach: the user's files, the study with its neighbors, drives."""
    drives = [place for place in map(Path, _DRIVES) if place.is_dir()]
    neighbors = folder.parent
    if neighbors == Path(folder.anchor):
        neighbors = folder
    return (Path.home().resolve(), neighbors, *drives)


def as_typed(command: Sequence[str]) -> str:
    """A command as one would type it."""
    return shlex.join(["dolorim", *command])


def text_in(values: dict[str, Any], name: str, default: str = "") -> str:
    """One value of a form as text. Raises `UserError` if it is anything else."""
    value = values.get(name, default)
    if not isinstance(value, str):
        raise UserError(f"{name}: expected text")
    return value.strip()


def texts_in(values: dict[str, Any], name: str) -> list[str]:
    """All values of a form's fields of one name. Raises `UserError` if they are not text."""
    value = values.get(name, [])
    # A form with one such field sends its value alone.
    several = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in several):
        raise UserError(f"{name}: expected text")
    return [one.strip() for one in several]
