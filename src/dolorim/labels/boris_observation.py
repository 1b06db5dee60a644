"""One observation of BORIS: its rows and its media files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NO_SUBJECT = ("", "no focal subject")
# Where nobody states the rate, half a frame at this rate is rounding and no behavior.
_ASSUMED_RATE_HZ = 50.0


@dataclass(frozen=True)
class Row:
    """A START, STOP, POINT or STATE (a whole bout).

    `where` names the place in the file for messages. Times are seconds of the observation; image
    indices are kept as written.
    """

    where: str
    media: str
    subject: str
    behavior: str
    modifiers: tuple[str, ...]
    status: str
    start: float | None
    stop: float | None
    images: tuple[str, str] = ("", "")

    @property
    def is_point(self) -> bool:
        """Whether the row is an event without a duration."""
        return self.status == "POINT"

    @property
    def is_timed(self) -> bool:
        """Whether the row has times, and not only image indices."""
        return self.start is not None and self.stop is not None


@dataclass(frozen=True)
class Media:
    """A media file of an observation, and when it begins there; None for what the file omits.

    `has_next` is true where another file follows it in the same player, `alone` where it is the
    only one.
    """

    path: str
    start_s: float | None = 0.0
    length_s: float | None = None
    rate_hz: float | None = None
    has_next: bool = False
    alone: bool = True

    @property
    def name(self) -> str:
        return base_name(self.path)

    @property
    def half_frame_s(self) -> float:
        """Half the duration of a frame: times closer than this mean the same."""
        return 0.5 / (self.rate_hz or _ASSUMED_RATE_HZ)

    def overlap(self, start_s: float, stop_s: float) -> tuple[float, float]:
        """The part of `[start_s, stop_s)` that this file shows, in seconds of the observation."""
        # A single file shows the whole observation, whatever length the project states.
        if self.alone or self.start_s is None:
            return start_s, stop_s
        if self.length_s is not None:
            stop_s = min(stop_s, self.start_s + self.length_s)
        return max(start_s, self.start_s), stop_s


@dataclass(frozen=True)
class Observation:
    """One observation; `first_image` is the number of the first picture if events name pictures."""

    name: str
    rows: tuple[Row, ...]
    media: tuple[Media, ...]
    time_offset_s: float = 0.0
    first_image: int = 0


def base_name(path: str) -> str:
    """The file name in a path, written with slashes or, as on Windows, with backslashes."""
    return re.split(r"[\\/]", path)[-1]


def subject_of(text: str) -> str:
    """A subject's name; "" for none."""
    return "" if text.casefold() in _NO_SUBJECT else text


def media_in_sequence(
    paths: Sequence[str],
    lengths_s: Sequence[float | None],
    rates_hz: Sequence[float | None],
    offset_s: float = 0.0,
    side_by_side: bool = False,
) -> list[Media]:
    """The media files of one player, each of which begins where the previous one ends.

    `side_by_side` says that other players show other files at the same time.
    """
    media: list[Media] = []
    start_s: float | None = offset_s
    # Each file begins where the one before it ends.
    alone = len(paths) == 1 and not side_by_side
    for path, length_s, rate_hz in zip(paths, lengths_s, rates_hz, strict=True):
        has_next = len(media) < len(paths) - 1
        media.append(Media(path, start_s, length_s, rate_hz, has_next, alone))
        # After a file of unknown length, nothing tells when the next one begins.
        start_s = None if start_s is None or length_s is None else start_s + length_s
    return media
