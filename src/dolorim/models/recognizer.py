"""The one model: streams that see, joined and read by heads."""

from __future__ import annotations

import torch
from torch import nn

from dolorim.models.cnn3d import Cnn3d
from dolorim.models.heads import ActionHead


class Recognizer(nn.Module):
    """A visual stream and an action head. `encode` sees, `read` decides; what lies between can be stored."""

    def __init__(self, visual: Cnn3d, action: ActionHead) -> None:
        super().__init__()
        self.visual, self.action = visual, action

    def forward(self, frames: torch.Tensor, track: torch.Tensor | None = None, *, halo: bool = False) -> torch.Tensor:
        """Frames `(batch, 1, time, height, width)` from 0 to 1 -> logits `(batch, time, classes)`.

        `track` `(batch, time, 2)` are the crop's centers in sides of the crop. With `halo=True` the frames carry the
        context that the first and the last decision need; without it the outermost frames are repeated.
        """
        return self.read(self.encode(frames, track, halo=halo))

    def encode(self, frames: torch.Tensor, track: torch.Tensor | None = None, *, halo: bool = False) -> torch.Tensor:
        """Frames to features `(batch, time, width)`."""
        return self.visual(frames, track, halo=halo)

    def read(self, features: torch.Tensor) -> torch.Tensor:
        """Features to logits."""
        return self.action(features)
