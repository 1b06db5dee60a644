"""Names of animals, as people write them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def animal_key(name: str) -> str:
    """A key for all spellings of an animal's name: letter case and white space do not count."""
    # NFKC also makes full-width digits, which some keyboards type, ordinary ones.
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def one_spelling(names: Iterable[str]) -> dict[str, str]:
    """For each name the one spelling used for its animal: of `267M` and `267m`, the first."""
    chosen: dict[str, str] = {}
    distinct = sorted(set(names))
    for name in distinct:
        chosen.setdefault(animal_key(name), name)
    return {name: chosen[animal_key(name)] for name in distinct}


def also_in(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """The names, sorted, of animals that are also among others, however they are spelled."""
    other_keys = {animal_key(other) for other in others}
    return sorted({name for name in names if animal_key(name) in other_keys})
