"""Training throughput from the frame cache against the same steps on data held in memory, in pairs.

python -m benchmarks.loader
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import RESULTS, machine
from dolorim.config import AugmentConfig, Config, DataConfig, TrainConfig
from dolorim.core.recording import Recording
from dolorim.data.augment import augment
from dolorim.data.cache import CachedVideo
from dolorim.data.windows import BoutSampler, Halo, Windows
from dolorim.engine.losses import FrameLoss
from dolorim.engine.material import gather
from dolorim.models.build import build_recognizer
from dolorim.simulate.study import StudyPlan, simulate_study

STEPS, ROUNDS = 12, 8


def seconds(recordings: list[Recording], videos: list[CachedVideo]) -> float:
    """Time of `STEPS` training steps, loading included."""
    config = Config()
    windows = Windows(recordings, videos, config.train.window, Halo.around(config.model.clip_length))
    sampler = BoutSampler(recordings, config.train.window, AugmentConfig(), seed=0)
    batches = iter(torch.utils.data.DataLoader(windows, config.train.batch_size, sampler=sampler))
    torch.manual_seed(0)
    model = build_recognizer(config.model, 6)
    optimizer, loss = torch.optim.AdamW(model.parameters()), FrameLoss(TrainConfig(), np.full(6, 1 / 6))
    started = time.perf_counter()
    for step in range(STEPS):
        batch = augment(next(batches), config.augment, range(6), step)
        optimizer.zero_grad()
        loss(model(batch["frames"][:, None], batch["track"], halo=True), batch["labels"]).backward()
        optimizer.step()
    return time.perf_counter() - started


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = simulate_study(Path(name), StudyPlan(animals=4, trials=4, size_px=256), workers=2)
        data = DataConfig(videos=folder / "Videos", annotations=folder / "Annotations", cache=folder / "cache")
        material = gather(data)
        recordings, cached = list(material.recordings), list(material.videos)
        held = [dataclasses.replace(v, images=np.array(v.images)) for v in cached]
        seconds(recordings, held)
        found = {"cache": [], "memory": []}
        for _ in range(ROUNDS):
            found["cache"].append(seconds(recordings, cached))
            found["memory"].append(seconds(recordings, held))
    report = {"command": "python -m benchmarks.loader", **machine(), "seconds": found}
    ratios = np.divide(found["memory"], found["cache"])
    report["throughput_from_cache_over_memory"] = {"median": float(np.median(ratios)), "rounds": ratios.tolist()}
    (RESULTS / "loader.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
