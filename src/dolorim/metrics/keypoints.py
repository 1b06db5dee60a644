"""How far keypoints are from where they should be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def keypoint_scores(
    distances: Sequence[tuple[np.ndarray, float, float]], names: Sequence[str]
) -> dict[str, Any]:
    """Mean and median distance of found from true keypoints, over visible points only.

    Each recording gives its distances `(time, keypoint)` in pixels, NaN where there is no true
    point in the crop, the side of the crop and the body length in pixels. `normalized` is in
    sides of the crop.
    """
    pixels = np.concatenate([d for d, _, _ in distances])
    units = {
        "px": pixels,
        "normalized": np.concatenate([d / side for d, side, _ in distances]),
        "body_lengths": np.concatenate([d / length for d, _, length in distances]),
    }
    known = np.isfinite(pixels)
    scores: dict[str, Any] = {"points": int(known.sum())}
    if not scores["points"]:
        return scores
    scores |= {f"mae_{unit}": float(values[known].mean()) for unit, values in units.items()}
    scores["median_px"] = float(np.median(pixels[known]))
    per_keypoint = {}
    for i, name in enumerate(names):
        mine = pixels[known[:, i], i]
        per_keypoint[name] = {
            "points": len(mine),
            "mae_px": float(mine.mean()) if len(mine) else None,
        }
    return {**scores, "per_keypoint": per_keypoint}
