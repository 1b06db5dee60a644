"""A recognizer without a network: features of frames, their means over time, and quick heads.

It has the seam of `Recognizer`: `encode` turns inputs into features of single frames, which can be
stored, and `read` turns these into decisions. So it predicts in the same way, in chunks of any
length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import nn

from dolorim.models.motion_maps import LAGS, MotionMaps
from dolorim.models.quick_heads import QuickHead
from dolorim.models.recognizer import Inputs, Output, Streams
from dolorim.models.shape_features import ShapeFeatures


class QuickEncoder(Protocol):
    """What a frozen encoder must have: frames of context, and the width of its features."""

    before: int
    after: int
    width: int

    def __call__(
        self,
        frames: torch.Tensor,
        crop_centers: torch.Tensor | None = None,
        *,
        halo: bool = False,
        points: torch.Tensor | None = None,
    ) -> torch.Tensor: ...


class FrameFeatures(nn.Module):
    """Shape and motion in numbers, and beside them what frozen encoders see.

    Frames `(batch, 1, before + time + after, height, width)` from 0 to 1 to `(batch, time, width)`.
    `encoders` are modules that keep to `QuickEncoder`.
    """

    def __init__(self, encoders: Sequence[QuickEncoder] = ()) -> None:
        super().__init__()
        self.motion_maps, self.shape_features = MotionMaps(LAGS), ShapeFeatures(LAGS)
        self.encoders = nn.ModuleList(cast("Sequence[nn.Module]", encoders))
        reach = self.motion_maps.reach
        self.before = max([reach, *(encoder.before for encoder in encoders)])
        self.after = max([reach, *(encoder.after for encoder in encoders)])
        self.width = self.shape_features.width + sum(encoder.width for encoder in encoders)

    def forward(
        self,
        frames: torch.Tensor,
        crop_centers: torch.Tensor | None = None,
        points: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Features of all frames but those of the context on either side."""
        if crop_centers is None:
            crop_centers = frames.new_zeros((frames.shape[0], frames.shape[2], 2))
        with torch.autocast(frames.device.type, enabled=False):
            reach = self.motion_maps.reach
            near = self._inner(frames.shape[2], reach, reach)
            maps = self.motion_maps(frames.squeeze(1)[:, near])
            blocks = [self.shape_features(maps, crop_centers[:, near])]
        for encoder in cast("Iterable[QuickEncoder]", self.encoders):
            near = self._inner(frames.shape[2], encoder.before, encoder.after)
            around = frames[:, :, near], crop_centers[:, near]
            blocks.append(encoder(*around, halo=True, points=points).float())
        return torch.cat(blocks, -1)

    def _inner(self, n_frames: int, before: int, after: int) -> slice:
        """The frames that a part with less context than this needs."""
        return slice(self.before - before, n_frames - (self.after - after))


class PoseFeatures(nn.Module):
    """Pose features as they are, NaN where missing; they need no context."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before = self.after = 0
        self.width = width


class QuickRecognizer(nn.Module):
    """Features of frames to log probabilities, by the weighted mean of its `heads`.

    `windows` are the lengths in frames of the centered windows over which features are averaged;
    columns are the features themselves, then their means over each window. `width` is the number
    of features of a frame. A stream that is left out is missing in all its columns.
    """

    keypoints = None
    windows: torch.Tensor
    weights: torch.Tensor

    def __init__(
        self,
        visual: FrameFeatures | None,
        pose: PoseFeatures | None,
        windows: Sequence[int],
        heads: Mapping[str, QuickHead],
        weights: Sequence[float],
    ) -> None:
        super().__init__()
        self.visual, self.pose = visual, pose
        self.register_buffer("windows", torch.tensor(list(windows), dtype=torch.int64))
        self.register_buffer("weights", torch.tensor(list(weights), dtype=torch.float64))
        self.heads = nn.ModuleDict(heads)
        self.before = self.after = max((w // 2 for w in windows), default=0)
        self.widths = tuple(0 if part is None else part.width for part in (visual, pose))

    @property
    def width(self) -> int:
        return sum(self.widths)

    def encode(self, inputs: Inputs, *, halo: bool = True, maps: int = 0) -> Streams:
        """Inputs, which carry the context of each stream, to the features of each stream."""
        visual = inputs.features
        if self.visual is not None and inputs.frames is not None:
            visual = self.visual(inputs.frames, inputs.crop_centers, inputs.points)
        return Streams(visual, None if self.pose is None else inputs.pose)

    def joined(self, streams: Streams) -> torch.Tensor:
        """Features of both streams `(batch, time, width)`; NaN for one that is left out."""
        there = next(stream for stream in streams if stream is not None)
        blocks = []
        for stream, width in zip(streams[:2], self.widths, strict=True):
            if stream is None:
                stream = there.new_full((*there.shape[:2], width), torch.nan)
            blocks.append(stream)
        return torch.cat(blocks, -1)

    def read(
        self, streams: Streams, valid: torch.Tensor | None = None, *, dense: bool = False
    ) -> Output:
        """Features to decisions: log probabilities in place of logits."""
        features = self.joined(streams)
        with torch.autocast(features.device.type, enabled=False):
            columns = with_means(features[0].float(), self.windows.tolist())
            decided = [head(columns) for head in self.heads.values()]
            scores = (torch.stack(decided) * self.weights[:, None, None]).sum(0)
        return Output(scores.float()[None])


def with_means(features: torch.Tensor, windows: Sequence[int]) -> torch.Tensor:
    """Features `(time, width)` and their means over centered windows, side by side.

    Windows are shorter at the ends. A missing value is left out of the means, and a window in which
    all are missing has none. Returns `(time, width * (1 + windows))`.
    """
    known = ~features.isnan()
    sums = _sums_before(features.nan_to_num(0.0).double())
    counts = _sums_before(known.double())
    blocks = [features]
    at = torch.arange(len(features), device=features.device)
    for window in windows:
        half = window // 2
        start, stop = (at - half).clamp(min=0), (at + half + 1).clamp(max=len(features))
        means = (sums[stop] - sums[start]) / (counts[stop] - counts[start])  # 0 / 0 is NaN
        blocks.append(means.to(features.dtype))
    return torch.cat(blocks, 1)


def _sums_before(values: torch.Tensor) -> torch.Tensor:
    """Sums `(time + 1, width)` of all rows before each row."""
    return F.pad(values.cumsum(0), (0, 0, 1, 0))
