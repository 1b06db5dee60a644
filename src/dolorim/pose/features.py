"""Features of poses, frame by frame, on slices of any length: inputs to learn behavior from.

Lengths are in body lengths, speeds in body lengths per second, angles in radians or as cosines.
They do not depend on where the animals are, which way they face, or the scale of the video. What
cannot be known is NaN, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from dolorim.pose.generic_features import add_generic
from dolorim.pose.graph import FEATURES as GRAPH
from dolorim.pose.graph import pose_graph
from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.motion import REACH, Clock, Columns, length
from dolorim.pose.paw_features import add_paws
from dolorim.pose.pose import Pose

__all__ = ["REACH", "FeatureKind", "feature_names", "pose_features", "skeleton_scale_px"]

FeatureKind = Literal["graph", "full", "generic"]
_STRETCHED = 95  # percentile, as in cleaning.py


def pose_features(
    kind: FeatureKind,
    keypoints: Sequence[str],
    points: np.ndarray,
    since_seen: np.ndarray,
    *,
    scale_px: float,
    rate_hz: float,
) -> np.ndarray:
    """`(time, F)` float32, NaN where something is missing; `feature_names` has the names.

    `points` `(time, animal, keypoint, xy)` are in pixels, NaN where missing. `since_seen`
    `(time, animal, keypoint)` is in frames since the point was last seen, infinity before the first
    time. `scale_px` is the length of a stretched animal (`body_length_px`, or `skeleton_scale_px`
    for other skeletons). The kinds:

    - `graph`: the 18 features of the pose graph; one animal with the six `KEYPOINTS`, in order.
    - `full`: the graph and what the paws do: egocentric coordinates, speeds and accelerations at
      several lags, left versus right, rolling statistics, and shaking of paws beyond that of the
      body; also for one animal with six keypoints.
    - `generic`: any skeleton and any number of animals. Animals have no order, so each feature of
      an animal or of a pair is given as its minimum and its maximum over them.

    A value depends on at most `REACH` frames on either side, so that a slice with that margin has
    the features of the whole recording. Raises `ValueError` for arrays that do not fit each other
    or the kind.
    """
    return _compute(kind, tuple(keypoints), points, since_seen, scale_px, rate_hz).array()


def feature_names(kind: FeatureKind, keypoints: Sequence[str], animals: int = 1) -> tuple[str, ...]:
    """The names of the columns of `pose_features` for a skeleton and a number of animals."""
    # Computed on one frame without points, so that names and columns cannot differ.
    since_seen = np.zeros((1, animals, len(keypoints)))
    points = np.full((*since_seen.shape, 2), np.nan)
    return tuple(_compute(kind, tuple(keypoints), points, since_seen, 1.0, 30.0).names)


def skeleton_scale_px(points: np.ndarray) -> float:
    """One length for a recording of any skeleton: how far apart two points of an animal get.

    It is a high percentile, over frames and animals, of the largest distance. `points` is
    `(time, animal, keypoint, xy)`. Raises `ValueError` if no two points of one animal were ever
    seen together at different places.
    """
    # All pairs of keypoints, each once.
    i, j = np.triu_indices(points.shape[2], 1)
    longest = np.fmax.reduce(length(points[:, :, i] - points[:, :, j]), axis=-1, initial=np.nan)
    longest = longest[np.isfinite(longest)]
    scale = float(np.percentile(longest, _STRETCHED)) if len(longest) else 0.0
    if not scale > 0:
        raise ValueError("no animal has two points that were seen together at different places")
    return scale


def _compute(
    kind: FeatureKind,
    keypoints: tuple[str, ...],
    points: np.ndarray,
    since_seen: np.ndarray,
    scale_px: float,
    rate_hz: float,
) -> Columns:
    if kind not in get_args(FeatureKind):
        raise ValueError(f"expected features {', '.join(get_args(FeatureKind))}, got {kind!r}")
    _check_shapes(points, since_seen, len(keypoints))
    if not (scale_px > 0 and rate_hz > 0):
        raise ValueError(f"expected a scale and a frame rate above 0, got {scale_px} and {rate_hz}")
    # From here on, lengths are in body lengths.
    points, clock, columns = points.astype(np.float64) / scale_px, Clock(rate_hz), Columns()
    if kind == "generic":
        add_generic(columns, keypoints, points, since_seen, clock)
        return columns
    # The graph and the paws are defined on the six keypoints of one animal only.
    if keypoints != KEYPOINTS or points.shape[1] != 1:
        raise ValueError(
            f"features {kind!r}: expected one animal with {', '.join(KEYPOINTS)}, "
            f"got {points.shape[1]} with {', '.join(keypoints)}; take 'generic'"
        )
    columns.add(GRAPH, pose_graph(Pose(KEYPOINTS, points[:, 0]), 1.0))
    if kind == "full":
        add_paws(columns, points[:, 0], since_seen[:, 0], clock)
    return columns


def _check_shapes(points: np.ndarray, since_seen: np.ndarray, n: int) -> None:
    """Raises `ValueError` unless the arrays fit each other and `n` keypoints."""
    fits = points.ndim == 4 and points.shape[2:] == (n, 2) and since_seen.shape == points.shape[:3]
    if not fits:
        raise ValueError(
            f"expected points (time, animal, {n}, 2) and since_seen (time, animal, {n}), "
            f"got {points.shape} and {since_seen.shape}"
        )
    if points.shape[1] == 0 or n == 0:
        raise ValueError("expected at least one animal and one keypoint")
