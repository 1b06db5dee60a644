"""The 3D CNN: dense in time, so that one pass over T frames gives T decisions.

Kernels are factored into space and time, (2+1)D as in Tran et al. (2018, A Closer Look at Spatiotemporal Convolutions).
In time nothing is padded and nothing skipped: the output at frame t is a function of the `clip_length` frames around t
and of no other, whether they come alone, in chunks or with the whole video.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from dolorim.models.motion_maps import Maps, MotionMaps, lags_within
from dolorim.models.shape_features import Kinematics

_KERNEL = 3  # frames, of the convolutions over time
_SLICE = 16  # frames


class Cnn3d(nn.Module):
    """Frames to features: `(batch, 1, time, height, width)` from 0 to 1 -> `(batch, time, width)`.

    `track` `(batch, time, 2)` are the crop's centers in units of its side (zeros where there is no follow crop).
    With `halo=True` the frames carry `clip_length - 1` more, as context, and come back without them; otherwise the
    first and the last frame are repeated. `stages` are channels after each halving of the picture. `points` are not
    used.
    """

    def __init__(
        self,
        stages: Sequence[int],
        clip_length: int,
        width: int,
        dropout: float,
        appearance_dropout: float,
        convolution_dropout: float,
    ) -> None:
        super().__init__()
        self.clip_length, self.width = clip_length, width
        self.map_channels = sum(stages[1:])
        self.before, self.after = clip_length // 2, clip_length - 1 - clip_length // 2
        lags = lags_within(clip_length)
        self.maps = MotionMaps(lags)
        self.kinematics = Kinematics(lags)
        self.kinematics_norm = nn.BatchNorm1d(self.kinematics.width)
        self.appearance_dropout, self.convolution_dropout = appearance_dropout, convolution_dropout
        self.stem = nn.Sequential(
            nn.Conv2d(3 + len(lags), stages[0], 5, 2, 2, bias=False),
            nn.BatchNorm2d(stages[0]),
            nn.ReLU(inplace=True),
        )
        room = clip_length - 1 - 2 * self.maps.reach
        blocks = []
        for depth, (inputs, outputs) in enumerate(itertools.pairwise(stages)):
            in_time = depth > 0 and room >= _KERNEL - 1
            room -= (_KERNEL - 1) * in_time
            blocks.append(Block(inputs, outputs, in_time))
        self.blocks = nn.ModuleList(blocks)
        self.pooled_norm = nn.BatchNorm1d(2 * stages[-1])
        self.seen_length = room + 1  # frames that a summary goes over
        self.numbers_length = clip_length - 2 * self.maps.reach
        self.lost = (
            self.numbers_length - self.seen_length
        )  # frames that the convolutions over time cost
        steps_in_time = sum(block.time is not None for block in blocks)
        self.map_before = self.map_after = self.maps.reach + steps_in_time * (_KERNEL // 2)
        summary = 2 * 2 * stages[-1] + 3 * self.kinematics.width
        self.summary_norm = nn.BatchNorm1d(summary)
        self.project = nn.Sequential(
            nn.Dropout(dropout), nn.Conv1d(summary, width, 1), nn.ReLU(), nn.Dropout(dropout)
        )

    def forward(
        self,
        frames: torch.Tensor,
        track: torch.Tensor | None = None,
        *,
        halo: bool = False,
        points: torch.Tensor | None = None,
        maps: int = 0,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """With `maps` also what the blocks see of every `maps`-th frame: `(batch, frames, map_channels, height / 4,
        width / 4)`."""
        frames = frames.squeeze(1)
        if track is None:
            track = frames.new_zeros((*frames.shape[:2], 2))
        if not halo:
            frames, track = self._with_halo(frames), self._with_halo(track)
        with torch.autocast(
            frames.device.type, enabled=False
        ):  # small differences of large numbers
            shown = self.maps(frames)
            numbers = self.kinematics_norm(self.kinematics(shown, track).transpose(1, 2)).clamp(
                -5, 5
            )
        levels: list[torch.Tensor] | None = [] if maps else None
        if self.convolution_dropout < 1 or maps:
            picture = self._hidden_at_times(shown.inner_picture, self.appearance_dropout)
            seen = self._look(shown, picture, levels)
        if self.convolution_dropout >= 1:  # nothing would be learned from them
            seen = numbers.new_zeros(
                len(numbers), self.pooled_norm.num_features, numbers.shape[2] - self.lost
            )
        with torch.autocast(frames.device.type, enabled=False):
            convolved = _mean_and_spread(seen.float(), self.seen_length)
            measured = _mean_and_extremes(numbers, self.numbers_length)
            summary = self.summary_norm(torch.cat([convolved, measured], 1))
            convolved, measured = summary.split([convolved.shape[1], measured.shape[1]], 1)
            convolved = self._hidden_at_times(convolved, self.convolution_dropout)
            features = self.project(torch.cat([convolved, measured], 1)).transpose(1, 2)
        return (
            features
            if levels is None
            else (features, self._stacked(levels, len(features), features.shape[1], maps))
        )

    def maps_of(self, frames: torch.Tensor) -> torch.Tensor:
        """Maps `(batch, 1, map_channels, height / 4, width / 4)` of the middle ones of `frames` `(batch, 1, map_before
        + 1 + map_after, height, width)`: the same numbers as `forward` gives, for far fewer frames. In training, the
        picture is never hidden: where a keypoint lies cannot be told without it."""
        frames = frames.squeeze(1)
        with torch.autocast(frames.device.type, enabled=False):
            shown = self.maps(frames)
        levels: list[torch.Tensor] = []
        self._look(shown, shown.inner_picture, levels)
        return self._stacked(
            levels, len(frames), frames.shape[1] - self.map_before - self.map_after, 1
        )

    def _look(
        self, maps: Maps, picture: torch.Tensor, levels: list[torch.Tensor] | None
    ) -> torch.Tensor:
        """Maps to pooled features `(batch, 2 * last stage, fewer frames)`; `levels` collects what each block gives.

        `picture` is that of the maps, or zeros for windows that are seen without it.
        """
        layers = [maps.inner_picture, *maps.motion, maps.flicker, picture]
        batch, frames = picture.shape[:2]
        # The first layers are done a few frames at a time, as long as nothing is averaged over frames: what lies in
        # the processor's cache is several times faster. Channels lie innermost for the same reason.
        size = frames if self.training else _SLICE
        seen = [self._begin([m[:, i : i + size] for m in layers]) for i in range(0, frames, size)]
        images = torch.cat(seen, 1).flatten(0, 1).permute(0, 3, 1, 2)
        for block in self.blocks:
            images = block(images, batch)
            if levels is not None:
                levels.append(images)
        pooled = torch.cat([images.mean((2, 3)), images.amax((2, 3))], 1)
        return self.pooled_norm(pooled.view(batch, -1, pooled.shape[1]).transpose(1, 2))

    def _begin(self, layers: list[torch.Tensor]) -> torch.Tensor:
        """Maps, each `(batch, time, height, width)`, to `(batch, time, height / 2, width / 2, first stage)`."""
        with torch.autocast(layers[0].device.type, enabled=False):
            outline = layers[0].abs()
            images = torch.stack([outline / (1 + outline), *layers[1:]], -1)
        batch = len(images)
        seen = self.stem(images.flatten(0, 1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return seen.reshape(batch, -1, *seen.shape[1:])

    def _stacked(
        self, levels: list[torch.Tensor], batch: int, time: int, every: int
    ) -> torch.Tensor:
        """What all blocks see, at the size of the first and at every so-manieth of the frames asked for."""
        size = levels[0].shape[2:]
        same = []
        for level in levels:
            images = level.reshape(batch, -1, *level.shape[1:])
            surplus = images.shape[1] - time  # frames of context that this level still has
            first = surplus - surplus // 2
            images = images[:, first : first + time : every].flatten(0, 1)
            same.append(F.interpolate(images.float(), size, mode="bilinear"))
        return torch.cat(same, 1).view(batch, -1, self.map_channels, *size)

    def _hidden_at_times(self, values: torch.Tensor, share: float) -> torch.Tensor:
        """The values `(batch, ...)`, in training set to zero for a share of the windows."""
        if not self.training or not share:
            return values
        keep = torch.rand(len(values), *[1] * (values.dim() - 1), device=values.device) >= share
        return values * keep

    def _with_halo(self, values: torch.Tensor) -> torch.Tensor:
        parts = [values[:, :1].expand(-1, self.before, *values.shape[2:]), values]
        return torch.cat([*parts, values[:, -1:].expand(-1, self.after, *values.shape[2:])], 1)


class Block(nn.Module):
    """Residual block that halves the picture; with `in_time`, a second residual step over three frames follows."""

    def __init__(self, inputs: int, outputs: int, in_time: bool) -> None:
        super().__init__()
        self.space = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.time = (
            nn.Sequential(
                nn.Conv2d(outputs, outputs, (_KERNEL, 1), bias=False), nn.BatchNorm2d(outputs)
            )
            if in_time
            else None
        )

    def forward(self, images: torch.Tensor, batch: int) -> torch.Tensor:
        """`(batch * time, inputs, height, width)` -> `(batch * fewer frames, outputs, height / 2, width / 2)`."""
        # Every second pixel is taken beforehand: the gradient of a 1x1 kernel with a stride crashes in oneDNN 3.13.
        images = F.relu(self.space(images) + self.shortcut(images[:, :, ::2, ::2]))
        if self.time is None:
            return images
        # Channels lie innermost, so that space can be folded into one axis and time convolved without a copy.
        frames, channels, height, width = images.shape
        folded = (
            images.permute(0, 2, 3, 1)
            .reshape(batch, frames // batch, height * width, channels)
            .permute(0, 3, 1, 2)
        )
        folded = F.relu(self.time(folded) + folded[:, :, 1:-1])
        return folded.permute(0, 2, 3, 1).reshape(-1, height, width, channels).permute(0, 3, 1, 2)


def _mean_and_spread(values: torch.Tensor, length: int) -> torch.Tensor:
    """Sliding mean and standard deviation over `length` frames: `(batch, c, time)` -> `(batch, 2 c, fewer frames)`."""
    mean = F.avg_pool1d(values, length, 1)
    variance = F.avg_pool1d(values * values, length, 1) - mean * mean
    return torch.cat([mean, (variance.clamp(min=0) + 1e-4).sqrt()], 1)


def _mean_and_extremes(values: torch.Tensor, length: int) -> torch.Tensor:
    """Sliding mean over `length` frames, and the largest and the smallest mean of three neighbors among them."""
    smooth = F.avg_pool1d(values, min(3, length), 1)
    room = length - min(3, length) + 1
    return torch.cat(
        [
            F.avg_pool1d(values, length, 1),
            F.max_pool1d(smooth, room, 1),
            -F.max_pool1d(-smooth, room, 1),
        ],
        1,
    )
