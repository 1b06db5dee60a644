"""How much has been checked, how good the predictions are by it, and what changed since last round.

A round is a set of predictions. When the predictions change, the figures of the old round are kept,
together with the corrections that there were, so that new and old predictions are compared on the
same frames.
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
from dolorim.review.history import UNSURE, UNTOUCHED
from dolorim.review.sampling import Piece, cut, draw, estimate
from dolorim.review.session import Session

WALL = "wall"
"""The tag of steps that were made on the wall of bouts."""
_NEXT = 30  # pieces that the page is given to check next


class Progress:
    """The order in which one rater checks, and the figures so far."""

    def __init__(self, session: Session, seed: int = 0) -> None:
        self.session, self.seed = session, seed
        self._path = session.folder / "rounds.json"
        self._lock = threading.RLock()
        self._order: list[Piece] | None = None
        self._labels: dict[int, np.ndarray] = {}
        self._counts: dict[int, tuple[int, np.ndarray]] = {}

    def report(self) -> dict[str, Any]:
        """What the page shows of the progress.

        That is what to check next, the accuracy so far with its interval, scores on corrected
        frames, and a comparison with the last round. A blinded rater is shown none of it.
        """
        with self._lock:
            order = self._prepare()
            if not order or self.session.blinded:
                return {"next": [], "checked": 0, "total": 0}
            # Frames per checked piece.
            wrong, unsure, on_wall = [], [], []
            waiting = []
            for piece in order:
                marks = self._marks(piece)
                if marks is None or (marks == UNTOUCHED).any():
                    waiting.append(piece)
                    if len(waiting) == _NEXT:
                        break
                elif not waiting:  # only what was checked in the order of the draw is a sample
                    unsure.append(int((marks == UNSURE).sum()))
                    wrong.append(int(((marks != UNSURE) & (marks != piece.label)).sum()))
                    on_wall.append(self._was_on_wall(piece))
            accuracy = estimate(order, wrong, unsure, on_wall.count(False))
            scores: dict[str, Any] | None = frame_scores(
                self._confusion(), self.session.review.ethogram.classes
            )
            if scores is not None and not scores["frames"]:
                scores = None
            return {
                "next": [[p.item, p.start, p.stop, p.label] for p in waiting],
                "checked": accuracy.checked,
                "total": len(order),
                "accuracy": accuracy.accuracy,
                "low": accuracy.low,
                "high": accuracy.high,
                "missing": accuracy.missing,
                "scores": scores,
                "moved": self._moved(),
            }

    def remember(self) -> None:
        """Keep this round's figures for the next one. Raises `UserError` if that fails."""
        with self._lock:
            if not self._prepare():
                return
            counts = self._confusion()
            if not counts.sum():
                return
            rounds = [r for r in self._rounds() if r["predictions"] != self._key]
            versions = {}
            for i, (version, counted) in self._counts.items():
                if counted.sum():
                    versions[self.session.review.items[i].name] = version
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
        """Read the predictions and draw the order, once."""
        if self._order is not None:
            return self._order
        pieces = []
        # The labels identify the round: other predictions are another round.
        digest = hashlib.sha256()
        items = self.session.review.items
        # By name, because the list may be shuffled.
        for i in sorted(range(len(items)), key=lambda i: items[i].name):
            if items[i].predictions is None or items[i].problem:
                continue
            try:
                bouts, labels = predicted_labels(items[i], self.session.review.ethogram)
            except UserError:
                continue  # the page says so when the recording is opened
            self._labels[i] = labels
            digest.update(items[i].name.encode() + labels.tobytes())
            pieces += cut(i, bouts)
        self._key = digest.hexdigest()[:16]
        ethogram = self.session.review.ethogram
        indicator = None
        if ethogram.indicator:
            indicator = ethogram.classes.index(ethogram.indicator)
        animals = [item.animal for item in items]
        self._order = draw(pieces, animals, self.seed, indicator=indicator)
        return self._order

    def _marks(self, piece: Piece) -> np.ndarray | None:
        """The rater's marks on a piece; None if the rater has done nothing in its recording."""
        if not self._touched(piece.item):
            return None
        return self.session.corrections(piece.item).marks[piece.start : piece.stop]

    def _was_on_wall(self, piece: Piece) -> bool:
        """Has the rater checked any of a piece on the wall, and not in the order of the draw?"""
        by_wall = self.session.corrections(piece.item).set_by(WALL)
        return bool(by_wall[piece.start : piece.stop].any())

    def _touched(self, number: int) -> bool:
        return self.session.state(number) != "new"

    def _confusion(self) -> np.ndarray:
        """Corrections against predictions over all recordings, `(classes, classes)`."""
        n = len(self.session.review.ethogram)
        total = np.zeros((n, n), np.int64)
        for i, labels in self._labels.items():
            if not self._touched(i):
                continue
            corrections = self.session.corrections(i)
            version = corrections.version
            # Comparing takes a while for long recordings, so it is done once per change.
            if self._counts.get(i, (-1,))[0] != version:
                self._counts[i] = (version, _compare(corrections.marks, labels, n))
            total += self._counts[i][1]
        return total

    def _moved(self) -> dict[str, Any] | None:
        """The last round's scores and this round's, on the same frames.

        None if there was no other round, or one with other classes.
        """
        other_rounds = [r for r in self._rounds() if r["predictions"] != self._key]
        names = self.session.review.ethogram.classes
        if not other_rounds or len(other_rounds[-1]["counts"]) != len(names):
            return None
        last = other_rounds[-1]
        total = np.zeros((len(names), len(names)), np.int64)
        for i, labels in self._labels.items():
            version = last["versions"].get(self.session.review.items[i].name)
            if version is not None:
                total += _compare(self.session.corrections(i).marks_at(version), labels, len(names))
        before, now = frame_scores(np.array(last["counts"]), names), frame_scores(total, names)
        if not now["frames"]:
            return None
        return {"when": last["when"], "before": before, "now": now}

    def _rounds(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        try:
            rounds = read_json(self._path)
            return [r for r in rounds if {"predictions", "when", "versions", "counts"} <= set(r)]
        except (UserError, TypeError):
            return []  # only figures are lost; the histories hold what was corrected


def _compare(marks: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Corrections against predictions, `(classes, classes)`, on frames that have both."""
    n = min(len(marks), len(labels))
    # Frames that are unlabeled, untouched, or unsure compare with nothing.
    known = (marks[:n] >= 0) & (labels[:n] >= 0)
    return confusion(marks[:n][known].astype(np.int64), labels[:n][known], n_classes)
