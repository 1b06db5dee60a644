"""Training windows: stretches of a recording with a label for each frame and real context around them."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from dolorim.config import AugmentConfig
from dolorim.core.mirror import mirrored_order
from dolorim.dataset.labelled_recording import InputSpec, LabelledRecording, crop_points
from dolorim.dataset.sampling import WindowSpec
from dolorim.labels.ethogram import UNLABELED
from dolorim.pose.features import REACH
from dolorim.pose.pose_track import PoseTrack
from dolorim.video.cache import CachedVideo

Batch = dict[str, torch.Tensor]


class Windows(Dataset[Batch]):
    """Windows of `length` frames out of labelled recordings, by `WindowSpec`.

    An item holds `labels` `(length,)` int64, -1 where there is no label, `valid` `(length,)` bool, false beyond the
    recording, and what the network needs:

    - `frames` `(length + halo, size, size)` uint8 and `track` `(length + halo, 2)` float32 (window centers in units of
      the window's side); or `features` `(length, width)`, which stand for them,
    - `pose` `(length + halo, features)` float32, NaN where missing, and `inside` `(length + halo,)` bool,
    - `points` `(length, keypoint, 2)` float32, keypoints in the crop (`crop_points`), NaN where missing, and `hidden`
      `(keypoint,)` bool, those that the network is not shown.

    `seed` settles what is random in it, and `mirrored` says whether it is to be seen in a mirror. Its pose is already,
    and its points go by the names that they have in the mirror; where frames and points are is for `augment` to mirror.
    """

    def __init__(
        self,
        footage: Sequence[LabelledRecording],
        length: int,
        input_spec: InputSpec,
        augment: AugmentConfig | None = None,
    ) -> None:
        self.footage, self.length, self.input_spec, self.augment = (
            list(footage),
            length,
            input_spec,
            augment,
        )

    def __getitem__(self, spec: WindowSpec) -> Batch:
        footage, input_spec = self.footage[spec.recording], self.input_spec
        if footage.features is not None:  # of the picture as it was
            spec = dataclasses.replace(spec, mirrored=False)
        first, last = max(spec.first, 0), min(spec.last, footage.n_frames - 1)
        rng = np.random.default_rng(spec.seed)
        offsets = np.arange(0, self.length, input_spec.step)
        dropped = (
            0.0
            if self.augment is None or spec.seed is None or input_spec.step > 1
            else self.augment.aug_temporal_drop
        )
        if dropped:
            gone = rng.random(len(offsets)) < dropped
            gone[0] = False
            offsets = np.maximum.accumulate(np.where(gone, 0, offsets))
        at = spec.start + offsets * spec.speed
        whole = np.round(at).astype(np.int64)
        valid = (whole >= first) & (whole <= last)
        labels = np.where(valid, footage.recording.labels[np.clip(whole, first, last)], UNLABELED)
        item: Batch = {
            "labels": torch.from_numpy(labels.astype(np.int64)),
            "valid": torch.from_numpy(valid),
            "mirrored": torch.tensor(spec.mirrored),
            "seed": torch.tensor(spec.seed or 0),
        }
        if footage.features is not None:
            item["features"] = torch.from_numpy(
                footage.features[np.clip(whole, first, last)].astype(np.float32)
            )
        elif input_spec.visual is not None and footage.video is not None:
            halo = input_spec.visual
            places = _with_halo(at, halo.before, halo.after, spec.speed)
            frames = np.clip(np.round(places).astype(np.int64), first, last)
            item["frames"] = torch.from_numpy(_take(footage.video.images, frames))
            item["track"] = torch.from_numpy(footage.video.centers[frames])
        if input_spec.pose is not None or input_spec.points:
            item |= self._pose(footage, spec, at, first, last, rng)
        return item

    def _pose(
        self,
        footage: LabelledRecording,
        spec: WindowSpec,
        at: np.ndarray,
        first: int,
        last: int,
        rng: np.random.Generator,
    ) -> Batch:
        input_spec, track, skeleton = self.input_spec, footage.track, self.input_spec.skeleton
        before, after = (
            (0, 0) if input_spec.pose is None else (input_spec.pose.before, input_spec.pose.after)
        )
        whole = spec.start + np.arange(self.length) * spec.speed if input_spec.step > 1 else at
        places = _with_halo(whole, before + REACH, after + REACH, spec.speed)
        if track is None:
            shape = (len(places), skeleton.animals, len(skeleton.keypoints))
            points, since = (
                np.full((*shape, 2), np.nan, np.float32),
                np.full(shape, np.inf, np.float32),
            )
        else:
            points, since = track.at(places, first, last)
        inner = slice(before + REACH, before + REACH + self.length)
        item: Batch = {}
        if input_spec.points:
            places_in_crop = _crop_points(points[inner, 0], footage.video, at, first, last)
            order = mirrored_order(skeleton.keypoints) if spec.mirrored else slice(None)
            item["points"] = torch.from_numpy(np.ascontiguousarray(places_in_crop[:, order]))
        hidden = np.zeros(points.shape[1:3], bool)
        if self.augment is not None and spec.seed is not None and track is not None:
            points, hidden = _disturbed(points, track, self.augment, spec.mirrored, rng)
            since = np.where(
                hidden, np.inf, since[..., mirrored_order(track.names)] if spec.mirrored else since
            )
        if input_spec.pose is not None:
            found = (
                input_spec.features_of(track, points, since.astype(np.float32))
                if track is not None
                else np.full(
                    (self.length + before + after, input_spec.n_features), np.nan, np.float32
                )
            )
            inside = np.round(places[REACH : len(places) - REACH])
            item["pose"] = torch.from_numpy(np.ascontiguousarray(found[:: input_spec.step]))
            item["inside"] = torch.from_numpy(
                ((inside >= first) & (inside <= last))[:: input_spec.step]
            )
        if input_spec.points:
            item["hidden"] = torch.from_numpy(hidden[0])
        return item


def pose_statistics(windows: Windows, stretch: int = 2000) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation `(features,)` of the known pose features of the training recordings."""
    input_spec, found = windows.input_spec, []
    for footage in windows.footage:
        if footage.track is not None:
            for start in range(0, footage.n_frames, 4 * stretch):
                places = np.arange(start - REACH, min(start + stretch, footage.n_frames) + REACH)
                found.append(
                    input_spec.features_of(
                        footage.track, *footage.track.at(places, 0, footage.n_frames - 1)
                    )
                )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature that is never known has no mean
        known = np.concatenate(found)
        mean, std = np.nanmean(known, 0), np.nanstd(known, 0)
    return torch.from_numpy(mean), torch.from_numpy(std)


def _disturbed(
    points: np.ndarray,
    track: PoseTrack,
    augment: AugmentConfig,
    mirrored: bool,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Points as another day, another tracker or a mirror would show them, and which are hidden `(animal, keypoint)`."""
    animals, keypoints = points.shape[1:3]
    offset = rng.normal(0, augment.kp_jitter_std * track.length_px, (animals, keypoints, 2))
    hidden = rng.random((animals, keypoints)) < augment.kp_hide
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
    """Places `(time,)` with so many more before and after them, in equal steps."""
    head, tail = at[0] - speed * np.arange(before, 0, -1), at[-1] + speed * np.arange(1, after + 1)
    return np.concatenate([head, at, tail])


def _take(images: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Frames by index; one slice where they are neighbors, which reads a file several times faster."""
    low, high = int(frames.min()), int(frames.max()) + 1
    if high - low <= 2 * len(frames):
        return np.asarray(images[low:high])[frames - low]
    return images[frames]
