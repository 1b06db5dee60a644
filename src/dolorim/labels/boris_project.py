"""Project files of BORIS (`.boris`, JSON): all observations, with the ethogram that says what is a state.

A state has an event where it starts and one where it stops; which of them an event is, only their order tells. Events
are `[time, subject, code, modifier, comment]`, followed in newer versions by the index of the frame or of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dolorim.core.errors import UserError
from dolorim.files.structured import read_json
from dolorim.files.tables import begins_with
from dolorim.labels.boris_events import Media, Observation, Row, in_a_row, subject_of
from dolorim.labels.events import Conflicts

SUFFIX = ".boris"
_LEAST = 3  # of an event: time, subject, code


def is_project(path: Path) -> bool:
    """Is this a project file? Its ending says so, or that it is JSON."""
    return path.suffix.casefold() == SUFFIX or begins_with(path, "{")


def read_project(path: Path, conflicts: Conflicts) -> list[Observation]:
    """All observations of a project. Raises `UserError` for what is no project of BORIS, or a damaged one."""
    project = read_json(path)
    observations = project.get("observations") if isinstance(project, dict) else None
    if not isinstance(observations, dict):
        raise UserError(
            f"{path}: expected a project of BORIS, with observations; open it in BORIS and save it again"
        )
    is_state = _kinds(project.get("behaviors_conf"))
    several = len(observations) > 1
    return [
        _observation(path, str(k), o, is_state, several, conflicts) for k, o in observations.items()
    ]


def _kinds(conf: Any) -> dict[str, bool]:
    """Whether a behavior is a state, by its code."""
    found = {}
    for behavior in _values(conf):
        kind = str(behavior.get("type", "")).casefold() if isinstance(behavior, dict) else ""
        if kind.startswith(("state", "point")):
            found[str(behavior.get("code", "")).strip()] = kind.startswith("state")
    return found


def _values(table: Any) -> list[Any]:
    if isinstance(table, dict):
        return [*table.values()]
    return table if isinstance(table, list) else []


def _observation(
    path: Path,
    name: str,
    content: Any,
    is_state: dict[str, bool],
    several: bool,
    conflicts: Conflicts,
) -> Observation:
    where = f"{path}, observation {name}"
    if not isinstance(content, dict):
        raise UserError(
            f"{where}: expected its events and media files; open it in BORIS and save it again"
        )
    media = [*_media(where, content)]
    if (
        not media
    ):  # scored live, or from pictures: an observation is often called after what it shows
        media = [Media(name if several else "")]
    of_pictures = str(content.get("type", "")).upper() == "IMAGES"
    rows = _rows(path, name, content.get("events", []), is_state, conflicts)
    offset_s = _number(content.get("time offset")) or 0.0
    return Observation(name, tuple(rows), tuple(media), offset_s, int(of_pictures))


def _media(where: str, content: dict[str, Any]) -> Iterator[Media]:
    """The media files of all players; of old projects, that list them without players, of one player."""
    files = content.get("file") or {}
    players = files if isinstance(files, dict) else {"1": files}
    info = content.get("media_info")
    info = info if isinstance(info, dict) else {}
    lengths, rates, offsets = (_table(info.get(key)) for key in ("length", "fps", "offset"))
    known: set[str] = set()
    shown = {player: _paths(where, listed) for player, listed in players.items()}
    side_by_side = sum(bool(paths) for paths in shown.values()) > 1
    for player, paths in shown.items():
        lengths_s = [_number(lengths.get(p)) or None for p in paths]
        rates_hz = [_number(rates.get(p)) or None for p in paths]
        # A player may begin later than the first one, or earlier: then its offset is negative.
        offset_s = offsets.get(str(player), 0)
        late_s = (
            float(offset_s)
            if isinstance(offset_s, int | float) and math.isfinite(offset_s)
            else 0.0
        )
        for media in in_a_row(paths, lengths_s, rates_hz, late_s, side_by_side):
            if media.path not in known:
                known.add(media.path)
                yield media


def _paths(where: str, listed: Any) -> list[str]:
    paths = listed if isinstance(listed, list) else [listed]
    paths = [p for p in paths if p not in (None, "")]
    if not all(isinstance(p, str) for p in paths):
        raise UserError(f"{where}: expected the names of media files, found {str(listed)[:60]!r}")
    return paths


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _rows(
    path: Path, name: str, events: Any, is_state: dict[str, bool], conflicts: Conflicts
) -> list[Row]:
    if not isinstance(events, list):
        raise UserError(
            f"{path}, observation {name}: expected a list of events; open it in BORIS and save it again"
        )
    rows = []
    running: set[tuple[str, str, str]] = set()
    unknown: dict[str, str] = {}
    numbered = [(i, _event(path, name, i, event)) for i, event in enumerate(events, 1)]
    for i, event in sorted(numbered, key=lambda e: -1.0 if (t := _number(e[1][0])) is None else t):
        where = f"observation {name}, event {i}"
        subject, code, modifier = (
            str(part) for part in (*event[1:_LEAST], event[3] if len(event) > 3 else "")
        )
        code = code.strip()
        if code not in is_state:
            unknown.setdefault(code, where)
            continue
        time, image = _number(event[0]), str(event[5]) if len(event) > 5 else ""
        if time is None and not image:
            raise UserError(
                f"{path}, {where}: expected a time in seconds, found {str(event[0])[:40]!r}"
            )
        key = (subject, code, modifier)
        status = "POINT"
        if is_state[code]:
            status = "STOP" if key in running else "START"
            running ^= {key}
        modifiers = (modifier,) if modifier else ()
        rows.append(
            Row(where, "", subject_of(subject), code, modifiers, status, time, time, (image, image))
        )
    for code, where in unknown.items():
        conflicts.add(
            f"{path}, {where}", f"the project does not say whether {code} is a state or a point event (behaviors_conf)",
            "repair its ethogram in BORIS and save it again", "its events are left out",
        )  # fmt: skip
    return rows


def _event(path: Path, name: str, number: int, event: Any) -> list[Any]:
    if not isinstance(event, list) or len(event) < _LEAST or not isinstance(event[2], str):
        raise UserError(
            f"{path}, observation {name}, event {number}: expected [time, subject, code, modifier, comment], found "
            f"{str(event)[:60]!r}"
        )
    return event


def _number(value: Any) -> float | None:
    """A number that is not negative; BORIS writes NaN or NA where it has none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < 1e9 else None
