"""Peak memory of `dolorim predict` for a short and a very long video: it must not grow.

python -m benchmarks.memory [--hours 2]
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import RESULTS, long_video, machine, random_run

SHORT_S = 120
_PEAK = """
import resource, sys
from dolorim.cli import main
code = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


def peak_mb(run: Path, video: Path, out: Path) -> float:
    command = [sys.executable, "-c", _PEAK, "predict", str(run), str(video), "--out", str(out)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    match = re.search(r"peak (\d+)", said)
    if match is None:
        sys.exit(said)
    return int(match[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=2.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = random_run(folder / "run", "light").path
        short, long = (
            long_video(folder / "short", SHORT_S),
            long_video(folder / "long", 3600 * given.hours),
        )
        peaks = {
            "short_mb": peak_mb(run, short, folder / "out"),
            "long_mb": peak_mb(run, long, folder / "out"),
        }
    report = {
        "command": f"python -m benchmarks.memory --hours {given.hours:g}",
        **machine(),
        "short_s": SHORT_S,
        **peaks,
    }
    report["growth"] = peaks["long_mb"] / peaks["short_mb"] - 1
    (RESULTS / "memory.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
