"""Which chambers of a rack have nobody in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dolorim.video.localizer import Scene
from dolorim.video.occupants import has_resting_animal


def find_empty(scenes: Sequence[Scene | None], length_px: float | None) -> list[bool]:
    """Whether each chamber of a video is empty; without a scene, that is not known.

    Nothing moves in an empty chamber, and nothing in it could be an animal at rest. `length_px` is
    the body length of the rack's animals; without it, that of the animals that move here counts.
    """
    if length_px is None:
        seen = [s.body_length_px for s in scenes if s is not None and not s.is_still]
        length_px = float(np.median(seen)) if seen else None
    if length_px is None:
        # Nothing moves in any chamber: nothing tells how large an animal would be.
        return [False] * len(scenes)
    return [scene is not None and _is_empty(scene, length_px) for scene in scenes]


def _is_empty(scene: Scene, length_px: float) -> bool:
    return scene.is_still and not has_resting_animal(scene.median, length_px / scene.factor)
