"""Keypoints found in the picture alone, in pixels, on real videos: contiguous blocks of frames are
held out.

python -m benchmarks.keypoints [--recipe turned] [--steps 800] [--seed 0] [--work DIR] [--jobs 1]
python -m benchmarks.keypoints --choose --task openfield --recipe turned

`openfield_keypoints`: learn from 80 % of a video, by the points that DeepLabCut has found there,
and score on the rest, in blocks; and score on 116 frames of *another* video that a human has
labeled: none of that video seen, and with the first 80 % of them learned from as well.
`bottomview_pose`: the same by blocks, after its pose has been moved by two frames. No label file is
needed: `dolorim train multitask` then learns keypoints alone. The crop follows the animal that is
found in the picture, not the pose, so it does not reveal where the points are. Training shifts,
scales and mirrors it; the recipe *turned* turns it, too. With `--choose`, only the held-out blocks
of the learned video are scored, also turned and in other light, and nothing is written: these
choose a recipe, and the frames of the other mouse are scored once.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common import epochs_of, machine, real_data, trained
from benchmarks.keypoint_changes import under_changes
from benchmarks.keypoint_page import write_page
from dolorim.config import DataConfig
from dolorim.dataset.extract import extract
from dolorim.dataset.labelled_recording import LabelledRecording, crop_points, video_points
from dolorim.dataset.loading import load_dataset
from dolorim.files.tables import write_table
from dolorim.inference.predictor import predictor_of
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import UNLABELED
from dolorim.labels.trials import Recording
from dolorim.pose.pose_track import read_any_track
from dolorim.pose.read import read_pose
from dolorim.terminal import be_quiet
from dolorim.video.reader import FrameStream, probe
from dolorim.video.writer import VideoWriter

BLOCKS, HELD_OUT = 10, (2, 7)  # of each video: two blocks amid the others
# Frames at either end of a held-out block that are not scored: their neighbors have been learned
# from
GAP = 8
STILL = 30  # frames that a labeled frame is shown for, so that the crop comes to rest on it
LEARNED_STILLS = 93  # of 116, the first
_SHARED = (
    "--pose none --temporal none --train_T 8 --batch_size 4 --lr 3e-3 --ema_decay 0.98 "
    "--convolution_dropout 0 --appearance_dropout 0 --aug_invert 0 "
    "--test_animals held_out --val_animals none "
)
RECIPES = {
    "0.1.0": f"{_SHARED}--clip_length 8 --image_size 128 --aug_rotate 0",
    "turned": f"{_SHARED}--clip_length 3 --image_size 96 --aug_rotate 1",
}
FRAMES_PER_STEP = 8 * 4  # train_T times batch_size: as many frames make an epoch's steps


Rows = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Task:
    """A folder of videos with poses to learn from, and how long its animal is."""

    name: str
    folder: Path
    body_length_px: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=800, help="training steps of one run")
    parser.add_argument("--recipe", choices=RECIPES, default="turned", help="flags of training")
    parser.add_argument(
        "--choose", action="store_true", help="score held-out blocks alone, under changes"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--data", type=Path, default=None, help="the folder of public recordings")
    parser.add_argument(
        "--task",
        action="append",
        default=None,
        help="these alone: openfield, openfield and stills, bottomview",
    )
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--work", type=Path, default=None, help="folder that is kept")
    given = parser.parse_args([] if arguments is None else arguments)
    given.work = given.work or Path(tempfile.mkdtemp(prefix="keypoints-"))
    be_quiet(True)
    tasks = tasks_of(given)
    with ThreadPoolExecutor(given.jobs) as pool:
        runs = list(pool.map(lambda t: train(t, given), tasks))
    if given.choose:
        for task, run in zip(tasks, runs, strict=True):
            print(task.name, json.dumps(under_changes(run), indent=1))
        return
    rows: Rows = {}
    for task, run in zip(tasks, runs, strict=True):
        rows[f"{task.name}: held-out blocks, against DeepLabCut"] = against_tracker(run)
    for task, run in zip(tasks, runs, strict=True):
        if "openfield" in task.name:
            rows |= against_human(task, run, given)
    write(rows, tasks, given)


def data_of(given: argparse.Namespace, name: str) -> Path:
    return given.data / name if given.data else real_data(name)


def human_stills(given: argparse.Namespace) -> Path:
    return data_of(given, "openfield_keypoints") / "labeled-data" / "m4s1"


def tasks_of(given: argparse.Namespace) -> list[Task]:
    """The tasks that were asked for, their films made."""
    names = given.task or ["openfield", "openfield and stills", "bottomview"]
    tasks = []
    if any("openfield" in name for name in names):
        folder = data_of(given, "openfield_keypoints")
        video, pose = next(folder.glob("*.mp4")), next(folder.glob("*DLC*.csv"))
        tasks.append(blocks_of(given.work / "openfield", video, pose))
    if "openfield and stills" in names:
        more = replace(tasks[0], name="openfield and stills", folder=given.work / "and stills")
        if not more.folder.exists():
            shutil.copytree(tasks[0].folder, more.folder)
        show_stills(more.folder, "learned_stills", human_stills(given), slice(LEARNED_STILLS))
        tasks.append(more)
    if "bottomview" in names:
        folder = data_of(given, "bottomview_pose")
        video, pose = next(folder.glob("*.mp4")), next(folder.glob("*DLC*.csv"))
        tasks.append(blocks_of(given.work / "bottomview", video, pose, lag=2))
    return [task for task in tasks if task.name in names]


def blocks_of(folder: Path, video: Path, pose: Path, lag: int = 0) -> Task:
    """Cut a video and its pose into blocks, each a recording of its own; row t of the pose is of
    frame t - lag."""
    task_length = read_any_track(pose, DataConfig(), 30.0).length_px
    task = Task(folder.name, folder, round(task_length, 1))
    if (folder / "recordings.csv").exists():
        return task
    info = probe(video)
    frames = [f.luma for f in FrameStream(video)]
    with pose.open(encoding="utf-8") as file:
        lines = list(csv.reader(file))
    head, rows = lines[:3], lines[3 + lag :]
    n = min(len(frames), len(rows))
    edges = np.linspace(0, n, BLOCKS + 1).round().astype(int).tolist()
    whose = []
    for k in range(BLOCKS):
        start, stop = edges[k : k + 2]
        if k in HELD_OUT:
            start, stop = start + GAP, stop - GAP
        write_film(folder / f"block{k}.mp4", frames[start:stop], info.header_rate_hz)
        with (folder / f"block{k}DLC_x.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(
                [*head, *([str(i), *row[1:]] for i, row in enumerate(rows[start:stop]))]
            )
        whose.append((f"block{k}.mp4", "held_out" if k in HELD_OUT else "learned"))
    write_table(folder / "recordings.csv", ("video", "animal"), whose)
    return task


def write_film(path: Path, frames: Sequence[np.ndarray], rate_hz: float) -> None:
    height, width = frames[0].shape
    with VideoWriter(path, width, height, rate_hz, crf=0) as film:
        for frame in frames:
            film.write(frame)


def show_stills(folder: Path, name: str, stills: Path, which: slice) -> Path:
    """A film of the frames that a human has labeled, with their points as its pose."""
    path, table = folder / f"{name}.mp4", folder / "recordings.csv"
    if path.exists():
        return path
    frames = [
        np.asarray(Image.open(p).convert("L")) for p in sorted(stills.glob("img*.png"))[which]
    ]
    write_film(path, [f for f in frames for _ in range(STILL)], 30.0)
    with (stills / "CollectedData_Pranav.csv").open(encoding="utf-8") as file:
        lines = list(csv.reader(file))
    parts = lines[1][1::2]
    head = [
        ["scorer", *["human"] * 3 * len(parts)],
        ["bodyparts", *[p for p in parts for _ in range(3)]],
    ]
    head.append(["coords", *["x", "y", "likelihood"] * len(parts)])
    with (folder / f"{name}DLC_x.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(head)
        assert lines[3:] == sorted(lines[3:])
        for i, line in enumerate(row for row in lines[3:][which] for _ in range(STILL)):
            pairs = zip(line[1::2], line[2::2], strict=True)
            writer.writerow(
                [i, *[v for x, y in pairs for v in (x or 0, y or 0, int(bool(x and y)))]]
            )
    if table.exists():
        with table.open("a", encoding="utf-8") as file:
            file.write(f"{path.name},learned\n")
    return path


def human_points(stills: Path, names: Sequence[str]) -> np.ndarray:
    """`(frame, keypoint, 2)` pixels that the human has set, NaN where none."""
    pose = read_pose(stills / "CollectedData_Pranav.csv")
    order = [pose.names.index(n) for n in names]
    return np.asarray(pose.points)[:, order]


def epochs_for(task: Task, steps: int) -> int:
    """Epochs that make at least so many training steps."""
    with (task.folder / "recordings.csv").open(encoding="utf-8") as file:
        learned = [row["video"] for row in csv.DictReader(file) if row["animal"] == "learned"]
    frames = sum(probe(task.folder / video).expected_frames for video in learned)
    return -(-steps * FRAMES_PER_STEP // frames)


def train(task: Task, given: argparse.Namespace) -> RunFolder:
    epochs = epochs_for(task, given.steps)
    command = ["multitask", *RECIPES[given.recipe].split()]
    command += ["--videos", str(task.folder), "--recordings", str(task.folder / "recordings.csv")]
    command += ["--cache", str(given.work / "cache")]
    command += [
        "--body_length_px",
        str(task.body_length_px),
        "--epochs",
        str(epochs),
        "--seed",
        str(given.seed),
    ]
    command += ["--accelerator", given.accelerator]
    name = f"{task.name} {given.recipe} {given.steps}".replace(" ", "_")
    run = trained(given.work / "runs" / name, command)
    print(
        f"{task.name}: {run.read_json('metrics.json')['test']['keypoints']}",
        file=sys.stderr,
        flush=True,
    )
    return run


def against_tracker(run: RunFolder) -> dict[str, float]:
    """The run's own figures of the held-out blocks; beside them, the mean place of each point in
    the crop."""
    scores = run.read_json("metrics.json")["test"]["keypoints"]
    dataset = load_dataset(run.read_config())
    mean = mean_places(dataset.part(["learned"]))
    away = [
        np.hypot(*np.moveaxis(places(f) - mean, -1, 0)) * f.video.side_px / 2
        for f in dataset.part(["held_out"])
        if f.video
    ]
    distances = np.concatenate(away)
    return {
        "points": scores["points"], "epochs": epochs_of(run),
        "mean_px": scores["mae_px"], "median_px": scores["median_px"],
        "body_lengths": scores["mae_body_lengths"], "constant_px": float(np.nanmean(distances)),
        "side_px": dataset.labelled[0].video.side_px if dataset.labelled[0].video else 0.0,
        **{f"{k}_px": v["mae_px"] for k, v in scores["per_keypoint"].items()},
    }  # fmt: skip


def places(labelled: LabelledRecording) -> np.ndarray:
    """The tracked points in the crop `(time, keypoint, 2)`, NaN where they are missing or lie
    outside."""
    video, track = labelled.video, labelled.track
    assert video is not None
    assert track is not None
    points = crop_points(track.points[:, 0], video.centers, video.angles_rad, video.side_px)
    points[(np.abs(points) > 1).any(-1)] = np.nan
    return points


def mean_places(labelled: Sequence[LabelledRecording]) -> np.ndarray:
    return np.nanmean(np.concatenate([places(f) for f in labelled]), 0)


def against_human(task: Task, run: RunFolder, given: argparse.Namespace) -> Rows:
    """Distances from a human's points on stills of another mouse."""
    config, stills = run.read_config(), human_stills(given)
    film = show_stills(given.work / "stills", "stills", stills, slice(None))
    cached, failures = extract({film: None}, config.data)
    assert not failures
    video = cached[film]
    empty = Recording(film.stem, "", np.full(video.n_frames, UNLABELED, np.int16), file=film)
    decided = predictor_of(run, keypoints=True)(LabelledRecording(empty, video))
    assert decided.keypoints is not None
    middle = slice(STILL // 2, None, STILL)
    where = (video.centers[middle], video.angles_rad[middle], video.side_px)
    names = run.read_skeleton().keypoints
    truth = human_points(stills, names)
    inside = (np.abs(crop_points(truth, *where)) <= 1).all(-1)
    off = video_points(decided.keypoints[middle], *where) - truth
    mean = np.broadcast_to(mean_places(load_dataset(config).part(["learned"])), truth.shape)
    off_mean = video_points(mean, *where) - truth
    distances, constant = (
        np.where(inside, np.hypot(*np.moveaxis(apart, -1, 0)), np.nan) for apart in (off, off_mean)
    )

    def row(first: int) -> dict[str, float]:
        known, px = inside[first:], distances[first:]
        return {
            "points": int(known.sum()),
            "outside": int((~np.isnan(truth[first:, :, 0]) & ~known).sum()),
            "mean_px": float(np.nanmean(px)), "median_px": float(np.nanmedian(px)),
            "body_lengths": float(np.nanmean(px)) / task.body_length_px,
            "constant_px": float(np.nanmean(constant[first:])), "side_px": video.side_px,
            **{f"{name}_px": float(np.nanmean(px[:, i])) for i, name in enumerate(names)},
        }  # fmt: skip

    last = len(truth) - LEARNED_STILLS
    if "stills" in task.name:
        name = f"{task.name}: {last} frames of another video, against a human"
        return {name: row(LEARNED_STILLS)}
    return {
        f"{task.name}: {len(truth)} frames of another video, against a human": row(0),
        f"{task.name}: the last {last} of these": row(LEARNED_STILLS),
    }


def write(rows: Rows, tasks: Sequence[Task], given: argparse.Namespace) -> None:
    command = f"python -m benchmarks.keypoints --recipe {given.recipe} --steps {given.steps}"
    command += f" --seed {given.seed} --jobs {given.jobs} --accelerator {given.accelerator}"
    measured = {
        **machine(),
        "command": "".join([command, *(f" --task '{name}'" for name in given.task or [])]),
        "flags": RECIPES[given.recipe],
        "body_px": {task.name: task.body_length_px for task in tasks},
        "rows": rows,
    }
    print(write_page(given.recipe, measured))


if __name__ == "__main__":
    main(sys.argv[1:])
