"""Features of poses, frame by frame, on slices of any length: what a network or a boosted tree learns behavior from.

Lengths are in body lengths, speeds in body lengths per second, angles in radians or as cosines. Nothing changes when
the animals are elsewhere, turned, or filmed at another scale. What cannot be known is NaN, never 0.
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
_STRETCHED = 95  # percentile, as in pose_cleaning


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

    `points` `(time, animal, keypoint, xy)` in pixels, NaN where missing; `since_seen` `(time, animal, keypoint)` frames
    since the point was last seen, infinity before the first time; `scale_px` the length of a stretched animal
    (`body_length_px`, or `skeleton_scale_px` for other skeletons). The kinds:

    - `graph`: the 18 of the pose graph; one animal with the six `KEYPOINTS`, in order.
    - `full`: the graph and what the paws do: egocentric coordinates, speeds and accelerations at several lags,
      left against right, rolling statistics, shaking of paws beyond that of the body; also one animal, six keypoints.
    - `generic`: any skeleton and any number of animals. Animals have no order: of what each animal has, the smallest
      and the largest value of all animals are given, and the same of what each pair has.

    A value depends on at most `REACH` frames on either side: the features of a slice with that much around it are those
    of the whole recording. Raises `ValueError` for arrays that do not fit each other or the kind.
    """
    return _compute(kind, tuple(keypoints), points, since_seen, scale_px, rate_hz).array()


def feature_names(kind: FeatureKind, keypoints: Sequence[str], animals: int = 1) -> tuple[str, ...]:
    """The names of the columns of `pose_features` for a skeleton and a number of animals."""
    seen = np.zeros((1, animals, len(keypoints)))
    return tuple(
        _compute(kind, tuple(keypoints), np.full((*seen.shape, 2), np.nan), seen, 1.0, 30.0).names
    )


def skeleton_scale_px(points: np.ndarray) -> float:
    """One length for a recording of any skeleton: a high percentile of the largest distance of two points of an animal.

    `points` `(time, animal, keypoint, xy)`. Raises `ValueError` where no two points of one animal were ever seen
    together at different places.
    """
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
    if (
        points.ndim != 4
        or points.shape[2:] != (len(keypoints), 2)
        or since_seen.shape != points.shape[:3]
    ):
        raise ValueError(
            f"expected points (time, animal, {len(keypoints)}, 2) and since_seen (time, animal, {len(keypoints)}), "
            f"got {points.shape} and {since_seen.shape}"
        )
    if not (scale_px > 0 and rate_hz > 0):
        raise ValueError(f"expected a scale and a frame rate above 0, got {scale_px} and {rate_hz}")
    if points.shape[1] == 0 or len(keypoints) == 0:
        raise ValueError("expected at least one animal and one keypoint")
    points, clock, columns = points.astype(np.float64) / scale_px, Clock(rate_hz), Columns()
    if kind == "generic":
        add_generic(columns, keypoints, points, since_seen, clock)
        return columns
    if keypoints != KEYPOINTS or points.shape[1] != 1:
        raise ValueError(
            f"features {kind!r}: expected one animal with {', '.join(KEYPOINTS)}, got {points.shape[1]} with "
            f"{', '.join(keypoints)}; take 'generic'"
        )
    columns.add(GRAPH, pose_graph(Pose(KEYPOINTS, points[:, 0]), 1.0))
    if kind == "full":
        add_paws(columns, points[:, 0], since_seen[:, 0], clock)
    return columns
