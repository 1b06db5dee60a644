"""A simulated study as a lab would provide it: videos, label files, DeepLabCut tables, animals."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.workers import Failed, spread
from dolorim.files.chambers import COLUMNS as CHAMBER_COLUMNS
from dolorim.files.tables import write_table
from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.write_dlc import write_dlc
from dolorim.simulate.camera import Cage, draw_cage, render
from dolorim.simulate.mouse import LICK, OFTEN, Motion, Mouse, draw_labels, keypoints, move
from dolorim.video.chambers import lay_grid, part_of
from dolorim.video.writer import VideoWriter

SCORER = "DLC_resnet50_simulatedMay7shuffle1_500000"
# Share of frames with a likelihood below 0.9 per keypoint, about as in real bottom-view files,
# where front paws are missing in 30 to 40 % of the frames.
_MISSING = np.array([0.08, 0.35, 0.35, 0.12, 0.12, 0.05])
_MISSING_RUN = 8  # mean length of a run of missing frames


@dataclass(frozen=True)
class StudyPlan:
    """How large the study is. `vigor` below 1 makes the movements of the paws harder to see.

    Studies of the same seed and the same duration whose motion is drawn at the same `motion_hz`
    (without it: `rate_hz`) show the same movements, at whatever `rate_hz` the camera films them. It
    wanders by a share of `wander`: a third makes 30 frames/s 20 to 40. In the group CFA, a bout is
    `effect` times as likely to be licking, compared with any other behavior. With `chambers`, rows
    and columns, each video shows so many animals, and there are no poses.
    """

    animals: int = 8
    trials: int = 4
    trial_length: int = 360
    rate_hz: float = 30.0
    size_px: int = 384
    vigor: float = 1.0
    seed: int = 0
    first: int = 0  # number of the first animal; 0 is 201M
    motion_hz: float | None = None
    wander: float = 0.0
    crf: int = 23  # quality of the video, as `VideoWriter` counts it
    effect: int = 1
    chambers: tuple[int, int] | None = None

    @property
    def n_frames(self) -> int:
        return self.trials * self.trial_length


def simulate_study(
    folder: Path,
    plan: StudyPlan = StudyPlan(),
    workers: int = 1,
    progress: Callable[[int], object] = lambda n: None,
) -> Path:
    """Write the study below `folder` and return the folder.

    `progress` is called with the number of frames of each finished video. The label files of every
    other animal lack the first 15 frames of each trial, as tools with a 15-frame context write
    them. The same plan gives the same bytes. Raises `UserError` if a file cannot be written.
    """
    tasks: deque[_Task] = deque((folder, plan, numbers) for numbers in _videos(plan))
    rows: dict[int, list[tuple[object, ...]]] = {}
    for (_, _, numbers), result in spread(_simulator, tasks, workers):
        if isinstance(result, Failed):
            reason = result.explain(str(folder))
            raise UserError(f"{folder}: animal {numbers[0]} could not be simulated; {reason}")
        rows[numbers[0]] = result
        progress(plan.n_frames)
    places = CHAMBER_COLUMNS if plan.chambers else ()
    in_order = itertools.chain.from_iterable(rows[number] for number in sorted(rows))
    write_table(folder / "recordings.csv", ("video", *places, "animal", "group"), in_order)
    return folder


def _videos(plan: StudyPlan) -> Iterator[tuple[int, ...]]:
    """The numbers of the animals that each video shows."""
    rows, columns = plan.chambers or (1, 1)
    stop = plan.first + plan.animals
    for first in range(plan.first, stop, rows * columns):
        yield tuple(range(first, min(first + rows * columns, stop)))


_Task = tuple[Path, StudyPlan, tuple[int, ...]]


def _simulator(number: int) -> Callable[[_Task], list[tuple[object, ...]]]:
    return _simulate_task


def _simulate_task(task: _Task) -> list[tuple[object, ...]]:
    return _simulate_video(*task)


@dataclass(frozen=True)
class _Actor:
    """One animal of a study: who it is, what it does, and how it is drawn.

    `points` `(time, 6, 2)` and `likelihood` `(time, 6)` are what a tracker reports.
    """

    number: int
    animal: str
    group: str
    mouse: Mouse
    motion: Motion
    cage: Cage
    points: np.ndarray
    likelihood: np.ndarray


def _draw_actor(plan: StudyPlan, number: int, time_s: np.ndarray) -> _Actor:
    rng = np.random.default_rng([plan.seed, number])
    group = group_of(number)
    mouse = draw_mouse(plan, rng)
    motion_hz = plan.motion_hz or plan.rate_hz
    n_moments = round(plan.n_frames / plan.rate_hz * motion_hz)
    often = dict(OFTEN)
    if group == "CFA":
        often[LICK] *= plan.effect
    behaviors = draw_labels(n_moments, motion_hz, rng, often)
    moving = move(behaviors, mouse, plan.size_px, motion_hz, rng)
    cage = draw_cage(mouse, plan.size_px, rng)
    motion = moving.at(np.minimum(np.round(time_s * motion_hz).astype(int), n_moments - 1))
    points, likelihood = track(keypoints(motion, mouse), rng)
    animal = f"{201 + number}{'MF'[number % 2]}"
    return _Actor(number, animal, group, mouse, motion, cage, points, likelihood)


def _simulate_video(
    folder: Path, plan: StudyPlan, numbers: tuple[int, ...]
) -> list[tuple[object, ...]]:
    """Write a video and its labels, and the pose of a single animal; returns the rows of the
    table of recordings.
    """
    time_s = _camera_times(plan, numbers[0])
    actors = [_draw_actor(plan, number, time_s) for number in numbers]
    first = actors[0]
    name = f"sim_2023-10-25_{first.group}_{first.number + 1:03d}_{first.animal}_tracking"
    rows, columns = plan.chambers or (1, 1)
    if plan.chambers:
        name = f"sim_2023-10-25_rack_{first.number + 1:03d}"
    size = columns * plan.size_px, rows * plan.size_px
    path = folder / "Videos" / f"{name}.mp4"
    picture = np.zeros(size[::-1], np.uint8)  # chambers of a rack that is not full stay dark
    chambers = lay_grid(size, rows, columns)
    with VideoWriter(path, *size, plan.rate_hz, crf=plan.crf) as video:
        for frame, at_s in enumerate(time_s.tolist()):
            for actor, chamber in zip(actors, chambers, strict=False):
                part = part_of(picture, chamber.box)
                part[:] = render(actor.motion, actor.mouse, actor.cage, frame)
            video.write(picture, at_s if plan.wander else None)
    if not plan.chambers:
        _write_labels(folder, plan, first, path.name)
        file = folder / "DLC" / f"{name}{SCORER}.csv"
        write_dlc(file, SCORER, KEYPOINTS, first.points, first.likelihood)
        return [(path.name, first.animal, first.group)]
    table: list[tuple[object, ...]] = []
    for actor, chamber in zip(actors, chambers, strict=False):
        _write_labels(folder, plan, actor, f"{name}_{chamber.name}")
        table.append((path.name, chamber.name, *chamber.box, actor.animal, actor.group))
    return table


def _write_labels(folder: Path, plan: StudyPlan, actor: _Actor, name: str) -> None:
    """A file for each trial."""
    unlabelled = 15 if actor.number % 2 else 0
    for trial in range(plan.trials):
        start, stop = trial * plan.trial_length, (trial + 1) * plan.trial_length
        rows = actor.motion.labels[start + unlabelled : stop]
        path = folder / "Annotations" / f"prediction_{name}_{trial + 1}.csv"
        write_table(path, ("Frame", "Action"), enumerate(rows.tolist()))


def group_of(number: int) -> str:
    """The group of an animal: two and two of them, so that both sexes are in each."""
    return ("CFA", "saline")[number // 2 % 2]


def _camera_times(plan: StudyPlan, number: int) -> np.ndarray:
    """When the camera takes each frame `(frames,)`, in seconds."""
    if not plan.wander:
        return np.arange(plan.n_frames) / plan.rate_hz
    rng = np.random.default_rng([plan.seed, number, 1])
    swing = np.sin(np.arange(plan.n_frames) * 2 * np.pi / 240 + rng.uniform(0, 2 * np.pi))
    lengths_s = 1 / (1 + plan.wander * swing)
    # The whole lasts as long as at a steady rate, so that it shows the same movements.
    lengths_s *= plan.n_frames / plan.rate_hz / lengths_s.sum()
    return np.cumsum(lengths_s) - lengths_s


def draw_mouse(plan: StudyPlan, rng: np.random.Generator) -> Mouse:
    """An animal of its own size, coat and brightness; some are filmed in infrared light."""
    infrared = rng.random() < 0.3
    return Mouse(
        length_px=plan.size_px * rng.uniform(0.18, 0.24),
        floor=rng.uniform(18, 30) if infrared else rng.uniform(105, 165),
        coat=rng.uniform(45, 70) if infrared else rng.uniform(35, 85),
        paw=rng.uniform(170, 220) if infrared else rng.uniform(145, 190),
        patchiness=rng.uniform(0, 0.3),
        noise=rng.uniform(1.5, 4),
        side=int(rng.choice([-1, 1])),
        vigor=plan.vigor,
    )


def track(truth: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What a tracker would report for true points `(time, 6, 2)` in pixels.

    Returns points `(time, 6, 2)` with jitter and misses, and likelihoods `(time, 6)`. Misses come
    in runs; a missed point is either a little or wildly off.
    """
    n_frames, n_keypoints = truth.shape[:2]
    missing = np.zeros((n_frames, n_keypoints), bool)
    for keypoint, share in enumerate(_MISSING):
        # Runs overlap, so a share takes a little more of them than its length suggests.
        starts = rng.random(n_frames) < share / _MISSING_RUN / (1 - share / 2)
        for start in np.flatnonzero(starts):
            missing[start : start + 1 + rng.geometric(1 / _MISSING_RUN), keypoint] = True
    points = truth + rng.normal(0, 0.6, truth.shape)
    wild = missing & (rng.random(missing.shape) < 0.3)
    points += np.where(missing, 6.0, 0.0)[..., None] * rng.normal(size=truth.shape)
    points += np.where(wild, 60.0, 0.0)[..., None] * rng.normal(size=truth.shape)
    low = 0.9 * rng.beta(1.2, 2.5, missing.shape)
    high = 1 - rng.beta(1, 60, missing.shape)
    return points, np.where(missing, low, high)
