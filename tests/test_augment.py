"""Random changes to a batch: pixels, crop centers and labels change together, or not at all."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.config import AugmentConfig
from dolorim.dataset.augmentation import augment

NOTHING = AugmentConfig(**{f.name: 0 for f in dataclasses.fields(AugmentConfig)})
MIRRORED = [0, 2, 1]  # class 1 is on the left, class 2 on the right
B, T, S = 24, 5, 48


def only(**knobs):
    return dataclasses.replace(NOTHING, **knobs)


def batch_of(frames, centers=None, labels=None, seed=0, flip=0.0):
    """`frames` `(batch, time, size, size)` uint8; crop centers at rest and no labels, unless given.

    Each window has a seed of its own that follows from `seed`, and a share `flip` of them is
    mirrored.
    """
    frames = torch.as_tensor(frames, dtype=torch.uint8)
    shape, rng = frames.shape[:2], np.random.default_rng(seed)
    return {
        "frames": frames,
        "seed": torch.as_tensor(rng.integers(1 << 31, size=len(frames))),
        "mirrored": torch.as_tensor(rng.random(len(frames)) < flip),
        "crop_centers": torch.zeros(*shape, 2)
        if centers is None
        else torch.as_tensor(centers, dtype=torch.float32),
        "labels": torch.full(shape, -1) if labels is None else torch.as_tensor(labels),
    }


def noise(n=B, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, T, S, S))


def dots(at):
    """Pictures of a soft dot each, at `(x, y)` `(batch, time, 2)` in sides of the window, 0 its
    middle."""
    grid = (np.arange(S) + 0.5) / S - 0.5
    dx, dy = (
        grid[None, None, None, :] - at[..., 0, None, None],
        grid[None, None, :, None] - at[..., 1, None, None],
    )
    return np.round(250 * np.exp(-(dx**2 + dy**2) / (2 * 0.05**2)))


def places(frames):
    """Where the dots are, `(batch, time, 2)` in sides of the window."""
    light, grid = frames.numpy(), (np.arange(S) + 0.5) / S - 0.5
    light = np.where(light > 0.05, light, 0)
    total = light.sum(axis=(2, 3))
    return np.stack([light.sum(axis=2) @ grid, light.sum(axis=3) @ grid], -1) / total[..., None]


def test_with_all_knobs_at_zero_nothing_changes_but_the_scale_of_the_gray():
    rng = np.random.default_rng(0)
    batch = batch_of(noise(), rng.normal(size=(B, T, 2)), rng.integers(-1, 3, (B, T)))
    changed = augment(batch, NOTHING, MIRRORED)
    assert (changed["frames"] * 255 - batch["frames"]).abs().max() < 0.5
    assert torch.allclose(changed["crop_centers"], batch["crop_centers"])
    assert torch.equal(changed["labels"], batch["labels"])


def test_the_same_seed_gives_the_same_batch_and_another_one_another():
    labels = np.ones((B, T), np.int64)
    one, again, other = (
        augment(batch_of(noise(), labels=labels, seed=seed, flip=0.5), AugmentConfig(), MIRRORED)
        for seed in (7, 7, 8)
    )
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not torch.equal(one["frames"], other["frames"])
    assert not torch.equal(one["labels"], other["labels"])


def test_a_window_changes_in_the_same_way_whatever_it_is_batched_with():
    batch = batch_of(noise(), np.ones((B, T, 2)), np.ones((B, T), np.int64), flip=0.5)
    whole = augment(batch, AugmentConfig(), MIRRORED)
    for part in (slice(0, 1), slice(5, 12)):
        some = augment(
            {key: value[part] for key, value in batch.items()}, AugmentConfig(), MIRRORED
        )
        assert all(torch.allclose(some[key], whole[key][part]) for key in some)


def test_the_batch_that_came_in_is_left_as_it_was():
    batch = batch_of(noise(), np.ones((B, T, 2)), np.ones((B, T), np.int64), flip=0.5)
    before = {key: value.clone() for key, value in batch.items()}
    augment(batch, AugmentConfig(), MIRRORED)
    assert all(torch.equal(batch[key], before[key]) for key in batch)


def test_pictures_stay_between_black_and_white():
    wild = AugmentConfig(aug_brightness=2, aug_contrast=2, aug_gamma=2, aug_noise=1)
    frames = augment(batch_of(noise()), wild, MIRRORED)["frames"]
    assert frames.dtype == torch.float32
    assert 0 <= frames.min() < frames.max() <= 1


def test_a_mirrored_window_exchanges_left_and_right_and_the_others_keep_their_labels():
    at = np.tile([-0.25, 0.1], (B, T, 1))
    labels = np.tile([0, 1, 2, 1, -1], (B, 1))
    changed = augment(batch_of(dots(at), labels=labels, seed=1, flip=0.5), NOTHING, MIRRORED)
    mirrored = places(changed["frames"])[:, 0, 0] > 0
    assert 0 < mirrored.sum() < B
    expected = np.where(mirrored[:, None], [0, 2, 1, 2, -1], labels)
    assert np.array_equal(changed["labels"].numpy(), expected)


def test_where_nothing_is_mirrored_left_stays_left_however_it_is_turned():
    labels = np.ones((B, T), np.int64)
    assert torch.all(
        augment(batch_of(noise(), labels=labels), AugmentConfig(), MIRRORED)["labels"] == 1
    )


def handedness(config, seed):
    """Which side of a turned picture the small one of three dots lies on: -1 where it changed
    sides."""
    big, small = np.array([0.0, 0.25]), np.array([0.2, 0.0])
    changed = [
        places(
            augment(batch_of(dots(np.tile(at, (B, T, 1))), seed=seed, flip=0.5), config, MIRRORED)[
                "frames"
            ]
        )[:, 0]
        for at in (big, small)
    ]
    a, b = changed
    return np.sign(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) * np.sign(
        big[0] * small[1] - big[1] * small[0]
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_picture_changes_hands_exactly_where_its_labels_do(seed):
    config = only(aug_rotate=1.0)
    batch = batch_of(noise(), labels=np.ones((B, T), np.int64), seed=seed, flip=0.5)
    labels = augment(batch, config, MIRRORED)["labels"][:, 0]
    assert set(labels.tolist()) == {1, 2}
    assert np.array_equal(handedness(config, seed) < 0, labels.numpy() == 2)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1000),
    flip=st.sampled_from([0.0, 1.0]),
    rotate=st.floats(0, 1),
    scale=st.floats(0, 0.2),
)
def test_a_thing_at_rest_on_the_floor_stays_at_rest_while_the_window_passes_over_it(
    seed, flip, rotate, scale
):
    rng = np.random.default_rng(seed)
    thing = rng.uniform(-0.1, 0.1, (B, 1, 2))
    centers = np.cumsum(rng.uniform(-0.06, 0.06, (B, T, 2)), axis=1)
    centers -= centers[:, :1]
    config = only(aug_rotate=rotate, aug_scale=scale)
    changed = augment(
        batch_of(dots(thing - centers), centers, seed=seed, flip=flip), config, MIRRORED
    )
    on_floor = places(changed["frames"]) + changed["crop_centers"].numpy()
    assert (
        np.ptp(on_floor, axis=1).max() < 0.01
    )  # of the window's side; the centers themselves go about ten times as far
    assert np.ptp(changed["crop_centers"].numpy(), axis=1).max() > 0.05


@pytest.mark.parametrize(
    "knob", ["aug_rotate", "aug_scale", "aug_shift", "aug_invert", "aug_gamma", "aug_contrast"]
)
def test_all_frames_of_a_window_change_alike(knob):
    frames = np.repeat(noise()[:, :1], T, axis=1)
    changed = augment(batch_of(frames), only(**{knob: 0.4}), MIRRORED)["frames"]
    assert torch.all(changed == changed[:, :1])
    assert not torch.allclose(changed[:, 0], torch.as_tensor(frames[:, 0]) / 255, atol=0.01)


def test_windows_of_a_batch_change_each_in_its_own_way():
    frames = np.repeat(noise(1), B, axis=0)
    changed = augment(batch_of(frames), AugmentConfig(), MIRRORED)["frames"]
    assert len({c.numpy().tobytes() for c in changed}) == B


def test_the_sensors_noise_differs_from_frame_to_frame():
    changed = augment(batch_of(np.full((B, T, S, S), 128)), only(aug_noise=0.1), MIRRORED)["frames"]
    steps = (changed[:, 1:] - changed[:, :-1]).std(dim=(2, 3))
    assert torch.all(steps > 0)


def test_a_shift_moves_the_picture_by_no_more_than_asked_and_leaves_the_centers():
    at = np.zeros((B, T, 2))
    changed = augment(batch_of(dots(at), at + 1), only(aug_shift=0.2), MIRRORED)
    moved = np.abs(places(changed["frames"]))
    assert 0.05 < moved.max() < 0.205
    assert torch.all(changed["crop_centers"] == 1)


def test_a_negative_is_a_negative():
    changed = augment(batch_of(noise()), only(aug_invert=1.0), MIRRORED)["frames"]
    assert np.abs(changed.numpy() * 255 - (255 - noise())).max() < 0.5


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1000),
    flip=st.sampled_from([0.0, 1.0]),
    rotate=st.floats(0, 1),
    scale=st.floats(0, 0.2),
)
def test_a_point_stays_on_the_thing_that_it_marks(seed, flip, rotate, scale):
    at = np.random.default_rng(seed).uniform(-0.15, 0.15, (B, T, 2))
    points = np.stack([2 * at, np.full_like(at, np.nan)], 2).astype(
        np.float32
    )  # from -1 to 1; one is missing
    batch = {**batch_of(dots(at), seed=seed, flip=flip), "points": torch.from_numpy(points)}
    changed = augment(batch, only(aug_rotate=rotate, aug_scale=scale, aug_shift=0.1), MIRRORED)
    assert np.abs(changed["points"][:, :, 0].numpy() / 2 - places(changed["frames"])).max() < 0.01
    assert changed["points"][:, :, 1].isnan().all()


def test_windows_of_poses_alone_have_their_labels_mirrored_all_the_same():
    whole = batch_of(noise(), labels=np.ones((B, T), np.int64), flip=0.5)
    batch = {
        **{key: whole[key] for key in ("labels", "mirrored", "seed")},
        "pose": torch.rand(B, T, 3),
    }
    changed = augment(batch, AugmentConfig(), MIRRORED)
    assert torch.equal(changed["labels"][:, 0] == 2, batch["mirrored"])
    assert torch.equal(changed["pose"], batch["pose"])
