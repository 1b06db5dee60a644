"""The session of one rater: what the page asks about a study, as plain values."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.palette import class_colors
from dolorim.core.runs import runs
from dolorim.labels.ethogram import UNLABELED
from dolorim.review.contents import Review, names_of
from dolorim.review.corrections import Corrections
from dolorim.review.history import UNTOUCHED, others_states, read_history, state_of
from dolorim.review.keys import read_keys
from dolorim.review.opened import TILE, Opened
from dolorim.review.raters import agreement, other_raters

_OPEN = 3  # recordings whose large arrays are kept


class Session:
    """All recordings of a review, for one rater.

    Corrections go to the rater's folder in the home of the review. A `blinded` rater sees numbers
    in place of names, and no labels but the rater's own, neither predicted nor of others. `studio`
    is the address of the studio that the page is part of, if it is.
    """

    def __init__(
        self, review: Review, rater: str, *, blinded: bool = False, studio: str = ""
    ) -> None:
        self.review, self.rater, self.blinded, self.studio = review, rater, blinded, studio
        self.names = names_of(review.items, blinded)
        self.folder = review.home / rater
        # What the numbers of recordings mean, for pages that were loaded before they changed.
        self.key = _digest("\n".join(item.name for item in review.items))
        self._lock = threading.RLock()
        self._opened: OrderedDict[int, Opened] = OrderedDict()
        self._corrections: dict[int, Corrections] = {}
        self._counting: set[int] = set()

    def study(self) -> dict[str, Any]:
        """What the page needs before any recording is opened."""
        # A blinded rater must not learn from titles, names, or notes what a recording is.
        title = self.review.title
        others: dict[str, list[Any]] = {}
        notes: list[str] = []
        if self.blinded:
            title = "Blinded review"
        else:
            notes += self.review.notes
            names = [item.name for item in self.review.items]
            others = others_states(self.review.home, names, self.rater, notes.append)
        rows = []
        for number, item in enumerate(self.review.items):
            row = {
                "id": number,
                "key": self._key(item.name),
                "name": self.names[number],
                "state": self.state(number),
                "problem": bool(item.problem),
            }
            if not self.blinded:
                row["animal"] = item.animal
                row["group"] = item.group
                row["others"] = others.get(item.name, [])
            rows.append(row)
        return {
            "key": self.key,
            "title": title,
            "rater": self.rater,
            "blinded": self.blinded,
            "studio": self.studio,
            "keys": read_keys(self.folder),
            "tile": TILE,
            "notes": notes,
            "classes": self._classes(),
            "recordings": rows,
        }

    def _classes(self) -> list[dict[str, Any]]:
        ethogram = self.review.ethogram
        classes = []
        for name, color in zip(ethogram.classes, class_colors(len(ethogram)), strict=True):
            described = {
                "name": name,
                "color": f"#{bytes(color).hex()}",
                "background": name in ethogram.background,
                "indicator": name == ethogram.indicator,
                "point": name in ethogram.points,
            }
            classes.append(described)
        return classes

    def _key(self, name: str) -> str:
        """The key under which a browser keeps steps that it has not sent yet.

        It is the same for this rater and recording while they stay where they are, different for
        all others, and tells a blinded rater nothing.
        """
        return _digest(f"{self.folder.resolve()}\n{name}")

    def state(self, number: int) -> str:
        with self._lock:
            corrections = self._corrections.get(number)
        if corrections is not None:
            return corrections.state
        name = self.review.items[number].name
        steps, _ = read_history(self.folder / f"{name}.history.jsonl")
        return state_of(steps)

    def open(self, number: int) -> Opened:
        """Open a recording, and close the one that was used least recently."""
        unused = []
        with self._lock:
            opened = self._opened.pop(number, None)
            if opened is None:
                opened = Opened(self.review.items[number], self.review, blinded=self.blinded)
            self._opened[number] = opened
            while len(self._opened) > _OPEN:
                unused.append(self._opened.popitem(last=False)[1])
        for old in unused:
            old.close()
        return opened

    def corrections(self, number: int) -> Corrections:
        with self._lock:
            if number not in self._corrections:
                opened = self.open(number)
                self._corrections[number] = Corrections(
                    self.folder,
                    opened.item.name,
                    self.rater,
                    opened.n_frames,
                    self.review.ethogram,
                    self._labels_to_keep(opened),
                )
            return self._corrections[number]

    def _labels_to_keep(self, opened: Opened) -> np.ndarray | None:
        """Earlier labels, which the label file repeats; a blinded rater's file has only its own."""
        if self.blinded:
            return None
        labels, _, _ = self.truth(opened)
        return labels

    def truth(self, opened: Opened) -> tuple[np.ndarray | None, list[list[int]], str]:
        """Earlier labels `(n_frames,)`, trials as [number, start, stop], and what did not fit."""
        try:
            placement = self.review.truth(opened.item, opened.frame_times(), opened.promised)
        except UserError as error:
            return None, [], f"earlier labels are neither shown nor kept: {error}"
        if placement is None:
            return None, [], ""
        trials = [[trial.number, trial.start, trial.stop] for trial in placement.trials]
        problems = [*placement.skipped, *map(str, placement.findings)]
        return placement.labels, trials, "; ".join(problems)

    def recording(self, number: int) -> dict[str, Any]:
        """What the page needs to show a recording, without its frames."""
        opened = self.open(number)
        notes = []
        truth, trials, problem = self.truth(opened)
        if problem:
            notes.append(problem)
        truth_runs = None
        if truth is not None and not self.blinded:
            truth_runs = _runs(truth)
        points = self._points(opened, notes)
        if opened.source is not None and opened.source.damage:
            notes.append(opened.source.damage)
        # The page is shown at once; a long video is counted while it is looked at.
        self._count_later(number, opened)
        return {
            "id": number,
            "name": self.names[number],
            "n_frames": opened.n_frames,
            "counted": opened.counted,
            "rate_hz": opened.rate_hz,
            "trials": trials,
            "truth": truth_runs,
            "predicted": opened.bouts,
            "points": points,
            "chamber": self._chamber(number),
            "problem": self.blind(number, opened.item.problem),
            "notes": [self.blind(number, note) for note in notes],
            "corrections": self.correction_state(number, history=True),
        }

    def _chamber(self, number: int) -> dict[str, Any] | None:
        """The part of the picture that a recording is, and the other chambers of its video."""
        item = self.review.items[number]
        if item.chamber is None:
            return None
        others = []
        for other in self.review.items:
            is_beside = other.video == item.video and other.chamber != item.chamber
            if is_beside and other.chamber is not None:
                others.append([*other.chamber.box])
        return {"box": [*item.chamber.box], "others": others}

    def _points(self, opened: Opened, notes: list[str]) -> dict[str, Any] | None:
        """The names of a recording's keypoints and their bones; notes what is wrong with them."""
        try:
            points = opened.points
        except UserError as error:
            notes.append(f"no points are shown: {error}")
            return None
        if points is None:
            return None
        names, bones, table = points
        if len(table) != opened.n_frames:
            notes.append(f"the pose file has {len(table)} rows for {opened.n_frames} frames")
        return {"names": names, "bones": bones, "rows": len(table)}

    def correction_state(self, number: int, history: bool = False) -> dict[str, Any]:
        """What holds now; with `history`, also what undo takes back and redo brings back."""
        corrections = self.corrections(number)
        state: dict[str, Any] = {
            "version": corrections.version,
            "marks": _runs(corrections.marks, UNTOUCHED),
            "notes": [[note.start, note.stop, note.text] for note in corrections.notes],
            "undo": corrections.can_undo,
            "redo": corrections.can_redo,
            "state": corrections.state,
        }
        if history:
            state |= corrections.history
        return state

    def blind(self, number: int, text: str) -> str:
        """A message without the names of the recording, if the rater must not see them."""
        if not self.blinded:
            return text
        item = self.review.items[number]
        # Paths first: they contain the names, which would otherwise be replaced within them.
        words = (
            str(item.video),
            str(item.video.parent),
            item.video.name,
            item.name,
            item.video.stem,
            item.animal,
        )
        for word in words:
            text = text.replace(word, self.names[number])
        return text

    def raters(self, number: int) -> list[dict[str, Any]]:
        """What other raters have labeled in a recording, with their agreement with this one.

        A blinded rater is told nothing.
        """
        if self.blinded:
            return []
        item, marks = self.review.items[number], self.corrections(number).marks
        told = []
        for other in other_raters(self.review.home, item.name, self.rater):
            row: dict[str, Any] = {"rater": other.name, "problem": ""}
            labels = np.full(len(marks), UNTOUCHED, np.int16)
            try:
                labels = other.labels(len(marks), self.review.ethogram)
            except UserError as error:  # the other raters are shown all the same
                row["problem"] = str(error)
            frames, kappa = agreement(marks, labels, len(self.review.ethogram))
            told.append({**row, "runs": _runs(labels, UNTOUCHED), "frames": frames, "kappa": kappa})
        return told

    def save(self) -> None:
        """Write the label files that lag behind. Raises `UserError` if that fails."""
        with self._lock:
            open_corrections = list(self._corrections.values())
        for corrections in open_corrections:
            corrections.save()

    def close(self) -> None:
        try:
            self.save()
        finally:
            with self._lock:
                for opened in self._opened.values():
                    opened.close()

    def _count_later(self, number: int, opened: Opened) -> None:
        """Count the frames of a long video in the background, and lay the corrections on them."""
        with self._lock:
            if opened.counted or number in self._counting:
                return
            self._counting.add(number)

        def work() -> None:
            try:
                opened.count()
                earlier = self._labels_to_keep(opened)
                self.corrections(number).resize(opened.n_frames, earlier)
            finally:
                self._counting.discard(number)

        # A daemon thread does not keep the server from ending.
        threading.Thread(target=work, daemon=True).start()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _runs(labels: np.ndarray, gap: int = UNLABELED) -> list[list[int]]:
    """`[start, stop, label]` of everything but the gaps."""
    columns = (column.tolist() for column in runs(labels))
    rows = zip(*columns, strict=True)
    return [[start, stop, label] for start, stop, label in rows if label != gap]
