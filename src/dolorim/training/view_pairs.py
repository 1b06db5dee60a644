"""Pairs of views: two moments of a video, close together, each shown in a way of its own.

What both have in common is what the animal does; what differs is heading, place, size and light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dolorim.config import AugmentConfig
from dolorim.dataset.augmentation import augment
from dolorim.models.frame_encoder import SIDE_PX, seen_window, shrunk, window_share
from dolorim.video.cache import CachedVideo

_VIEWS = AugmentConfig(aug_shift=0.1, aug_scale=0.2)  # light, rotation and the rest as in training


@dataclass(frozen=True)
class ViewPairs:
    """Batches of views from cached videos, `crop_scale` body lengths wide.

    Every video is drawn equally often. A view has `reach` frames of context to either side; the
    moments of a pair are at most `within` frames apart. A batch follows from `seed` and its number
    alone, so an interrupted training sees the same ones.
    """

    videos: Sequence[CachedVideo]
    crop_scale: float
    reach: int
    within: int
    seed: int

    def draw(self, number: int, pairs: int) -> torch.Tensor:
        """Views `(2 * pairs, frames, side, side)`; view `i` belongs to view `pairs + i`."""
        rng = np.random.default_rng([self.seed, number])
        chosen = [self.videos[i] for i in rng.integers(len(self.videos), size=pairs)]
        first = [int(rng.integers(video.n_frames)) for video in chosen]
        apart = rng.integers(-self.within, self.within + 1, size=pairs).tolist()
        second = [moment + step for moment, step in zip(first, apart, strict=True)]
        windows = [*map(self._window, chosen, first), *map(self._window, chosen, second)]
        return self._changed(torch.from_numpy(np.stack(windows)), rng)

    def plain(self, number: int, windows: int) -> torch.Tensor:
        """Windows `(windows, frames, side, side)` as prediction will see them, unchanged."""
        rng = np.random.default_rng([self.seed, number])
        chosen = [self.videos[i] for i in rng.integers(len(self.videos), size=windows)]
        images = [self._window(video, int(rng.integers(video.n_frames))) for video in chosen]
        return seen_window(torch.from_numpy(np.stack(images)).float() / 255, self.crop_scale)

    def _window(self, video: CachedVideo, moment: int) -> np.ndarray:
        """Frames around a moment `(1 + 2 * reach, size, size)`, the outermost ones repeated."""
        moment = min(max(moment, 0), video.n_frames - 1)
        frames = np.arange(moment - self.reach, moment + self.reach + 1)
        return video.pictures(frames.clip(0, video.n_frames - 1))

    def _changed(self, images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        n = len(images)
        batch = {
            "frames": shrunk(images.float(), self.crop_scale),
            "crop_centers": torch.zeros(n, images.shape[1], 2),
            "labels": torch.full((n, 1), -1),
            "mirrored": torch.from_numpy(rng.random(n) < _VIEWS.aug_flip),
            "seed": torch.from_numpy(rng.integers(2**31, size=n)),
        }
        share = window_share(self.crop_scale)
        changed: torch.Tensor = augment(batch, _VIEWS, [0], SIDE_PX, share)["frames"]
        return changed
