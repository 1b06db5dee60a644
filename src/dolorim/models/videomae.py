"""VideoMAE (Tong et al. 2022, arXiv:2203.12602; Wang et al. 2023, arXiv:2303.16727), made dense in time."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from transformers import VideoMAEConfig, VideoMAEModel

from dolorim.core.errors import UserError
from dolorim.models.pretrained import Picture, Source, State, load_strictly

CLIP, HOP, TUBELET, PATCH = 16, 8, 2, 16  # frames, frames, frames, pixels
_PRETRAINED_AT = 224  # pixels
_CHUNK = 8  # clips at a time: memory stays bounded
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_TWO = "Apache-2.0 on its page, but the authors' VideoMAEv2 pages say CC BY-NC 4.0"
SOURCES = {
    "videomae2_small": Source(
        "OpenGVLab/VideoMAE2", ("distill/vit_s_k710_dl_from_giant.pth",), _TWO
    ),
    "videomae2_base": Source(
        "OpenGVLab/VideoMAE2", ("distill/vit_b_k710_dl_from_giant.pth",), _TWO
    ),
}  # beside these: MCG-NJU/videomae-small-..., MCG-NJU/videomae-base-...
SHAPES = {"small": (384, 12, 6), "base": (768, 12, 12)}  # width, layers, heads

# Original layout -> transformers. The attention's qkv, q_bias and v_bias are split by `_renamed`.
_NAMES = (
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^blocks\.(\d+)\.norm1\.", r"encoder.layer.\1.layernorm_before."),
    (r"^blocks\.(\d+)\.norm2\.", r"encoder.layer.\1.layernorm_after."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layer.\1.attention.output.dense."),
    (r"^blocks\.(\d+)\.attn\.q_bias$", r"encoder.layer.\1.attention.attention.query.bias"),
    (r"^blocks\.(\d+)\.attn\.v_bias$", r"encoder.layer.\1.attention.attention.value.bias"),
    (r"^blocks\.(\d+)\.mlp\.fc1\.", r"encoder.layer.\1.intermediate.dense."),
    (r"^blocks\.(\d+)\.mlp\.fc2\.", r"encoder.layer.\1.output.dense."),
    (
        r"\.attention\.attention\.q_bias$",
        ".attention.attention.query.bias",
    ),  # published before transformers 5
    (r"\.attention\.attention\.v_bias$", ".attention.attention.value.bias"),
)
_QKV = re.compile(r"^blocks\.(\d+)\.attn\.qkv\.weight$")
_HEADS = (
    "head.",
    "classifier.",
    "decoder.",
    "encoder_to_decoder.",
    "mask_token",
    "position_embeddings",
)
_NORMS = {
    "fc_norm": False,
    "norm": True,
    "layernorm": True,
}  # which of them comes before the tokens are averaged


class VideoMae3d(nn.Module):
    """Frames to features: `(batch, 1, time, height, width)` from 0 to 1 -> `(batch, time, width)`.

    Clips of 16 frames start every 8, from 8 before the first frame asked for. A clip's tokens are averaged over the
    picture; token k stands for frames 2k and 2k + 1, so it is at 2k + 0.5, and frames take what lies between tokens by
    linear interpolation. A frame is in two clips, which are weighted by how near their middles are (the two weights
    add up to 1). With `halo=True` the frames carry `before` and `after` more; otherwise the outermost frames are
    repeated. Chunks that start at multiples of 8 give what the whole gives. `points` are not used.
    """

    before = after = HOP
    map_before = map_after = 2 * HOP - 1
    norms_tokens: torch.Tensor
    weight: torch.Tensor

    def __init__(
        self,
        name: str = "videomae2_small",
        img_size: int = _PRETRAINED_AT,
        shape: tuple[int, int, int] | None = None,
    ) -> None:
        """`shape` (width, layers, heads) is read from the name where it is not given."""
        super().__init__()
        self.source = SOURCES.get(name) or Source(name, licence="CC BY-NC 4.0")
        width, layers, heads = shape or _shape_of(name)
        if img_size < PATCH or img_size % PATCH:
            fits = max(round(img_size / PATCH), 1) * PATCH
            raise UserError(
                f"--img_size {img_size}: {name} needs a multiple of {PATCH} pixels, its patch, such as {fits}"
            )
        self.width = self.map_channels = width
        self.picture = Picture(img_size, _MEAN, _STD)
        self.rows = img_size // PATCH
        config = VideoMAEConfig(
            image_size=_PRETRAINED_AT, patch_size=PATCH, num_frames=CLIP, tubelet_size=TUBELET, hidden_size=width,
            num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * width, layer_norm_eps=1e-6,
            use_mean_pooling=True,
        )  # fmt: skip
        self.net = VideoMAEModel(config)
        embeddings = self.net.embeddings
        embeddings.position_embeddings = _resized(embeddings.position_embeddings, self.rows)
        embeddings.patch_embeddings.image_size = (img_size, img_size)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        # Saved with the weights, because checkpoints differ: fine-tuned ones norm the mean, pretrained ones the tokens.
        self.register_buffer("norms_tokens", torch.tensor(False))
        ramp = 1 - (torch.arange(CLIP) - (CLIP - 1) / 2).abs() / HOP
        self.register_buffer("weight", ramp[:, None], persistent=False)

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The network's layers, from the first to the last, for `freeze`."""
        return [*self.net.encoder.layer]

    def without_points(self, features: torch.Tensor) -> torch.Tensor:
        """The same: it looks at no keypoints."""
        return features

    def adopt(self, state: State, where: str) -> None:
        """Take over a checkpoint: the original layout (VideoMAE2's distilled ones) or that of transformers.

        Heads and decoders are dropped by name. Raises `UserError` where anything else is missing or left over, and
        where the biases of queries and values are all zero: loading them wrongly gives that, and no error.
        """
        norms = [n for n in _NORMS if f"{n}.weight" in state or f"videomae.{n}.weight" in state]
        if len(norms) != 1:
            found = ", ".join(norms) or "none"
            raise UserError(
                f"{where}: not VideoMAE weights: expected one of {', '.join(_NORMS)}, found {found}"
            )
        renamed = _renamed(state, norms[0], where)
        for kind in ("query", "value"):
            for layer in range(len(self.blocks)):
                bias = renamed.get(f"net.encoder.layer.{layer}.attention.attention.{kind}.bias")
                if bias is not None and not bias.any():
                    raise UserError(
                        f"{where}: the {kind} biases of layer {layer} are all zero, as if a conversion had lost them; "
                        "take the file as it was published"
                    )
        load_strictly(self, {**renamed, "norms_tokens": torch.tensor(_NORMS[norms[0]])}, where)

    def forward(
        self,
        frames: torch.Tensor,
        track: torch.Tensor | None = None,
        *,
        halo: bool = False,
        points: torch.Tensor | None = None,
        maps: int = 0,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """With `maps` also the tokens of every `maps`-th frame, `(batch, frames, width, rows, columns)`."""
        batch = len(frames)
        time = frames.shape[2] - (self.before + self.after) * halo
        left, right = (0, 0) if halo else (self.before, self.after)
        index = torch.arange(-left, frames.shape[2] + right + -time % HOP, device=frames.device)
        clips = frames[:, :, index.clamp(0, frames.shape[2] - 1)].unfold(2, CLIP, HOP)
        clips = clips.permute(0, 2, 5, 1, 3, 4).flatten(
            0, 1
        )  # (batch * clip, frame, 1, height, width)
        found, grids = [], []
        for i in range(0, len(clips), _CHUNK):
            images = self.picture(clips[i : i + _CHUNK].flatten(0, 1))
            tokens = self.net(images.view(-1, CLIP, *images.shape[1:])).last_hidden_state.float()
            tokens = tokens.view(
                len(tokens), CLIP // TUBELET, -1, self.width
            )  # (clip, step, place, width)
            if self.norms_tokens:
                tokens = self.norm(tokens)
                found.append(tokens.mean(2))
            else:
                found.append(self.norm(tokens.mean(2)))
            if maps:
                grids.append(tokens.flatten(2))
        features = self._to_frames(torch.cat(found), batch)[:, :time]
        if not maps:
            return features
        grid = self._to_frames(torch.cat(grids), batch)[:, :time:maps]
        return features, grid.view(batch, -1, self.rows, self.rows, self.width).permute(
            0, 1, 4, 2, 3
        )

    def maps_of(self, frames: torch.Tensor) -> torch.Tensor:
        """Tokens of the frames in the middle, `(batch, 1, width, rows, columns)`, of two clips each; `frames` `(batch,
        1, map_before + 1 + map_after, height, width)`.

        In prediction clips start at every eighth frame, wherever a frame lies in them. So here the first window has
        its frame at one place, the next at another, and so on.
        """
        place = HOP - 1 - torch.arange(len(frames), device=frames.device) % HOP
        starts = (HOP - 1 - place).tolist()
        windows = [
            f[:, start : start + HOP + CLIP] for f, start in zip(frames, starts, strict=True)
        ]
        _, grids = self(torch.stack(windows), halo=True, maps=1)
        return grids[torch.arange(len(frames), device=frames.device), place][:, None]

    def _to_frames(self, steps: torch.Tensor, batch: int) -> torch.Tensor:
        """Steps of clips `(batch * clip, 8, n)` to frames `(batch, 8 * (clips - 1), n)`."""
        stretched = F.interpolate(
            steps.transpose(1, 2), scale_factor=TUBELET, mode="linear"
        ).transpose(1, 2)
        weighted = (stretched * self.weight).view(batch, -1, *stretched.shape[1:])
        return (weighted[:, :-1, HOP:] + weighted[:, 1:, :HOP]).flatten(1, 2)


def _renamed(state: State, norm: str, where: str) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors under our names; what is unknown keeps its name and is found left over."""
    found: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        name = key.removeprefix("videomae.")
        if name.startswith(_HEADS):
            continue
        if name.startswith(f"{norm}."):
            found[name.replace(norm, "norm", 1)] = value
        elif qkv := _QKV.match(name):
            if value.dim() != 2 or value.shape[0] != 3 * value.shape[1]:
                width = value.shape[-1] if value.dim() else 0
                raise UserError(
                    f"{where}: {key}: expected the shape {(3 * width, width)}, found {tuple(value.shape)}"
                )
            for part, tensor in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[f"net.encoder.layer.{qkv[1]}.attention.attention.{part}.weight"] = tensor
        else:
            for pattern, ours in _NAMES:
                name = re.sub(pattern, ours, name)
            found[f"net.{name}"] = value
    return found


def _resized(positions: torch.Tensor, rows: int) -> torch.Tensor:
    """Positions `(1, steps * places, width)` of the pretrained picture, resampled to one of `rows * rows` places."""
    before = _PRETRAINED_AT // PATCH
    if rows == before:
        return positions
    grid = positions.view(CLIP // TUBELET, before, before, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (rows, rows), mode="bicubic", align_corners=False)
    return grid.permute(0, 2, 3, 1).reshape(1, -1, positions.shape[2])


def _shape_of(name: str) -> tuple[int, int, int]:
    shape: tuple[int, int, int] | None
    shape = next((s for size, s in SHAPES.items() if size in name), None)
    if shape is None:
        known = ", ".join(SOURCES)
        raise UserError(
            f"--encoder_name {name}: expected {known}, or a VideoMAE of the size small or base on the hub"
        )
    return shape
