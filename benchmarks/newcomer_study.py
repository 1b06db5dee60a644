"""What `benchmarks.newcomer` starts from: videos alone, and the truth that the script knows."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dolorim.core.runs import runs
from dolorim.labels.ethogram import PAIN
from dolorim.labels.label_files import read_labels
from dolorim.labels.prediction_files import read_predictions
from dolorim.metrics.frames import confusion, frame_scores
from dolorim.simulate.study import StudyPlan, simulate_study

UNTOUCHED = 3  # animals that are only predicted
Bout = tuple[int, int, int]
"""Start, stop (the frame after the last), class."""


@dataclass(frozen=True)
class Material:
    """A folder with videos to learn from, another with animals that nobody touches, and the truth.

    `truth` has the labels of all frames by the stem of the video, `groups` the group of each animal
    to learn from, in the order of their videos.
    """

    videos: Path
    untouched: Path
    truth: dict[str, np.ndarray]
    groups: dict[str, str]

    @property
    def names(self) -> list[str]:
        return sorted(path.stem for path in self.videos.glob("*.mp4"))


def make_material(folder: Path, seed: int, animals: int = 6, length: int = 600) -> Material:
    """Simulate, and copy nothing of it but the videos."""
    truth: dict[str, np.ndarray] = {}
    places = {}
    # Both parts are of one design, with animals of their own.
    for name, first, count in (("mice", 0, animals), ("other_mice", animals, UNTOUCHED)):
        plan = StudyPlan(
            animals=count, trials=1, trial_length=length, size_px=192, seed=seed, first=first
        )
        study = folder / "simulated" / name
        if not study.is_dir():
            simulate_study(study, plan)
        places[name] = folder / name
        shutil.rmtree(places[name], ignore_errors=True)
        places[name].mkdir(parents=True)
        for video in sorted((study / "Videos").iterdir()):
            [file] = (study / "Annotations").glob(f"*{video.stem}*.csv")
            # Some label files begin late: what comes before is not known.
            labels = np.full(length, -1, np.int16)
            known = read_labels(file, PAIN).labels
            labels[length - len(known) :] = known
            truth[video.stem] = labels
            shutil.copy(video, places[name] / video.name)
    # sim_<date>_<group>_<number>_<animal>_tracking
    groups = {path.stem: path.stem.split("_")[2] for path in sorted(places["mice"].glob("*.mp4"))}
    return Material(places["mice"], places["other_mice"], truth, groups)


def choose_bouts(material: Material, n: int) -> dict[str, list[Bout]]:
    """The bouts to label first: each behavior about equally often, spread over half of the animals.

    The longest bout of a behavior in an animal is the one that catches the eye.
    """
    names = material.names[: max(4, len(material.names) // 2)]
    chosen: dict[str, list[Bout]] = {name: [] for name in names}
    pairs = itertools.product(names, range(len(PAIN)))
    free = {(name, label): _bouts_of(material.truth[name], label) for name, label in pairs}
    turn = 0
    while sum(map(len, chosen.values())) < n and any(free.values()):
        label, name = turn % len(PAIN), names[turn // len(PAIN) % len(names)]
        turn += 1
        bouts = free[name, label]
        if bouts:
            chosen[name].append(bouts.pop(0))
    return {name: sorted(bouts) for name, bouts in chosen.items() if bouts}


def _bouts_of(labels: np.ndarray, label: int) -> list[Bout]:
    """The bouts of a class, the longest first, of at most three seconds each."""
    starts, stops, values = runs(labels)
    mine = values == label
    pairs = zip(starts[mine].tolist(), stops[mine].tolist(), strict=True)
    bouts = [(start, min(stop, start + 90), label) for start, stop in pairs]
    return sorted(bouts, key=lambda bout: bout[0] - bout[1])


def score_untouched(predictions: Path, material: Material) -> float:
    """Macro-F1 over all known frames of the animals that nobody labeled."""
    known, predicted = [], []
    for video in sorted(material.untouched.iterdir()):
        truth = material.truth[video.stem]
        labels = read_predictions(predictions / f"{video.stem}.predictions.csv").labels
        known.append(truth[truth >= 0])
        predicted.append(labels[truth >= 0])
    counts = confusion(np.concatenate(known), np.concatenate(predicted), len(PAIN))
    return float(frame_scores(counts, PAIN.classes)["macro_f1"])
