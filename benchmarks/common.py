"""What the benchmarks share."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import av
import torch

from dolorim import __version__
from dolorim.config import Config, ModelConfig, TrainConfig
from dolorim.dataset.splits import Split
from dolorim.inference.decoder import Decoder
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import PAIN
from dolorim.models.build import build_recognizer
from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.pose import NO_SKELETON, Skeleton
from dolorim.simulate.study import StudyPlan, simulate_study

RESULTS = Path(__file__).parent / "results"


def real_data(name: str) -> Path:
    """A folder of the public recordings that lie beside the repository."""
    folder = Path(__file__).parents[2] / "shared" / "data" / name
    if not folder.is_dir():
        sys.exit(f"{folder}: not here; this benchmark needs it")
    return folder


def machine() -> dict[str, str]:
    """Where and when a figure was measured."""
    name = platform.processor() or platform.machine()
    for line in (
        Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    ):
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": f"{name}, {os.cpu_count()} cores",
        "versions": f"dolorim {__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}",
    }


def trained(run: Path, arguments: Sequence[str], threads: int = 1) -> RunFolder:
    """What `dolorim train ARGUMENTS` makes in a process of its own; what it says is kept beside it
    as `talk.txt`.

    A finished run is taken over, if the same arguments made it; one that was cut off goes on.
    """
    command = shlex.join(["dolorim", "train", *arguments, "--run", str(run)])
    log, folder = run / "talk.txt", RunFolder(run)
    if folder.metrics.exists():  # written last
        if not log.exists() or log.read_text("utf-8").splitlines()[0] != command:
            sys.exit(
                f"{run}: made by another command than `{command}`; remove it, or name another "
                "--work"
            )
        return folder
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        sys.exit(f"{run.name}: {done.stderr[-2000:]}")
    log.write_text(f"{command}\n{done.stderr}", encoding="utf-8")
    return folder


def epochs_of(run: RunFolder) -> int:
    """How many epochs a `trained` run had time for."""
    return (run.path / "talk.txt").read_text("utf-8").count("epoch ")


def random_run(
    folder: Path,
    kind: Literal["light", "standard"],
    device: str = "cpu",
    pose: Literal["none", "full"] = "none",
) -> RunFolder:
    """`run_with` the video or the multimodal approach."""
    config = Config(
        model=ModelConfig(model_type=kind, pose=pose), train=TrainConfig(accelerator=device)
    )
    return run_with(folder, config, NO_SKELETON if pose == "none" else Skeleton(KEYPOINTS))


def run_with(folder: Path, config: Config, skeleton: Skeleton) -> RunFolder:
    """A run folder with random weights: how good they are changes nothing about speed and
    memory.
    """
    run = RunFolder(folder)
    run.start(config, PAIN, Split(train=("none",)), skeleton)
    run.save_model(build_recognizer(config.model, len(PAIN), skeleton, config.data.image_size))
    run.write_json("decoder.json", Decoder().to_dict())
    return run


def long_video(folder: Path, seconds: float) -> Path:
    """A simulated 512x512 H.264 video of any length: one of 60 s, repeated without being encoded
    again."""
    plan = StudyPlan(animals=1, trials=5, size_px=512)
    minute = next((simulate_study(folder, plan) / "Videos").iterdir())
    if seconds <= 60:
        return minute
    path = folder / "long.mp4"
    with av.open(str(path), "w") as target:
        written = None
        for round_ in range(round(seconds / 60)):
            with av.open(str(minute)) as source:
                stream = source.streams.video[0]
                if written is None:
                    written = target.add_stream_from_template(stream)
                for packet in source.demux(stream):
                    if packet.pts is not None and packet.dts is not None:
                        packet.pts += round_ * stream.duration
                        packet.dts += round_ * stream.duration
                        packet.stream = written
                        target.mux(packet)
    return path
