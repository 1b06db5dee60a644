"""Memory and open files of `dolorim predict` on 1,000 short videos in one call: they must not grow.

python -m benchmarks.many [--videos 1000]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import RESULTS, machine, random_run
from dolorim.simulate.study import StudyPlan, simulate_study

_WATCHED = """
import json, os, sys
from pathlib import Path
from dolorim.cli import main
from dolorim.inference import predict_batch as predict

seen, note = [], predict._note

def noted(*arguments):
    note(*arguments)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    seen.append((pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(os.listdir("/proc/self/fd"))))

predict._note = noted
code = main(sys.argv[1:])
print(json.dumps(seen))
sys.exit(code)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--videos", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = StudyPlan(animals=1, trials=1, trial_length=16, size_px=96)
        first = next((simulate_study(folder / "made", plan) / "Videos").iterdir())
        videos = folder / "videos"
        videos.mkdir()
        for i in range(given.videos):
            shutil.copy(first, videos / f"{i:04d}.mp4")
        run = random_run(folder / "run", "light").path
        command = ["predict", str(run), str(videos), "--out", str(folder / "out"), "--quiet"]
        said = subprocess.run(
            [sys.executable, "-c", _WATCHED, *command], check=True, capture_output=True, text=True
        ).stdout
    seen = json.loads(said.splitlines()[-1])
    marks = [i for i in (9, 99, 249, 499, 749, len(seen) - 1) if i < len(seen)]
    report = {
        "command": f"python -m benchmarks.many --videos {given.videos}",
        **machine(),
        "simulated video": True,
        "frames_per_video": 16,
        "resident_mb_after": {str(i + 1): round(seen[i][0], 1) for i in marks},
        "open_files_after": {str(i + 1): seen[i][1] for i in marks},
    }
    (RESULTS / "many.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
