"""Context over time: dilated convolutions, as MS-TCN++ has them (Li et al. 2020, arXiv:2006.09220)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

_KERNEL = 3  # frames


class Tcn(nn.Module):
    """`(batch, time, width_in)` and `valid (batch, time)` -> `(batch, time, hidden_dim)`.

    A layer looks 2^i and 2^(layers - 1 - i) frames to either side; `stages` such stacks follow one another. Where
    `valid` is False (padding, or beyond the video) every layer sees zeros, as it does outside of what it is given. So
    padding changes nothing, and the frames of a chunk that has `before` and `after` frames of true context around
    them come out as in one pass over the whole. With `causal` a frame depends on no later one.
    """

    def __init__(
        self,
        width_in: int,
        hidden_dim: int,
        layers: int,
        dropout: float,
        causal: bool = False,
        stages: int = 1,
    ) -> None:
        super().__init__()
        self.start = nn.Sequential(nn.LayerNorm(width_in), nn.Linear(width_in, hidden_dim))
        self.layers = nn.ModuleList(
            DualDilatedLayer(hidden_dim, 2**i, 2 ** (layers - 1 - i), dropout, causal)
            for _ in range(stages)
            for i in range(layers)
        )
        reach = stages * sum(2 ** max(i, layers - 1 - i) for i in range(layers))
        self.before, self.after = reach + reach * causal, reach * (not causal)

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


class Refinement(nn.Module):
    """Logits `(batch, time, classes)` -> logits of all stages `(1 + stages, batch, time, classes)`, the last the best.

    Each stage reads the probabilities of the one before. The loss is summed over the first axis; a decision is `[-1]`.
    It sees `before` and `after` frames around, on top of what the logits have seen; with `causal`, none after.
    """

    def __init__(
        self,
        n_classes: int,
        hidden_dim: int,
        layers: int,
        dropout: float,
        stages: int,
        causal: bool = False,
    ) -> None:
        super().__init__()
        tcns = [Tcn(n_classes, hidden_dim, layers, dropout, causal) for _ in range(stages)]
        self.before, self.after = (
            sum(getattr(tcn, side) for tcn in tcns) for side in ("before", "after")
        )
        self.tcns = nn.ModuleList(tcns)
        self.decide = nn.ModuleList(nn.Linear(hidden_dim, n_classes) for _ in range(stages))

    def forward(self, logits: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
        found = [logits]
        for tcn, decide in zip(self.tcns, self.decide, strict=True):
            found.append(decide(tcn(found[-1].softmax(-1), valid)))
        return torch.stack(found)


class DualDilatedLayer(nn.Module):
    """Residual layer on `(batch, width, time)` that looks near and far at the same time."""

    def __init__(self, width: int, near: int, far: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.dilations = nn.ModuleList(
            nn.Conv1d(width, width, _KERNEL, dilation=d) for d in (near, far)
        )
        self.pads = [((_KERNEL - 1) * d, 0) if causal else (d, d) for d in (near, far)]
        self.fuse = nn.Sequential(nn.Conv1d(2 * width, width, 1), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = [look(F.pad(x, pad)) for look, pad in zip(self.dilations, self.pads, strict=True)]
        return x + self.fuse(torch.cat(seen, 1))


def _channel_mask(valid: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    return x.new_ones(()) if valid is None else valid[:, None].to(x.dtype)
