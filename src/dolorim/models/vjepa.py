"""V-JEPA 2, made dense in time (Assran et al. 2025, arXiv:2506.09985)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers import VJEPA2Config
from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2Encoder

from dolorim.core.errors import UserError
from dolorim.models.clips import CLIP, PATCH, TUBELET, ClipEncoder
from dolorim.models.pretrained import Source, State, check_patches, load_strictly

DEFAULT = "facebook/vjepa2-vitl-fpc64-256"
_LICENSE = "MIT"
# Width, layers, heads, and the hidden layer's width relative to it.
SHAPES = {
    "vitl": (1024, 24, 16, 4.0),
    "vith": (1280, 32, 16, 4.0),
    "vitg": (1408, 40, 22, 48 / 11),
}
_HEADS = ("predictor.", "pooler.", "classifier.")


class VJepa2(ClipEncoder):
    """The encoder of V-JEPA 2 without its predictor; see `ClipEncoder`.

    Its positions are rotations, so it takes pictures of any size that patches divide.
    """

    def __init__(
        self,
        name: str = DEFAULT,
        img_size: int = 256,
        shape: tuple[int, int, int, float] | None = None,
    ) -> None:
        """`shape` follows from the name unless it is given.

        Raises `UserError` for a size that patches do not divide, or a name of unknown shape.
        """
        check_patches(name, img_size, PATCH)
        width, layers, heads, ratio = shape or _shape_of(name)
        super().__init__(width, img_size)
        self.source = Source(name, license=_LICENSE)
        config = VJEPA2Config(
            patch_size=PATCH,
            crop_size=img_size,
            frames_per_clip=CLIP,
            tubelet_size=TUBELET,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            mlp_ratio=ratio,
        )
        config._attn_implementation = "sdpa"
        self.net = VJEPA2Encoder(config)

    @property
    def blocks(self) -> Sequence[nn.Module]:
        layers = [*self.net.layer]
        return [*layers[:-1], nn.ModuleList([layers[-1], self.net.layernorm])]

    def adopt(self, state: State, where: str) -> None:
        """Load a checkpoint in the layout of transformers; predictor and heads are dropped.

        Raises `UserError` where anything else is missing or left over.
        """
        kept = {}
        for key, value in state.items():
            name = key.removeprefix("vjepa2.")
            if not name.startswith(_HEADS):
                kept[name.removeprefix("encoder.")] = value
        load_strictly(self.net, kept, where)

    def tokens_of(self, clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images = self.picture(clips.flatten(0, 1))
        tokens = self.net(images.view(-1, CLIP, *images.shape[1:])).last_hidden_state.float()
        tokens = tokens.view(len(tokens), CLIP // TUBELET, -1, self.width)
        return tokens.mean(2), tokens


def _shape_of(name: str) -> tuple[int, int, int, float]:
    for size, shape in SHAPES.items():
        if size in name:
            return shape
    raise UserError(
        f"--encoder_name {name}: expected a V-JEPA 2 of size {', '.join(SHAPES)} on the hub, "
        f"such as {DEFAULT}"
    )
