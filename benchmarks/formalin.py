"""`dolorim report` on thirty real ethograms of the formalin test: time, memory, agreement with the
published tables.

Writes results/formalin.json. tests/test_formalin_real.py asserts that the tables agree; the largest
differences stand there.

    python -m benchmarks.formalin
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import RESULTS, machine, real_data
from dolorim.reporting.readouts import row_shares

PUBLISHED = {
    "control": "Control",
    "formalin_1pct": "1Per Formalin",
    "formalin_5pct": "5Per Formalin",
}
RUN = (  # not the peak that the parent's own size would count into
    "import sys; from dolorim.cli import main; code = main(sys.argv[1:]); "
    "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))); "
    "sys.exit(code)"
)


def compare_with_published(out: Path, tables: Path, classes: list[str]) -> dict[str, float]:
    """The largest difference from each published table, read from the CSV files of the report."""
    recordings, bouts = pd.read_csv(out / "recordings.csv"), pd.read_csv(out / "bouts.csv")
    moves = pd.read_csv(out / "transitions.csv")
    worst = dict.fromkeys(("bout counts", "their std", "seconds in all bouts", "transitions"), 0.0)
    for group, name in PUBLISHED.items():
        [counts, lasting, shares] = (
            pd.read_csv(next((tables / folder).glob(f"*{name}.csv")))
            for folder in (
                "behavior_instance-counts",
                "behavior_instance-durations",
                "behavior_transitions",
            )
        )
        cell = recordings[
            (recordings.group == group)
            & (recordings.readout == "bouts")
            & (recordings.window == "whole")
        ]
        ours = cell.pivot(index="video", columns="behavior", values="value")[classes]
        ours = ours.where(ours > 0)
        here = moves[moves.group == group].groupby(["before", "after"])["count"].sum()
        pooled = np.array([[here.get((a, b), 0) for b in classes] for a in classes])
        sums = (
            lasting.assign(behavior=lasting.behavior.str.replace(" ", "_"))
            .groupby("behavior")
            .duration.sum()
        )
        differences = (
            ours.mean().to_numpy() - counts.mean_counts.to_numpy(),
            ours.std(ddof=0).to_numpy() - counts.std_counts.to_numpy(),
            (bouts[bouts.group == group].groupby("behavior").duration_s.sum() - sums).to_numpy(),
            row_shares(pooled) - shares.iloc[:, 1:].to_numpy(),
        )
        for key, difference in zip(worst, differences, strict=True):
            worst[key] = max(worst[key], float(np.abs(difference).max()))
    return worst


def main() -> None:
    data = real_data("formalin")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report"
        command = [
            sys.executable,
            "-c",
            RUN,
            "report",
            str(data / "ethograms"),
            "--groups",
            str(data / "groups.csv"),
        ]
        command += [
            "--classes",
            str(data / "classes.csv"),
            "--rate_hz",
            "60",
            "--assay",
            "formalin",
            "--bin",
            "5min",
        ]
        started = time.monotonic()
        done = subprocess.run(
            [*command, "--out", str(out)], check=True, capture_output=True, text=True
        )
        wall_s = time.monotonic() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        classes = pd.read_csv(data / "classes.csv").name.to_list()
        report = {
            "command": f"dolorim {' '.join(command[3:])}".replace(f"{data}/", ""),
            **machine(),
            "frames": int(sum(len(pd.read_csv(p)) for p in (data / "ethograms").iterdir())),
            "wall_s": round(wall_s, 1),
            "processor_s": round(used.ru_utime + used.ru_stime, 1),
            "peak_mb": round(int(done.stdout.split()[1]) / 1024),
            "page_mb": round((out / "report.html").stat().st_size / 1e6, 2),
            "largest_difference": compare_with_published(out, data / "reference_tables", classes),
            "said": [line for line in done.stderr.splitlines() if not line.startswith("open ")],
        }
    (RESULTS / "formalin.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
