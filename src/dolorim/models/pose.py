"""The pose stream: a frame's pose features, and what the frames around it add."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

HEADS = 4  # of the attention; the width is divided among them
_FAR = 5.0  # standard deviations at which a feature is cut off: a jump of the tracker must not rule the layer


class PoseEncoder(nn.Module):
    """Pose features, NaN where missing: `(batch, time, n_features)` -> `(batch, time, width)`.

    A missing value enters as the training data's mean, beside a mask that says so. Each frame then attends to the
    frames at most `reach` away. `halo`, `before` and `after` are as in the visual encoders: with `halo=True` the
    features and `valid` carry `reach` frames of context on either side and come back without them. Without it nothing
    lies beyond the ends. Frames with `valid` False (padding, or beyond the video) are not attended to.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        n_features: int,
        width: int = 256,
        heads: int = HEADS,
        reach: int = 16,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.width, self.before, self.after = width, reach, reach
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))
        self.mlp = nn.Sequential(
            nn.Linear(2 * n_features, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
        )
        self.attention = BandedAttention(width, heads, reach, dropout) if reach else None
        self.feed = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def fit(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Take over the mean and the standard deviation `(n_features,)` of the training data's known values.

        A feature that is never known, or never changes, may have NaN or 0: it then counts as unchanging.
        """
        self.mean.copy_(mean.nan_to_num(0.0))
        self.std.copy_(torch.where(std > 0, std, 1.0))  # NaN is not > 0

    def forward(
        self, features: torch.Tensor, valid: torch.Tensor | None = None, *, halo: bool = False
    ) -> torch.Tensor:
        known = ~features.isnan()
        scaled = ((features - self.mean) / self.std).clamp(-_FAR, _FAR).nan_to_num(0.0)
        x = self.mlp(torch.cat([scaled, known.to(scaled.dtype)], -1))
        if self.attention is not None:
            if valid is None:
                valid = known.new_ones(known.shape[:2])
            if not halo:
                x = F.pad(x, (0, 0, self.before, self.after))
                valid = F.pad(valid, (self.before, self.after))
            x = self.attention(x, valid)
        return x + self.feed(x)


class BandedAttention(nn.Module):
    """Attention of frames to those at most `reach` away: `(batch, time + 2 reach, width)` -> `(batch, time, width)`.

    What a frame gives depends on distance (a learned bias) and content, never on where in the recording it lies.
    """

    def __init__(self, width: int, heads: int, reach: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        self.norm = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.distance_bias = nn.Parameter(torch.zeros(heads, 2 * reach + 1))
        self.join = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout))

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        inner = slice(self.reach, x.shape[1] - self.reach)
        band = 2 * self.reach + 1
        split = self.queries_keys_values(self.norm(x)).view(*x.shape[:2], 3, self.heads, -1)
        queries, keys, values = split.unbind(
            2
        )  # each (batch, time + 2 reach, heads, width / heads)
        keys, values = (
            keys.unfold(1, band, 1),
            values.unfold(1, band, 1),
        )  # (batch, time, heads, width / heads, band)
        score = (
            torch.einsum("bthc,bthcn->bthn", queries[:, inner], keys) * keys.shape[3] ** -0.5
            + self.distance_bias
        )
        seen = valid.unfold(1, band, 1).clone()
        seen[..., self.reach] = (
            True  # itself: a frame of padding attends to something, too, or it would be NaN
        )
        share = score.masked_fill(~seen[:, :, None], float("-inf")).softmax(-1)
        found = torch.einsum("bthn,bthcn->bthc", share, values)
        return x[:, inner] + self.join(found.flatten(2))
