"""Time and memory of `predict`, `report`, and `check` against length and number of videos.

Simulated video; each command runs in a process of its own. A straight line has the same cost per
frame or per video at both ends of a row; what every command costs by itself is in the first column.

    python -m benchmarks.growth [--minutes 1 10] [--videos 1 10 100]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, long_video, machine, random_run
from dolorim.files.tables import write_text
from dolorim.simulate.study import StudyPlan, simulate_study


def cost(*arguments: object) -> dict[str, float]:
    """Processor seconds and peak memory of one command, with all that it starts."""
    # A child's own figures come with its end; those of `RUSAGE_CHILDREN` are of all children.
    process = os.fork()
    if process == 0:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        os.execv(sys.executable, [sys.executable, "-m", "dolorim", *map(str, arguments)])
    _, status, used = os.wait4(process, 0)
    code = os.waitstatus_to_exitcode(status)
    # `check` ends with 2 because all videos are copies of one, which it reports.
    if code not in (0, 1) and arguments[0] != "check":
        sys.exit(f"dolorim {' '.join(map(str, arguments))}: exit code {code}")
    return {"processor_s": round(_seconds(used), 2), "peak_mb": round(used.ru_maxrss / 1024)}


def _seconds(used: resource.struct_rusage) -> float:
    return used.ru_utime + used.ru_stime


def by_length(run: Path, minutes: list[int], folder: Path) -> dict[str, Any]:
    rows = {}
    for length in minutes:
        video = long_video(folder / f"{length}", 60 * length)
        out = folder / f"out{length}"
        rows[f"{length} min"] = {"predict": cost("predict", run, video, "--out", out, "--jobs", 1)}
    return rows


def by_number(run: Path, numbers: list[int], folder: Path) -> dict[str, Any]:
    plan = StudyPlan(animals=1, trials=1, trial_length=30, size_px=96)
    first = next((simulate_study(folder / "made", plan) / "Videos").iterdir())
    rows = {}
    for number in numbers:
        study = folder / f"study{number}"
        videos, out = study / "Videos", folder / f"labels{number}"
        videos.mkdir(parents=True)
        groups = ["video,animal,group"]
        for i in range(number):
            shutil.copy(first, videos / f"{i:05d}_{i}M.mp4")
            groups.append(f"{i:05d}_{i}M,{i}M,{'ab'[i % 2]}")
        table = study / "groups.csv"
        write_text(table, "\n".join(groups) + "\n")
        rows[f"{number} videos"] = {
            "predict": cost("predict", run, videos, "--out", out, "--jobs", 1),
            "check": cost("check", study, "--workers", 1),
            "report": cost("report", out, "--groups", table, "--out", folder / f"report{number}"),
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--videos", type=int, nargs="+", default=[1, 10, 100])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = random_run(folder / "run", "light").path
        report = {
            "command": f"python -m benchmarks.growth --minutes {' '.join(map(str, given.minutes))} "
            f"--videos {' '.join(map(str, given.videos))}",
            **machine(),
            "simulated video": True,
            "by length": by_length(run, given.minutes, folder),
            "by number, each of one second": by_number(run, given.videos, folder),
        }
    text = json.dumps(report, indent=1) + "\n"
    (RESULTS / "growth.json").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
