"""Where the points of an animal are, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dolorim.files.structured import STRICT


@dataclass(frozen=True)
class Skeleton:
    """Which keypoints a pose has, in order, and of how many animals."""

    __pydantic_config__ = STRICT

    keypoints: tuple[str, ...] = ()
    animals: int = 1


NO_SKELETON = Skeleton()


@dataclass(frozen=True, eq=False)
class Pose:
    """The tracked points of one animal; row t is frame t of the video.

    `points` is `(time, keypoint, xy)` float64 in pixels. `likelihood` is `(time, keypoint)` in
    [0, 1], or None if the tracker gives none. `missing` `(time, keypoint)` is true where there is
    no point; coordinates and likelihood are NaN there. The likelihood of a point set by hand is
    NaN too. All arrays are read-only. `notes` says what was changed in the file's numbers. Raises
    `ValueError` for shapes that do not fit.
    """

    names: tuple[str, ...]
    points: np.ndarray
    likelihood: np.ndarray | None = None
    individual: str | None = None
    source: Path | None = None
    notes: tuple[str, ...] = ()
    missing: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        points = np.array(self.points, np.float64)
        if points.ndim != 3 or points.shape[1:] != (len(self.names), 2):
            raise ValueError(f"expected points (time, {len(self.names)}, 2), got {points.shape}")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"keypoints with one name: {', '.join(self.names)}")
        # Half a point is none.
        missing = ~np.isfinite(points).all(axis=-1)
        points[missing] = np.nan
        likelihood = None
        if self.likelihood is not None:
            likelihood = np.array(self.likelihood, np.float64)
            if likelihood.shape != missing.shape:
                raise ValueError(f"expected likelihood {missing.shape}, got {likelihood.shape}")
            likelihood[missing] = np.nan
            likelihood.setflags(write=False)
        # Poses are shared between readers and cleaning, so nobody may change them in place.
        points.setflags(write=False)
        missing.setflags(write=False)
        # A frozen dataclass: its own fields can only be set this way.
        for name, value in (("points", points), ("likelihood", likelihood), ("missing", missing)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.points)

    def take(self, indices: Sequence[int], names: Sequence[str] | None = None) -> Pose:
        """The keypoints at these indices, in this order, with new `names` if they are given."""
        chosen = list(indices)
        likelihood = None if self.likelihood is None else self.likelihood[:, chosen]
        names = [self.names[i] for i in chosen] if names is None else names
        return replace(
            self, names=tuple(names), points=self.points[:, chosen], likelihood=likelihood
        )

    def xy(self, name: str) -> np.ndarray:
        """The points `(time, xy)` of one keypoint."""
        return self.points[:, self.names.index(name)]


def tracked(
    names: Sequence[str],
    points: np.ndarray,
    likelihood: np.ndarray | None = None,
    *,
    individual: str | None = None,
    source: Path | None = None,
    notes: Sequence[str] = (),
) -> Pose:
    """A pose from the numbers of a tracker, where (0, 0) means that there is no point.

    Likelihoods outside [0, 1] are clipped, and noted: a confidence map may peak above 1, and a
    filter may overshoot.
    """
    points = np.array(points, np.float64)
    # Trackers write the corner of the picture where they found nothing.
    points[(points == 0).all(axis=-1)] = np.nan
    notes = list(notes)
    if likelihood is not None:
        likelihood = np.array(likelihood, np.float64)
        likelihood[np.isnan(points).any(axis=-1)] = np.nan
        outside = (likelihood < 0) | (likelihood > 1)
        if outside.any():
            low, high = np.nanmin(likelihood), np.nanmax(likelihood)
            share = outside.sum() / max(1, np.isfinite(likelihood).sum())
            notes.append(
                f"{share:.1%} of the likelihoods lie outside [0, 1] ({low:.3g} to {high:.3g}) "
                "and were clipped"
            )
            likelihood = np.clip(likelihood, 0, 1)
        # A column without any number says nothing: better no likelihood than an unknown one.
        if not np.isfinite(likelihood).any():
            likelihood = None
    return Pose(tuple(names), points, likelihood, individual, source, tuple(notes))
