"""Speed of one version of dolorim, whichever this process imports: run by `speed_pairs`.

Version 0.1.0 had other names for the same parts.

    python benchmarks/speed_of_version.py FOLDER KIND SHORT LONG
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

try:
    from benchmarks.common import random_run
    from dolorim.inference.predict_batch import predict_videos
    from dolorim.inference.predictor import predictor_of
    from dolorim.inference.raw_prediction import PredictInput
    from dolorim.video.crop import crop_frames, plan_crop
    from dolorim.video.reader import FrameStream

    def predict(run: Any, video: Path, out: Path) -> object:
        return predict_videos(run, [PredictInput(video, video.stem)], out)

except ImportError:  # version 0.1.0
    from dolorim.core.ethogram import PAIN
    from dolorim.core.splits import Split
    from dolorim.data.crop import crop_frames
    from dolorim.data.crop import plan_view as plan_crop
    from dolorim.data.video import FrameStream
    from dolorim.engine.hardware import pick_device
    from dolorim.engine.infer import Predictor
    from dolorim.engine.predict import predict_videos
    from dolorim.engine.run_folder import RunFolder

    from dolorim.config import Config, ModelConfig
    from dolorim.models.build import build_recognizer

    def random_run(folder: Path, kind: Any) -> Any:
        config = Config(model=ModelConfig(model_type=kind))
        run = RunFolder(folder)
        run.start(config, PAIN, Split(train=("none",)))
        run.save_model(build_recognizer(config.model, len(PAIN)))
        return run

    def predictor_of(run: Any) -> Any:
        config = run.read_config()
        return Predictor(run.load_model(), pick_device("cpu"), config.train.precision)

    def predict(run: Any, video: Path, out: Path) -> object:
        return predict_videos(run, [video], out)


FRAMES = 300  # as many as lie in memory at a time
REPEATS = 5  # of each part; the fastest counts, because others only ever slow it down


def milliseconds(
    work: Callable[[], object], frames: int, repeats: int = REPEATS
) -> dict[str, float]:
    """Per frame, on the clock and of all processors together; the fastest of some repeats."""
    clocks, processors = [], []
    for _ in range(repeats):
        clock, processor = time.perf_counter(), time.process_time()
        work()
        clocks.append(time.perf_counter() - clock)
        processors.append(time.process_time() - processor)
    return {"clock": 1000 * min(clocks) / frames, "processor": 1000 * min(processors) / frames}


def exhaust(items: Iterable[object]) -> None:
    for _ in items:
        pass


def measure(folder: Path, kind: str, short: Path, long: Path) -> dict[str, dict[str, float]]:
    """Milliseconds per frame of each part, and of a longer video beyond a shorter one."""
    run = random_run(folder / kind, kind)
    plan = plan_crop(short, run.read_config().data)
    # A decoded frame is a view of FFmpeg's memory.
    frames = [
        dataclasses.replace(frame, luma=np.array(frame.luma))
        for frame in FrameStream(short, 0, FRAMES)
    ]
    blocks = list(crop_frames(frames, plan))
    predictor = predictor_of(run)
    exhaust(predictor.stream(blocks))
    predict(run, short, folder / "out")
    n_short, n_long = (sum(1 for _ in FrameStream(video)) for video in (short, long))
    timed = {
        "decode": milliseconds(partial(exhaust, FrameStream(short)), n_short),
        "localize and crop": milliseconds(lambda: exhaust(crop_frames(frames, plan)), FRAMES),
        "network": milliseconds(lambda: exhaust(predictor.stream(blocks)), FRAMES),
    }
    whole = [
        milliseconds(partial(predict, run, video, folder / "out"), 1, 1) for video in (short, long)
    ]
    timed["file to CSV, steady"] = {
        name: (whole[1][name] - whole[0][name]) / (n_long - n_short) for name in whole[0]
    }
    return timed


if __name__ == "__main__":
    place, network, *videos = sys.argv[1:]
    print(json.dumps(measure(Path(place), network, *map(Path, videos))))
