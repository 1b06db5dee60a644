"""A simulated mouse seen from below: how it moves. What the camera sees of it is in `camera`.

It shows that the parts of the package work together, and says nothing about accuracy on real mice.
Lengths are in body lengths in the animal's own frame: x points to the snout, y to its left side,
and the origin is in the middle of the body.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np

from dolorim.labels.bouts import Bout, to_bouts
from dolorim.labels.ethogram import PAIN

# Where the paws of a standing animal are: front left, front right, hind left, hind right.
_PAWS = np.array([[0.24, 0.13], [0.24, -0.13], [-0.28, 0.18], [-0.28, -0.18]])
REST, WITHDRAW, LICK, GUARD, SHAKE, FLINCH, WALK, ACTIVE = (r.id for r in PAIN.raw)

# Shortest and longest duration in seconds.
_DURATION_S = {
    WITHDRAW: (0.15, 0.5),
    LICK: (1.0, 4.0),
    GUARD: (0.5, 1.2),
    SHAKE: (0.3, 1.0),
    FLINCH: (0.15, 0.3),
    WALK: (0.8, 2.5),
    ACTIVE: (0.8, 3.0),
}
# How often each occurs among 20 bouts that are not rest.
OFTEN = {WITHDRAW: 2, LICK: 2, GUARD: 1, SHAKE: 3, FLINCH: 1, WALK: 5, ACTIVE: 6}
_REST_S = (1.0, 4.0)


@dataclass(frozen=True)
class Mouse:
    """One animal and its cage.

    `length_px` is the length of the body, `floor`, `coat` and `paw` are gray levels, and `side` is
    that of the hurt hind paw (+1 left, -1 right). `vigor` scales the amplitude of the paw
    movements: below 1 they are harder to see.
    """

    length_px: float = 90.0
    floor: float = 130.0
    coat: float = 60.0
    paw: float = 150.0
    patchiness: float = 0.15
    noise: float = 3.0
    side: int = 1
    vigor: float = 1.0

    @property
    def hurt_paw(self) -> int:
        """Index of the hurt hind paw."""
        return 2 if self.side > 0 else 3


@dataclass(frozen=True)
class Motion:
    """What the body does, frame by frame.

    Positions are in pixels and angles in radians; the `contact` of each paw runs from 0 to 1.
    """

    labels: np.ndarray  # (time,) raw ids
    center: np.ndarray  # (time, 2) px
    heading: np.ndarray  # (time,)
    bend: np.ndarray  # (time,) of the neck, positive to the left
    stretch: np.ndarray  # (time,)
    paws: np.ndarray  # (time, 4, 2) body lengths
    contact: np.ndarray  # (time, 4)
    mouth_shift: np.ndarray  # (time, 2) body lengths

    def at(self, moments: np.ndarray | slice) -> Motion:
        """The motion at some of its moments."""
        return Motion(*[getattr(self, field.name)[moments] for field in fields(Motion)])


def draw_labels(
    n_frames: int,
    rate_hz: float,
    rng: np.random.Generator,
    often: Mapping[int, int] = OFTEN,
    durations_s: Mapping[int, tuple[float, float]] = _DURATION_S,
) -> np.ndarray:
    """A plausible sequence of raw behaviors `(n_frames,)`: rest with bouts of the others.

    `often` tells how often each comes up in a round, `durations_s` its shortest and longest bout.
    """
    labels = np.full(n_frames, REST, np.int16)
    deck: list[int] = []
    at_s = rng.uniform(0.3, 1.5)
    while at_s * rate_hz < n_frames:
        if not deck:
            deck = np.repeat(list(often), list(often.values())).tolist()
            rng.shuffle(deck)
        behavior = deck.pop()
        shortest_s, longest_s = durations_s[behavior]
        length_s = rng.uniform(shortest_s, longest_s)
        frames = max(round(length_s * rate_hz), math.ceil(shortest_s * rate_hz))
        start = round(at_s * rate_hz)
        labels[start : start + min(frames, int(longest_s * rate_hz))] = behavior
        at_s += length_s + rng.uniform(*_REST_S)
    return labels


@dataclass
class Pose:
    """What `move` adds up, bout by bout, before the animal walks about; as in `Motion`."""

    bend: np.ndarray
    stretch: np.ndarray
    paws: np.ndarray
    contact: np.ndarray
    mouth_shift: np.ndarray
    speed: np.ndarray  # (time,) body lengths per second
    turn: np.ndarray  # (time,) radians per second


Show: TypeAlias = Callable[[Pose, Bout, Mouse, float, np.random.Generator], None]
"""Adds what a bout looks like to a pose, at so many frames per second."""


def move(
    labels: np.ndarray,
    mouse: Mouse,
    size_px: int,
    rate_hz: float,
    rng: np.random.Generator,
    more: Mapping[int, Show] = {},
) -> Motion:
    """Motion that shows raw behaviors `(time,)` in a square cage of `size_px`.

    `more` shows behaviors that the eight do not have.
    """
    n = len(labels)
    time_s = np.arange(n) / rate_hz
    pose = Pose(
        bend=0.05 * np.sin(2 * np.pi * 0.3 * time_s + rng.uniform(0, 6)),
        stretch=1 + 0.012 * np.sin(2 * np.pi * 2.2 * time_s + rng.uniform(0, 6)),  # breathing
        paws=np.repeat(_PAWS[None], n, 0),
        contact=np.ones((n, 4)),
        mouth_shift=np.zeros((n, 2)),
        speed=np.zeros(n),
        turn=np.zeros(n),
    )
    show = {**_SHOW, **more}
    for bout in to_bouts(labels):
        if bout.label != REST:
            show[bout.label](pose, bout, mouse, rate_hz, rng)
    pose.paws += rng.normal(0, 0.003, pose.paws.shape)
    center, heading = _walk_about(
        pose.speed * mouse.length_px, pose.turn, mouse.length_px, size_px, rate_hz, rng
    )
    return Motion(
        labels,
        center,
        heading,
        pose.bend,
        pose.stretch,
        pose.paws,
        pose.contact,
        pose.mouth_shift,
    )


def _lift(pose: Pose, bout: Bout, mouse: Mouse, rate_hz: float, rng: np.random.Generator) -> None:
    """Withdrawing or guarding: the hurt paw is held up and forward, and the body turns away."""
    at, hurt = slice(bout.start, bout.stop), mouse.hurt_paw
    up = envelope(bout, rate_hz, 0.06, 0.12)
    pose.paws[at, hurt] += mouse.vigor * up[:, None] * (0.12, -0.09 * float(mouse.side))
    pose.contact[at, hurt] -= 0.9 * up
    if len(bout) > 1:  # the recording's end may cut it to one frame
        pose.turn[at] += 0.5 * float(mouse.side) * np.gradient(up) * rate_hz * 0.1


def _flinch(pose: Pose, bout: Bout, mouse: Mouse, rate_hz: float, rng: np.random.Generator) -> None:
    """The body contracts, and both hind paws jerk forward."""
    at = slice(bout.start, bout.stop)
    up = envelope(bout, rate_hz, 0.05, 0.1)
    pose.stretch[at] -= 0.08 * mouse.vigor * up
    pose.paws[at, 2:] += mouse.vigor * up[:, None, None] * np.array([0.05, 0])
    pose.contact[at, 2:] -= 0.5 * up[:, None]


def _lick(pose: Pose, bout: Bout, mouse: Mouse, rate_hz: float, rng: np.random.Generator) -> None:
    """The neck bends to the hurt paw, and the mouth moves to and fro there."""
    at, hurt, sign = slice(bout.start, bout.stop), mouse.hurt_paw, float(mouse.side)
    up = envelope(bout, rate_hz, 0.3, 0.3)
    lick = np.sin(2 * np.pi * rng.uniform(5, 7) * seconds_into(bout, rate_hz))
    pose.bend[at] += 1.9 * sign * up
    pose.paws[at, hurt] += up[:, None] * (0.14, 0.02 * sign)
    pose.mouth_shift[at] += mouse.vigor * 0.05 * (up * lick)[:, None] * (0.6, 0.8 * sign)
    pose.contact[at, hurt] -= 0.5 * up


def _shake(pose: Pose, bout: Bout, mouse: Mouse, rate_hz: float, rng: np.random.Generator) -> None:
    """The hurt paw is lifted and shaken at 9 to 12 Hz."""
    at, hurt, sign = slice(bout.start, bout.stop), mouse.hurt_paw, float(mouse.side)
    up = envelope(bout, rate_hz, 0.08, 0.08)
    shake = np.sin(2 * np.pi * rng.uniform(9, 12) * seconds_into(bout, rate_hz))
    shaken = mouse.vigor * (up * shake)[:, None] * (0.05, 0.09)
    pose.paws[at, hurt] += shaken + up[:, None] * (0.05, 0.06 * sign)
    pose.contact[at, hurt] -= 0.7 * up


def _walk(pose: Pose, bout: Bout, mouse: Mouse, rate_hz: float, rng: np.random.Generator) -> None:
    """The paws step in diagonal pairs, and the animal moves on."""
    at = slice(bout.start, bout.stop)
    up = envelope(bout, rate_hz, 0.2, 0.2)
    pose.speed[at] += up * rng.uniform(1.2, 2.4)
    pose.turn[at] += up * rng.uniform(-1, 1)
    steps = 2 * np.pi * rng.uniform(3, 4.5) * seconds_into(bout, rate_hz)
    phase = steps[:, None] + np.array([0, np.pi, np.pi, 0])
    pose.paws[at, :, 0] += 0.11 * up[:, None] * np.sin(phase)
    pose.contact[at] -= 0.6 * up[:, None] * np.clip(np.cos(phase), 0, 1)


def _be_active(
    pose: Pose, bout: Bout, mouse: Mouse, rate_hz: float, rng: np.random.Generator
) -> None:
    """Sniffing about or washing the face, each in half of the bouts."""
    at, since_s = slice(bout.start, bout.stop), seconds_into(bout, rate_hz)
    up = envelope(bout, rate_hz, 0.2, 0.2)
    if rng.random() < 0.5:
        swing = 2 * np.pi * rng.uniform(0.8, 1.6) * since_s + rng.uniform(0, 6)
        pose.bend[at] += 0.7 * up * np.sin(swing)
        pose.speed[at] += 0.15 * up
        pose.stretch[at] += 0.06 * up * np.sin(2 * np.pi * 4 * since_s)
        return
    wash = np.sin(2 * np.pi * rng.uniform(3.5, 5) * since_s)[:, None] * (0.05, 0.02)
    to_face = np.array([[0.13, -0.06], [0.13, 0.06]])
    pose.paws[at, :2] += up[:, None, None] * (to_face + wash[:, None])
    pose.contact[at, :2] -= 0.4 * up[:, None]
    pose.stretch[at] -= 0.12 * up


_SHOW = {
    WITHDRAW: _lift,
    GUARD: _lift,
    FLINCH: _flinch,
    LICK: _lick,
    SHAKE: _shake,
    WALK: _walk,
    ACTIVE: _be_active,
}


def seconds_into(bout: Bout, rate_hz: float) -> np.ndarray:
    """Seconds since the first frame of a bout."""
    frames = np.arange(bout.start, bout.stop) / rate_hz
    return frames - frames[0]


def keypoints(motion: Motion, mouse: Mouse) -> np.ndarray:
    """True positions of `KEYPOINTS`, `(time, 6, 2)` in pixels."""
    spine = spine_of(motion)
    body = np.concatenate(
        [spine[:, -1:] + motion.mouth_shift[:, None], motion.paws, spine[:, :1]], axis=1
    )
    return to_picture(body, motion, mouse.length_px)


def envelope(bout: Bout, rate_hz: float, rise_s: float, fall_s: float) -> np.ndarray:
    """From 0 up to 1 and down again within a bout, smoothly."""
    since_s = (np.arange(len(bout)) + 0.5) / rate_hz
    length_s = len(bout) / rate_hz
    scale = min(1.0, length_s / (rise_s + fall_s))  # a short bout rises and falls faster
    rise = since_s / (rise_s * scale)
    fall = (length_s - since_s) / (fall_s * scale)
    ramp = np.minimum(np.minimum(rise, fall), 1)
    return 0.5 - 0.5 * np.cos(np.pi * ramp)


def _walk_about(
    speed_px_s: np.ndarray,
    turn: np.ndarray,
    length_px: float,
    size_px: int,
    rate_hz: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Integrate speed and turning to centers `(time, 2)` in pixels and headings `(time,)`.

    The animal turns to the middle near a wall, and keeps about a body length away from it.
    """
    low, high = 0.9 * length_px, size_px - 0.9 * length_px
    at, heading = rng.uniform(low, high, 2), rng.uniform(-np.pi, np.pi)
    centers, headings = np.empty((len(turn), 2)), np.empty(len(turn))
    for i, (speed, turning) in enumerate(zip(speed_px_s, turn, strict=True)):
        ahead = at + length_px * np.array([np.cos(heading), np.sin(heading)])
        if speed > 0 and not (low < ahead.min() and ahead.max() < high):
            to_middle = np.arctan2(*(size_px / 2 - at)[::-1]) - heading
            # An animal that faces the wall needs a push, because the sine is about 0 there.
            push = 1.0 if np.cos(to_middle) < -0.9 else 0.0
            turning += 3.5 * np.sin(to_middle) + push
        heading += turning / rate_hz
        direction = np.array([np.cos(heading), np.sin(heading)])
        at = np.clip(at + speed / rate_hz * direction, low, high)
        centers[i], headings[i] = at, heading
    return centers, headings


def spine_of(motion: Motion) -> np.ndarray:
    """Seven points from tail base to snout, `(time, 7, 2)` in body lengths.

    The bend grows to the front.
    """
    along = np.linspace(-0.5, 0.5, 7)
    angles = motion.bend[:, None] * np.interp(along, [-0.5, -0.2, 0.5], [-0.15, 0, 1])
    middle = 0.5 * (angles[:, 1:] + angles[:, :-1])
    step = np.diff(along)[None] * motion.stretch[:, None]
    x = np.concatenate([np.zeros((len(step), 1)), np.cumsum(step * np.cos(middle), 1)], 1)
    y = np.concatenate([np.zeros((len(step), 1)), np.cumsum(step * np.sin(middle), 1)], 1)
    spine = np.stack([x, y], -1)
    return spine - spine[:, 2:3] + np.array([-1 / 6, 0.0])


def to_picture(points: np.ndarray, motion: Motion, length_px: float) -> np.ndarray:
    """Points `(time, k, 2)` in the animal's frame to pixels.

    The y axis of a picture points down, and in a view from below left is down, so no axis flips.
    """
    cos, sin = np.cos(motion.heading)[:, None], np.sin(motion.heading)[:, None]
    x, y = points[..., 0], points[..., 1]
    return motion.center[:, None] + length_px * np.stack([cos * x - sin * y, sin * x + cos * y], -1)
