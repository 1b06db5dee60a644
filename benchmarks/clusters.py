"""Animals of one litter are alike: how often do tests reject without an effect, and does the
interval of the adjusted difference hold the truth?

Simulated animals: a normal read-out in which litters differ (intraclass correlation 0.4), and whole
litters are treated or half of each. Writes results/clusters.json.

    python -m benchmarks.clusters [--studies 1000]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.common import RESULTS, machine
from dolorim.reporting.adjusted import Design, adjusted_table

GROUPS = ("control", "treated")
KEY = ("whole", "lick", "time_percent")
LITTER_SD, ANIMAL_SD = 0.4**0.5, 0.6**0.5
# Litters in the study, animals in each, and whether a litter holds both groups.
DESIGNS = {
    "4 whole litters of 3 per group": (8, 3, False),
    "6 whole litters of 2 per group": (12, 2, False),
    "8 litters of 4, half of each treated": (8, 4, True),
    "4 litters of 4, half of each treated": (4, 4, True),
}


def study(design: tuple[int, int, bool], rng: np.random.Generator) -> tuple[pd.DataFrame, Design]:
    """The animals of a study in which treatment does nothing."""
    litters, size, split = design
    litter = np.repeat(np.arange(litters), size)
    treated = np.arange(len(litter)) % 2 if split else litter % 2
    values = rng.normal(0, LITTER_SD, litters)[litter] + rng.normal(0, ANIMAL_SD, len(litter))
    table = pd.DataFrame({"animal": [f"m{i}" for i in range(len(litter))], "value": values})
    table["group"] = np.array(GROUPS)[treated]
    window, behavior, readout = KEY
    table = table.assign(window=window, behavior=behavior, readout=readout, event=np.nan)
    clusters = dict(zip(table.animal, litter.astype(str), strict=True))
    return table, Design({}, clusters, [GROUPS])


def measure(name: str, studies: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    in_model, in_ranks, covered = [], [], []
    for _ in range(studies):
        table, design = study(DESIGNS[name], rng)
        row = adjusted_table(table, design, [KEY], GROUPS, "holm").iloc[0]
        in_model.append(row.p < 0.05)
        covered.append(row.difference_low <= 0 <= row.difference_high)
        samples = [table[table.group == group].value for group in GROUPS]
        in_ranks.append(stats.mannwhitneyu(*samples).pvalue < 0.05)
    return {
        "design": name,
        "rejected_by_model": round(float(np.mean(in_model)), 3),
        "interval_covers": round(float(np.mean(covered)), 3),
        "rejected_by_rank_test": round(float(np.mean(in_ranks)), 3),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    given = parser.parse_args([] if arguments is None else arguments)
    rows = []
    for name in DESIGNS:
        rows.append(measure(name, given.studies))
        print(rows[-1], flush=True)
    text = json.dumps({"studies": given.studies, "rows": rows, **machine()}, indent=1)
    (RESULTS / "clusters.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
