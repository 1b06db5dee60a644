"""The bouts on the wall: predicted bouts, in the order in which to look at them, and what the rater
has said of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dolorim.core.errors import UserError
from dolorim.inference.nearest_bouts import Place, nearest, summaries
from dolorim.review.contents import predicted_labels
from dolorim.review.history import UNSURE, UNTOUCHED
from dolorim.review.session import Session
from dolorim.studio.clips import entry_of

Order = Literal["doubt", "effect", "time"]
ORDERS: tuple[Order, ...] = ("doubt", "effect", "time")
_MOST_ALIKE = 60


@dataclass(frozen=True)
class WallBout:
    """A predicted bout, frames `[start, stop)` of recording `item`.

    `said` is what the rater has made of it: a class, `UNSURE`, or `UNTOUCHED`; None if of several
    minds.
    """

    item: int
    start: int
    stop: int
    label: int
    probability: float
    said: int | None = UNTOUCHED

    @property
    def doubt(self) -> float:
        return 1 - self.probability

    @property
    def effect(self) -> float:
        """Frames that are wrong, as far as the model doubts: what a time budget may be off by."""
        return self.doubt * (self.stop - self.start)


@dataclass(frozen=True)
class _Frames:
    """Stored features of a recording's pictures."""

    visual: np.ndarray | None
    pose: np.ndarray | None = None


def all_bouts(session: Session) -> list[WallBout]:
    """All predicted bouts that can be shown, by recording and time."""
    bouts = []
    for number, item in enumerate(session.review.items):
        if item.predictions is None or item.problem:
            continue
        try:
            predicted, _ = predicted_labels(item, session.review.ethogram)
        except UserError:
            continue  # the labeling room says so when the recording is opened
        marks = None
        if session.state(number) != "new":
            marks = session.corrections(number).marks
        for bout, probability in predicted:
            said: int | None = UNTOUCHED
            if marks is not None:
                said = said_of(marks[bout.start : bout.stop])
            bouts.append(WallBout(number, bout.start, bout.stop, bout.label, probability, said))
    return bouts


def said_of(marks: np.ndarray) -> int | None:
    """The one mark of all frames; None if they differ."""
    if not len(marks) or (marks != marks[0]).any():
        return None
    return int(marks[0])


def of_class(bouts: Sequence[WallBout], label: int, order: Order) -> list[WallBout]:
    """The bouts of a class: the most doubtful first, those that change the most, or by time."""
    own = [bout for bout in bouts if bout.label == label]
    if order == "doubt":
        own.sort(key=lambda bout: -bout.doubt)
    elif order == "effect":
        own.sort(key=lambda bout: -bout.effect)
    return own


def alike(
    bouts: Sequence[WallBout], wanted: tuple[int, int, int], session: Session, cache: Path
) -> list[WallBout]:
    """The bouts of any class that look most like one, `(item, start, stop)`, which comes first.

    Raises `UserError` if no features are stored: those of quick heads are.
    """
    frames: list[_Frames] = []
    at: dict[int, int] = {}
    for number in sorted({bout.item for bout in bouts}):
        features = _features_of(session, number, cache)
        if features is not None:
            at[number] = len(frames)
            frames.append(_Frames(features))
    known = [bout for bout in bouts if bout.item in at]
    places = [Place(at[bout.item], bout.start, bout.stop) for bout in known]
    keys = [(bout.item, bout.start, bout.stop) for bout in known]
    if wanted not in keys:
        raise UserError(
            "no features of this bout are stored", remedy="learn once with the quick head"
        )
    index = keys.index(wanted)
    order = [number for number, _ in nearest(summaries(frames, places), index, _MOST_ALIKE)]
    return [known[i] for i in [index, *order]]


def _features_of(session: Session, number: int, cache: Path) -> np.ndarray | None:
    """Features of each frame of a recording; None if none are stored, or of other frames."""
    item = session.review.items[number]
    entry = entry_of(item, cache)
    if entry is None:
        return None
    files = sorted(entry.folder.glob("features-frames-*.npy"), key=lambda p: p.stat().st_mtime)
    if not files:
        return None
    features: np.ndarray = np.load(files[-1], mmap_mode="r", allow_pickle=False)
    return features if len(features) == item.n_frames else None


def verdict(bout: WallBout, classes: Sequence[str]) -> str:
    """What the page writes on a bout that the rater has looked at; empty before that."""
    if bout.said == UNTOUCHED:
        return ""
    if bout.said is None:
        return "in parts"
    if bout.said == UNSURE:
        return "rejected"
    return "accepted" if bout.said == bout.label else classes[bout.said]
