"""What a pose costs when videos are labeled: the multimodal approach with pose files against the
video approach.

    python -m benchmarks.pose_speed [--pairs 5]

From file to CSV, random weights, one simulated 512x512 H.264 video of 60 s with its DeepLabCut
file; the two in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import RESULTS, long_video, machine, random_run
from dolorim.inference.inputs import find_inputs
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.run_folder import RunFolder
from dolorim.terminal import be_quiet


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args([] if arguments is None else arguments)
    be_quiet(True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = long_video(folder / "study", 60)
        poses = folder / "study" / "DLC"
        plain, multimodal = (
            random_run(folder / "video", "light"),
            random_run(folder / "multimodal", "light", pose="full"),
        )
        rates: list[tuple[float, float]] = []
        for pair in range(given.pairs + 1):
            one, two = (
                label(plain, video, None, folder / "out"),
                label(multimodal, video, poses, folder / "out"),
            )
            if pair:  # the first is for warming up
                rates.append((one, two))
                print(
                    f"video {one:.0f} frames/s, with pose {two:.0f}: {two / one:.2f}",
                    file=sys.stderr,
                    flush=True,
                )
    results = {
        "command": "python -m benchmarks.pose_speed",
        **machine(),
        "video_frames_per_s": statistics.median(a for a, _ in rates),
        "multimodal_frames_per_s": statistics.median(b for _, b in rates),
        "ratio": statistics.median(b / a for a, b in rates),
    }
    (RESULTS / "pose_speed_cpu.json").write_text(
        json.dumps(results, indent=1) + "\n", encoding="utf-8"
    )
    print(json.dumps(results, indent=1))


def label(run: RunFolder, video: Path, poses: Path | None, out: Path) -> float:
    """Frames per second."""
    started = time.perf_counter()
    outcome = predict_videos(run, find_inputs(run, [video], poses), out)
    assert outcome.done == [video], outcome
    return outcome.frames / (time.perf_counter() - started)


if __name__ == "__main__":
    main(sys.argv[1:])
