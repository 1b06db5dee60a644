"""The ladder: what each part of the approaches adds, on simulated studies, animals held out.

    python -m benchmarks.ladder [--seeds 5] [--jobs 2] [--work DIR]

Majority, gradient boosting on pose, video, pose alone, multimodal, multitask, multitask with
decoding. Simulated animals show that the parts work together, not how good they are on real ones.
One study per seed, one split for all. Each rung trains for a fixed number of epochs, which two free
cores complete in about five minutes with two runs at a time, so a busy machine changes nothing;
with `--work`, the same command continues where it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.common import RESULTS, epochs_of, machine, trained
from dolorim.config import Config, DataConfig, ModelConfig
from dolorim.core.workers import usual_workers
from dolorim.dataset.loading import load_dataset
from dolorim.dataset.study import in_study_folder
from dolorim.metrics.summary import Scored, summarize
from dolorim.pose.features import pose_features
from dolorim.simulate.study import StudyPlan, simulate_study
from dolorim.terminal import be_quiet

PLAN = {
    "animals": 12,
    "trials": 4,
    "size_px": 320,
    "vigor": 0.5,
}  # the hard setting: paws move half as far
VAL, TEST = ("201M", "202F", "203M"), ("204F", "205M", "206F")
HARD = "Simulated studies in the hard setting; mean over seeds with 95 % intervals."
FLOORS = ("most frequent class", "gradient boosting on pose")
RUNGS: dict[str, list[str]] = {
    "video": ["video", "--epochs", "9"],
    "pose": ["multimodal", "--visual", "none", "--accelerator", "cpu", "--epochs", "60"],
    "multimodal": ["multimodal", "--epochs", "14"],
    "multitask": ["multitask", "--epochs", "15"],
}
FIGURES = ("macro_f1", "withdraw_f1", "event_f1_200ms", "f1_50")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--work", type=Path, default=None, help="folder that is kept")
    given = parser.parse_args([] if arguments is None else arguments)
    work = given.work or Path(tempfile.mkdtemp(prefix="ladder-"))
    seeds = range(given.seeds)
    studies = simulated(work, seeds)
    be_quiet(True)
    with ThreadPoolExecutor(given.jobs) as pool:
        floors = [pool.submit(floors_of, study) for study in studies]
        done = train_all(pool, work, RUNGS, seeds)
    rows = {name: [figures(f.result()[name]) for f in floors] for name in FLOORS}
    rows |= {name: [figures(m.get("argmax", m)) for m in done[name]] for name in RUNGS}
    rows["multitask with decoding"] = [figures(m) for m in done["multitask"]]
    write(rows, given)


def simulated(work: Path, seeds: Sequence[int]) -> list[Path]:
    """One study a seed; those that are there already are kept."""
    studies = [work / f"study{seed}" for seed in seeds]
    for seed, study in zip(seeds, studies, strict=True):
        if not (study / "recordings.csv").exists():
            simulate_study(study, StudyPlan(seed=seed, **PLAN), usual_workers())
    return studies


def train_all(
    pool: ThreadPoolExecutor,
    work: Path,
    variants: Mapping[str, list[str]],
    seeds: Sequence[int],
    part: str = "test",
) -> dict[str, list[dict[str, Any]]]:
    """The figures of every variant (arguments of `dolorim train`) on a part of its split, seed by
    seed."""
    jobs = [(name, seed) for seed in seeds for name in variants]
    scores = dict(
        zip(
            jobs,
            pool.map(lambda j: train(work, j[0], variants[j[0]], j[1])[part], jobs),
            strict=True,
        )
    )
    return {name: [scores[name, seed] for seed in seeds] for name in variants}


def train(work: Path, name: str, flags: list[str], seed: int) -> dict[str, Any]:
    """The figures of one run, by part of its split."""
    study, run = work / f"study{seed}", work / "runs" / f"{name.replace(' ', '_')}-{seed}"
    command = [
        *flags, "--cache", str(work / "cache"),
        "--videos", str(study / "Videos"), "--annotations", str(study / "Annotations"),
        "--image_size", "96",
        "--val_animals", ",".join(VAL), "--test_animals", ",".join(TEST), "--seed", str(seed),
    ]  # fmt: skip
    made = trained(run, command)
    print(f"{name}, seed {seed}: {epochs_of(made)} epochs", file=sys.stderr, flush=True)
    return made.read_json("metrics.json")


def floors_of(study: Path) -> dict[str, dict[str, Any]]:
    """The most frequent class for every frame, and the same features of the pose, frame by frame,
    in boosted trees (probabilities averaged over 15 frames)."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = ModelConfig(visual="none", pose="full")
    dataset = load_dataset(Config(data=in_study_folder(study, DataConfig()), model=model))

    def features(part: list[Any]) -> list[np.ndarray]:
        return [
            pose_features(
                "full", f.track.names, f.track.points, f.track.since_seen,
                scale_px=f.track.length_px,
                rate_hz=f.track.rate_hz,
            )
            for f in part
        ]  # fmt: skip

    held_out = {*VAL, *TEST}
    learned = dataset.part([a for a in dataset.animals if a not in held_out])
    x, y = np.concatenate(features(learned)), np.concatenate([f.recording.labels for f in learned])
    trees = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.06, class_weight="balanced", random_state=0
    )
    trees.fit(x[y >= 0], y[y >= 0])
    test, ethogram = dataset.part(TEST), dataset.study.ethogram
    shares = np.bincount(y[y >= 0], minlength=len(ethogram.classes)) / (y >= 0).sum()
    scored: dict[str, list[Scored]] = {name: [] for name in FLOORS}
    for f, rows in zip(test, features(test), strict=True):
        p = np.zeros((f.n_frames, len(ethogram.classes)))
        p[:, trees.classes_] = trees.predict_proba(rows)
        p = np.stack(
            [np.convolve(np.pad(c, 7, "edge"), np.full(15, 1 / 15), "valid") for c in p.T], 1
        )
        borders = [(t.start, t.stop) for t in f.recording.trials]
        for name, q in zip(FLOORS, (np.tile(shares, (f.n_frames, 1)), p), strict=True):
            scored[name].append(
                Scored(f.recording.animal, f.recording.labels, q.argmax(1), q, f.time_s, borders)
            )
    return {name: summarize(s, ethogram.classes, ethogram.background) for name, s in scored.items()}


def figures(metrics: dict[str, Any]) -> dict[str, float]:
    return {
        "macro_f1": metrics["macro_f1"],
        "withdraw_f1": metrics["per_class"]["paw_withdraw"]["f1"],
        "event_f1_200ms": metrics["events"]["200ms"]["f1"],
        "f1_50": metrics["segments"]["f1_50"],
    }


def mean_and_interval(values: Sequence[float]) -> str:
    """Mean with its 95 % interval over seeds (Student's t)."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return f"{mean:.3f}"
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return f"{mean:.3f} ({mean - half:.3f} to {mean + half:.3f})"


def table(rows: dict[str, list[dict[str, float]]], against: str | None = None) -> list[str]:
    """Rows of means with intervals; gains in macro-F1, paired by seed, over the row above or over
    the row `against`."""
    title = f"over {against}" if against else "over the row above"
    lines = [
        f"| | {' | '.join(FIGURES)} | macro-F1 {title}, paired |",
        "|---" * (len(FIGURES) + 2) + "|",
    ]
    before = rows.get(against or "")
    for name, scores in rows.items():
        cells = [mean_and_interval([f[key] for f in scores]) for key in FIGURES]
        gain = "" if before is None or scores is before else gain_of(scores, before)
        lines.append(f"| {name} | {' | '.join(cells)} | {gain} |")
        before = before if against else scores
    return lines


def gain_of(scores: list[dict[str, float]], before: list[dict[str, float]]) -> str:
    return mean_and_interval(
        [a["macro_f1"] - b["macro_f1"] for a, b in zip(scores, before, strict=True)]
    )


def write(rows: dict[str, list[dict[str, float]]], given: argparse.Namespace) -> None:
    about = {
        **machine(),
        "seeds": given.seeds,
        "study": PLAN,
        "test": TEST,
    }
    (RESULTS / "ladder.json").write_text(
        json.dumps({**about, "rungs": rows, "flags": RUNGS}, indent=1) + "\n", "utf-8"
    )
    command = f"python -m benchmarks.ladder --seeds {given.seeds}"
    text = [
        "# The ladder (simulated)",
        "",
        f"`{command}`",
        "",
        f"{HARD} {json.dumps(about)}",
        "",
        *table(rows),
        "",
    ]
    text += [f"- {name}: `dolorim train {' '.join(flags)}`" for name, flags in RUNGS.items()]
    text += [
        f"- multimodal - {n}: macro-F1 {gain_of(rows['multimodal'], rows[n])}"
        for n in ("video", "pose")
    ]
    (RESULTS / "ladder.md").write_text("\n".join(text) + "\n", "utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main(sys.argv[1:])
