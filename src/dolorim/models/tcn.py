"""Context over time: dilated convolutions as in MS-TCN++ (Li et al. 2020, arXiv:2006.09220)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

_KERNEL = 3  # frames


class Tcn(nn.Module):
    """`(batch, time, width_in)` and `valid (batch, time)` -> `(batch, time, hidden_dim)`.

    Layer i looks 2^i and 2^(layers - 1 - i) frames to either side. Where `valid` is False (padding,
    or beyond the video) every layer sees zeros, as it does beyond the ends of its input. So padding
    changes nothing, and the frames of a chunk with `before` and `after` frames of true context
    around them come out as in one pass over the whole recording. With `causal` a frame depends on
    no later one.
    """

    def __init__(
        self,
        width_in: int,
        hidden_dim: int,
        layers: int,
        dropout: float,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.start = nn.Sequential(nn.LayerNorm(width_in), nn.Linear(width_in, hidden_dim))
        near = [2**i for i in range(layers)]
        dilations = list(zip(near, reversed(near), strict=True))
        self.layers = nn.ModuleList(
            DualDilatedLayer(hidden_dim, one, two, dropout, causal) for one, two in dilations
        )
        reach = sum(max(pair) for pair in dilations)
        self.before = 2 * reach if causal else reach
        self.after = 0 if causal else reach

    @property
    def reach(self) -> int:
        """Frames of context, to either side, that a chunk needs."""
        return max(self.before, self.after)

    @property
    def receptive_field(self) -> int:
        """Frames that one output depends on."""
        return self.before + 1 + self.after

    def forward(self, features: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
        x = self.start(features).transpose(1, 2)
        mask = _channel_mask(valid, x)
        for layer in self.layers:
            x = layer(x * mask)
        return (x * mask).transpose(1, 2)


class DualDilatedLayer(nn.Module):
    """Residual layer on `(batch, width, time)` that looks near and far at the same time."""

    def __init__(self, width: int, near: int, far: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.dilations = nn.ModuleList(
            nn.Conv1d(width, width, _KERNEL, dilation=d) for d in (near, far)
        )
        # A causal layer is padded on the left only, so its kernel ends at the frame itself.
        self.pads = [((_KERNEL - 1) * d, 0) if causal else (d, d) for d in (near, far)]
        self.fuse = nn.Sequential(nn.Conv1d(2 * width, width, 1), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        near_and_far = [
            convolve(F.pad(x, pad)) for convolve, pad in zip(self.dilations, self.pads, strict=True)
        ]
        return x + self.fuse(torch.cat(near_and_far, 1))


def _channel_mask(valid: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    return x.new_ones(()) if valid is None else valid[:, None].to(x.dtype)
