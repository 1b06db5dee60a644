"""Work that is spread over several workers: the same bytes, each task once, whoever dies on the
way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from dolorim.cli import main
from dolorim.config import Config, DataConfig, ModelConfig, TrainConfig
from dolorim.core.errors import UserError
from dolorim.core.workers import Failed
from dolorim.dataset.splits import Split
from dolorim.inference import predict_batch as predict
from dolorim.inference.inputs import find_inputs
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.predict_worker import PredictSetup, PredictWorker
from dolorim.inference.raw_prediction import PredictInput, VideoPart, joined
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.workers import spread
from dolorim.labels.ethogram import PAIN
from dolorim.models.build import build_recognizer
from dolorim.video import crop_stream
from dolorim.video.random_access import PacketList, list_packets
from videos import numbered, write_film
from worker_stub import worker

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX systems")


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_answered_once_and_a_failure_is_tried_again(
    tmp_path: Path, workers: int
) -> None:
    answered = list(
        spread(partial(worker, tmp_path), deque(["a", "bad", "slip", "bug", "b"]), workers)
    )
    assert sorted(task for task, _ in answered) == ["a", "b", "bad", "bug", "slip"]
    answers = dict(answered)
    bug = answers.pop("bug")
    assert isinstance(bug, Failed)
    assert bug.reason == "unexpected ZeroDivisionError: of an empty video"
    assert "worker_stub.py" in bug.trace
    assert answers == {"a": "A", "b": "B", "slip": "SLIP", "bad": Failed("bad: is bad")}
    assert len((tmp_path / "bad").read_text()) == 2


@posix
def test_a_worker_that_dies_takes_no_task_along_and_one_that_always_dies_is_reported(
    tmp_path: Path,
) -> None:
    tasks = ["mortal", "a", "fatal", "b", "c"]
    answered = list(spread(partial(worker, tmp_path), deque(tasks), 2))
    answers = dict(answered)
    assert len(answered) == len(answers) == 5
    assert [answers[t] for t in ("mortal", "a", "b", "c")] == ["MORTAL", "A", "B", "C"]
    assert isinstance(answers["fatal"], Failed)
    assert "killed (SIGKILL)" in answers["fatal"].reason


@pytest.mark.parametrize("workers", [1, 2])
def test_what_no_worker_can_be_made_of_stops_everything(tmp_path: Path, workers: int) -> None:
    (tmp_path / "nobody").touch()
    with pytest.raises(UserError, match="there is no network"):
        list(spread(partial(worker, tmp_path), deque(["a", "b"]), workers))


def random_run(folder: Path, **model: object) -> RunFolder:
    torch.manual_seed(0)
    config = Config(
        data=DataConfig(image_size=32),
        model=ModelConfig(clip_length=8, **model),  # type: ignore[arg-type]
        train=TrainConfig(accelerator="cpu", precision="32"),
    )  # fmt: skip
    run = RunFolder(folder)
    run.start(config, PAIN, Split(train=("a",)))
    run.save_model(build_recognizer(config.model, len(PAIN)))
    run.write_json("decoder.json", {"decoder": "argmax"})
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return random_run(tmp_path_factory.mktemp("random") / "run")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


class Mortal(PredictWorker):
    """A worker that is killed with its files half written, once."""

    def __call__(self, task: PredictInput | VideoPart) -> object:
        out = self.setup.out
        if (
            isinstance(task, PredictInput)
            and "_003_" in task.stem
            and not (out.parent / "killed").exists()
        ):
            (out.parent / "killed").touch()
            out.mkdir(parents=True, exist_ok=True)
            (out / f".{task.stem}.predictions.csv.{os.getpid()}.part").write_text(
                "frame,time_s\n0,"
            )
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(task)


@posix
def test_two_processes_write_the_bytes_that_one_writes_even_if_one_of_them_is_killed(
    run: RunFolder, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = find_inputs(run, [study / "Videos"])
    one = predict_videos(run, jobs, tmp_path / "one")
    assert len(one.done) == 5
    monkeypatch.setattr(predict, "PredictWorker", Mortal)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    two = predict_videos(run, jobs, tmp_path / "two", PredictOptions(jobs=2))
    assert (tmp_path / "killed").exists()
    assert sorted(two.done) == sorted(one.done)
    assert two.failed == []
    written = {n: b for n, b in contents(tmp_path / "two").items() if not n.startswith(".")}
    assert written == contents(tmp_path / "one")


def long_film(folder: Path, frames: int = 2600) -> Path:
    pictures = numbered(250, 32, 64)
    return write_film(
        folder / "long.mp4",
        [pictures[i % 250] for i in range(frames)],
        options={"preset": "ultrafast", "g": "120"},
    )


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return long_film(tmp_path_factory.mktemp("film"))


@pytest.mark.parametrize("temporal", ["none", "tcn"])
def test_the_parts_of_a_video_give_the_very_numbers_of_the_whole(
    film: Path, tmp_path: Path, temporal: str
) -> None:
    run = random_run(tmp_path / "run", temporal=temporal, tcn_layers=7, width=16, hidden_dim=16)
    predictor, job = (
        PredictWorker(PredictSetup(run, tmp_path)).video_predictor,
        PredictInput(film, "long"),
    )
    whole = predictor.predict_video(job)
    parts = [
        (p, predictor.predict_part(p))
        for p in (VideoPart(job, 0, 1024), VideoPart(job, 1024, 2048), VideoPart(job, 2048, None))
    ]
    together = joined(parts)
    assert together is not None
    assert len(whole.time_s) == 2600
    np.testing.assert_array_equal(together.probabilities, whole.probabilities)
    np.testing.assert_array_equal(together.time_s, whole.time_s)
    lacking = [*parts[:1], (parts[1][0], None), parts[2]]
    assert joined(lacking) is None


def test_a_long_video_is_divided_among_workers_and_nobody_can_tell(
    run: RunFolder, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    jobs = [PredictInput(film, "long")]
    predict_videos(run, jobs, tmp_path / "one")
    assert len(predict._divide(PredictSetup(run, tmp_path), jobs, 1)[jobs[0]].parts) == 2
    outcome = predict_videos(run, jobs, tmp_path / "two", PredictOptions(jobs=2), part_units=1)
    assert (outcome.done, outcome.frames) == ([film], 2600)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    again = predict_videos(
        run, jobs, tmp_path / "two", PredictOptions(jobs=2, overwrite=False), part_units=1
    )
    assert again.skipped == [film]


def test_a_video_whose_frames_cannot_be_told_from_its_packets_is_not_divided(
    run: RunFolder, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, job = (
        PredictWorker(PredictSetup(run, tmp_path)).video_predictor,
        PredictInput(film, "long"),
    )

    def without_one(path: Path) -> PacketList:
        whole = list_packets(path)
        assert whole is not None
        return PacketList(
            np.delete(whole.pts, 1500), np.delete(whole.time_s, 1500), whole.keys, whole.bytes
        )

    for wrong in (lambda path: None, without_one):
        monkeypatch.setattr(crop_stream, "packets_of", wrong)
        assert predictor.predict_part(VideoPart(job, 1024, 2048)) is None


def test_a_damaged_video_says_the_same_in_parts(run: RunFolder, film: Path, tmp_path: Path) -> None:
    raw = bytearray(film.read_bytes())
    raw[len(raw) * 6 // 10 : len(raw) * 6 // 10 + 3000] = bytes(3000)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(raw)
    predictor, job = (
        PredictWorker(PredictSetup(run, tmp_path)).video_predictor,
        PredictInput(broken, "broken"),
    )
    whole = predictor.predict_video(job)
    together = joined(
        [
            (p, predictor.predict_part(p))
            for p in (VideoPart(job, 0, 1024), VideoPart(job, 1024, None))
        ]
    )
    if together is None:  # that is allowed: then it is looked at as a whole
        return
    assert together.damage == whole.damage
    np.testing.assert_array_equal(together.probabilities, whole.probabilities)


def test_without_ray_it_is_said_how_to_get_it(
    run: RunFolder, study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dolorim.inference.workers.find_spec", lambda name: None)
    assert main(["predict", str(run.path), str(study / "Videos"), "--engine", "ray"]) == 2
    assert "pip install 'dolorim[ray]'" in capsys.readouterr().err


def test_the_profile_tells_what_the_time_went_to(
    run: RunFolder, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = sorted((study / "Videos").iterdir())[0]
    assert main(["predict", str(run.path), str(video), "--out", str(tmp_path), "--profile"]) == 0
    said = capsys.readouterr().err
    assert all(
        word in said for word in ("decode", "localize and crop", "network", "writing", "frames/s")
    )


_ON_TWO_NODES = """
import sys
from collections import deque
from functools import partial
from pathlib import Path
from ray.cluster_utils import Cluster
from dolorim.inference.workers import how_many, spread
from worker_stub import worker

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
assert how_many("ray", 0, cluster.address) == 2
tasks = deque(["mortal", "a", "bad", "b"])
answers = dict(spread(partial(worker, Path(sys.argv[1])), tasks, 2, "ray", cluster.address))
assert [answers[task] for task in ("mortal", "a", "b")] == ["MORTAL", "A", "B"], answers
assert answers["bad"].reason == "bad: is bad", answers
import ray
ray.shutdown()
cluster.shutdown()
"""


@posix
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_on_a_ray_cluster_of_two_nodes_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    """What Ray writes is compared byte for byte by `benchmarks.ray_cluster`."""
    paths = [*(p for p in sys.path if p), str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-c", _ON_TWO_NODES, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
