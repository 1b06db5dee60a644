"""A recording to learn from: its labels, frames and points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dolorim.labels.trials import Recording
from dolorim.pose.features import REACH, FeatureKind, feature_names, pose_features
from dolorim.pose.pose import NO_SKELETON, Skeleton
from dolorim.pose.pose_track import PoseTrack
from dolorim.video.cache import CachedVideo


@dataclass(frozen=True)
class LabelledRecording:
    """A labelled recording with its cached video and its pose; one of the two may be missing.

    `features` `(time, width)` are those of a frozen visual encoder, if they have been computed.
    """

    recording: Recording
    video: CachedVideo | None = None
    track: PoseTrack | None = None
    features: np.ndarray | None = None

    @property
    def n_frames(self) -> int:
        return self.recording.n_frames

    @property
    def time_s(self) -> np.ndarray:
        """Time of each frame `(time,)`: its timestamp; without a video, its index over the rate."""
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
