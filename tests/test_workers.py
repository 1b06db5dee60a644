"""One pool for all: what a killed worker, a bug, or a broken file does to extraction, to the check,
to a batch."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest

from dolorim.checks import check
from dolorim.cli import main
from dolorim.config import DataConfig
from dolorim.dataset import extract
from dolorim.inference import predict_video as label
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.predict_video import VideoPredictor
from dolorim.inference.raw_prediction import PredictInput
from dolorim.inference.run_folder import RunFolder
from test_batch import random_run
from videos import numbered, write_film
from worker_stub import mortal_builder, mortal_examiner

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX systems")


@pytest.fixture(autouse=True)
def crash_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOLORIM_LOG", str(tmp_path / "log" / "crashes.log"))
    return tmp_path / "log" / "crashes.log"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return random_run(tmp_path_factory.mktemp("random") / "run")


def write_videos(folder: Path, *names: str) -> list[Path]:
    return [write_film(folder / f"{n}.mp4", numbered(20 + i)) for i, n in enumerate(names)]


@posix
def test_a_killed_extraction_worker_loses_nothing_and_a_video_that_always_kills_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "met").mkdir()
    videos = write_videos(tmp_path / "Videos", "a", "fatal", "mortal")
    monkeypatch.setattr(extract, "_builder", partial(mortal_builder, tmp_path / "met"))
    command = [
        "extract",
        str(tmp_path / "Videos"),
        "--crop",
        "none",
        "--image_size",
        "16",
        "--workers",
        "2",
    ]
    assert main([*command, "--cache", str(tmp_path / "cache")]) == 1
    said = capsys.readouterr().err
    assert "2 of 3 videos are in the frame cache, 42 frames" in said.replace("\n", " ")
    assert f"failed: {videos[1]}: its worker process was killed (SIGKILL)" in said
    assert "Traceback" not in said


@posix
def test_a_check_goes_on_when_its_worker_is_killed_or_meets_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash_log: Path
) -> None:
    (tmp_path / "met").mkdir()
    write_videos(tmp_path / "Videos", "a", "buggy", "fatal", "mortal")
    monkeypatch.setattr(check, "_examiner", partial(mortal_examiner, tmp_path / "met"))
    checked = check.check(DataConfig(videos=tmp_path / "Videos"), workers=2)
    assert {r.name: r.examined.n_frames for r in checked.rows} == {
        "a": 20,
        "buggy": 0,
        "fatal": 0,
        "mortal": 23,
    }
    crashes = {Path(f.where).stem: f.what for f in checked.findings if f.name == "crash"}
    assert set(crashes) == {"buggy", "fatal"}
    assert "unexpected ZeroDivisionError: in the examiner" in crashes["buggy"]
    assert "killed (SIGKILL)" in crashes["fatal"]
    assert "Traceback" in crash_log.read_text()


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), ValueError("no array to stack"), MemoryError()]
)
def test_whatever_one_video_raises_is_named_with_it_and_the_batch_is_finished(
    run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    crash_log: Path,
    error: Exception,
) -> None:
    videos, predict_video = (
        write_videos(tmp_path / "Videos", "a", "b", "c"),
        VideoPredictor.predict_video,
    )

    def breaking(self: VideoPredictor, job: PredictInput) -> label.RawPrediction:
        if job.stem == "b":
            raise error
        return predict_video(self, job)

    monkeypatch.setattr(VideoPredictor, "predict_video", breaking)
    assert (
        main(["predict", str(run.path), str(tmp_path / "Videos"), "--out", str(tmp_path / "out")])
        == 1
    )
    assert sorted(p.name for p in (tmp_path / "out").glob("*.meta.json")) == [
        "a.meta.json",
        "c.meta.json",
    ]
    said = capsys.readouterr().err
    assert f"failed: {videos[1]}: unexpected {type(error).__name__}" in said
    assert str(crash_log) in said
    assert "Traceback" not in said
    assert str(error) in crash_log.read_text()
    assert (
        main(["predict", str(run.path), str(videos[1]), "--out", str(tmp_path / "alone")]) == 1
    )  # our fault


def test_a_batch_says_how_far_it_is(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = write_videos(tmp_path / "Videos", "a", "b")
    outcome = predict_videos(run, [PredictInput(v, v.stem) for v in videos], tmp_path / "out")
    assert outcome.frames == 41
    said = capsys.readouterr().err
    assert "1 of 2: a.mp4: 20 frames" in said
    assert "2 of 2: b.mp4: 21 frames" in said


@posix
def test_a_worker_that_segfaults_is_told_from_one_that_runs_out_of_memory() -> None:
    from dolorim.core.workers import _how_it_ended

    assert "memory" in _how_it_ended(-9)
    assert "SIGSEGV" in _how_it_ended(-11)
    assert "memory" not in _how_it_ended(-11)
    assert "exit code 3" in _how_it_ended(3)
