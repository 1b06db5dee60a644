"""DeepLabCut tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dolorim.files.tables import write_table


def write_dlc(
    path: Path, scorer: str, names: Sequence[str], points: np.ndarray, likelihood: np.ndarray
) -> None:
    """Write the usual CSV with three header rows.

    `points` is `(time, keypoint, xy)` in pixels, `likelihood` `(time, keypoint)`.
    """
    columns = [(n, c) for n in names for c in ("x", "y", "likelihood")]
    header = ["scorer", *[scorer] * len(columns)]
    table = np.concatenate([points, likelihood[..., None]], axis=-1).reshape(len(points), -1)
    rows: list[Sequence[object]] = [
        ["bodyparts", *(n for n, _ in columns)],
        ["coords", *(c for _, c in columns)],
    ]
    rows += [[i, *row] for i, row in enumerate(table.tolist())]
    write_table(path, header, rows)
