"""A small 2D CNN on the motion maps: what an animal looks like and how it moves at one moment.

It is trained without labels (`training/pretrain.py`) or on simulated mice, and its features are
the input of quick heads. Its layers are those of the 3D CNN before time is convolved, so that they
can also be the weights which that network starts from.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from dolorim.config import DataConfig
from dolorim.models.cnn3d import Block
from dolorim.models.motion_maps import LAGS, MotionMaps

STAGES = (16, 32, 64, 128)
SIDE_PX = 64
WINDOW = 1.25  # body lengths, the side of the window that the encoder sees


class FrameEncoder(nn.Module):
    """Frames to features, each from the frames around it and no others.

    `(batch, reach + time + reach, height, width)` from 0 to 1 -> `(batch, time, width)`. The
    features are the mean and the maximum of each channel of the last of the `stages`, which are
    the channels after each halving of the picture.
    """

    def __init__(self, stages: Sequence[int] = STAGES) -> None:
        super().__init__()
        self.motion_maps = MotionMaps(LAGS)
        self.reach = self.motion_maps.reach
        self.stages, self.width = tuple(stages), 2 * stages[-1]
        # The names are those of `Cnn3d`, which can start from these weights.
        self.stem = nn.Sequential(
            nn.Conv2d(2 + len(LAGS), stages[0], 5, 2, 2, bias=False),
            nn.BatchNorm2d(stages[0]),
            nn.ReLU(inplace=True),
        )
        pairs = itertools.pairwise(stages)
        self.blocks = nn.ModuleList(Block(inputs, outputs, False) for inputs, outputs in pairs)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        batch = len(frames)
        with torch.autocast(frames.device.type, enabled=False):
            maps = self.motion_maps(frames.float())
            outline = maps.inner_picture.abs()
            layers = [outline / (1 + outline), *maps.motion, maps.flicker]
            images = torch.stack(layers, 2).flatten(0, 1)
        # Channels are innermost in memory, which is several times faster on a processor.
        images = self.stem(images.contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            images = block(images, batch)
        pooled = torch.cat([images.mean((2, 3)), images.amax((2, 3))], 1)
        return pooled.view(batch, -1, self.width)


class WindowEncoder(nn.Module):
    """A frame encoder that looks at follow crops, in the form of the other visual encoders.

    `(batch, 1, time, height, width)` from 0 to 1, `crop_scale` body lengths wide, -> `(batch, time,
    width)`. With `halo=True` the frames carry `before + after` more, as context, and come back
    without them; otherwise the first and the last frame are repeated. Crop centers and points are
    not used.
    """

    def __init__(self, network: FrameEncoder, crop_scale: float) -> None:
        super().__init__()
        self.network, self.crop_scale = network, crop_scale
        self.before = self.after = network.reach
        self.width = network.width

    def forward(
        self,
        frames: torch.Tensor,
        crop_centers: torch.Tensor | None = None,
        *,
        halo: bool = False,
        points: torch.Tensor | None = None,
    ) -> torch.Tensor:
        frames = frames.squeeze(1)
        if not halo:
            head = frames[:, :1].expand(-1, self.before, -1, -1)
            tail = frames[:, -1:].expand(-1, self.after, -1, -1)
            frames = torch.cat([head, frames, tail], 1)
        with torch.autocast(frames.device.type, enabled=False):
            features: torch.Tensor = self.network(seen_window(frames.float(), self.crop_scale))
        return features


def scale_of_crops(data: DataConfig) -> float:
    """Side of the pictures in body lengths; whole pictures are seen whole."""
    return WINDOW if data.crop == "none" else data.crop_scale


def window_share(crop_scale: float) -> float:
    """Share of a crop's side that the encoder sees, for a crop of so many body lengths.

    A crop that is narrower than the encoder's window is seen whole.
    """
    return min(1.0, WINDOW / crop_scale)


def seen_window(crops: torch.Tensor, crop_scale: float) -> torch.Tensor:
    """The middle of follow crops, as large and at the scale that the encoder has learned.

    `(batch, time, size, size)` from 0 to 1, `crop_scale` body lengths wide -> `(batch, time,
    SIDE_PX, SIDE_PX)`.
    """
    crops = shrunk(crops, crop_scale)
    share = window_share(crop_scale)
    turn = crops.new_tensor([[share, 0, 0], [0, share, 0]]).expand(len(crops), 2, 3)
    grid = F.affine_grid(turn, [*crops.shape[:2], SIDE_PX, SIDE_PX], align_corners=False)
    return F.grid_sample(crops, grid, padding_mode="border", align_corners=False)


def shrunk(crops: torch.Tensor, crop_scale: float) -> torch.Tensor:
    """Means of blocks, where a crop has at least twice the pixels that the encoder sees of it."""
    factor = int(crops.shape[-1] * window_share(crop_scale) / SIDE_PX)
    return F.avg_pool2d(crops, factor) if factor > 1 else crops


@torch.no_grad()
def calibrate_statistics(encoder: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Replace the running statistics of batch normalization by those of some pictures.

    Random weights without this step give features of arbitrary scale. The encoder is left in
    evaluation mode.
    """
    norms = [m for m in encoder.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    encoder.train()
    for frames in batches:
        encoder(frames)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    encoder.eval()
