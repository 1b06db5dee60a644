"""Names of animals, as people write them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def animal_key(name: str) -> str:
    """What an animal's name is known by: letter case and white space do not make another animal."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def one_spelling(names: Iterable[str]) -> dict[str, str]:
    """Each name, and the spelling of it that is used for the animal: the one that sorts first.

    So that is `267M` where there is `267m` too.
    """
    chosen: dict[str, str] = {}
    known = sorted(set(names))
    for name in known:
        chosen.setdefault(animal_key(name), name)
    return {name: chosen[animal_key(name)] for name in known}


def also_in(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """Those of some animals that are among others, however they are spelled, sorted."""
    known = {animal_key(other) for other in others}
    return sorted({name for name in names if animal_key(name) in known})
