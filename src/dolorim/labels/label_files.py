"""Label files: one row a frame, `Frame,Action`, for one trial or for a whole video."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.tables import read_table, write_table
from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.trials import TrialLabels

CountsFrom = Literal["auto", "0", "1"]  # as in `DataConfig.label_counts_from`
_FRAME = ("frame", "frames", "frame_number", "frame number", "frame_index", "index")
_ACTION = ("action", "behavior", "behaviour", "label", "class", "annotation")
_TOOLS = re.compile(
    r"[._-](labels?|annot|annotations?|boris|bouts|events|aggregated|deepethogram|simba|targets_inserted|predictions|truth)$",
    re.IGNORECASE,
)
_TRIAL_NAME = re.compile(r"prediction_(?P<video>.+)_(?P<trial>\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class LabelFile:
    """A label file as written: `frames` `(rows,)` ascending, in the file's own counting; `labels` class indices.

    `counts_from` is 0 or 1 where the format says so, and None where it has to be told from the numbers. `n_frames` is
    the length of the video, where the file claims to have a row for each of its frames. `lists_bouts` says that a
    frame without a label may be one that nobody has cared about.
    """

    path: Path
    trial: int | None
    frames: np.ndarray
    labels: np.ndarray
    counts_from: int | None = None
    n_frames: int | None = None
    lists_bouts: bool = False

    def counted_from_zero(
        self,
        trial_length: int,
        context: int,
        n_frames: int | None = None,
        counts_from: CountsFrom = "auto",
    ) -> TrialLabels:
        """The same labels with frames counted from 0.

        Each file is judged by what it holds itself. One with a frame 0 counts from 0; one that reaches exactly the
        number of what it labels (of its video, `n_frames`, or of its trial) counts from 1, one that ends just before
        that from 0. What else begins with 1 is taken to count from 1, and the rest from 0; the labels then carry a
        `doubt`. `counts_from` ends all doubts. Raises `UserError` where it is 1 and the file holds a frame 0.
        """
        first, last = int(self.frames[0]), int(self.frames[-1])
        if self.counts_from is not None:
            return TrialLabels(self.path, self.trial, self.frames - self.counts_from, self.labels)
        if counts_from == "1" and first == 0:
            raise UserError(
                f"{self.path}: holds frame 0, so it cannot count from 1 (--label_counts_from)"
            )
        if counts_from != "auto":
            return TrialLabels(self.path, self.trial, self.frames - int(counts_from), self.labels)
        lengths = (n_frames,) if self.trial is None else (trial_length, trial_length - context)
        known = [length for length in lengths if length]
        if first == 0:
            base, sure = 0, True
        elif last in known and last + 1 not in known:
            base, sure = 1, True
        elif last + 1 in known:
            base, sure = 0, first > 1
        else:
            gapless = last - first + 1 == len(self.frames)
            base, sure = int(first == 1), first == 1 and gapless and not known
        doubt = (
            ""
            if sure
            else f"its frames are numbered {first} to {last}, and may count from 0 or from 1"
        )
        return TrialLabels(self.path, self.trial, self.frames - base, self.labels, doubt, base)


def parse_name(path: Path) -> tuple[str, int | None]:
    """The video's name and the trial number that a label file's name carries: `prediction_<video>_<trial>.csv`.

    What tools append to the video's name is taken away: `<video>_labels`, `<video>.boris`.
    """
    match = _TRIAL_NAME.fullmatch(path.stem)
    return (
        (match["video"], int(match["trial"]))
        if match
        else (_TOOLS.sub("", path.stem) or path.stem, None)
    )


def read_labels(path: Path, ethogram: Ethogram) -> LabelFile:
    """Read a label file. Raises `UserError` that names the row for whatever cannot be understood."""
    plain = _read_plain(path, ethogram)
    if plain is not None:
        return plain
    table = read_table(path)
    frame_column, action_column = table.column(*_FRAME), table.column(*_ACTION)
    if frame_column is None or action_column is None:
        raise UserError(
            f"{path}: expected the columns Frame and Action, found {', '.join(table.header)}"
        )
    if not table.rows:
        raise UserError(
            f"{path}: has a header but no rows; label at least one frame or remove the file"
        )
    ids: dict[str, int] = {}
    frames, raw = [], []
    for line, row in zip(table.lines, table.rows, strict=True):
        word = row[action_column]
        if word not in ids:
            try:
                ids[word] = ethogram.raw_id(word)
            except ValueError as error:
                raise UserError(
                    f"{path}, line {line}, column {table.header[action_column]}: {error}"
                ) from None
        frames.append(_frame_number(path, line, row[frame_column]))
        raw.append(ids[word])
    numbers = np.asarray(frames, np.int64)
    order = np.argsort(numbers, kind="stable")
    twice = np.flatnonzero(np.diff(numbers[order]) == 0)
    if twice.size:
        one, two = sorted(order[twice[0] : twice[0] + 2].tolist())
        raise UserError(
            f"{path}: frame {frames[one]} stands on line {table.lines[one]} and again on line {table.lines[two]}; "
            f"keep one of them"
        )
    labels = ethogram.merge(np.asarray(raw))
    return LabelFile(path, parse_name(path)[1], numbers[order], labels[order])


def _read_plain(path: Path, ethogram: Ethogram) -> LabelFile | None:
    """The same, thirty times faster, for the usual table of two columns of whole numbers; None for any other.

    Whatever is wrong with a file is left to the slow way, which names the line.
    """
    try:
        head, _, body = Path(path).read_bytes().removeprefix(codecs.BOM_UTF8).partition(b"\n")
    except OSError:
        return None
    header = head.decode("latin-1").strip().casefold().split(",")
    odd = body.translate(None, b"0123456789,-\r\n") or b"\r" in body.replace(b"\r\n", b"")
    if (
        odd
        or not body.strip()
        or len(header) != 2
        or header[0] not in _FRAME
        or header[1] not in _ACTION
    ):
        return None
    try:
        numbers = np.loadtxt(io.BytesIO(body), np.int64, delimiter=",", ndmin=2)
    except (ValueError, OverflowError):
        return None
    known = [UNLABELED, *(r.id for r in ethogram.raw)]
    if numbers.shape[1] != 2 or not np.isin(numbers[:, 1], known).all():
        return None
    frames, raw = numbers.T
    if frames[0] < 0 or frames[-1] >= 2**31 or not (np.diff(frames) > 0).all():
        return None
    return LabelFile(path, parse_name(path)[1], frames.copy(), ethogram.merge(raw))


def has_label_columns(header: Sequence[str]) -> bool:
    """Are these the columns of a label file?"""
    names = {h.strip().casefold() for h in header}
    return not names.isdisjoint(_FRAME) and not names.isdisjoint(_ACTION)


def write_labels(path: Path, labels: np.ndarray, ethogram: Ethogram) -> None:
    """Write class indices `(time,)` as a label file of names, frames counted from 0; -1 is written as None.

    A class that was merged from behaviors of other names is written as the first of these, so that it reads back.
    """
    names = np.array([*(_written(name, ethogram) for name in ethogram.classes), "None"])
    write_table(path, ("Frame", "Action"), enumerate(names[labels].tolist()))


def _written(name: str, ethogram: Ethogram) -> str:
    behaviors = [r.name for r in ethogram.raw if r.merged == name]
    return name if name in behaviors or not behaviors else behaviors[0]


def _frame_number(path: Path, line: int, text: str) -> int:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 2**31 or number != int(number):  # the first part is false for nan too
        raise UserError(
            f"{path}, line {line}, column Frame: expected a frame number, found {text!r}"
        )
    return int(number)
