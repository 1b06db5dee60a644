"""What looks over time: what it sees, what it must not see, and that pieces equal the whole."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.models.pose import PoseEncoder
from dolorim.models.tcn import Tcn

WIDTH, FEATURES = 5, 7


def tcn(layers: int = 3, causal: bool = False) -> Tcn:
    torch.manual_seed(0)
    return Tcn(WIDTH, 32, layers, dropout=0.5, causal=causal).eval()


def pose_encoder(reach: int = 3) -> PoseEncoder:
    torch.manual_seed(0)
    model = PoseEncoder(FEATURES, width=16, heads=4, reach=reach).eval()
    model.fit(torch.randn(FEATURES), torch.rand(FEATURES) + 0.5)
    if model.attention is not None:
        torch.nn.init.normal_(model.attention.distance_bias)
    return model


def poses(time: int, batch: int = 1) -> torch.Tensor:
    values = torch.randn(batch, time, FEATURES, generator=torch.Generator().manual_seed(1))
    return values.masked_fill(
        torch.rand(values.shape, generator=torch.Generator().manual_seed(2)) < 0.2, torch.nan
    )


@pytest.mark.parametrize(("layers", "causal"), [(1, False), (3, False), (4, True)])
@torch.no_grad()
def test_a_frame_depends_on_its_receptive_field_and_on_no_other_frame(
    layers: int, causal: bool
) -> None:
    model = tcn(layers, causal).double()
    time = 2 * model.receptive_field + 1
    t = time // 2
    features = torch.randn(1, time, WIDTH).double()
    plain = model(features)[0, t]
    for frame in (t - model.before - 1, t - model.before, t + model.after, t + model.after + 1):
        changed = features.clone()
        changed[0, frame] += torch.randn(WIDTH) * 100
        same = bool((model(changed)[0, t] == plain).all())
        assert same == (not t - model.before <= frame <= t + model.after)
    assert model.receptive_field == model.before + 1 + model.after


def test_ten_layers_see_more_than_a_minute_at_30_frames_a_second() -> None:
    model = tcn(10)
    assert model.reach == sum(2 ** max(i, 9 - i) for i in range(10)) == 1984
    assert model.receptive_field == 2 * 1984 + 1


@torch.no_grad()
def test_a_causal_network_does_not_see_what_is_yet_to_come() -> None:
    model = tcn(4, causal=True)
    features = torch.randn(1, 60, WIDTH)
    assert model.after == 0
    torch.testing.assert_close(model(features)[:, :20], model(features[:, :20]), atol=1e-6, rtol=0)


@given(start=st.integers(0, 59), length=st.integers(1, 60), causal=st.booleans())
@settings(max_examples=25, deadline=None)
@torch.no_grad()
def test_a_chunk_with_its_context_equals_the_whole(start: int, length: int, causal: bool) -> None:
    model, time = tcn(3, causal), 60
    stop = min(start + length, time)
    features = torch.randn(1, time, WIDTH, generator=torch.Generator().manual_seed(3))
    reached = torch.arange(start - model.before, stop + model.after)  # beyond the video, too
    valid = ((reached >= 0) & (reached < time))[None]
    chunk = model(features[:, reached.clamp(0, time - 1)], valid)[
        :, model.before : model.before + stop - start
    ]
    torch.testing.assert_close(chunk, model(features)[:, start:stop], atol=1e-5, rtol=0)


@torch.no_grad()
def test_padding_behind_a_short_trial_changes_nothing() -> None:
    valid = (torch.arange(30) < 18)[None]
    features = torch.randn(1, 30, WIDTH)
    for model in (tcn(3), tcn(3, causal=True)):
        torch.testing.assert_close(
            model(features, valid)[:, :18], model(features[:, :18]), atol=1e-6, rtol=0
        )
        assert not model(features, valid)[:, 18:].any()
    pose, encoder = poses(30), pose_encoder()
    torch.testing.assert_close(
        encoder(pose, valid)[:, :18], encoder(pose[:, :18]), atol=1e-6, rtol=0
    )


@given(start=st.integers(0, 39), length=st.integers(1, 40), reach=st.sampled_from([0, 1, 5]))
@settings(max_examples=25, deadline=None)
@torch.no_grad()
def test_a_chunk_of_poses_with_its_context_equals_the_whole(
    start: int, length: int, reach: int
) -> None:
    model, time = pose_encoder(reach), 40
    stop = min(start + length, time)
    features = poses(time)
    reached = torch.arange(start - reach, stop + reach)
    valid = ((reached >= 0) & (reached < time))[None]
    chunk = model(features[:, reached.clamp(0, time - 1)], valid, halo=True)
    torch.testing.assert_close(chunk, model(features)[:, start:stop], atol=1e-5, rtol=0)


@torch.no_grad()
def test_pose_attention_reaches_as_far_as_it_says() -> None:
    model, features, t = pose_encoder(3), poses(21), 10
    for frame in (t - 4, t - 3, t + 3, t + 4):
        changed = features.clone()
        changed[0, frame] = 3.0
        moved = not torch.equal(model(changed)[0, t], model(features)[0, t])
        assert moved == (abs(frame - t) <= 3)


@torch.no_grad()
def test_a_missing_value_is_not_the_same_as_an_average_one_and_no_outlier_rules() -> None:
    model = pose_encoder(0)
    known = model.mean.expand(1, 1, -1).clone()
    missing, far, farther = known.clone(), known.clone(), known.clone()
    missing[..., 2] = torch.nan
    far[..., 2], farther[..., 2] = 1e3, 1e6
    assert not torch.allclose(model(missing), model(known))
    torch.testing.assert_close(model(far), model(farther))
    assert model(torch.full((1, 4, FEATURES), torch.nan)).isfinite().all()


def test_a_feature_that_never_changes_or_is_never_known_is_harmless() -> None:
    model = PoseEncoder(3, width=8, heads=2, reach=1).eval()
    model.fit(torch.tensor([1.0, torch.nan, 2.0]), torch.tensor([0.0, torch.nan, 4.0]))
    assert model.mean.tolist() == [1, 0, 2]
    assert model.std.tolist() == [1, 1, 4]


def test_wholly_invalid_trials_give_numbers_and_gradients() -> None:
    model, network = pose_encoder(), tcn()
    valid = torch.zeros(2, 9, dtype=torch.bool)
    output = model(poses(9, 2), valid)
    output.sum().backward()
    assert output.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert not network(torch.randn(2, 9, WIDTH), valid).any()
