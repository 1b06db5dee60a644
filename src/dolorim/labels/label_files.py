"""Label files with one row per frame, `Frame,Action`, for one trial or for a whole video."""

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
from dolorim.files.tables import Table, read_table, write_table
from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.trials import TrialLabels

CountsFrom = Literal["auto", "0", "1"]  # as in `DataConfig.label_counts_from`
_FRAME = ("frame", "frames", "frame_number", "frame number", "frame_index", "index")
_ACTION = ("action", "behavior", "behaviour", "label", "class", "annotation")
# What tools append to the name of the video.
_TOOLS = re.compile(
    r"[._-](labels?|annot|annotations?|boris|bouts|events|aggregated|deepethogram|simba"
    r"|targets_inserted|predictions|truth)$",
    re.IGNORECASE,
)
_TRIAL_NAME = re.compile(r"prediction_(?P<video>.+)_(?P<trial>\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class LabelFile:
    """A label file as written: `frames` `(rows,)` ascending, in the file's own counting.

    `labels` `(rows,)` are class indices. `counts_from` is 0 or 1 where the format says so, and None
    where only the numbers can tell. `n_frames` is the length of the video if the file claims a row
    for each of its frames. `lists_bouts` says that a frame without a label may be one that nobody
    scored.
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

        `n_frames` is the length of the video, if known. With `counts_from="auto"`, each file is
        judged by its own numbers (see `_tell_counting`); where they do not settle it, the labels
        carry a `doubt`. Raises `UserError` if `counts_from` is 1 and the file has a frame 0.
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
        possible = (n_frames,) if self.trial is None else (trial_length, trial_length - context)
        lengths = [length for length in possible if length]
        base, is_sure = _tell_counting(self.frames, lengths)
        doubt = ""
        if not is_sure:
            doubt = f"its frames are numbered {first} to {last}, and may count from 0 or from 1"
        return TrialLabels(self.path, self.trial, self.frames - base, self.labels, doubt, base)


def _tell_counting(frames: np.ndarray, lengths: Sequence[int]) -> tuple[int, bool]:
    """What `frames` `(rows,)` are counted from, 0 or 1, and whether that is certain.

    `lengths` are the possible lengths of what the file labels, its video or its trial. A file with
    a frame 0 counts from 0. One whose last frame equals a length counts from 1, one that ends just
    before a length from 0. Otherwise a file that begins with 1 is taken to count from 1, and any
    other from 0.
    """
    first, last = int(frames[0]), int(frames[-1])
    if first == 0:
        return 0, True
    # The last row is frame 240 of 240: the first one must be 1.
    if last in lengths and last + 1 not in lengths:
        return 1, True
    if last + 1 in lengths:
        return 0, first > 1
    is_gapless = last - first + 1 == len(frames)
    return int(first == 1), first == 1 and is_gapless and not lengths


def parse_name(path: Path) -> tuple[str, int | None]:
    """The video's name and the trial number in a file name `prediction_<video>_<trial>.csv`.

    For any other name the number is None, and what tools append to the video's name is removed:
    `<video>_labels`, `<video>.boris`.
    """
    match = _TRIAL_NAME.fullmatch(path.stem)
    if match:
        return match["video"], int(match["trial"])
    return _TOOLS.sub("", path.stem) or path.stem, None


def read_labels(path: Path, ethogram: Ethogram) -> LabelFile:
    """Read a label file. Raises `UserError` that names the row with the problem."""
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
    # The words repeat in thousands of rows, so each is looked up once.
    ids: dict[str, int] = {}
    frames, raw_ids = [], []
    for line, row in zip(table.lines, table.rows, strict=True):
        word = row[action_column]
        if word not in ids:
            try:
                ids[word] = ethogram.raw_id(word)
            except ValueError as error:
                column = table.header[action_column]
                raise UserError(f"{path}, line {line}, column {column}: {error}") from None
        frames.append(_frame_number(path, line, row[frame_column]))
        raw_ids.append(ids[word])
    # Rows may come in any order, but no frame twice.
    numbers = np.asarray(frames, np.int64)
    order = np.argsort(numbers, kind="stable")
    _refuse_repeated_frames(table, numbers, order)
    labels = ethogram.merge(np.asarray(raw_ids))
    return LabelFile(path, parse_name(path)[1], numbers[order], labels[order])


def _refuse_repeated_frames(table: Table, numbers: np.ndarray, order: np.ndarray) -> None:
    """Raise `UserError` if a frame occurs twice; `order` sorts `numbers` `(rows,)`."""
    repeated = np.flatnonzero(np.diff(numbers[order]) == 0)
    if not repeated.size:
        return
    one, two = sorted(order[repeated[0] : repeated[0] + 2].tolist())
    raise UserError(
        f"{table.path}: frame {numbers[one]} is on line {table.lines[one]} and again on line "
        f"{table.lines[two]}; keep one of them"
    )


def _read_plain(path: Path, ethogram: Ethogram) -> LabelFile | None:
    """A fast path, thirty times faster, for the usual table of two columns of whole numbers.

    None for any other file: `read_labels` reads it row by row and names the line of a problem.
    """
    try:
        head, _, body = Path(path).read_bytes().removeprefix(codecs.BOM_UTF8).partition(b"\n")
    except OSError:
        return None
    numbers = _load_integers(body) if _is_plain_header(head) else None
    if numbers is None or numbers.shape[1] != 2:
        return None
    # Whatever is unusual here is left to the slow path, which can say what is wrong.
    frames, raw_ids = numbers.T
    known_ids = [UNLABELED, *(raw.id for raw in ethogram.raw)]
    if not np.isin(raw_ids, known_ids).all():
        return None
    if frames[0] < 0 or frames[-1] >= 2**31 or not (np.diff(frames) > 0).all():
        return None
    # A column of a 2-D array would keep the whole array in memory.
    return LabelFile(path, parse_name(path)[1], frames.copy(), ethogram.merge(raw_ids))


def _is_plain_header(head: bytes) -> bool:
    """Whether a line is `Frame,Action`, or the like, in this order and without other columns."""
    names = head.decode("latin-1").strip().casefold().split(",")
    return len(names) == 2 and names[0] in _FRAME and names[1] in _ACTION


def _load_integers(body: bytes) -> np.ndarray | None:
    """The numbers `(rows, columns)` int64 of a comma-separated table; None if it has other text."""
    # Only characters of whole numbers: a point, a quote, or a letter ends the fast path.
    has_other_text = body.translate(None, b"0123456789,-\r\n")
    has_lone_returns = b"\r" in body.replace(b"\r\n", b"")
    if has_other_text or has_lone_returns or not body.strip():
        return None
    try:
        return np.loadtxt(io.BytesIO(body), np.int64, delimiter=",", ndmin=2)
    except (ValueError, OverflowError):
        return None


def has_label_columns(header: Sequence[str]) -> bool:
    """Whether these are the columns of a label file with one row per frame."""
    names = {h.strip().casefold() for h in header}
    return not names.isdisjoint(_FRAME) and not names.isdisjoint(_ACTION)


def write_labels(path: Path, labels: np.ndarray, ethogram: Ethogram) -> None:
    """Write class indices `(time,)` as names, one row per frame from 0; -1 is written as None.

    A class that merges behaviors of other names is written as the first of these, so that the file
    reads back to the same labels.
    """
    # The last name stands at index -1, which means unlabeled.
    names = np.array([*(_name_in_file(name, ethogram) for name in ethogram.classes), "None"])
    write_table(path, ("Frame", "Action"), enumerate(names[labels].tolist()))


def _name_in_file(name: str, ethogram: Ethogram) -> str:
    behaviors = [raw.name for raw in ethogram.raw if raw.merged == name]
    return name if name in behaviors or not behaviors else behaviors[0]


def _frame_number(path: Path, line: int, text: str) -> int:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    # The comparison is false for NaN too.
    if not 0 <= number < 2**31 or number != int(number):
        raise UserError(
            f"{path}, line {line}, column Frame: expected a frame number, found {text!r}"
        )
    return int(number)
