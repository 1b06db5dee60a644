"""Is there one animal in a picture, as it should be? Told from a few frames of shrunk log luma.

Both exceptions are said only on strong evidence. *Nobody* is there if nothing ever moved, and if
nothing in the picture has the shape of an animal that rests all along. *Several* are there if, in
many frames, two places of similar size moved that are more than a body length apart. Shadows and
reflections move too, but with the animal: where one of the two tells where the other is, there is
one animal. A place that the animal has left does not move at all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

_STILL = 1.5e-3  # log luma: pictures of nobody vary by less beyond the noise of the camera
_STATIC = 0.12  # contrast to its surroundings, in log luma, of an animal that rests
_THICK = 0.13  # body lengths: half the width of an animal; what is thinner is an edge
_SMALLEST, _LARGEST = 0.2, 3.0  # area of a resting animal, in units of a usual one
_MOVES = 0.12  # change, in log luma, of a place that moves
_PART = 0.25  # of an animal's area that a moving place has at least
_ALIKE = 0.4, 0.3  # the smaller of two animals against the larger one: in area, and in change
_APART = 1.0  # body lengths between two animals
_OFTEN, _FRAMES = 0.4, 8  # share, and least number, of frames that show two
_TIED = 0.93  # share of the variance of one place that the other explains, if they are one animal
_ROAMS = 0.1  # body lengths by which the position of an animal varies


class _Place(NamedTuple):
    change: float
    area: int
    x: float
    y: float


def is_still(frames: np.ndarray) -> bool:
    """Has nothing changed, beyond noise, in frames `(n, height, width)` of a whole recording?"""
    # Means over neighbors show a change that noise would hide in single pixels.
    smooth = ndimage.uniform_filter(frames, (0, 3, 3), mode="nearest")
    change = np.abs(smooth - np.median(smooth, axis=0))
    noise = 1.48 * float(np.median(change)) + 1e-3
    restless = np.maximum(smooth.std(axis=0) - 3 * noise, 0)
    size = int(0.075 * max(restless.shape)) | 1
    return float(ndimage.uniform_filter(restless, size, mode="nearest").max()) < _STILL


def has_resting_animal(usual: np.ndarray, length: float) -> bool:
    """Could something in a picture be an animal at rest? It is compact, and away from the walls.

    `usual` `(height, width)` is the median picture, and `length` the body length in its pixels.
    """
    side, usual_area = max(usual.shape), (length / 1.6) ** 2
    # The median over a wide window is the floor; at half the resolution it is quick.
    floor = ndimage.median_filter(usual[::2, ::2], int(0.18 * side) | 1, mode="reflect")
    floor = np.repeat(np.repeat(floor, 2, axis=0), 2, axis=1)[: usual.shape[0], : usual.shape[1]]
    radius = max(1, round(_THICK * length))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = x * x + y * y <= radius * (radius + 1)
    solid = ndimage.binary_opening(np.abs(usual - floor) > _STATIC, disk)
    parts, n_parts = ndimage.label(solid)
    at_edge = {*parts[0], *parts[-1], *parts[:, 0], *parts[:, -1]}
    for part in range(1, n_parts + 1):
        area = float(np.sum(parts == part)) / usual_area
        if part not in at_edge and _SMALLEST <= area <= _LARGEST:
            return True
    return False


def are_several(changes: np.ndarray, length: float) -> bool:
    """Do several animals move in a recording?

    `changes` `(n, height, width)` is the evidence of change in frames spread over it, and `length`
    the body length in pixels.
    """
    area = (length / 1.6) ** 2
    pairs: list[tuple[_Place, _Place]] = []
    n_moving = 0
    for change in changes:
        places = [place for place in _moving_places(change) if place.area >= _PART * area]
        n_moving += bool(places)
        if len(places) > 1 and _are_two(places[0], places[1], length):
            pairs.append((places[0], places[1]))
    if len(pairs) < max(_FRAMES, _OFTEN * n_moving):
        return False
    return _move_apart(np.array([[(p.x, p.y) for p in pair] for pair in pairs]), length)


def _moving_places(change: np.ndarray) -> list[_Place]:
    """The connected places of a frame `(height, width)` that moved, the strongest first."""
    moved = change > _MOVES
    # Pixels alone are noise; paws and belly of one animal are one place.
    grown = ndimage.binary_dilation(ndimage.binary_opening(moved, np.ones((2, 2))), iterations=2)
    parts, n_parts = ndimage.label(grown)
    places = []
    for part in range(1, n_parts + 1):
        inside = parts == part
        weight = change * inside
        y, x = ndimage.center_of_mass(weight)
        places.append(_Place(float(weight.sum()), int(np.sum(moved & inside)), x, y))
    return sorted(places, reverse=True)


def _are_two(larger: _Place, smaller: _Place, length: float) -> bool:
    alike_in_area, alike_in_change = _ALIKE
    return (
        smaller.area >= alike_in_area * larger.area
        and smaller.change >= alike_in_change * larger.change
        and np.hypot(larger.x - smaller.x, larger.y - smaller.y) > _APART * length
    )


def _move_apart(pairs: np.ndarray, length: float) -> bool:
    """Do two places `(frames, 2, xy)` both move, each in its own way?"""
    # Put in order along the line on which they differ most, so that each stays the same animal.
    points = pairs.reshape(-1, 2)
    axis = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][0]
    order = np.argsort(pairs @ axis, axis=1)
    one, other = np.moveaxis(np.take_along_axis(pairs, order[..., None], axis=1), 1, 0)
    spread = min(float(np.hypot(*place.std(axis=0))) for place in (one, other))
    if spread < _ROAMS * length:
        return False
    inputs = np.column_stack([one, np.ones(len(one))])
    rest = other - inputs @ np.linalg.lstsq(inputs, other, rcond=None)[0]
    explained = 1 - float((rest**2).sum() / ((other - other.mean(axis=0)) ** 2).sum())
    return explained < _TIED
