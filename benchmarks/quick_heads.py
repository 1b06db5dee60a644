"""Seconds to a first model with a quick head, for an hour of video whose features are stored.

Features are drawn at random, 49 of the picture as for video alone, six behaviors with bouts of
about a second: how good the model is says nothing, how long it takes does.

    python -m benchmarks.quick_heads [--minutes 60] [--threads 2] [--head linear trees]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.common import RESULTS, machine
from dolorim.inference.frame_features import StoredFrames
from dolorim.models.quick import FrameFeatures, QuickRecognizer
from dolorim.training.fit_quick_heads import fit_head
from dolorim.training.quick_rows import rows_of, windows_at

RATE_HZ = 30.0
CLASSES = 6
RECORDINGS = 10


def drawn(n_frames: int, rng: np.random.Generator) -> tuple[StoredFrames, np.ndarray]:
    """Features `(time, 49)` that tell the labels `(time,)`, but not for sure."""
    bouts = rng.choice(CLASSES, n_frames // 30 + 1, p=[0.5, 0.2, 0.1, 0.1, 0.07, 0.03])
    labels = np.repeat(bouts, 30)[:n_frames].astype(np.int16)
    middles = np.random.default_rng(0).normal(size=(CLASSES, 49))
    features = middles[labels] + rng.normal(0, 3, (n_frames, 49))
    return StoredFrames(features.astype(np.float32), None), labels


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--head", choices=["linear", "trees"], nargs="+", default=["linear", "trees"]
    )
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rng = np.random.default_rng(0)
    n_frames = round(given.minutes * 60 * RATE_HZ / RECORDINGS)
    pairs = [drawn(n_frames, rng) for _ in range(RECORDINGS)]
    frames, labels = zip(*pairs, strict=True)
    model = QuickRecognizer(FrameFeatures(), None, windows_at(RATE_HZ), {}, [])
    report: dict[str, object] = {**machine(), "minutes": given.minutes, "threads": given.threads}
    with threadpool_limits(given.threads):
        for kind in given.head:
            started, spent = time.perf_counter(), time.process_time()
            rows = rows_of(frames, labels, model, CLASSES)
            weights = rows.weights(np.full(CLASSES, 1 / CLASSES))
            fit_head(kind, rows.columns, rows.labels, weights, CLASSES)
            report[kind] = {
                "seconds": round(time.perf_counter() - started, 1),
                "cpu_seconds": round(time.process_time() - spent, 1),
                "rows": len(rows.labels),
                "columns": rows.columns.shape[1],
            }
            print(kind, report[kind], flush=True)
    path = Path(RESULTS / "quick_heads.json")
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
