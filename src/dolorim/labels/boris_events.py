"""The bouts of BORIS observations per media file.

Times are seconds of the observation, which may run over several media files, one after the other or
side by side.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.labels.boris_bouts import BorisBout, pair_bouts
from dolorim.labels.boris_observation import Media, Observation, Row, subject_of
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events, classes_of

PointEvents = Literal["keep", "conflict", "drop"]
_Places = list[tuple[Observation, Media]]


def chosen_observations(
    path: Path, observations: Sequence[Observation], pattern: str | None, conflicts: Conflicts
) -> list[Observation]:
    """The observations whose name fits a pattern such as `ann_*`; all of them without a pattern."""
    if pattern is None:
        return [*observations]
    chosen = [o for o in observations if fnmatchcase(o.name.casefold(), pattern.casefold())]
    chosen_media = {media.name for observation in chosen for media in observation.media}
    for observation in observations:
        # What nobody else has scored would be lost without a word.
        lost = [media.name for media in observation.media if media.name not in chosen_media]
        if lost and observation not in chosen:
            what = f"its observation {observation.name} is not called {pattern}"
            remedy = f"the labels of {', '.join(lost) or 'it'} are left out (--label_observation)"
            finding = Finding("warning", str(path), what, remedy, "observation-left-out")
            conflicts.findings.append(finding)
    return chosen


def events_by_media(
    path: Path,
    observations: Sequence[Observation],
    ethogram: Ethogram,
    subject: str | None,
    conflicts: Conflicts,
    wanted: Callable[[str], bool],
    point_events: PointEvents,
) -> dict[str, Events]:
    """The bouts of each media file that is `wanted`, by the file's name; "" where none is named.

    Raises `UserError` where several subjects or observations could be meant, and for rows that
    cannot be understood.
    """
    events: dict[str, Events] = {}
    bouts_of: dict[str, list[BorisBout]] = {}
    for key, places in _observations_by_media(observations).items():
        if not wanted(key):
            continue
        observation, media = _only_observation(path, key, places)
        # One observation may show several media files: its rows are paired once.
        if observation.name not in bouts_of:
            rows = _rows_of_subject(path, observation.rows, subject)
            bouts_of[observation.name] = pair_bouts(path, observation, rows, conflicts)
        bouts = bouts_of[observation.name]
        events[key] = _events_on_media(path, bouts, media, ethogram, conflicts, point_events)
    return events


def _observations_by_media(observations: Sequence[Observation]) -> dict[str, _Places]:
    """The observations of each media file, by its name, or by its path where names repeat."""
    places: _Places = []
    for observation in observations:
        places += [(observation, media) for media in observation.media]
    paths_of_name: dict[str, set[str]] = defaultdict(set)
    for _, media in places:
        paths_of_name[media.name].add(media.path)
    by_media: dict[str, _Places] = defaultdict(list)
    for observation, media in places:
        is_unique = len(paths_of_name[media.name]) == 1
        by_media[media.name if is_unique else media.path].append((observation, media))
    return by_media


def _only_observation(path: Path, key: str, places: _Places) -> tuple[Observation, Media]:
    """The one observation of a media file.

    Raises `UserError` if there are several, or if its times cannot be assigned to one media file.
    """
    if len(places) > 1:
        names = ", ".join(sorted(observation.name for observation, _ in places))
        which = key or "a video without a name"
        raise UserError(
            f"{path}: {which} was scored in {len(places)} observations ({names}); choose one with "
            f"--label_observation, * stands for any text"
        )
    observation, media = places[0]
    if media.start_s is None or (media.has_next and media.length_s is None):
        where = f", {observation.rows[0].where}" if observation.rows else ""
        raise UserError(
            f"{path}{where}: its observation runs over several media files and does not say how "
            f"long they are, so its times cannot be assigned to one video; export it with a newer "
            f"BORIS"
        )
    return observation, media


def _rows_of_subject(path: Path, rows: Sequence[Row], subject: str | None) -> list[Row]:
    subjects = sorted({row.subject for row in rows})
    shown = ", ".join(name or "No focal subject" for name in subjects)
    if subject is None:
        if len(subjects) > 1:
            raise UserError(f"{path}: has the subjects {shown}; choose one with --label_stream")
        return [*rows]
    if not rows:  # an observation in which nothing happened
        return []
    wanted = subject_of(subject).casefold()
    rows_of_subject = [row for row in rows if row.subject.casefold() == wanted]
    if not rows_of_subject:
        raise UserError(
            f"{path}: no subject is called {subject}; there are {shown} (--label_stream)"
        )
    return rows_of_subject


def _events_on_media(
    path: Path,
    bouts: Sequence[BorisBout],
    media: Media,
    ethogram: Ethogram,
    conflicts: Conflicts,
    point_events: PointEvents,
) -> Events:
    """The part of an observation's bouts that one media file shows."""
    assert media.start_s is not None
    is_timed = all(bout.in_seconds for bout in bouts)
    if is_timed and not media.alone:
        bouts = _parts_on_media(bouts, media)
    if point_events == "drop":
        bouts = _without_points(path, bouts, conflicts)
    rows = [bout.row for bout in bouts]
    labels = classes_of(
        path, [row.behavior for row in rows], [row.where for row in rows], ethogram, conflicts
    )
    points = None
    if point_events == "keep":
        points = np.array([row.is_point for row in rows], bool)
    start, stop = _starts_and_stops(bouts)
    unit: Literal["frames", "s"] = "frames"  # pictures are counted per media file
    if is_timed:
        # Times run on over all files of the observation.
        unit, start, stop = "s", start - media.start_s, stop - media.start_s
    start, stop = np.maximum(start, 0.0), np.maximum(stop, 0.0)
    return Events(path, unit, start, stop, labels, media.rate_hz, points, media.length_s)


def _starts_and_stops(bouts: Sequence[BorisBout]) -> tuple[np.ndarray, np.ndarray]:
    """Starts and stops `(bouts,)` as numbers, in the bouts' own unit."""
    start = np.array([bout.start for bout in bouts], float)
    stop = np.array([bout.stop for bout in bouts], float)
    return start, stop


def _without_points(
    path: Path, bouts: Sequence[BorisBout], conflicts: Conflicts
) -> list[BorisBout]:
    """The bouts that last; how many points are left out is noted."""
    states = [bout for bout in bouts if not bout.row.is_point]
    n_dropped = len(bouts) - len(states)
    if n_dropped:
        what = f"{n_dropped} point events are left out"
        conflicts.note(path, what, "--point_events drop", "points-dropped")
    return states


def _parts_on_media(bouts: Sequence[BorisBout], media: Media) -> list[BorisBout]:
    """What a media file shows of some bouts."""
    parts = (_part_on_media(bout, media) for bout in bouts)
    return [part for part in parts if part is not None]


def _part_on_media(bout: BorisBout, media: Media) -> BorisBout | None:
    """The part of a bout that a media file shows; None if it shows nothing of it."""
    if bout.start == bout.stop or (bout.row.is_point and bout.row.media):
        if not _shows_event(media, bout):
            return None
        return bout
    start_s, stop_s = media.overlap(bout.start, bout.stop)
    # Times are rounded: a piece in the next file shorter than half a frame does not belong to it.
    shortest_s = min(media.half_frame_s, (bout.stop - bout.start) / 2)
    if stop_s - start_s < shortest_s:
        return None
    return dataclasses.replace(bout, start=start_s, stop=stop_s)


def _shows_event(media: Media, event: BorisBout) -> bool:
    """Whether a media file shows an event without a duration."""
    if event.row.is_point and event.row.media:
        return event.row.media == media.name
    start_s, stop_s = media.overlap(event.start, event.stop)
    end_s = (media.start_s or 0.0) + (media.length_s or 0.0)
    # An event at the border between two files belongs to the second one.
    belongs_to_next = media.has_next and stop_s == end_s
    return start_s == stop_s and not belongs_to_next
