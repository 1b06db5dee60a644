"""Features of any skeleton, and of the relations between animals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from dolorim.pose.keypoints import SPELLINGS, squash
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


def body_axis(keypoints: Sequence[str]) -> tuple[int, int]:
    """Indices of the front and the rear keypoint of the trunk, by name; else the first and last.

    A mouth, nose or head is in front (from above also the top); the base of the tail, or what is
    just called tail, is the rear. With one keypoint both are 0.
    """
    squashed = [squash(keypoint) for keypoint in keypoints]
    words = [SPELLINGS.get(word, word) for word in squashed]
    front = next((words.index(w) for w in ("mouth", "head", "top") if w in words), 0)
    rears = [words.index(w) for w in ("tail_base", "tail", "hip", "back") if w in words]
    fallback = [len(words) - 1, 0]
    return front, next((rear for rear in (*rears, *fallback) if rear != front), 0)


def trunk(keypoints: Sequence[str]) -> list[int]:
    """Indices of the keypoints that tell where the body is: all but the rest of the tail."""
    axis = body_axis(keypoints)
    return [i for i, k in enumerate(keypoints) if i in axis or not k.casefold().startswith("tail")]


def add_generic(
    columns: Columns,
    keypoints: Sequence[str],
    points: np.ndarray,
    since_seen: np.ndarray,
    clock: Clock,
) -> None:
    """Add the features of all animals, and of their relations.

    `points` `(time, animal, keypoint, xy)` are in body lengths, `since_seen`
    `(time, animal, keypoint)` in frames.
    """
    front, back = body_axis(keypoints)
    smooth = rolling_mean(points, clock.smooth)
    heading = unit(points[:, :, front] - points[:, :, back])
    center = mean_seen(smooth[:, :, trunk(keypoints)], 2)
    # The mean of the velocities, not the velocity of the mean, which leaps when a point gets lost.
    moves = [clock.velocity(smooth, lag) for lag in clock.lags]
    velocities = [mean_seen(v[:, :, trunk(keypoints)], 2) for v in moves]
    speed = length(velocities[1])

    one, two = np.triu_indices(len(keypoints), 1)
    columns.add_each(
        [f"{i}-{j}" for i, j in combinations(keypoints, 2)],  # in the order of the indices above
        length(points[:, :, one] - points[:, :, two]),
    )
    # Points relative to the rear of the animal, along its heading and across it.
    away = points - points[:, :, [back]]
    others = [k for k in range(len(keypoints)) if k not in (front, back)]
    columns.add_each(
        [f"{keypoints[k]} along" for k in others], dot(away, heading[:, :, None])[:, :, others]
    )
    columns.add_each(
        [f"{keypoints[k]} across" for k in others], cross(heading[:, :, None], away)[:, :, others]
    )
    columns.add_each([f"{k} speed" for k in keypoints], length(moves[0]))
    for i, v in enumerate(velocities):
        columns.add_each([f"speed {i}", f"forward {i}"], np.stack([length(v), dot(v, heading)], -1))
    acceleration = length(clock.velocity(velocities[0], clock.lags[0]))
    columns.add_each(
        ["turning", "acceleration"], np.stack([turning(heading, clock), acceleration], -1)
    )
    columns.add_each(
        ["speed mean", "speed std"], np.stack(rolling_mean_and_std(speed, clock.roll), -1)
    )
    seconds = unseen_s(since_seen, clock)
    seen = since_seen == 0  # a point that was interpolated is there, but was not seen
    columns.add_each([f"{k} unseen_s" for k in keypoints], seconds)
    columns.add_each(["seen", "unseen_s"], np.stack([seen.mean(2), seconds.min(2)], -1))
    if points.shape[1] > 1:
        columns.add(["animals seen"], seen.any(2).sum(1, keepdims=True))
        forward = dot(velocities[1], heading)
        trunk_length = length(points[:, :, front] - points[:, :, back])
        each = np.stack([speed, forward, trunk_length, seen.mean(2), seconds.min(2)], -1)
        _add_relations(columns, keypoints, points, center, heading, velocities, each, clock)


def _add_relations(
    columns: Columns,
    keypoints: Sequence[str],
    points: np.ndarray,
    center: np.ndarray,
    heading: np.ndarray,
    velocities: Sequence[np.ndarray],
    each: np.ndarray,
    clock: Clock,
) -> None:
    """Add the features of each pair of animals.

    `each` `(time, animal, 5)` has speed, forward speed, length, the share of points seen, and the
    seconds since any was seen.
    """
    front, back = body_axis(keypoints)
    a, b = np.array(list(combinations(range(points.shape[1]), 2))).T
    apart = length(
        points[:, a, :, None] - points[:, b, None, :]
    )  # (time, pair, keypoint, keypoint)
    same = np.arange(len(keypoints))
    one, two = np.triu_indices(len(keypoints), 1)
    names = [f"{i}~{j}" for i, j in combinations(keypoints, 2)]
    columns.add_each([f"{k}~{k}" for k in keypoints], apart[:, :, same, same])
    columns.add_each(
        [f"{n} near" for n in names], np.fmin(apart[:, :, one, two], apart[:, :, two, one])
    )
    columns.add_each(
        [f"{n} far" for n in names], np.fmax(apart[:, :, one, two], apart[:, :, two, one])
    )

    # How far apart the animals are, by their centers and by their closest points.
    between = center[:, b] - center[:, a]
    distance, gap = length(between), np.fmin.reduce(apart, axis=(2, 3))
    distances = np.stack([distance, gap], -1)
    columns.add_each(["distance", "gap"], distances)
    mean, std = rolling_mean_and_std(distances, clock.roll)
    columns.add_each(["distance mean", "gap mean"], mean)
    columns.add_each(["distance std", "gap std"], std)
    calm = rolling_mean(distances, clock.smooth)
    for i, lag in enumerate(clock.lags):
        columns.add_each([f"distance change {i}", f"gap change {i}"], clock.velocity(calm, lag))
    for i, v in enumerate(velocities):
        columns.add_each([f"relative speed {i}"], length(v[:, b] - v[:, a])[..., None])
    # Whether they approach and face each other; the smaller and the larger of both animals.
    toward = unit(between)
    approach = np.stack([dot(velocities[1][:, a], toward), -dot(velocities[1][:, b], toward)], -1)
    nose_a, nose_b = points[:, a, front], points[:, b, front]
    facing = np.stack(
        [
            dot(heading[:, a], unit(center[:, b] - nose_a)),
            dot(heading[:, b], unit(center[:, a] - nose_b)),
        ],
        -1,
    )
    for name, both in (("approach", approach), ("facing", facing)):
        columns.add_each([f"{name} less"], np.fmin.reduce(both, axis=-1, keepdims=True))
        columns.add_each([f"{name} more"], np.fmax.reduce(both, axis=-1, keepdims=True))
    # Who does what to whom: minimum and maximum may be of different animals, these are of one.
    behind = np.stack(
        [length(nose_a - points[:, b, back]), length(nose_b - points[:, a, back])], -1
    )
    both = np.concatenate(
        [each[:, [a, b]].transpose(0, 2, 1, 3), np.stack([approach, facing, behind], -1)], -1
    )
    # The animal that has been faster lately comes first.
    pace = np.nan_to_num(rolling_mean(each[..., 0], clock.roll))
    first = np.where(pace[:, a] >= pace[:, b], 0, 1)[..., None, None]
    names = ["speed", "forward", "length", "seen", "unseen_s", "approach", "facing", "to tail"]
    for role, who in (("faster", first), ("slower", 1 - first)):
        columns.add_each([f"{role} {n}" for n in names], np.take_along_axis(both, who, 2)[:, :, 0])
    columns.add_each(["aligned"], dot(heading[:, a], heading[:, b])[..., None])
