"""More of what mice do: rearing, curled grooming, scratching, and truths about each moment.

Only the starter encoder learns from it (`benchmarks/starter_encoder.py`); the study of the demo
and the tests keeps to the eight behaviors of `mouse`. Says nothing about accuracy on real mice.
"""

from __future__ import annotations

import numpy as np

from dolorim.labels.bouts import Bout
from dolorim.simulate.mouse import (
    ACTIVE,
    FLINCH,
    GUARD,
    LICK,
    SHAKE,
    WALK,
    WITHDRAW,
    Motion,
    Mouse,
    Pose,
    draw_labels,
    envelope,
    keypoints,
    move,
    seconds_into,
)

REAR, GROOM, SCRATCH, TURN = 8, 9, 10, 11  # beside the eight raw behaviors
N_BEHAVIORS = 12
_OFTEN = {
    **{WITHDRAW: 2, LICK: 2, GUARD: 1, SHAKE: 2, FLINCH: 1, WALK: 4, ACTIVE: 4},
    **{REAR: 3, GROOM: 3, SCRATCH: 2, TURN: 3},
}
_DURATION_S = {
    **{WITHDRAW: (0.2, 0.6), LICK: (1.0, 4.0), GUARD: (0.5, 1.2), SHAKE: (0.3, 1.0)},
    **{FLINCH: (0.2, 0.4), WALK: (0.8, 2.5), ACTIVE: (0.8, 3.0)},
    **{REAR: (0.6, 2.5), GROOM: (1.5, 4.0), SCRATCH: (0.5, 1.5), TURN: (0.4, 1.2)},
}
LAGS = (1, 4)  # frames to either side over which displacements are measured


def lifelike_motion(
    n_frames: int, rate_hz: float, mouse: Mouse, size_px: int, rng: np.random.Generator
) -> Motion:
    """What an animal does in a stretch of video; its labels are below `N_BEHAVIORS`."""
    labels = draw_labels(n_frames, rate_hz, rng, _OFTEN, _DURATION_S)
    more = {REAR: _rear, GROOM: _groom, SCRATCH: _scratch, TURN: _turn}
    return move(labels, mouse, size_px, rate_hz, rng, more)


def _rear(pose: Pose, bout: Bout, mouse: Mouse, rate_hz: float, rng: np.random.Generator) -> None:
    """It stands up: the body is seen from its end, and the front paws leave the floor."""
    at = slice(bout.start, bout.stop)
    up = envelope(bout, rate_hz, 0.3, 0.3)
    sway = np.sin(2 * np.pi * rng.uniform(0.7, 2) * seconds_into(bout, rate_hz))
    pose.stretch[at] -= up * (rng.uniform(0.35, 0.55) + 0.05 * sway)
    pose.bend[at] += rng.uniform(0.1, 0.6) * up * sway
    pose.contact[at, :2] -= up[:, None]
    pose.paws[at, :2] += up[:, None, None] * np.array([[-0.12, 0.03], [-0.12, -0.03]])


def _groom(pose: Pose, bout: Bout, mouse: Mouse, rate_hz: float, rng: np.random.Generator) -> None:
    """It curls up, to either side, and works on its fur with mouth and front paws."""
    at, since_s = slice(bout.start, bout.stop), seconds_into(bout, rate_hz)
    sign = float(rng.choice([-1, 1]))
    up = envelope(bout, rate_hz, 0.4, 0.4)
    work = up * np.sin(2 * np.pi * rng.uniform(3, 7) * since_s)
    pose.bend[at] += sign * up * rng.uniform(1.4, 2.4)
    pose.stretch[at] -= up * rng.uniform(0.1, 0.3)
    pose.mouth_shift[at] += 0.04 * work[:, None] * (0.7, 0.7 * sign)
    reach = np.array([[-0.02, 0.05 * sign], [-0.02, 0.05 * sign]])
    pose.paws[at, :2] += up[:, None, None] * reach + 0.04 * work[:, None, None] * (1.0, 0.5)
    pose.contact[at, :2] -= 0.7 * up[:, None]


def _scratch(
    pose: Pose, bout: Bout, mouse: Mouse, rate_hz: float, rng: np.random.Generator
) -> None:
    """A hind paw goes quickly to and fro at the flank or the neck."""
    at, since_s = slice(bout.start, bout.stop), seconds_into(bout, rate_hz)
    paw = int(rng.integers(2, 4))
    side = 1.0 if paw == 2 else -1.0
    up = envelope(bout, rate_hz, 0.15, 0.15)
    to_and_fro = np.sin(2 * np.pi * rng.uniform(8, 14) * since_s)
    pose.bend[at] += 0.8 * side * up
    pose.stretch[at] -= 0.12 * up
    pose.paws[at, paw] += up[:, None] * (0.34, 0.03 * side)
    pose.paws[at, paw] += 0.08 * (up * to_and_fro)[:, None] * (0.8, 0.5)
    pose.contact[at, paw] -= up


def _turn(pose: Pose, bout: Bout, mouse: Mouse, rate_hz: float, rng: np.random.Generator) -> None:
    """It turns on the spot, with the head first."""
    at, since_s = slice(bout.start, bout.stop), seconds_into(bout, rate_hz)
    sign = float(rng.choice([-1, 1]))
    up = envelope(bout, rate_hz, 0.2, 0.2)
    pose.bend[at] += 0.7 * sign * up
    pose.turn[at] += sign * up * rng.uniform(1.5, 4)
    pose.speed[at] += 0.1 * up
    phase = 2 * np.pi * rng.uniform(3, 4.5) * since_s[:, None] + np.array([0, np.pi, np.pi, 0])
    pose.paws[at, :, 0] += 0.06 * up[:, None] * np.sin(phase)
    pose.contact[at] -= 0.5 * up[:, None] * np.clip(np.cos(phase), 0, 1)


def truths(motion: Motion, mouse: Mouse) -> np.ndarray:
    """What is true of each moment whichever way the animal heads: `(time, truths)`, float32.

    Distances between its six keypoints, the bend of its neck, how far mouth, paws and body move
    and how far the body turns over `LAGS` frames to either side, and which paws bear weight.
    Lengths are in body lengths; displacements are square roots of them, because most are small.
    """
    points = keypoints(motion, mouse) / mouse.length_px
    first, second = np.triu_indices(points.shape[1], 1)
    columns = [np.linalg.norm(points[:, first] - points[:, second], axis=-1), motion.bend[:, None]]
    center = motion.center[:, None] / mouse.length_px
    moving = np.concatenate([points[:, :5], center], 1)
    for lag in LAGS:
        columns.append(np.sqrt(np.linalg.norm(_change(moving, lag), axis=-1)))
        columns.append(_change(motion.heading[:, None], lag))
    columns.append(motion.contact.clip(0, 1))
    return np.concatenate(columns, 1).astype(np.float32)


def _change(values: np.ndarray, lag: int) -> np.ndarray:
    """Values `lag` frames later minus those `lag` frames earlier, the outermost repeated."""
    frames = np.arange(len(values))
    return values[(frames + lag).clip(max=len(values) - 1)] - values[(frames - lag).clip(min=0)]
