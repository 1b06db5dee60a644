"""Accuracy on real bottom-view video, animals (coat) or sessions held out: the figures of
results/bottomview.md.

Each fold is one call of `dolorim train video`; the test fold is scored once, by that call. The
network has the flags in `FLAGS`; with `--head`, the command has data flags and that one only.

    python -m benchmarks.bottomview [--head linear] [--protocol coat] [--seeds 0 1 2] [--jobs 2]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.common import RESULTS, machine, real_data, trained

PROTOCOLS = {
    "coat": ("recordings.csv", ("agouti", "black")),
    "session": ("recordings_by_session.csv", ("session0", "session1", "session2")),
}
FLAGS = (
    "--body_length_px 56 --image_size 64 --clip_length 64 --convolution_dropout 1 --dropout 0.5 "
    "--label_smoothing 0.1 "
    "--ema_decay 0.98 --epochs 16 --val_animals none"
)


def run_fold(
    work: Path, protocol: str, fold: str, seed: int, threads: int, flags: str
) -> dict[str, float]:
    data, (table, _) = real_data("bottomview"), PROTOCOLS[protocol]
    run = work / f"{protocol}_{fold}_{seed}"
    command = ["video", "--videos", str(data / "Videos")]
    command += ["--annotations", str(data / "Annotations"), "--classes", str(data / "classes.csv")]
    command += ["--recordings", str(data / table), "--test_animals", fold, "--seed", str(seed)]
    command += ["--cache", str(work / "cache"), *flags.split()]
    started = time.monotonic()
    made = trained(run, command, threads)
    on_test = made.read_json("metrics.json")["test"]
    votes = []
    for path in sorted(made.predictions("test").glob("*.predictions.csv")):
        with path.open(encoding="utf-8") as file:
            label, _ = Counter(row["label"] for row in csv.DictReader(file)).most_common(1)[0]
        votes.append(label == path.name.split(".")[0].split("_", 1)[1])  # session0_body_groom
    minutes = (time.monotonic() - started) / 60
    scores = {
        "macro_f1": on_test["macro_f1"],
        "votes": float(np.mean(votes)),
        "accuracy": on_test["accuracy"],
    }
    print(
        protocol,
        fold,
        seed,
        {k: round(v, 3) for k, v in scores.items()},
        f"{minutes:.1f} min",
        flush=True,
    )
    return {**scores, "minutes": minutes}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--protocol", choices=PROTOCOLS, action="append")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--jobs", type=int, default=1, help="folds at a time; processors are divided among them"
    )
    parser.add_argument("--head", choices=("network", "linear", "trees", "auto"), default="network")
    parser.add_argument("--work", type=Path, default=Path("runs/bottomview"))
    given = parser.parse_args()
    flags, name, work = FLAGS, "bottomview", given.work
    if given.head != "network":
        flags, name = f"--head {given.head}", f"bottomview_{given.head}"
        work = given.work / given.head
    work.mkdir(parents=True, exist_ok=True)
    threads = max(1, (os.cpu_count() or 1) // given.jobs)
    everything: dict[str, dict[str, list[dict[str, float]]]] = {}
    for protocol in given.protocol or PROTOCOLS:
        folds = PROTOCOLS[protocol][1]
        jobs = [(fold, seed) for seed in given.seeds for fold in folds]
        # The first one runs alone, because it fills the frame cache.
        first = run_fold(work, protocol, *jobs[0], threads, flags)
        with ThreadPoolExecutor(given.jobs) as pool:
            others = [
                pool.submit(run_fold, work, protocol, *job, threads, flags) for job in jobs[1:]
            ]
            results = [first, *(other.result() for other in others)]
        everything[protocol] = {
            fold: [r for (f, _), r in zip(jobs, results, strict=True) if f == fold]
            for fold in folds
        }
    report = {
        "command": f"dolorim train video {flags}",
        **machine(),
        "seeds": given.seeds,
        "folds": everything,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for protocol, by_fold in everything.items():
        for score in ("macro_f1", "votes", "accuracy"):
            per_seed = np.mean([[r[score] for r in rows] for rows in by_fold.values()], axis=0)
            print(
                f"{protocol} {score}: {per_seed.mean():.3f} +- {per_seed.std():.3f} over seeds "
                f"{given.seeds}"
            )


if __name__ == "__main__":
    main()
