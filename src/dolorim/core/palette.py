"""The colors of classes, the same in every figure, page and video, and told apart by color-blind eyes.

After Okabe & Ito (2008) and Tol (2021); the first class, usually rest, is gray so that the others stand out.
"""

from __future__ import annotations

_HEX = (
    "9a9a9a", "d55e00", "0072b2", "e69f00", "009e73", "56b4e9", "cc79a7", "f0e442",
    "882255", "44aa99", "332288", "999933", "aa4499", "88ccee", "117733", "ddcc77",
)  # fmt: skip


def class_colors(n: int) -> list[tuple[int, int, int]]:
    """RGB, 0-255, of `n` classes; beyond sixteen they repeat."""
    colors = [tuple(bytes.fromhex(h)) for h in _HEX]
    return [(r, g, b) for r, g, b in (colors[i % len(colors)] for i in range(n))]


_GROUP_HEX = ("3c3c3c", "8a2be2", "7fbc00", "ff1493", "1f3bff", "6b3e00", "fb8072", "005f60")


def group_colors(n: int) -> list[tuple[int, int, int]]:
    """RGB, 0-255, of `n` groups of animals, none of them the color of a behavior; beyond eight they repeat."""
    colors = [tuple(bytes.fromhex(h)) for h in _GROUP_HEX]
    return [(r, g, b) for r, g, b in (colors[i % len(colors)] for i in range(n))]
