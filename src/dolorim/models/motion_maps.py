"""The input of the 3D CNN: pictures of shape and motion without coat color, light and contrast.

With few animals, a network on raw pixels learns coats and corners. Differences of log luma, in
units of the animal's own contrast, look alike for a black mouse on a light floor and for bright
paws in the dark.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

LAGS = (1, 2, 4)  # frames; a map of motion compares frames at this distance to either side
_DARK = 16.0 / 255  # luma added before the logarithm, so that noise in the dark is no motion
MOST_MOTION = 3.0  # largest value of a map of motion, in units of the contrast
_QUIET = 0.08  # changes below this share of the contrast are noise
_LEAST_CONTRAST = 0.05  # log units
_MIDDLE = 0.4  # half sides; standard deviation of the weights around the middle of the crop


@dataclass(frozen=True)
class Maps:
    """Maps of a stretch of video, `(batch, time, height, width)`.

    `picture` is log luma over contrast, for all frames; `motion` (one per lag) and `flicker` lack
    `reach` frames at either end.
    """

    picture: torch.Tensor
    motion: tuple[torch.Tensor, ...]
    flicker: torch.Tensor
    reach: int

    @property
    def inner_picture(self) -> torch.Tensor:
        """The picture at the frames that the motion maps have."""
        return self.picture[:, self.reach : self.picture.shape[1] - self.reach]


class MotionMaps(nn.Module):
    """Frames `(batch, time, height, width)` from 0 to 1 to `Maps`. Has nothing to learn.

    Every frame is scaled by its own contrast alone, so its maps do not depend on how long the
    stretch is.
    """

    def __init__(self, lags: tuple[int, ...]) -> None:
        super().__init__()
        self.lags = lags
        self.reach = max(lags, default=0)

    def forward(self, frames: torch.Tensor) -> Maps:
        log = torch.log(frames + _DARK)
        log = log - log.mean((2, 3), keepdim=True)
        weight = _middle_weights(log.shape[2], log.shape[3], log.device, log.dtype)
        spread = torch.einsum("bthw,hw->bt", log * log, weight).sqrt()
        contrast = spread[..., None, None] + _LEAST_CONTRAST
        inner = slice(self.reach, log.shape[1] - self.reach)
        share = 1 / contrast[:, inner]

        def at(offset: int) -> torch.Tensor:
            return log[:, inner.start + offset : inner.stop + offset]

        def visible(change: torch.Tensor) -> torch.Tensor:
            # In place, because these maps are the largest tensors of the network.
            return change.abs_().mul_(share).sub_(_QUIET).clamp_(0.0, MOST_MOTION)

        motion = tuple(visible(at(lag) - at(-lag)) for lag in self.lags)
        if self.lags:
            flicker = visible(at(1) - 2 * at(0) + at(-1))
        else:
            flicker = torch.zeros_like(log[:, inner])
        return Maps(log / contrast, motion, flicker, self.reach)


def lags_within(clip_length: int) -> tuple[int, ...]:
    """The lags that a clip of this many frames has room for."""
    return tuple(lag for lag in LAGS if 2 * lag < clip_length)


def _middle_weights(
    height: int, width: int, device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    """Weights `(height, width)` that sum to 1, largest in the middle, where the animal is."""
    y = torch.linspace(-1, 1, height, device=device, dtype=dtype)
    x = torch.linspace(-1, 1, width, device=device, dtype=dtype)
    weight = torch.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * _MIDDLE**2))
    return weight / weight.sum()
