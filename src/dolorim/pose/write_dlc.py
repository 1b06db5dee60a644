"""Writes tables as DeepLabCut does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dolorim.files.tables import write_table


def write_dlc(
    path: Path, scorer: str, names: Sequence[str], points: np.ndarray, likelihood: np.ndarray
) -> None:
    """Write the usual CSV with three header rows: scorer, bodyparts, coords.

    `points` is `(time, keypoint, xy)` in pixels, `likelihood` `(time, keypoint)`.
    """
    coordinates = ("x", "y", "likelihood")
    header = ["scorer", *[scorer] * (len(names) * len(coordinates))]
    table = np.concatenate([points, likelihood[..., None]], axis=-1).reshape(len(points), -1)
    rows: list[Sequence[object]] = [
        ["bodyparts", *np.repeat(np.array(names, object), len(coordinates))],
        ["coords", *coordinates * len(names)],
    ]
    rows += [[frame, *row] for frame, row in enumerate(table.tolist())]
    write_table(path, header, rows)
