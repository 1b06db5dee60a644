"""The ladder: what each part of the approaches adds, on simulated studies, animals held out.

    python -m benchmarks.ladder [--seeds 5] [--minutes 3] [--jobs 2]

Majority, gradient boosting on pose, video, pose alone, multimodal, multitask, multitask with decoding. Simulated
animals prove that the parts work together, not how good they are on real ones. One study a seed, one split for all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.common import RESULTS, machine
from dolorim.config import Config, DataConfig, ModelConfig
from dolorim.core.pose_features import pose_features
from dolorim.engine.extract import usual_workers
from dolorim.engine.material import gather
from dolorim.engine.talk import be_quiet
from dolorim.formats.project import in_project
from dolorim.metrics.summary import Scored, summarize
from dolorim.simulate.study import StudyPlan, simulate_study

PLAN = {"animals": 12, "trials": 4, "size_px": 320, "vigor": 0.5}  # the hard setting: paws move half as far
VAL, TEST = ("201M", "202F", "203M"), ("204F", "205M", "206F")
RUNGS: dict[str, list[str]] = {
    "video": ["video"],
    "pose": ["multimodal", "--visual", "none", "--accelerator", "cpu"],
    "multimodal": ["multimodal"],
    "multitask": ["multitask"],
}
RECIPES: dict[str, list[str]] = {
    "no correction": ["--sampling", "frames", "--class_weights", "none"],
    "class weights alone": ["--sampling", "frames"],
    "bouts drawn equally alone": ["--class_weights", "none"],
    "focal loss alone": ["--sampling", "frames", "--class_weights", "none", "--focal_gamma", "2"],
    "rare classes drawn more often alone": [
        "--sampling", "frames", "--class_weights", "none", "--rare_threshold_share", "0.1",
    ],
    "label smoothing on top": ["--label_smoothing", "0.1"],
    "soft boundaries on top": ["--soft_boundaries", "2"],
    "classic": ["--recipe", "classic", "--min_frames", "0"],
}  # fmt: skip
FIGURES = ("macro_f1", "withdraw_f1", "event_f1_200ms", "f1_50")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=3.0, help="training time of one run")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--recipes", type=int, default=0, help="also the ablation of the recipe, on this many seeds")
    parser.add_argument("--work", type=Path, default=None, help="folder that is kept")
    given = parser.parse_args([] if arguments is None else arguments)
    work = given.work or Path(tempfile.mkdtemp(prefix="ladder-"))
    for seed in range(given.seeds):
        if not (work / f"study{seed}" / "recordings.csv").exists():
            simulate_study(work / f"study{seed}", StudyPlan(seed=seed, **PLAN), usual_workers())
    with ThreadPoolExecutor(given.jobs) as pool:
        jobs = [(name, flags, s) for s in range(given.seeds) for name, flags in RUNGS.items()]
        jobs += [(n, ["multimodal", *f], s) for s in range(given.recipes) for n, f in RECIPES.items()]
        boosted = [pool.submit(gradient_boosting, work / f"study{s}") for s in range(given.seeds)]
        figures_of = pool.map(lambda j: train(work, *j, given.minutes), jobs)
        done = dict(zip([(n, s) for n, _, s in jobs], figures_of, strict=True))
    rows: dict[str, list[dict[str, float]]] = {"gradient boosting on pose": [figures(b.result()) for b in boosted]}
    for name in RUNGS:
        found = [done[name, s] for s in range(given.seeds)]
        rows[name] = [figures(m.get("argmax", m)) for m in found]
    rows["multitask with decoding"] = [figures(done["multitask", s]) for s in range(given.seeds)]
    recipes = {"ours": rows["multimodal"][: given.recipes]} if given.recipes else {}
    for name in RECIPES if given.recipes else ():
        recipes[name] = [figures(m.get("argmax", m)) for m in (done[name, s] for s in range(given.recipes))]
    write(rows, recipes, given)


def train(work: Path, name: str, flags: list[str], seed: int, minutes: float) -> dict[str, Any]:
    """Train one run in a process of its own and return the figures of its test animals."""
    study, run = work / f"study{seed}", work / "runs" / f"{name.replace(' ', '_')}-{seed}"
    command = [
        sys.executable, "-m", "dolorim", "train", *flags, "--run", str(run), "--cache", str(work / "cache"),
        "--videos", str(study / "Videos"), "--annotations", str(study / "Annotations"), "--image_size", "96",
        "--val_animals", ",".join(VAL), "--test_animals", ",".join(TEST), "--seed", str(seed),
        "--max_minutes", str(minutes),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        sys.exit(f"{name}, seed {seed}: {done.stderr[-2000:]}")
    print(f"{name}, seed {seed}: {done.stderr.count('epoch ')} epochs", file=sys.stderr, flush=True)
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    return metrics["test"]


def gradient_boosting(study: Path) -> dict[str, Any]:
    """The same features of the pose, frame by frame, in boosted trees; probabilities averaged over 15 frames."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    be_quiet(True)
    model = ModelConfig(visual="none", pose="full")
    material = gather(Config(data=in_project(study, DataConfig()), model=model))

    def features(part: list[Any]) -> list[np.ndarray]:
        return [
            pose_features(
                "full", f.track.names, f.track.points, f.track.since_seen, scale_px=f.track.length_px,
                rate_hz=f.track.rate_hz,
            )
            for f in part
        ]  # fmt: skip

    held_out = {*VAL, *TEST}
    learned = material.part([a for a in material.animals if a not in held_out])
    x, y = np.concatenate(features(learned)), np.concatenate([f.recording.labels for f in learned])
    trees = HistGradientBoostingClassifier(max_iter=200, learning_rate=0.06, class_weight="balanced", random_state=0)
    trees.fit(x[y >= 0], y[y >= 0])
    test, scored = material.part(TEST), []
    classes = material.project.ethogram.classes
    for f, found in zip(test, features(test), strict=True):
        p = np.zeros((f.n_frames, len(classes)))
        p[:, trees.classes_] = trees.predict_proba(found)
        p = np.stack([np.convolve(np.pad(c, 7, "edge"), np.full(15, 1 / 15), "valid") for c in p.T], 1)
        borders = [(t.start, t.stop) for t in f.recording.trials]
        scored.append(Scored(f.recording.animal, f.recording.labels, p.argmax(1), p, f.time_s, borders))
    return summarize(scored, classes, material.project.ethogram.background)


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
    lines = [
        "| | " + " | ".join(FIGURES) + " | macro-F1 over the row above, paired |",
        "|---" * (len(FIGURES) + 2) + "|",
    ]
    before: list[dict[str, float]] | None = rows.get(against) if against else None
    for name, found in rows.items():
        cells = [mean_and_interval([f[key] for f in found]) for key in FIGURES]
        gain = "" if before is None else mean_and_interval(
            [a["macro_f1"] - b["macro_f1"] for a, b in zip(found, before, strict=True)]
        )  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} | {gain} |")
        before = rows[against] if against else found
    return lines


def write(rows: dict[str, Any], recipes: dict[str, Any], given: argparse.Namespace) -> None:
    about = {**machine(), "seeds": given.seeds, "minutes": given.minutes, "study": PLAN, "test": TEST}
    (RESULTS / "ladder.json").write_text(json.dumps({**about, "rungs": rows, "recipes": recipes}, indent=1) + "\n")
    order = ["gradient boosting on pose", "video", "pose", "multimodal", "multitask", "multitask with decoding"]
    text = [
        "# The ladder (simulated)",
        "",
        f"`python -m benchmarks.ladder --seeds {given.seeds} --minutes {given.minutes}`",
    ]
    text += ["", "Simulated studies in the hard setting; mean over seeds with 95 % intervals. " + json.dumps(about), ""]
    text += table({k: rows[k] for k in order})
    for name in ("video", "pose"):
        gain = [a["macro_f1"] - b["macro_f1"] for a, b in zip(rows["multimodal"], rows[name], strict=True)]
        text += ["", f"- multimodal - {name}: macro-F1 {mean_and_interval(gain)}"]
    if recipes:
        text += ["", "## The recipe", "", "`multimodal`, each change alone against ours:", "", *table(recipes, "ours")]
    (RESULTS / "ladder.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main(sys.argv[1:])
