"""V-JEPA 2: what it computes of a clip, that chunks equal the whole, and what it loads."""

from __future__ import annotations

import warnings

import pytest
import torch

from dolorim.core.errors import UserError

with warnings.catch_warnings():  # what they import is not ours to mend
    warnings.simplefilter("ignore")
    from transformers import VJEPA2Config, VJEPA2Model

    from dolorim.models.vjepa import VJepa2

SHAPE = (48, 2, 2, 2.0)  # width, layers, heads, relative width of the hidden layer


@pytest.fixture(scope="module")
def published() -> VJEPA2Model:
    """A small V-JEPA 2 of transformers, with its predictor."""
    torch.manual_seed(0)
    config = VJEPA2Config(
        crop_size=32,
        frames_per_clip=16,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=2.0,
        pred_hidden_size=24,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=1,
    )
    return VJEPA2Model(config).eval()


@torch.no_grad()
def test_tokens_are_those_of_the_published_network(published: VJEPA2Model) -> None:
    model = VJepa2(img_size=32, shape=SHAPE).eval()
    model.adopt(published.state_dict(), "here")
    clips = torch.rand(2, 16, 1, 32, 32)
    pictures = model.picture(clips.flatten(0, 1)).view(2, 16, 3, 32, 32)
    expected = published(pictures, skip_predictor=True).last_hidden_state
    mean, tokens = model.tokens_of(clips)
    torch.testing.assert_close(tokens.flatten(1, 2), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(mean, tokens.mean(2))


@torch.no_grad()
def test_chunks_with_their_halo_give_what_the_whole_gives() -> None:
    torch.manual_seed(0)
    model = VJepa2(img_size=32, shape=SHAPE).eval()
    frames = torch.rand(1, 1, 40, 32, 32)
    whole = model(frames)
    part = model(frames[:, :, 8 : 8 + 8 + 16], halo=True)
    assert whole.shape == (1, 40, 48)
    torch.testing.assert_close(part, whole[:, 16:24], atol=1e-5, rtol=1e-4)


def test_a_checkpoint_loads_whole_or_not_at_all(published: VJEPA2Model) -> None:
    model = VJepa2(img_size=32, shape=SHAPE)
    state = published.state_dict()
    with pytest.raises(UserError, match=r"layer\.0\.norm1\.weight is missing"):
        model.adopt({k: v for k, v in state.items() if "layer.0.norm1.weight" not in k}, "here")
    with pytest.raises(UserError, match="extra is left over"):
        model.adopt({**state, "encoder.extra": torch.zeros(1)}, "here")
    with pytest.raises(UserError, match="expected a V-JEPA 2 of size vitl"):
        VJepa2("someone/vjepa2-tiny")
    assert "MIT" in str(model.source)
    assert len(model.blocks) == 2
