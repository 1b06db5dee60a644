"""A recording while it is decoded: what was seen of it, and what was decided so far."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dolorim.core.stopwatch import Stopwatch
from dolorim.dataset.labelled_recording import video_points
from dolorim.inference.raw_prediction import RawPrediction
from dolorim.inference.streaming import Decisions
from dolorim.pose.pose_track import PoseTrack
from dolorim.terminal import progress
from dolorim.video.appearance import Appearance, AppearanceSampler
from dolorim.video.crop import Crops
from dolorim.video.crop_stream import CropStream, crops_on_grid
from dolorim.video.seen_frames import SeenFrames
from dolorim.video.time_grid import TimeGrid


@dataclass
class Reading:
    """A recording that is being read: its crops and pose, what the network has decided so far, and
    the times and crop windows of the frames that it has taken, block by block.

    `to_keep` says under which key to keep what quick heads see, and the state of the files before
    they were read; None where nothing is to be kept.
    """

    crops: CropStream
    poses: PoseTrack | None
    grid: TimeGrid | None
    to_keep: tuple[str, dict[str, Any]] | None = None
    sampler: AppearanceSampler = field(init=False)
    decisions: list[Decisions] = field(default_factory=list)
    times_s: list[np.ndarray] = field(default_factory=list)
    centers: list[np.ndarray] = field(default_factory=list)
    angles_rad: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sampler = AppearanceSampler(self.crops.info.expected_frames)

    def blocks(self, name: str) -> Iterator[Crops]:
        """The crops of the steps that the network sees; with a name, there is a progress bar."""
        blocks = self._remember(name)
        return blocks if self.grid is None else crops_on_grid(blocks, self.grid)

    def _remember(self, name: str) -> Iterator[Crops]:
        expected = self.crops.info.expected_frames or None
        with progress(name, expected) if name else contextlib.nullcontext(_no_bar) as bar:
            for block in self.crops:
                self.sampler.look(block.images)
                self.times_s.append(block.time_s)
                self.centers.append(block.centers)
                self.angles_rad.append(block.angles_rad)
                bar(len(block.images))
                yield block

    @property
    def poses_on_grid(self) -> PoseTrack | None:
        if self.poses is None or self.grid is None:
            return self.poses
        return self.poses.resampled(self.grid.places, self.grid.rate_hz)

    @property
    def time_s(self) -> np.ndarray:
        return _concatenated(self.times_s)

    @property
    def times_fit(self) -> bool:
        """Do the frames have the times for which the grid was made?"""
        return self.grid is None or self.grid.fits(self.time_s)

    def result(self, clock: Stopwatch) -> RawPrediction:
        """The prediction of all frames that were read."""
        grid = None if self.grid is None else self.grid.first(len(self.time_s))
        centers, side_px = _concatenated(self.centers), self.crops.side_px
        origin_px = np.array(self.crops.plan.origin_px, np.float32)
        return RawPrediction(
            _concatenated([d.probabilities for d in self.decisions]),
            self.time_s,
            damage=self.crops.damage,
            inputs=("video",) if self.poses is None else ("video", "pose"),
            seconds=clock,
            keypoints=self._keypoints(grid, origin_px),
            grid=grid,
            pose_rows=None if self.poses is None else self.poses.n_frames,
            centers_px=centers.reshape(-1, 2) * side_px + origin_px,
            side_px=side_px,
            seen_length_px=self.crops.plan.seen_length_px,
            several=self.crops.plan.shows_several,
            appearance=self._appearance(),
            seen=self._seen(centers),
        )

    def _appearance(self) -> Appearance | None:
        info = self.crops.info
        longer_side_px = max(info.width_px, info.height_px)
        length_px = self.crops.plan.seen_length_px or 0.0
        return self.sampler.result(length_px / longer_side_px, info.header_rate_hz)

    def _seen(self, centers: np.ndarray) -> SeenFrames | None:
        """What quick heads have seen, as far as there is something to keep."""
        features = [d.features for d in self.decisions if d.features is not None]
        if self.to_keep is None or not features:
            return None
        key, state = self.to_keep
        angles_rad = np.concatenate(self.angles_rad)
        return SeenFrames(key, state, np.concatenate(features), centers, angles_rad)

    def _keypoints(self, grid: TimeGrid | None, origin_px: np.ndarray) -> np.ndarray | None:
        """Keypoints in pixels of the video, from those in the crop (see `RawPrediction`)."""
        points = [d.keypoints for d in self.decisions if d.keypoints is not None]
        visible = [d.visible for d in self.decisions if d.visible is not None]
        if not points:
            return None
        centers, angles_rad = np.concatenate(self.centers), np.concatenate(self.angles_rad)
        if grid is not None:
            centers, angles_rad = centers[grid.frames], angles_rad[grid.frames]
        in_video = video_points(np.concatenate(points), centers, angles_rad, self.crops.side_px)
        in_video = in_video + origin_px
        return np.concatenate([in_video, np.concatenate(visible)[..., None]], -1).astype(np.float32)


def _no_bar(n_frames: int) -> None:
    """What is called in place of a progress bar."""


def _concatenated(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0, np.float32)
