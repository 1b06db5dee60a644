"""Training throughput from the frame cache against the same steps on data held in memory, in pairs.

python -m benchmarks.loader
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import RESULTS, machine
from dolorim.config import Config, DataConfig, TrainConfig
from dolorim.dataset.augmentation import augment
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.dataset.loading import load_dataset
from dolorim.dataset.sampling import BoutSampler
from dolorim.dataset.windows import Windows
from dolorim.inference.input_spec import input_spec_of
from dolorim.models.build import build_recognizer
from dolorim.pose.pose import NO_SKELETON
from dolorim.simulate.study import StudyPlan, simulate_study
from dolorim.training.losses import FrameLoss
from dolorim.training.module import inputs_of
from dolorim.video.cache import CachedVideo

STEPS, ROUNDS = 12, 8


def seconds(labelled: Sequence[LabelledRecording]) -> float:
    """Time of `STEPS` training steps, loading included."""
    config = Config()
    torch.manual_seed(0)
    model = build_recognizer(config.model, 6)
    input_spec = input_spec_of(model, config.model, NO_SKELETON)
    windows = Windows(labelled, config.train.train_T, input_spec, config.augment)
    sampler = BoutSampler([f.recording for f in labelled], config.train, config.augment)
    batches = iter(torch.utils.data.DataLoader(windows, config.train.batch_size, sampler=sampler))
    optimizer, loss = (
        torch.optim.AdamW(model.parameters()),
        FrameLoss(TrainConfig(), np.full(6, 1 / 6)),
    )
    started = time.perf_counter()
    for _ in range(STEPS):
        batch = augment(next(batches), config.augment, range(6))
        optimizer.zero_grad()
        output = model(inputs_of(batch), batch["valid"], halo=True)
        loss(output.actions, batch["labels"], lambda value: value).backward()
        optimizer.step()
    return time.perf_counter() - started


def in_memory(video: CachedVideo | None) -> CachedVideo | None:
    return video and dataclasses.replace(video, images=np.array(video.images))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = simulate_study(Path(name), StudyPlan(animals=4, trials=4, size_px=256), workers=2)
        data = DataConfig(
            videos=folder / "Videos", annotations=folder / "Annotations", cache=folder / "cache"
        )
        cached = load_dataset(Config(data=data)).labelled
        held = [dataclasses.replace(f, video=in_memory(f.video)) for f in cached]
        seconds(held)
        by_source = {"cache": [], "memory": []}
        for _ in range(ROUNDS):
            by_source["cache"].append(seconds(cached))
            by_source["memory"].append(seconds(held))
    report = {"command": "python -m benchmarks.loader", **machine(), "seconds": by_source}
    ratios = np.divide(by_source["memory"], by_source["cache"])
    report["throughput_from_cache_over_memory"] = {
        "median": float(np.median(ratios)),
        "rounds": ratios.tolist(),
    }
    (RESULTS / "loader.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
