"""Random changes to a batch of windows, on the device that holds it.

A window is changed in the same way in all its frames.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from dolorim.config import AugmentConfig, Config
from dolorim.core.mirror import without_partner
from dolorim.dataset.windows import Batch

_TURN_OF_ALIGNED = 20 / 360  # of a full turn: how far the heading of a pose may be off


def settle(
    config: Config, classes: Sequence[str], keypoints: Sequence[str]
) -> tuple[AugmentConfig, list[str]]:
    """The random changes that fit the other settings and the names, and messages about them.

    Windows that `--align heading` has turned upright are turned by only a few degrees. Nothing is
    mirrored if a class or a keypoint names a side and the other side has no name, because its
    mirror image would get a wrong name.
    """
    settled, messages = config.augment, []
    if config.data.align == "heading":
        settled = dataclasses.replace(settled, aug_rotate=settled.aug_rotate * _TURN_OF_ALIGNED)
    alone = [*without_partner(classes), *without_partner(keypoints)]
    if alone and settled.aug_flip:
        settled = dataclasses.replace(settled, aug_flip=0.0)
        messages.append(
            f"no window is mirrored: {', '.join(alone)} name a side, "
            "and nothing is called the other one"
        )
    return settled, messages


def augment(
    batch: Batch,
    config: AugmentConfig,
    mirrored: Sequence[int],
    side: int | None = None,
    share: float = 1.0,
) -> Batch:
    """A changed copy of a batch; `frames` `(batch, time, size, size)` become float32 from 0 to 1.

    Turning, mirroring, scaling and shifting move pixels, crop centers and points together.
    `mirrored` `(classes,)` says what each class becomes in a mirrored window. The result has
    `negative` `(batch,)`, which says which windows became photographic negatives. Its
    frames are `side` pixels wide, where that is given, and show the middle `share` of the old ones.
    """
    flip, labels = batch["mirrored"], batch["labels"]
    exchange = torch.as_tensor(mirrored, device=labels.device)
    labels = torch.where(flip[:, None] & (labels >= 0), exchange[labels.clamp(min=0)], labels)
    if "frames" not in batch:
        return {**batch, "labels": labels}
    frames, centers = batch["frames"].float() / 255, batch["crop_centers"]
    draw = _Draw(batch["seed"].tolist(), frames.device)
    turn = 2 * math.pi * draw.uniform(-0.5, 0.5) * config.aug_rotate
    # Uniform on the log scale, so that larger and smaller are equally likely.
    scale = share * torch.exp(draw.uniform(-1, 1) * config.aug_scale)
    flipped = torch.where(flip, -1.0, 1.0)
    cos, sin = torch.cos(turn), torch.sin(turn)
    shift = config.aug_shift * torch.stack([draw.uniform(-1, 1), draw.uniform(-1, 1)], 1)
    # The matrix that tells where an output pixel comes from: turned by -turn, then mirrored.
    entries = [scale * flipped * cos, -scale * sin, scale * flipped * sin, scale * cos]
    back = torch.stack(entries, 1).view(-1, 2, 2)
    theta = torch.cat([back, shift[..., None]], 2)
    side = frames.shape[-1] if side is None else side
    grid = F.affine_grid(theta, [*frames.shape[:2], side, side], align_corners=False)
    frames = F.grid_sample(frames, grid, padding_mode="border", align_corners=False)
    centers = centers @ torch.linalg.inv(back).transpose(1, 2)
    frames, negative = _photometric(frames, config, draw)
    moved = {"frames": frames, "crop_centers": centers, "labels": labels, "negative": negative}
    if "points" in batch:
        away = batch["points"] - shift[:, None, None]
        moved["points"] = away @ torch.linalg.inv(back).transpose(1, 2)[:, None]
    return {**batch, **moved}


def _photometric(
    frames: torch.Tensor, config: AugmentConfig, draw: _Draw
) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames in another light, and which windows are negatives.

    The negative is made last, so that 1 minus the frames is exactly the picture that it shows.
    """

    def column(values: torch.Tensor) -> torch.Tensor:
        return values[:, None, None, None]

    negative = draw.chance(config.aug_invert)
    # Gamma comes first, while all values are between 0 and 1.
    frames = frames.clamp(1e-3, 1) ** column(torch.exp(draw.uniform(-1, 1) * config.aug_gamma))
    contrast = column(torch.exp(draw.uniform(-1, 1) * config.aug_contrast))
    frames = (frames - 0.5) * contrast + 0.5 + column(draw.uniform(-1, 1) * config.aug_brightness)
    if config.aug_noise:
        frames = frames + draw.normal(frames.shape) * column(draw.uniform(0, 1) * config.aug_noise)
    frames = frames.clamp(0, 1)
    return torch.where(column(negative), 1 - frames, frames), negative


class _Draw:
    """One random number per window, from the window's own seed.

    A window is thus changed in the same way no matter which batch it is in.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._device, self._seeds = device, seeds
        self._rngs = [np.random.default_rng(seed) for seed in seeds]

    def uniform(self, low: float, high: float) -> torch.Tensor:
        drawn = [low + (high - low) * rng.random() for rng in self._rngs]
        return torch.tensor(drawn, dtype=torch.float32, device=self._device)

    def chance(self, share: float) -> torch.Tensor:
        return self.uniform(0, 1) < share

    def normal(self, shape: torch.Size) -> torch.Tensor:
        generators = [torch.Generator(self._device).manual_seed(seed) for seed in self._seeds]
        return torch.stack(
            [torch.randn(shape[1:], generator=g, device=self._device) for g in generators]
        )
