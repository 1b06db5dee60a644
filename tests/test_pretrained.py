"""Weights of pretrained encoders: all of them or none, from a file that holds tensors and nothing
else."""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from dolorim.config import ModelConfig
from dolorim.core.errors import UserError
from dolorim.models.pretrained import (
    Source,
    fingerprint,
    freeze,
    hub_file,
    last_blocks,
    load_encoder,
    read_weights,
)
from dolorim.training.module import thaw

with warnings.catch_warnings():  # what they import is not ours to mend
    warnings.simplefilter("ignore")
    from dolorim.models.vit import Vit2d

VIT = "test_vit.r160_in1k"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A hub cache with nothing in it, on a machine without a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_an_image_network_loads_whole_but_for_its_classifier(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, target = Vit2d(VIT, 32), Vit2d(VIT, 64)
    state = {k: torch.randn_like(v) for k, v in source.net.state_dict().items()}
    extra = {
        "head.weight": torch.zeros(5, 64),
        "head.bias": torch.zeros(5),
        "mask_token": torch.zeros(1, 64),
    }
    torch.save({**state, **extra}, tmp_path / "a.bin")
    load_encoder(target, str(tmp_path / "a.bin"))
    assert fingerprint(target.net) == fingerprint(state)
    state["blocks.0.attn.qkv.wait"] = state.pop("blocks.0.attn.qkv.weight")
    save_file(state, tmp_path / "b.safetensors")
    with pytest.raises(
        UserError, match=r"qkv.weight is missing and blocks.0.attn.qkv.wait is left over"
    ):
        load_encoder(target, str(tmp_path / "b.safetensors"))


class Trap:
    """Unpickling this would run code."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return print, ("the trap has sprung",)


def test_a_file_with_anything_but_tensors_is_not_opened(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pickle.safetensors").write_bytes(pickle.dumps({"a": Trap()}))
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps({"a": Trap()}))
    torch.save({"model": {"a": torch.ones(2)}, "args": Trap()}, tmp_path / "trap.pth")
    torch.save(
        {"model": {"a": torch.ones(2)}, "args": argparse.Namespace(lr=1)},
        tmp_path / "arguments.pth",
    )
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
    with pytest.raises(
        UserError, match=r"hf download timm/test_vit\.r160_in1k .*--encoder_weights random"
    ) as error:
        load_encoder(encoder, "hub")
    assert "no network" in one_line(error)
    assert fingerprint(encoder) == before
    assert "random" in load_encoder(encoder, "random")


@pytest.mark.parametrize(
    "name", ["./weights/videomae-base.pth", "OpenGVLab/VideoMAE2/vit_small", "videomae small"]
)
def test_a_name_that_the_hub_cannot_have_is_refused_in_one_line(offline: Path, name: str) -> None:
    with pytest.raises(
        UserError, match=f"--encoder_name {re.escape(name)}: not a name on the hub"
    ) as error:
        hub_file(Source(name))
    assert "a file of weights goes to --encoder_weights" in one_line(error)


def test_a_network_whose_description_is_on_the_hub_alone_is_refused_without_one(
    offline: Path,
) -> None:
    with pytest.raises(
        UserError, match=r"--encoder_name hf-hub:timm/nobody: its description is neither on this"
    ) as error:
        Vit2d("hf-hub:timm/nobody", 32)
    one_line(error)


def test_what_is_in_the_hub_cache_is_used_without_a_network(offline: Path) -> None:
    repository = offline / "models--timm--test_vit.r160_in1k"
    (repository / "snapshots" / "abc").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    state = {k: torch.rand_like(v) for k, v in Vit2d(VIT, 32).net.state_dict().items()}
    torch.save(
        state, repository / "snapshots" / "abc" / "pytorch_model.bin"
    )  # the second of the names that are tried
    encoder = Vit2d(VIT, 32)
    assert "timm/test_vit.r160_in1k (apache-2.0)" in load_encoder(encoder, "hub")
    assert fingerprint(encoder.net) == fingerprint(state)


def test_licenses_are_named_and_non_commercial_ones_are_known_as_such() -> None:
    assert Source("a/b", license="CC BY-NC 4.0").non_commercial
    assert Source("a/b", license="cc-by-nc-sa-4.0").non_commercial
    for license in ("apache-2.0", "MIT", "NCSA", "no license stated on its page"):
        assert not Source("a/b", license=license).non_commercial


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
    encoder = Vit2d(VIT, 32)
    n = len(encoder.blocks)
    for last in (0, 1, 2, n + 3):
        freeze(encoder, last_blocks(encoder, last))
        learning = {
            name.split(".")[2]
            for name, p in encoder.named_parameters()
            if p.requires_grad and "blocks" in name
        }
        assert learning == {str(i) for i in range(max(n - last, 0), n)}
        assert all(p.requires_grad == (last > 0) for p in encoder.net.norm.parameters())


def test_blocks_of_a_residual_network_are_its_layers_and_frozen_ones_keep_their_statistics() -> (
    None
):
    encoder = Vit2d("resnet18", 32)
    config = ModelConfig(visual="vit_2d", freeze_backbone_epochs=1, unfreeze_last=1)
    encoder.train()
    before = {k: v.clone() for k, v in encoder.state_dict().items() if "running" in k}
    for epoch, changed in ((0, set()), (1, {"layer4"})):
        thaw(encoder, config, epoch)
        encoder(torch.rand(1, 1, 2, 32, 32))
        trained = {
            k.split(".")[1]
            for k, v in encoder.state_dict().items()
            if k in before and not torch.equal(v, before[k])
        }
        assert trained == changed
    assert {n.split(".")[1] for n, p in encoder.named_parameters() if p.requires_grad} == {"layer4"}


def test_what_has_no_blocks_cannot_thaw_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Vit2d, "blocks", [])
    with pytest.raises(UserError, match="--unfreeze_last 2: this network has no blocks"):
        last_blocks(Vit2d(VIT, 32), 2)
