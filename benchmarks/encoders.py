"""Does an encoder help where labels are few? The figures of results/encoders.md.

Protocol, fixed before anything was scored: the follow crops that `train` makes by default; per
frame 49 numbers of shape and motion, and the encoder's 256 features; the mean and standard
deviation of each over 31 frames of the clip; a logistic regression for each block (standardized on
the training clips, cut off at 5 deviations, classes weighed equally, at most 100 frames per clip, C
= 0.03); log probabilities fused 2 to 1. Scores: macro-F1 over all test frames, and clips by
majority of their frames. The control is the same with random weights whose batch normalization is
calibrated on all clips, so the control has seen the test clips unlabeled and the encoder has not.

    python -m benchmarks.encoders runs/starter/0 runs/starter/1 ... [--random 5]
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

from benchmarks.bottomview import PROTOCOLS
from benchmarks.common import RESULTS, machine, real_data
from benchmarks.encoder_features import encoder_features
from dolorim.config import DataConfig
from dolorim.inference.encoder_folder import Encoder, load_encoder_folder
from dolorim.inference.streaming import blocks_of
from dolorim.models.frame_encoder import FrameEncoder, calibrate_statistics
from dolorim.models.motion_maps import LAGS, MotionMaps
from dolorim.models.shape_features import ShapeFeatures
from dolorim.training.pretrain import frames_of
from dolorim.training.view_pairs import ViewPairs
from dolorim.video.cache import CachedVideo

WINDOW = 31  # frames
_C = 0.03
_MOST_FRAMES = 100  # per clip, that a regression learns from
_MOST_DEVIATIONS = 5.0
_SHARES = (2 / 3, 1 / 3)  # of the numbers and of the encoder, in the fusion


@dataclass(frozen=True)
class Clip:
    """One clip: its class, and which fold it is in, by protocol."""

    video: CachedVideo
    label: int
    folds: dict[str, str]


def read_clips(work: Path) -> tuple[list[Clip], DataConfig]:
    """The clips of `bottomview/`, each of one class."""
    folder = real_data("bottomview")
    data = DataConfig(cache=work / "cache")
    tables = {}
    for protocol, (table, _) in PROTOCOLS.items():
        with (folder / table).open(encoding="utf-8") as file:
            tables[protocol] = {row["video"]: row for row in csv.DictReader(file)}
    names = sorted({row["label"] for row in tables["coat"].values()})
    videos, failures = frames_of(sorted((folder / "Videos").glob("*.mp4")), data)
    assert not failures
    clips = []
    for video in videos.values():
        rows = {protocol: table[video.video.name] for protocol, table in tables.items()}
        folds = {protocol: row["animal"] for protocol, row in rows.items()}
        clips.append(Clip(video, names.index(rows["coat"]["label"]), folds))
    return clips, data


def numbers_of(video: CachedVideo) -> np.ndarray:
    """The 49 numbers of shape and motion of all frames, `(time, 49)`."""
    maps, numbers = MotionMaps(LAGS), ShapeFeatures(LAGS)
    index = np.arange(-maps.reach, video.n_frames + maps.reach).clip(0, video.n_frames - 1)
    frames = torch.from_numpy(video.images[index]).float()[None] / 255
    centers = torch.from_numpy(video.centers[index])[None]
    with torch.inference_mode():
        values: np.ndarray = numbers(maps(frames), centers)[0].numpy()
    return values


def seen_by(encoder: Encoder, video: CachedVideo, data: DataConfig) -> np.ndarray:
    return np.concatenate([*encoder_features(encoder, blocks_of(video), data.crop_scale)])


def random_encoder(seed: int, clips: Sequence[Clip], data: DataConfig) -> Encoder:
    """Random weights, with batch normalization calibrated on all clips."""
    torch.manual_seed(seed)
    network = FrameEncoder()
    views = ViewPairs([clip.video for clip in clips], data.crop_scale, network.reach, 0, seed)
    calibrate_statistics(network, (views.plain(number, 96) for number in range(4)))
    return Encoder(network, {"method": "random"}, f"random{seed}", Path(f"random{seed}"))


def in_context(values: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over `WINDOW` frames, fewer at the ends: `(time, 2 * width)`."""
    frames = np.arange(len(values))
    first, stop = (frames - WINDOW // 2).clip(0), (frames + WINDOW // 2 + 1).clip(max=len(values))
    n = (stop - first)[:, None]
    sums, squares = (
        np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(v.astype(np.float64), 0)])
        for v in (values, values**2)
    )
    mean = (sums[stop] - sums[first]) / n
    variance = (squares[stop] - squares[first]) / n - mean**2
    return np.concatenate([mean, np.sqrt(variance.clip(0))], 1).astype(np.float32)


def log_probabilities(
    blocks: Sequence[np.ndarray], clips: Sequence[Clip], protocol: str, fold: str
) -> dict[int, np.ndarray]:
    """Log probabilities `(time, classes)` of the test clips, by their index."""
    rows, labels = [], []
    for values, clip in zip(blocks, clips, strict=True):
        if clip.folds[protocol] != fold:
            n_rows = min(len(values), _MOST_FRAMES)
            rows.append(values[np.linspace(0, len(values) - 1, n_rows).astype(int)])
            labels += [clip.label] * n_rows
    scaler = StandardScaler().fit(np.concatenate(rows))

    def scaled(values: np.ndarray) -> np.ndarray:
        standard: np.ndarray = scaler.transform(values)
        return standard.clip(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)

    regression = LogisticRegression(C=_C, max_iter=500, class_weight="balanced")
    regression.fit(scaled(np.concatenate(rows)), labels)
    test = [i for i, clip in enumerate(clips) if clip.folds[protocol] == fold]
    return {i: regression.predict_log_proba(scaled(blocks[i])) for i in test}


def scores(decided: dict[int, np.ndarray], clips: Sequence[Clip]) -> dict[str, float]:
    """Macro-F1 over frames, and the share of clips whose most frequent label is right."""
    truth = np.concatenate([np.full(len(values), clips[i].label) for i, values in decided.items()])
    labels = {i: values.argmax(1) for i, values in decided.items()}
    votes = [np.bincount(of_clip).argmax() == clips[i].label for i, of_clip in labels.items()]
    macro_f1 = f1_score(truth, np.concatenate([*labels.values()]), average="macro")
    return {"macro_f1": float(macro_f1), "votes": float(np.mean(votes))}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("encoders", type=Path, nargs="*")
    parser.add_argument("--random", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("runs/encoders"))
    parser.add_argument("--json", type=Path, default=RESULTS / "encoders.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    clips, data = read_clips(given.work)
    numbers = [in_context(numbers_of(clip.video)) for clip in clips]
    folds = [(protocol, fold) for protocol, (_, folds) in PROTOCOLS.items() for fold in folds]
    by_numbers = {at: log_probabilities(numbers, clips, *at) for at in folds}
    results = {"numbers": {" ".join(at): scores(by_numbers[at], clips) for at in folds}}
    print("numbers", results["numbers"], flush=True)
    encoders = [load_encoder_folder(folder) for folder in given.encoders]
    encoders += [random_encoder(seed, clips, data) for seed in range(given.random)]
    for encoder in encoders:
        blocks = [in_context(seen_by(encoder, clip.video, data)) for clip in clips]
        alone: dict[str, dict[str, float]] = {}
        fused: dict[str, dict[str, float]] = {}
        for at in folds:
            by_encoder = log_probabilities(blocks, clips, *at)
            both = {
                i: _SHARES[0] * by_numbers[at][i] + _SHARES[1] * by_encoder[i] for i in by_encoder
            }
            alone[" ".join(at)] = scores(by_encoder, clips)
            fused[" ".join(at)] = scores(both, clips)
        results |= {f"{encoder.folder} alone": alone, f"{encoder.folder} fused": fused}
        print(encoder.folder, "fused", fused, flush=True)
        report = {"command": "python -m benchmarks.encoders", **machine(), "scores": results}
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
