"""Does a run that was trained at 30 frames/s label the same animals as well at other rates?

    python -m benchmarks.frame_rates [--seeds 5] [--epochs 12] [--real] [--work DIR]

Simulated: `dolorim train video` learns from six animals at 30 frames/s. Three others, filmed doing
the same at 15 to 120 frames/s and at a rate that wanders from 20 to 40, are scored once on the
run's time grid, and once with each frame as a step, as versions without a grid did. Real, with
`--real`: the run labels the clips of `formalin/` (60 frames/s) and the same thinned to 30 frames/s.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, machine, real_data, trained
from dolorim.config import config_toml, read_config
from dolorim.dataset.run_rate import with_rate
from dolorim.evaluation.evaluate import evaluate_study
from dolorim.evaluation.other_study import data_of_other_study
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.raw_prediction import PredictInput
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.prediction_files import read_predictions
from dolorim.simulate.study import StudyPlan, simulate_study
from dolorim.terminal import be_quiet
from dolorim.video.reader import FrameStream
from dolorim.video.writer import write_lossless

TRAINED, TESTED = 6, 3  # animals
TRIALS, TRIAL_S = 4, 12
MOTION_HZ = 600  # a multiple of all rates
# Test animals are filmed almost without loss: x264 spends fewer bits on a frame of a faster video,
# and pictures would differ by more than their rate.
TESTED_CRF = 10
BODY_LENGTH_PX = 75.0  # of the mice in formalin/, which one camera filmed
RATES_HZ = (15, 24, 25, 30, 50, 60, 120)
VARIABLE = "20-40"
FLAGS = "--image_size 64 --crop_scale 1.6 --test_animals none --accelerator cpu --quiet"


def study(folder: Path, seed: int, rate_hz: int, animals: range, **more: float) -> Path:
    """Simulated animals at a rate; those of one seed do the same at every rate."""
    plan = StudyPlan(
        animals=len(animals),
        trials=TRIALS,
        trial_length=TRIAL_S * rate_hz,
        rate_hz=rate_hz,
        size_px=160,
        seed=seed,
        first=animals.start,
        motion_hz=MOTION_HZ,
        **more,
    )
    return folder if folder.exists() else simulate_study(folder, plan)


def run_of(work: Path, seed: int, epochs: int) -> RunFolder:
    folder = study(work / f"train{seed}", seed, 30, range(TRAINED))
    words = f"video --videos {folder / 'Videos'} --annotations {folder / 'Annotations'}"
    words += f" --epochs {epochs} --seed {seed} --cache {work / 'cache'} {FLAGS}"
    return trained(work / f"run{seed}", words.split())


def without_grid(run: RunFolder) -> RunFolder:
    """The same run as if it knew no rate."""
    folder = run.path.with_name(f"{run.path.name}-without")
    if not folder.exists():
        shutil.copytree(run.path, folder)
        config = with_rate(read_config(run.config), None)
        (folder / "config.toml").write_text(config_toml(config), encoding="utf-8")
    return RunFolder(folder)


def scores(run: RunFolder, work: Path, seed: int) -> dict[str, dict[str, float]]:
    """Macro-F1 and segment F1@50 of the same animals by the rate at which they were filmed."""
    by_name = {}
    cases = [(str(rate), rate, 0.0) for rate in RATES_HZ] + [(VARIABLE, 30, 1 / 3)]
    for name, rate_hz, wander in cases:
        animals = range(TRAINED, TRAINED + TESTED)
        folder = work / f"test{seed}-{name}"
        filmed = study(folder, seed, rate_hz, animals, wander=wander, crf=TESTED_CRF)
        settings = {"trial_length": TRIAL_S * rate_hz, "cache": work / "cache"}
        data = data_of_other_study(run, filmed, settings)
        figures = evaluate_study(run, data, work / "scored", seen_too=False)
        by_name[name] = {
            "macro_f1": round(figures["macro_f1"], 4),
            "f1_50": round(figures["segments"]["f1_50"], 2),
            "frames": figures["frames"],
        }
        print(name, by_name[name], flush=True)
    return by_name


def simulated(work: Path, seeds: int, epochs: int) -> dict[str, Any]:
    by_seed = []
    for seed in range(seeds):
        run = run_of(work, seed, epochs)
        on_grid = scores(run, work, seed)
        without = scores(without_grid(run), work, seed)
        by_seed.append({"seed": seed, "on_grid": on_grid, "without_grid": without})
        print(json.dumps(by_seed[-1]), flush=True)
    means: dict[str, Any] = {}
    for name in by_seed[0]["on_grid"]:
        ours = [one["on_grid"][name]["macro_f1"] for one in by_seed]
        at_30 = [one["on_grid"]["30"]["macro_f1"] for one in by_seed]
        without = [one["without_grid"][name]["macro_f1"] for one in by_seed]
        means[name] = {
            "macro_f1": round(float(np.mean(ours)), 3),
            "minus_30": round(float(np.mean(np.subtract(ours, at_30))), 3),
            "without_grid": round(float(np.mean(without)), 3),
        }
    return {"seeds": seeds, "epochs": epochs, "means": means, "by_seed": by_seed}


def written(video: Path, folder: Path, every: int) -> Path:
    """Every n-th frame of a clip at 60 frames/s, without loss."""
    path = folder / f"{video.stem}.mkv"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        frames = [np.array(f.gray) for f in FrameStream(video) if f.index % every == 0]
        write_lossless(path, np.stack(frames), 60 / every)
    return path


def real(run: RunFolder, work: Path, body_length_px: float | None) -> dict[str, Any]:
    """Share of frames with the same label at 60 frames/s and thinned to 30.

    Both are written without loss: the size and the scene of a crop are estimated from frames after
    key frames, so that another encoding alone changes labels (`same_if_encoded_again`). Without a
    body length, that of each clip is estimated, too.
    """
    options = PredictOptions(body_length_px=body_length_px)
    equal_frames: dict[str, list[np.ndarray]] = {"same": [], "same_if_encoded_again": []}
    for video in sorted((real_data("formalin") / "Videos").iterdir()):
        paths = (video, written(video, work / "all", 1), written(video, work / "thinned", 2))
        labels = []
        for path in paths:
            out = work / "labels" / path.parent.name
            predict_videos(run, [PredictInput(path, path.stem)], out, options)
            labels.append(read_predictions(out / f"{path.stem}.predictions.csv").labels)
        original, fast, slow = labels
        # A frame at 60 frames/s goes with the thinned one that it shares a step with.
        equal_frames["same"].append(slow.repeat(2)[: len(fast)] == fast)
        equal_frames["same_if_encoded_again"].append(original == fast)
    figures: dict[str, Any] = {"clips": len(equal_frames["same"])}
    for name, equal in equal_frames.items():
        figures[name] = round(float(np.concatenate(equal).mean()), 4)
    figures["frames"] = sum(len(equal) for equal in equal_frames["same"])
    figures["each"] = [round(float(equal.mean()), 4) for equal in equal_frames["same"]]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--work", type=Path, default=None)
    given = parser.parse_args()
    be_quiet(True)
    work = given.work or Path(tempfile.mkdtemp())
    result: dict[str, Any] = {**machine(), "data": "simulated"}
    if given.seeds:
        result |= simulated(work, given.seeds, given.epochs)
    if given.real:
        run = run_of(work, 0, given.epochs)
        result["formalin"] = real(run, work, BODY_LENGTH_PX)
        result["formalin, body length of each clip"] = real(run, work, None)
    (RESULTS / "frame_rates.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "by_seed"}, indent=1))


if __name__ == "__main__":
    main()
