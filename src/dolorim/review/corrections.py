"""Corrections of one recording by one rater: a history that only grows, and the label file that
follows from it.

The history, JSON lines, is what counts: each step is on disk before it is answered, and undo is a
step too. The label file is ordinary, `Frame,Action` for the whole video, and is written anew on
`save`.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.runs import runs
from dolorim.files.structured import parse_json
from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.label_files import read_labels, write_labels

UNTOUCHED, UNSURE = -1, -2
STATES = ("work", "done")
Range = tuple[int, int, int]
Tags = dict[str, str] | None


class RequestError(UserError):
    """A request that cannot be carried out, whatever the disk says."""


class VersionError(Exception):
    """The recording has been changed since the caller last looked."""


class Corrections:
    """`marks` `(n_frames,)` int16 are class indices, `UNTOUCHED` or `UNSURE`; `version` counts the
    history's lines.

    Every change takes `tags`, which are kept with its step. `id`: a step with an id that the
    history holds already has been done, and is not done again, so that a page may send a step until
    it hears that it has arrived. `stroke`: steps that follow one another with the same stroke are
    undone and redone as one.
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
        self.rater, self.ethogram = rater, ethogram
        self._truth = truth
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
        """What undo would take back, the latest last, and what redo would bring back: each a list
        of ranges."""
        with self._lock:
            return {"done": self._ranges_of(self._done), "undone": self._ranges_of(self._undone)}

    def edit(self, version: int, ranges: Sequence[Range], tags: Tags = None) -> None:
        """Lay `(start, stop, mark)` on the recording, all in one step that is undone as one."""
        if self._knows(tags):
            return
        for start, stop, mark in ranges:
            if not (0 <= start < stop <= len(self.marks) and UNSURE <= mark < len(self.ethogram)):
                raise RequestError(
                    f"expected ranges [start, stop, class] within {len(self.marks)} frames and "
                    f"{len(self.ethogram)} "
                    f"classes, found [{start}, {stop}, {mark}]"
                )
        self._append(version, {"set": [list(r) for r in ranges]}, tags)

    def undo(self, version: int, tags: Tags = None) -> None:
        """Take the last step back. Raises `UserError` where there is none."""
        if self._knows(tags):
            return
        if not self.can_undo:
            raise RequestError("nothing to undo")
        self._append(version, {"undo": True}, tags)

    def redo(self, version: int, tags: Tags = None) -> None:
        if self._knows(tags):
            return
        if not self.can_redo:
            raise RequestError("nothing to redo")
        self._append(version, {"redo": True}, tags)

    def set_state(self, version: int, state: str, tags: Tags = None) -> None:
        if state not in STATES:
            raise RequestError(f"expected a state ({', '.join(STATES)}), found {state}")
        if state != self.state and not self._knows(tags):
            self._append(version, {"state": state}, tags)

    def resize(self, n_frames: int, truth: np.ndarray | None = None) -> None:
        """The video turned out to have another number of frames; `truth` are the earlier labels
        laid on these."""
        with self._lock:
            self._truth = truth
            if n_frames != len(self.marks):
                self.marks = np.full(n_frames, UNTOUCHED, np.int16)
                self._rebuild()
                self._dirty = bool(self._steps)  # where nothing was said, nothing is written

    def labels(self) -> np.ndarray:
        """What the label file says, `(n_frames,)`: corrections, on top of the labels that there
        were before."""
        before = UNLABELED if self._truth is None else self._truth[: len(self.marks)]
        return np.where(self.marks == UNTOUCHED, before, np.maximum(self.marks, UNLABELED)).astype(
            np.int16
        )

    def save(self) -> bool:
        """Write the label file where it lags behind the history; False where there was nothing to
        write."""
        with self._lock:
            if not self._dirty:
                return False
            write_labels(self.labels_path, self.labels(), self.ethogram)
            self._dirty = False
            return True

    def marks_at(self, version: int) -> np.ndarray:
        """The marks as they were when the history had so many lines."""
        return self._replay(self._steps[:version])[0]

    def _load(self) -> None:
        with self._lock:
            self._steps, self._size = read_history(self.history_path)
            self._ids = {s["id"] for s in self._steps if isinstance(s.get("id"), str)}
            self._adopted = None
            if self.history_path.exists() and self.history_path.stat().st_size > self._size:
                os.truncate(
                    self.history_path, self._size
                )  # a line that a crash or a full disk has cut off
            self._rebuild()
            try:
                written = self.labels_path.stat().st_mtime_ns
            except OSError:
                self._dirty = self.can_undo
                return
            history = self.history_path.stat().st_mtime_ns if self.history_path.exists() else 0
            self._dirty = history > written and bool(self._steps)
            if not self._dirty:
                self._adopt()

    def _adopt(self) -> None:
        """A label file that somebody has changed since counts: the difference becomes a step of the
        history.

        It is written with the next step: opening a recording writes nothing.
        """
        file = read_labels(self.labels_path, self.ethogram)
        found = np.full(len(self.marks), UNLABELED, np.int16)
        rows = dataclasses.replace(file, trial=None).counted_from_zero(0, 0, len(found))
        inside = rows.frames < len(found)
        found[rows.frames[inside]] = rows.labels[inside]
        wanted = np.where(
            found == self.labels(), self.marks, np.where(found == UNLABELED, UNSURE, found)
        )
        changed = zip(
            *(a.tolist() for a in runs(np.where(wanted == self.marks, -9, wanted))), strict=True
        )
        ranges = [[start, stop, mark] for start, stop, mark in changed if mark != -9]
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
        with self._lock:
            size = self.history_path.stat().st_size if self.history_path.exists() else 0
            if size != self._size:  # another server has written
                self._load()
                version = -1
            if self._knows(tags):
                return
            if version != self.version:
                raise VersionError
            step = self._signed({**step, **(tags or {})})
            new = [step] if self._adopted is None else [self._adopted, step]
            line = b"".join(json.dumps(s, separators=(",", ":")).encode() + b"\n" for s in new)
            try:
                self.history_path.parent.mkdir(parents=True, exist_ok=True)
                with open(self.history_path, "ab", buffering=0) as file:
                    try:
                        if file.write(line) != len(line):
                            raise OSError(28, "no space left on device")
                        os.fsync(file.fileno())
                    except OSError:
                        file.truncate(size)
                        raise
            except OSError as error:
                raise UserError(
                    f"{self.history_path}: cannot be written ({error.strerror}); free some space "
                    "or choose another "
                    f"folder with --out"
                ) from None
            self._size = size + len(line)
            self._steps.append(step)
            self._adopted = None
            self._dirty = True
            if "id" in step:
                self._ids.add(step["id"])
            if "set" in step:
                self._lay(self.marks, step)
                self._do(self._done, self._undone, self._steps, len(self._steps) - 1)
            elif "state" not in step:
                self._rebuild()

    def _rebuild(self) -> None:
        self.marks, self._done, self._undone = self._replay(self._steps)

    def _replay(
        self, steps: Sequence[dict[str, Any]]
    ) -> tuple[np.ndarray, list[list[int]], list[list[int]]]:
        """The marks, and the numbers of the steps that undo takes back together, and that redo
        brings back."""
        done: list[list[int]] = []
        undone: list[list[int]] = []
        for i, step in enumerate(steps):
            if "set" in step:
                self._do(done, undone, steps, i)
            elif "undo" in step and done:
                undone.append(done.pop())
            elif "redo" in step and undone:
                done.append(undone.pop())
        marks = np.full(len(self.marks), UNTOUCHED, np.int16)
        for unit in done:
            for i in unit:
                self._lay(marks, steps[i])
        return marks, done, undone

    @staticmethod
    def _do(
        done: list[list[int]], undone: list[list[int]], steps: Sequence[dict[str, Any]], number: int
    ) -> None:
        stroke = steps[number].get("stroke")
        undone.clear()
        if stroke is not None and done and steps[done[-1][-1]].get("stroke") == stroke:
            done[-1].append(number)
        else:
            done.append([number])

    def _ranges_of(self, units: list[list[int]]) -> list[list[list[int]]]:
        found = []
        for unit in units:
            ranges: list[list[int]] = []
            for i in unit:
                ranges += self._steps[i]["set"]
            found.append(ranges)
        return found

    @staticmethod
    def _lay(marks: np.ndarray, step: dict[str, Any]) -> None:
        for start, stop, mark in step["set"]:
            marks[start:stop] = mark


def read_history(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The steps of a history and the bytes that they take; a last line that was cut off is left
    out."""
    if not path.exists():
        return [], 0
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    whole = raw[: raw.rfind(b"\n") + 1]
    steps = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            step = parse_json(line, path)
            assert isinstance(step, dict)
            steps.append(
                {**step, "set": [[int(v) for v in r] for r in step["set"]]}
                if "set" in step
                else step
            )
        except (UserError, ValueError, TypeError, AssertionError):
            raise UserError(
                f"{path}, line {number}: not a step of a history; move the file away"
            ) from None
    return steps, len(whole)


def state_of(steps: Sequence[dict[str, Any]]) -> str:
    """`new` before anything was done, `work` on the way, `done` once somebody has said so."""
    said = next((s["state"] for s in reversed(steps) if "state" in s), None)
    return said or ("work" if any("set" in s for s in steps) else "new")


def valid_rater(text: str) -> str:
    """A rater's name as a folder name. Raises `UserError` for one that would lead out of it."""
    name = text.strip()
    if (
        not name
        or len(name) > 60
        or name.startswith(".")
        or not all(c.isalnum() or c in " -_." for c in name)
    ):
        raise UserError(
            f"--rater {text}: expected a name of letters, digits, spaces, dots, - and _"
        )
    return name


def others_states(
    home: Path, names: Sequence[str], besides: str, tell: Callable[[str], object]
) -> dict[str, list[Any]]:
    """For each recording what other raters have made of it: `[[rater, state], ...]`."""
    found: dict[str, list[Any]] = {}
    for folder in (
        sorted(p for p in home.iterdir() if p.is_dir() and p.name != besides)
        if home.is_dir()
        else []
    ):
        for name in names:
            path = folder / f"{name}.history.jsonl"
            if path.exists():
                try:
                    found.setdefault(name, []).append(
                        [folder.name, state_of(read_history(path)[0])]
                    )
                except UserError as error:
                    tell(str(error))
    return found
