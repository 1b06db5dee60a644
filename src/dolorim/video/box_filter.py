"""Means over a square around every pixel of a small picture, faster than SciPy's.

SciPy keeps a running sum, one number after the other. Here windows of 2, 4, 8, ... pixels are
summed by adding the whole picture to a shifted copy of itself, which a processor does many numbers
at a time.
"""

from __future__ import annotations

import numpy as np


def box_mean(image: np.ndarray, size: int) -> np.ndarray:
    """Mean over the `(size, size)` square around each pixel of an image, whose edge is repeated.

    Equal to `scipy.ndimage.uniform_filter(image, size, mode="nearest")` for an odd size, but for
    rounding.
    """
    reach = size // 2
    wide = _surrounded(image, reach)
    if reach:
        inside = slice(reach, -reach)
        wide[inside, :reach] = image[:, :1]
        wide[inside, -reach:] = image[:, -1:]
        wide[:reach] = wide[reach]
        wide[-reach:] = wide[-reach - 1]
    return _box_sums(wide, size) / np.float32(size**2)


def blur(image: np.ndarray, size: int) -> np.ndarray:
    """The mean over a square twice, with nothing outside the image.

    Equal to `scipy.ndimage.uniform_filter(image, size, mode="constant")` applied twice, for an odd
    size, but for rounding.
    """
    once = _box_sums(_surrounded(image, size // 2), size)
    return _box_sums(_surrounded(once, size // 2), size) / np.float32(size**4)


def _surrounded(image: np.ndarray, reach: int) -> np.ndarray:
    """The image with `reach` zeros around it; `np.pad` takes several times as long."""
    height, width = image.shape
    wide = np.zeros((height + 2 * reach, width + 2 * reach), image.dtype)
    wide[reach : reach + height, reach : reach + width] = image
    return wide


def _box_sums(wide: np.ndarray, size: int) -> np.ndarray:
    """Sums over all squares `(size, size)` that lie in an image."""
    height, width = wide.shape
    # Row after row, a pixel's neighbor is one step away along a row and `width` steps along a
    # column. Sums that run over the end of a row are left out at the end.
    sums = _sums(_sums(wide.ravel(), size, 1), size, width)
    rows = np.empty((height - size + 1, width), wide.dtype)
    rows.ravel()[: len(sums)] = sums
    return rows[:, : width - size + 1]


def _sums(numbers: np.ndarray, size: int, step: int) -> np.ndarray:
    """Sums of `size` numbers that are `step` apart, starting from each number in turn."""
    n_sums = len(numbers) - (size - 1) * step
    # `doubled[i]` is the sum of `count` numbers from i on; the bits of `size` say which to add.
    doubled, count, first = numbers, 1, 1
    total = numbers[:n_sums]
    while 2 * count <= size:
        doubled = doubled[: -count * step] + doubled[count * step :]
        count *= 2
        if size & count:
            total = total + doubled[first * step : first * step + n_sums]
            first += count
    return total
