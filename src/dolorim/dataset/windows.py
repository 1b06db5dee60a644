"""Training windows: spans of a recording with a label per frame and real context around them."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from dolorim.config import AugmentConfig
from dolorim.core.mirror import mirrored_order
from dolorim.dataset.labelled_recording import Halo, InputSpec, LabelledRecording, crop_points
from dolorim.dataset.sampling import WindowSpec
from dolorim.labels.ethogram import UNLABELED
from dolorim.pose.features import REACH
from dolorim.pose.pose_track import PoseTrack
from dolorim.video.cache import CachedVideo

Batch = dict[str, torch.Tensor]


class Windows(Dataset[Batch]):
    """Windows of `length` frames from labeled recordings, by `WindowSpec`.

    An item holds `labels` `(length,)` int64, -1 for unlabeled frames; `valid` `(length,)` bool,
    false beyond the ends of the recording; and the input of the network:

    - `frames` `(length + halo, size, size)` uint8 and `crop_centers` `(length + halo, 2)` float32
      in units of the crop's side; or instead of both `features` `(length, width)`,
    - `pose` `(length + halo, features)` float32, NaN where missing, and `inside` `(length + halo,)`
      bool,
    - `points` `(length, keypoint, 2)` float32, keypoints in the crop (`crop_points`), NaN where
      missing, and `hidden` `(keypoint,)` bool for those that are hidden from the network.

    `seed` determines everything random in an item, and `mirrored` says whether to mirror it. The
    pose is mirrored here, and the points have the names of the mirror image; `augment` mirrors the
    frames and the positions of the points.
    """

    def __init__(
        self,
        labelled: Sequence[LabelledRecording],
        length: int,
        input_spec: InputSpec,
        augment: AugmentConfig | None = None,
    ) -> None:
        self.labelled = list(labelled)
        self.length, self.input_spec, self.augment = length, input_spec, augment

    def __getitem__(self, spec: WindowSpec) -> Batch:
        recording, input_spec = self.labelled[spec.recording], self.input_spec
        if recording.features is not None:  # computed from the picture as it was
            spec = dataclasses.replace(spec, mirrored=False)
        first, last = max(spec.first, 0), min(spec.last, recording.n_frames - 1)
        # Everything random in the window comes from its own seed, whichever process makes it.
        rng = np.random.default_rng(spec.seed)
        at = spec.start + self._offsets(spec, rng) * spec.speed
        # Beyond the ends, the nearest frame is shown, and its label does not count.
        nearest = np.round(at).astype(np.int64)
        valid = (nearest >= first) & (nearest <= last)
        frames = np.clip(nearest, first, last)
        labels = np.where(valid, recording.recording.labels[frames], UNLABELED)
        item: Batch = {
            "labels": torch.from_numpy(labels.astype(np.int64)),
            "valid": torch.from_numpy(valid),
            "mirrored": torch.tensor(spec.mirrored),
            "seed": torch.tensor(spec.seed or 0),
        }
        if recording.features is not None:
            features = recording.features[frames].astype(np.float32)
            item["features"] = torch.from_numpy(features)
        elif input_spec.visual is not None and recording.video is not None:
            halo = input_spec.visual
            with_halo = _with_halo(at, halo.before, halo.after, spec.speed)
            frames = np.clip(np.round(with_halo).astype(np.int64), first, last)
            item["frames"] = torch.from_numpy(recording.video.pictures(frames))
            item["crop_centers"] = torch.from_numpy(recording.video.centers[frames])
        if input_spec.pose is not None or input_spec.points:
            item |= self._pose(recording, spec, at, first, last, rng)
        return item

    def _offsets(self, spec: WindowSpec, rng: np.random.Generator) -> np.ndarray:
        """Offsets of the frames from the start of the window; some repeat the one before."""
        offsets = np.arange(0, self.length, self.input_spec.step)
        if self.augment is None or spec.seed is None or self.input_spec.step > 1:
            return offsets
        if self.augment.aug_temporal_drop:
            dropped = rng.random(len(offsets)) < self.augment.aug_temporal_drop
            dropped[0] = False
            offsets = np.maximum.accumulate(np.where(dropped, 0, offsets))
        return offsets

    def _pose(
        self,
        recording: LabelledRecording,
        spec: WindowSpec,
        at: np.ndarray,
        first: int,
        last: int,
        rng: np.random.Generator,
    ) -> Batch:
        """What the item holds of the pose, for frames at `at` `(time,)`."""
        input_spec, track = self.input_spec, recording.track
        halo = input_spec.pose or Halo()
        # Pose features look at consecutive frames, even if a window holds only every n-th.
        consecutive = spec.start + np.arange(self.length) * spec.speed
        at_pose = consecutive if input_spec.step > 1 else at
        with_halo = _with_halo(at_pose, halo.before + REACH, halo.after + REACH, spec.speed)
        points, since_seen = self._points(track, with_halo, first, last)
        item: Batch = {}
        if input_spec.points:
            inner = slice(halo.before + REACH, halo.before + REACH + self.length)
            in_crop = _crop_points(points[inner, 0], recording.video, at, first, last)
            if spec.mirrored:
                in_crop = in_crop[:, mirrored_order(input_spec.skeleton.keypoints)]
            item["points"] = torch.from_numpy(np.ascontiguousarray(in_crop))
        if track is not None:
            points, since_seen, hidden = self._augmented(track, points, since_seen, spec, rng)
        else:
            hidden = np.zeros(points.shape[1:3], bool)
        if input_spec.points:
            item["hidden"] = torch.from_numpy(hidden[0])
        if input_spec.pose is not None:
            features = self._features(track, points, since_seen, len(with_halo) - 2 * REACH)
            features = features[:: input_spec.step]
            nearest = np.round(with_halo[REACH : len(with_halo) - REACH])
            inside = ((nearest >= first) & (nearest <= last))[:: input_spec.step]
            item["pose"] = torch.from_numpy(np.ascontiguousarray(features))
            item["inside"] = torch.from_numpy(inside)
        return item

    def _augmented(
        self,
        track: PoseTrack,
        points: np.ndarray,
        since_seen: np.ndarray,
        spec: WindowSpec,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points, times since they were seen, and which are hidden `(animal, keypoint)`."""
        if self.augment is None or spec.seed is None:
            return points, since_seen, np.zeros(points.shape[1:3], bool)
        points, hidden = _disturbed(points, track, self.augment, spec.mirrored, rng)
        if spec.mirrored:
            since_seen = since_seen[..., mirrored_order(track.names)]
        return points, np.where(hidden, np.inf, since_seen), hidden

    def _points(
        self, track: PoseTrack | None, at: np.ndarray, first: int, last: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points and the time since each was seen (`PoseTrack.at`); all missing without a pose."""
        if track is not None:
            return track.at(at, first, last)
        skeleton = self.input_spec.skeleton
        shape = (len(at), skeleton.animals, len(skeleton.keypoints))
        return np.full((*shape, 2), np.nan, np.float32), np.full(shape, np.inf, np.float32)

    def _features(
        self, track: PoseTrack | None, points: np.ndarray, since_seen: np.ndarray, n_frames: int
    ) -> np.ndarray:
        if track is None:
            return np.full((n_frames, self.input_spec.n_features), np.nan, np.float32)
        return self.input_spec.features_of(track, points, since_seen.astype(np.float32))


def pose_statistics(windows: Windows, stretch: int = 2000) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation `(features,)` of the known pose features in training.

    Of each recording, every fourth stretch of `stretch` frames is used.
    """
    input_spec = windows.input_spec
    stretches = []
    for recording in windows.labelled:
        track = recording.track
        if track is None:
            continue
        for start in range(0, recording.n_frames, 4 * stretch):
            stop = min(start + stretch, recording.n_frames)
            points, since_seen = track.at(
                np.arange(start - REACH, stop + REACH), 0, recording.n_frames - 1
            )
            stretches.append(input_spec.features_of(track, points, since_seen))
    features = np.concatenate(stretches)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature that is never known has no mean
        mean, std = np.nanmean(features, 0), np.nanstd(features, 0)
    return torch.from_numpy(mean), torch.from_numpy(std)


def _disturbed(
    points: np.ndarray,
    track: PoseTrack,
    augment: AugmentConfig,
    mirrored: bool,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Points as another day, another tracker or a mirror would show them.

    The second result `(animal, keypoint)` says which are hidden.
    """
    animals, keypoints = points.shape[1:3]
    # A constant offset per keypoint and window: another tracker puts its points elsewhere on the
    # body, but does not tremble from frame to frame.
    offset = rng.normal(0, augment.kp_jitter_std * track.length_px, (animals, keypoints, 2))
    hidden = rng.random((animals, keypoints)) < augment.kp_hide
    # Trackers also lose a whole animal at times.
    if animals > 1 and rng.random() < augment.kp_hide:
        hidden[rng.integers(animals)] = True
    points = points + offset.astype(np.float32)
    if mirrored:
        points = points[:, :, mirrored_order(track.names)] * np.array([-1, 1], np.float32)
    return np.where(hidden[..., None], np.float32(np.nan), points), hidden


def _crop_points(
    points: np.ndarray, video: CachedVideo | None, at: np.ndarray, first: int, last: int
) -> np.ndarray:
    if video is None:
        return np.full(points.shape, np.nan, np.float32)
    frames = np.clip(np.round(at).astype(np.int64), first, last)
    return crop_points(points, video.centers[frames], video.angles_rad[frames], video.side_px)


def _with_halo(at: np.ndarray, before: int, after: int, speed: float) -> np.ndarray:
    """Positions `(time,)` extended before and after, in equal steps."""
    head = at[0] - speed * np.arange(before, 0, -1)
    tail = at[-1] + speed * np.arange(1, after + 1)
    return np.concatenate([head, at, tail])
