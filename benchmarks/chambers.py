"""What a rack costs: eight chambers of one 1920x1080 video, against each on its own.

The video shows simulated mice in 2 x 4 chambers of 480 x 540 pixels. Times are processor seconds
of this process with all its threads, so that other work on the machine matters little. Weights are
random: the speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.common import RESULTS, machine, random_run
from dolorim.files.chambers import COLUMNS as CHAMBER_COLUMNS
from dolorim.files.tables import write_table
from dolorim.inference.inputs import find_inputs
from dolorim.inference.predict_batch import predict_videos
from dolorim.simulate.camera import draw_cage, render
from dolorim.simulate.mouse import Mouse, draw_labels, move
from dolorim.video.chambers import lay_grid
from dolorim.video.reader import FrameStream
from dolorim.video.writer import VideoWriter

ROWS, COLUMNS, WIDTH, HEIGHT = 2, 4, 1920, 1080


def mouse_pictures(seed: int, n_frames: int) -> Iterator[np.ndarray]:
    """Pictures `(540, 480)` of a simulated mouse on a longer floor."""
    side, height = WIDTH // COLUMNS, HEIGHT // ROWS
    rng = np.random.default_rng(seed)
    mouse = Mouse(length_px=0.2 * side)
    motion = move(draw_labels(n_frames, 30, rng), mouse, side, 30, rng)
    cage = draw_cage(mouse, side, rng)
    for frame in range(n_frames):
        yield np.pad(render(motion, mouse, cage, frame), ((0, height - side), (0, 0)), "edge")


def write_films(folder: Path, n_frames: int) -> None:
    """The rack, and a cropped video of each chamber."""
    rack = VideoWriter(folder / "rack" / "rack.mp4", WIDTH, HEIGHT, 30.0)
    singles = [
        VideoWriter(folder / "cropped" / f"c{i}.mp4", WIDTH // COLUMNS, HEIGHT // ROWS, 30.0)
        for i in range(ROWS * COLUMNS)
    ]
    # Two mice are drawn, and shown in four chambers each: their number does not matter for speed.
    mice = [mouse_pictures(seed, n_frames) for seed in (0, 1)]
    for pair in zip(*mice, strict=True):
        rack.write(
            np.vstack([np.hstack([pair[0], pair[1]] * 2), np.hstack([pair[1], pair[0]] * 2)])
        )
        for i, single in enumerate(singles):
            single.write(pair[i % 2])
    for writer in (rack, *singles):
        writer.close()


def processor_s(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--out", type=Path, default=RESULTS / "chambers.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_films(folder, given.frames)
        run = random_run(folder / "run", "light", "cpu")
        video = folder / "rack" / "rack.mp4"
        chambers = lay_grid((WIDTH, HEIGHT), ROWS, COLUMNS)

        def predict(place: Path, rack: str | None, out: str) -> None:
            batch = predict_videos(run, find_inputs(run, [place], chambers=rack), folder / out)
            seconds.update(batch.seconds)
            assert not batch.failed, batch.failed

        def one_by_one() -> None:
            for chamber in chambers:
                row = (chamber.name, *chamber.box)
                write_table(folder / "one.csv", CHAMBER_COLUMNS, [row])
                predict(video, str(folder / "one.csv"), "one_by_one")

        seconds: dict[str, float] = {}
        predict(video, "1x1", "warm")  # libraries load once
        decode_s = processor_s(lambda: [None for _ in FrameStream(video)])
        together_s = processor_s(lambda: predict(video, f"{ROWS}x{COLUMNS}", "together"))
        steps = dict(seconds)
        apart_s = processor_s(one_by_one)
        cropped_s = processor_s(lambda: predict(folder / "cropped", None, "cropped"))
    network_s = steps["network"]
    result = {
        "frames": given.frames,
        "chambers": len(chambers),
        "decode_only_s": decode_s,
        "network_wall_s": network_s,
        "together_s": together_s,
        "one_pass_per_chamber_s": apart_s,
        "eight_cropped_files_s": cropped_s,
        "times_faster_than_one_pass_per_chamber": apart_s / together_s,
        "times_faster_than_cropped_files": cropped_s / together_s,
        "steps_wall_s": steps,
        **machine(),
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
