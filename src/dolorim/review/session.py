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
from dolorim.review.corrections import UNTOUCHED, Corrections, others_states, read_history, state_of
from dolorim.review.opened import TILE, Opened

_OPEN = 3  # recordings whose large arrays are kept


class Session:
    """All recordings of a review, for one rater. Corrections lie in the rater's folder in the
    review's home."""

    def __init__(self, review: Review, rater: str, *, blinded: bool = False) -> None:
        self.review, self.rater, self.blinded = review, rater, blinded
        self.names = names_of(review.items, blinded)
        self.folder = review.home / rater
        self._lock = threading.RLock()
        self._opened: OrderedDict[int, Opened] = OrderedDict()
        self._corrections: dict[int, Corrections] = {}
        self._counting: set[int] = set()

    def study(self) -> dict[str, Any]:
        """What the page needs before any recording is opened."""
        ethogram = self.review.ethogram
        colors = class_colors(len(ethogram))
        others: dict[str, list[Any]] = {}
        notes: list[str] = []
        if not self.blinded:
            notes += self.review.notes
            others = others_states(
                self.review.home, [i.name for i in self.review.items], self.rater, notes.append
            )
        rows = []
        for i, item in enumerate(self.review.items):
            row = {
                "id": i,
                "key": self._key(item.name),
                "name": self.names[i],
                "state": self.state(i),
                "problem": bool(item.problem),
            }
            if not self.blinded:
                row |= {
                    "animal": item.animal,
                    "group": item.group,
                    "others": others.get(item.name, []),
                }
            rows.append(row)
        return {
            "title": "Blinded review" if self.blinded else self.review.title,
            "rater": self.rater,
            "blinded": self.blinded,
            "tile": TILE,
            "notes": notes,
            "classes": [
                {
                    "name": n,
                    "color": f"#{bytes(c).hex()}",
                    "background": n in ethogram.background,
                    "indicator": n == ethogram.indicator,
                }
                for n, c in zip(ethogram.classes, colors, strict=True)
            ],
            "recordings": rows,
        }

    def _key(self, name: str) -> str:
        """What a browser files unsent steps under: the same for this rater and recording as long as
        they lie where they do, other for all others, and no name that a blinded rater could read.
        """
        return hashlib.sha256(f"{self.folder.resolve()}\n{name}".encode()).hexdigest()[:20]

    def state(self, number: int) -> str:
        with self._lock:
            corrections = self._corrections.get(number)
        if corrections is not None:
            return corrections.state
        return state_of(
            read_history(self.folder / f"{self.review.items[number].name}.history.jsonl")[0]
        )

    def open(self, number: int) -> Opened:
        """Put a recording on the desk, and the one that was used least recently away."""
        with self._lock:
            found = self._opened.pop(number, None) or Opened(self.review.items[number], self.review)
            self._opened[number] = found
            away = [self._opened.popitem(last=False)[1] for _ in range(len(self._opened) - _OPEN)]
        for old in away:
            if old.source is not None:
                old.source.close()
        return found

    def corrections(self, number: int) -> Corrections:
        with self._lock:
            if number not in self._corrections:
                opened = self.open(number)
                truth = (
                    None if self.blinded else self.truth(opened)[0]
                )  # a blinded rater's file is the rater's alone
                args = (
                    self.folder,
                    opened.item.name,
                    self.rater,
                    opened.n_frames,
                    self.review.ethogram,
                    truth,
                )
                self._corrections[number] = Corrections(*args)
            return self._corrections[number]

    def truth(self, opened: Opened) -> tuple[np.ndarray | None, list[list[int]], str]:
        """Labels that were there before, trials as [number, start, stop], and what did not fit."""
        try:
            placed = self.review.truth(opened.item, opened.frame_times(), opened.promised)
        except UserError as error:
            return None, [], f"earlier labels are neither shown nor kept: {error}"
        if placed is None:
            return None, [], ""
        said = "; ".join([*placed.skipped, *map(str, placed.findings)])
        return placed.labels, [[t.number, t.start, t.stop] for t in placed.trials], said

    def recording(self, number: int) -> dict[str, Any]:
        opened = self.open(number)
        item, notes = opened.item, []
        truth, trials, problem = self.truth(opened)
        notes += [problem] if problem else []
        points = None
        try:
            points = opened.points
        except UserError as error:
            notes.append(f"no points are shown: {error}")
        if points is not None and len(points[2]) != opened.n_frames:
            notes.append(f"the pose file has {len(points[2])} rows for {opened.n_frames} frames")
        if opened.source is not None and opened.source.damage:
            notes.append(opened.source.damage)
        self._count_later(number, opened)
        rate = item.meta.get("fps") or (opened.source.rate_hz if opened.source else 30.0)
        return {
            "id": number,
            "name": self.names[number],
            "n_frames": opened.n_frames,
            "counted": opened.counted,
            "rate_hz": rate,
            "trials": trials,
            "truth": None if truth is None or self.blinded else _runs(truth),
            "predicted": opened.bouts,
            "points": None
            if points is None
            else {"names": points[0], "bones": points[1], "rows": len(points[2])},
            "problem": self.blind(number, item.problem),
            "notes": [self.blind(number, n) for n in notes],
            "corrections": self.correction_state(number, history=True),
        }

    def correction_state(self, number: int, history: bool = False) -> dict[str, Any]:
        """What holds now; with `history`, also what undo takes back and redo brings back."""
        c = self.corrections(number)
        marks = _runs(c.marks, UNTOUCHED)
        return {
            "version": c.version,
            "marks": marks,
            "undo": c.can_undo,
            "redo": c.can_redo,
            "state": c.state,
            **(c.history if history else {}),
        }

    def blind(self, number: int, text: str) -> str:
        """A message without the file's name, where that must not be seen."""
        if not self.blinded:
            return text
        item = self.review.items[number]
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

    def save(self, number: int | None = None) -> None:
        """Write label files that lag behind, of one recording or of all. Raises `UserError` where
        that fails."""
        with self._lock:
            chosen = [c for i, c in self._corrections.items() if number is None or i == number]
        for corrections in chosen:
            corrections.save()

    def close(self) -> None:
        try:
            self.save()
        finally:
            with self._lock:
                for opened in self._opened.values():
                    if opened.source is not None:
                        opened.source.close()

    def _count_later(self, number: int, opened: Opened) -> None:
        with self._lock:
            if opened.counted or number in self._counting:
                return
            self._counting.add(number)

        def work() -> None:
            try:
                opened.count()
                truth = None if self.blinded else self.truth(opened)[0]
                self.corrections(number).resize(opened.n_frames, truth)
            finally:
                self._counting.discard(number)

        threading.Thread(target=work, daemon=True).start()


def _runs(labels: np.ndarray, gap: int = UNLABELED) -> list[list[int]]:
    """`[start, stop, label]` of everything but the gaps."""
    rows = zip(*(a.tolist() for a in runs(labels)), strict=True)
    return [[a, b, c] for a, b, c in rows if c != gap]
