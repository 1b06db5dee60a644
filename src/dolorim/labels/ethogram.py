"""The ethogram: which behaviors a label file may name, and which classes they are merged into for learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.mirror import mirrored_order

UNLABELED = -1
_UNLABELED_WORDS = frozenset({"", "none", "nan", "na", "n/a", "null", "unlabeled", "unlabelled"})


@dataclass(frozen=True)
class RawClass:
    """A behavior as it stands in a label file, and the class that it is learned as; None: not at all (-1)."""

    id: int
    name: str
    merged: str | None


@dataclass(frozen=True)
class Ethogram:
    """Classes to learn, in order, and the raw behaviors behind them.

    `indicator` names the class that summaries show first (the sign of pain), `background` those that one set of
    segment scores leaves out. Both may be empty.
    """

    raw: tuple[RawClass, ...]
    classes: tuple[str, ...]
    indicator: str | None = None
    background: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _refuse_twice("class name", self.classes)
        _refuse_twice("raw id", [r.id for r in self.raw])
        _refuse_twice("raw name", [r.name.casefold() for r in self.raw])
        for r in self.raw:
            if r.id < 0:
                raise UserError(
                    f"ethogram: raw id {r.id} of {r.name!r} is negative; -1 means unlabelled"
                )
            if r.merged is not None and r.merged not in self.classes:
                raise UserError(
                    f"ethogram: {r.name!r} is merged into {r.merged!r}, which is not among {self.classes}"
                )
        for name in (*self.classes, *(r.name for r in self.raw)):
            if means_unlabelled(name):
                raise UserError(
                    f"ethogram: {name!r} means unlabelled in a label file; give the class another name"
                )
        for name in (*self.background, *filter(None, [self.indicator])):
            if name not in self.classes:
                raise UserError(
                    f"ethogram: {name!r} is not among the classes {', '.join(self.classes)}"
                )
        if len(self.classes) < 2:
            raise UserError(
                f"ethogram: at least two classes are needed to learn from, found {len(self.classes)}"
            )

    def __len__(self) -> int:
        return len(self.classes)

    def raw_id(self, text: str) -> int:
        """The raw id that a cell of a label file means: a number or a class name. Raises `ValueError` otherwise."""
        word = text.strip()
        if means_unlabelled(word):
            return UNLABELED
        if word.casefold() in self._ids_by_name:
            return self._ids_by_name[word.casefold()]
        try:
            number = float(word)
        except ValueError:
            raise ValueError(
                f"no class is called {word!r}; there are {', '.join(r.name for r in self.raw)}"
            ) from None
        if (
            number != UNLABELED and number not in self._merged_by_id
        ):  # 3.0 == 3, and 3.5 is in no ethogram
            ids = ", ".join(str(r.id) for r in self.raw)
            raise ValueError(
                f"class id {word} is not in the ethogram (ids {ids}; -1 is unlabelled)"
            )
        return int(number)

    def merge(self, raw_ids: np.ndarray) -> np.ndarray:
        """Raw ids of any shape to class indices (int16); -1, and what is left out, to -1."""
        ids, codes = np.unique(raw_ids, return_inverse=True)
        merged = [UNLABELED if i == UNLABELED else self._merged_by_id[int(i)] for i in ids]
        return np.asarray(merged, np.int16)[codes].reshape(np.shape(raw_ids))

    @property
    def merging(self) -> dict[str, tuple[str, ...]]:
        """For each class that is learned from behaviors of other names, these names."""
        merged: dict[str, tuple[str, ...]] = {}
        for raw in self.raw:
            if raw.merged is not None and raw.merged != raw.name:
                merged[raw.merged] = (*merged.get(raw.merged, ()), raw.name)
        return merged

    def merging_note(self) -> str:
        """Which behaviors are counted as which other, and how to keep them apart; empty where none are.

        Merging is a scientific decision, so whoever learns, checks or reports says it.
        """
        if not self.merging:
            return ""
        parts = [f"{' and '.join(names)} count as {name}" for name, names in self.merging.items()]
        return f"{'; '.join(parts)}; to keep behaviors apart, give them classes of their own in classes.csv (id,name)"

    @cached_property
    def mirrored(self) -> tuple[int, ...]:
        """For each class the one that it becomes in a mirror: `lick_L` becomes `lick_R` where both exist."""
        return mirrored_order(self.classes)

    @cached_property
    def _ids_by_name(self) -> dict[str, int]:
        # A merged class may be written by name too, where one of its raw behaviors carries it.
        return {r.name.casefold(): r.id for r in self.raw}

    @cached_property
    def _merged_by_id(self) -> dict[int, int]:
        return {
            r.id: UNLABELED if r.merged is None else self.classes.index(r.merged) for r in self.raw
        }


def means_unlabelled(text: str) -> bool:
    """Whether a word in a file stands for no class: an empty cell, none, NaN and the like."""
    return text.strip().casefold() in _UNLABELED_WORDS


def _refuse_twice(what: str, values: Sequence[object]) -> None:
    for value in values:
        if list(values).count(value) > 1:
            raise UserError(f"ethogram: {what} {value!r} stands twice")


_PAIN = ("rest", "paw_withdraw", "paw_lick", "paw_guard", "paw_shake", "flinch", "walk", "active")
_MERGED = {"paw_guard": "paw_withdraw", "flinch": "paw_withdraw"}

PAIN = Ethogram(
    raw=tuple(RawClass(i, name, _MERGED.get(name, name)) for i, name in enumerate(_PAIN)),
    classes=("rest", "paw_withdraw", "paw_lick", "paw_shake", "walk", "active"),
    indicator="paw_withdraw",
    background=("rest",),
)
