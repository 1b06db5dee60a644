"""Frames per second of `dolorim predict` on the same files, in one run, against decoding alone and
two common ways.

The first common way: the same weights clip by clip, one clip per decision. The second, where OpenCV
is installed: a loop that reads a frame, shrinks it and runs the network on the last frames. Both
are timed on some frames and scaled.

    python -m benchmarks.throughput [--device cuda] [--files 4] [--seconds 30]
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import RESULTS, long_video, machine, random_run
from dolorim.inference.inputs import find_inputs
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.predict_worker import PredictSetup, PredictWorker
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.streaming import Predictor
from dolorim.models.recognizer import Inputs
from dolorim.video.crop import crop_frames, plan_crop
from dolorim.video.reader import FrameStream

CLIPS = 60


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def decide(predictor: Predictor, images: np.ndarray, centers: np.ndarray) -> None:
    clip = torch.from_numpy(images).to(predictor.device)[None, None].float() / 255
    track = torch.from_numpy(centers).to(predictor.device)[None]
    with torch.inference_mode():
        predictor.model(Inputs(frames=clip, crop_centers=track), halo=True).actions.softmax(
            -1
        ).cpu()


def clip_by_clip(predictor: Predictor, run: RunFolder, video: Path, frames: int) -> float:
    """Seconds for a whole video: our crops, then one clip a frame."""
    view = plan_crop(video, run.read_config().data)
    blocks: list[Any] = []
    crop_s = seconds(lambda: blocks.extend(crop_frames(FrameStream(video), view)))
    images, centers = (
        np.concatenate([getattr(b, name) for b in blocks]) for name in ("images", "centers")
    )
    length = run.read_config().model.clip_length

    def some() -> None:
        for start in range(CLIPS):
            decide(predictor, images[start : start + length], centers[start : start + length])

    some()
    return crop_s + seconds(some) / CLIPS * frames


def opencv_loop(predictor: Predictor, run: RunFolder, video: Path, frames: int) -> float | None:
    """Seconds for a whole video, read with OpenCV and squeezed to the network's size frame by
    frame."""
    if find_spec("cv2") is None:
        return None
    import cv2  # type: ignore[import-not-found,unused-ignore]

    config = run.read_config()
    length, size = config.model.clip_length, config.data.image_size
    capture, last = cv2.VideoCapture(str(video)), deque[np.ndarray](maxlen=length)

    def some() -> None:
        for _ in range(CLIPS + length):
            there, frame = capture.read()
            if not there:
                return
            last.append(cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), (size, size)))
            if len(last) == length:
                decide(predictor, np.stack(last), np.zeros((length, 2), np.float32))

    return seconds(some) / (CLIPS + length) * frames


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, videos = long_video(folder / "made", given.seconds), folder / "videos"
        videos.mkdir()
        for i in range(given.files):
            shutil.copy(first, videos / f"{i}.mp4")
        run = random_run(folder / "run", "light", given.device)
        jobs = find_inputs(run, [videos])
        decoded = [sum(1 for _ in FrameStream(first))]
        frames = decoded[0] * given.files
        decode_s = seconds(lambda: [sum(1 for _ in FrameStream(j.file)) for j in jobs])
        predictor = PredictWorker(PredictSetup(run, folder / "out")).video_predictor.predictor
        predict_videos(run, jobs[:1], folder / "out")
        frames_per_s: dict[str, Any] = {"decode only": frames / decode_s}
        for workers in (1, 2):
            outcome = predict_videos(
                run, jobs, folder / f"out{workers}", PredictOptions(jobs=workers)
            )
            spent = outcome.seconds
            frames_per_s[f"dolorim predict --jobs {workers}"] = frames / spent.pop("all")
            if workers == 1:
                frames_per_s["seconds of --jobs 1"] = {
                    k: round(v, 2) for k, v in sorted(spent.items())
                }
        frames_per_s["clip by clip"] = frames / (
            given.files * clip_by_clip(predictor, run, first, decoded[0])
        )
        loop_s = opencv_loop(predictor, run, first, decoded[0])
        frames_per_s["OpenCV and one clip a frame"] = (
            "OpenCV is not installed" if loop_s is None else decoded[0] / loop_s
        )
    report = {
        "command": f"python -m benchmarks.throughput --device {given.device}", **machine(),
        "simulated video": True,
        "frames": frames, "frames/s": frames_per_s,
    }  # fmt: skip
    (RESULTS / f"throughput_{given.device}.json").write_text(
        json.dumps(report, indent=1) + "\n", encoding="utf-8"
    )
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
