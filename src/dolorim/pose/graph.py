"""The pose graph: 8 lengths and 10 angles between the six keypoints of a mouse, frame by frame.

They do not depend on where the animal is, which way it faces, or the scale of the video.
"""

from __future__ import annotations

import numpy as np

from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.pose import Pose

# The lines of a drawn skeleton, which are also the first lengths.
BONES = (
    ("mouth", "tail_base"),
    ("mouth", "L_frontpaw"),
    ("mouth", "R_frontpaw"),
    ("tail_base", "L_hindpaw"),
    ("tail_base", "R_hindpaw"),
)
LENGTHS = (
    *BONES,
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
_ENDS = np.array([[*map(KEYPOINTS.index, pair)] for pair in LENGTHS]).T
_CORNERS = np.array([[*map(KEYPOINTS.index, corners)] for corners in ANGLES]).T


def pose_graph(pose: Pose, body_length_px: float) -> np.ndarray:
    """`LENGTHS` in body lengths and `ANGLES` in radians, `(time, 18)` float64.

    Angles are in [0, pi]. Values are NaN where a point is missing. The pose must have the six
    `KEYPOINTS`, in order (`with_our_names`); raises `ValueError` otherwise.
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
    dot = ax * bx + ay * by + 0.0  # turns -0.0, whose angle would be pi, into 0.0
    # An angle is atan2(|cross|, dot), which is exact for flat triangles too; there the arc cosine
    # loses half its digits and has no slope. If two corners coincide, the angle is 0.
    features[:, len(LENGTHS) :] = np.arctan2(np.abs(ax * by - ay * bx), dot)
    return features
