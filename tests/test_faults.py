"""Faults, each brought about on purpose: what was finished stays, nothing half stands under a final
name, one line."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from dolorim.cli import main
from dolorim.config import DataConfig, config_toml
from dolorim.core.errors import UserError
from dolorim.files import tables
from dolorim.files.naming import find_videos
from dolorim.inference import predict_video as label
from dolorim.inference.inputs import find_inputs
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.predict_video import VideoPredictor
from dolorim.inference.raw_prediction import PredictInput
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.prediction_files import read_predictions, write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.video import cache
from test_batch import random_run
from videos import numbered, write_film


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return random_run(tmp_path_factory.mktemp("random") / "run")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "films" / "a.mp4", numbered(60), options={"preset": "ultrafast"})


def visible(folder: Path) -> list[str]:
    return (
        sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        if folder.exists()
        else []
    )


posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and names as on POSIX systems")

_KILLED = """
import os, signal, sys
from dolorim.{module} import {name} as place
before = place.{function}
def killed(*arguments, **more):
    if {when}:
        os.kill(os.getpid(), signal.SIGKILL)
    return before(*arguments, **more)
place.{function} = killed
from dolorim.cli import main
sys.exit(main(sys.argv[1:]))
"""


def killed(module: str, name: str, function: str, when: str, *arguments: object) -> None:
    """Run a command in a process that is killed (-9) when it comes to a function."""
    code = _KILLED.format(module=module, name=name, function=function, when=when)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr


@posix
def test_prediction_that_is_killed_between_its_files_goes_on_and_leaves_no_half_one(
    run: RunFolder, film: Path, tmp_path: Path
) -> None:
    other, out = write_film(film.with_name("b.mp4"), numbered(40)), tmp_path / "out"
    second = "'b.bouts.csv' in str(arguments[0])"
    finished = [f"a.{kind}" for kind in ("bouts.csv", "meta.json", "predictions.csv")]
    killed("files", "tables", "write_text", second, "predict", run.path, film.parent, "--out", out)
    assert visible(out) == [*finished, "b.predictions.csv"]
    outcome = predict_videos(
        run,
        [PredictInput(film, "a"), PredictInput(other, "b")],
        out,
        PredictOptions(overwrite=False),
    )
    assert (outcome.skipped, outcome.done) == ([film], [other])
    assert len(read_predictions(out / "b.predictions.csv").labels) == 40


@posix
def test_extraction_that_is_killed_in_the_middle_leaves_no_entry_and_is_done_again(
    film: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    killed(
        "video",
        "cache",
        "np.save",
        "True",
        "extract",
        film.parent,
        "--cache",
        folder,
        "--image_size",
        16,
        "--crop",
        "none",
    )
    (left,) = folder.glob("[!.]*")
    assert left.name.endswith(".part")
    config = DataConfig(cache=folder, image_size=16, crop="none")
    assert cache.load(film, config) is None
    assert cache.build(film, config).n_frames == 60
    assert len(list(folder.glob("[!.]*"))) == 1  # what was left is gone


def test_two_processes_that_need_the_same_entry_make_it_once(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, write, written = (
        DataConfig(cache=tmp_path / "cache", image_size=16, crop="none"),
        cache._write,
        [],
    )

    def slowly(*arguments: object) -> None:
        written.append(1)
        time.sleep(0.3)
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "_write", slowly)
    with ThreadPoolExecutor(
        2
    ) as pool:  # a lock on a file holds between threads as it does between processes
        entries = list(pool.map(lambda _: cache.build(film, config), range(2)))
    assert len(written) == 1
    assert [e.n_frames for e in entries] == [60, 60]


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_is_full_fails_a_video_in_one_line_and_keeps_what_was_there(
    run: RunFolder, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict_videos(run, [PredictInput(film, "a")], tmp_path)
    before = (tmp_path / "a.predictions.csv").read_bytes()
    monkeypatch.setattr(tables.Path, "write_text", full)
    outcome = predict_videos(run, [PredictInput(film, "a")], tmp_path)
    assert "cannot be written (No space left on device); free some space" in outcome.failed[0][1]
    assert (tmp_path / "a.predictions.csv").read_bytes() == before
    assert not list(tmp_path.glob(".*.part"))


def test_a_full_disk_in_training_keeps_the_checkpoint_before(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from lightning.pytorch.strategies import Strategy

    config = RunFolder(trained).read_config()
    (tmp_path / "asked.toml").write_text(config_toml(config))
    save, saved = Strategy.save_checkpoint, []

    def once(self: Strategy, *arguments: object, **more: object) -> None:
        saved.append(1)
        if len(saved) > 1:
            full()
        save(self, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Strategy, "save_checkpoint", once)
    command = [
        "train",
        "video",
        "--config",
        str(tmp_path / "asked.toml"),
        "--run",
        str(tmp_path / "run"),
        "--quiet",
    ]
    assert main(command) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "No space left on device" in said[0]
    monkeypatch.undo()
    assert main(command) == 0
    weights = (
        RunFolder(tmp_path / "run").weights.read_bytes(),
        RunFolder(trained).weights.read_bytes(),
    )
    assert len(weights[0]) == len(weights[1])


def test_a_video_that_changes_while_it_is_read_is_not_written_down(
    run: RunFolder, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict_video = VideoPredictor.predict_video

    def growing(self: VideoPredictor, job: PredictInput) -> label.RawPrediction:
        predictions = predict_video(self, job)
        with open(film, "ab") as file:
            file.write(b"more")
        return predictions

    monkeypatch.setattr(VideoPredictor, "predict_video", growing)
    outcome = predict_videos(run, [PredictInput(film, "a")], tmp_path / "out")
    assert "changed while it was read" in outcome.failed[0][1]
    assert visible(tmp_path / "out") == []


def test_a_video_that_disappears_while_it_is_read_fails_alone(
    run: RunFolder, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, predict_video = (
        write_film(film.with_name("b.mp4"), numbered(40)),
        VideoPredictor.predict_video,
    )

    def gone(self: VideoPredictor, job: PredictInput) -> label.RawPrediction:
        predictions = predict_video(self, job)
        film.unlink(missing_ok=True)
        return predictions

    monkeypatch.setattr(VideoPredictor, "predict_video", gone)
    outcome = predict_videos(
        run, [PredictInput(film, "a"), PredictInput(other, "b")], tmp_path / "out"
    )
    assert [file for file, _ in outcome.failed] == [film]
    assert outcome.done == [other]


def test_ctrl_c_in_a_batch_keeps_what_was_finished(
    run: RunFolder, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, predict_video = (
        write_film(film.with_name("b.mp4"), numbered(40)),
        VideoPredictor.predict_video,
    )

    def stopped(self: VideoPredictor, job: PredictInput) -> label.RawPrediction:
        if job.stem == "b":
            raise KeyboardInterrupt
        return predict_video(self, job)

    monkeypatch.setattr(VideoPredictor, "predict_video", stopped)
    command = [
        "predict",
        str(run.path),
        str(film.parent),
        "--out",
        str(tmp_path / "out"),
        "--no_overwrite",
    ]
    assert main(command) == 130
    assert visible(tmp_path / "out") == ["a.bouts.csv", "a.meta.json", "a.predictions.csv"]
    monkeypatch.undo()
    assert main(command) == 0
    assert other.exists()
    assert len(visible(tmp_path / "out")) == 2 * 3 + 1  # and to_check.csv


@pytest.fixture
def unfinished(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[Path, Callable[[], str]]:
    """The last checkpoint of a run that is not finished, and what going on with it is refused
    with.
    """
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    (copy / "metrics.json").unlink()

    def refused() -> str:
        assert (
            main(
                [
                    "train",
                    "video",
                    "--config",
                    str(copy / "config.toml"),
                    "--run",
                    str(copy),
                    "--quiet",
                ]
            )
            == 2
        )
        (line,) = [
            line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")
        ]
        return line

    return copy / "checkpoints" / "last.ckpt", refused


def test_a_checkpoint_that_is_no_longer_one_is_named(
    unfinished: tuple[Path, Callable[[], str]],
) -> None:
    path, refused = unfinished
    path.write_bytes(b"PK\x03\x04 and then nothing of the kind")
    assert "last.ckpt: not a checkpoint that can be read" in refused()


def test_a_checkpoint_of_another_network_is_named_by_what_does_not_fit(
    unfinished: tuple[Path, Callable[[], str]],
) -> None:
    path, refused = unfinished
    whole = torch.load(path, weights_only=True)
    name, tensor = next(iter(whole["state_dict"].items()))
    others = {k: v for k, v in whole["state_dict"].items() if k != name}
    for change, said in (
        ({"renamed": tensor}, f"last.ckpt: lacks {name}, which"),
        (
            {name: torch.zeros(7)},
            f"last.ckpt: expected {name} of shape {tuple(tensor.shape)}, found (7,)",
        ),
    ):
        torch.save({**whole, "state_dict": {**others, **change}}, path)
        assert said in (line := refused())
        assert "delete it, and the run starts over" in line


def test_reading_needs_no_permission_to_write(run: RunFolder, film: Path, tmp_path: Path) -> None:
    for folder in (film.parent, run.path):
        before = {p: p.stat().st_mtime_ns for p in [folder, *folder.rglob("*")]}
        assert predict_videos(run, [PredictInput(film, "a")], tmp_path / "out").failed == []
        assert {p: p.stat().st_mtime_ns for p in [folder, *folder.rglob("*")]} == before


@posix
@pytest.mark.parametrize(
    "name", ["with space 1", "Mäuse öß", "x" * 200, "-dash", "a'b\"c", "日本語", "percent%20"]
)
def test_names_of_all_kinds_are_read_and_written(
    run: RunFolder, film: Path, tmp_path: Path, name: str
) -> None:
    video = tmp_path / f"über {name[:3]}" / f"{name}.mp4"
    video.parent.mkdir()
    shutil.copy(film, video)
    outcome = predict_videos(run, find_inputs(run, [video.parent]), tmp_path / "o ü t")
    assert outcome.done == [video]
    assert len(read_predictions(tmp_path / "o ü t" / f"{name}.predictions.csv").labels) == 60


@posix
def test_links_that_go_round_in_a_circle_are_not_followed(film: Path) -> None:
    (film.parent / "round").symlink_to(film.parent, target_is_directory=True)
    (film.parent / "nowhere.mp4").symlink_to(film.parent / "gone.mp4")
    (film.parent / "self.mp4").symlink_to(film.parent / "self.mp4")
    videos = find_videos([film.parent])
    assert film in videos
    assert len(videos) == 3  # two of them cannot be opened, and whoever opens them says so


def test_ten_thousand_videos_are_listed_in_a_moment_and_none_is_said(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none").mkdir()
    assert main(["predict", str(run.path), str(tmp_path / "none")]) == 2
    assert "no video in this folder" in capsys.readouterr().err
    many = tmp_path / "many"
    many.mkdir()
    for i in range(10_000):
        (many / f"v{i:05d}.mp4").touch()
    started = time.process_time()
    assert len(find_inputs(run, [many])) == 10_000
    assert time.process_time() - started < 2


def test_what_a_frame_without_evidence_says_is_nothing(tmp_path: Path) -> None:
    probabilities = np.full((3, 2), np.nan, np.float32)
    predictions = Predictions(
        "nan", ("a", "b"), np.full(3, -1, np.int16), probabilities, np.arange(3.0)
    )
    write_predictions(tmp_path, predictions)
    assert (read_predictions(tmp_path / "nan.predictions.csv").labels == -1).all()


@posix
def test_a_reader_that_has_had_enough_is_no_error(film: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = (
        f'"{sys.executable}" -m dolorim inspect "{film}" --json | true; echo ${{PIPESTATUS[0]}}'
    )
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    assert done.stdout.strip() == "0"


def test_a_run_folder_from_elsewhere_does_not_say_where_files_go_nor_what_is_searched_for(
    trained: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained, run.path)
    config = run.read_config()
    data = dataclasses.replace(
        config.data, cache=tmp_path / "elsewhere", animal_pattern="(_|[a-z])+$^",
        dlc=tmp_path / "dlc",
        classes=tmp_path / "theirs.csv",
    )  # fmt: skip
    run.config.write_text(config_toml(dataclasses.replace(config, data=data)))
    monkeypatch.setenv("DOLORIM_CACHE", str(tmp_path / "mine"))
    other = tmp_path / "other"
    shutil.copytree(study / "Videos", other / "Videos")
    shutil.copytree(study / "Annotations", other / "Annotations")
    figures = tmp_path / "figures.json"
    assert (
        main(
            [
                "evaluate",
                str(run.path),
                str(other),
                "--seen_animals_too",
                "--quiet",
                "--json",
                str(figures),
            ]
        )
        == 0
    )
    assert json.loads(figures.read_text())["other"]["animals"] == [
        "201M",
        "202F",
        "203M",
        "204F",
        "205M",
    ]
    assert (tmp_path / "mine").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_a_network_that_is_too_large_for_its_weights_is_refused_before_it_is_built(
    trained: Path, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained, run.path)
    config = run.read_config()
    model = dataclasses.replace(config.model, temporal="tcn", width=200_000, hidden_dim=200_000)
    run.config.write_text(config_toml(dataclasses.replace(config, model=model)))
    with pytest.raises(UserError, match=r"model\.safetensors"):
        run.load_model()
