"""What the paws of one mouse do, beyond the pose graph."""

from __future__ import annotations

from collections.abc import Sequence

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
_ENDS = ("front", "hind")
_LEFT, _RIGHT = [0, 2], [1, 3]  # among the paws, front and hind


def add_paws(columns: Columns, points: np.ndarray, since_seen: np.ndarray, clock: Clock) -> None:
    """Add the features of the paws.

    `points` `(time, keypoint, xy)` are in body lengths, `since_seen` `(time, keypoint)` in frames,
    both of the six `KEYPOINTS`. In a mirror, left minus right and what is across the body change
    their signs; everything else only changes sides.
    """
    # Where the paws are, seen from the middle of the body.
    heading = unit(points[:, _MOUTH] - points[:, _TAIL])
    middle = (points[:, _MOUTH] + points[:, _TAIL]) / 2
    away = points[:, _PAWS] - middle[:, None]
    along, across = dot(away, heading[:, None]), cross(heading[:, None], away)
    columns.add(_named(PAWS, "along"), along)
    columns.add(_named(PAWS, "across"), across)

    # How the points move.
    moves = [clock.velocity(points, lag) for lag in clock.lags]
    for i, velocity in enumerate(moves):
        columns.add(_named(KEYPOINTS, f"speed {i}"), length(velocity))
    for i in range(2):
        acceleration = length(clock.velocity(moves[i], clock.lags[i]))
        columns.add(_named(KEYPOINTS, f"acceleration {i}"), acceleration)
    body = mean_seen(moves[1], 1)
    turn = turning(heading[:, None], clock)
    whole_body = np.c_[dot(body, heading), cross(heading, body), turn]
    columns.add(["forward", "sideways", "turning"], whole_body)
    egocentric = np.stack([along, across], -1)
    own = length(clock.velocity(egocentric, clock.lags[0]))  # relative to the body
    columns.add(_named(PAWS, "own speed"), own)

    # Left against right: an animal spares the paw that hurts.
    trunk = points[:, [_MOUTH, _TAIL]]
    reach = length(points[:, _PAWS] - np.repeat(trunk, 2, axis=1))
    for name, values in (("along", along), ("reach", reach), ("own speed", own)):
        columns.add(_named(_ENDS, f"{name} L-R"), values[:, _LEFT] - values[:, _RIGHT])
    # Left and right are on opposite sides of the axis, so it is the sum that tells the difference.
    columns.add(_named(_ENDS, "across L+R"), across[:, _LEFT] + across[:, _RIGHT])

    # The same over a longer time.
    slow = np.c_[length(body), length(trunk[:, 0] - trunk[:, 1]), own]
    names = ["speed", "body length", *_named(PAWS, "own speed")]
    mean, std = rolling_mean_and_std(slow, clock.roll)
    columns.add(_named(names, "mean"), mean)
    columns.add(_named(names, "std"), std)
    columns.add(_named(PAWS, "shaking"), _shaking(points, clock))
    columns.add(_named(KEYPOINTS, "unseen_s"), unseen_s(since_seen, clock))


def _named(things: Sequence[str], what: str) -> list[str]:
    """The names of a feature of several things: `mouth speed`, `tail_base speed`."""
    return [f"{thing} {what}" for thing in things]


def _shaking(points: np.ndarray, clock: Clock) -> np.ndarray:
    """How strongly each paw shakes `(time, paw)`: the root mean square around its local mean.

    The shaking of the calmer end of the trunk is subtracted: when both ends shake with the paw, it
    is the tracker or the whole animal.
    """
    fast = length(points - rolling_mean(points, clock.smooth)) ** 2
    energy = np.sqrt(rolling_mean(fast, clock.lags[1]))
    jitter = np.fmin(energy[:, _MOUTH], energy[:, _TAIL])
    return np.maximum(energy[:, _PAWS] - jitter[:, None], 0.0)
