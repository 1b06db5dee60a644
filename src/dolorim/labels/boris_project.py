"""Project files of BORIS (`.boris`, JSON): all observations, and the ethogram that lists states.

A state has one event where it starts and one where it stops; only their order tells which is which.
An event is `[time, subject, code, modifier, comment]`, followed in newer versions by the index of
the frame or of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dolorim.core.errors import UserError
from dolorim.files.structured import read_json
from dolorim.files.tables import begins_with
from dolorim.labels.boris_observation import (
    Media,
    Observation,
    Row,
    media_in_sequence,
    subject_of,
)
from dolorim.labels.events import Conflicts

SUFFIX = ".boris"
_SHORTEST_EVENT = 3  # time, subject, code
_LONGEST_EVENT = 6  # the same, and modifier, comment and image index
_SAVE_AGAIN = "open it in BORIS and save it again"


class _Event(NamedTuple):
    where: str
    time_text: str
    time_s: float | None
    subject: str
    code: str
    modifier: str
    image: str


def is_project(path: Path) -> bool:
    """Whether this is a project file: by its suffix, or because it is JSON."""
    return path.suffix.casefold() == SUFFIX or begins_with(path, "{")


def read_project(path: Path, conflicts: Conflicts) -> list[Observation]:
    """All observations of a project. Raises `UserError` for another file, or a damaged one."""
    project = read_json(path)
    observations = _table(project).get("observations")
    if not isinstance(observations, dict):
        raise UserError(f"{path}: expected a project of BORIS, with observations; {_SAVE_AGAIN}")
    is_state = _states(_table(project).get("behaviors_conf"))
    is_only_one = len(observations) == 1
    return [
        _observation(path, str(name), content, is_state, is_only_one, conflicts)
        for name, content in observations.items()
    ]


def _states(conf: Any) -> dict[str, bool]:
    """Whether a behavior is a state, by its code; behaviors of neither kind are left out."""
    is_state = {}
    for behavior in _values(conf):
        entry = _table(behavior)
        kind = str(entry.get("type", "")).casefold()
        # "State event with coding map" and the like are kinds of state and point events too.
        if kind.startswith(("state", "point")):
            is_state[str(entry.get("code", "")).strip()] = kind.startswith("state")
    return is_state


def _values(table: Any) -> list[Any]:
    if isinstance(table, dict):
        return [*table.values()]
    return table if isinstance(table, list) else []


def _observation(
    path: Path,
    name: str,
    content: Any,
    is_state: Mapping[str, bool],
    is_only_one: bool,
    conflicts: Conflicts,
) -> Observation:
    where = f"{path}, observation {name}"
    if not isinstance(content, dict):
        raise UserError(f"{where}: expected its events and media files; {_SAVE_AGAIN}")
    media = [*_media(where, content)]
    if not media:
        # Scored live, or from pictures: such an observation is often named after what it shows.
        media = [Media("" if is_only_one else name)]
    events = _read_events(path, name, content.get("events", []))
    rows = _rows(path, events, is_state, conflicts)
    offset_s = _number(content.get("time offset")) or 0.0
    first_image = int(str(content.get("type", "")).upper() == "IMAGES")  # pictures count from 1
    return Observation(name, tuple(rows), tuple(media), offset_s, first_image)


def _media(where: str, content: Mapping[str, Any]) -> Iterator[Media]:
    """The media files of all players, each file once."""
    files = content.get("file") or {}
    # Old projects list the media files without players.
    players = files if isinstance(files, dict) else {"1": files}
    info = _table(content.get("media_info"))
    lengths, rates = _table(info.get("length")), _table(info.get("fps"))
    offsets = _table(info.get("offset"))
    paths_of = {player: _paths(where, listed) for player, listed in players.items()}
    side_by_side = sum(bool(paths) for paths in paths_of.values()) > 1
    known: set[str] = set()  # a file may be loaded in two players
    for player, paths in paths_of.items():
        lengths_s = _positive_numbers(lengths, paths)
        rates_hz = _positive_numbers(rates, paths)
        offset_s = _player_offset_s(offsets.get(str(player), 0))
        for media in media_in_sequence(paths, lengths_s, rates_hz, offset_s, side_by_side):
            if media.path not in known:
                known.add(media.path)
                yield media


def _positive_numbers(table: Mapping[str, Any], paths: list[str]) -> list[float | None]:
    """A number for each media file, None where the table has none above 0."""
    return [_number(table.get(path)) or None for path in paths]


def _player_offset_s(value: Any) -> float:
    """When a player begins after the first one, in seconds; negative if it begins earlier."""
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if is_number else 0.0


def _paths(where: str, listed: Any) -> list[str]:
    paths = listed if isinstance(listed, list) else [listed]
    paths = [path for path in paths if path not in (None, "")]
    if not all(isinstance(path, str) for path in paths):
        raise UserError(f"{where}: expected the names of media files, found {str(listed)[:60]!r}")
    return paths


def _table(value: Any) -> dict[str, Any]:
    """A JSON object; an empty one for anything else, as in a damaged project."""
    return value if isinstance(value, dict) else {}


def _rows(
    path: Path, events: list[_Event], is_state: Mapping[str, bool], conflicts: Conflicts
) -> list[Row]:
    """Events in time order, with a START or STOP for each event of a state."""
    rows = []
    running: set[tuple[str, str, str]] = set()
    unknown: dict[str, str] = {}
    # Events without a time keep their order, before all others.
    for event in sorted(events, key=lambda e: -1.0 if e.time_s is None else e.time_s):
        code = event.code.strip()
        if code not in is_state:
            unknown.setdefault(code, event.where)
            continue
        if event.time_s is None and not event.image:
            raise UserError(
                f"{path}, {event.where}: expected a time in seconds, found {event.time_text!r}"
            )
        status = "POINT"
        if is_state[code]:
            # Events of a state alternate: the first one starts it, the second one stops it.
            key = (event.subject, code, event.modifier)
            status = "STOP" if key in running else "START"
            running ^= {key}
        rows.append(
            Row(
                event.where,
                "",
                subject_of(event.subject),
                code,
                (event.modifier,) if event.modifier else (),
                status,
                event.time_s,
                event.time_s,
                (event.image, event.image),
            )
        )
    # One conflict per behavior, not per event.
    for code, where in unknown.items():
        what = f"the project does not say whether {code} is a state or a point event "
        conflicts.add(
            f"{path}, {where}",
            f"{what}(behaviors_conf)",
            "repair its ethogram in BORIS and save it again",
            "its events are left out",
        )
    return rows


def _read_events(path: Path, name: str, events: Any) -> list[_Event]:
    where = f"observation {name}"
    if not isinstance(events, list):
        raise UserError(f"{path}, {where}: expected a list of events; {_SAVE_AGAIN}")
    return [
        _read_event(path, f"{where}, event {number}", event)
        for number, event in enumerate(events, 1)
    ]


def _read_event(path: Path, where: str, event: Any) -> _Event:
    is_list = isinstance(event, list) and len(event) >= _SHORTEST_EVENT
    if not is_list or not isinstance(event[2], str):
        raise UserError(
            f"{path}, {where}: expected [time, subject, code, modifier, comment], found "
            f"{str(event)[:60]!r}"
        )
    # Older versions write fewer fields.
    time, subject, code, modifier, _, image = [*event, "", "", ""][:_LONGEST_EVENT]
    return _Event(
        where, str(time)[:40], _number(time), str(subject), code, str(modifier), str(image)
    )


def _number(value: Any) -> float | None:
    """A number that is not negative; BORIS writes NaN or NA where it has none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < 1e9 else None
