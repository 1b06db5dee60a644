"""When a trial begins within its recording: the columns `start_s` and `start_frame`.

They say when the drug was given or the trial began, in the tables of recordings and of groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.subjects import cell
from dolorim.files.tables import number_in

COLUMNS = ("start_s", "start_frame")


@dataclass(frozen=True)
class Start:
    """A time of a recording in seconds, or one of its frames; one of the two is None.

    `text` is what a person wrote, with its column.
    """

    seconds: float | None
    frame: int | None
    text: str

    def in_seconds(self, edges_s: np.ndarray) -> float:
        """The time in a recording whose frames begin at `edges_s`, with the end of the last one.

        Raises `UserError` where the recording ends before it.
        """
        seconds = self.seconds
        if self.frame is not None and self.frame < len(edges_s) - 1:
            seconds = float(edges_s[self.frame] - edges_s[0])
        if seconds is None or seconds >= edges_s[-1] - edges_s[0]:
            raise UserError(self.too_late(float(edges_s[-1] - edges_s[0])))
        return seconds

    def in_frames(self, time_s: np.ndarray) -> int:
        """The first frame, of those shown at `time_s`, that is not before it.

        Raises `UserError` where the recording ends before it.
        """
        frame = self.frame
        if self.seconds is not None and len(time_s):
            # Half a millisecond, as containers round times.
            frame = int(np.searchsorted(time_s - time_s[0], self.seconds - 5e-4))
        if frame is None or frame >= len(time_s):
            length_s = float(time_s[-1] - time_s[0]) if len(time_s) else 0.0
            raise UserError(self.too_late(length_s))
        return frame

    def too_late(self, length_s: float) -> str:
        return f"{self.text} lies after the end of the recording, which lasts {length_s:.4g} s"


def start_of(columns: Mapping[str, str], where: object) -> Start | None:
    """The start that a line of a table gives; None where its cells are empty or not there.

    Raises `UserError` for a cell that holds no time in a recording, and for two of them.
    """
    given = _cells_given(columns)
    if not given:
        return None
    if len(given) > 1:
        listed = " and ".join(f"{name} {text}" for name, text in given.items())
        raise UserError(f"has {listed}", where=where, remedy="give one of them")
    ((name, text),) = given.items()
    is_frame = name == "start_frame"
    value = number_in(text)
    if value is None or value < 0 or (is_frame and not value.is_integer()):
        unit = "frame number, counted from 0" if is_frame else "number of seconds"
        raise UserError(
            f"{name} is {text!r}",
            where=where,
            remedy=f"give a {unit} within the recording; nothing can count from before it",
        )
    if is_frame:
        return Start(None, int(value), f"{name} {text}")
    return Start(value, None, f"{name} {text}")


def _cells_given(columns: Mapping[str, str]) -> dict[str, str]:
    """The cells of a start that are not empty, by column."""
    cells = {name: (cell(columns, name) or "").strip() for name in COLUMNS}
    return {name: text for name, text in cells.items() if text}
