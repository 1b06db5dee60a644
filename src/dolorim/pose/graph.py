"""The pose graph: 8 lengths and 10 angles between the six keypoints of a mouse, frame by frame.

They do not change when the animal is elsewhere, turned, or filmed at another scale.
"""

from __future__ import annotations

import numpy as np

from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.pose import Pose

LENGTHS = (
    ("mouth", "tail_base"),
    ("mouth", "L_frontpaw"),
    ("mouth", "R_frontpaw"),
    ("tail_base", "L_hindpaw"),
    ("tail_base", "R_hindpaw"),
    ("L_frontpaw", "L_hindpaw"),
    ("R_frontpaw", "R_hindpaw"),
    ("L_frontpaw", "R_frontpaw"),
)
ANGLES = (  # the angle is at the middle one
    ("tail_base", "mouth", "L_frontpaw"),
    ("tail_base", "mouth", "R_frontpaw"),
    ("mouth", "tail_base", "L_hindpaw"),
    ("mouth", "tail_base", "R_hindpaw"),
    ("mouth", "L_frontpaw", "L_hindpaw"),
    ("mouth", "R_frontpaw", "R_hindpaw"),
    ("tail_base", "L_frontpaw", "L_hindpaw"),
    ("tail_base", "R_frontpaw", "R_hindpaw"),
    ("L_frontpaw", "mouth", "R_frontpaw"),
    ("L_hindpaw", "tail_base", "R_hindpaw"),
)
FEATURES = tuple("-".join(n) for n in (*LENGTHS, *ANGLES))
_ENDS = np.array([[KEYPOINTS.index(n) for n in pair] for pair in LENGTHS]).T
_CORNERS = np.array([[KEYPOINTS.index(n) for n in three] for three in ANGLES]).T


def pose_graph(pose: Pose, body_length_px: float) -> np.ndarray:
    """`(time, 18)` float64: `LENGTHS` in body lengths, `ANGLES` in radians in [0, pi]; NaN where a point is missing.

    The pose must have the six `KEYPOINTS`, in order (`with_our_names`). An angle is `atan2(|cross|, dot)`: exact for
    flat triangles too, where the arc cosine loses half its digits and has no slope; with two corners at one place there
    is no angle, and it is 0.
    """
    if pose.names != KEYPOINTS:
        raise ValueError(
            f"expected the keypoints {', '.join(KEYPOINTS)}, got {', '.join(pose.names)}"
        )
    if not body_length_px > 0:
        raise ValueError(f"expected a body length in pixels above 0, got {body_length_px}")
    x, y = np.moveaxis(pose.points / body_length_px, -1, 0)
    features = np.empty((len(pose), len(FEATURES)))
    one, two = _ENDS
    features[:, : len(LENGTHS)] = np.hypot(x[:, one] - x[:, two], y[:, one] - y[:, two])
    one, middle, two = _CORNERS
    ax, ay = x[:, one] - x[:, middle], y[:, one] - y[:, middle]
    bx, by = x[:, two] - x[:, middle], y[:, two] - y[:, middle]
    dot = ax * bx + ay * by + 0.0  # never -0.0, of which the angle would be pi
    features[:, len(LENGTHS) :] = np.arctan2(np.abs(ax * by - ay * bx), dot)
    return features
