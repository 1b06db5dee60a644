"""The one model: streams that see, fusion that joins them, what looks along time, and heads that read."""

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
from dolorim.models.tcn import Refinement, Tcn

if TYPE_CHECKING:  # their libraries take seconds to load
    from dolorim.models.videomae import VideoMae3d
    from dolorim.models.vit import Vit2d


@dataclass(frozen=True)
class Inputs:
    """What the streams see of a stretch of `time` frames. A stream that has nothing to see has None.

    `frames` `(batch, 1, time, height, width)` from 0 to 1, `track` `(batch, time, 2)` centers of the crop in sides of
    the crop, both with the visual encoder's halo; `pose` `(batch, time, features)`, NaN where missing, with the pose
    encoder's halo, and `pose_inside` `(batch, time)`, false beyond the recording; `points` `(batch, time, keypoint, 2)`
    in the crop, from -1 to 1, NaN where missing, without halo. `features` `(batch, time, width)` stand for frames that
    a frozen visual encoder has seen before. `negative` `(batch,)` says which windows augmentation has turned to
    negatives; None for none.
    """

    frames: torch.Tensor | None = None
    track: torch.Tensor | None = None
    pose: torch.Tensor | None = None
    pose_inside: torch.Tensor | None = None
    points: torch.Tensor | None = None
    features: torch.Tensor | None = None
    negative: torch.Tensor | None = None


class Streams(NamedTuple):
    """What the streams have seen, `(batch, time, width of the stream)`; None where a stream was left out.

    `maps` `(batch, time, channels, height, width)` are what is left of the picture, for keypoints.
    """

    visual: torch.Tensor | None
    pose: torch.Tensor | None
    maps: torch.Tensor | None = None


class Output(NamedTuple):
    """`actions` logits `(batch, time, classes)`, the last of `stages` `(stages, batch, time, classes)`.

    `keypoints` are None where they were not asked for.
    """

    actions: torch.Tensor
    stages: torch.Tensor
    keypoints: Keypoints | None = None


class Recognizer(nn.Module):
    """`encode` sees, `read` decides; what lies between can be stored.

    Keypoints are read from the picture alone, never from the pose stream, so that they cannot be copied. A visual
    encoder has `before`, `after` (frames of context), `width`, and maps frames, track and points (`Inputs`) to
    `(batch, time, width)`; its `maps_of` gives the maps of single frames, which need less context. The recognizer's
    own `before` and `after` are how far `read` looks along time.
    """

    def __init__(
        self,
        visual: Cnn3d | Vit2d | VideoMae3d | None,
        pose: PoseEncoder | None,
        fusion: Fusion | None,
        temporal: Tcn | None,
        action: ActionHead,
        refine: Refinement | None = None,
        keypoints: SpatialKeypointHead | None = None,
        paws: PawBrightness | None = None,
        step: int = 1,
    ) -> None:
        super().__init__()
        self.step = step
        self.visual, self.pose, self.fusion, self.temporal, self.paws = (
            visual,
            pose,
            fusion,
            temporal,
            paws,
        )
        self.action, self.refine, self.keypoints = action, refine, keypoints
        self.before, self.after = (
            step * sum(getattr(part, side) for part in (temporal, refine) if part is not None)
            for side in ("before", "after")
        )

    def forward(
        self,
        inputs: Inputs,
        valid: torch.Tensor | None = None,
        *,
        halo: bool = False,
        maps: int = 1,
    ) -> Output:
        """Decide on the frames given, `step` apart. With `halo=True` the inputs carry the streams' context.

        Keypoints are found in every `maps`-th frame, in none with 0.
        """
        return self.read(self.encode(inputs, halo=halo, maps=maps), valid)

    def encode(self, inputs: Inputs, *, halo: bool = False, maps: int = 1) -> Streams:
        """Inputs to the features of each stream, and to maps of every `maps`-th frame."""
        visual, pose, grid = inputs.features, None, None
        if self.visual is not None and inputs.frames is not None:
            where = {"halo": halo, "points": inputs.points}
            if self.keypoints is None or not maps:
                visual = self.visual(inputs.frames, inputs.track, **where)
            else:
                visual, grid = self.visual(inputs.frames, inputs.track, maps=maps, **where)
        if self.pose is not None and inputs.pose is not None:
            pose = self.pose(inputs.pose, inputs.pose_inside, halo=halo)
            if self.paws is not None:
                pose = torch.cat([pose, self._brightness(inputs, pose, halo)], -1)
        return Streams(visual, pose, grid)

    def _brightness(self, inputs: Inputs, pose: torch.Tensor, halo: bool) -> torch.Tensor:
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
        """Features to decisions. `valid` `(batch, time)` is false beyond the recording; there is no context there.

        With `dense=True` they are those of all frames, of which each is compared with those `step` away.
        """
        seen = (
            [next(s for s in streams if s is not None)]
            if self.fusion is None
            else self.fusion(streams)
        )
        look = self._decide_densely if dense and self.step > 1 else self._decide
        found = [look(features, valid) for features in seen]
        stages = (
            found[0] if len(found) == 1 else torch.stack([f.log_softmax(-1) for f in found]).mean(0)
        )
        if self.keypoints is None or streams.maps is None:
            return Output(stages[-1], stages)
        return Output(stages[-1], stages, self.keypoints(streams.maps))

    def find_keypoints(self, frames: torch.Tensor) -> Keypoints:
        """Keypoints of single frames, with nothing else computed.

        `frames` `(batch, 1, before + 1 + after, height, width)` from 0 to 1 are each frame with the context that the
        visual encoder's maps of it need (`map_before`, `map_after`). Time is 1 in what comes out.
        """
        assert self.visual is not None
        assert self.keypoints is not None
        return self.keypoints(self.visual.maps_of(frames))

    def _decide_densely(self, features: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """Every `step`-th frame is a sequence of its own, and all of them are decided on side by side."""
        batch, time, width = features.shape
        if valid is None:
            valid = features.new_ones(batch, time, dtype=torch.bool)
        lacking = -time % self.step
        features, valid = F.pad(features, (0, 0, 0, lacking)), F.pad(valid, (0, lacking))
        apart = features.view(batch, -1, self.step, width).transpose(1, 2).flatten(0, 1)
        stages = self._decide(apart, valid.view(batch, -1, self.step).transpose(1, 2).flatten(0, 1))
        together = stages.view(len(stages), batch, self.step, -1, stages.shape[-1]).transpose(2, 3)
        return together.flatten(2, 3)[:, :, :time]

    def _decide(self, features: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        if self.temporal is not None:
            features = self.temporal(features, valid)
        actions = self.action(features)
        return actions[None] if self.refine is None else self.refine(actions, valid)


class Fusion(nn.Module):
    """Joins what the streams have seen: `Streams` -> a list of `(batch, time, width)`, one entry but for `late`.

    `widths` are those of the visual and of the pose stream, 0 for one that the model does not have. A stream that it
    has, and that is left out, is replaced by a learned vector. `concat` lays the streams side by side before a hidden
    layer, `gated` weighs them against each other frame by frame, `late` lets each decide alone.
    """

    def __init__(self, widths: tuple[int, int], width: int, how: str, dropout: float) -> None:
        super().__init__()
        self.how, self.width = how, width
        self.scale = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(w), nn.Linear(w, width), nn.ReLU(), nn.Dropout(dropout))
            for w in widths
            if w
        )
        self.has = tuple(w > 0 for w in widths)
        both = all(self.has)
        self.absent = (
            nn.ParameterList(nn.Parameter(torch.zeros(width)) for w in widths if w)
            if both
            else None
        )
        self.mix = (
            nn.Sequential(nn.Linear(2 * width, width), nn.ReLU())
            if both and how == "concat"
            else None
        )
        self.gate = nn.Linear(2 * width, width) if both and how == "gated" else None

    def forward(self, streams: Streams) -> list[torch.Tensor]:
        mine = [s for s, has in zip(streams[:2], self.has, strict=True) if has]
        there = [s for s in mine if s is not None]
        if not there:
            raise ValueError("no stream has anything to see")
        seen = [None if s is None else scale(s) for s, scale in zip(mine, self.scale, strict=True)]
        if self.absent is None or self.how == "late":
            return [s for s in seen if s is not None]
        batch, time = there[0].shape[:2]
        one, two = (
            a.expand(batch, time, self.width) if s is None else s
            for s, a in zip(seen, self.absent, strict=True)
        )
        pair = torch.cat([one, two], -1)
        if self.mix is not None:
            return [self.mix(pair)]
        assert self.gate is not None
        share = torch.sigmoid(self.gate(pair))
        return [share * one + (1 - share) * two]
