"""What the camera sees of a simulated mouse: pictures of the animal over its cage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dolorim.simulate.mouse import Motion, Mouse, spine_of, to_picture

# The noise is larger than the picture by so many pixels, so that each frame can show another part.
_GRAIN = 131


@dataclass(frozen=True)
class Cage:
    """What the camera sees without the animal.

    `empty` `(size, size)` is float32; the noise of each frame is a part of `grain`.
    """

    empty: np.ndarray
    grain: np.ndarray


def render(motion: Motion, mouse: Mouse, cage: Cage, frame: int) -> np.ndarray:
    """The picture `(size, size)` uint8 at a frame: animal over cage, then noise."""
    moment = motion.at(slice(frame, frame + 1))
    spine = spine_of(moment)[0]
    snout = spine[-1:] + moment.mouth_shift[0]
    # The trunk is a row of discs, two for each point of the spine.
    pairs = np.stack([spine[:-1], 0.5 * spine[:-1] + 0.5 * spine[1:]], 1)
    trunk = np.concatenate([pairs.reshape(-1, 2), snout])
    along = np.linspace(0, 1, len(trunk))
    trunk_radii = np.interp(along, [0, 0.25, 0.5, 0.8, 1], [0.1, 0.19, 0.19, 0.13, 0.05])
    patches = 1 + mouse.patchiness * np.sin(7 * np.arange(len(trunk)) + mouse.length_px)
    # A paw that touches the floor is bright, because the camera sees its bare sole.
    contact = np.clip(moment.contact[0], 0, 1)
    tail = _tail(spine, moment.heading[0])
    bare = 0.5 * (mouse.coat + mouse.paw)
    points = np.concatenate([trunk, moment.paws[0], tail, snout])
    radii = np.concatenate(
        [trunk_radii, [0.045, 0.045, 0.07, 0.07], np.linspace(0.035, 0.015, len(tail)), [0.03]]
    )
    levels = np.concatenate(
        [
            mouse.coat * patches,
            mouse.coat + (mouse.paw - mouse.coat) * contact,
            np.full(len(tail), bare),
            [bare],
        ]
    )
    picture = cage.empty.copy()
    points_px = to_picture(points[None], moment, mouse.length_px)[0]
    _stamp(picture, points_px, radii * mouse.length_px, levels)
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
    for dropping_x, dropping_y in rng.uniform(0.1, 0.9, (5, 2)):
        inside = (x - dropping_x) ** 2 + (y - dropping_y) ** 2 < 0.006**2
        cage = np.where(inside, 0.6 * cage, cage)
    grain = mouse.noise * rng.standard_normal((size_px + _GRAIN, size_px + _GRAIN), np.float32)
    return Cage(cage.astype(np.float32), grain)


def _tail(spine: np.ndarray, heading: float) -> np.ndarray:
    along = np.linspace(0.04, 0.75, 24)
    return spine[0] + np.stack([-along, 0.15 * np.sin(4 * along + heading)], -1)


def _stamp(picture: np.ndarray, points: np.ndarray, radii: np.ndarray, levels: np.ndarray) -> None:
    """Paint soft discs one over the other, the first one lowest."""
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
