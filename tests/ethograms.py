"""Ethograms that tests make."""

from __future__ import annotations

from collections.abc import Sequence

from dolorim.labels.ethogram import Ethogram, RawClass


def unmerged(names: Sequence[str], ids: Sequence[int] | None = None) -> Ethogram:
    """Every behavior is its own class."""
    ids = range(len(names)) if ids is None else ids
    return Ethogram(tuple(RawClass(i, n, n) for i, n in zip(ids, names, strict=True)), tuple(names))
