"""The 3D CNN: dense in time, so that one pass over T frames gives T decisions.

Kernels are factored into space and time, (2+1)D as in Tran et al. (2018, A Closer Look at
Spatiotemporal Convolutions). Nothing is padded or skipped along time: the output at frame t depends
on the `clip_length` frames around t and on no others, whether they come alone, in chunks or with
the whole video.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from dolorim.models.motion_maps import Maps, MotionMaps, lags_within
from dolorim.models.shape_features import ShapeFeatures

_KERNEL = 3  # frames, of the convolutions over time
_SLICE = 16  # frames that the first layers take at a time
_MOST_DEVIATIONS = 5  # standard deviations at which a shape feature is cut off


class Cnn3d(nn.Module):
    """Frames to features: `(batch, 1, time, height, width)` from 0 to 1 -> `(batch, time, width)`.

    Two descriptions of the same frames are joined: what convolutions see in the motion maps, and
    shape and motion as measured (`ShapeFeatures`). `crop_centers` `(batch, time, 2)` are in units
    of the crop's side (zeros where the crop does not follow the animal). With `halo=True` the
    frames carry `clip_length - 1` more, as context, and come back without them; otherwise the first
    and the last frame are repeated. `stages` are the channels after each halving of the picture.
    With `convolutions=False` features come from the measurements alone; the convolutions then serve
    only the maps that keypoints are found in. `points` are not used.
    """

    def __init__(
        self,
        stages: Sequence[int],
        clip_length: int,
        width: int,
        dropout: float,
        appearance_dropout: float,
        convolution_dropout: float,
        convolutions: bool = True,
    ) -> None:
        super().__init__()
        self.clip_length, self.width = clip_length, width
        self.map_channels = sum(stages[1:])
        self.before, self.after = clip_length // 2, clip_length - 1 - clip_length // 2
        self.appearance_dropout = appearance_dropout
        self.convolution_dropout = convolution_dropout
        self.convolutions = convolutions
        lags = lags_within(clip_length)
        self.motion_maps = MotionMaps(lags)
        self.shape_features = ShapeFeatures(lags)
        # Weights in run folders go by the names of these layers, so `kinematics_norm` keeps its
        # own.
        self.kinematics_norm = nn.BatchNorm1d(self.shape_features.width)
        self.stem = nn.Sequential(
            nn.Conv2d(3 + len(lags), stages[0], 5, 2, 2, bias=False),
            nn.BatchNorm2d(stages[0]),
            nn.ReLU(inplace=True),
        )
        # Each convolution over time costs two frames, so a short clip has room for few of them.
        room = clip_length - 1 - 2 * self.motion_maps.reach
        blocks = []
        for depth, (inputs, outputs) in enumerate(itertools.pairwise(stages)):
            in_time = depth > 0 and room >= _KERNEL - 1
            room -= (_KERNEL - 1) * in_time
            blocks.append(Block(inputs, outputs, in_time))
        self.blocks = nn.ModuleList(blocks)
        self.pooled_norm = nn.BatchNorm1d(2 * stages[-1])
        # Frames that a summary goes over: of what was convolved, and of what was measured.
        self.convolved_length = room + 1
        self.measured_length = clip_length - 2 * self.motion_maps.reach
        steps_in_time = sum(block.time is not None for block in blocks)
        self.map_before = self.motion_maps.reach + steps_in_time * (_KERNEL // 2)
        self.map_after = self.map_before
        summary = 2 * 2 * stages[-1] + 3 * self.shape_features.width
        self.summary_norm = nn.BatchNorm1d(summary)
        self.project = nn.Sequential(
            nn.Dropout(dropout), nn.Conv1d(summary, width, 1), nn.ReLU(), nn.Dropout(dropout)
        )

    def freeze_convolutions(self) -> None:
        """Exclude the convolutions from training: nothing that is learned depends on them."""
        for part in (self.stem, self.blocks, self.pooled_norm):
            part.requires_grad_(False)

    @property
    def single_frames(self) -> list[nn.Module]:
        """The layers that look at one frame at a time, which an encoder can provide."""
        parts: list[nn.Module] = [self.stem]
        for block in self.blocks:
            assert isinstance(block, Block)
            parts += [block.space, block.shortcut]
        return parts

    def adopt(self, encoder: nn.Module) -> None:
        """Start from the weights of a `FrameEncoder` with the same stages.

        The encoder does not see the picture itself, so what the stem makes of it starts at 0.
        """
        state = dict(encoder.state_dict())
        stem = self.stem[0].weight
        assert isinstance(stem, torch.Tensor)
        seen = state["stem.0.weight"]
        unseen = seen.new_zeros(stem.shape[0], stem.shape[1] - seen.shape[1], *seen.shape[2:])
        state["stem.0.weight"] = torch.cat([seen, unseen], 1)
        # The layers along time and those after the blocks keep their own weights.
        self.load_state_dict({**self.state_dict(), **state})

    def forward(
        self,
        frames: torch.Tensor,
        crop_centers: torch.Tensor | None = None,
        *,
        halo: bool = False,
        points: torch.Tensor | None = None,
        maps: int = 0,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Features of all frames; with `maps` also the blocks' output for every `maps`-th frame.

        That output is `(batch, frames, map_channels, height / 4, width / 4)`.
        """
        frames = frames.squeeze(1)
        if crop_centers is None:
            crop_centers = frames.new_zeros((*frames.shape[:2], 2))
        if not halo:
            frames, crop_centers = self._with_halo(frames), self._with_halo(crop_centers)
        # In full precision, because both are small differences of large numbers.
        with torch.autocast(frames.device.type, enabled=False):
            shown = self.motion_maps(frames)
            measured = self.shape_features(shown, crop_centers).transpose(1, 2)
            measured = self.kinematics_norm(measured).clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        levels: list[torch.Tensor] | None = [] if maps else None
        convolved = None
        if self.convolutions or maps:
            picture = self._hidden_at_times(shown.inner_picture, self.appearance_dropout)
            convolved = self._convolve(shown, picture, levels)
        features = self._summarize(convolved, measured)
        if levels is None:
            return features
        return features, self._stacked(levels, len(features), features.shape[1], maps)

    def maps_of(self, frames: torch.Tensor) -> torch.Tensor:
        """Maps of the middle frame of each window.

        Takes `frames` `(batch, 1, map_before + 1 + map_after, height, width)` and returns `(batch,
        1, map_channels, height / 4, width / 4)`: what `forward` gives, from far fewer frames. The
        picture is never hidden here, not even in training: without it nothing tells where a
        keypoint is.
        """
        frames = frames.squeeze(1)
        with torch.autocast(frames.device.type, enabled=False):
            shown = self.motion_maps(frames)
        levels: list[torch.Tensor] = []
        self._convolve(shown, shown.inner_picture, levels)
        n_middle = frames.shape[1] - self.map_before - self.map_after
        return self._stacked(levels, len(frames), n_middle, 1)

    def _convolve(
        self, maps: Maps, picture: torch.Tensor, levels: list[torch.Tensor] | None
    ) -> torch.Tensor:
        """Maps to pooled features `(batch, 2 * last stage, fewer frames)`.

        `levels` collects the output of each block. `picture` is that of the maps, with zeros for
        windows that are learned without it.
        """
        layers = [maps.inner_picture, *maps.motion, maps.flicker, picture]
        batch, frames = picture.shape[:2]
        # Outside of training nothing is averaged over frames, and the first layers take a few of
        # them at a time: what fits into the processor's cache is several times faster. Channels
        # are innermost in memory for the same reason.
        size = frames if self.training else _SLICE
        parts = []
        for start in range(0, frames, size):
            parts.append(self._begin([layer[:, start : start + size] for layer in layers]))
        images = torch.cat(parts, 1).flatten(0, 1).permute(0, 3, 1, 2)
        for block in self.blocks:
            images = block(images, batch)
            if levels is not None:
                levels.append(images)
        pooled = torch.cat([images.mean((2, 3)), images.amax((2, 3))], 1)
        return self.pooled_norm(pooled.view(batch, -1, pooled.shape[1]).transpose(1, 2))

    def _begin(self, layers: list[torch.Tensor]) -> torch.Tensor:
        """Run the stem on maps, each `(batch, time, height, width)`.

        Returns `(batch, time, height / 2, width / 2, first stage)`.
        """
        with torch.autocast(layers[0].device.type, enabled=False):
            outline = layers[0].abs()
            images = torch.stack([outline / (1 + outline), *layers[1:]], 2)
        batch = len(images)
        # Stacking whole pictures and then moving channels innermost is twice as fast as stacking
        # pixel by pixel.
        innermost = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        halved = self.stem(innermost).permute(0, 2, 3, 1)
        return halved.reshape(batch, -1, *halved.shape[1:])

    def _summarize(self, convolved: torch.Tensor | None, measured: torch.Tensor) -> torch.Tensor:
        """Both descriptions `(batch, channels, time)`, over a clip -> `(batch, time, width)`."""
        if not self.convolutions or convolved is None:
            lost = self.measured_length - self.convolved_length
            n_frames = measured.shape[2] - lost
            convolved = measured.new_zeros(len(measured), self.pooled_norm.num_features, n_frames)
        dropout = self.convolution_dropout if self.convolutions else 1.0
        with torch.autocast(measured.device.type, enabled=False):
            convolved = _mean_and_spread(convolved.float(), self.convolved_length)
            measured = _mean_and_extremes(measured, self.measured_length)
            summary = self.summary_norm(torch.cat([convolved, measured], 1))
            convolved, measured = summary.split([convolved.shape[1], measured.shape[1]], 1)
            convolved = self._hidden_at_times(convolved, dropout)
            return self.project(torch.cat([convolved, measured], 1)).transpose(1, 2)

    def _stacked(
        self, levels: list[torch.Tensor], batch: int, time: int, every: int
    ) -> torch.Tensor:
        """The output of all blocks, at the size of the first one's, for every `every`-th frame."""
        size = levels[0].shape[2:]
        resized = []
        for level in levels:
            images = level.reshape(batch, -1, *level.shape[1:])
            surplus = images.shape[1] - time  # frames of context that this level still has
            first = surplus - surplus // 2
            images = images[:, first : first + time : every].flatten(0, 1)
            resized.append(F.interpolate(images.float(), size, mode="bilinear"))
        return torch.cat(resized, 1).view(batch, -1, self.map_channels, *size)

    def _hidden_at_times(self, values: torch.Tensor, share: float) -> torch.Tensor:
        """The values `(batch, ...)`; in training, zeros for a random share of the windows."""
        if not self.training or not share:
            return values
        per_window = (len(values), *[1] * (values.dim() - 1))
        keep = torch.rand(per_window, device=values.device) >= share
        return values * keep

    def _with_halo(self, values: torch.Tensor) -> torch.Tensor:
        head = values[:, :1].expand(-1, self.before, *values.shape[2:])
        tail = values[:, -1:].expand(-1, self.after, *values.shape[2:])
        return torch.cat([head, values, tail], 1)


class Block(nn.Module):
    """Residual block that halves the picture.

    With `in_time`, a second residual step over three frames follows.
    """

    def __init__(self, inputs: int, outputs: int, in_time: bool) -> None:
        super().__init__()
        self.space = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.time = None
        if in_time:
            convolution = nn.Conv2d(outputs, outputs, (_KERNEL, 1), bias=False)
            self.time = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, images: torch.Tensor, batch: int) -> torch.Tensor:
        """Halve the pictures, and see them in time.

        `(batch * time, inputs, height, width)` -> `(batch * fewer frames, outputs, height / 2,
        width / 2)`.
        """
        # Every second pixel is taken beforehand, because the gradient of a 1x1 kernel with a stride
        # crashes in oneDNN 3.13.
        images = F.relu(self.space(images) + self.shortcut(images[:, :, ::2, ::2]))
        if self.time is None:
            return images
        # Channels are innermost in memory, so space folds into one axis and time is convolved
        # without a copy.
        frames, channels, height, width = images.shape
        innermost = images.permute(0, 2, 3, 1)
        folded = innermost.reshape(batch, frames // batch, height * width, channels)
        folded = folded.permute(0, 3, 1, 2)
        folded = F.relu(self.time(folded) + folded[:, :, 1:-1])
        return folded.permute(0, 2, 3, 1).reshape(-1, height, width, channels).permute(0, 3, 1, 2)


def _mean_and_spread(values: torch.Tensor, length: int) -> torch.Tensor:
    """Sliding mean and standard deviation over `length` frames.

    `(batch, channels, time)` -> `(batch, 2 * channels, fewer frames)`.
    """
    mean = F.avg_pool1d(values, length, 1)
    variance = F.avg_pool1d(values * values, length, 1) - mean * mean
    return torch.cat([mean, (variance.clamp(min=0) + 1e-4).sqrt()], 1)


def _mean_and_extremes(values: torch.Tensor, length: int) -> torch.Tensor:
    """Sliding mean over `length` frames, and the extremes of three-frame means among them.

    `(batch, channels, time)` -> `(batch, 3 * channels, fewer frames)`.
    """
    short = min(3, length)
    smooth = F.avg_pool1d(values, short, 1)
    room = length - short + 1
    mean = F.avg_pool1d(values, length, 1)
    largest = F.max_pool1d(smooth, room, 1)
    smallest = -F.max_pool1d(-smooth, room, 1)
    return torch.cat([mean, largest, smallest], 1)
