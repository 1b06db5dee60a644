"""What the paws of one mouse do, beyond the pose graph."""

from __future__ import annotations

import numpy as np

from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.motion import (
    Clock,
    Columns,
    cross,
    dot,
    length,
    mean_seen,
    rolling_mean,
    rolling_mean_and_std,
    turning,
    unit,
    unseen_s,
)

PAWS = KEYPOINTS[1:5]
_MOUTH, _PAWS, _TAIL = 0, slice(1, 5), 5
_SIDES = ("front", "hind")


def add_paws(columns: Columns, points: np.ndarray, since_seen: np.ndarray, clock: Clock) -> None:
    """Add the features of the paws.

    `points` `(time, keypoint, xy)` are in body lengths, `since_seen` `(time, keypoint)` in frames,
    both of the six `KEYPOINTS`. In a mirror, left minus right and what is across the body change
    their signs; everything else only changes sides.
    """
    heading = unit(points[:, _MOUTH] - points[:, _TAIL])
    middle = (points[:, _MOUTH] + points[:, _TAIL]) / 2
    away = points[:, _PAWS] - middle[:, None]
    along, across = dot(away, heading[:, None]), cross(heading[:, None], away)
    columns.add([f"{p} along" for p in PAWS], along)
    columns.add([f"{p} across" for p in PAWS], across)

    moves = [clock.velocity(points, lag) for lag in clock.lags]
    for i, v in enumerate(moves):
        columns.add([f"{k} speed {i}" for k in KEYPOINTS], length(v))
    for i in range(2):
        columns.add(
            [f"{k} acceleration {i}" for k in KEYPOINTS],
            length(clock.velocity(moves[i], clock.lags[i])),
        )
    body = mean_seen(moves[1], 1)
    turn = turning(heading[:, None], clock)
    columns.add(
        ["forward", "sideways", "turning"], np.c_[dot(body, heading), cross(heading, body), turn]
    )
    egocentric = np.stack([along, across], -1)
    own = length(clock.velocity(egocentric, clock.lags[0]))  # relative to the body
    columns.add([f"{p} own speed" for p in PAWS], own)

    trunk = points[:, [_MOUTH, _TAIL]]
    reach = length(points[:, _PAWS] - np.repeat(trunk, 2, axis=1))
    for name, left_right in (("along", along), ("reach", reach), ("own speed", own)):
        columns.add(
            [f"{s} {name} L-R" for s in _SIDES], left_right[:, [0, 2]] - left_right[:, [1, 3]]
        )
    columns.add([f"{s} across L+R" for s in _SIDES], across[:, [0, 2]] + across[:, [1, 3]])

    slow = np.c_[length(body), length(trunk[:, 0] - trunk[:, 1]), own]
    names = ["speed", "body length", *(f"{p} own speed" for p in PAWS)]
    mean, std = rolling_mean_and_std(slow, clock.roll)
    columns.add([f"{n} mean" for n in names], mean)
    columns.add([f"{n} std" for n in names], std)
    columns.add([f"{p} shaking" for p in PAWS], _shaking(points, clock))
    columns.add([f"{k} unseen_s" for k in KEYPOINTS], unseen_s(since_seen, clock))


def _shaking(points: np.ndarray, clock: Clock) -> np.ndarray:
    """How strongly each paw shakes `(time, paw)`: the root mean square around its local mean.

    The shaking of the calmer end of the trunk is subtracted: when both ends shake with the paw, it
    is the tracker or the whole animal.
    """
    fast = length(points - rolling_mean(points, clock.smooth)) ** 2
    energy = np.sqrt(rolling_mean(fast, clock.lags[1]))
    jitter = np.fmin(energy[:, _MOUTH], energy[:, _TAIL])
    return np.maximum(energy[:, _PAWS] - jitter[:, None], 0.0)
