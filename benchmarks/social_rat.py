"""Pose-only learning on real rats, recordings held out: the figures of
results/social_rat_features.md.

Two rats, five points each, a third of them missing; stream S1 as social, nonsocial or aggression.
Five folds by recording. Boosted trees on the features of `dolorim.pose.features` are the baseline
of the network.

    python -m benchmarks.social_rat [--learner trees network] [--folds 0 1 2 3 4]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.common import RESULTS, machine, real_data, trained
from dolorim.labels.caltech import read_caltech
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.ethogram_file import read_ethogram
from dolorim.metrics.frames import confusion, frame_scores
from dolorim.metrics.segments import count_segments, labelled_stretches
from dolorim.pose.cleaning import clean
from dolorim.pose.features import pose_features, skeleton_scale_px
from dolorim.pose.read import read_poses

# Base: before and after the test
CLASSES = "id,name,merged\n0,nonsocial,\n1,social,\n2,aggression,\n3,base,none\n"
RATE_HZ = 30.0  # the files do not say
LIKELIHOOD = 0.0  # this tracker's median is 0.65, and what it does not believe is missing already
# Frames: a rat that is lost is most often beside or under the other one, and comes back close by
MAX_GAP = 300
AVERAGED = 31  # frames
EVERY = 8  # frames that trees learn from: neighbors are nearly the same

# --- the network's command
FLAGS = (
    "--visual none --pose generic --individual all --kp_likelihood_thr 0 --kp_max_gap 300 "
    "--temporal tcn --tcn_step 8 "
    "--pose_reach 0 --dropout 0.4 --train_T 512 --batch_size 16 --lr 1e-3 --weight_decay 0.01 "
    "--epochs 24 "
    "--sampling frames --class_weight_power 0.3 --kp_jitter_std 0.01 --kp_hide 0.1 --aug_stretch "
    "0.2 --aug_border 0 "
    "--label_stream S1 --on_conflict warn"
)
# ---

# What the data are, and nothing about the network
DATA_FLAGS = (
    "--visual none --pose generic --individual all --kp_likelihood_thr 0 --kp_max_gap 300 "
    "--label_stream S1 --on_conflict warn"
)

Scores = dict[str, float]


def recordings() -> dict[str, tuple[Path, Path]]:
    """Pose and annotations by the number that both files begin with."""
    data = real_data("social_rat")
    poses = {re.match(r"\d+", p.name)[0]: p for p in sorted((data / "DLC").glob("*.csv"))}
    return {n: (poses[n], data / "annotations" / f"{n}_annot.txt") for n in sorted(poses, key=int)}


def folds(names: list[str]) -> list[list[str]]:
    shuffled = np.random.default_rng(0).permutation(names).tolist()
    return [shuffled[k::5] for k in range(5)]


@cache
def features_and_labels(
    pose: Path, annotations: Path, ethogram: Ethogram
) -> tuple[np.ndarray, np.ndarray]:
    """`(time, features)` and class indices `(time,)`. Annotations may end after the pose does."""
    poses = read_poses(pose)
    scale = skeleton_scale_px(np.stack([p.points for p in poses], 1))
    cleaned = [clean(p, scale, likelihood=LIKELIHOOD, max_gap=MAX_GAP) for p in poses]
    points = np.stack([c.pose.points for c in cleaned], 1)
    unseen = np.stack([c.since_seen for c in cleaned], 1)
    features = pose_features(
        "generic", poses[0].names, points, unseen, scale_px=scale, rate_hz=RATE_HZ
    )
    bouts = read_caltech(annotations, ethogram, "S1")
    labels = np.full(len(points), -1, np.int16)
    there = bouts.frames < len(labels)
    labels[bouts.frames[there]] = bouts.labels[there]
    return features, labels


def trees(train: list[tuple[np.ndarray, np.ndarray]], test: list[np.ndarray]) -> list[np.ndarray]:
    """Probabilities `(time, classes)` of boosted trees that see one frame (and what its features
    hold of others)."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    x = np.concatenate([f[::EVERY] for f, _ in train])
    y = np.concatenate([labels[::EVERY] for _, labels in train])
    model = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.1, max_leaf_nodes=15, max_features=0.5, l2_regularization=1.0,
        class_weight="balanced", early_stopping=False, random_state=0,
    )  # fmt: skip
    model.fit(x[y >= 0], y[y >= 0])
    return [model.predict_proba(f) for f in test]


def averaged(probabilities: np.ndarray) -> np.ndarray:
    """Labels `(time,)` of probabilities averaged over `AVERAGED` frames."""
    window = np.ones(AVERAGED)
    return np.stack([np.convolve(p, window, "same") for p in probabilities.T], 1).argmax(1)


def scores(pairs: list[tuple[np.ndarray, np.ndarray]], names: tuple[str, ...]) -> Scores:
    """Of one fold: pairs of truth and prediction, each `(time,)`."""
    counts = sum(confusion(truth, predicted, len(names)) for truth, predicted in pairs)
    frames = frame_scores(counts, names)
    stretches = [(t[s], p[s]) for t, p in pairs for s in labelled_stretches(t, [(0, len(t))])]
    segments = count_segments(stretches).scores
    by_class = {f"f1_{name}": frames["per_class"][name]["f1"] for name in names}
    return {"accuracy": frames["accuracy"], "macro_f1": frames["macro_f1"],
    "f1_50": segments["f1_50"],
            "edit": segments["edit"], **by_class}  # fmt: skip


def fold_with_trees(work: Path, test: list[str]) -> Scores:
    ethogram = read_ethogram(work / "classes.csv")
    everything = {n: features_and_labels(*files, ethogram) for n, files in recordings().items()}
    train = [v for n, v in everything.items() if n not in test]
    probabilities = trees(train, [everything[n][0] for n in test])
    return scores(
        [(everything[n][1], averaged(p)) for n, p in zip(test, probabilities, strict=True)],
        ethogram.classes,
    )


def fold_with_network(work: Path, test: list[str]) -> Scores:
    return fold_with_command(work, test, "network", FLAGS)


def fold_with_auto(work: Path, test: list[str]) -> Scores:
    """The network and quick heads, chosen on inner folds and validation recordings."""
    return fold_with_command(work, test, "auto", f"--head auto {DATA_FLAGS}")


def fold_with_trees_over_time(work: Path, test: list[str]) -> Scores:
    """HistGradientBoosting with means over 31 and 121 frames, and the fitted decoder."""
    return fold_with_command(work, test, "trees_over_time", f"--head trees {DATA_FLAGS}")


def fold_with_command(work: Path, test: list[str], name: str, flags: str) -> Scores:
    """One call of the command; its own score of the test recordings, which decoded with what
    validation had told."""
    data, run = real_data("social_rat"), work / f"{name}_{'_'.join(sorted(test))}"
    command = ["multimodal", "--annotations", str(data / "annotations")]
    command += [
        "--dlc",
        str(data / "DLC"),
        "--classes",
        str(work / "classes.csv"),
        "--test_animals",
        ",".join(test),
    ]
    command += ["--recordings", str(work / "recordings.csv"), *flags.split()]
    scores = trained(run, command, os.cpu_count() or 1).read_json("metrics.json")["test"]
    by_class = {f"f1_{name}": values["f1"] for name, values in scores["per_class"].items()}
    return {"accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"],
    "f1_50": scores["segments"]["f1_50"],
            "edit": scores["segments"]["edit"], **by_class}  # fmt: skip


LEARNERS = {
    "trees": fold_with_trees,
    "network": fold_with_network,
    "trees_over_time": fold_with_trees_over_time,
    "auto": fold_with_auto,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--learner", choices=LEARNERS, nargs="+", default=list(LEARNERS))
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--work", type=Path, default=Path("runs/social_rat"))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    names = list(recordings())
    (given.work / "classes.csv").write_text(CLASSES, "utf-8")
    with (given.work / "recordings.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("video", "animal"), *((n, n) for n in names)])
    report: dict[str, object] = {**machine(), "flags": FLAGS}
    for learner in given.learner:
        rows = []
        for k in given.folds:
            rows.append(LEARNERS[learner](given.work, folds(names)[k]))
            print(learner, k, {name: round(v, 3) for name, v in rows[-1].items()}, flush=True)
        print(
            learner,
            "mean",
            {name: round(float(np.mean([r[name] for r in rows])), 3) for name in rows[0]},
        )
        report[learner] = rows
    (RESULTS / "social_rat.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
