"""64 short videos on one and on two simulated Ray nodes of one core each, against one process:
speed and equal bytes.

Both nodes are on this machine, so a second one is worth something only where it has a core to
itself.

    python -m benchmarks.ray_cluster [--videos 64]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import ray
import torch
from ray.cluster_utils import Cluster

from benchmarks.common import RESULTS, machine, random_run
from dolorim.inference.inputs import find_inputs
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.predict_options import PredictOptions
from dolorim.simulate.study import StudyPlan, simulate_study


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--videos", type=int, default=64)
    given = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = StudyPlan(animals=1, trials=1, trial_length=360, size_px=256)
        first = next((simulate_study(folder / "made", plan) / "Videos").iterdir())
        videos = folder / "videos"
        videos.mkdir()
        for i in range(given.videos):
            shutil.copy(first, videos / f"{i:02d}.mp4")
        run = random_run(folder / "run", "light")
        jobs = find_inputs(run, [videos])
        elapsed_s: dict[str, float] = {"one process": 0.0}
        started = time.perf_counter()
        predict_videos(run, jobs, folder / "local")
        elapsed_s["one process"] = time.perf_counter() - started
        for nodes in (1, 2):
            cluster = Cluster(
                initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
            )
            for _ in range(nodes - 1):
                cluster.add_node(num_cpus=1)
            ray.init(address=cluster.address, logging_level="ERROR")
            warm = predict_videos(run, jobs[:nodes], folder / "warm", PredictOptions(engine="ray"))
            assert not warm.failed, warm.failed
            started = time.perf_counter()
            outcome = predict_videos(
                run, jobs, folder / f"ray{nodes}", PredictOptions(engine="ray")
            )
            elapsed_s[f"Ray, {nodes} node{'s' * (nodes > 1)}"] = time.perf_counter() - started
            assert not outcome.failed, outcome.failed
            assert contents(folder / f"ray{nodes}") == contents(folder / "local"), (
                "the bytes differ"
            )
            ray.shutdown()
            cluster.shutdown()
    report = {
        "command": f"python -m benchmarks.ray_cluster --videos {given.videos}", **machine(),
        "simulated video": True,
        "load average at the start": round(load, 1),
        "seconds": {k: round(v, 1) for k, v in elapsed_s.items()},
        "two nodes over one": round(elapsed_s["Ray, 1 node"] / elapsed_s["Ray, 2 nodes"], 2),
        "bytes equal to local": True,
    }  # fmt: skip
    (RESULTS / "ray_cluster.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
