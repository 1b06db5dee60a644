"""Train the starter encoder on simulated mice alone, with supervision.

It learns which behavior a window shows and truths about body and paws that do not depend on the
heading (`simulate/lifelike_motion.py`). On one machine the same seed gives the same bytes twice.

    python -m benchmarks.starter_encoder --out runs/starter [--seeds 0 1 2 3 4]
"""

from __future__ import annotations

import argparse
import math
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dolorim import __version__
from dolorim.config import AugmentConfig
from dolorim.dataset.augmentation import augment
from dolorim.inference.encoder_folder import Encoder, save_encoder
from dolorim.models.frame_encoder import SIDE_PX, WINDOW, FrameEncoder, calibrate_statistics
from dolorim.simulate.lifelike_motion import N_BEHAVIORS, lifelike_motion, truths
from dolorim.simulate.lifelike_picture import draw_looks, follow, picture
from dolorim.simulate.mouse import Mouse

ANIMALS = 120
WINDOWS = 24  # per animal, equally many of each behavior
SECONDS = 40  # that each animal is watched
RATES_HZ = (15.0, 60.0)
STEPS, BATCH, RATE = 300, 96, 2e-3
TRUTHS = 4.0  # weight of their loss
_STUDY = 0  # seed of the simulated animals
_CROP = 1.6  # body lengths
_SCALE = SIDE_PX / WINDOW  # pixels per body length
_LENGTH_PX, _ROOM_PX = 100.0, 500  # of the animal and its room, before the camera
_REACH = 4
_USED = (-4, -2, -1, 0, 1, 2, 4)  # frames that motion maps compare
_AUGMENT = AugmentConfig(
    aug_shift=0.1, aug_scale=0.25, aug_flip=0.0, aug_invert=0.3, aug_noise=0.0, aug_contrast=0.5
)
_CALIBRATION = 10  # batches


@dataclass(frozen=True)
class Windows:
    """Simulated windows: `frames` `(n, 9, side, side)` uint8, `behavior` `(n,)` and `truths`."""

    frames: np.ndarray
    behavior: np.ndarray
    truths: np.ndarray


def simulated_windows(animals: int = ANIMALS, windows: int = WINDOWS) -> Windows:
    """Windows of simulated animals, each with its own looks, room, frame rate and shape."""
    parts = [_windows_of(np.random.default_rng([_STUDY, i]), windows) for i in range(animals)]
    return Windows(*map(np.concatenate, zip(*parts, strict=True)))


def _windows_of(rng: np.random.Generator, windows: int) -> tuple[np.ndarray, ...]:
    rate_hz = float(np.exp(rng.uniform(*np.log(RATES_HZ))))
    mouse = Mouse(length_px=_LENGTH_PX, side=int(rng.choice([-1, 1])))
    motion = lifelike_motion(round(SECONDS * rate_hz), rate_hz, mouse, _ROOM_PX, rng)
    looks = draw_looks(mouse, _ROOM_PX, rng)
    error = rng.normal(0, 0.05, 2)
    camera = follow(motion, mouse, rate_hz, _SCALE, round(_CROP * _SCALE), error)
    inner = slice(_REACH, len(motion.labels) - _REACH)
    chosen = []
    for k in range(windows):
        shown = np.flatnonzero(motion.labels[inner] == k % N_BEHAVIORS)
        shown = shown if len(shown) else np.arange(len(motion.labels[inner]))
        chosen.append(int(rng.choice(shown)) + _REACH)
    frames = np.empty((windows, 1 + 2 * _REACH, camera.side_px, camera.side_px), np.uint8)
    for window, moment in zip(frames, chosen, strict=True):
        for offset in _USED:
            window[offset + _REACH] = picture(motion, mouse, looks, camera, moment + offset, rng)
        # No map looks at these two.
        window[_REACH - 3], window[_REACH + 3] = window[_REACH - 4], window[_REACH + 4]
    return frames, motion.labels[chosen].astype(np.int64), truths(motion, mouse)[chosen]


def learn(windows: Windows, seed: int, steps: int = STEPS, batch_size: int = BATCH) -> FrameEncoder:
    """Train an encoder on simulated windows, on one thread and with deterministic operations."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    network = FrameEncoder()
    n_truths = windows.truths.shape[1]
    head = nn.Linear(network.width, N_BEHAVIORS + n_truths)
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=0.01)
    rng = np.random.default_rng(seed)
    truth = (windows.truths - windows.truths.mean(0)) / (windows.truths.std(0) + 1e-3)
    behavior, truth = torch.from_numpy(windows.behavior), torch.from_numpy(truth)
    for step in range(steps):
        chosen = rng.permutation(len(behavior))[:batch_size]
        for group in optimizer.param_groups:
            rise = min(1.0, (step + 1) / 20)
            group["lr"] = RATE * rise * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        output = head(network(_changed(windows.frames[chosen], rng))[:, 0])
        named = F.cross_entropy(output[:, :N_BEHAVIORS], behavior[chosen])
        measured = F.smooth_l1_loss(output[:, N_BEHAVIORS:], truth[chosen])
        optimizer.zero_grad()
        (named + TRUTHS * measured).backward()
        optimizer.step()
        if (step + 1) % 50 == 0:
            hits = (output[:, :N_BEHAVIORS].argmax(1) == behavior[chosen]).float().mean()
            print(
                f"step {step + 1}: cross-entropy {named.item():.3f}, "
                f"truths {measured.item():.3f}, accuracy {hits.item():.2f}",
                flush=True,
            )
    batches = [
        _changed(windows.frames[rng.permutation(len(behavior))[:batch_size]], rng)
        for _ in range(_CALIBRATION)
    ]
    calibrate_statistics(network, batches)
    return network


def _changed(frames: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """The middle of the windows, turned and in other light."""
    n = len(frames)
    batch = {
        "frames": torch.from_numpy(frames),
        "crop_centers": torch.zeros(n, frames.shape[1], 2),
        "labels": torch.full((n, 1), -1),
        "mirrored": torch.zeros(n, dtype=torch.bool),
        "seed": torch.from_numpy(rng.integers(2**31, size=n)),
    }
    changed: torch.Tensor = augment(batch, _AUGMENT, [0], SIDE_PX, WINDOW / _CROP)["frames"]
    return changed


def make(windows: Windows, out: Path, seed: int) -> Encoder:
    """Learn an encoder and write it."""
    network = learn(windows, seed)
    card = {
        "method": "supervision on simulated mice (python -m benchmarks.starter_encoder)",
        "window_body_lengths": WINDOW,
        "side_px": SIDE_PX,
        "settings": {
            "seed": seed,
            "animals": ANIMALS,
            "windows": ANIMALS * WINDOWS,
            "rates_hz": RATES_HZ,
            "steps": STEPS,
            "batch_size": BATCH,
        },
        "videos": [],
        "versions": {
            "dolorim": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }
    return save_encoder(network, card, out)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("runs/starter"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    windows = simulated_windows()
    for seed in given.seeds:
        encoder = make(windows, given.out / str(seed), seed)
        print(f"{encoder.folder}: {encoder.key}", flush=True)


if __name__ == "__main__":
    main()
