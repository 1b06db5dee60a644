"""Single frames that keypoints are learned from: which are drawn, how often, and what they show."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from dolorim.config import AugmentConfig, Config, ModelConfig, TrainConfig
from dolorim.core.errors import UserError
from dolorim.dataset.augmentation import augment
from dolorim.dataset.keypoint_frames import KeypointFrames
from dolorim.dataset.labelled_recording import LabelledRecording, crop_points
from dolorim.dataset.sampling import BoutSampler, WindowSpec
from dolorim.dataset.windows import Windows
from dolorim.inference.input_spec import input_spec_of
from dolorim.labels.trials import Recording
from dolorim.models.build import build_recognizer
from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.pose import Skeleton
from dolorim.training.loaders import Loaders, make_loaders
from dolorim.training.losses import keypoint_loss
from poses import film_of, wandering

USUAL = AugmentConfig()
SIZE = 32


def labelled(frames: int, untracked: slice = slice(0), tracked: bool = True) -> LabelledRecording:
    """A recording with its picture, and with a pose but on the `untracked` frames."""
    track = wandering(frames, KEYPOINTS, 1, 0.0)
    points = track.points.copy()
    points[untracked] = np.nan
    film = film_of(track, SIZE, turned=True)
    labels = np.arange(frames, dtype=np.int16) // 10 % 2
    track = dataclasses.replace(track, points=points)
    return LabelledRecording(Recording(str(frames), "1M", labels), film, track if tracked else None)


def draws(
    parts: list[LabelledRecording], rank: int = 0, world_size: int = 1, **changes: int
) -> KeypointFrames:
    settings = TrainConfig(**{"train_T": 10, "batch_size": 2, "kp_frames": 32, **changes})
    windows = BoutSampler(
        [f.recording for f in parts], settings, USUAL, rank=rank, world_size=world_size
    )
    return KeypointFrames(parts, settings, USUAL, windows, rank, world_size)


def drawn(sampler: KeypointFrames, epoch: int = 0) -> list[WindowSpec]:
    sampler.set_epoch(epoch)
    return list(sampler)


def loaders_of(parts: list[LabelledRecording], **changes: object) -> Loaders:
    settings = TrainConfig(train_T=10, batch_size=2, **changes)  # type: ignore[arg-type]
    model_config = ModelConfig(clip_length=8, tasks="multitask", width=16)
    config = Config(model=model_config, augment=USUAL, train=settings)
    skeleton = Skeleton(KEYPOINTS)
    model = build_recognizer(model_config, 2, skeleton, SIZE)
    windows = Windows(parts, 10, input_spec_of(model, model_config, skeleton), USUAL)
    sampler = BoutSampler([f.recording for f in parts], settings, USUAL)
    return make_loaders(config, parts, model, windows, sampler, 0)


def test_only_tracked_frames_are_drawn_and_each_as_often_as_another() -> None:
    parts = [labelled(40, untracked=slice(10, 40)), labelled(50, tracked=False), labelled(70)]
    sampler = draws(parts)
    assert sampler.n_tracked == 80
    specs = [spec for epoch in range(20) for spec in drawn(sampler, epoch)]
    counts = np.zeros((3, 70))
    np.add.at(counts, ([s.recording for s in specs], [int(s.start) for s in specs]), 1)
    assert counts[0, 10:].sum() == counts[1].sum() == 0
    assert counts[0].sum() / len(specs) == pytest.approx(10 / 80, abs=0.02)
    assert (counts[2] > 0).all()
    assert np.mean([s.mirrored for s in specs]) == pytest.approx(0.5, abs=0.05)
    assert len({s.seed for s in specs}) == len(specs)


def test_every_step_has_as_many_frames_as_asked_and_a_resumed_run_has_the_same() -> None:
    parts = [labelled(100)]
    sampler = draws(parts, kp_frames=5)
    assert (
        len(drawn(sampler)) == len(sampler) == 5 * 5
    )  # 100 frames are 10 windows, which are 5 steps
    assert drawn(sampler, 3) == drawn(draws(parts, kp_frames=5), 3)
    assert drawn(sampler, 3) != drawn(sampler, 2)
    assert drawn(sampler, 3) != drawn(draws(parts, kp_frames=5, seed=1), 3)


def test_processes_that_train_together_take_turns() -> None:
    parts = [labelled(100)]
    one, two = (drawn(draws(parts, rank, 2, batch_size=1)) for rank in (0, 1))
    together = [spec for turn in zip(one, two, strict=True) for spec in turn]
    assert together == drawn(draws(parts, batch_size=1))


def test_a_frame_is_shown_with_its_own_points_also_in_the_mirror() -> None:
    part = labelled(60)
    loader = loaders_of([part], kp_frames=8).keypoint_frames
    assert loader is not None
    batch = next(iter(loader))
    still = AugmentConfig(aug_rotate=0, aug_shift=0, aug_scale=0, aug_invert=0)
    changed = augment(batch, still, range(2))
    assert batch["mirrored"].any()
    assert not batch["mirrored"].all()
    places = crop_points(
        part.track.points[:, 0], part.video.centers, part.video.angles_rad, part.video.side_px
    )
    mirror = [
        KEYPOINTS.index(n.replace("L_", "?").replace("R_", "L_").replace("?", "R_"))
        for n in KEYPOINTS
    ]
    specs = drawn(loader.sampler)
    for points, flipped, spec in zip(
        changed["points"][:, 0], batch["mirrored"], specs, strict=False
    ):
        true = torch.from_numpy(places[int(spec.start)])
        expected = true[mirror] * torch.tensor([-1.0, 1.0]) if flipped else true
        torch.testing.assert_close(points, expected)


def test_a_step_without_keypoints_or_with_those_of_its_windows_gets_no_single_frames() -> None:
    assert set(loaders_of([labelled(60)], kp_frames=0).training) == {"windows"}
    assert set(loaders_of([labelled(60)], lambda_kp=0.0).training) == {"windows"}
    alone = loaders_of([labelled(60)])  # no folder of label files
    assert set(alone.training) == {"keypoint_frames"}
    assert set(dataclasses.replace(alone, points_alone=False).training) == {
        "windows",
        "keypoint_frames",
    }


def test_where_nobody_has_tracked_anything_there_are_no_keypoints_to_learn() -> None:
    with pytest.raises(UserError, match="none of the training animals has a keypoint in any frame"):
        loaders_of([labelled(60, untracked=slice(0, 60)), labelled(30, tracked=False)])


def spotted(frames: int) -> LabelledRecording:
    """A recording of an animal that turns about: a bright spot is its mouth, and a dim one its tail
    base."""
    rng = np.random.default_rng(0)
    names = ("mouth", "tail_base")
    angle = rng.uniform(-np.pi, np.pi, frames)
    arm = 16 * np.stack([np.cos(angle), np.sin(angle)], -1)
    points = np.stack([64 + arm, 64 - arm], 1)
    y, x = (
        np.mgrid[:SIZE, :SIZE] * 2.0 + 1 + 32
    )  # pixels of the video: the window from 32 to 96 at half its size
    images = np.full((frames, SIZE, SIZE), 20.0)
    for point, light in zip(np.moveaxis(points, 1, 0), (200, 80), strict=True):
        squared = (x - point[:, :1, None]) ** 2 + (y - point[:, 1:, None]) ** 2
        images += light * np.exp(-squared / 32)
    track = wandering(frames, names, 1, 0.0)
    track = dataclasses.replace(track, points=points[:, None].astype(np.float32))
    film = dataclasses.replace(
        film_of(track, SIZE),
        images=images.clip(0, 255).astype(np.uint8),
        centers=np.ones((frames, 2), np.float32),
    )
    return LabelledRecording(Recording("spots", "1M", np.zeros(frames, np.int16)), film, track)


def test_keypoints_of_an_animal_that_looks_in_all_directions_are_learned_in_a_few_dozen_steps() -> (
    None
):
    torch.manual_seed(0)
    part = spotted(200)
    skeleton, config = (
        Skeleton(part.track.names),
        ModelConfig(clip_length=8, tasks="multitask", width=16),
    )
    model = build_recognizer(config, 2, skeleton, SIZE)
    plain = dataclasses.replace(USUAL, aug_invert=0.0)
    loop = TrainConfig(train_T=10, batch_size=1, kp_frames=8)
    sampler = BoutSampler([part.recording], loop, plain)
    windows = Windows([part], 10, input_spec_of(model, config, skeleton), plain)
    loader = make_loaders(
        Config(augment=plain, train=loop), [part], model, windows, sampler, 0
    ).keypoint_frames
    assert loader is not None
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    errors, constants = [], []
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            changed = augment(batch, plain, range(2))
            output, points = model.find_keypoints(changed["frames"][:, None]), changed["points"]
            loss = keypoint_loss(
                output, points, changed["valid"], lambda value: value, map_weight=0.1
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            errors.append(float((output.places - points).norm(dim=-1).mean().detach()))
            constants.append(float((points - points.mean((0, 1))).norm(dim=-1).mean()))
    assert len(errors) == 60
    assert np.mean(errors[-10:]) < np.mean(constants) / 3
