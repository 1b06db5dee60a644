"""Speed of `dolorim predict` from file to CSV, against decoding alone and against the network run
clip by clip.

Simulated 512x512 H.264 video at 30 frames/s; weights are random, which does not affect the speed.
"Steady state" is what the second and the third minute of a video add to the time of the first:
loading the network is left out.

    python -m benchmarks.speed [--device cuda]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the verb predict does

import numpy as np
import torch

from benchmarks.common import RESULTS, long_video, machine, random_run
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.predictor import predictor_of
from dolorim.inference.raw_prediction import PredictInput
from dolorim.inference.streaming import Predictor
from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.models.recognizer import Inputs
from dolorim.video.crop import crop_frames, plan_crop
from dolorim.video.reader import FrameStream

SECONDS, REPEATS = 60, 3
CLIPS = 60  # clip by clip is slow: this many frames, the rest is scaled


def seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median of a few runs after one that warms up."""
    work()
    elapsed = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        elapsed.append(time.perf_counter() - started)
    return float(np.median(elapsed))


def clip_by_clip(predictor: Predictor, images: np.ndarray, centers: np.ndarray) -> None:
    """The same weights as a sliding window would use them: one clip, one decision."""
    halo = predictor.input_spec.visual
    assert halo is not None
    length = halo.before + 1 + halo.after
    with torch.inference_mode():
        for start in range(CLIPS):
            clip = (
                torch.from_numpy(images[start : start + length])
                .to(predictor.device)[None, None]
                .float()
                / 255
            )
            track = torch.from_numpy(centers[start : start + length]).to(predictor.device)[None]
            predictor.model(Inputs(clip, track), halo=True).actions.softmax(-1).cpu()


def measure(kind: str, video: Path, longer: Path, folder: Path, device: str) -> dict[str, float]:
    run = random_run(folder / kind, kind, device)
    config, ethogram = run.read_config(), run.read_ethogram()
    blocks = list(crop_frames(FrameStream(video), plan_crop(video, config.data)))
    images, centers = (
        np.concatenate([getattr(b, name) for b in blocks]) for name in ("images", "centers")
    )
    frames = len(images)
    predictor = predictor_of(run)

    def network() -> np.ndarray:
        return np.concatenate([d.probabilities for d in predictor.stream(blocks)])

    def predict(video: Path) -> None:
        predict_videos(run, [PredictInput(video, video.stem)], folder / "out")

    def crop() -> None:
        for _ in crop_frames(FrameStream(video), plan_crop(video, config.data)):
            pass

    def decode() -> None:
        for _ in FrameStream(video):
            pass

    probabilities = network()
    predictions = Predictions(
        "x", ethogram.classes, probabilities.argmax(1), probabilities, np.arange(frames) / 30
    )
    network_s = seconds(network)
    clip_s = seconds(lambda: clip_by_clip(predictor, images, centers), 2) / CLIPS
    decode_s, crop_s = seconds(decode), seconds(crop)
    whole_s = seconds(lambda: predict(video))
    steady_s = (seconds(lambda: predict(longer), 2) - whole_s) / 2
    one_by_one_s = crop_s + clip_s * frames
    return {
        "frames": frames,
        "end_to_end_fps": frames / whole_s,
        "decode_only_fps": frames / decode_s,
        "steady_state_fps": frames / steady_s,
        "share_of_decode_only": decode_s / steady_s,
        "times_clip_by_clip": one_by_one_s / steady_s,
        "clip_by_clip_end_to_end_fps": frames / one_by_one_s,
        "decode_s": decode_s,
        "localize_and_crop_s": crop_s - decode_s,
        "network_s": network_s,
        "write_s": seconds(lambda: write_predictions(folder / "written", predictions)),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video, longer = (
            long_video(folder / "video", SECONDS),
            long_video(folder / "longer", 3 * SECONDS),
        )
        speeds = {
            kind: measure(kind, video, longer, folder, given.device)
            for kind in ("light", "standard")
        }
    report = {
        "command": f"python -m benchmarks.speed --device {given.device}",
        **machine(),
        "simulated video": True,
        **speeds,
    }
    (RESULTS / f"speed_{given.device}.json").write_text(
        json.dumps(report, indent=1) + "\n", encoding="utf-8"
    )
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
