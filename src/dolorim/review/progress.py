"""How far the checking has come, how good the predictions are by it, and how far that has moved
since the last round.

A round is a set of predictions. When the files of predictions change, the old round's figures stay,
and with them which corrections there were: the new predictions are compared with the old on the
very same frames.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import threading
from typing import Any

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.structured import read_json
from dolorim.files.tables import write_text
from dolorim.metrics.frames import confusion, frame_scores
from dolorim.review.contents import predicted_labels
from dolorim.review.corrections import UNSURE, UNTOUCHED
from dolorim.review.sampling import Piece, cut, draw, estimate
from dolorim.review.session import Session

_NEXT = 30  # pieces of the queue that the page is told of


class Progress:
    """The queue and the figures of one rater."""

    def __init__(self, desk: Session, seed: int = 0) -> None:
        self.desk, self.seed = desk, seed
        self._path = desk.folder / "rounds.json"
        self._lock = threading.RLock()
        self._order: list[Piece] | None = None
        self._labels: dict[int, np.ndarray] = {}
        self._counts: dict[int, tuple[int, np.ndarray]] = {}

    def report(self) -> dict[str, Any]:
        """What to check next, the accuracy so far with its interval, scores on corrected frames,
        and the last round."""
        with self._lock:
            order = self._prepare()
            if not order:
                return {"next": [], "checked": 0, "total": 0}
            wrong, unsure, waiting = [], [], []
            for piece in order:
                marks = self._marks(piece)
                if marks is None or (marks == UNTOUCHED).any():
                    waiting.append(piece)
                    if len(waiting) == _NEXT:
                        break
                elif not waiting:  # only what was checked in the order of the draw is a sample
                    unsure.append(int((marks == UNSURE).sum()))
                    wrong.append(int(((marks != UNSURE) & (marks != piece.label)).sum()))
            found = estimate(order, wrong, unsure)
            names = self.desk.review.ethogram.classes
            scores = frame_scores(self._confusion(), names)
            return {
                "next": [[p.item, p.start, p.stop, p.label] for p in waiting],
                "checked": found.checked,
                "total": len(order),
                "accuracy": found.accuracy,
                "low": found.low,
                "high": found.high,
                "missing": found.missing,
                "scores": scores if scores["frames"] else None,
                "moved": self._moved(),
            }

    def remember(self) -> None:
        """Keep this round's figures for the next one. Raises `UserError` where they cannot be
        written."""
        with self._lock:
            if not self._prepare():
                return
            counts = self._confusion()
            if not counts.sum():
                return
            rounds = [r for r in self._rounds() if r["predictions"] != self._key]
            versions = {
                self.desk.review.items[i].name: v for i, (v, c) in self._counts.items() if c.sum()
            }
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            rounds.append(
                {
                    "predictions": self._key,
                    "when": now,
                    "versions": versions,
                    "counts": counts.tolist(),
                }
            )
            write_text(self._path, json.dumps(rounds) + "\n")

    def _prepare(self) -> list[Piece]:
        if self._order is not None:
            return self._order
        pieces = []
        digest = hashlib.sha256()
        items = self.desk.review.items
        for i in sorted(
            range(len(items)), key=lambda i: items[i].name
        ):  # whatever the order of the list
            if items[i].predictions is None or items[i].problem:
                continue
            try:
                bouts, labels = predicted_labels(items[i], self.desk.review.ethogram)
            except UserError:
                continue  # the page says so when the recording is opened
            self._labels[i] = labels
            digest.update(items[i].name.encode() + labels.tobytes())
            pieces += cut(i, bouts)
        self._key = digest.hexdigest()[:16]
        indicator = self.desk.review.ethogram.indicator
        label = self.desk.review.ethogram.classes.index(indicator) if indicator else None
        self._order = draw(pieces, [i.animal for i in items], self.seed, indicator=label)
        return self._order

    def _marks(self, piece: Piece) -> np.ndarray | None:
        if not self._touched(piece.item):
            return None
        return self.desk.corrections(piece.item).marks[piece.start : piece.stop]

    def _touched(self, number: int) -> bool:
        return self.desk.state(number) != "new"

    def _confusion(self) -> np.ndarray:
        """Corrections against predictions over all recordings, `(classes, classes)`."""
        n = len(self.desk.review.ethogram)
        total = np.zeros((n, n), np.int64)
        for i, labels in self._labels.items():
            if not self._touched(i):
                continue
            corrections = self.desk.corrections(i)
            version = corrections.version
            if self._counts.get(i, (-1,))[0] != version:
                self._counts[i] = (version, _compare(corrections.marks, labels, n))
            total += self._counts[i][1]
        return total

    def _moved(self) -> dict[str, Any] | None:
        """The last round's scores and this round's on the same frames; None where there was no
        other round."""
        last = next((r for r in reversed(self._rounds()) if r["predictions"] != self._key), None)
        names = self.desk.review.ethogram.classes
        if last is None or len(last["counts"]) != len(names):
            return None
        total = np.zeros((len(names), len(names)), np.int64)
        for i, labels in self._labels.items():
            version = last["versions"].get(self.desk.review.items[i].name)
            if version is not None:
                total += _compare(self.desk.corrections(i).marks_at(version), labels, len(names))
        before, now = frame_scores(np.array(last["counts"]), names), frame_scores(total, names)
        return {"when": last["when"], "before": before, "now": now} if now["frames"] else None

    def _rounds(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        try:
            found = read_json(self._path)
            return [r for r in found if {"predictions", "when", "versions", "counts"} <= set(r)]
        except (UserError, TypeError):
            return []  # figures alone: what was corrected stands in the histories


def _compare(marks: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    n = min(len(marks), len(labels))
    known = (marks[:n] >= 0) & (labels[:n] >= 0)
    return confusion(marks[:n][known].astype(np.int64), labels[:n][known], n_classes)
