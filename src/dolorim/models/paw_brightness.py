"""How bright the paws are from below: a paw that bears weight is bright."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

_SPOT = 0.06  # side of the spot that counts as a paw, in sides of the crop
_SAMPLES = 5  # per side of the spot; sampling it is cheaper than blurring the whole picture
_DARK = 16.0 / 255  # luma added before the logarithm, so that noise in the dark is no signal


class PawBrightness(nn.Module):
    """Brightness at the keypoints: `(batch, time, 2 * keypoints)`. Has nothing to learn.

    Takes frames `(batch, time, height, width)` and points `(batch, time, keypoint, 2)`. For each
    keypoint there are the log of its brightness over that of all keypoints of the frame, 0 where
    the point is missing, and whether it is there. Windows shown as a `negative` `(batch,)` are read
    as the picture that they are a negative of, so that bright still means weight.
    """

    def __init__(self, n_keypoints: int) -> None:
        super().__init__()
        self.width = 2 * n_keypoints

    def forward(
        self, frames: torch.Tensor, points: torch.Tensor, negative: torch.Tensor | None = None
    ) -> torch.Tensor:
        known = ~points.isnan().any(-1)
        pictures = frames.flatten(0, 1)[:, None]
        step = torch.linspace(-_SPOT, _SPOT, _SAMPLES, device=frames.device, dtype=frames.dtype)
        around = torch.stack(torch.meshgrid(step, step, indexing="xy"), -1).flatten(0, 1)
        places = points.nan_to_num(0.0).flatten(0, 1)[:, :, None].to(frames.dtype) + around
        samples = F.grid_sample(pictures, places, padding_mode="border", align_corners=False)
        brightness = samples[:, 0].mean(-1).view(known.shape)
        if negative is not None:
            brightness = torch.where(negative[:, None, None], 1 - brightness, brightness)
        log = (brightness + _DARK).log()
        n_known = known.sum(-1, keepdim=True).clamp(min=1)
        mean = (log * known).sum(-1, keepdim=True) / n_known
        return torch.cat([(log - mean) * known, known.to(log.dtype)], -1)
