"""The command line: exit codes, one clear line for what a user can mend, and nothing slow where
nothing is asked."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dolorim.cli import main
from dolorim.config import Config, DataConfig, config_toml, read_config
from dolorim.dataset.splits import Split
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import PAIN
from dolorim.reporting import figures
from dolorim.reporting.figures import draw_evaluation
from dolorim.simulate import study as simulated
from dolorim.simulate.study import StudyPlan


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that the command says when it exits with 2."""
    assert main(arguments) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    return said[0]


def files(folder: Path, *names: str, text: str = "Frame,Action\n0,0\n1,1\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(text)
    return folder


def train_on(videos: Path, annotations: Path, run: Path, *more: str) -> list[str]:
    return [
        "train",
        "video",
        "--videos",
        str(videos),
        "--annotations",
        str(annotations),
        "--run",
        str(run),
        *more,
    ]


def test_a_dry_run_prints_settings_that_repeat_the_run_and_decodes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = files(tmp_path / "Videos", "cage_267M.mp4", text="no video at all")
    labels = files(tmp_path / "Annotations", "prediction_cage_267M.mp4_1.csv")
    command = train_on(
        videos, labels, tmp_path / "run", "--epochs", "7", "--convolution_dropout", "1"
    )
    assert main([*command, "--dry_run"]) == 0
    printed = capsys.readouterr().out
    assert not (tmp_path / "run").exists()
    assert not list(tmp_path.rglob("*cache*"))
    (tmp_path / "settings.toml").write_text(printed)
    config = read_config(tmp_path / "settings.toml")
    assert (config.approach, config.train.epochs) == ("video", 7)
    assert (config.data.videos, config.data.annotations) == (videos, labels)
    assert config.model.visual == "motion_features"
    again = ["--config", str(tmp_path / "settings.toml"), "--run", str(tmp_path / "run")]
    assert main(["train", "video", *again, "--dry_run"]) == 0
    assert capsys.readouterr().out == printed


def test_help_answers_without_importing_torch() -> None:
    code = (
        "import sys, dolorim.cli; dolorim.cli.main(['--help']); "
        "assert not {'torch', 'lightning', 'matplotlib'} & set(sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert all(
        verb in process.stdout
        for verb in ("demo", "train", "evaluate", "predict", "extract", "inspect")
    )


@pytest.mark.parametrize("verb", ["demo", "extract", "evaluate", "predict", "inspect"])
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    assert f"dolorim {verb}" in capsys.readouterr().out


def test_an_unknown_verb_is_refused_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "predict" in refused(capsys, "predikt")


def test_train_without_an_approach_says_how_it_is_called(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "dolorim train video" in refused(capsys, "train")


def test_an_unknown_flag_exits_with_2(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(train_on(tmp_path, tmp_path, tmp_path / "run", "--no_such_flag", "3"))
    assert stopped.value.code == 2


def test_flags_may_be_written_with_dashes_or_underscores(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for flag in ("--focal-gamma", "--focal_gamma"):
        line = refused(capsys, *train_on(tmp_path / "gone", tmp_path, tmp_path / "run", flag, "2"))
        assert "gone" in line


def test_a_value_out_of_range_is_refused_by_the_flags_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "clip_length" in refused(
        capsys, *train_on(tmp_path, tmp_path, tmp_path / "run", "--clip_length", "0")
    )


def test_a_folder_without_videos_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    videos = files(tmp_path / "Videos", "notes.txt")
    line = refused(capsys, *train_on(videos, tmp_path, tmp_path / "run"))
    assert str(videos) in line
    assert "no video" in line


def test_a_folder_that_may_not_be_read_is_refused(
    capsys: pytest.CaptureFixture[str], study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    scandir = os.scandir

    def closed(folder: Path) -> object:
        if Path(folder) == locked:  # permissions do not bind every user that tests run as
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", closed)
    for line in (
        refused(capsys, *train_on(locked, tmp_path, tmp_path / "run")),
        refused(capsys, *train_on(study / "Videos", locked, tmp_path / "run")),
    ):
        assert str(locked) in line
        assert "Permission denied" in line


def test_a_folder_without_labels_is_refused(
    capsys: pytest.CaptureFixture[str], study: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "Annotations"
    empty.mkdir()
    line = refused(capsys, *train_on(study / "Videos", empty, tmp_path / "run"))
    assert str(empty) in line
    assert "no label file" in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Frame,Action\n0,0\n1,99\n", "line 3"),
        ("Frame,Action\n0,0\n1,scratching\n", "scratching"),
        ("Frame,Action\n0,0\n0,1\n", "line 2 and again on line 3"),
        ("", "empty"),
        ("Frame,Action\n", "no rows"),
        ("a,b\n1,2\n", "expected the columns"),
        ("Frame,Action\n0,0\nx,1\n", "expected a frame number"),
    ],
)
def test_a_label_file_that_cannot_be_understood_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], study: Path, tmp_path: Path, text: str, said: str
) -> None:
    name = sorted((study / "Videos").iterdir())[0].stem
    labels = files(tmp_path / "Annotations", f"{name}.csv", text=text)
    line = refused(capsys, *train_on(study / "Videos", labels, tmp_path / "run"))
    assert said in line
    assert f"{name}.csv" in line


def test_labels_of_videos_that_are_not_there_alone_are_refused(
    capsys: pytest.CaptureFixture[str], study: Path, tmp_path: Path
) -> None:
    labels = files(tmp_path / "Annotations", "prediction_other_1.csv")
    assert "none of its 1 label files" in refused(
        capsys, *train_on(study / "Videos", labels, tmp_path / "run")
    )


def test_a_trial_beyond_the_videos_end_is_named(
    capsys: pytest.CaptureFixture[str], study: Path, tmp_path: Path
) -> None:
    name = sorted((study / "Videos").iterdir())[0].stem
    rows = "Frame,Action\n" + "".join(f"{i},0\n" for i in range(90))
    labels = files(tmp_path / "Annotations", f"prediction_{name}_9.csv", text=rows)
    more = (
        "--trial_layout",
        "fixed",
        "--trial_length",
        "90",
        "--cache",
        str(tmp_path / "cache"),
        "--image_size",
        "16",
    )
    assert main(train_on(study / "Videos", labels, tmp_path / "run", *more)) == 2
    said = capsys.readouterr().err
    assert "frames [720, 810) of a video that has only 180 frames" in said


def test_naming_an_animal_that_is_not_there_lists_those_that_are(
    capsys: pytest.CaptureFixture[str], study: Path, tmp_path: Path
) -> None:
    more = (
        "--trial_length",
        "90",
        "--test_animals",
        "999X",
        "--cache",
        str(tmp_path / "c"),
        "--image_size",
        "16",
    )
    line = refused(
        capsys, *train_on(study / "Videos", study / "Annotations", tmp_path / "run", *more)
    )
    assert "999X" in line
    assert "201M" in line


def test_predict_without_a_run_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "not a run folder" in refused(capsys, "predict", str(tmp_path), str(tmp_path / "x.mp4"))


def test_predict_exits_with_1_when_some_videos_failed_and_names_them(
    capsys: pytest.CaptureFixture[str], trained: Path, study: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.touch()
    good = sorted((study / "Videos").iterdir())[0]
    assert main(["predict", str(trained), str(good), str(bad), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert f"failed: {bad}" in said
    assert (tmp_path / "out" / f"{good.stem}.predictions.csv").exists()
    assert (
        main(["predict", str(trained), str(good), "--out", str(tmp_path / "out"), "--no_overwrite"])
        == 0
    )
    assert "done before" in capsys.readouterr().err


def test_train_can_be_repeated_from_a_runs_config(trained: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    command = [
        "train",
        "video",
        "--run",
        str(again),
        "--config",
        str(trained / "config.toml"),
        "--quiet",
    ]
    assert main(command) == 0
    assert (again / "config.toml").read_text() == (trained / "config.toml").read_text()
    assert (again / "model.safetensors").read_bytes() == (
        trained / "model.safetensors"
    ).read_bytes()


def test_evaluate_writes_its_figures_where_it_is_told(
    trained: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "draw_evaluation", draw_evaluation)
    target = tmp_path / "scores.json"
    assert main(["evaluate", str(trained), "--json", str(target), "--quiet"]) == 0
    assert json.loads(target.read_text()) == json.loads((trained / "metrics.json").read_text())
    for name in ("confusion", "classes", "distribution", "raster"):
        assert (trained / "figures" / f"test_{name}.png").stat().st_size > 1000


def test_inspect_prints_json_for_scripts(
    capsys: pytest.CaptureFixture[str], study: Path, tmp_path: Path
) -> None:
    video, sheet = sorted((study / "Videos").iterdir())[0], tmp_path / "sheet.png"
    assert main(["inspect", str(video), "--json", "--crops", str(sheet)]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 180
    assert sheet.exists()


def test_extract_fills_the_cache_once(
    capsys: pytest.CaptureFixture[str], study: Path, tmp_path: Path
) -> None:
    command = [
        "extract",
        str(study),
        "--cache",
        str(tmp_path / "cache"),
        "--image_size",
        "16",
        "--workers",
        "1",
    ]
    assert main(command) == 0
    assert "5 of 5 videos" in capsys.readouterr().err
    assert main(command) == 0
    assert "extracting" not in capsys.readouterr().err


def test_the_demo_ends_with_one_page_that_says_that_it_is_simulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None
) -> None:
    real = simulated.simulate_study

    def small(folder: Path, plan: StudyPlan, *_: object) -> Path:
        few = 5 if plan.effect == 1 else 4
        return real(
            folder,
            dataclasses.replace(plan, animals=few, trials=1, trial_length=90, size_px=96),
        )

    monkeypatch.setattr(simulated, "simulate_study", small)
    monkeypatch.setattr(figures, "draw_evaluation", draw_evaluation)
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--minutes", "0.005"]) == 0
    page = (out / "demo.html").read_text()
    assert "Simulated data" in page
    assert "--max_minutes 0.005 ended training in epoch 1 of 8" in page
    assert page.count("<img") >= 3
    assert 'src="data:video/mp4;base64,' in page
    assert "percentage points" in page
    assert '<a href="report/report.html">' in page
    assert "Simulated study" in (out / "report" / "report.html").read_text()
    assert main(["demo", "--out", str(out)]) == 2


def test_a_run_finds_its_study_from_any_folder_and_after_both_were_moved(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "here").mkdir(parents=True)
    for name in ("Videos", "Annotations"):
        (home / name).symlink_to(study / name)
    monkeypatch.chdir(home / "here")
    data = DataConfig(videos=Path("../Videos"), annotations=Path("../Annotations"))
    run = RunFolder(Path("../runs/first"))
    run.start(Config(data=data), PAIN, Split(train=("a",)))
    # The same command continues it.
    run.start(Config(data=data), PAIN, Split(train=("a",)))
    monkeypatch.chdir(tmp_path)
    paths = RunFolder(home / "runs" / "first").read_config().data
    assert (paths.videos, paths.annotations) == (home / "Videos", home / "Annotations")

    moved = home.rename(tmp_path / "elsewhere")
    paths = RunFolder(moved / "runs" / "first").read_config().data
    assert (paths.videos, paths.annotations) == (moved / "Videos", moved / "Annotations")


def test_a_run_whose_study_is_gone_says_where_it_was(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    config = RunFolder(copy).read_config()
    data = dataclasses.replace(config.data, videos=tmp_path / "gone")
    (copy / "config.toml").write_text(config_toml(dataclasses.replace(config, data=data)), "utf-8")
    (copy / "paths.json").unlink()
    assert main(["evaluate", str(copy)]) == 2
    assert f"its study is not where it was ({tmp_path / 'gone'})" in capsys.readouterr().err
