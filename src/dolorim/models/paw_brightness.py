"""How bright the paws are from below: what bears weight lies on the glass and is bright."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

_SPOT = 0.06  # side of the spot that counts as a paw, in sides of the crop
_SAMPLES = (
    5  # a side: the spot is looked at in so many places, not all of the picture blurred for it
)
_DARK = 16.0 / 255  # luma added before the logarithm: noise in the dark is no signal


class PawBrightness(nn.Module):
    """Frames `(batch, time, height, width)` and points `(batch, time, keypoint, 2)` -> `(batch, time, 2 keypoints)`.

    For each keypoint the log of its brightness over that of all keypoints of the frame, 0 where the point is missing,
    and whether it is there. Windows that are shown as a `negative` `(batch,)` are read as the picture that they are a
    negative of: bright still means weight. Has nothing to learn.
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
        seen = F.grid_sample(pictures, places, padding_mode="border", align_corners=False)[
            :, 0
        ].mean(-1)
        seen = seen.view(known.shape)
        if negative is not None:
            seen = torch.where(negative[:, None, None], 1 - seen, seen)
        log = (seen + _DARK).log()
        usual = (log * known).sum(-1, keepdim=True) / known.sum(-1, keepdim=True).clamp(min=1)
        return torch.cat([(log - usual) * known, known.to(log.dtype)], -1)
