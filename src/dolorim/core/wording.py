"""How numbers of things, and lists of names, are written in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def counted(n: int, noun: str) -> str:
    """`1 animal`, `2 animals`, `1,200 frames`."""
    if n == 1:
        return f"1 {noun}"
    return f"{n:,} {noun}s"


def first_of(names: Sequence[str], most: int) -> str:
    """`a, b, c and 7 more`: at most so many names, and how many there are beside them."""
    listed = ", ".join(names[:most])
    if len(names) > most:
        listed += f" and {len(names) - most} more"
    return listed
