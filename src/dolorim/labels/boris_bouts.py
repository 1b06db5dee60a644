"""Bouts of a BORIS observation: each START is paired with the STOP that ends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dolorim.core.errors import UserError
from dolorim.labels.boris_observation import Media, Observation, Row
from dolorim.labels.events import Conflicts, seconds


@dataclass(frozen=True)
class BorisBout:
    """A bout in seconds of the observation, or in pictures from 0; `row` is where it starts."""

    start: float
    stop: float
    row: Row
    in_seconds: bool


@dataclass(frozen=True)
class _Pair:
    start: Row
    stop: Row


def pair_bouts(
    path: Path, observation: Observation, rows: Sequence[Row], conflicts: Conflicts
) -> list[BorisBout]:
    """The bouts in some rows of an observation.

    They are in seconds, or in pictures counted from 0 if a row has no times. Raises `UserError` for
    a bout that ends before it begins; a START or STOP without its counterpart is a conflict.
    """
    if observation.time_offset_s and rows:
        what = f"has a time offset of {observation.time_offset_s:g} s"
        remedy = "set it to 0 in BORIS and export again"
        conflicts.add(path, what, remedy, "times are kept as written")
    # Observations of pictures have image indices in place of times.
    is_timed = all(row.is_timed for row in rows)
    bouts = []
    for pair in _pair_rows(path, rows, is_timed, conflicts):
        start, stop = _interval(path, pair, is_timed, observation.first_image)
        if stop < start:
            raise UserError(
                f"{path}, {pair.stop.where}: {pair.start.behavior} ends before it begins; "
                f"mend it in BORIS"
            )
        bouts.append(BorisBout(start, stop, pair.start, is_timed))
    if is_timed:
        for media in observation.media:
            _note_cut_bouts(path, media, bouts, conflicts)
    return bouts


def _interval(path: Path, pair: _Pair, is_timed: bool, first_image: int) -> tuple[float, float]:
    """Start and stop of a bout, in seconds or in pictures."""
    if is_timed:
        return pair.start.start or 0.0, pair.stop.stop or 0.0
    start, stop = _image_index(path, pair.start, 0), _image_index(path, pair.stop, 1)
    return start - first_image, stop - first_image


def _pair_rows(
    path: Path, rows: Sequence[Row], is_timed: bool, conflicts: Conflicts
) -> list[_Pair]:
    """Where each bout starts and stops."""
    pairs: list[_Pair] = []
    # A behavior of one subject with one set of modifiers can run only once at a time.
    running: dict[tuple[str, str, tuple[str, ...]], Row] = {}

    def report_unpaired(row: Row, what: str) -> None:
        where, message = f"{path}, {row.where}", f"{row.behavior} has {what}"
        conflicts.add(where, message, "mend it in BORIS", "it is left out")

    if is_timed:  # an export may be sorted by behavior
        rows = sorted(rows, key=lambda row: row.start or 0.0)
    for row in rows:
        key = (row.subject, row.behavior, row.modifiers)
        if row.status in ("STATE", "POINT"):
            pairs.append(_Pair(row, row))
        elif row.status == "START":
            if key in running:  # the earlier START has no STOP
                report_unpaired(running[key], "a START without a STOP")
            running[key] = row
        elif key in running:
            pairs.append(_Pair(running.pop(key), row))
        else:
            report_unpaired(row, "a STOP without a START")
    for row in running.values():
        report_unpaired(row, "a START without a STOP")
    return pairs


def _note_cut_bouts(
    path: Path, media: Media, bouts: Sequence[BorisBout], conflicts: Conflicts
) -> None:
    """Note which bouts run from a media file into the next one."""
    if not media.has_next or media.start_s is None or media.length_s is None:
        return
    # A bout that ends within half a frame of the border does not run over it.
    before_s = media.start_s + media.length_s - media.half_frame_s
    after_s = media.start_s + media.length_s + media.half_frame_s
    behaviors = [b.row.behavior for b in bouts if b.start < before_s and b.stop > after_s]
    if behaviors:
        names = ", ".join(dict.fromkeys(behaviors))
        what = f"{names} runs from {media.name} into the next media file"
        remedy = "cut at the end of the one, continued at the start of the other"
        conflicts.note(path, what, remedy, "bout-over-two-media")


def _image_index(path: Path, row: Row, which: int) -> int:
    """The image index at the start (`which` 0) or the stop (1) of a row."""
    text = row.images[which]
    number = seconds(text)
    if number is None or number != int(number):
        raise UserError(f"{path}, {row.where}: expected a time or an image index, found {text!r}")
    return int(number)
