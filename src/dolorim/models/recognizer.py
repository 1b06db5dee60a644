"""The one model: stream encoders, a fusion that joins them, context over time, and heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from dolorim.models.cnn3d import Cnn3d
from dolorim.models.heads import ActionHead, Keypoints, SpatialKeypointHead
from dolorim.models.paw_brightness import PawBrightness
from dolorim.models.pose import PoseEncoder
from dolorim.models.tcn import Tcn

if TYPE_CHECKING:  # their libraries take seconds to import
    from dolorim.models.clips import ClipEncoder
    from dolorim.models.vit import Vit2d


@dataclass(frozen=True)
class Inputs:
    """What the streams are given of a stretch of `time` frames; None for a stream without input.

    - `frames` `(batch, 1, time, height, width)` from 0 to 1, with the visual encoder's halo,
    - `crop_centers` `(batch, time, 2)` in sides of the crop, with the same halo,
    - `pose` `(batch, time, features)`, NaN where missing, with the pose encoder's halo,
    - `pose_inside` `(batch, time)`, false beyond the recording, with the same halo,
    - `points` `(batch, time, keypoint, 2)` in the crop, from -1 to 1, NaN where missing, no halo,
    - `features` `(batch, time, width)`: what a frozen visual encoder has made of the frames before,
    - `negative` `(batch,)`: windows that augmentation has turned into negatives; None for none.
    """

    frames: torch.Tensor | None = None
    crop_centers: torch.Tensor | None = None
    pose: torch.Tensor | None = None
    pose_inside: torch.Tensor | None = None
    points: torch.Tensor | None = None
    features: torch.Tensor | None = None
    negative: torch.Tensor | None = None


class Streams(NamedTuple):
    """Features of each stream, `(batch, time, width of the stream)`; None for one left out.

    `maps` `(batch, time, channels, height, width)` still have the picture's axes, for keypoints.
    """

    visual: torch.Tensor | None
    pose: torch.Tensor | None
    maps: torch.Tensor | None = None


class Output(NamedTuple):
    """Logits `(batch, time, classes)`; `keypoints` are None where they were not asked for."""

    actions: torch.Tensor
    keypoints: Keypoints | None = None


class Recognizer(nn.Module):
    """`encode` turns inputs into features of each stream, `read` turns those into decisions.

    The features between the two can be stored. Keypoints are read from the picture alone, never
    from the pose stream, so they cannot be copied. A visual encoder has `before` and `after`
    (frames of context) and `width`, and maps frames, crop centers and points (`Inputs`) to `(batch,
    time, width)`; its `maps_of` gives the maps of single frames, which need less context. The
    recognizer's own `before` and `after` are the context that `read` needs.
    """

    def __init__(
        self,
        visual: Cnn3d | Vit2d | ClipEncoder | None,
        pose: PoseEncoder | None,
        fusion: Fusion | None,
        temporal: Tcn | None,
        action: ActionHead,
        keypoints: SpatialKeypointHead | None = None,
        paws: PawBrightness | None = None,
        step: int = 1,
    ) -> None:
        super().__init__()
        self.step = step
        # The names of these attributes are those of the weights in a run folder.
        self.visual = visual
        self.pose = pose
        self.fusion = fusion
        self.temporal = temporal
        self.paws = paws
        self.action = action
        self.keypoints = keypoints
        self.before = step * temporal.before if temporal is not None else 0
        self.after = step * temporal.after if temporal is not None else 0

    def forward(
        self,
        inputs: Inputs,
        valid: torch.Tensor | None = None,
        *,
        halo: bool = False,
        maps: int = 1,
    ) -> Output:
        """Decide on the given frames, which are `step` apart.

        With `halo=True` the inputs carry the context of each stream. Keypoints are found in every
        `maps`-th frame, or in none with 0.
        """
        return self.read(self.encode(inputs, halo=halo, maps=maps), valid)

    def encode(self, inputs: Inputs, *, halo: bool = False, maps: int = 1) -> Streams:
        """Inputs to the features of each stream, and to maps of every `maps`-th frame."""
        visual, pose, grid = inputs.features, None, None
        if self.visual is not None and inputs.frames is not None:
            places = {"halo": halo, "points": inputs.points}
            if self.keypoints is None or not maps:
                visual = self.visual(inputs.frames, inputs.crop_centers, **places)
            else:
                visual, grid = self.visual(inputs.frames, inputs.crop_centers, maps=maps, **places)
        if self.pose is not None and inputs.pose is not None:
            pose = self.pose(inputs.pose, inputs.pose_inside, halo=halo)
            if self.paws is not None:
                pose = torch.cat([pose, self._paw_brightness(inputs, pose, halo)], -1)
        return Streams(visual, pose, grid)

    def _paw_brightness(self, inputs: Inputs, pose: torch.Tensor, halo: bool) -> torch.Tensor:
        assert self.paws is not None
        if inputs.frames is None or inputs.points is None or self.visual is None:
            return pose.new_zeros(*pose.shape[:2], self.paws.width)
        frames = inputs.frames.squeeze(1)
        if halo:
            frames = frames[:, self.visual.before : frames.shape[1] - self.visual.after]
        return self.paws(frames, inputs.points, inputs.negative)

    def read(
        self, streams: Streams, valid: torch.Tensor | None = None, *, dense: bool = False
    ) -> Output:
        """Features to decisions.

        `valid` `(batch, time)` is false beyond the recording, where there is no context. With
        `dense=True` the streams hold all frames, and each is compared with those `step` away.
        """
        if self.fusion is None:
            joined = next(stream for stream in streams if stream is not None)
        else:
            joined = self.fusion(streams)
        decide = self._decide_densely if dense and self.step > 1 else self._decide
        actions = decide(joined, valid)
        if self.keypoints is None or streams.maps is None:
            return Output(actions)
        return Output(actions, self.keypoints(streams.maps))

    def find_keypoints(self, frames: torch.Tensor) -> Keypoints:
        """Keypoints of single frames, with nothing else computed.

        `frames` `(batch, 1, before + 1 + after, height, width)` from 0 to 1 are each frame with the
        context that the visual encoder's maps need (`map_before`, `map_after`). The keypoints have
        one frame on their axis of time.
        """
        assert self.visual is not None
        assert self.keypoints is not None
        return self.keypoints(self.visual.maps_of(frames))

    def _decide_densely(self, features: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """Treat every `step`-th frame as a sequence of its own, all of them side by side."""
        batch, time, width = features.shape
        if valid is None:
            valid = features.new_ones(batch, time, dtype=torch.bool)
        padding = -time % self.step
        features, valid = F.pad(features, (0, 0, 0, padding)), F.pad(valid, (0, padding))
        sequences = features.view(batch, -1, self.step, width).transpose(1, 2).flatten(0, 1)
        inside = valid.view(batch, -1, self.step).transpose(1, 2).flatten(0, 1)
        actions = self._decide(sequences, inside)
        interleaved = actions.view(batch, self.step, -1, actions.shape[-1])
        return interleaved.transpose(1, 2).flatten(1, 2)[:, :time]

    def _decide(self, features: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """Logits `(batch, time, classes)`."""
        if self.temporal is not None:
            features = self.temporal(features, valid)
        return self.action(features)


class Fusion(nn.Module):
    """Joins the streams: `Streams` -> `(batch, time, width)`.

    `widths` are those of the visual and of the pose stream, 0 for one that the model does not have.
    A stream that the model has, but that is left out, is replaced by a learned vector. `concat`
    puts the streams side by side before a hidden layer, `gated` weighs them against each other
    frame by frame.
    """

    def __init__(self, widths: tuple[int, int], width: int, how: str, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.has = tuple(w > 0 for w in widths)
        own_widths = [w for w in widths if w]
        self.scale = nn.ModuleList(_to_width(w, width, dropout) for w in own_widths)
        self.absent: nn.ParameterList | None = None
        self.mix: nn.Sequential | None = None
        self.gate: nn.Linear | None = None
        if not all(self.has):
            return
        self.absent = nn.ParameterList(nn.Parameter(torch.zeros(width)) for _ in own_widths)
        if how == "concat":
            self.mix = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU())
        if how == "gated":
            self.gate = nn.Linear(2 * width, width)

    def forward(self, streams: Streams) -> torch.Tensor:
        scaled = self._scaled(streams)
        present = [stream for stream in scaled if stream is not None]
        if not present:
            raise ValueError("no stream has any input")
        if self.absent is None:
            return present[0]
        # A learned vector stands for the stream that is left out, in every frame.
        visual, pose = (
            absent.expand_as(present[0]) if stream is None else stream
            for stream, absent in zip(scaled, self.absent, strict=True)
        )
        return self._joined(visual, pose)

    def _scaled(self, streams: Streams) -> list[torch.Tensor | None]:
        """The streams that the model has, each at the common width; None for one left out."""
        own = [s for s, has in zip(streams[:2], self.has, strict=True) if has]
        return [
            None if stream is None else scale(stream)
            for stream, scale in zip(own, self.scale, strict=True)
        ]

    def _joined(self, visual: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
        pair = torch.cat([visual, pose], -1)
        if self.mix is not None:
            return self.mix(pair)
        assert self.gate is not None
        share = torch.sigmoid(self.gate(pair))
        return share * visual + (1 - share) * pose


def _to_width(width_in: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width_in), nn.Linear(width_in, width), nn.ReLU(), nn.Dropout(dropout)
    )
