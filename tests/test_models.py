"""The network: what it sees, how it counts frames, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dolorim.config import ModelConfig
from dolorim.dataset.labelled_recording import Halo, InputSpec
from dolorim.inference.streaming import Predictor, fold_normalization
from dolorim.models.build import build_recognizer
from dolorim.models.cnn3d import Cnn3d
from dolorim.models.motion_maps import LAGS, MotionMaps
from dolorim.models.recognizer import Inputs, Recognizer
from dolorim.models.shape_features import ShapeFeatures
from dolorim.video.crop import Crops

SIZE, CLASSES = 32, 3


def recognizer(clip_length: int, seed: int = 0) -> Recognizer:
    """A small trained-looking network: its normalizations have seen data, so that they do
    something."""
    torch.manual_seed(seed)
    model = build_recognizer(ModelConfig(clip_length=clip_length), CLASSES)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(
                Inputs(
                    torch.rand(2, 1, clip_length + 4, SIZE, SIZE), torch.rand(2, clip_length + 4, 2)
                )
            )
    return model.eval()


def predictor(model: Recognizer, chunk: int = 64) -> Predictor:
    input_spec = InputSpec(Halo(model.visual.before, model.visual.after))
    return Predictor(model, input_spec, torch.device("cpu"), "32", chunk)


def video(frames: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(1, 1, frames, SIZE, SIZE, generator=generator)
    return images, torch.rand(1, frames, 2, generator=generator).cumsum(1) / 10


@pytest.mark.parametrize("clip_length", [1, 2, 3, 5, 8, 9, 16, 17, 24])
def test_the_dense_output_at_a_frame_is_the_network_run_on_the_clip_around_it(
    clip_length: int,
) -> None:
    model, n = recognizer(clip_length), 26
    images, track = video(n)
    with torch.no_grad():
        dense = model(Inputs(images, track)).actions
        assert dense.shape == (1, n, CLASSES)
        for t in (
            0,
            1,
            n // 2,
            n - 2,
            n - 1,
        ):  # the borders too: there the outermost frame is repeated
            clip = (torch.arange(clip_length) + t - clip_length // 2).clamp(0, n - 1)
            alone = model(Inputs(images[:, :, clip], track[:, clip]), halo=True).actions
            assert alone.shape == (1, 1, CLASSES)
            torch.testing.assert_close(alone[0, 0], dense[0, t], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("clip_length", [4, 16, 21])
def test_a_decision_sees_its_clip_and_nothing_else(clip_length: int) -> None:
    model, n, t = recognizer(clip_length).double(), 40, 20
    images, track = (values.double() for values in video(n))
    first = t - clip_length // 2
    inside = torch.zeros(n, dtype=torch.bool)
    inside[first : first + clip_length] = True
    other = torch.where(inside[None, None, :, None, None], images, 1 - images)
    with torch.no_grad():
        whole = model(Inputs(images, track)).actions[0, t]
        torch.testing.assert_close(
            model(Inputs(other, track)).actions[0, t], whole, atol=1e-9, rtol=0
        )
        for edge in (first, first + clip_length - 1):
            changed = images.clone()
            changed[:, :, edge] = 1 - changed[:, :, edge]
            assert not torch.allclose(model(Inputs(changed, track)).actions[0, t], whole, atol=1e-6)


@pytest.mark.parametrize(("chunk", "block"), [(1, 7), (5, 3), (16, 64), (64, 10), (200, 33)])
def test_prediction_in_chunks_equals_prediction_of_the_whole_video(chunk: int, block: int) -> None:
    model, n = recognizer(16), 75
    images = (video(n)[0][0, 0] * 255).to(torch.uint8).numpy()
    track = video(n)[1][0].numpy()
    with torch.no_grad():
        pictures = torch.from_numpy(images)[None, None].float() / 255
        whole = (
            model(Inputs(pictures, torch.from_numpy(track)[None])).actions[0].softmax(-1).numpy()
        )
    blocks = [
        Crops(
            s,
            images[s : s + block],
            track[s : s + block],
            np.arange(n)[s : s + block],
            np.zeros(block),
        )
        for s in range(0, n, block)
    ]
    in_chunks = np.concatenate([d.probabilities for d in predictor(model, chunk).stream(blocks)])
    np.testing.assert_allclose(in_chunks, whole, atol=2e-5)


def test_a_video_shorter_than_a_clip_gets_a_decision_for_every_frame() -> None:
    ready = predictor(recognizer(16))
    for n in (1, 2, 7):
        images, track = np.full((n, SIZE, SIZE), 90, np.uint8), np.zeros((n, 2), np.float32)
        (decided,) = ready.stream([Crops(0, images, track, np.arange(n), np.zeros(n))])
        assert decided.probabilities.shape == (n, CLASSES)
    assert list(ready.stream([])) == []


def test_folding_the_normalizations_does_not_change_the_output() -> None:
    model = recognizer(16)
    images, track = video(20)
    with torch.no_grad():
        folded, plain = (
            fold_normalization(model)(Inputs(images, track)),
            model(Inputs(images, track)),
        )
        torch.testing.assert_close(folded.actions, plain.actions, atol=1e-4, rtol=1e-3)


def test_light_has_about_half_a_million_parameters_and_standard_about_three() -> None:
    for kind, low, high in (("light", 0.4e6, 0.8e6), ("standard", 2.5e6, 4e6)):
        model = build_recognizer(ModelConfig(model_type=kind), 6)
        assert low < sum(p.numel() for p in model.parameters()) < high


def test_the_head_goes_from_512_over_256_to_the_classes() -> None:
    head = build_recognizer(ModelConfig(), 6).action
    shapes = [tuple(p.shape) for p in head.parameters() if p.dim() == 2]
    assert shapes == [(256, 512), (6, 256)]


def test_a_training_step_at_the_size_of_real_crops_gives_gradients() -> None:
    torch.manual_seed(0)
    model = build_recognizer(
        ModelConfig(clip_length=8, appearance_dropout=0.0, convolution_dropout=0.0), CLASSES
    )
    model(Inputs(torch.rand(2, 1, 4, 96, 96))).actions.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_encode_and_read_are_the_two_halves_of_the_network() -> None:
    model = recognizer(8)
    inputs = Inputs(*video(12))
    with torch.no_grad():
        torch.testing.assert_close(model.read(model.encode(inputs)).actions, model(inputs).actions)


def test_a_still_scene_has_no_motion_and_no_flicker() -> None:
    frames = torch.rand(1, 1, SIZE, SIZE).expand(1, 20, SIZE, SIZE)
    maps = MotionMaps(LAGS)(frames)
    assert all(float(m.max()) == 0 for m in (*maps.motion, maps.flicker))


@torch.no_grad()
def test_the_numbers_of_shape_and_motion_do_not_depend_on_heading_or_on_which_is_darker() -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    at = torch.linspace(-0.1, 0.1, 20)[:, None, None]
    blob = torch.exp(
        -(((x - at) / 0.4) ** 2 + (y / 0.2) ** 2)
    )  # a body that moves along its long axis
    bright = 0.5 + 0.3 * blob[None]
    maps, numbers, still = MotionMaps(LAGS), ShapeFeatures(LAGS), torch.zeros(1, 20, 2)
    one = numbers(maps(bright), still)
    turned = numbers(maps(bright.transpose(2, 3)), still)
    torch.testing.assert_close(turned[..., :5], one[..., :5], atol=1e-3, rtol=1e-3)
    length, width = one[0, 5, 1], one[0, 5, 2]
    assert 1.2 < length / width < 3
    dark = numbers(maps(0.5 - 0.3 * blob[None]), still)
    torch.testing.assert_close(dark[..., 1:4], one[..., 1:4], atol=0.08, rtol=0.1)


def test_the_convolutions_can_be_hidden_in_training_only() -> None:
    torch.manual_seed(0)
    net = Cnn3d(
        (8, 8, 16), 8, 16, dropout=0.0, appearance_dropout=0.0, convolution_dropout=0.999999
    )
    images, track = video(12)
    net.train()
    net(
        images.expand(2, -1, -1, -1, -1) * torch.rand(2, 1, 1, 1, 1), track.expand(2, -1, -1)
    ).sum().backward()
    assert float(net.stem[0].weight.grad.abs().max()) == 0
    net.eval()
    net.zero_grad()
    net(images, track).sum().backward()
    assert float(net.stem[0].weight.grad.abs().max()) > 0


def test_motion_features_decide_without_any_convolution() -> None:
    torch.manual_seed(0)
    model = build_recognizer(ModelConfig(clip_length=12, visual="motion_features"), CLASSES).eval()
    inputs = Inputs(*video(20))
    with torch.no_grad():
        before = model(inputs).actions
        for parameter in (*model.visual.stem.parameters(), *model.visual.blocks.parameters()):
            parameter.fill_(float("nan"))
        torch.testing.assert_close(model(inputs).actions, before)
    assert before.shape == (1, 20, CLASSES)
    learned = {n.split(".")[1] for n, p in model.visual.named_parameters() if p.requires_grad}
    assert not learned & {"stem", "blocks", "pooled_norm"}


def test_motion_features_have_the_weights_of_the_3d_cnn_so_that_older_runs_load() -> None:
    torch.manual_seed(0)
    older = build_recognizer(ModelConfig(clip_length=12), CLASSES).state_dict()
    model = build_recognizer(ModelConfig(clip_length=12, visual="motion_features"), CLASSES)
    assert {n: v.shape for n, v in model.state_dict().items()} == {
        n: v.shape for n, v in older.items()
    }
