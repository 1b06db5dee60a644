"""Corrections of one recording by one rater: a history that only grows, and a label file from it.

The history, in JSON lines, is what counts: each step is on disk before the page is answered, and
undo is a step too. The label file is an ordinary one, `Frame,Action` for the whole video. It is
written anew on `save`, with the table of notes beside it.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.runs import runs
from dolorim.files.naming import NOTES
from dolorim.files.tables import write_table
from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.label_files import read_labels, write_labels
from dolorim.review.history import (
    UNSURE,
    UNTOUCHED,
    Note,
    do_step,
    lay_step,
    notes_of,
    read_history,
    replay,
    state_of,
)

_LONGEST_NOTE = 2000  # characters
_UNCHANGED = -9  # in place of a mark
STATES = ("work", "done")
Range = tuple[int, int, int]
Tags = dict[str, str] | None


class RequestError(UserError):
    """A request that cannot be carried out, for a reason that has nothing to do with the disk."""


class VersionError(Exception):
    """The recording has been changed since the caller last looked."""


class Corrections:
    """The corrections of one recording.

    `marks` `(n_frames,)` int16 are as in `Replayed`. `version` is the number of lines in the
    history.

    Every change takes `tags`, which are kept with its step. A step whose `id` is already in the
    history is not done again, so a page may send it until it hears that it has arrived. Consecutive
    steps with the same `stroke` are undone and redone as one.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        rater: str,
        n_frames: int,
        ethogram: Ethogram,
        truth: np.ndarray | None = None,
    ) -> None:
        self.labels_path = folder / f"{name}.csv"
        self.history_path = folder / f"{name}.history.jsonl"
        self.notes_path = folder / f"{name}{NOTES}"
        self.rater, self.ethogram = rater, ethogram
        self._truth = truth
        # Requests of one page may arrive at the same time, in different threads.
        self._lock = threading.RLock()
        self._steps: list[dict[str, Any]] = []
        self._ids: set[str] = set()
        self._adopted: dict[str, Any] | None = None  # a step that the history does not hold yet
        self._size = 0
        self._dirty = False
        self.marks = np.full(n_frames, UNTOUCHED, np.int16)
        self._load()

    @property
    def version(self) -> int:
        return len(self._steps)

    @property
    def state(self) -> str:
        """`new`, `work` or `done`."""
        return state_of(self._steps)

    @property
    def can_undo(self) -> bool:
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    @property
    def history(self) -> dict[str, list[list[list[int]]]]:
        """What undo would take back, the latest last, and what redo would bring back.

        Both are lists of steps, and a step is a list of ranges.
        """
        with self._lock:
            return {"done": self._ranges_of(self._done), "undone": self._ranges_of(self._undone)}

    def edit(self, version: int, ranges: Sequence[Range], tags: Tags = None) -> None:
        """Set the marks of ranges `(start, stop, mark)` in one step, which is undone as one."""
        if self._knows(tags):
            return
        for start, stop, mark in ranges:
            is_span = 0 <= start < stop <= len(self.marks)
            if not is_span or not UNSURE <= mark < len(self.ethogram):
                raise RequestError(
                    f"expected ranges [start, stop, class] within {len(self.marks)} frames and "
                    f"{len(self.ethogram)} classes, found [{start}, {stop}, {mark}]"
                )
        self._append(version, {"set": [list(r) for r in ranges]}, tags)

    def undo(self, version: int, tags: Tags = None) -> None:
        """Take the last step back. Raises `RequestError` if there is none."""
        if self._knows(tags):
            return
        if not self.can_undo:
            raise RequestError("nothing to undo")
        self._append(version, {"undo": True}, tags)

    def redo(self, version: int, tags: Tags = None) -> None:
        """Bring back what was undone last. Raises `RequestError` if nothing was."""
        if self._knows(tags):
            return
        if not self.can_redo:
            raise RequestError("nothing to redo")
        self._append(version, {"redo": True}, tags)

    def set_state(self, version: int, state: str, tags: Tags = None) -> None:
        """Say that the recording is in work or done."""
        if state not in STATES:
            raise RequestError(f"expected a state ({', '.join(STATES)}), found {state}")
        if state != self.state and not self._knows(tags):
            self._append(version, {"state": state}, tags)

    def note(self, version: int, start: int, stop: int, text: str, tags: Tags = None) -> None:
        """Write a note about frames `[start, stop)`, in place of an earlier one; "" removes it."""
        if self._knows(tags):
            return
        if not 0 <= start < stop <= len(self.marks) or len(text) > _LONGEST_NOTE:
            raise RequestError(
                f"expected a note of up to {_LONGEST_NOTE} characters about frames within "
                f"{len(self.marks)}, found {len(text)} about [{start}, {stop}]"
            )
        self._append(version, {"note": [start, stop, text.strip()]}, tags)

    @property
    def notes(self) -> list[Note]:
        return notes_of(self._steps)

    def resize(self, n_frames: int, truth: np.ndarray | None = None) -> None:
        """Lay the history on the true number of frames; `truth` are the earlier labels of these."""
        with self._lock:
            self._truth = truth
            if n_frames != len(self.marks):
                self.marks = np.full(n_frames, UNTOUCHED, np.int16)
                self._rebuild()
                self._dirty = bool(self._steps)  # without a step, there is nothing to write

    def labels(self) -> np.ndarray:
        """What the label file says, `(n_frames,)` int16: corrections, else the earlier labels."""
        labels = np.full(len(self.marks), UNLABELED, np.int16)
        if self._truth is not None:
            labels[:] = self._truth[: len(self.marks)]
        touched = self.marks != UNTOUCHED
        # A frame about which the rater is unsure is unlabeled.
        labels[touched] = np.maximum(self.marks[touched], UNLABELED)
        return labels

    def save(self) -> bool:
        """Write the label file if it lags behind the history; returns whether it did."""
        with self._lock:
            if not self._dirty:
                return False
            labels = self.labels()
            write_labels(self.labels_path, labels, self.ethogram)
            self._write_notes(labels)
            self._dirty = False
            return True

    def _write_notes(self, labels: np.ndarray) -> None:
        """Write the table of notes beside the label file; without a note, there is none."""
        notes = self.notes
        if not notes and not self.notes_path.exists():
            return
        names = (*self.ethogram.classes, "")  # -1 is the last one: unlabeled
        rows = []
        for note in notes:
            middle = min(note.middle, len(labels) - 1)
            rows.append((note.start, note.stop, names[labels[middle]], note.text))
        write_table(self.notes_path, ("start_frame", "stop_frame", "label", "note"), rows)

    def marks_at(self, version: int) -> np.ndarray:
        """The marks as they were when the history had so many lines."""
        return replay(self._steps[:version], len(self.marks)).marks

    def set_by(self, page: str) -> np.ndarray:
        """Which frames `(n_frames,)` have their mark from this page, as its tag `by` says."""
        own = np.zeros(len(self.marks), bool)
        for unit in self._done:
            for i in unit:
                for start, stop, _ in self._steps[i]["set"]:
                    own[start:stop] = self._steps[i].get("by") == page
        return own

    def _load(self) -> None:
        with self._lock:
            # The history is the truth; everything else is computed from it.
            self._steps, self._size = read_history(self.history_path)
            self._ids = {s["id"] for s in self._steps if isinstance(s.get("id"), str)}
            self._adopted = None
            if self._history_bytes() > self._size:
                # A crash or a full disk has cut off the last line.
                os.truncate(self.history_path, self._size)
            self._rebuild()
            try:
                labels_written_ns = self.labels_path.stat().st_mtime_ns
            except OSError:
                self._dirty = self.can_undo
                return
            # A label file that is older than the history lacks the last steps.
            history_written_ns = 0
            if self.history_path.exists():
                history_written_ns = self.history_path.stat().st_mtime_ns
            self._dirty = history_written_ns > labels_written_ns and bool(self._steps)
            if not self._dirty:
                self._adopt()

    def _history_bytes(self) -> int:
        if not self.history_path.exists():
            return 0
        return self.history_path.stat().st_size

    def _adopt(self) -> None:
        """Make a step of what somebody has changed in the label file since it was written.

        It goes to the history together with the next step: opening a recording writes nothing.
        """
        file = read_labels(self.labels_path, self.ethogram)
        labels = np.full(len(self.marks), UNLABELED, np.int16)
        rows = dataclasses.replace(file, trial=None).counted_from_zero(0, 0, len(labels))
        inside = rows.frames < len(labels)
        labels[rows.frames[inside]] = rows.labels[inside]
        # A label that was removed means that the rater is unsure.
        marks = np.where(labels == UNLABELED, UNSURE, labels)
        unchanged = (labels == self.labels()) | (marks == self.marks)
        columns = (column.tolist() for column in runs(np.where(unchanged, _UNCHANGED, marks)))
        changed = zip(*columns, strict=True)
        ranges = [[start, stop, mark] for start, stop, mark in changed if mark != _UNCHANGED]
        if ranges:
            self._adopted = self._signed({"set": ranges, "from": self.labels_path.name})
            self._steps.append(self._adopted)
            self._rebuild()

    def _knows(self, tags: Tags) -> bool:
        """Whether a step has arrived before."""
        return tags is not None and tags.get("id") in self._ids

    def _signed(self, step: dict[str, Any]) -> dict[str, Any]:
        when = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        return {"when": when, "who": self.rater, **step}

    def _append(self, version: int, step: dict[str, Any], tags: Tags) -> None:
        """Write a step to the history, then do it. Raises `VersionError` and `UserError`."""
        with self._lock:
            if self._history_bytes() != self._size:  # another server has written
                self._load()
                version = -1
            if self._knows(tags):
                return
            if version != self.version:
                raise VersionError
            step = self._signed({**step, **(tags or {})})
            new_steps = [step]
            if self._adopted is not None:
                new_steps.insert(0, self._adopted)
            self._write(new_steps)
            self._steps.append(step)
            self._adopted = None
            self._dirty = True
            if "id" in step:
                self._ids.add(step["id"])
            if "set" in step:
                lay_step(self.marks, step)
                do_step(self._done, self._undone, self._steps, len(self._steps) - 1)
            elif "undo" in step or "redo" in step:
                self._rebuild()

    def _write(self, steps: Sequence[dict[str, Any]]) -> None:
        """Append steps to the history: all of them, or none if the disk refuses."""
        lines = [json.dumps(step, separators=(",", ":")).encode() + b"\n" for step in steps]
        text = b"".join(lines)
        try:
            self.history_path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.history_path, "ab", buffering=0) as file:
                try:
                    if file.write(text) != len(text):
                        raise OSError(28, "no space left on device")
                    os.fsync(file.fileno())
                except OSError:
                    # A half-written line would be taken for damage at the next start.
                    file.truncate(self._size)
                    raise
        except OSError as error:
            raise UserError(
                f"{self.history_path}: cannot be written ({error.strerror}); "
                "free some space or choose another folder with --out"
            ) from None
        self._size += len(text)

    def _rebuild(self) -> None:
        now = replay(self._steps, len(self.marks))
        self.marks, self._done, self._undone = now.marks, now.done, now.undone

    def _ranges_of(self, units: list[list[int]]) -> list[list[list[int]]]:
        """The ranges that steps have set, together for those that belong together."""
        ranges_of_units = []
        for unit in units:
            ranges: list[list[int]] = []
            for i in unit:
                ranges += self._steps[i]["set"]
            ranges_of_units.append(ranges)
        return ranges_of_units


def valid_rater(text: str) -> str:
    """A rater's name as a folder name. Raises `UserError` for one that would lead elsewhere."""
    name = text.strip()
    fits = 0 < len(name) <= 60 and not name.startswith(".")
    if not fits or not all(letter.isalnum() or letter in " -_." for letter in name):
        raise UserError(
            f"--rater {text}: expected a name of letters, digits, spaces, dots, - and _"
        )
    return name
