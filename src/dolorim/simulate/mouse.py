"""A simulated mouse seen from below: how it moves and what the camera sees. Good for plumbing, never for accuracy.

Lengths are in body lengths in the animal's own frame: x to the snout, y to its left side, the origin amid the body.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dolorim.labels.bouts import Bout, to_bouts
from dolorim.labels.ethogram import PAIN

_PAWS = np.array(
    [[0.24, 0.13], [0.24, -0.13], [-0.28, 0.18], [-0.28, -0.18]]
)  # standing: front L, R, hind L, R
REST, WITHDRAW, LICK, GUARD, SHAKE, FLINCH, WALK, ACTIVE = (r.id for r in PAIN.raw)

# Shortest and longest duration in seconds, and how often each comes among 20 bouts that are not rest.
_DURATION_S = {
    WITHDRAW: (0.15, 0.5), LICK: (1.0, 4.0), GUARD: (0.5, 1.2), SHAKE: (0.3, 1.0),
    FLINCH: (0.15, 0.3), WALK: (0.8, 2.5), ACTIVE: (0.8, 3.0),
}  # fmt: skip
_DECK = {WITHDRAW: 2, LICK: 2, GUARD: 1, SHAKE: 3, FLINCH: 1, WALK: 5, ACTIVE: 6}
_REST_S = (1.0, 4.0)
_GRAIN = 131  # by how much noise is larger than the picture, so that it differs from frame to frame


@dataclass(frozen=True)
class Mouse:
    """One animal and its cage: `length_px` of the body, gray levels, `side` of the hurt hind paw (+1 left, -1 right).

    `vigor` scales the amplitude of the paw movements: below 1 they are harder to see.
    """

    length_px: float = 90.0
    floor: float = 130.0
    coat: float = 60.0
    paw: float = 150.0
    patchiness: float = 0.15
    noise: float = 3.0
    side: int = 1
    vigor: float = 1.0


@dataclass(frozen=True)
class Motion:
    """What the body does, frame by frame: positions in pixels, angles in radians, `contact` of each paw 0-1."""

    labels: np.ndarray  # (time,) raw ids
    center: np.ndarray  # (time, 2) px
    heading: np.ndarray  # (time,)
    bend: np.ndarray  # (time,) of the neck, positive to the left
    stretch: np.ndarray  # (time,)
    paws: np.ndarray  # (time, 4, 2) body lengths
    contact: np.ndarray  # (time, 4)
    mouth_shift: np.ndarray  # (time, 2) body lengths


@dataclass(frozen=True)
class Cage:
    """What the camera sees without the animal: `empty` `(size, size)` float32, and noise to cut frames' noise from."""

    empty: np.ndarray
    grain: np.ndarray


def draw_labels(n_frames: int, rate_hz: float, rng: np.random.Generator) -> np.ndarray:
    """A plausible sequence of raw behaviors `(n_frames,)`: rest, with bouts of the others between."""
    labels = np.full(n_frames, REST, np.int16)
    deck: list[int] = []
    at = rng.uniform(0.3, 1.5)
    while at * rate_hz < n_frames:
        if not deck:
            deck = [b for b, count in _DECK.items() for _ in range(count)]
            rng.shuffle(deck)
        behavior = deck.pop()
        shortest_s, longest_s = _DURATION_S[behavior]
        length_s = rng.uniform(shortest_s, longest_s)
        frames = max(round(length_s * rate_hz), math.ceil(shortest_s * rate_hz))
        start = round(at * rate_hz)
        labels[start : start + min(frames, int(longest_s * rate_hz))] = behavior
        at += length_s + rng.uniform(*_REST_S)
    return labels


def move(
    labels: np.ndarray, mouse: Mouse, size_px: int, rate_hz: float, rng: np.random.Generator
) -> Motion:
    """Kinematics `(time, ...)` that show the given behaviors in a square cage of `size_px`."""
    n = len(labels)
    t = np.arange(n) / rate_hz
    paws = np.repeat(_PAWS[None], n, 0)
    contact = np.ones((n, 4))
    bend = 0.05 * np.sin(2 * np.pi * 0.3 * t + rng.uniform(0, 6))
    stretch = 1 + 0.012 * np.sin(2 * np.pi * 2.2 * t + rng.uniform(0, 6))  # breathing
    mouth, speed, turn = np.zeros((n, 2)), np.zeros(n), np.zeros(n)
    hurt, sign, vigor = (2 if mouse.side > 0 else 3), float(mouse.side), mouse.vigor
    for bout in to_bouts(labels):
        if bout.label == REST:
            continue
        at = slice(bout.start, bout.stop)
        s = t[at] - t[bout.start]
        if bout.label in (WITHDRAW, GUARD):
            up = _envelope(bout, rate_hz, 0.06, 0.12)
            paws[at, hurt] += vigor * up[:, None] * (0.12, -0.09 * sign)
            contact[at, hurt] -= 0.9 * up
            if len(bout) > 1:  # the recording's end may cut it to one frame
                turn[at] += 0.5 * sign * np.gradient(up) * rate_hz * 0.1
        elif bout.label == FLINCH:
            up = _envelope(bout, rate_hz, 0.05, 0.1)
            stretch[at] -= 0.08 * vigor * up
            paws[at, 2:] += vigor * up[:, None, None] * np.array([0.05, 0])
            contact[at, 2:] -= 0.5 * up[:, None]
        elif bout.label == LICK:
            up = _envelope(bout, rate_hz, 0.3, 0.3)
            lick = np.sin(2 * np.pi * rng.uniform(5, 7) * s)
            bend[at] += 1.9 * sign * up
            paws[at, hurt] += up[:, None] * (0.14, 0.02 * sign)
            mouth[at] += vigor * 0.05 * (up * lick)[:, None] * (0.6, 0.8 * sign)
            contact[at, hurt] -= 0.5 * up
        elif bout.label == SHAKE:
            up = _envelope(bout, rate_hz, 0.08, 0.08)
            shake = np.sin(2 * np.pi * rng.uniform(9, 12) * s)
            paws[at, hurt] += vigor * (up * shake)[:, None] * (0.05, 0.09) + up[:, None] * (
                0.05,
                0.06 * sign,
            )
            contact[at, hurt] -= 0.7 * up
        elif bout.label == WALK:
            up = _envelope(bout, rate_hz, 0.2, 0.2)
            speed[at] += up * rng.uniform(1.2, 2.4)
            turn[at] += up * rng.uniform(-1, 1)
            phase = 2 * np.pi * rng.uniform(3, 4.5) * s[:, None] + np.array([0, np.pi, np.pi, 0])
            paws[at, :, 0] += 0.11 * up[:, None] * np.sin(phase)
            contact[at] -= 0.6 * up[:, None] * np.clip(np.cos(phase), 0, 1)
        elif rng.random() < 0.5:  # active: sniffing about
            up = _envelope(bout, rate_hz, 0.2, 0.2)
            bend[at] += 0.7 * up * np.sin(2 * np.pi * rng.uniform(0.8, 1.6) * s + rng.uniform(0, 6))
            speed[at] += 0.15 * up
            stretch[at] += 0.06 * up * np.sin(2 * np.pi * 4 * s)
        else:  # active: washing the face
            up = _envelope(bout, rate_hz, 0.2, 0.2)
            wash = np.sin(2 * np.pi * rng.uniform(3.5, 5) * s)[:, None] * (0.05, 0.02)
            paws[at, :2] += up[:, None, None] * (
                np.array([[0.13, -0.06], [0.13, 0.06]]) + wash[:, None]
            )
            contact[at, :2] -= 0.4 * up[:, None]
            stretch[at] -= 0.12 * up
    paws += rng.normal(0, 0.003, paws.shape)
    center, heading = _walk_about(
        speed * mouse.length_px, turn, mouse.length_px, size_px, rate_hz, rng
    )
    return Motion(labels, center, heading, bend, stretch, paws, contact, mouth)


def keypoints(motion: Motion, mouse: Mouse) -> np.ndarray:
    """True positions of `KEYPOINTS`, `(time, 6, 2)` in pixels."""
    spine = _spine(motion)
    body = np.concatenate(
        [spine[:, -1:] + motion.mouth_shift[:, None], motion.paws, spine[:, :1]], axis=1
    )
    return _to_picture(body, motion, mouse.length_px)


def render(motion: Motion, mouse: Mouse, cage: Cage, frame: int) -> np.ndarray:
    """The picture `(size, size)` uint8 at a frame: animal over cage, then noise."""
    one = slice(frame, frame + 1)
    moment = Motion(*(getattr(motion, f)[one] for f in Motion.__dataclass_fields__))
    spine = _spine(moment)[0]
    shift = moment.mouth_shift[0]
    joints = [(1 - s) * spine[:-1] + s * spine[1:] for s in (0, 0.5)]
    trunk = np.concatenate([*(np.stack(joints, 1).reshape(-1, 2),), spine[-1:] + shift])
    radii = np.interp(
        np.linspace(0, 1, len(trunk)), [0, 0.25, 0.5, 0.8, 1], [0.1, 0.19, 0.19, 0.13, 0.05]
    )
    tail = _tail(spine, moment.heading[0])
    points = np.concatenate([trunk, moment.paws[0], tail, spine[-1:] + shift])
    sizes = np.concatenate(
        [radii, [0.045, 0.045, 0.07, 0.07], np.linspace(0.035, 0.015, len(tail)), [0.03]]
    )
    patches = 1 + mouse.patchiness * np.sin(7 * np.arange(len(trunk)) + mouse.length_px)
    levels = np.concatenate([
        mouse.coat * patches,
        mouse.coat + (mouse.paw - mouse.coat) * np.clip(moment.contact[0], 0, 1),
        np.full(len(tail), 0.5 * (mouse.coat + mouse.paw)),
        [0.5 * (mouse.coat + mouse.paw)],
    ])  # fmt: skip
    picture = cage.empty.copy()
    _stamp(
        picture,
        _to_picture(points[None], moment, mouse.length_px)[0],
        sizes * mouse.length_px,
        levels,
    )
    size = len(picture)
    y, x = (frame * 37) % _GRAIN, (frame * 101) % _GRAIN
    picture += cage.grain[y : y + size, x : x + size]
    return np.clip(picture, 0, 255, out=picture).astype(np.uint8)


def draw_cage(mouse: Mouse, size_px: int, rng: np.random.Generator) -> Cage:
    """A cage: uneven light, bright edges, a few droppings."""
    y, x = np.mgrid[:size_px, :size_px].astype(np.float32) / size_px
    a, b, c = rng.uniform(-0.12, 0.12, 3)
    cage = mouse.floor * (1 + a * (x - 0.5) + b * (y - 0.5) + c * np.cos(5 * x + 3 * y))
    edge = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y))
    cage = np.where(edge < 0.03, 0.6 * cage, cage)
    cage = np.where(np.abs(edge - 0.035) < 0.006, np.minimum(1.5 * cage + 20, 250), cage)
    for at in rng.uniform(0.1, 0.9, (5, 2)):
        cage = np.where((x - at[0]) ** 2 + (y - at[1]) ** 2 < 0.006**2, 0.6 * cage, cage)
    grain = mouse.noise * rng.standard_normal((size_px + _GRAIN, size_px + _GRAIN), np.float32)
    return Cage(cage.astype(np.float32), grain)


def _envelope(bout: Bout, rate_hz: float, rise_s: float, fall_s: float) -> np.ndarray:
    """From 0 up to 1 and down again within a bout, smoothly."""
    s = (np.arange(len(bout)) + 0.5) / rate_hz
    whole = len(bout) / rate_hz
    scale = min(1.0, whole / (rise_s + fall_s))
    ramp = np.minimum(np.minimum(s / (rise_s * scale), (whole - s) / (fall_s * scale)), 1)
    return 0.5 - 0.5 * np.cos(np.pi * ramp)


def _walk_about(
    speed_px_s: np.ndarray,
    turn: np.ndarray,
    length_px: float,
    size_px: int,
    rate_hz: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Integrate speed and turning; near a wall the animal turns to the middle. It keeps a body length off the walls."""
    low, high = 0.9 * length_px, size_px - 0.9 * length_px
    at, heading = rng.uniform(low, high, 2), rng.uniform(-np.pi, np.pi)
    center, angle = np.empty((len(turn), 2)), np.empty(len(turn))
    for i, (v, w) in enumerate(zip(speed_px_s, turn, strict=True)):
        ahead = at + 1.0 * length_px * np.array([np.cos(heading), np.sin(heading)])
        if v > 0 and not (low < ahead.min() and ahead.max() < high):
            to_middle = np.arctan2(*(size_px / 2 - at)[::-1]) - heading
            w += 3.5 * np.sin(to_middle) + (1.0 if np.cos(to_middle) < -0.9 else 0.0)
        heading += w / rate_hz
        at = np.clip(at + v / rate_hz * np.array([np.cos(heading), np.sin(heading)]), low, high)
        center[i], angle[i] = at, heading
    return center, angle


def _spine(motion: Motion) -> np.ndarray:
    """Seven points from tail base to snout, `(time, 7, 2)` in body lengths; the bend grows to the front."""
    along = np.linspace(-0.5, 0.5, 7)
    angles = motion.bend[:, None] * np.interp(along, [-0.5, -0.2, 0.5], [-0.15, 0, 1])
    middle = 0.5 * (angles[:, 1:] + angles[:, :-1])
    step = np.diff(along)[None] * motion.stretch[:, None]
    x = np.concatenate([np.zeros((len(step), 1)), np.cumsum(step * np.cos(middle), 1)], 1)
    y = np.concatenate([np.zeros((len(step), 1)), np.cumsum(step * np.sin(middle), 1)], 1)
    spine = np.stack([x, y], -1)
    return spine - spine[:, 2:3] + np.array([-1 / 6, 0.0])


def _tail(spine: np.ndarray, heading: float) -> np.ndarray:
    along = np.linspace(0.04, 0.75, 24)
    return spine[0] + np.stack([-along, 0.15 * np.sin(4 * along + heading)], -1)


def _to_picture(points: np.ndarray, motion: Motion, length_px: float) -> np.ndarray:
    """Points `(time, k, 2)` in the animal's frame to pixels. The picture's y points down; from below, left is down."""
    cos, sin = np.cos(motion.heading)[:, None], np.sin(motion.heading)[:, None]
    x, y = points[..., 0], points[..., 1]
    return motion.center[:, None] + length_px * np.stack([cos * x - sin * y, sin * x + cos * y], -1)


def _stamp(picture: np.ndarray, points: np.ndarray, radii: np.ndarray, levels: np.ndarray) -> None:
    """Soft discs painted one over the other, first ones lowest."""
    size = picture.shape[0]
    for (x, y), radius, level in zip(points, radii, levels, strict=True):
        reach = int(1.5 * radius + 3)
        x0, y0 = max(0, int(x) - reach), max(0, int(y) - reach)
        x1, y1 = min(size, int(x) + reach + 1), min(size, int(y) + reach + 1)
        if x0 >= x1 or y0 >= y1:
            continue
        dx = np.arange(x0, x1, dtype=np.float32) - np.float32(x)
        dy = np.arange(y0, y1, dtype=np.float32) - np.float32(y)
        distance = np.sqrt(dx[None] ** 2 + dy[:, None] ** 2)
        cover = np.clip((np.float32(radius) - distance) / np.float32(1.5) + np.float32(0.5), 0, 1)
        patch = picture[y0:y1, x0:x1]
        patch += cover * (np.float32(level) - patch)
