"""How numbers of things are written in sentences."""

from __future__ import annotations


def counted(n: int, noun: str) -> str:
    """`1 animal`, `2 animals`, `1,200 frames`."""
    if n == 1:
        return f"1 {noun}"
    return f"{n:,} {noun}s"
