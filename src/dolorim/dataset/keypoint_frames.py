"""Which single frames keypoints are learned from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from dolorim.config import AugmentConfig, TrainConfig
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.dataset.sampling import BoutSampler, WindowSpec


class KeypointFrames(Sampler[WindowSpec]):
    """Draws `kp_frames` windows of one frame per training step, every tracked frame of all recordings equally often.

    A window of many frames shows one scene; a head that sees few scenes per step does not get beyond the mean place of
    each keypoint. What an epoch draws depends on the seed and the epoch alone, and processes that train together take
    turns, as they do with the `windows` that the same steps learn behaviors from.
    """

    def __init__(
        self,
        footage: Sequence[LabelledRecording],
        settings: TrainConfig,
        augment: AugmentConfig,
        windows: BoutSampler,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        found = [_tracked(f) for f in footage]
        self._recordings = np.repeat(np.arange(len(found)), [len(frames) for frames in found])
        self._frames = np.concatenate([*found, np.empty(0, np.int64)])
        self._settings, self._augment, self._windows = settings, augment, windows
        self.rank, self.world_size = rank, world_size
        self.epoch = 0

    @property
    def n_tracked(self) -> int:
        """Frames that there are to draw from."""
        return len(self._frames)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        steps = -(-len(self._windows) // self._settings.batch_size)
        return steps * self._settings.kp_frames

    def __iter__(self) -> Iterator[WindowSpec]:
        rng = np.random.default_rng(
            [self._settings.seed, self.epoch, 1]
        )  # 1: other numbers than the windows'
        everybodys = (self._draw(rng) for _ in range(len(self) * self.world_size))
        return itertools.islice(everybodys, self.rank, None, self.world_size)

    def _draw(self, rng: np.random.Generator) -> WindowSpec:
        at = int(rng.integers(self.n_tracked))
        mirrored, seed = bool(rng.random() < self._augment.aug_flip), int(rng.integers(1 << 31))
        return WindowSpec(
            int(self._recordings[at]), float(self._frames[at]), mirrored=mirrored, seed=seed
        )


def _tracked(footage: LabelledRecording) -> np.ndarray:
    """Frames `(n,)` of a recording on which the tracker has seen a keypoint; none without a picture to find it in."""
    if footage.video is None or footage.track is None:
        return np.empty(0, np.int64)
    seen = np.isfinite(footage.track.points[:, 0]).all(-1).any(-1)
    return np.flatnonzero(seen)
