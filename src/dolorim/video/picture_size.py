"""What becomes of a video whose picture changes its size within the file.

A crop is planned for the size of the first picture. Later pictures of another size are scaled to it, which is right
where the same view was merely stored with more or fewer pixels. A picture of another *shape* cannot show the same view:
its frames are not labelled. Both are said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

_ALIKE = 1.02  # ratios of width to height that differ by no more are of one shape: sizes are rounded to even numbers


@dataclass(frozen=True)
class PictureSize:
    """From frame `first_frame` on, pictures have this size."""

    first_frame: int
    width_px: int
    height_px: int

    def has_shape_of(self, other: PictureSize) -> bool:
        ratio = self.width_px * other.height_px / (self.height_px * other.width_px)
        return 1 / _ALIKE <= ratio <= _ALIKE


def note_size(sizes: list[PictureSize], frame: int, luma: np.ndarray) -> None:
    """Add the size of a frame's picture `(height, width)` where it differs from that of the frame before."""
    height, width = luma.shape
    if not sizes or (sizes[-1].width_px, sizes[-1].height_px) != (width, height):
        sizes.append(PictureSize(frame, width, height))


def describe_sizes(sizes: Sequence[PictureSize]) -> str | None:
    """What happened, and what is done about it; None where all pictures have one size."""
    if len(sizes) < 2:
        return None
    first = sizes[0]
    changes = ", ".join(
        f"{s.width_px}x{s.height_px} from frame {s.first_frame} on" for s in sizes[1:]
    )
    text = f"the picture changes its size within the file: {first.width_px}x{first.height_px}, then {changes}"
    text += (
        "; pictures of another size are scaled to the first one's, as if they showed the same view"
    )
    if not all(s.has_shape_of(first) for s in sizes):
        text += ", and frames of another shape are not labelled"
    return f"{text}; if the camera was moved or zoomed there, cut the file in two"


def of_other_shape(sizes: Sequence[PictureSize], n_frames: int) -> np.ndarray:
    """Which frames `(n_frames,)` have pictures of another shape than the first one."""
    other = np.zeros(n_frames, bool)
    for size in sizes[1:]:
        other[size.first_frame :] = not size.has_shape_of(sizes[0])
    return other


def scaled(luma: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A picture `(height, width)` uint8 at another such shape."""
    if luma.shape == shape:
        return luma
    height, width = shape
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(luma)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
    )
