"""The files that hold what raters have done: one history per recording and rater, in JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.structured import parse_json

UNTOUCHED, UNSURE = -1, -2  # marks that are no class
Units = list[list[int]]  # steps that are undone together, by their numbers


@dataclass(frozen=True)
class Note:
    """What a rater has written about frames `[start, stop)`."""

    start: int
    stop: int
    text: str

    @property
    def middle(self) -> int:
        """The frame that says which bout the note is about, after its edges have moved."""
        return (self.start + self.stop - 1) // 2


@dataclass(frozen=True)
class Replayed:
    """What a history amounts to on a recording of a given length.

    `marks` `(n_frames,)` int16 are class indices, `UNTOUCHED`, or `UNSURE`. `done` is what undo
    takes back, the latest last, and `undone` what redo brings back.
    """

    marks: np.ndarray
    done: Units
    undone: Units


def read_history(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The steps of a history, and the bytes that they take.

    A last line that was cut off is left out. Raises `UserError` if the file cannot be read or holds
    anything else.
    """
    if not path.exists():
        return [], 0
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    # Every step ends with a line break, so what follows the last one was cut off.
    whole = raw[: raw.rfind(b"\n") + 1]
    steps = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            steps.append(_step_from(parse_json(line, path)))
        except (UserError, ValueError, TypeError):
            raise UserError(
                f"{path}, line {number}: not a step of a history; move the file away"
            ) from None
    return steps, len(whole)


def _step_from(value: Any) -> dict[str, Any]:
    """A step as JSON holds it. Raises `TypeError` or `ValueError` for anything else."""
    if not isinstance(value, dict):
        raise TypeError
    if "note" in value:
        start, stop, text = value["note"]
        return {**value, "note": [int(start), int(stop), str(text)]}
    if "set" not in value:
        return value
    ranges = []
    for one in value["set"]:
        ranges.append([int(number) for number in one])
    return {**value, "set": ranges}


def replay(steps: Sequence[dict[str, Any]], n_frames: int) -> Replayed:
    """Do all steps of a history in their order."""
    done: Units = []
    undone: Units = []
    for number, step in enumerate(steps):
        if "set" in step:
            do_step(done, undone, steps, number)
        elif "undo" in step and done:
            undone.append(done.pop())
        elif "redo" in step and undone:
            done.append(undone.pop())
    # Only steps that were not undone count.
    marks = np.full(n_frames, UNTOUCHED, np.int16)
    for unit in done:
        for number in unit:
            lay_step(marks, steps[number])
    return Replayed(marks, done, undone)


def do_step(done: Units, undone: Units, steps: Sequence[dict[str, Any]], number: int) -> None:
    """Count a step as done: alone, or as part of the stroke that the step before belongs to."""
    stroke = steps[number].get("stroke")
    undone.clear()
    if stroke is not None and done and steps[done[-1][-1]].get("stroke") == stroke:
        done[-1].append(number)
    else:
        done.append([number])


def lay_step(marks: np.ndarray, step: dict[str, Any]) -> None:
    """Set the marks of a step's ranges."""
    for start, stop, mark in step["set"]:
        marks[start:stop] = mark


def notes_of(steps: Sequence[dict[str, Any]]) -> list[Note]:
    """The notes that hold after some steps, in order of their frames.

    A note takes the place of those whose middle lies within its frames; one without text removes
    them. Undo leaves notes alone: earlier ones stay in the history.
    """
    notes: list[Note] = []
    for step in steps:
        if "note" not in step:
            continue
        start, stop, text = step["note"]
        notes = [note for note in notes if not start <= note.middle < stop]
        if text:
            notes.append(Note(start, stop, text))
    return sorted(notes, key=lambda note: (note.start, note.stop))


def state_of(steps: Sequence[dict[str, Any]]) -> str:
    """`new` before anything was done, then `work`, and `done` once the rater has said so."""
    states = [step["state"] for step in steps if "state" in step]
    if states and states[-1]:
        return states[-1]
    if any("set" in step or "note" in step for step in steps):
        return "work"
    return "new"


def others_states(
    home: Path, names: Sequence[str], besides: str, tell: Callable[[str], object]
) -> dict[str, list[Any]]:
    """The other raters of each recording and how far they are: `[[rater, state], ...]`.

    `besides` is left out; `tell` is called for a history that cannot be read.
    """
    states: dict[str, list[Any]] = {}
    if not home.is_dir():
        return states
    folders = sorted(path for path in home.iterdir() if path.is_dir() and path.name != besides)
    for folder in folders:
        for name in names:
            path = folder / f"{name}.history.jsonl"
            if not path.exists():
                continue
            try:
                steps, _ = read_history(path)
            except UserError as error:
                tell(str(error))
            else:
                states.setdefault(name, []).append([folder.name, state_of(steps)])
    return states
