"""How often `predict` says that a video is unlike those that a run has learned from.

Bottom-view clips of single mice (`bottomview`, 33 clips, 15 frames/s, light floor) against videos
of the formalin test (`formalin`, 60 frames/s, dark). For each of 200 random draws, five or ten
clips are those learned from; the others of the same data must not be warned about, and those of the
other data must.

    python -m benchmarks.unlike
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.common import RESULTS, machine, real_data
from dolorim.config import DataConfig
from dolorim.files.naming import find_videos
from dolorim.video.appearance import Appearance, AppearanceSampler
from dolorim.video.crop_stream import open_crops

DRAWS = 200


def appearance(video: Path) -> Appearance:
    stream = open_crops(video, DataConfig())
    sampler = AppearanceSampler(stream.info.expected_frames)
    for block in stream:
        sampler.look(block.images)
    longer_side = max(stream.info.width_px, stream.info.height_px)
    length_share = (stream.plan.seen_length_px or 0.0) / longer_side
    seen = sampler.result(length_share, stream.info.header_rate_hz)
    assert seen is not None
    return seen


def warned(known: list[Appearance], new: list[Appearance]) -> float:
    return float(np.mean([one.describe_difference(known) is not None for one in new]))


def main() -> None:
    names = ("bottomview", "formalin")
    seen = {n: [appearance(v) for v in find_videos([real_data(n) / "Videos"])] for n in names}
    random = np.random.default_rng(0)
    table: dict[str, float] = {}
    for here, there in (names, names[::-1]):
        for n_known in (5, 10):
            own, other = [], []
            for _ in range(DRAWS):
                order = random.permutation(len(seen[here]))
                known = [seen[here][i] for i in order[:n_known]]
                own.append(warned(known, [seen[here][i] for i in order[n_known:]]))
                other.append(warned(known, seen[there]))
            table[f"{n_known} of {here}, warned about the rest of it"] = float(np.mean(own))
            table[f"{n_known} of {here}, warned about {there}"] = float(np.mean(other))
    counts = {name: len(rows) for name, rows in seen.items()}
    report = {"command": "python -m benchmarks.unlike", **machine(), "videos": counts, **table}
    text = json.dumps(report, indent=1) + "\n"
    (RESULTS / "unlike.json").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
