"""Transformers that look at clips, made dense in time.

What VideoMAE and V-JEPA 2 have in common: clips of 16 frames, and tokens of 2 frames and 16 pixels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from dolorim.models.pretrained import Picture

CLIP = 16  # frames
HOP = 8  # frames from the start of a clip to the start of the next
TUBELET = 2  # frames that share a token
PATCH = 16  # pixels
_CHUNK = 8  # clips at a time, so that memory stays bounded
# Mean and standard deviation of ImageNet's pictures, as in pretraining.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ClipEncoder(nn.Module):
    """Frames to features: `(batch, 1, time, height, width)` from 0 to 1 -> `(batch, time, width)`.

    Clips of 16 frames start every 8 frames, the first of them 8 frames before the first frame. A
    clip's tokens are averaged over the picture; token k stands for frames 2k and 2k + 1, so it is
    at 2k + 0.5, and frames are interpolated linearly between tokens. Each frame is in two clips,
    weighted by how near their middles are (the two weights add up to 1). With `halo=True` the
    frames carry `before` and `after` more; otherwise the outermost frames are repeated. Chunks that
    start at multiples of 8 give the same as the whole recording. `points` are not used.
    """

    before = after = HOP
    map_before = map_after = 2 * HOP - 1
    weight: torch.Tensor

    def __init__(self, width: int, img_size: int) -> None:
        super().__init__()
        self.width = self.map_channels = width
        self.picture = Picture(img_size, _MEAN, _STD)
        self.rows = img_size // PATCH
        ramp = 1 - (torch.arange(CLIP) - (CLIP - 1) / 2).abs() / HOP
        self.register_buffer("weight", ramp[:, None], persistent=False)

    @property
    @abstractmethod
    def blocks(self) -> Sequence[nn.Module]:
        """The network's layers, from the first to the last, for `freeze`."""

    @abstractmethod
    def tokens_of(self, clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean tokens `(clips, step, width)`, and all of them `(clips, step, place, width)`.

        `clips` are `(clips, 16, 1, height, width)` from 0 to 1.
        """

    def without_points(self, features: torch.Tensor) -> torch.Tensor:
        """The same features, because these encoders do not look at keypoints."""
        return features

    def forward(
        self,
        frames: torch.Tensor,
        crop_centers: torch.Tensor | None = None,
        *,
        halo: bool = False,
        points: torch.Tensor | None = None,
        maps: int = 0,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Features of all frames; with `maps` also the tokens of every `maps`-th frame.

        Tokens are `(batch, frames, width, rows, columns)`.
        """
        batch = len(frames)
        context = self.before + self.after if halo else 0
        time = frames.shape[2] - context
        clips = self._clips(frames, halo, time)
        pooled, grids = [], []
        for start in range(0, len(clips), _CHUNK):
            mean, tokens = self.tokens_of(clips[start : start + _CHUNK])
            pooled.append(mean)
            if maps:
                grids.append(tokens.flatten(2))
        features = self._to_frames(torch.cat(pooled), batch)[:, :time]
        if not maps:
            return features
        grid = self._to_frames(torch.cat(grids), batch)[:, :time:maps]
        grid = grid.view(batch, -1, self.rows, self.rows, self.width)
        return features, grid.permute(0, 1, 4, 2, 3)

    def _clips(self, frames: torch.Tensor, halo: bool, time: int) -> torch.Tensor:
        """Overlapping clips `(batch * clips, 16, 1, height, width)` that cover `time` frames."""
        before, after = (0, 0) if halo else (self.before, self.after)
        n_frames = frames.shape[2]
        index = torch.arange(-before, n_frames + after + -time % HOP, device=frames.device)
        clips = frames[:, :, index.clamp(0, n_frames - 1)].unfold(2, CLIP, HOP)
        return clips.permute(0, 2, 5, 1, 3, 4).flatten(0, 1)

    def maps_of(self, frames: torch.Tensor) -> torch.Tensor:
        """Tokens of the middle frame of each window, `(batch, 1, width, rows, columns)`.

        `frames` are `(batch, 1, map_before + 1 + map_after, height, width)`; the middle frame is in
        two clips. In prediction clips start at every eighth frame, so a frame may be anywhere in
        them: here, too, the first window has its frame at one place in its clips, the next window
        at another, and so on.
        """
        place = HOP - 1 - torch.arange(len(frames), device=frames.device) % HOP
        starts = (HOP - 1 - place).tolist()
        windows = [
            window[:, start : start + HOP + CLIP]
            for window, start in zip(frames, starts, strict=True)
        ]
        _, grids = self(torch.stack(windows), halo=True, maps=1)
        return grids[torch.arange(len(frames), device=frames.device), place][:, None]

    def _to_frames(self, steps: torch.Tensor, batch: int) -> torch.Tensor:
        """Steps of clips `(batch * clips, 8, n)` to frames `(batch, 8 * (clips - 1), n)`."""
        stretched = F.interpolate(steps.transpose(1, 2), scale_factor=TUBELET, mode="linear")
        stretched = stretched.transpose(1, 2)
        weighted = (stretched * self.weight).view(batch, -1, *stretched.shape[1:])
        return (weighted[:, :-1, HOP:] + weighted[:, 1:, :HOP]).flatten(1, 2)
