"""Find the chambers of a rack in its picture: where animals go, and the walls between them.

Each animal moves in its own chamber only, so the places where anything ever moved form bands of
rows and columns with gaps between them. A wall is a line of the picture, through all rows or all
columns, in such a gap. Where the two do not clearly make a grid, no chambers are proposed.
"""

from __future__ import annotations

import itertools
import string
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from dolorim.core.errors import UserError
from dolorim.files.recordings import Box, Chamber
from dolorim.video.localizer import shrink
from dolorim.video.sample_frames import sample_frames

_FRAMES = 64  # of the video, in which animals are looked for
_LONG_SIDE = 480  # pixels of the shrunk picture; walls are thin
_MOVED = 0.18  # change of log luma that is an animal, about a sixth in luma
_BAND = 0.25  # of the usual share of places in a band, below which a line of pixels is a gap
_EVEN = 1.35  # factor by which the distances between neighboring bands may differ
_MOST = 8  # rows or columns
_VISITED = 0.02  # share of a cell in which an animal must have been
_WALL = 3.0  # a wall's gradient, in units of the median over all lines of pixels


@dataclass(frozen=True)
class _Movement:
    """Maps `(height, width)` of the shrunk picture: where something moved, and what stands still.

    `visited` is true where something moved at least once; `still` is the median log luma.
    """

    visited: np.ndarray
    still: np.ndarray
    factor: int
    shape: tuple[int, int]


def name_at(row: int, column: int) -> str:
    """A chamber's name as on a well plate: A1 in the upper left corner, B3 in the second row."""
    return f"{string.ascii_uppercase[row % 26] * (row // 26 + 1)}{column + 1}"


def propose_chambers(video: Path) -> tuple[Chamber, ...]:
    """The chambers of a rack that the picture shows, row by row.

    Raises `UserError` where the picture does not clearly show them.
    """
    status = video.stat() if video.is_file() else None
    return _propose(video, status and status.st_mtime_ns)


@lru_cache(maxsize=256)
def _propose(video: Path, changed: int | None) -> tuple[Chamber, ...]:
    return chambers_in([frame.luma for frame in sample_frames(video, _FRAMES)], video)


def chambers_in(lumas: list[np.ndarray], where: object) -> tuple[Chamber, ...]:
    """The chambers that pictures `(height, width)` spread over a video show. Raises `UserError`."""
    movement = _collect([luma for luma in lumas if luma.shape == lumas[0].shape])
    columns, rows = (_bands(movement.visited.mean(axis)) for axis in (0, 1))
    n_cells = len(columns) * len(rows)
    if n_cells < 2:
        raise _unsure("the moving places form one area, not several", where)
    if max(len(columns), len(rows)) > _MOST:
        raise _unsure("the moving places form too many areas", where)
    if not (_are_even(columns) and _are_even(rows)):
        raise _unsure("the moving places do not form even rows and columns", where)
    for row, column in itertools.product(rows, columns):
        cell = movement.visited[row[0] : row[1], column[0] : column[1]]
        if cell.mean() < _VISITED:
            raise _unsure("nothing moves in some of the places of the grid", where)
    x_edges = _edges(columns, _gradient(movement.still, axis=1))
    y_edges = _edges(rows, _gradient(movement.still, axis=0))
    if x_edges is None or y_edges is None:
        raise _unsure("there are no walls between the moving places", where)
    return _chambers(x_edges, y_edges, movement)


def _unsure(why: str, where: object) -> UserError:
    return UserError(
        f"its chambers cannot be told from the picture: {why}",
        where=where,
        remedy="lay a grid (--chambers 2x4: 2 rows of 4), or write their corners to chambers.csv",
        name="chambers-unsure",
    )


def _collect(lumas: list[np.ndarray]) -> _Movement:
    shape = (lumas[0].shape[0], lumas[0].shape[1])
    factor = max(1, round(max(shape) / _LONG_SIDE))
    frames = np.stack([shrink(luma, factor) for luma in lumas])
    frames -= np.median(frames, axis=(1, 2), keepdims=True)  # the light may change
    still = np.median(frames, axis=0)
    change = np.abs(frames - still)
    noise = 1.48 * float(np.median(change)) + 1e-3
    moved = change > max(_MOVED, 6 * noise)
    # Single pixels are noise, and a flicker along an edge is no animal.
    moved = ndimage.binary_opening(moved, np.ones((1, 3, 3), bool))
    return _Movement(moved.any(axis=0), still, factor, shape)


def _bands(profile: np.ndarray) -> list[tuple[int, int]]:
    """Runs `[start, stop)` of a profile `(pixels,)` of visited shares in which animals go."""
    smooth = ndimage.uniform_filter1d(profile, max(3, len(profile) // 100) | 1, mode="constant")
    usual = float(np.percentile(smooth[smooth > 0], 75)) if (smooth > 0).any() else 0.0
    inside = smooth > _BAND * usual if usual else np.zeros(len(smooth), bool)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
    bands = [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
    widest = max((stop - start for start, stop in bands), default=0)
    # What is much narrower than the others is no chamber but a reflection or a cable.
    return [(start, stop) for start, stop in bands if stop - start > 0.25 * widest]


def _are_even(bands: list[tuple[int, int]]) -> bool:
    """Are neighboring bands about equally far apart, and about equally wide?"""
    centers = np.array([(start + stop) / 2 for start, stop in bands])
    widths = np.array([stop - start for start, stop in bands])
    steps = np.diff(centers)
    if widths.max() > 2 * widths.min():
        return False
    return len(steps) < 2 or bool(steps.max() <= _EVEN * steps.min())


def _gradient(still: np.ndarray, axis: int) -> np.ndarray:
    """How strongly the still picture changes from one line of pixels to the next, `(lines - 1,)`.

    The median along a line counts, so that only what goes through the whole picture is a wall.
    """
    steps = np.abs(np.diff(still, axis=axis))
    return np.asarray(np.percentile(steps, 60, axis=1 - axis))


def _edges(bands: list[tuple[int, int]], gradient: np.ndarray) -> np.ndarray | None:
    """The edges of the chambers along one axis `(bands + 1,)`; None where a wall is missing."""
    usual = float(np.median(gradient)) + 1e-4
    inner: list[float] = []
    for (_, stop), (start, _) in itertools.pairwise(bands):
        # A wall of a few pixels gives a line on both of its sides; its middle is the edge.
        low, high = max(0, stop - 3), min(len(gradient), start + 3)
        in_gap = gradient[low:high]
        if in_gap.max() < _WALL * usual:
            return None
        strong = low + np.flatnonzero(in_gap > 0.5 * in_gap.max())
        inner.append((strong[0] + strong[-1]) / 2 + 1)
    length = len(gradient) + 1
    if not inner:
        return np.array([0.0, length])
    pitch = float(np.median(np.diff(inner))) if len(inner) > 1 else 0.0
    first, last = inner[0], inner[-1]
    if not pitch:
        # Two chambers: the wall is in the middle of both.
        pitch = min(first, length - first)
    return np.array([max(0.0, first - pitch), *inner, min(float(length), last + pitch)])


def _chambers(x_edges: np.ndarray, y_edges: np.ndarray, movement: _Movement) -> tuple[Chamber, ...]:
    height, width = movement.shape
    xs = np.clip((x_edges * movement.factor).round().astype(int), 0, width).tolist()
    ys = np.clip((y_edges * movement.factor).round().astype(int), 0, height).tolist()
    chambers = []
    for row, (y0, y1) in enumerate(itertools.pairwise(ys)):
        for column, (x0, x1) in enumerate(itertools.pairwise(xs)):
            box: Box = (x0, y0, x1, y1)
            chambers.append(Chamber(name_at(row, column), box))
    return tuple(chambers)
