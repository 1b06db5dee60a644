"""The ethogram: the behaviors that label files name, and the classes they are merged into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.mirror import mirrored_order

UNLABELED = -1  # the label of a frame that has none, and never a class
_UNLABELED_WORDS = frozenset({"", "none", "nan", "na", "n/a", "null", "unlabeled", "unlabelled"})


@dataclass(frozen=True)
class RawClass:
    """A behavior in label files, and the class that it is merged into.

    Frames of a behavior whose `merged` is None are unlabeled.
    """

    id: int
    name: str
    merged: str | None


@dataclass(frozen=True)
class Ethogram:
    """Classes to learn, in order, and the raw behaviors behind them.

    `indicator` names the class that summaries show first (the sign of pain), `background` the
    classes that one set of segment scores leaves out, and `points` those that have no duration: a
    person marks one frame. All may be empty.
    """

    raw: tuple[RawClass, ...]
    classes: tuple[str, ...]
    indicator: str | None = None
    background: tuple[str, ...] = ()
    points: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _refuse_repeats("class name", self.classes)
        _refuse_repeats("raw id", [raw.id for raw in self.raw])
        _refuse_repeats("raw name", [raw.name.casefold() for raw in self.raw])
        for raw in self.raw:
            _check_raw_class(raw, self.classes)
        _refuse_unlabelled_words([*self.classes, *(raw.name for raw in self.raw)])
        named = [*self.background, *self.points]
        if self.indicator:
            named.append(self.indicator)
        for name in named:
            if name not in self.classes:
                raise UserError(
                    f"ethogram: {name!r} is not among the classes {', '.join(self.classes)}"
                )
        if len(self.classes) < 2:
            raise UserError(
                f"ethogram: at least two classes are needed to learn from, found "
                f"{len(self.classes)}"
            )

    def __len__(self) -> int:
        return len(self.classes)

    def raw_id(self, text: str) -> int:
        """The raw id that a cell of a label file means, a number or a class name.

        Raises `ValueError` for a number or name that is not in the ethogram.
        """
        word = text.strip()
        if means_unlabelled(word):
            return UNLABELED
        # Names come first: a behavior may be called "2".
        if word.casefold() in self._ids_by_name:
            return self._ids_by_name[word.casefold()]
        try:
            number = float(word)
        except ValueError:
            names = ", ".join(raw.name for raw in self.raw)
            raise ValueError(f"no class is called {word!r}; there are {names}") from None
        # As a key, 3.0 equals 3; 3.5 is in no ethogram.
        if number != UNLABELED and number not in self._merged_by_id:
            ids = ", ".join(str(raw.id) for raw in self.raw)
            raise ValueError(f"class id {word} is not in the ethogram (ids {ids}; -1 is unlabeled)")
        return int(number)

    def merge(self, raw_ids: np.ndarray) -> np.ndarray:
        """Raw ids of any shape as class indices (int16); -1 and behaviors left out become -1.

        Raises `KeyError` for an id that is not in the ethogram.
        """
        # Each id is looked up once, however many frames there are.
        ids, codes = np.unique(raw_ids, return_inverse=True)
        class_of = {UNLABELED: UNLABELED, **self._merged_by_id}
        merged = [class_of[int(raw_id)] for raw_id in ids]
        return np.asarray(merged, np.int16)[codes].reshape(np.shape(raw_ids))

    @property
    def merging(self) -> dict[str, tuple[str, ...]]:
        """The names of the behaviors merged into each class, apart from the class's own name."""
        merged: dict[str, tuple[str, ...]] = {}
        for raw in self.raw:
            if raw.merged is not None and raw.merged != raw.name:
                merged[raw.merged] = (*merged.get(raw.merged, ()), raw.name)
        return merged

    def merging_note(self) -> str:
        """Which behaviors count as which class, and how to keep them apart; "" if none are merged.

        Merging is a scientific decision, so training, checks and reports show this note.
        """
        if not self.merging:
            return ""
        parts = [f"{' and '.join(names)} count as {name}" for name, names in self.merging.items()]
        remedy = "to keep behaviors apart, give them classes of their own in classes.csv (id,name)"
        return f"{'; '.join(parts)}; {remedy}"

    @cached_property
    def mirrored(self) -> tuple[int, ...]:
        """For each class its mirror image: `lick_L` becomes `lick_R` where both exist."""
        return mirrored_order(self.classes)

    @cached_property
    def _ids_by_name(self) -> dict[str, int]:
        # A merged class may be written by name too, where one of its raw behaviors carries it.
        return {raw.name.casefold(): raw.id for raw in self.raw}

    @cached_property
    def _merged_by_id(self) -> dict[int, int]:
        return {
            raw.id: UNLABELED if raw.merged is None else self.classes.index(raw.merged)
            for raw in self.raw
        }


def means_unlabelled(text: str) -> bool:
    """Whether a word in a file stands for no class: an empty cell, none, NaN and the like."""
    return text.strip().casefold() in _UNLABELED_WORDS


def _check_raw_class(raw: RawClass, classes: Sequence[str]) -> None:
    if raw.id < 0:
        raise UserError(
            f"ethogram: raw id {raw.id} of {raw.name!r} is negative; -1 means unlabeled"
        )
    if raw.merged is not None and raw.merged not in classes:
        raise UserError(
            f"ethogram: {raw.name!r} is merged into {raw.merged!r}, which is not among {classes}"
        )


def _refuse_unlabelled_words(names: Sequence[str]) -> None:
    for name in names:
        if means_unlabelled(name):
            raise UserError(
                f"ethogram: {name!r} means unlabeled in a label file; give the class another name"
            )


def _refuse_repeats(what: str, values: Sequence[object]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise UserError(f"ethogram: {what} {value!r} occurs twice")


# The built-in ethogram: a behavior's raw id is its position.
_PAIN = ("rest", "paw_withdraw", "paw_lick", "paw_guard", "paw_shake", "flinch", "walk", "active")
_MERGED = {"paw_guard": "paw_withdraw", "flinch": "paw_withdraw"}

PAIN = Ethogram(
    raw=tuple(RawClass(i, name, _MERGED.get(name, name)) for i, name in enumerate(_PAIN)),
    classes=("rest", "paw_withdraw", "paw_lick", "paw_shake", "walk", "active"),
    indicator="paw_withdraw",
    background=("rest",),
)
