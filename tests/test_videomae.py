"""VideoMAE: what it computes, at which frames, and which checkpoints it takes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from dolorim.core.errors import UserError
from dolorim.models.pretrained import fingerprint, load_encoder

with warnings.catch_warnings():  # what they import is not ours to mend
    warnings.simplefilter("ignore")
    from transformers import VideoMAEConfig, VideoMAEModel

    from dolorim.models.videomae import VideoMae3d

SHAPE = (24, 2, 3)  # width, layers, heads
State = dict[str, torch.Tensor]


def videomae(img_size: int = 32) -> VideoMae3d:
    torch.manual_seed(0)
    model = VideoMae3d("videomae2_small", img_size, SHAPE).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def video(time: int) -> torch.Tensor:
    return torch.rand(1, 1, time, 32, 32, generator=torch.Generator().manual_seed(5))


def original_tokens(state: State, clip: torch.Tensor, layers: int, heads: int) -> torch.Tensor:
    """VideoMAE2 as published, written anew: `(batch, 3, 16, height, width)` -> tokens `(batch,
    token, width)`."""
    kernel = state["patch_embed.proj.weight"]
    patches = (
        clip.unfold(2, 2, 2).unfold(3, 16, 16).unfold(4, 16, 16)
    )  # batch, 3, t, y, x, 2, 16, 16
    x = torch.einsum("bctyxijk,dcijk->btyxd", patches, kernel) + state["patch_embed.proj.bias"]
    x = x.flatten(1, 3)
    width = x.shape[2]
    channel = torch.arange(width)
    angle = torch.arange(x.shape[1]).double()[:, None] / 10000 ** (
        2 * (channel // 2).double() / width
    )
    x = x + torch.where(channel % 2 == 0, angle.sin(), angle.cos()).float()
    for i in range(layers):
        part = {
            k.removeprefix(f"blocks.{i}."): v
            for k, v in state.items()
            if k.startswith(f"blocks.{i}.")
        }
        y = F.layer_norm(x, (width,), part["norm1.weight"], part["norm1.bias"], 1e-6)
        y = y @ part["attn.qkv.weight"].T
        y = y + torch.cat([part["attn.q_bias"], torch.zeros(width), part["attn.v_bias"]])
        q, k, v = (
            y[..., n * width : (n + 1) * width].reshape(*y.shape[:2], heads, -1) for n in range(3)
        )
        share = (torch.einsum("bnhc,bmhc->bhnm", q, k) / math.sqrt(width // heads)).softmax(-1)
        y = torch.einsum("bhnm,bmhc->bnhc", share, v).flatten(2)
        x = x + y @ part["attn.proj.weight"].T + part["attn.proj.bias"]
        y = F.layer_norm(x, (width,), part["norm2.weight"], part["norm2.bias"], 1e-6)
        y = y @ part["mlp.fc1.weight"].T + part["mlp.fc1.bias"]
        y = 0.5 * y * (1 + torch.erf(y / math.sqrt(2)))
        x = x + y @ part["mlp.fc2.weight"].T + part["mlp.fc2.bias"]
    return x


def original_state(width: int, layers: int, norm: str = "fc_norm") -> State:
    """Random weights in the layout of the distilled VideoMAE2 files, classification head
    included.
    """
    generator = torch.Generator().manual_seed(3)
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.proj.weight": (width, 3, 2, 16, 16), "patch_embed.proj.bias": (width,),
        f"{norm}.weight": (width,), f"{norm}.bias": (width,), "head.weight": (710, width),
        "head.bias": (710,),
    }  # fmt: skip
    for i in range(layers):
        block: dict[str, tuple[int, ...]] = {
            "norm1.weight": (width,), "norm1.bias": (width,), "attn.q_bias": (width,),
            "attn.v_bias": (width,),
            "attn.qkv.weight": (3 * width, width), "attn.proj.weight": (width, width),
            "attn.proj.bias": (width,),
            "norm2.weight": (width,), "norm2.bias": (width,), "mlp.fc1.weight": (4 * width, width),
            "mlp.fc1.bias": (4 * width,), "mlp.fc2.weight": (width, 4 * width),
            "mlp.fc2.bias": (width,),
        }  # fmt: skip
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in block.items()}
    return {
        k: torch.randn(s, generator=generator) / max(s[-1], 10) ** 0.5 for k, s in shapes.items()
    }


@pytest.mark.parametrize("norm", ["fc_norm", "norm"])
@torch.no_grad()
def test_the_mapped_weights_compute_what_the_original_layout_computes(norm: str) -> None:
    width, layers, heads = SHAPE
    state = original_state(width, layers, norm)
    model = VideoMae3d(
        "videomae2_small", 224, SHAPE
    ).eval()  # at this size, positions are as in pretraining
    model.adopt(state, "here")
    video = torch.rand(24, 224, 224)
    tokens = [original_tokens(state, model.picture(clip[:, None]).transpose(0, 1)[None], layers,
    heads)
              for clip in (video[:16], video[8:])]  # fmt: skip
    steps = [t.view(1, 8, -1, width) for t in tokens]
    scale = (state[f"{norm}.weight"], state[f"{norm}.bias"])
    if norm == "fc_norm":
        means = [F.layer_norm(s.mean(2), (width,), *scale, 1e-6)[0] for s in steps]
    else:
        means = [F.layer_norm(s, (width,), *scale, 1e-6).mean(2)[0] for s in steps]
    features, grid = model(video[None, None], halo=True, maps=1)
    assert features.shape == (1, 8, width)
    assert grid.shape == (1, 8, width, 14, 14)
    for frame in range(
        8
    ):  # by hand: frame f of the video is 8 + f in the first clip and f in the second
        expected = torch.zeros(width)
        for within, steps_of_clip in ((8 + frame, means[0]), (frame, means[1])):
            place = min(max((within - 0.5) / 2, 0.0), 7.0)  # token k lies at 2k + 0.5
            low, share = int(place), place - int(place)
            value = steps_of_clip[low] * (1 - share) + steps_of_clip[min(low + 1, 7)] * share
            expected += value * (1 - abs(within - 7.5) / 8)
        torch.testing.assert_close(features[0, frame], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_videomae_in_chunks_from_multiples_of_8_equals_the_whole() -> None:
    model, time = videomae(), 37
    images = video(time)
    whole, grids = model(images, maps=1)
    assert whole.shape == (1, time, SHAPE[0])
    assert grids.shape == (1, time, SHAPE[0], 2, 2)
    for start, stop in ((0, 16), (16, 24), (8, 37), (32, 37)):
        around = torch.arange(start - 8, stop + 8).clamp(0, time - 1)
        torch.testing.assert_close(
            model(images[:, :, around], halo=True), whole[:, start:stop], atol=1e-5, rtol=1e-4
        )


@torch.no_grad()
def test_maps_of_single_frames_are_those_of_the_whole_wherever_they_lie_in_a_clip() -> None:
    model, images = videomae(), video(64)
    _, whole = model(images, maps=1)
    wanted = [23, 22, 29, 36, 19, 34, 25, 32, 23]  # 7, 6, ..., 0 frames behind the start of a clip
    around = [images[:, :, t - model.map_before : t + model.map_after + 1] for t in wanted]
    single = model.maps_of(torch.cat(around))
    torch.testing.assert_close(single[:, 0], whole[0, wanted], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_videomae_sees_time_within_its_16_frames_only() -> None:
    model, images = videomae(), video(48)
    changed = images.clone()
    changed[:, :, 20] = 1 - changed[:, :, 20]
    moved = (model(images) - model(changed)).abs().amax((0, 2)) > 1e-6
    assert moved[16:24].all()
    assert not moved[:8].any()
    assert not moved[32:].any()
    still = model(images[:, :, :1].expand(-1, -1, 48, -1, -1))
    torch.testing.assert_close(still[:, 8:16], still[:, 24:32], atol=1e-5, rtol=1e-4)


def distilled() -> State:
    return original_state(SHAPE[0], SHAPE[1])


@pytest.mark.parametrize("wrapper", ["module", "model", None])
def test_a_distilled_checkpoint_loads_from_each_way_of_saving_it(
    tmp_path: Path, wrapper: str | None
) -> None:
    state = distilled()
    torch.save({wrapper: state} if wrapper else state, tmp_path / "vit_s.pth")
    encoders = [VideoMae3d(img_size=32, shape=SHAPE) for _ in range(2)]
    said = load_encoder(encoders[0], str(tmp_path / "vit_s.pth"))
    assert "vit_s.pth" in said
    assert "license" in said
    save_file(state, tmp_path / "vit_s.safetensors")
    load_encoder(encoders[1], str(tmp_path / "vit_s.safetensors"))
    assert fingerprint(encoders[0]) == fingerprint(encoders[1])
    attention = encoders[0].net.encoder.layer[1].attention.attention
    torch.testing.assert_close(attention.query.bias.detach(), state["blocks.1.attn.q_bias"])
    torch.testing.assert_close(attention.value.bias.detach(), state["blocks.1.attn.v_bias"])
    assert attention.key.bias is None


def renamed(state: State) -> None:
    state["blocks.1.mlp.fc3.bias"] = state.pop("blocks.1.mlp.fc2.bias")


def lost(state: State) -> None:
    del state["blocks.0.attn.v_bias"]


def misshapen(state: State) -> None:
    state["blocks.1.attn.proj.weight"] = state["blocks.1.attn.proj.weight"][:, 1:].contiguous()


def misshapen_qkv(state: State) -> None:
    state["blocks.1.attn.qkv.weight"] = state["blocks.1.attn.qkv.weight"][1:].contiguous()


def zeroed(state: State) -> None:
    state["blocks.1.attn.q_bias"].zero_()


def deeper(state: State) -> None:
    state |= {k.replace("blocks.1.", "blocks.2."): v.clone() for k, v in state.items()}


def without_norm(state: State) -> None:
    del state["fc_norm.weight"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            renamed,
            r"net.encoder.layer.1.output.dense.bias is missing and "
            r"net.blocks.1.mlp.fc3.bias is left over",
        ),
        (lost, r"layer.0.attention.attention.value.bias is missing"),
        (
            misshapen,
            r"layer.1.attention.output.dense.weight: expected the shape \(24, 24\), "
            r"found \(24, 23\)",
        ),
        (
            misshapen_qkv,
            r"blocks.1.attn.qkv.weight: expected the shape \(72, 24\), found \(71, 24\)",
        ),
        (zeroed, r"query biases of layer 1 are all zero"),
        (deeper, r"net.encoder.layer.2.\S+ is left over \(0 missing, 15 left over\)"),
        (without_norm, r"expected one of fc_norm, norm, layernorm, found none"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_whole(
    tmp_path: Path, spoil: Callable[[State], None], reason: str
) -> None:
    state = distilled()
    spoil(state)
    save_file(state, tmp_path / "x.safetensors")
    encoder = videomae()
    before = fingerprint(encoder)
    with pytest.raises(UserError, match=reason) as error:
        load_encoder(encoder, str(tmp_path / "x.safetensors"))
    assert str(error.value).startswith(str(tmp_path / "x.safetensors"))
    assert "\n" not in str(error.value)
    assert fingerprint(encoder) == before


@pytest.mark.parametrize("published", ["before transformers 5", "since"])
@torch.no_grad()
def test_the_layout_of_transformers_loads_with_its_biases_and_without_its_decoder(
    published: str,
) -> None:
    width, layers, heads = SHAPE
    torch.manual_seed(1)
    config = VideoMAEConfig(
        image_size=224, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=4 * width, use_mean_pooling=False, layer_norm_eps=1e-6,
    )  # fmt: skip
    theirs = VideoMAEModel(config).eval()
    for parameter in theirs.parameters():
        parameter.copy_(torch.randn(parameter.shape) * 0.2)
    state = {f"videomae.{k}": v for k, v in theirs.state_dict().items()}
    if published == "before transformers 5":
        state = {
            k.replace("query.bias", "q_bias").replace("value.bias", "v_bias"): v
            for k, v in state.items()
        }
    state |= {"decoder.head.weight": torch.zeros(3), "encoder_to_decoder.weight": torch.zeros(3)}
    state |= {"mask_token": torch.zeros(3), "classifier.bias": torch.zeros(3)}
    ours = VideoMae3d("MCG-NJU/videomae-small-finetuned-ssv2", 224, SHAPE).eval()
    ours.adopt(state, "here")
    assert ours.source.non_commercial
    assert "not for commercial use" in str(ours.source)
    still = torch.rand(1, 1, 1, 224, 224).expand(-1, -1, 24, -1, -1)
    steps = (
        theirs(ours.picture(still[0, 0, :16, None])[None])
        .last_hidden_state.view(8, -1, width)
        .mean(1)
    )
    middle = 9 / 16 * (0.75 * steps[5] + 0.25 * steps[6]) + 7 / 16 * (
        0.75 * steps[1] + 0.25 * steps[2]
    )
    torch.testing.assert_close(ours(still, halo=True)[0, 3], middle, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_half_precision_changes_little_and_the_size_must_be_a_multiple_of_16() -> None:
    model, images = videomae(), video(9)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(images)
    assert half.dtype == torch.float32
    full = model(images)
    assert float((half - full).abs().max()) < 0.15 * float(full.std()) + 0.05
    with pytest.raises(UserError, match=r"--image_size 100: .* multiple of 16 .* such as 96"):
        VideoMae3d(img_size=100, shape=SHAPE)
    with pytest.raises(UserError, match=r"expected videomae2_small, videomae2_base"):
        VideoMae3d("videomae2_tiny")
