"""Splits by animal: all videos and trials of an animal are in the same part."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.animals import animal_key
from dolorim.files.structured import STRICT

_TRIES = 500  # random orders of the animals, of which the most even one is taken
_SHARE = 0.2  # of the animals, for validation and for test alike


@dataclass(frozen=True)
class Split:
    """Names of the animals in each part; `val` chooses the checkpoint, `test` is scored once."""

    __pydantic_config__ = STRICT

    train: tuple[str, ...]
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    def part_of(self, animal: str) -> str | None:
        """`train`, `val` or `test`; None for an animal that the split does not know."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return next((name for name, animals in parts.items() if animal in animals), None)


def split_animals(
    frames: Mapping[str, np.ndarray],
    *,
    val: Sequence[str] | None = None,
    test: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """Divide animals about 60/20/20, with classes spread as evenly as whole animals allow.

    `frames[animal]` `(classes,)` counts its labeled frames. `val` and `test` fix a part by name;
    an empty sequence leaves it out. If fewer than three animals are left to divide, none goes to
    validation, because training needs them more.

    Raises `UserError` for an unknown name, and if no animal is left to train on.
    """
    names = sorted(frames)
    val = _as_known(val, names, "validation")
    test = _as_known(test, names, "test")
    rest = _unnamed(names, val, test)
    n_test = n_val = 0
    if test is None:
        n_test = _share(len(rest), _SHARE, at_least=2)
    if val is None:
        # Without the test animals, the same number of animals is a larger share of the rest.
        share = _SHARE if test is None else _SHARE / (1 - _SHARE)
        n_val = _share(len(rest), share, at_least=3)
    sizes = [n_test, n_val, len(rest) - n_test - n_val]
    order = [rest[i] for i in _most_even_order([frames[name] for name in rest], sizes, seed)]
    # The parts in the order of `sizes`.
    if test is None:
        test = order[:n_test]
    if val is None:
        val = order[n_test : n_test + n_val]
    train = order[n_test + n_val :]
    return Split(tuple(sorted(train)), tuple(sorted(val)), tuple(sorted(test)))


def fold_animals(
    frames: Mapping[str, np.ndarray], folds: int, *, val: Sequence[str] | None = None, seed: int = 0
) -> tuple[Split, ...]:
    """Splits for cross-validation: each animal is tested in exactly one of them.

    The folds are as equal in size as possible, and classes are spread over them as evenly as whole
    animals allow. The validation animals of a fold are drawn from the other folds, so choices made
    with them have not seen its test animals; an empty `val` leaves them out. As many folds as
    animals leave one animal out at a time.

    Raises `UserError` for fewer than two folds, and for more folds than animals.
    """
    names = sorted(frames)
    if not 2 <= folds <= len(names):
        raise UserError(
            f"{folds} folds of {len(names)} animals ({', '.join(names)}): "
            "expected 2 or more, and no more than animals"
        )
    # The remainder goes to the first folds, one animal each.
    sizes = [len(names) // folds + (k < len(names) % folds) for k in range(folds)]
    counts = [frames[name] for name in names]
    order = iter(_most_even_order(counts, sizes, seed, each_is_left_out=True))
    splits = []
    for k, size in enumerate(sizes):
        test = {names[i] for i in itertools.islice(order, size)}
        rest = {n: f for n, f in frames.items() if n not in test}
        # Another seed per fold, so that the same animals are not always the validation animals.
        split = split_animals(rest, val=val, test=(), seed=seed + k)
        splits.append(replace(split, test=tuple(sorted(test))))
    return tuple(splits)


def _unnamed(
    names: Sequence[str], val: Sequence[str] | None, test: Sequence[str] | None
) -> list[str]:
    """The animals that no part names. Raises `UserError` for what `split_animals` says."""
    named_val, named_test = set(val or ()), set(test or ())
    both = sorted(named_val & named_test)
    if both:
        raise UserError(
            f"animal {both[0]!r} is named for validation and for test; it can only be one"
        )
    rest = [name for name in names if name not in named_val | named_test]
    if not rest:
        raise UserError(f"no animal is left to train on; there are {', '.join(names)}")
    return rest


def _as_known(
    given: Sequence[str] | None, names: Sequence[str], part: str
) -> tuple[str, ...] | None:
    """The given animals in the spelling of `names`: `267m` is `267M`.

    Raises `UserError` for an unknown one.
    """
    if given is None:
        return None
    known = {animal_key(name): name for name in names}
    for name in given:
        if animal_key(name) not in known:
            raise UserError(
                f"no animal is called {name!r} (for {part}); there are {', '.join(names)}"
            )
    return tuple(dict.fromkeys(known[animal_key(name)] for name in given))


def _share(n: int, share: float, at_least: int) -> int:
    """So many of `n` animals, but at least one; none of fewer than `at_least`."""
    return max(1, round(share * n)) if n >= at_least else 0


def _most_even_order(
    counts: Sequence[np.ndarray], sizes: Sequence[int], seed: int, each_is_left_out: bool = False
) -> np.ndarray:
    """The order of animals that spreads the classes most evenly over parts of these sizes.

    `counts` holds the labeled frames `(classes,)` of each animal. The last part is used for
    training; with `each_is_left_out`, all parts but one are, for each of them in turn.
    """
    rng = np.random.default_rng(seed)
    table = np.asarray(counts, float).reshape(len(counts), -1)
    total = table.sum(0)
    edges = np.cumsum([0, *sizes]).tolist()

    def unevenness(order: np.ndarray) -> float:
        parts = [table[order[start:stop]].sum(0) for start, stop in itertools.pairwise(edges)]
        learned = [total - part for part in parts] if each_is_left_out else parts[-1:]
        # A class that cannot be learned weighs more than any unevenness.
        n_unlearnable = np.sum([(part == 0) & (total > 0) for part in learned])
        uneven = 0.0
        for part, size in zip(parts, sizes, strict=True):
            uneven += np.square(part / np.maximum(total, 1) - size / len(counts)).sum()
        return float(100 * n_unlearnable + uneven)

    # With a single part, the order does not matter.
    is_divided = each_is_left_out or any(sizes[:-1])
    orders = [rng.permutation(len(counts)) for _ in range(_TRIES if is_divided else 1)]
    return min(orders, key=unevenness)
