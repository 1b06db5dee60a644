"""The colors of behaviors and groups: the same in every figure, page and video.

They stay distinct for color-blind readers (Okabe & Ito 2008; Tol 2021). The first behavior, usually
rest, is gray so that the others stand out.
"""

from __future__ import annotations

from collections.abc import Sequence

_CLASS_HEX = (
    *("9a9a9a", "d55e00", "0072b2", "e69f00", "009e73", "56b4e9", "cc79a7", "f0e442"),
    *("882255", "44aa99", "332288", "999933", "aa4499", "88ccee", "117733", "ddcc77"),
)
_GROUP_HEX = ("3c3c3c", "8a2be2", "7fbc00", "ff1493", "1f3bff", "6b3e00", "fb8072", "005f60")


def class_colors(n: int) -> list[tuple[int, int, int]]:
    """RGB, 0-255, of `n` behaviors; beyond sixteen they repeat."""
    return _first_colors(_CLASS_HEX, n)


def group_colors(n: int) -> list[tuple[int, int, int]]:
    """RGB, 0-255, of `n` groups of animals; beyond eight they repeat. No behavior has them."""
    return _first_colors(_GROUP_HEX, n)


def _first_colors(palette: Sequence[str], n: int) -> list[tuple[int, int, int]]:
    colors = []
    for i in range(n):
        red, green, blue = bytes.fromhex(palette[i % len(palette)])
        colors.append((red, green, blue))
    return colors
