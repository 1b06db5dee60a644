"""What a GPU gains: frames/s from file to labels and of the network alone, training steps, memory.

    python -m benchmarks.gpu [--seconds 10] [--only KIND]

Weights are random, which does not affect the speed. One simulated 512x512 H.264 video of
60 s, follow crop. Some kinds are also measured as `predict --jobs` runs them: several processes on
one GPU, on copies of five minutes.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import RESULTS, long_video, machine, run_with
from dolorim.config import Config
from dolorim.inference.input_spec import input_spec_of
from dolorim.inference.inputs import find_inputs
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.streaming import Predictor
from dolorim.labels.ethogram import PAIN
from dolorim.models.build import build_recognizer
from dolorim.models.recognizer import Inputs, Recognizer
from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.pose import Skeleton
from dolorim.presets import MULTIMODAL, MULTITASK, VIDEO
from dolorim.terminal import be_quiet
from dolorim.training.losses import FrameLoss
from dolorim.video.crop_stream import open_crops

SIX = Skeleton(KEYPOINTS)
VIT, MAE = (
    {"visual": "vit_2d", "encoder_weights": "random"},
    {"visual": "videomae2_3d", "encoder_weights": "random"},
)
KINDS: dict[
    str, tuple[Config, dict[str, Any], int]
] = {  # preset, model settings, side of the picture
    "video, light": (VIDEO, {}, 128),
    "video, standard": (VIDEO, {"model_type": "standard"}, 128),
    "multimodal": (MULTIMODAL, {}, 128),
    "multitask, cnn3d": (MULTITASK, {}, 112),
    "multitask, vit_2d small at 112": (MULTITASK, VIT, 112),
    "multitask, vit_2d small at 224": (MULTITASK, VIT, 224),
    "multitask, videomae2_3d small at 224": (MULTITASK, MAE, 224),
}
SHARED = {  # workers, and videos of five minutes for them
    "video, light": (8, 16),
    "multitask, cnn3d": (8, 16),
    "multitask, vit_2d small at 224": (8, 16),
    "multitask, videomae2_3d small at 224": (2, 4),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="time for each measurement")
    parser.add_argument(
        "--only", action="append", choices=KINDS, default=None, help="these kinds alone"
    )
    given = parser.parse_args([] if arguments is None else arguments)
    if not torch.cuda.is_available():
        sys.exit("no CUDA device here; this benchmark is for one")
    be_quiet(True)
    results: dict[str, Any] = {**machine(), "gpu": torch.cuda.get_device_name(), "kinds": {}}
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder) / "videos"
        videos.mkdir()
        long = long_video(Path(folder) / "made", 300)
        video = next((long.parent / "Videos").iterdir())
        for i in range(max(n for _, n in SHARED.values())):
            shutil.copy(long, videos / f"{i}.mp4")
        for name in given.only or KINDS:
            preset, settings, side = KINDS[name]
            model = dataclasses.replace(preset.model, **settings)
            config = dataclasses.replace(
                preset, model=model, data=dataclasses.replace(preset.data, image_size=side)
            )
            figures = measure(config, video, given.seconds)
            if name in SHARED:
                figures |= share(config, *SHARED[name], videos, Path(folder) / name)
            results["kinds"][name] = figures
            print(name, json.dumps(figures), file=sys.stderr, flush=True)
    card = "_".join(torch.cuda.get_device_name().lower().removeprefix("nvidia ").split())
    (RESULTS / f"gpu_{card}.json").write_text(
        json.dumps(results, indent=1) + "\n", encoding="utf-8"
    )


def share(config: Config, workers: int, files: int, videos: Path, folder: Path) -> dict[str, Any]:
    """Several processes on the one GPU, as `predict --jobs` starts them; their start counts."""
    run = run_with(folder / "run", config, SIX)
    jobs = find_inputs(run, [videos])[:files]
    with Busy() as busy:
        outcome = predict_videos(run, jobs, folder / "out", PredictOptions(jobs=workers))
    assert not outcome.failed, outcome.failed
    return {
        "jobs": workers, "jobs_frames": outcome.frames,
        "jobs_frames_per_s": round(outcome.frames / outcome.seconds["all"], 1),
        "jobs_gpu_busy": busy.share, "jobs_gpu_memory_mb": busy.memory_mb,
    }  # fmt: skip


def measure(config: Config, video: Path, seconds: float) -> dict[str, Any]:
    side = config.data.image_size
    model = build_recognizer(config.model, len(PAIN), SIX, side)
    input_spec = input_spec_of(model, config.model, SIX)
    device = torch.device("cuda")
    torch.cuda.reset_peak_memory_stats()
    predictor = Predictor(model, input_spec, device)
    result: dict[str, Any] = {"parameters": sum(p.numel() for p in model.parameters())}
    crops = list(itertools.islice(open_crops(video, config.data), 12))
    for _ in predictor.stream(crops[:6]):
        pass  # warm
    result["network_frames_per_s"] = rate(
        lambda: sum(len(d.probabilities) for d in predictor.stream(crops)), seconds
    )
    with Busy() as busy:
        result["file_to_labels_frames_per_s"] = rate(
            lambda: whole(predictor, video, config), seconds
        )
    result["gpu_busy"] = busy.share
    result["predict_peak_mb"] = torch.cuda.max_memory_allocated() // 2**20
    result |= training(model.to(device), config, input_spec, side, seconds)
    torch.cuda.empty_cache()
    return result


def whole(predictor: Predictor, video: Path, config: Config) -> int:
    blocks = open_crops(video, config.data)
    return sum(len(d.probabilities) for d in predictor.stream(blocks))


def training(
    model: Recognizer, config: Config, input_spec: Any, side: int, seconds: float
) -> dict[str, Any]:
    """Steps per second and peak memory of forward and backward on data that lie on the device;
    nothing is frozen."""
    settings, device = config.train, torch.device("cuda")
    torch.cuda.reset_peak_memory_stats()
    batch, time_ = settings.batch_size, settings.train_T
    frames = time_ + input_spec.visual.before + input_spec.visual.after
    inputs = Inputs(
        torch.rand(batch, 1, frames, side, side, device=device),
        torch.zeros(batch, frames, 2, device=device),
    )
    if input_spec.pose is not None:
        long = time_ + input_spec.pose.before + input_spec.pose.after
        pose = torch.randn(batch, long, input_spec.n_features, device=device)
        points = torch.rand(batch, time_, len(KEYPOINTS), 2, device=device)
        inside = torch.ones(batch, long, dtype=torch.bool, device=device)
        inputs = Inputs(inputs.frames, inputs.crop_centers, pose, inside, points)
    labels = torch.randint(len(PAIN), (batch, time_), device=device)
    loss = FrameLoss(settings, np.full(len(PAIN), 1 / len(PAIN))).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    model.train()

    def step() -> int:
        with torch.autocast("cuda", torch.bfloat16):
            output = model(inputs, halo=True)
        loss(output.actions, labels, lambda value: value).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        return 1

    step()
    steps = rate(step, seconds / 2)
    return {"train_steps_per_s": steps, "train_frames_per_s": round(steps * batch * time_),
            "train_peak_mb": torch.cuda.max_memory_allocated() // 2**20, "batch": batch,
            "train_T": time_}  # fmt: skip


def rate(work: Any, seconds: float) -> float:
    """What `work` counts, per second, over about that many seconds."""
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds or not done:
        done += work()
    torch.cuda.synchronize()
    return round(done / (time.perf_counter() - start), 1)


class Busy:
    """Share of the time in which the GPU worked, from its first to its last work, and its memory in
    use at most, as its driver says."""

    def __enter__(self) -> Busy:
        self._seen: list[tuple[int, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: self._seen.extend(self._watch()))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> Iterator[tuple[int, int]]:
        command = [
            "nvidia-smi",
            "--query-gpu=utilization.gpu,memory.used",
            "--format=csv,noheader,nounits",
        ]
        while not self._stop.wait(0.2):
            said = subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.splitlines()[0]
            share, memory_mb = said.split(",")
            yield int(share), int(memory_mb)

    @property
    def share(self) -> float:
        at_work = [i for i, (share, _) in enumerate(self._seen) if share]
        seen = [share for share, _ in self._seen[at_work[0] : at_work[-1] + 1]] if at_work else [0]
        return round(sum(seen) / len(seen) / 100, 2)

    @property
    def memory_mb(self) -> int:
        return max((memory for _, memory in self._seen), default=0)


if __name__ == "__main__":
    main(sys.argv[1:])
