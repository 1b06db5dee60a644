"""Heads: features `(batch, time, width)` to the output of a task."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

# Cells along a side: maps with fewer are enlarged before keypoints are located in them.
_FINE = 20


class ActionHead(nn.Module):
    """A decision for every frame: `(batch, time, width)` -> logits `(batch, time, classes)`."""

    def __init__(self, width: int, hidden: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, n_classes)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layers(features)


class Keypoints(NamedTuple):
    """Keypoints found in the crop.

    - `places` `(batch, time, keypoint, 2)` are x, y from -1 to 1, as `grid_sample` counts them (-1
      is the outer edge of the first pixel),
    - `visibility` `(batch, time, keypoint)` are logits,
    - `heat` `(batch, time, keypoint, rows, columns)` are the logits of the heat maps; a place is
      the mean of its heat map.
    """

    places: torch.Tensor
    visibility: torch.Tensor
    heat: torch.Tensor


class SpatialKeypointHead(nn.Module):
    """Keypoints from maps `(batch, time, channels, height, width)`.

    Pooled features would not do: they have lost most of what says *where*. A keypoint's coordinates
    are the mean position under its heat map (integral regression, Sun et al. 2018,
    arXiv:1711.08229), so they are finer than the map's cells; whether it is visible is read from
    the features at that place. Needs the maps that an encoder returns with `maps`, and cannot point
    outside of the crop.
    """

    def __init__(self, channels: int, hidden: int, n_keypoints: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.GroupNorm(1, hidden), nn.ReLU()
        )
        self.look = nn.Sequential(nn.Conv2d(hidden, hidden, 3, padding=1), nn.ReLU())
        self.heat = nn.Conv2d(hidden, n_keypoints, 1)
        self.visible = nn.Parameter(torch.zeros(n_keypoints, hidden + 1))

    def forward(self, maps: torch.Tensor) -> Keypoints:
        batch, time = maps.shape[:2]
        features = self.reduce(maps.flatten(0, 1))
        if min(features.shape[2:]) < _FINE:
            features = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
        features = self.look(features)
        heat = self.heat(features).float()
        share = heat.flatten(2).softmax(-1).view_as(heat)
        y, x = (cell_centers(n, heat.device) for n in heat.shape[2:])
        places = torch.stack([(share.sum(2) * x).sum(-1), (share.sum(3) * y).sum(-1)], -1)
        # Features under each heat map, weighted to a logit of visibility, plus a bias.
        there = torch.einsum("nkhw,nchw->nkc", share, features.float())
        visibility = (there * self.visible[:, :-1]).sum(-1) + self.visible[:, -1]
        by_frame = (value.unflatten(0, (batch, time)) for value in (places, visibility, heat))
        return Keypoints(*by_frame)


def cell_centers(n: int, device: torch.device) -> torch.Tensor:
    """The centers of `n` cells along a side of the crop, from -1 to 1: `(n,)`."""
    return torch.arange(n, device=device) * (2 / n) + (1 / n - 1)
