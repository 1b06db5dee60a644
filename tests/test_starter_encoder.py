"""The simulated mice that the starter encoder learns from; learning gives the same twice."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from benchmarks.starter_encoder import Windows, learn, simulated_windows

from dolorim.models.pretrained import fingerprint
from dolorim.simulate.lifelike_motion import GROOM, N_BEHAVIORS, REAR, lifelike_motion, truths
from dolorim.simulate.lifelike_picture import draw_looks, follow, picture
from dolorim.simulate.mouse import REST, Motion, Mouse

MOUSE = Mouse(length_px=100.0)


@pytest.fixture(scope="module")
def motion() -> Motion:
    return lifelike_motion(3000, 20.0, MOUSE, 500, np.random.default_rng(1))


@pytest.fixture(scope="module")
def windows() -> Windows:
    return simulated_windows(animals=2, windows=12)


def test_a_rearing_animal_is_short_and_off_its_front_paws_and_a_grooming_one_is_bent(
    motion: Motion,
) -> None:
    rest, rear, groom = (motion.labels == behavior for behavior in (REST, REAR, GROOM))
    assert motion.stretch[rear].min() < 0.7 < motion.stretch[rest].min()
    assert motion.contact[rear, :2].min() < 0.1
    assert np.abs(motion.bend[groom]).max() > 1.3 > np.abs(motion.bend[rest]).max()
    assert motion.labels.max() < N_BEHAVIORS


def test_truths_do_not_depend_on_where_the_animal_is_and_heads(motion: Motion) -> None:
    angle = 0.8
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    elsewhere = dataclasses.replace(
        motion, center=motion.center @ turn + 40, heading=motion.heading + angle
    )
    # Single precision, and square roots of small displacements.
    np.testing.assert_allclose(truths(motion, MOUSE), truths(elsewhere, MOUSE), atol=2e-3)


def test_the_window_shows_the_animal_in_its_middle(motion: Motion) -> None:
    rng = np.random.default_rng(0)
    dark = dataclasses.replace(draw_looks(MOUSE, 500, rng), coat=0.0, belly=0.0, noise=0.0)
    looks = dataclasses.replace(dark, room=np.full_like(dark.room, 200.0), reflection=0.0)
    camera = follow(motion, MOUSE, 20.0, 51.2, 82, np.zeros(2))
    still = int(np.flatnonzero(motion.labels == REST)[5])
    image = picture(motion, MOUSE, looks, camera, still, rng)
    assert image.shape == (82, 82)
    y, x = np.nonzero(image < 60)
    assert abs(y.mean() - 41) < 10
    assert abs(x.mean() - 41) < 10


def test_the_same_seed_gives_the_same_windows_and_the_same_weights(windows: Windows) -> None:
    again = simulated_windows(animals=1, windows=12)
    np.testing.assert_array_equal(again.frames, windows.frames[:12])
    threads = torch.get_num_threads()
    keys = {fingerprint(learn(windows, 0, steps=2, batch_size=4)) for _ in range(2)}
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
    assert len(keys) == 1
