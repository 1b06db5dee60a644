"""What happens to a video whose picture changes its size within the file.

A crop is planned for the size of the first picture. Later pictures of another size are scaled to
it, which is right if the same view was merely stored with more or fewer pixels. A picture of
another *shape* cannot show the same view, so its frames are not labeled. The user is told about
both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

# Shapes whose ratios of width to height differ by no more than this factor count as the same,
# because sizes are rounded to even numbers.
_ALIKE = 1.02


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
    """Add the size of a picture `(height, width)` if it differs from that of the previous frame."""
    height, width = luma.shape
    if not sizes or (sizes[-1].width_px, sizes[-1].height_px) != (width, height):
        sizes.append(PictureSize(frame, width, height))


def describe_sizes(sizes: Sequence[PictureSize]) -> str | None:
    """What happened and what dolorim does about it; None if all pictures have one size."""
    if len(sizes) < 2:
        return None
    first = sizes[0]
    changes = ", ".join(
        f"{s.width_px}x{s.height_px} from frame {s.first_frame} on" for s in sizes[1:]
    )
    text = (
        "the picture changes its size within the file: "
        f"{first.width_px}x{first.height_px}, then {changes}"
        "; pictures of another size are scaled to the first one's, as if they showed the same view"
    )
    if not all(s.has_shape_of(first) for s in sizes):
        text += ", and frames of another shape are not labeled"
    return f"{text}; if the camera was moved or zoomed there, cut the file in two"


def of_other_shape(sizes: Sequence[PictureSize], n_frames: int) -> np.ndarray:
    """Which frames `(n_frames,)` have pictures of another shape than the first one."""
    other = np.zeros(n_frames, bool)
    for size in sizes[1:]:
        other[size.first_frame :] = not size.has_shape_of(sizes[0])
    return other


def scaled(luma: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A picture `(height, width)` uint8 scaled to a shape; the same array if it has it already."""
    if luma.shape == shape:
        return luma
    height, width = shape
    picture = Image.fromarray(np.ascontiguousarray(luma))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
