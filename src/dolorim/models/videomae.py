"""VideoMAE, made dense in time.

Tong et al. 2022, arXiv:2203.12602, and Wang et al. 2023, arXiv:2303.16727.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from transformers import VideoMAEConfig, VideoMAEModel

from dolorim.core.errors import UserError
from dolorim.models.clips import CLIP, PATCH, TUBELET, ClipEncoder
from dolorim.models.pretrained import Source, State, check_patches, load_strictly

_PRETRAINED_AT = 224  # pixels

_VIDEOMAE2 = "OpenGVLab/VideoMAE2"
_VIDEOMAE2_LICENSE = "Apache-2.0 on its page, but the authors' VideoMAEv2 pages say CC BY-NC 4.0"
# Besides these, any name on the hub: MCG-NJU/videomae-small-..., MCG-NJU/videomae-base-...
SOURCES = {
    "videomae2_small": Source(
        _VIDEOMAE2, ("distill/vit_s_k710_dl_from_giant.pth",), _VIDEOMAE2_LICENSE
    ),
    "videomae2_base": Source(
        _VIDEOMAE2, ("distill/vit_b_k710_dl_from_giant.pth",), _VIDEOMAE2_LICENSE
    ),
}
SHAPES = {"small": (384, 12, 6), "base": (768, 12, 12)}  # width, layers, heads

# Names in the original layout -> names in transformers. The joint weights of queries, keys and
# values are split by `_split_attention`.
_NAMES = (
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^blocks\.(\d+)\.norm1\.", r"encoder.layer.\1.layernorm_before."),
    (r"^blocks\.(\d+)\.norm2\.", r"encoder.layer.\1.layernorm_after."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layer.\1.attention.output.dense."),
    (r"^blocks\.(\d+)\.attn\.q_bias$", r"encoder.layer.\1.attention.attention.query.bias"),
    (r"^blocks\.(\d+)\.attn\.v_bias$", r"encoder.layer.\1.attention.attention.value.bias"),
    (r"^blocks\.(\d+)\.mlp\.fc1\.", r"encoder.layer.\1.intermediate.dense."),
    (r"^blocks\.(\d+)\.mlp\.fc2\.", r"encoder.layer.\1.output.dense."),
    # As published before transformers 5:
    (r"\.attention\.attention\.q_bias$", ".attention.attention.query.bias"),
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
# Last norm of a checkpoint, and whether it comes before the tokens are averaged.
_NORMS = {"fc_norm": False, "norm": True, "layernorm": True}


class VideoMae3d(ClipEncoder):
    """VideoMAE and VideoMAE2; see `ClipEncoder`."""

    norms_tokens: torch.Tensor

    def __init__(
        self,
        name: str = "videomae2_small",
        img_size: int = _PRETRAINED_AT,
        shape: tuple[int, int, int] | None = None,
    ) -> None:
        """`shape` (width, layers, heads) follows from the name unless it is given.

        Raises `UserError` for a size that patches do not divide, or a name of unknown shape.
        """
        check_patches(name, img_size, PATCH)
        width, layers, heads = shape or _shape_of(name)
        super().__init__(width, img_size)
        self.source = SOURCES.get(name) or Source(name, license="CC BY-NC 4.0")
        config = VideoMAEConfig(
            image_size=_PRETRAINED_AT,
            patch_size=PATCH,
            num_frames=CLIP,
            tubelet_size=TUBELET,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            layer_norm_eps=1e-6,
            use_mean_pooling=True,
        )
        self.net = VideoMAEModel(config)
        embeddings = self.net.embeddings
        embeddings.position_embeddings = _resized(embeddings.position_embeddings, self.rows)
        embeddings.patch_embeddings.image_size = (img_size, img_size)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        # Saved with the weights, because checkpoints differ: fine-tuned ones normalize the mean of
        # the tokens, pretrained ones each token.
        self.register_buffer("norms_tokens", torch.tensor(False))

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The network's layers, from the first to the last, for `freeze`."""
        return [*self.net.encoder.layer]

    def adopt(self, state: State, where: str) -> None:
        """Load a checkpoint: the original layout (VideoMAE2's distilled ones) or transformers'.

        Heads and decoders are dropped by name. Raises `UserError` where anything else is missing or
        left over, and where the biases of queries or values are all zero.
        """
        norms = [n for n in _NORMS if f"{n}.weight" in state or f"videomae.{n}.weight" in state]
        if len(norms) != 1:
            raise UserError(
                f"{where}: not VideoMAE weights: expected one of {', '.join(_NORMS)}, "
                f"found {', '.join(norms) or 'none'}"
            )
        renamed = _renamed(state, norms[0], where)
        self._refuse_lost_biases(renamed, where)
        load_strictly(self, {**renamed, "norms_tokens": torch.tensor(_NORMS[norms[0]])}, where)

    def _refuse_lost_biases(self, state: State, where: str) -> None:
        """Biases that are all zero are what a wrong conversion leaves, without any error."""
        for layer in range(len(self.blocks)):
            for kind in ("query", "value"):
                bias = state.get(_attention_name(layer, kind, "bias"))
                if bias is not None and not bias.any():
                    raise UserError(
                        f"{where}: the {kind} biases of layer {layer} are all zero, as if a "
                        "conversion had lost them; use the file as it was published"
                    )

    def tokens_of(self, clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images = self.picture(clips.flatten(0, 1))
        tokens = self.net(images.view(-1, CLIP, *images.shape[1:])).last_hidden_state.float()
        tokens = tokens.view(len(tokens), CLIP // TUBELET, -1, self.width)
        if self.norms_tokens:
            tokens = self.norm(tokens)
            return tokens.mean(2), tokens
        return self.norm(tokens.mean(2)), tokens


def _renamed(state: State, norm: str, where: str) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors under our names; unknown ones keep theirs and are found left over."""
    renamed: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        name = key.removeprefix("videomae.")
        if name.startswith(_HEADS):
            continue
        if name.startswith(f"{norm}."):
            renamed[name.replace(norm, "norm", 1)] = value
        elif joint := _QKV.match(name):
            renamed |= _split_attention(key, value, int(joint[1]), where)
        else:
            for pattern, ours in _NAMES:
                name = re.sub(pattern, ours, name)
            renamed[f"net.{name}"] = value
    return renamed


def _split_attention(
    key: str, value: torch.Tensor, layer: int, where: str
) -> dict[str, torch.Tensor]:
    """Joint weights `(3 * width, width)` of a layer's queries, keys and values, one by one."""
    if value.dim() != 2 or value.shape[0] != 3 * value.shape[1]:
        width = value.shape[-1] if value.dim() else 0
        raise UserError(
            f"{where}: {key}: expected the shape {(3 * width, width)}, found {tuple(value.shape)}"
        )
    parts = zip(("query", "key", "value"), value.chunk(3), strict=True)
    return {_attention_name(layer, part, "weight"): tensor for part, tensor in parts}


def _attention_name(layer: int, part: str, kind: str) -> str:
    return f"net.encoder.layer.{layer}.attention.attention.{part}.{kind}"


def _resized(positions: torch.Tensor, rows: int) -> torch.Tensor:
    """Positions `(1, steps * places, width)`, resampled to a picture of `rows * rows` places."""
    before = _PRETRAINED_AT // PATCH
    if rows == before:
        return positions
    grid = positions.view(CLIP // TUBELET, before, before, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (rows, rows), mode="bicubic", align_corners=False)
    return grid.permute(0, 2, 3, 1).reshape(1, -1, positions.shape[2])


def _shape_of(name: str) -> tuple[int, int, int]:
    for size, shape in SHAPES.items():
        if size in name:
            return shape
    raise UserError(
        f"--encoder_name {name}: expected {', '.join(SOURCES)}, "
        "or a VideoMAE of size small or base on the hub"
    )
