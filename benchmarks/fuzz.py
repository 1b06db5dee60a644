"""Damaged files, thousands of them, given to everything that reads files.

None may crash, hang, fill the memory, or show a traceback: a file is read, or refused by a
`UserError` of one line.

python -m benchmarks.fuzz [--cases 12000] [--only pose_h5] [--seed 0]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.mutations import mutate

from benchmarks.common import RESULTS, machine, random_run, real_data
from dolorim.config import DataConfig, read_config
from dolorim.core.errors import UserError
from dolorim.labels.ethogram import PAIN
from dolorim.labels.ethogram_file import read_ethogram, write_ethogram

MEMORY = 2 * 2**30
LIMIT_S = 10.0
SHARE = {"video": 0.5, "weights": 0.5}  # of the cases of other kinds: these take longest
LINES = 150  # of long tables: damage at line 100,000 is no other damage


@dataclass
class Tally:
    cases: int = 0
    read: int = 0
    refused: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, int] = field(default_factory=dict)
    slowest_s: float = 0.0
    peak_mb: int = 0


def make_seeds(folder: Path) -> None:
    """Sound files of each kind, real ones where there are any, in a folder of the kind's name."""

    def keep(kind: str, path: Path, name: str = "", lines: int | None = LINES) -> None:
        target = folder / kind / (name or path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        target.write_bytes(data if lines is None else b"\n".join(data.split(b"\n")[:lines]))

    from dolorim.labels.export import export_predictions
    from dolorim.labels.prediction_files import write_predictions
    from dolorim.labels.predictions import Predictions

    pose, boris = real_data("formats") / "pose", real_data("formats") / "boris"
    for path in [
        *(real_data("cfa_sample") / "Annotations").glob("*.csv"),
        *real_data("bottomview").glob("Ann*/*rear*"),
    ]:
        keep("labels", path)
    for path in (*pose.glob("*.csv"), *(real_data("cfa_sample") / "DLC").glob("*.csv")):
        keep("pose_csv", path)
    for path in pose.glob("*.h5"):
        if path.stat().st_size < 2**21:
            keep("pose_h5", path, lines=None)
    for path in boris.iterdir():
        keep("boris", path)
    keep("caltech", next((real_data("social_rat") / "annotations").glob("*.txt")))
    import numpy as np

    labels, sure = np.repeat(np.arange(6, dtype=np.int16), 20), np.full((120, 6), 1 / 6)
    predictions = Predictions(
        "v", PAIN.classes, labels, sure, np.arange(120) / 30, {"run": "r", "fingerprint": "f"}
    )
    for to in ("deepethogram", "simba", "bouts", "boris", "nwb"):
        with contextlib.suppress(UserError):  # without pynwb there is nothing to write NWB with
            keep(
                "nwb" if to == "nwb" else "other_labels",
                export_predictions(folder / "out", predictions, to),
                lines=None,
            )
    write_predictions(folder / "out", predictions)
    keep("predictions", folder / "out" / "v.predictions.csv")
    keep("predictions_meta", folder / "out" / "v.meta.json")
    write_ethogram(folder / "out" / "ethogram.toml", PAIN)
    keep("ethogram_toml", folder / "out" / "ethogram.toml")
    keep("ethogram_csv", real_data("bottomview") / "classes.csv")
    keep("recordings", real_data("bottomview") / "recordings.csv")
    run = random_run(folder / "run", "light")
    run.write_json(
        "metrics.json", {"val": {"frames": 3, "confusion": [[1, 0], [0, 2]], "animals": ["a"]}}
    )
    for kind, name in (
        ("config", "config.toml"), ("splits", "splits.json"), ("metrics", "metrics.json"),
        ("decoder", "decoder.json"), ("run_ethogram", "ethogram.toml"),
        ("weights", "model.safetensors"),
    ):  # fmt: skip
        keep(kind, run.path / name, lines=None)
    videos = [
        p for p in real_data("odd_videos").iterdir() if p.is_file() and p.stat().st_size < 150_000
    ]
    videos += sorted(real_data("bottomview").glob("Videos/*.mp4"), key=lambda p: p.stat().st_size)[
        :2
    ]
    for path in videos:
        if path.suffix.casefold() in (".mp4", ".avi", ".mov", ".mkv", ".mpg", ".webm"):
            keep("video", path, lines=None)


def readers(folder: Path) -> dict[str, Callable[[Path], Any]]:
    """What reads each kind of file, as a user comes to it."""
    import numpy as np

    from dolorim.checks.inspect import look_at
    from dolorim.dataset.study import open_study
    from dolorim.inference.run_folder import RunFolder
    from dolorim.labels.annotations import read_annotations, sniff
    from dolorim.labels.ethogram import Ethogram, RawClass
    from dolorim.labels.events import Conflicts, Events
    from dolorim.labels.prediction_files import read_predictions
    from dolorim.pose.keypoints import match_keypoints
    from dolorim.pose.read import read_poses
    from dolorim.video import cache

    def labels(path: Path) -> None:
        ethogram = PAIN if sniff(path) not in ("boris", "caltech") else of_others
        refused: list[UserError] = []
        for mode, stream in (
            ("warn", None),
            ("error", None),
            ("warn", "subject1"),
            ("error", "S1"),
        ):
            config, conflicts = DataConfig(on_conflict=mode, label_stream=stream), Conflicts(mode)
            try:
                for file in read_annotations(path, ethogram, config, conflicts).values():
                    if isinstance(file, Events):
                        file.on_frames(20_000, np.arange(20_000) / 30, -1, conflicts)
                    elif len(file.frames):
                        file.counted_from_zero(360, 15)
            except UserError as error:
                refused.append(error)
        if len(refused) == 4:
            raise refused[0]

    behaviors = (
        "s",
        "p",
        "interact",
        "mount",
        "base",
        "social",
        "nonsocial",
        "aggression",
        "lateralthreat",
        "keepdown",
    )
    behaviors += ("freezing", "chase", "uprightposture", "bite", "clinch")
    of_others = Ethogram(tuple(RawClass(i, n, n) for i, n in enumerate(behaviors)), behaviors)

    def poses(path: Path) -> None:
        for pose in read_poses(path):
            with contextlib.suppress(UserError):
                match_keypoints(pose.names)

    def in_run(name: str) -> Callable[[Path], None]:
        def read(path: Path) -> None:
            run = RunFolder(path.parent / "run")
            if not run.path.exists():
                shutil.copytree(folder / "run", run.path)
            shutil.copy(path, run.path / name)
            try:
                (
                    run.read_config(),
                    run.read_split(),
                    run.read_ethogram(),
                    run.read_decoder(),
                    run.read_json("metrics.json"),
                )
                if name in ("config.toml", "model.safetensors", "ethogram.toml"):
                    run.load_model()
            finally:
                shutil.copy(folder / "run" / name, run.path / name)

        return read

    def recordings(path: Path) -> None:
        data = real_data("bottomview")
        open_study(DataConfig(videos=data / "Videos", recordings=path))

    def meta(path: Path) -> None:
        table = path.with_name("v.predictions.csv")
        shutil.copy(folder / "predictions" / "v.predictions.csv", table)
        shutil.copy(path, path.with_name("v.meta.json"))
        read_predictions(table)

    def video(path: Path) -> None:
        look_at(path, DataConfig())
        cache.build(path, DataConfig(cache=path.parent / "cache", image_size=32))

    return {
        "labels": labels, "boris": labels, "caltech": labels, "other_labels": labels, "nwb": labels,
        "pose_csv": poses,
        "pose_h5": poses, "predictions": read_predictions, "predictions_meta": meta,
        "ethogram_toml": read_ethogram,
        "ethogram_csv": read_ethogram, "recordings": recordings, "config": in_run("config.toml"),
        "splits": in_run("splits.json"), "metrics": in_run("metrics.json"),
        "decoder": in_run("decoder.json"),
        "run_ethogram": in_run("ethogram.toml"), "weights": in_run("model.safetensors"),
        "video": video,
    }  # fmt: skip


def work(folder: Path, kind: str, first: int, last: int) -> None:
    """One process: cases `[first, last)` of a kind, each announced before and judged after, a line
    of JSON each."""
    import faulthandler
    import warnings

    faulthandler.enable()
    warnings.simplefilter("ignore")
    read = readers(folder)[kind]
    seeds = sorted((folder / kind).iterdir())
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        read_config(folder / "run" / "config.toml")  # loads what is loaded once
        with contextlib.suppress(UserError):
            read(_case(scratch, seeds[first % len(seeds)], None))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        for seed in range(first, last):
            path = _case(scratch, seeds[seed % len(seeds)], seed)
            print(json.dumps({"begun": seed}), flush=True)
            began = time.perf_counter()
            outcome = "read"
            try:
                read(path)
            except UserError as error:
                outcome = "refused" if "\n" not in str(error) else "FAIL an error of several lines"
            except BaseException as error:  # noqa: BLE001 - that is what is looked for
                at = traceback.extract_tb(error.__traceback__)
                ours = next((f for f in reversed(at) if "dolorim" in f.filename), at[-1])
                place = f"{Path(ours.filename).name}:{ours.lineno}"
                outcome = f"FAIL {type(error).__name__} at {place} {str(error)[:80]}"
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            took = time.perf_counter() - began
            print(
                json.dumps({"done": seed, "outcome": outcome, "s": took, "peak_mb": peak // 1024}),
                flush=True,
            )
            path.unlink(missing_ok=True)


def _case(scratch: Path, sound: Path, seed: int | None) -> Path:
    path = scratch / f"case{sound.suffix}"
    data = sound.read_bytes()
    path.write_bytes(data if seed is None else mutate(data, seed))
    return path


def run_kind(folder: Path, kind: str, first: int, n: int) -> Tally:
    """All cases of a kind, in as many processes as it takes: behind one that dies or hangs, the
    next goes on."""
    tally, seed, last = Tally(), first, first + n
    while seed < last:
        command = [
            sys.executable,
            "-m",
            "benchmarks.fuzz",
            "--work",
            str(folder),
            kind,
            str(seed),
            str(min(last, seed + 500)),
        ]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True).start()
        running: int | None = None
        while True:
            try:
                line = lines.get(timeout=LIMIT_S if running is not None else 120)
            except queue.Empty:
                process.kill()
                _failed(tally, "FAIL hangs for 10 s", running if running is not None else seed)
                break
            if line is None:
                process.wait()
                if running is not None:
                    _failed(tally, f"FAIL the process dies ({process.returncode})", running)
                break
            message = json.loads(line)
            if "begun" in message:
                running = message["begun"]
                continue
            seed, running = message["done"] + 1, None
            tally.cases += 1
            tally.slowest_s = max(tally.slowest_s, message["s"])
            tally.peak_mb = max(tally.peak_mb, message["peak_mb"])
            if message["outcome"] in ("read", "refused"):
                setattr(tally, message["outcome"], getattr(tally, message["outcome"]) + 1)
            else:
                _failed(tally, message["outcome"], message["done"], counted=True)
        if running is not None:
            seed = running + 1
        elif process.returncode:
            said = process.stderr.read() if process.stderr else ""
            sys.exit(f"{kind}: a worker could not start\n{said}")
    return tally


def _failed(tally: Tally, what: str, seed: int, counted: bool = False) -> None:
    tally.cases += not counted
    tally.failures[what] += 1
    tally.examples.setdefault(what, seed)


def _pump(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def table(tallies: dict[str, Tally], command: str, began: float) -> str:
    where = machine()
    head = "| kind | cases | read | refused in one line | failures | slowest, s | peak memory, MB |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    for kind, t in tallies.items():
        bad = sum(t.failures.values())
        rows.append(
            f"| {kind} | {t.cases} | {t.read} | {t.refused} | {bad} | {t.slowest_s:.2f} | "
            f"{t.peak_mb} |"
        )
    total = [
        sum(v)
        for v in zip(
            *((t.cases, t.read, t.refused, t.failures.total()) for t in tallies.values()),
            strict=True,
        )
    ]
    slowest_s = max(t.slowest_s for t in tallies.values())
    rows.append(f"| **all** | {' | '.join(map(str, total))} | {slowest_s:.2f} | "
                f"{max(t.peak_mb for t in tallies.values())} |")  # fmt: skip
    left = [f"- {k}: {w} ({c} times, first with seed {t.examples[w]})" for k, t in tallies.items()
            for w, c in t.failures.items()]  # fmt: skip
    hardware = f"{where['date']}, {where['cpu']}, {where['versions']}"
    about = f"`{command}`, {hardware}, {(time.time() - began) / 60:.0f} minutes."
    memory = f"{MEMORY / 2**30:.0f} GB of memory"
    limits = f"Each case has {LIMIT_S:.0f} s and its process {memory}, the program included."
    return "\n".join(
        [
            "# Damaged files",
            "",
            about,
            limits,
            "",
            *rows,
            "",
            *(left or ["No failure is left."]),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=12_000)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", nargs=4, metavar=("FOLDER", "KIND", "FIRST", "LAST"))
    given = parser.parse_args()
    if given.work:
        folder, kind, first, last = given.work
        work(Path(folder), kind, int(first), int(last))
        return
    began = time.time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_seeds(folder)
        kinds = [k for k in readers(folder) if (folder / k).is_dir() and k.startswith(given.only)]
        weights = {k: SHARE.get(k, 1.0) for k in kinds}
        tallies = {}
        for kind in kinds:
            n = round(given.cases * weights[kind] / sum(weights.values())) + 1
            tallies[kind] = run_kind(folder, kind, given.seed, n)
            t = tallies[kind]
            print(
                kind,
                t.cases,
                "cases,",
                t.read,
                "read,",
                t.refused,
                "refused,",
                dict(t.failures),
                flush=True,
            )
    command = f"python -m benchmarks.fuzz --cases {given.cases} --seed {given.seed}"
    text = table(tallies, command, began)
    if not given.only:
        (RESULTS / "fuzz.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
