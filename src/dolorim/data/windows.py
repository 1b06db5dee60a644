"""Training windows: stretches of a cached video with a label for each frame and real context around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from dolorim.config import AugmentConfig
from dolorim.core.bouts import to_bouts
from dolorim.core.ethogram import UNLABELED
from dolorim.core.recording import Recording
from dolorim.data.cache import CachedVideo

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Halo:
    """Frames of context that a network needs before and after those that it decides on."""

    before: int
    after: int

    @classmethod
    def around(cls, clip_length: int) -> Halo:
        """The clip around frame t is `[t - clip_length // 2, t - clip_length // 2 + clip_length)`."""
        return cls(clip_length // 2, clip_length - 1 - clip_length // 2)


@dataclass(frozen=True)
class WindowSpec:
    """Which frames make a window: output frame i is frame `round(start + i * speed)` of the recording.

    Frames outside `[first, last]` are replaced by the nearest one inside, as at a recording's ends, and not scored.
    """

    recording: int
    start: float
    speed: float = 1.0
    first: int = 0
    last: int = 1 << 60


class Windows(Dataset[Batch]):
    """Windows of `length` frames out of labelled recordings, by `WindowSpec`.

    An item holds `frames` `(length + halo, size, size)` uint8, `track` `(length + halo, 2)` float32 (window centers in
    units of the window's side) and `labels` `(length,)` int64, -1 where there is no label.
    """

    def __init__(self, recordings: Sequence[Recording], videos: Sequence[CachedVideo], length: int, halo: Halo) -> None:
        self.recordings, self.videos = list(recordings), list(videos)
        self.length, self.halo = length, halo

    def __getitem__(self, spec: WindowSpec) -> Batch:
        video, labels = self.videos[spec.recording], self.recordings[spec.recording].labels
        offsets = np.arange(-self.halo.before, self.length + self.halo.after)
        wanted = np.round(spec.start + offsets * spec.speed).astype(np.int64)
        first, last = max(spec.first, 0), min(spec.last, video.n_frames - 1)
        frames = np.clip(wanted, first, last)
        inside = wanted[self.halo.before : self.halo.before + self.length]
        scored = (inside >= first) & (inside <= last)
        target = np.where(scored, labels[np.clip(inside, first, last)], UNLABELED)
        return {
            "frames": torch.from_numpy(_take(video.images, frames)),
            "track": torch.from_numpy(video.centers[frames]),
            "labels": torch.from_numpy(target.astype(np.int64)),
        }


class BoutSampler(Sampler[WindowSpec]):
    """Draws windows around random frames of random bouts: every bout, short or long, comes equally often.

    What an epoch draws depends on the seed, the epoch and the rank alone, so that a resumed run sees the same windows.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        length: int,
        augment: AugmentConfig,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        bouts = [(i, b) for i, r in enumerate(recordings) for b in to_bouts(r.labels)]
        self._bouts = np.array([(i, b.start, b.stop) for i, b in bouts], np.int64).reshape(-1, 3)
        self._ends = [r.n_frames - 1 for r in recordings]
        self._length, self._augment, self._seed = length, augment, seed
        self.rank, self.world_size = rank, world_size
        labelled = sum(int((r.labels >= 0).sum()) for r in recordings)
        self.windows_per_epoch = max(1, round(labelled / length))
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return (self.windows_per_epoch + self.world_size - 1) // self.world_size

    def __iter__(self) -> Iterator[WindowSpec]:
        rng = np.random.default_rng([self._seed, self.epoch, self.rank])
        return (self._draw(rng) for _ in range(len(self)))

    def _draw(self, rng: np.random.Generator) -> WindowSpec:
        recording, start, stop = self._bouts[rng.integers(len(self._bouts))].tolist()
        stretch = self._augment.aug_stretch
        speed = float(np.exp(rng.uniform(-stretch, stretch)))
        center = rng.integers(start, stop)
        spec_start = center - rng.integers(self._length) * speed
        if rng.random() >= self._augment.aug_border:
            return WindowSpec(recording, spec_start, speed)
        # Pretend that the recording begins or ends here: a frozen edge must not tell the class of short recordings.
        edge = (
            center - rng.integers(0, self._length + 8)
            if rng.random() < 0.5
            else center + rng.integers(self._length + 8)
        )
        edge = int(np.clip(edge, 0, self._ends[recording]))
        if edge <= center:
            return WindowSpec(recording, spec_start, speed, first=edge)
        return WindowSpec(recording, spec_start, speed, last=edge)


def dense_specs(recordings: Sequence[Recording], length: int) -> list[WindowSpec]:
    """Windows side by side that cover every labelled frame of every recording once."""
    specs = []
    for i, recording in enumerate(recordings):
        known = np.flatnonzero(recording.labels >= 0)
        covered = -1
        for frame in known.tolist():
            if frame > covered:
                specs.append(WindowSpec(i, float(frame)))
                covered = frame + length - 1
    return specs


def class_shares(windows: Windows, sampler: BoutSampler, n_classes: int, draws: int = 2000) -> np.ndarray:
    """Share of each class among the frames that the sampler draws, `(classes,)`, estimated from labels alone."""
    rng = np.random.default_rng(0)
    counts = np.zeros(n_classes)
    for _ in range(draws):
        spec = sampler._draw(rng)
        labels = windows.recordings[spec.recording].labels
        frames = np.round(spec.start + np.arange(windows.length) * spec.speed).astype(np.int64)
        frames = frames[(frames >= max(spec.first, 0)) & (frames <= min(spec.last, len(labels) - 1))]
        drawn = labels[frames]
        counts += np.bincount(drawn[drawn >= 0], minlength=n_classes)
    return counts / max(counts.sum(), 1)


def _take(images: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Frames by index; one slice where they are neighbors, which reads a file several times faster."""
    low, high = int(frames.min()), int(frames.max()) + 1
    if high - low <= 2 * len(frames):
        return np.asarray(images[low:high])[frames - low]
    return images[frames]
