"""Weights of pretrained encoders: all of them or none, from a file that holds tensors and nothing else."""

from __future__ import annotations

import argparse
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file
from tests.test_encoders import SHAPE, VIT, original_state, videomae

from dolorim.core.errors import UserError
from dolorim.models.weights import Source, fingerprint, freeze, load_encoder, read_weights

with warnings.catch_warnings():  # what they import is not ours to mend
    warnings.simplefilter("ignore")
    from transformers import VideoMAEConfig, VideoMAEModel

    from dolorim.models.videomae import VideoMae3d
    from dolorim.models.vit import Vit2d

State = dict[str, torch.Tensor]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A hub cache with nothing in it, on a machine without a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def distilled() -> State:
    return original_state(SHAPE[0], SHAPE[1])


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("wrapper", ["module", "model", None])
def test_a_distilled_checkpoint_loads_from_each_way_of_saving_it(tmp_path: Path, wrapper: str | None) -> None:
    state = distilled()
    torch.save({wrapper: state} if wrapper else state, tmp_path / "vit_s.pth")
    encoders = [VideoMae3d(img_size=32, shape=SHAPE) for _ in range(2)]
    said = load_encoder(encoders[0], str(tmp_path / "vit_s.pth"))
    assert "vit_s.pth" in said
    assert "licence" in said
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
        (renamed, r"net.encoder.layer.1.output.dense.bias is missing and net.blocks.1.mlp.fc3.bias is left over"),
        (lost, r"layer.0.attention.attention.value.bias is missing"),
        (misshapen, r"layer.1.attention.output.dense.weight: expected the shape \(24, 24\), found \(24, 23\)"),
        (misshapen_qkv, r"blocks.1.attn.qkv.weight: expected the shape \(72, 24\), found \(71, 24\)"),
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
    assert one_line(error).startswith(str(tmp_path / "x.safetensors"))
    assert fingerprint(encoder) == before


@pytest.mark.parametrize("published", ["before transformers 5", "since"])
@torch.no_grad()
def test_the_layout_of_transformers_loads_with_its_biases_and_without_its_decoder(published: str) -> None:
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
        state = {k.replace("query.bias", "q_bias").replace("value.bias", "v_bias"): v for k, v in state.items()}
    state |= {"decoder.head.weight": torch.zeros(3), "encoder_to_decoder.weight": torch.zeros(3)}
    state |= {"mask_token": torch.zeros(3), "classifier.bias": torch.zeros(3)}
    ours = VideoMae3d("MCG-NJU/videomae-small-finetuned-ssv2", 224, SHAPE).eval()
    ours.adopt(state, "here")
    assert ours.source.non_commercial
    assert "not for commercial use" in str(ours.source)
    still = torch.rand(1, 1, 1, 224, 224).expand(-1, -1, 24, -1, -1)
    steps = theirs(ours.picture(still[0, 0, :16, None])[None]).last_hidden_state.view(8, -1, width).mean(1)
    middle = 9 / 16 * (0.75 * steps[5] + 0.25 * steps[6]) + 7 / 16 * (0.75 * steps[1] + 0.25 * steps[2])
    torch.testing.assert_close(ours(still, halo=True)[0, 3], middle, atol=1e-5, rtol=1e-4)


def test_an_image_network_loads_whole_but_for_its_classifier(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, target = Vit2d(VIT, 32), Vit2d(VIT, 64)
    state = {k: torch.randn_like(v) for k, v in source.net.state_dict().items()}
    extra = {"head.weight": torch.zeros(5, 64), "head.bias": torch.zeros(5), "mask_token": torch.zeros(1, 64)}
    torch.save({**state, **extra}, tmp_path / "a.bin")
    load_encoder(target, str(tmp_path / "a.bin"))
    assert fingerprint(target.net) == fingerprint(state)
    state["blocks.0.attn.qkv.wait"] = state.pop("blocks.0.attn.qkv.weight")
    save_file(state, tmp_path / "b.safetensors")
    with pytest.raises(UserError, match=r"qkv.weight is missing and blocks.0.attn.qkv.wait is left over"):
        load_encoder(target, str(tmp_path / "b.safetensors"))


class Trap:
    """Unpickling this would run code."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return print, ("the trap has sprung",)


def test_a_file_with_anything_but_tensors_is_not_opened(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pickle.safetensors").write_bytes(pickle.dumps({"a": Trap()}))
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps({"a": Trap()}))
    torch.save({"model": {"a": torch.ones(2)}, "args": Trap()}, tmp_path / "trap.pth")
    torch.save({"model": {"a": torch.ones(2)}, "args": argparse.Namespace(lr=1)}, tmp_path / "arguments.pth")
    torch.save({"model": {"a": torch.ones(2), "b": "text"}}, tmp_path / "text.pth")
    torch.save([torch.ones(2)], tmp_path / "list.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "text.pth").read_bytes()[:300])
    (tmp_path / "empty.bin").touch()
    (tmp_path / "weights.h5").touch()
    for name, reason in {
        "pickle.safetensors": "not a safetensors file",
        "pickle.pt": "Python objects|not a PyTorch checkpoint",
        "trap.pth": "Python objects",
        "arguments.pth": "Python objects.*save its state_dict alone",
        "text.pth": "found str for 'b'",
        "list.pth": "found list",
        "cut.safetensors": "not a safetensors file",
        "cut.pth": "not a PyTorch checkpoint|Python objects",
        "empty.bin": "not a PyTorch checkpoint",
        "weights.h5": r"expected a \.safetensors, \.pt, \.pth or \.bin file, found \.h5",
        "absent.pth": "which is no file",
    }.items():
        with pytest.raises(UserError, match=reason) as error:
            read_weights(tmp_path / name)
        assert name in one_line(error)
    assert "sprung" not in capfd.readouterr().out


def test_without_a_network_the_hub_says_how_to_get_the_weights(offline: Path) -> None:
    encoder = Vit2d(VIT, 32)
    before = fingerprint(encoder)
    with pytest.raises(UserError, match=r"hf download timm/test_vit\.r160_in1k .*--encoder_weights random") as error:
        load_encoder(encoder, "hub")
    assert "no network" in one_line(error)
    assert fingerprint(encoder) == before
    with pytest.raises(UserError, match=r"hf download OpenGVLab/VideoMAE2 distill/vit_s_k710_dl_from_giant.pth"):
        load_encoder(videomae(), "hub")
    assert "random" in load_encoder(encoder, "random")


def test_what_is_in_the_hub_cache_is_used_without_a_network(offline: Path) -> None:
    repository = offline / "models--OpenGVLab--VideoMAE2"
    file = repository / "snapshots" / "abc" / "distill" / "vit_s_k710_dl_from_giant.pth"
    file.parent.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    state = distilled()
    torch.save({"module": state}, file)
    encoder = videomae()
    assert "CC BY-NC 4.0" in load_encoder(encoder, "hub")
    torch.testing.assert_close(encoder.norm.weight.detach(), state["fc_norm.weight"])


def test_licences_are_named_and_non_commercial_ones_are_known_as_such() -> None:
    assert Source("a/b", licence="CC BY-NC 4.0").non_commercial
    assert Source("a/b", licence="cc-by-nc-sa-4.0").non_commercial
    for licence in ("apache-2.0", "MIT", "NCSA", "no licence stated on its page"):
        assert not Source("a/b", licence=licence).non_commercial


def test_a_fingerprint_changes_with_every_bit_name_and_shape() -> None:
    state = {"a": torch.zeros(2, 3), "b": torch.ones(1, dtype=torch.bfloat16)}
    prints = {fingerprint(state)}
    prints.add(fingerprint({**state, "a": torch.zeros(3, 2)}))
    prints.add(fingerprint({"c": state["a"], "b": state["b"]}))
    prints.add(fingerprint({**state, "a": -state["a"]}))  # minus zero
    prints.add(fingerprint({**state, "b": state["b"].half()}))
    assert len(prints) == 5
    assert fingerprint(dict(reversed(state.items()))) == fingerprint(state)


def test_only_the_last_blocks_learn_when_the_rest_is_frozen() -> None:
    encoder = videomae()
    for last in (0, 1, 2, 9):
        freeze(encoder, encoder.blocks, last)
        learning = {n.split(".")[3] for n, p in encoder.named_parameters() if p.requires_grad}
        assert learning == {str(i) for i in range(2)[2 - min(last, 2) :]}
