"""A contact sheet: one whole picture, and a grid of tiles to its right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def overview_of(gray: np.ndarray, height: int) -> tuple[Image.Image, float]:
    """A picture `(height, width)` uint8 in color and another height, and the factor of its size."""
    scale = height / gray.shape[0]
    image = Image.fromarray(np.ascontiguousarray(gray)).convert("RGB")
    return image.resize((round(gray.shape[1] * scale), height)), scale


def save_sheet(
    overview: Image.Image, tiles: Sequence[Image.Image], columns: int, path: Path
) -> None:
    """Write the sheet of a whole picture and square tiles of one size, making folders as needed."""
    side = tiles[0].width
    sheet = Image.new("RGB", (overview.width + columns * side, overview.height))
    sheet.paste(overview, (0, 0))
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        sheet.paste(tile, (overview.width + column * side, row * side))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
