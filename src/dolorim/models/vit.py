"""Pretrained image networks, one frame at a time: any of timm's.

The default is DINOv2 (Oquab et al. 2023, arXiv:2304.07193).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import timm
import torch
import torch.nn.functional as F
from torch import nn

from dolorim.core.errors import UserError
from dolorim.models.motion_maps import LAGS, MOST_MOTION, MotionMaps
from dolorim.models.pretrained import Picture, Source, State, check_patches, load_strictly, one_line

DEFAULT = "vit_small_patch14_dinov2.lvd142m"
_CHUNK = 64  # frames at a time, so that memory stays bounded


class Vit2d(nn.Module):
    """Frames to features: `(batch, 1, time, height, width)` from 0 to 1 -> `(batch, time, width)`.

    A frame's features are its class token (where the network has one) and the mean of its patch
    tokens; with `n_keypoints`, these are followed, for each keypoint, by the patch tokens
    interpolated at its `points` `(batch, time, keypoint, 2)`, and a 1. A missing keypoint (NaN)
    gives zeros and a 0. Nothing is learned here besides the network itself, so features of a frozen
    network can be stored.

    With `sees="maps"`, the three colors are maps of outline, quick and slower motion, which need a
    few frames of context; pictures need none. With four `turns`, pooled features are the mean over
    the picture turned by 0, 90, 180 and 270 degrees: seen from below, an animal has no upright
    orientation.
    """

    net: Any  # timm's networks have attributes that nn.Module does not

    def __init__(
        self,
        name: str = DEFAULT,
        img_size: int = 112,
        n_keypoints: int = 0,
        sees: Literal["picture", "maps"] = "picture",
        turns: Literal[1, 4] = 1,
    ) -> None:
        super().__init__()
        self.motion_maps = MotionMaps(LAGS) if sees == "maps" else None
        self.turns = turns
        self.before = self.after = max(LAGS) if sees == "maps" else 0
        self.map_before = self.map_after = self.before
        self.net = _network(name)
        config = self.net.pretrained_cfg
        repository = config.get("hf_hub_id") or f"timm/{name}"
        self.source = Source(repository, license=config.get("license") or Source.license)
        self.picture = Picture(img_size, config["mean"], config["std"])
        self.map_channels = int(self.net.num_features)
        self.n_prefix = int(getattr(self.net, "num_prefix_tokens", 0) or 0)
        self.has_class_token = getattr(self.net, "cls_token", None) is not None
        _check_size(self.net, name, img_size)
        self.n_keypoints = n_keypoints
        self.pooled = (1 + self.has_class_token) * self.map_channels
        self.width = self.pooled + n_keypoints * (self.map_channels + 1)

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The network's parts from first to last, for `freeze`; the last one has the last norm."""
        parts: list[nn.Module] = []
        for attribute in ("blocks", "stages", "layers"):  # transformers and ConvNets
            if hasattr(self.net, attribute):
                parts = [*getattr(self.net, attribute)]
                break
        if not parts:  # ResNets
            parts = [p for name, p in self.net.named_children() if name.startswith("layer")]
        norm = getattr(self.net, "norm", None)
        if parts and isinstance(norm, nn.Module):
            parts[-1] = nn.ModuleList([parts[-1], norm])
        return parts

    def without_points(self, features: torch.Tensor) -> torch.Tensor:
        """The features of the same frames as if no keypoint were known."""
        return F.pad(features[..., : self.pooled], (0, self.width - self.pooled))

    def adopt(self, state: State, where: str) -> None:
        """Load a checkpoint in timm's layout, which DINOv2's own files have too.

        The classifier is dropped. Raises `UserError` where anything else does not fit.
        """
        classifier = self.net.pretrained_cfg.get("classifier") or "head"
        heads = [classifier] if isinstance(classifier, str) else [*classifier]
        dropped = ("mask_token", *(f"{head}." for head in heads))
        kept = {name: value for name, value in state.items() if not name.startswith(dropped)}
        load_strictly(self.net, kept, where)

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

        Tokens are `(batch, frames, map_channels, rows, columns)`.
        """
        images = self._images(frames if halo else self._with_halo(frames))
        batch = len(frames)
        time = len(images) // batch
        if points is None:
            points = frames.new_full((batch, time, self.n_keypoints, 2), math.nan)
        points = points.flatten(0, 1)
        chunks, grids = [], []
        for i in range(0, len(images), _CHUNK):
            pooled, grid = self._seen(self.picture(images[i : i + _CHUNK]))
            chunks.append(torch.cat([pooled, self._at(grid, points[i : i + _CHUNK])], -1))
            if maps:
                grids.append(grid)
        features = torch.cat(chunks).view(batch, time, self.width)
        if not maps:
            return features
        return features, torch.cat(grids).view(batch, time, *grids[0].shape[1:])[:, ::maps]

    def maps_of(self, frames: torch.Tensor) -> torch.Tensor:
        """Tokens of single frames: `(batch, 1, map_channels, rows, columns)`.

        `frames` are `(batch, 1, map_before + 1 + map_after, height, width)`.
        """
        images = self.picture(self._images(frames))
        return torch.cat([self._tokens(chunk)[1] for chunk in images.split(_CHUNK)])[:, None]

    def _with_halo(self, frames: torch.Tensor) -> torch.Tensor:
        """The frames with the first and the last repeated as context."""
        head = frames[:, :, :1].expand(-1, -1, self.before, -1, -1)
        tail = frames[:, :, -1:].expand(-1, -1, self.after, -1, -1)
        return torch.cat([head, frames, tail], 2)

    def _images(self, frames: torch.Tensor) -> torch.Tensor:
        """What the network looks at, from 0 to 1: one picture per frame that is no context.

        `(batch, 1, time, height, width)` -> `(pictures, 1 or 3, height, width)`.
        """
        if self.motion_maps is None:
            return frames.transpose(1, 2).flatten(0, 1)
        with torch.autocast(frames.device.type, enabled=False):
            maps = self.motion_maps(frames.squeeze(1).float())
            outline = maps.inner_picture.abs()
            quick, slow = maps.motion[0], maps.motion[-1]
            colors = [outline / (1 + outline), quick / MOST_MOTION, slow / MOST_MOTION]
            return torch.stack(colors, 2).flatten(0, 1)

    def _seen(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pooled features, averaged over the turns, and the grid of the picture as it is."""
        pooled, grid = self._tokens(images)
        if self.turns == 1:
            return pooled, grid
        turned = [self._tokens(images.rot90(k, (2, 3)))[0] for k in range(1, self.turns)]
        return torch.stack([pooled, *turned]).mean(0), grid

    def _tokens(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures to pooled features `(n, width)` and a grid `(n, channels, rows, columns)`.

        Both are float32.
        """
        tokens = self.net.forward_features(images).float()
        if tokens.dim() == 4:  # a network without tokens; some have channels last
            grid = tokens if tokens.shape[1] == self.map_channels else tokens.permute(0, 3, 1, 2)
            return grid.mean((2, 3)), grid
        patches = tokens[:, self.n_prefix :]
        pooled = patches.mean(1)
        if self.has_class_token:
            pooled = torch.cat([tokens[:, 0], pooled], -1)
        rows = math.isqrt(patches.shape[1])
        return pooled, patches.transpose(1, 2).reshape(len(tokens), self.map_channels, rows, -1)

    def _at(self, grid: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """The grid at points `(n, keypoint, 2)`: `(n, keypoint * (channels + 1))`."""
        known = ~points.isnan().any(-1, keepdim=True)
        places = points.nan_to_num(0.0)[:, :, None].to(grid.dtype)
        with torch.autocast(grid.device.type, enabled=False):
            samples = F.grid_sample(grid, places, padding_mode="border", align_corners=False)
        tokens = samples[..., 0].transpose(1, 2) * known
        return torch.cat([tokens, known.to(grid.dtype)], -1).flatten(1)


def _network(name: str) -> Any:
    try:
        try:
            return timm.create_model(name, num_classes=0, dynamic_img_size=True)
        except TypeError:  # ConvNets take any size, and do not know this argument
            return timm.create_model(name, num_classes=0)
    except OSError as error:
        raise UserError(
            f"--encoder_name {name}: its description is neither on this machine nor can it be "
            f"downloaded ({one_line(error)})"
        ) from None
    except (RuntimeError, ValueError) as error:
        family = name.split(".")[0].split("_")[0]
        similar = ", ".join(timm.list_pretrained(f"*{family}*")[:3]) or DEFAULT
        raise UserError(
            f"--encoder_name {name}: timm has no such network ({one_line(error)}); "
            f"it has {similar}, ..."
        ) from None


def _check_size(net: Any, name: str, img_size: int) -> None:
    patch = getattr(getattr(net, "patch_embed", None), "patch_size", (1, 1))[0]
    check_patches(name, img_size, patch)
    try:
        with torch.no_grad():
            net.eval().forward_features(torch.zeros(1, 3, img_size, img_size))
    except (AssertionError, RuntimeError) as error:
        size = net.pretrained_cfg["input_size"][-1]
        raise UserError(
            f"--image_size {img_size}: {name} cannot take it ({error}); it was made for {size}"
        ) from None
    net.train()
