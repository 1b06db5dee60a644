"""Which single frames the keypoint head is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from dolorim.config import AugmentConfig, TrainConfig
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.dataset.sampling import BoutSampler, WindowSpec, own_draws


class KeypointFrames(Sampler[WindowSpec]):
    """Draws `kp_frames` windows of one frame per training step, from all tracked frames alike.

    A window of many frames shows one scene, and a head that sees few scenes per step only learns
    the mean position of each keypoint. What an epoch draws depends only on the seed and the epoch,
    and processes that train together share the frames out, as they do with the `windows` from which
    the same steps learn behaviors.
    """

    def __init__(
        self,
        labelled: Sequence[LabelledRecording],
        settings: TrainConfig,
        augment: AugmentConfig,
        windows: BoutSampler,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        tracked = [_tracked_frames(f) for f in labelled]
        self._recordings = np.repeat(np.arange(len(tracked)), [len(frames) for frames in tracked])
        self._frames = np.concatenate([*tracked, np.empty(0, np.int64)])
        self._settings, self._augment, self._windows = settings, augment, windows
        self.rank, self.world_size = rank, world_size
        self.epoch = 0

    @property
    def n_tracked(self) -> int:
        """The number of frames to draw from."""
        return len(self._frames)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        steps = -(-len(self._windows) // self._settings.batch_size)
        return steps * self._settings.kp_frames

    def __iter__(self) -> Iterator[WindowSpec]:
        # The 1 makes the random numbers differ from those of the windows.
        rng = np.random.default_rng([self._settings.seed, self.epoch, 1])
        return own_draws(lambda: self._draw(rng), len(self), self.rank, self.world_size)

    def _draw(self, rng: np.random.Generator) -> WindowSpec:
        at = int(rng.integers(self.n_tracked))
        mirrored = bool(rng.random() < self._augment.aug_flip)
        seed = int(rng.integers(1 << 31))
        recording, frame = int(self._recordings[at]), float(self._frames[at])
        return WindowSpec(recording, frame, mirrored=mirrored, seed=seed)


def _tracked_frames(labelled: LabelledRecording) -> np.ndarray:
    """Frames `(n,)` in which the tracker found a keypoint; none for a recording without video."""
    if labelled.video is None or labelled.track is None:
        return np.empty(0, np.int64)
    has_keypoint = np.isfinite(labelled.track.points[:, 0]).all(-1).any(-1)
    return np.flatnonzero(has_keypoint)
