"""Do the tests keep what they promise? Simulated studies without any effect: how often each test
says p < 0.05.

Mice differ in how often and how long they lick (log-normal, so that read-outs are as skewed as real
ones); groups do not. Each study goes through the read-outs and tests of `dolorim report`. Writes
results/null_effect.json.

    python -m benchmarks.null_effect [--studies 1000]
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import RESULTS, machine
from dolorim.reporting.observations import Observations, ObservedRecording
from dolorim.reporting.readouts import measure
from dolorim.reporting.statistics import compare

CLASSES = ("rest", "lick", "walk")
LENGTH_S = 1800.0


def draw_track(
    animal: str, group: str, habits: np.ndarray, rng: np.random.Generator, **columns: str
) -> ObservedRecording:
    """A renewal process: rest and walking in turn, now and then a bout of licking between them."""
    licks_per_bout, lick_s, walk_s, rest_s = habits
    starts, labels, now = [], [], 0.0
    while now < LENGTH_S:
        label = 1 if rng.random() < licks_per_bout else 2 * int(rng.random() < 0.5)
        if labels and labels[-1] == label:
            continue
        starts.append(now)
        labels.append(label)
        now += rng.exponential((rest_s, lick_s, walk_s)[label])
    edges = np.array([*starts, LENGTH_S])
    return ObservedRecording(
        animal, animal, group, edges[:-1], edges[1:], np.array(labels), LENGTH_S, "", columns
    )


def draw_habits(rng: np.random.Generator) -> np.ndarray:
    licks = min(
        0.5, 0.01 * np.exp(rng.normal(0, 1))
    )  # some mice hardly lick, so that latencies are censored
    return np.array([licks, *(np.array([2.0, 8.0, 12.0]) * np.exp(rng.normal(0, 0.4, 3)))])


def draw_study(sizes: Sequence[int], rng: np.random.Generator, days: int = 1) -> Observations:
    groups = tuple("abcdef"[: len(sizes)])
    recordings = []
    for group, size in zip(groups, sizes, strict=True):
        for i in range(size):
            habits = draw_habits(rng)
            for day in range(days):
                today = habits * np.exp(rng.normal(0, 0.2, 4)) if days > 1 else habits
                recordings.append(
                    draw_track(f"{group}{i}", group, today, rng, day=str(day), sex="FM"[i % 2])
                )
    return Observations(CLASSES, groups, tuple(recordings))


def rows_of(recording: ObservedRecording) -> list[dict[str, Any]]:
    """The lines of the table of animals that are tested here; each animal has one recording a
    day.
    """
    readouts = measure(recording, len(CLASSES))
    who = {
        "animal": recording.animal,
        "group": recording.group,
        "sex": recording.columns["sex"],
        "day": float(recording.columns["day"]),
    }
    what = {"window": "whole", "behavior": "lick", "event": float(readouts["event"][1])}
    return [
        {**who, **what, "readout": name, "value": readouts[name][1]}
        for name in ("time_percent", "latency_s")
    ]


DESIGNS = {
    "two groups of 5": ((5, 5), 1, None),
    "two groups of 8": ((8, 8), 1, None),
    "three groups of 10, 10, 9": ((10, 10, 9), 1, None),
    "two groups of 10, by sex": ((10, 10), 1, "sex"),
    "two groups of 8, four days": ((8, 8), 4, None),
}


def count(name: str, studies: int) -> dict[str, float]:
    """How often each test rejects in the studies of one design."""
    sizes, days, second = DESIGNS[name]
    verdicts: dict[str, list[bool]] = defaultdict(list)
    for seed in range(studies):
        study = draw_study(sizes, np.random.default_rng([seed, *sizes, days]), days)
        animals = pd.DataFrame([row for one in study.recordings for row in rows_of(one)])
        tests = compare(
            animals, study.groups, within="day" if days > 1 else None, second=second, seed=seed
        )
        for row in tests[tests.p.notna()].itertuples():
            term = f" {row.compared}" if row.test in ("mixed model", "two-way ANOVA") else ""
            if term != " time" and (second is None or row.test == "two-way ANOVA"):
                verdicts[f"{row.test}{term}, {row.readout}"].append(row.p < 0.05)
    return {test: round(float(np.mean(v)), 4) for test, v in verdicts.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2, help="designs at a time")
    given = parser.parse_args()
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        shares = dict(
            zip(DESIGNS, pool.map(count, DESIGNS, [given.studies] * len(DESIGNS)), strict=True)
        )
    report = {
        "command": f"python -m benchmarks.null_effect --studies {given.studies}",
        **machine(),
        "rejected": shares,
    }
    (RESULTS / "null_effect.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(shares, indent=1))


if __name__ == "__main__":
    main()
