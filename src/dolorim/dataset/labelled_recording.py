"""A recording to learn from: its labels, frames and points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dolorim.labels.trials import Recording
from dolorim.pose.features import REACH, FeatureKind, feature_names, pose_features
from dolorim.pose.pose import NO_SKELETON, Skeleton
from dolorim.pose.pose_track import PoseTrack
from dolorim.video.cache import CachedVideo
from dolorim.video.time_grid import TimeGrid


@dataclass(frozen=True)
class LabelledRecording:
    """A labeled recording with its cached video and its pose; one of the two may be missing.

    `features` `(time, width)` are those of a frozen visual encoder, if they have been computed. On
    a `grid`, everything is about its steps, and `filmed` holds the labels of the frames.
    """

    recording: Recording
    video: CachedVideo | None = None
    track: PoseTrack | None = None
    features: np.ndarray | None = None
    grid: TimeGrid | None = None
    filmed: Recording | None = None

    def on_grid(self, grid: TimeGrid) -> LabelledRecording:
        """The recording as the steps of a grid show it: a step has the label of its frame."""
        labels = self.recording.labels[grid.frames]
        trials = []
        for trial in self.recording.trials:
            start, stop = grid.span(trial.start, trial.stop)
            trials.append(replace(trial, start=start, stop=stop))
        track = self.track
        return replace(
            self,
            recording=replace(self.recording, labels=labels, trials=tuple(trials)),
            video=None if self.video is None else self.video.on_grid(grid),
            track=None if track is None else track.resampled(grid.places, grid.rate_hz),
            grid=grid,
            filmed=self.recording,
        )

    @property
    def on_frames(self) -> Recording:
        """The labels of the frames as they were filmed."""
        return self.recording if self.filmed is None else self.filmed

    @property
    def frame_s(self) -> np.ndarray:
        """Time of each frame as it was filmed `(frames,)`."""
        return self.time_s if self.grid is None else self.grid.frame_s

    def by_frame(self, by_step: np.ndarray) -> np.ndarray:
        """What was decided on the steps `(time, ...)`, on the frames `(frames, ...)`."""
        return by_step if self.grid is None else by_step[self.grid.steps]

    @property
    def n_frames(self) -> int:
        return self.recording.n_frames

    @property
    def time_s(self) -> np.ndarray:
        """Time of each frame `(time,)`: its timestamp; without a video, its index over the rate."""
        if self.grid is not None:
            return self.grid.time_s
        if self.video is not None:
            return self.video.time_s
        assert self.track is not None
        return np.arange(self.n_frames) / self.track.rate_hz


@dataclass(frozen=True)
class Halo:
    """Frames of context that a network needs before and after those that it decides on."""

    before: int = 0
    after: int = 0


@dataclass(frozen=True)
class InputSpec:
    """The input that a network needs for a span of frames; None for a stream that it lacks.

    `kind` says which pose features it learns from, and `points` whether it needs the positions of
    the keypoints. A window holds every `step`-th frame of its span.
    """

    visual: Halo | None
    pose: Halo | None = None
    kind: FeatureKind = "graph"
    skeleton: Skeleton = NO_SKELETON
    points: bool = False
    step: int = 1

    @property
    def n_features(self) -> int:
        return len(feature_names(self.kind, self.skeleton.keypoints, self.skeleton.animals))

    def features_of(
        self, track: PoseTrack, points: np.ndarray, since_seen: np.ndarray
    ) -> np.ndarray:
        """The pose features `(time, features)` float32 of a span of frames.

        `points` and `since_seen` hold `REACH` frames more on either side.
        """
        features = pose_features(
            self.kind,
            track.names,
            points,
            since_seen,
            scale_px=track.length_px,
            rate_hz=track.rate_hz,
        )
        return features[REACH : len(features) - REACH]


def crop_points(
    points: np.ndarray, centers: np.ndarray, angles_rad: np.ndarray, side_px: float
) -> np.ndarray:
    """Points `(time, keypoint, xy)` in pixels of the video as positions in the crop, from -1 to 1.

    -1 is the outer edge of the first pixel. `centers` `(time, 2)` and `angles_rad` `(time,)` are
    those of the crops (`Crops`).
    """
    # Turning the window by an angle turns the points in it by minus that angle.
    away = 2 * (points / side_px - centers[:, None])
    cos, sin = np.cos(angles_rad)[:, None], np.sin(angles_rad)[:, None]
    x, y = away[..., 0], away[..., 1]
    return np.stack([x * cos + y * sin, y * cos - x * sin], -1).astype(np.float32)


def video_points(
    points: np.ndarray, centers: np.ndarray, angles_rad: np.ndarray, side_px: float
) -> np.ndarray:
    """The inverse of `crop_points`: positions in the crop as pixels of the video."""
    cos, sin = np.cos(angles_rad)[:, None], np.sin(angles_rad)[:, None]
    x, y = points[..., 0], points[..., 1]
    away = np.stack([x * cos - y * sin, y * cos + x * sin], -1)
    return (away / 2 + centers[:, None]) * side_px
