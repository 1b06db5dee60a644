"""Left and right in names: what a mirror makes of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SWAPPED = {"l": "r", "left": "right", "r": "l", "right": "left"}


def mirrored_order(names: Sequence[str]) -> tuple[int, ...]:
    """For each name the index of the one that it becomes in a mirror: `lick_L` becomes `lick_R` where both exist."""
    known = {n.casefold(): i for i, n in enumerate(names)}
    return tuple(known.get(_swap_sides(n.casefold()), i) for i, n in enumerate(names))


def _swap_sides(name: str) -> str:
    parts = re.split(r"([^a-z]|(?<=left)|(?<=right))", name)
    return "".join(_SWAPPED.get(p, p) for p in parts if p)
