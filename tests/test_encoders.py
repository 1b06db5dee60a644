"""Visual encoders: what they see of a frame, where they see it, and that chunks equal the whole."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from dolorim.config import ModelConfig
from dolorim.core.errors import UserError
from dolorim.models.build import build_recognizer
from dolorim.models.cnn3d import Cnn3d
from dolorim.models.heads import SpatialKeypointHead

with warnings.catch_warnings():  # what they import is not ours to mend
    warnings.simplefilter("ignore")
    from dolorim.models.vit import Vit2d

VIT = "test_vit.r160_in1k"


def vit(img_size: int = 32, n_keypoints: int = 0) -> Vit2d:
    torch.manual_seed(0)
    return Vit2d(VIT, img_size, n_keypoints).eval()


def cnn3d(clip_length: int = 8, convolutions: bool = True) -> Cnn3d:
    torch.manual_seed(0)
    model = Cnn3d((8, 12, 16, 20), clip_length, 10, 0.0, 0.0, 0.0, convolutions)
    model(torch.rand(2, 1, clip_length + 4, 32, 32))
    return model.eval()


def video(time: int, side: int = 32) -> torch.Tensor:
    return torch.rand(1, 1, time, side, side, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", [VIT, "test_convnext.r160_in1k"])
@torch.no_grad()
def test_any_image_network_gives_features_for_every_frame_by_itself(name: str) -> None:
    torch.manual_seed(0)
    model = Vit2d(name, 64).eval()
    images = video(70, 40)  # more than are done at a time, and of another size
    features, grid = model(images, maps=1)
    assert (model.before, model.after) == (0, 0)
    assert features.shape == (1, 70, model.width)
    assert grid.shape[:3] == (1, 70, model.map_channels)
    torch.testing.assert_close(
        model(images[:, :, 66:67])[0, 0], features[0, 66], atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(
        features[..., -model.map_channels :], grid.mean((3, 4)), atol=1e-5, rtol=1e-4
    )


@torch.no_grad()
def test_dinov2_takes_sizes_that_are_multiples_of_14_and_no_others() -> None:
    model = Vit2d(img_size=28).eval()
    assert model.width == 2 * 384
    assert len(model.blocks) == 12
    assert model(video(2)).shape == (1, 2, 768)
    assert "apache-2.0" in str(model.source)
    with pytest.raises(UserError, match=r"--image_size 100: .* multiple of 14 .* such as 98"):
        Vit2d(img_size=100)


@torch.no_grad()
def test_a_token_at_a_keypoint_is_the_patch_that_it_lies_in_and_a_missing_keypoint_says_so() -> (
    None
):
    model, images = vit(64, n_keypoints=2), video(3, 64)
    points = torch.full((1, 3, 2, 2), torch.nan)
    points[0, 1, 1] = torch.tensor([-0.75, 0.25])  # the middle of column 0, row 2 of 4
    features, grid = model(images, points=points, maps=1)
    size = model.map_channels
    tokens = features[..., -2 * (size + 1) :].view(1, 3, 2, size + 1)
    assert tokens[..., -1].tolist() == [[[0, 0], [0, 1], [0, 0]]]
    torch.testing.assert_close(tokens[0, 1, 1, :-1], grid[0, 1, :, 2, 0])
    assert not tokens[0, 0].any()
    torch.testing.assert_close(
        model(images)[..., : -2 * (size + 1)], features[..., : -2 * (size + 1)]
    )
    assert not model(images)[..., -2 * (size + 1) :].any()


@torch.no_grad()
def test_half_precision_changes_little() -> None:
    model, images, points = vit(32, 1), video(4), torch.zeros(1, 4, 1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(images, points=points)
    assert half.dtype == torch.float32
    full = model(images, points=points)
    assert float((half - full).abs().max()) < 0.15 * float(full.std()) + 0.05


@pytest.mark.parametrize("name", ["no_such_network", "vit_small_patch14_dinov2.no_such_tag"])
def test_an_unknown_network_is_refused_and_known_ones_are_named(name: str) -> None:
    with pytest.raises(UserError, match=r"--encoder_name .* timm has no such network .* it has "):
        Vit2d(name)


@pytest.mark.parametrize("clip_length", [1, 4, 9, 16])
@torch.no_grad()
def test_the_maps_of_the_3d_cnn_are_dense_in_time_and_leave_the_features_alone(
    clip_length: int,
) -> None:
    model, images = cnn3d(clip_length), video(20)
    features, grid = model(images, maps=1)
    torch.testing.assert_close(features, model(images))
    assert grid.shape == (1, 20, model.map_channels, 8, 8)
    around = torch.arange(12 - model.before, 12 + model.after + 1)
    alone = model(images[:, :, around], halo=True, maps=1)
    torch.testing.assert_close(alone[1][0, 0], grid[0, 12], atol=2e-5, rtol=1e-4)
    changed = images.clone()
    changed[:, :, 12] = 1 - changed[:, :, 12]
    moved = (model(changed, maps=1)[1] - grid).abs().amax((0, 2, 3, 4))
    assert moved[12] > 1e-3
    assert not moved[: 12 - model.after].any()
    assert not moved[13 + model.before :].any()
    without = cnn3d(clip_length, convolutions=False)
    torch.testing.assert_close(without(images, maps=1)[0], without(images))


def bright_spots(frames: int, side: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures `(frames, 1, side, side)` of one bright spot each, and where it is, -1 to 1."""
    where = (torch.rand(frames, 2, generator=torch.Generator().manual_seed(seed)) - 0.5) * 1.4
    axis = (torch.arange(side) + 0.5) * 2 / side - 1
    distance = (axis[None, None] - where[:, :1, None]) ** 2 + (
        axis[None, :, None] - where[:, 1:, None]
    ) ** 2
    return torch.exp(-distance / 0.02)[:, None], where


def test_the_spatial_head_learns_where_a_spot_is_to_a_fraction_of_a_cell() -> None:
    torch.manual_seed(0)
    head = SpatialKeypointHead(1, 16, 1)
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    maps, where = bright_spots(64, 12, seed=0)
    for _ in range(80):
        places, visible, _ = head(maps[None])
        assert places.shape == (1, 64, 1, 2)
        assert visible.shape == (1, 64, 1)
        loss = (places[0, :, 0] - where).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    new_maps, new_where = bright_spots(64, 12, seed=1)
    with torch.no_grad():
        error = float((head(new_maps[None])[0][0, :, 0] - new_where).abs().mean())
    constant = float((new_where - where.mean(0)).abs().mean())
    assert error < 0.3 * 2 / 12
    assert error < constant / 4


@torch.no_grad()
def test_a_flat_heat_map_points_at_the_middle_of_the_crop() -> None:
    head = SpatialKeypointHead(10, 8, 6)
    coordinates, visible, _ = head(torch.randn(2, 5, 10, 4, 6))
    assert coordinates.shape == (2, 5, 6, 2)
    assert visible.shape == (2, 5, 6)
    torch.nn.init.zeros_(head.heat.weight)  # a flat heat map points at the middle
    torch.testing.assert_close(
        head(torch.randn(1, 2, 10, 4, 6))[0], torch.zeros(1, 2, 6, 2), atol=1e-6, rtol=0
    )


def test_four_turns_make_features_that_do_not_depend_on_quarter_turns() -> None:
    torch.manual_seed(0)
    frames = torch.rand(1, 1, 3, 32, 32)
    turned = frames.rot90(1, (3, 4))
    model = Vit2d(VIT, 32, turns=4).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(frames), model(turned), atol=1e-5, rtol=1e-4)
        model.turns = 1
        assert (model(frames) - model(turned)).abs().max() > 1e-3


def test_maps_for_an_image_network_look_at_frames_around_and_not_at_brightness() -> None:
    torch.manual_seed(0)
    model = Vit2d(VIT, 32, sees="maps").eval()
    frames = 0.1 + 0.4 * torch.rand(1, 1, 12, 32, 32)
    with torch.no_grad():
        whole = model(frames)
        inner = model(frames, halo=True)
        torch.testing.assert_close(whole[:, 4:8], inner)
        # Nearly, because dark pixels are lifted before the logarithm.
        brighter = model(2 * frames, halo=True)
        assert (inner - brighter).abs().mean() < 0.2 * inner.std()
        assert model.maps_of(frames[:, :, :9]).shape[:2] == (1, 1)


@pytest.mark.parametrize("settings", [{"input": "maps"}, {"encoder_turns": 4}])
def test_only_image_networks_see_maps_or_turned_pictures(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="is for --visual vit_2d"):
        build_recognizer(ModelConfig(**settings), 3)
