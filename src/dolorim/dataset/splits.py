"""Splits by animal: no animal stands on both sides, whatever its number of videos and trials."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.animals import animal_key

_TRIES = 500


@dataclass(frozen=True)
class Split:
    """Names of the animals in each part; `val` chooses the checkpoint, `test` is scored once."""

    train: tuple[str, ...]
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    def part_of(self, animal: str) -> str | None:
        """`train`, `val` or `test`; None for an animal that the split does not know."""
        return next(
            (part for part in ("train", "val", "test") if animal in getattr(self, part)), None
        )


def split_animals(
    frames: Mapping[str, np.ndarray],
    *,
    val: Sequence[str] | None = None,
    test: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """Divide animals about 60/20/20, classes spread as evenly as whole animals allow.

    `frames[animal]` `(classes,)` counts its labelled frames. `val` and `test` fix a part by name; an empty sequence
    leaves it out. Of fewer than three animals to divide, none goes to validation: training needs them more.
    Raises `UserError` for a name that is not there and when nothing is left to train on.
    """
    names = sorted(frames)
    val = _as_known(val, names, "validation")
    test = _as_known(test, names, "test")
    both = set(val or ()) & set(test or ())
    if both:
        raise UserError(
            f"animal {sorted(both)[0]!r} is named for validation and for test; it can only be one"
        )
    rest = [n for n in names if n not in {*(val or ()), *(test or ())}]
    if not rest:
        raise UserError(f"no animal is left to train on; there are {', '.join(names)}")
    n_test = 0 if test is not None else _share(len(rest), 0.2, at_least=2)
    share = 0.2 if test is None else 0.25
    n_val = 0 if val is not None else _share(len(rest), share, at_least=3)
    order = _spread([frames[n] for n in rest], [n_test, n_val, len(rest) - n_test - n_val], seed)
    drawn = [rest[i] for i in order]
    return Split(
        train=tuple(sorted(drawn[n_test + n_val :])),
        val=tuple(sorted(drawn[n_test : n_test + n_val] if val is None else val)),
        test=tuple(sorted(drawn[:n_test] if test is None else test)),
    )


def _as_known(
    given: Sequence[str] | None, names: Sequence[str], part: str
) -> tuple[str, ...] | None:
    """The animals that somebody means, in the spelling of `names`: `267m` is `267M`."""
    if given is None:
        return None
    known = {animal_key(name): name for name in names}
    for name in given:
        if animal_key(name) not in known:
            raise UserError(
                f"no animal is called {name!r} (for {part}); there are {', '.join(names)}"
            )
    return tuple(dict.fromkeys(known[animal_key(name)] for name in given))


def fold_animals(
    frames: Mapping[str, np.ndarray], folds: int, *, val: Sequence[str] | None = None, seed: int = 0
) -> tuple[Split, ...]:
    """Splits for cross-validation: each animal is tested in one of them, in folds of as equal a size as there can be.

    Classes are spread over the folds as evenly as whole animals allow. A fold's validation animals are drawn from the
    others, so what is chosen by them has not seen its test animals; an empty `val` leaves them out. As many folds as
    animals leave one out at a time. Raises `UserError` for fewer than two folds, and for more than there are animals.
    """
    names = sorted(frames)
    if not 2 <= folds <= len(names):
        raise UserError(
            f"{folds} folds of {len(names)} animals ({', '.join(names)}): expected 2 or more, and no more than animals"
        )
    sizes = [len(names) // folds + (k < len(names) % folds) for k in range(folds)]
    order = iter(_spread([frames[n] for n in names], sizes, seed, each_is_left_out=True))
    splits = []
    for k, size in enumerate(sizes):
        test = {names[next(order)] for _ in range(size)}
        rest = {n: f for n, f in frames.items() if n not in test}
        split = split_animals(rest, val=val, test=(), seed=seed + k)
        splits.append(replace(split, test=tuple(sorted(test))))
    return tuple(splits)


def _share(n: int, share: float, at_least: int) -> int:
    return max(1, round(share * n)) if n >= at_least else 0


def _spread(
    counts: Sequence[np.ndarray], sizes: Sequence[int], seed: int, each_is_left_out: bool = False
) -> np.ndarray:
    """The order of animals that leaves the classes spread most evenly over parts of these sizes.

    The last part is what is learned from; with `each_is_left_out` it is all but one part, for each of them.
    """
    rng = np.random.default_rng(seed)
    table = np.asarray(counts, float).reshape(len(counts), -1)
    total = np.maximum(table.sum(0), 1)
    edges = np.cumsum([0, *sizes]).tolist()
    wanted = [size / len(counts) for size in sizes]

    def unevenness(order: np.ndarray) -> float:
        parts = [table[order[a:b]].sum(0) for a, b in itertools.pairwise(edges)]
        learned = [table.sum(0) - p for p in parts] if each_is_left_out else parts[-1:]
        missing = np.sum(
            [(p == 0) & (table.sum(0) > 0) for p in learned]
        )  # a class that cannot be learned weighs most
        return 100 * missing + sum(
            np.square(p / total - w).sum() for p, w in zip(parts, wanted, strict=True)
        )

    divided = each_is_left_out or any(sizes[:-1])
    orders = [rng.permutation(len(counts)) for _ in range(_TRIES if divided else 1)]
    return min(orders, key=unevenness)
