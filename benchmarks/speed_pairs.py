"""Speed of this version against an older one: measured in turn, and compared pair by pair.

The older version is a checkout of its own: `git worktree add OLD 95d044a` makes one of the oldest
commit of version 0.1.0. Simulated 512x512 H.264 video at 30 frames/s, random weights. "Steady" is
what the second minute of a video adds to the time of the first.

    python -m benchmarks.speed_pairs OLD [--rounds 5] [--kinds light standard]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, long_video, machine

HERE = Path(__file__).parents[1]
SHORT_S, LONG_S = 60, 120


def measured(checkout: Path, kind: str, videos: list[Path]) -> dict[str, dict[str, float]]:
    """What `speed_of_version` measures of a checkout, in a process of its own."""
    places = [str(checkout / "src")]
    if checkout == HERE:
        places.append(str(HERE))
    with tempfile.TemporaryDirectory() as folder:
        arguments = [folder, kind, *map(str, videos)]
        done = subprocess.run(
            [sys.executable, str(HERE / "benchmarks" / "speed_of_version.py"), *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        sys.exit(f"{checkout}: {done.stderr[-2000:]}")
    times: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return times


def compare(old: list[Any], new: list[Any]) -> dict[str, Any]:
    """Medians of both versions, and of the ratio old/new within each pair."""
    table: dict[str, Any] = {}
    for part in old[0]:
        for time in ("clock", "processor"):
            pairs = np.array(
                [(one[part][time], two[part][time]) for one, two in zip(old, new, strict=True)]
            )
            ratios = pairs[:, 0] / pairs[:, 1]
            table[f"{part}, {time}"] = {
                "old ms": round(float(np.median(pairs[:, 0])), 3),
                "new ms": round(float(np.median(pairs[:, 1])), 3),
                "old/new": round(float(np.median(ratios)), 2),
                "from": round(float(ratios.min()), 2),
                "to": round(float(ratios.max()), 2),
            }
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("old", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", nargs="+", default=["light", "standard"])
    given = parser.parse_args()
    report: dict[str, Any] = {
        "command": "python -m benchmarks.speed_pairs OLD "
        f"--rounds {given.rounds} --kinds {' '.join(given.kinds)}",
        **machine(),
        "simulated video": True,
        "load": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = [long_video(folder / str(length), length) for length in (SHORT_S, LONG_S)]
        for kind in given.kinds:
            old, new = [], []
            for _ in range(given.rounds):
                old.append(measured(given.old.resolve(), kind, videos))
                new.append(measured(HERE, kind, videos))
            report[kind] = compare(old, new)
            print(json.dumps(report[kind], indent=1), flush=True)
    text = json.dumps(report, indent=1) + "\n"
    (RESULTS / "speed_pairs.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
