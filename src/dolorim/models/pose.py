"""The pose stream: the pose features of a frame, and what the frames around it add."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

HEADS = 4  # of the attention; the width is divided among them
# Standard deviations at which a feature is cut off: a jump of the tracker must not rule the layer.
_MOST_DEVIATIONS = 5.0


class PoseEncoder(nn.Module):
    """Pose features, NaN where missing: `(batch, time, n_features)` -> `(batch, time, width)`.

    A missing value enters as the mean of the training data, beside a mask that marks it. Each frame
    then attends to the frames at most `reach` away. `halo`, `before` and `after` are as in the
    visual encoders: with `halo=True` the features and `valid` carry `reach` frames of context on
    either side and come back without them; otherwise nothing lies beyond the ends. Frames with
    `valid` False (padding, or beyond the video) are not attended to.
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
        """Adopt the mean and standard deviation of the known values in the training data.

        Both are `(n_features,)`. A feature that is never known, or never changes, may have NaN or
        0: it counts as constant.
        """
        self.mean.copy_(mean.nan_to_num(0.0))
        self.std.copy_(torch.where(std > 0, std, 1.0))  # NaN is not > 0

    def forward(
        self, features: torch.Tensor, valid: torch.Tensor | None = None, *, halo: bool = False
    ) -> torch.Tensor:
        known = ~features.isnan()
        scaled = (features - self.mean) / self.std
        scaled = scaled.clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS).nan_to_num(0.0)
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
    """Attention of frames to the frames at most `reach` away.

    `(batch, time + 2 * reach, width)` -> `(batch, time, width)`. The weight of a frame depends on
    its distance (a learned bias) and its content, never on its place in the recording.
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
        projected = self.queries_keys_values(self.norm(x)).view(*x.shape[:2], 3, self.heads, -1)
        # Each (batch, time + 2 * reach, heads, width / heads).
        queries, keys, values = projected.unbind(2)
        # And with the band: (batch, time, heads, width / heads, band).
        keys, values = keys.unfold(1, band, 1), values.unfold(1, band, 1)
        similarity = torch.einsum("bthc,bthcn->bthn", queries[:, inner], keys)
        score = similarity * keys.shape[3] ** -0.5 + self.distance_bias
        attended = valid.unfold(1, band, 1).clone()
        # A frame of padding attends to itself: a softmax over nothing would be NaN.
        attended[..., self.reach] = True
        share = score.masked_fill(~attended[:, :, None], float("-inf")).softmax(-1)
        context = torch.einsum("bthn,bthcn->bthc", share, values)
        return x[:, inner] + self.join(context.flatten(2))
