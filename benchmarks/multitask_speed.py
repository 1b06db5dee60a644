"""The multitask approach on a processor: frames/s from file to CSV, by what looks at the video.

    python -m benchmarks.multitask_speed

Random weights, one simulated 512x512 H.264 video of 60 s with its DeepLabCut file, follow crop at
112 pixels.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.common import RESULTS, long_video, machine, run_with
from benchmarks.pose_speed import label
from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.pose import Skeleton
from dolorim.presets import MULTITASK
from dolorim.terminal import be_quiet


def main() -> None:
    be_quiet(True)
    results: dict[str, object] = {"command": "python -m benchmarks.multitask_speed", **machine()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = long_video(folder / "study", 60)
        for visual in ("cnn3d", "vit_2d"):
            model = dataclasses.replace(MULTITASK.model, visual=visual)
            run = run_with(
                folder / visual, dataclasses.replace(MULTITASK, model=model), Skeleton(KEYPOINTS)
            )
            results[f"{visual}_frames_per_s"] = round(
                label(run, video, folder / "study" / "DLC", folder / "out"), 1
            )
            print(visual, results[f"{visual}_frames_per_s"], file=sys.stderr, flush=True)
    (RESULTS / "multitask_speed_cpu.json").write_text(
        json.dumps(results, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
