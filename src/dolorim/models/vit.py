"""Pretrained image networks, one frame at a time: any of timm's.

The default is DINOv2 (Oquab et al. 2023, arXiv:2304.07193).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import nn

from dolorim.core.errors import UserError
from dolorim.models.pretrained import Picture, Source, State, check_patches, load_strictly, one_line

DEFAULT = "vit_small_patch14_dinov2.lvd142m"
_CHUNK = 64  # frames at a time, so that memory stays bounded


class Vit2d(nn.Module):
    """Frames to features: `(batch, 1, time, height, width)` from 0 to 1 -> `(batch, time, width)`.

    A frame's features are its class token (where the network has one) and the mean of its patch
    tokens; with `n_keypoints`, these are followed, for each keypoint, by the patch tokens
    interpolated at its `points` `(batch, time, keypoint, 2)`, and a 1. A missing keypoint (NaN)
    gives zeros and a 0. Nothing is learned here besides the network itself, so features of a frozen
    network can be stored. No context is needed.
    """

    before = after = map_before = map_after = 0
    net: Any  # timm's networks have attributes that nn.Module does not

    def __init__(self, name: str = DEFAULT, img_size: int = 112, n_keypoints: int = 0) -> None:
        super().__init__()
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
        batch, time = frames.shape[0], frames.shape[2]
        images = frames.transpose(1, 2).flatten(0, 1)
        if points is None:
            points = frames.new_full((batch, time, self.n_keypoints, 2), math.nan)
        points = points.flatten(0, 1)
        chunks, grids = [], []
        for i in range(0, len(images), _CHUNK):
            pooled, grid = self._tokens(self.picture(images[i : i + _CHUNK]))
            chunks.append(torch.cat([pooled, self._at(grid, points[i : i + _CHUNK])], -1))
            if maps:
                grids.append(grid)
        features = torch.cat(chunks).view(batch, time, self.width)
        if not maps:
            return features
        return features, torch.cat(grids).view(batch, time, *grids[0].shape[1:])[:, ::maps]

    def maps_of(self, frames: torch.Tensor) -> torch.Tensor:
        """Tokens of single frames: `(batch, 1, map_channels, rows, columns)`.

        `frames` are `(batch, 1, 1, height, width)`.
        """
        images = self.picture(frames[:, :, 0])
        return torch.cat([self._tokens(chunk)[1] for chunk in images.split(_CHUNK)])[:, None]

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
