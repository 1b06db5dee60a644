"""Seconds from changed labels to new predictions of an hour of video, as Learn in the studio does.

Six simulated mice are filmed for 20 seconds each, and each film is repeated to ten minutes without
encoding it again. So are its features, which stand for those of an earlier prediction. What is
timed is the job of the studio: a process that trains a linear head and labels all videos, with the
start of the process and its imports. On a machine that does other things, seconds of the processor
(`cpu_s`) say more than those of the clock.

    python -m benchmarks.learn_round_trip --work /tmp/learn [--minutes 60] [--rounds 3]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import time
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.common import RESULTS, machine
from dolorim import api
from dolorim.dataset.study import in_study_folder
from dolorim.inference.inputs import find_inputs
from dolorim.inference.predict_worker import PredictSetup, video_predictor
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import PAIN
from dolorim.labels.label_files import read_labels, write_labels
from dolorim.simulate.study import StudyPlan, simulate_study
from dolorim.studio import jobs as jobs_module
from dolorim.studio.home import StudioHome
from dolorim.studio.jobs import Jobs
from dolorim.studio.learning import learn_commands, progress_text, rounds_of
from dolorim.video.cache import load, state_of
from dolorim.video.seen_frames import EntryMeta, SeenFrames, keep_seen

ANIMALS = 6
CLIP_S = 20
LABELED_S = 120  # of each recording, by the rater
PATIENCE_S = 600


def repeated(source: Path, target: Path, times: int) -> None:
    """The same packets several times, one after the other."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        [before] = old.streams.video
        after = new.add_stream_from_template(before)
        packets = [p for p in old.demux(before) if p.pts is not None]
        step = max(p.pts for p in packets) - min(p.pts for p in packets)
        step += round(1 / before.average_rate / before.time_base)
        stored = [(bytes(p), p.pts, p.dts, p.is_keyframe, p.duration) for p in packets]
        for i in range(times):
            for data, pts, dts, key, duration in stored:
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.duration = pts + i * step, dts + i * step, duration
                packet.time_base, packet.is_keyframe, packet.stream = before.time_base, key, after
                new.mux(packet)


def make_study(folder: Path, times: int) -> StudioHome:
    """The study with its labels in the labeling room, and a first run with predictions."""
    plan = StudyPlan(animals=ANIMALS, trials=1, trial_length=CLIP_S * 30, size_px=192, seed=4)
    clips = simulate_study(folder / "clips", plan)
    home = StudioHome(folder / "study")
    (home.folder / "Videos").mkdir(parents=True)
    for clip in (clips / "Videos").iterdir():
        repeated(clip, home.folder / "Videos" / clip.name, times)
    table = (clips / "recordings.csv").read_text("utf-8")
    (home.folder / "recordings.csv").write_text(table, "utf-8")
    label(home, clips, times, 0)
    return home


def label(home: StudioHome, clips: Path, times: int, turn: int) -> None:
    """Label two minutes of each recording, others in each round."""
    for clip in (clips / "Videos").iterdir():
        [file] = (clips / "Annotations").glob(f"*{clip.stem}*.csv")
        once = np.full(CLIP_S * 30, -1, np.int16)
        rows = read_labels(file, PAIN)
        once[-len(rows.labels) :] = rows.labels
        labels = np.tile(once, times)
        labels[: turn * 300] = -1
        labels[turn * 300 + LABELED_S * 30 :] = -1
        write_labels(home.labels / "ann" / f"{clip.stem}.csv", labels, PAIN)


def store_features(home: StudioHome, clips: Path, run: RunFolder, times: int) -> None:
    """Features of each clip, repeated, in the entries of the long videos."""
    api.predict(run.path, clips / "Videos", out=clips / "predictions")
    predictor = video_predictor(PredictSetup(run, clips))
    assert predictor.store is not None
    for recording in find_inputs(run, [clips / "Videos"]):
        video = home.folder / "Videos" / recording.file.name
        data = run.read_body_lengths().for_crop(run.read_config().data, video)
        entry = load(recording.file, data, pictures=False)
        assert entry is not None
        key = predictor.store.key_of(None, None)
        features = np.load(entry.folder / f"features-{key}.npy")
        state = state_of(video, data, None)
        parts = [np.concatenate([a] * times) for a in (features, entry.centers, entry.angles_rad)]
        n_frames = len(parts[0])
        meta = EntryMeta(
            state, entry.side_px, None, entry.sizes, entry.seen_length_px, entry.several
        )
        keep_seen(video, data, None, SeenFrames(key, state, *parts), np.arange(n_frames) / 30, meta)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    times = round(given.minutes * 60 / ANIMALS / CLIP_S)
    home, clips = StudioHome(given.work / "study"), given.work / "clips"
    if not home.folder.exists():
        make_study(given.work, times)
        data = in_study_folder(clips, dataclasses.replace(home.data(), videos=None))
        first: dict[str, Any] = {
            "head": "linear",
            "cache": home.cache,
            "recordings": data.recordings,
        }
        run = api.train(
            "video", run=given.work / "first", videos=data.videos,
            annotations=data.annotations, **first,
        )  # fmt: skip
        store_features(home, clips, RunFolder(run.path), times)
    jobs, report = Jobs(home.jobs), []
    for turn in range(given.rounds):
        label(home, clips, times, turn)
        spent = _children_s()
        started = time.perf_counter()
        job = jobs.add(f"round {turn}", learn_commands(home, "ann", home.next_run()))
        while not jobs.get(job.id).has_ended and time.perf_counter() - started < PATIENCE_S:
            time.sleep(0.2)
        wall_s = time.perf_counter() - started
        for runner in runners():  # their time counts once they have ended
            runner.wait()
        rounds = rounds_of(home)
        report.append(
            {
                "state": jobs.get(job.id).state,
                "wall_s": round(wall_s, 1),
                "cpu_s": round(_children_s() - spent, 1),
                "load": round(os.getloadavg()[0], 1),
                "score": progress_text(rounds),
            }
        )
        print(report[-1], flush=True)
    about = {**machine(), "minutes": given.minutes, "recordings": ANIMALS, "rounds": report}
    path = RESULTS / "learn_round_trip.json"
    path.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def runners() -> list[subprocess.Popen[bytes]]:
    return jobs_module._children


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
