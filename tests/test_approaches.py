"""The approaches through the command line, on a small simulated study: video with pose, several
tasks, pose alone."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dolorim.cli import main
from dolorim.config import AugmentConfig, TrainConfig
from dolorim.dataset.labelled_recording import LabelledRecording, video_points
from dolorim.dataset.loading import load_dataset
from dolorim.dataset.sampling import BoutSampler
from dolorim.inference.decoder import Decoder
from dolorim.inference.predictor import predictor_of
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.streaming import Predictor
from dolorim.labels.prediction_files import read_predictions
from dolorim.labels.trials import Recording
from dolorim.pose.read import read_pose
from dolorim.training.module import Learner

SMALL = (
    "--trial_length 90 --image_size 32 --clip_length 8 --width 16 --hidden_dim 8 --tcn_layers 3 "
    "--pose_reach 4 "
    "--epochs 2 --batch_size 8 --train_T 16 --accelerator cpu --quiet"
)
FLAGS = {
    "multimodal": "",
    "multitask": "--fusion gated",
    "generic": "--visual none --pose generic --temporal tcn",
    "graph": "--visual none --pose graph",
}
Train = Callable[..., RunFolder]


@pytest.fixture(scope="module")
def cache(frame_cache: Path) -> Path:
    return frame_cache


@pytest.fixture(scope="module")
def trained(
    study: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], RunFolder]:
    """Runs by name, each trained once, when it is first asked for."""
    folder = tmp_path_factory.mktemp("approaches")

    def run(name: str) -> RunFolder:
        if not (folder / name).exists():
            assert main(command(name, study, cache, folder / name)) == 0
        return RunFolder(folder / name)

    return run


def command(name: str, study: Path, cache: Path, run: Path) -> list[str]:
    approach = "multitask" if name == "multitask" else "multimodal"
    videos = ["--videos", str(study / "Videos")] if name in ("multimodal", "multitask") else []
    folders = [*videos, "--annotations", str(study / "Annotations"), "--dlc", str(study / "DLC")]
    return [
        "train",
        approach,
        *folders,
        "--run",
        str(run),
        "--cache",
        str(cache),
        *SMALL.split(),
        *FLAGS[name].split(),
    ]


@pytest.mark.parametrize("name", FLAGS)
def test_every_approach_ends_with_a_run_that_scores_the_same_when_it_is_evaluated_again(
    trained: Callable[[str], RunFolder], name: str, tmp_path: Path
) -> None:
    run, target = trained(name), tmp_path / "scores.json"
    metrics = json.loads(run.metrics.read_text())
    assert set(metrics) == {"val", "test"}
    assert len(run.read_skeleton().keypoints) == 6
    assert main(["evaluate", str(run.path), "--json", str(target), "--quiet"]) == 0
    assert json.loads(target.read_text()) == metrics
    assert ("keypoints" in metrics["test"]) == (name == "multitask")


@pytest.mark.parametrize("name", ["multimodal", "multitask"])
def test_a_run_with_two_streams_labels_videos_with_and_without_pose_and_says_what_it_has_seen(
    trained: Callable[[str], RunFolder], study: Path, tmp_path: Path, name: str
) -> None:
    run = trained(name)
    # Alone in a folder: beside the study's own videos there is DLC/, which would be found.
    video = Path(shutil.copy(sorted((study / "Videos").iterdir())[0], tmp_path))
    predictions = {}
    for out, dlc in (("both", ["--dlc", str(study / "DLC")]), ("video", [])):
        assert (
            main(
                [
                    "predict",
                    str(run.path),
                    str(video),
                    "--out",
                    str(tmp_path / out),
                    *dlc,
                    "--quiet",
                ]
            )
            == 0
        )
        predictions[out] = read_predictions(tmp_path / out / f"{video.stem}.predictions.csv")
        assert len(predictions[out].labels) == 180
        assert np.isfinite(predictions[out].probabilities).all()
    assert predictions["both"].meta["seen"] == ["video", "pose"]
    assert predictions["video"].meta["seen"] == ["video"]
    assert (
        np.abs(predictions["both"].probabilities - predictions["video"].probabilities).max() > 1e-3
    )


@pytest.mark.parametrize("name", ["generic", "graph"])
def test_a_run_that_has_learned_from_poses_labels_pose_files(
    trained: Callable[[str], RunFolder], study: Path, tmp_path: Path, name: str
) -> None:
    run = trained(name)
    assert (
        main(["predict", str(run.path), str(study / "DLC"), "--out", str(tmp_path), "--quiet"]) == 0
    )
    tables = sorted(tmp_path.glob("*.predictions.csv"))
    assert [t.name.split(".")[0] for t in tables] == sorted(
        v.stem for v in (study / "Videos").iterdir()
    )
    predictions = read_predictions(tables[0])
    assert predictions.meta["seen"] == ["pose"]
    assert len(predictions.labels) == 180
    np.testing.assert_allclose(predictions.time_s, np.arange(180) / 30, atol=1e-3)


def test_a_run_of_poses_alone_needs_no_videos_and_takes_those_of_some(
    trained: Callable[[str], RunFolder],
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, poses = trained("graph"), ["--dlc", str(study / "DLC")]
    assert main(["predict", str(run.path), *poses, "--out", str(tmp_path / "all"), "--quiet"]) == 0
    assert len(list((tmp_path / "all").glob("*.predictions.csv"))) == len(
        list((study / "DLC").iterdir())
    )
    videos = tmp_path / "Videos"
    videos.mkdir()
    video = shutil.copy(sorted((study / "Videos").iterdir())[0], videos)
    (videos / "untracked.mp4").touch()
    assert (
        main(["predict", str(run.path), str(videos), *poses, "--out", str(tmp_path / "one")]) == 1
    )  # one of two videos could not be labeled
    (table,) = (tmp_path / "one").glob("*.predictions.csv")
    assert table.name == f"{Path(video).stem}.predictions.csv"
    said = capsys.readouterr().err
    assert "untracked.mp4: no pose file of it (looked for untrackedDLC_*.csv" in said
    assert "it is not labeled" in said
    assert "1 recording labeled" in said
    assert f"failed: {videos / 'untracked.mp4'}: has no pose file" in said


def test_a_video_without_the_pose_that_the_run_has_learned_from_is_named(
    trained: Callable[[str], RunFolder],
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    video = Path(shutil.copy(sorted((study / "Videos").iterdir())[0], tmp_path / "other_name.mp4"))
    command = ["predict", str(trained("multimodal").path), str(video), "--dlc", str(study / "DLC")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "other_name.mp4: no pose file of it (looked for other_nameDLC_*.csv" in said
    assert "it is labeled from the video alone" in said


def test_a_pose_with_fewer_rows_than_the_video_has_frames_is_named(
    trained: Callable[[str], RunFolder],
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    video = Path(shutil.copy(sorted((study / "Videos").iterdir())[0], tmp_path))
    pose = next((study / "DLC").glob(f"{video.stem}DLC*.csv"))
    (tmp_path / pose.name).write_text("".join(pose.read_text().splitlines(True)[: 3 + 170]))
    command = ["predict", str(trained("multimodal").path), str(video), "--dlc", str(tmp_path)]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "its pose has 170 rows for 180 frames; the last frames have no pose" in said


def test_what_is_predicted_is_what_evaluation_has_scored(
    trained: Callable[[str], RunFolder], study: Path, tmp_path: Path
) -> None:
    run = trained("multimodal")
    table = sorted(run.predictions("test").glob("*.predictions.csv"))[0]
    video, scored = (
        study / "Videos" / table.name.replace(".predictions.csv", ".mp4"),
        read_predictions(table),
    )
    more = ["--dlc", str(study / "DLC"), "--out", str(tmp_path), "--quiet"]
    assert main(["predict", str(run.path), str(video), *more]) == 0
    again = read_predictions(tmp_path / f"{video.stem}.predictions.csv")
    np.testing.assert_allclose(again.probabilities, scored.probabilities, atol=2e-3)


@pytest.mark.parametrize("name", ["multitask", "graph"])
def test_a_run_that_was_killed_ends_as_one_that_was_not(
    trained: Callable[[str], RunFolder], study: Path, cache: Path, tmp_path: Path, name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    step = Learner.training_step

    def killed(self: Learner, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        if self.current_epoch == 1 and index == 1:
            raise KeyboardInterrupt
        return step(self, batch, index)

    folder, words = RunFolder(tmp_path / "killed"), command(name, study, cache, tmp_path / "killed")
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "training_step", killed)
        assert main(words) == 130
    assert folder.last_checkpoint.exists()
    assert not folder.weights.exists()
    assert main(words) == 0
    one, two = load_file(trained(name).weights), load_file(folder.weights)
    assert set(one) == set(two)
    for part in one:
        torch.testing.assert_close(two[part], one[part], atol=1e-6, rtol=1e-5)


def test_the_decoder_of_a_run_makes_its_labels_and_its_scores(
    trained: Callable[[str], RunFolder], study: Path, tmp_path: Path
) -> None:
    run, copy = trained("graph"), RunFolder(tmp_path / "copy")
    shutil.copytree(run.path, copy.path)
    shown = json.loads(run.metrics.read_text())["test"]["per_class"]
    chosen, *others = sorted(
        (name for name in shown if shown[name]["support"]), key=lambda n: shown[n]["support"]
    )
    biases = tuple(50.0 * (c == chosen) for c in run.read_ethogram().classes)
    copy.write_json("decoder.json", Decoder(biases=biases).to_dict())
    assert (
        main(
            [
                "predict",
                str(copy.path),
                str(study / "DLC"),
                "--out",
                str(tmp_path / "out"),
                "--quiet",
            ]
        )
        == 0
    )
    for table in (tmp_path / "out").glob("*.predictions.csv"):
        assert set(read_predictions(table).labels.tolist()) == {
            run.read_ethogram().classes.index(chosen)
        }
    target = tmp_path / "scores.json"
    assert main(["evaluate", str(copy.path), "--json", str(target), "--quiet"]) == 0
    scores = json.loads(target.read_text())["test"]
    assert scores["per_class"][chosen]["recall"] == 1
    assert {scores["per_class"][name]["recall"] for name in others} == {0}
    assert scores["argmax"]["accuracy"] != scores["accuracy"]
    assert scores["decoder"] == copy.read_decoder().kind


def test_features_of_a_frozen_network_are_computed_once_and_read_by_every_further_run(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    frozen = [
        "--visual",
        "vit_2d",
        "--encoder_name",
        "test_vit.r160_in1k",
        "--encoder_weights",
        "random",
    ]
    first, second = (
        [*command("multimodal", study, cache, tmp_path / name), *frozen, "--pose", "graph", *more]
        for name, more in (("first", []), ("second", ["--lr", "1e-3", "--temporal", "tcn"]))
    )
    assert main(first) == 0
    split = RunFolder(tmp_path / "first").read_split()
    stored = sorted(cache.glob("*/features-*.npy"))
    assert len(stored) == len(split.train) + len(split.val) + len(
        split.test
    )  # each animal has one video

    def again(*_: object) -> None:
        raise AssertionError("features were computed again")

    monkeypatch.setattr(Predictor, "features", again)
    assert main(second) == 0
    assert sorted(cache.glob("*/features-*.npy")) == stored
    one, two = (load_file(RunFolder(tmp_path / name).weights) for name in ("first", "second"))
    encoder = [name for name in one if name.startswith("visual.")]
    assert encoder
    assert all(torch.equal(one[name], two[name]) for name in encoder)
    with pytest.raises(AssertionError, match="computed again"):
        main(
            [*first, "--run", str(tmp_path / "third"), "--seed", "1"]
        )  # other random weights, other features


def test_a_pose_with_other_points_than_the_run_has_learned_from_is_named_and_the_others_go_on(
    trained: Callable[[str], RunFolder],
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good, bad = sorted((study / "DLC").iterdir())[0], tmp_path / "otherDLC_x.csv"
    bad.write_text("scorer,x,x,x,x,x,x\nbodyparts,ear,ear,ear,eye,eye,eye\n"
                   "coords,x,y,likelihood,x,y,likelihood\n"
                   "0,1,2,1,30,4,1\n1,1,2,1,30,4,1\n")  # fmt: skip
    for name in ("generic", "graph"):
        assert (
            main(
                [
                    "predict",
                    str(trained(name).path),
                    str(good),
                    str(bad),
                    "--out",
                    str(tmp_path / name),
                ]
            )
            == 1
        )
        assert f"failed: {bad}" in capsys.readouterr().err
        assert len(list((tmp_path / name).glob("*.predictions.csv"))) == 1


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_keypoints_that_are_found_are_written_in_pixels_of_the_video(
    trained: Callable[[str], RunFolder],
    study: Path,
    tmp_path: Path,
    jobs: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, video = trained("multitask"), sorted((study / "Videos").iterdir())[0]
    command = [
        "predict",
        str(run.path),
        str(video),
        "--out",
        str(tmp_path),
        "--jobs",
        jobs,
        "--quiet",
    ]
    assert main([*command, "--keypoints"]) == 0
    pose = read_pose(tmp_path / f"{video.stem}.keypoints.csv")
    decisions = predictor_of(run, keypoints=True)(film := labelled_of(run, video))
    assert pose.names == run.read_skeleton().keypoints
    assert film.video is not None
    expected = video_points(
        decisions.keypoints, film.video.centers, film.video.angles_rad, film.video.side_px
    )
    np.testing.assert_allclose(
        pose.points, expected, atol=0.5
    )  # the cached pictures are the very same crops
    np.testing.assert_allclose(pose.likelihood, decisions.visible, atol=0.01)
    assert main([*command, "--no_overwrite"]) == 0  # without keypoints it is another order
    assert (
        main(
            [
                "predict",
                str(trained("multimodal").path),
                str(video),
                "--out",
                str(tmp_path),
                "--keypoints",
            ]
        )
        == 2
    )
    assert "has learned no keypoints" in capsys.readouterr().err


def labelled_of(run: RunFolder, video: Path) -> LabelledRecording:
    dataset = load_dataset(run.read_config())
    (labelled,) = [f for f in dataset.labelled if f.recording.name == video.stem]
    return dataclasses.replace(labelled, track=None)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--width 18", "--width 18: expected a multiple of 4"),
        ("--devices 0,1", "--devices 0,1: expected a number, or auto"),
        ("--strategy dpp", "--strategy dpp: Lightning cannot do that on this machine"),
        (
            "--recipe classic --config x.toml",
            "--config x.toml and --recipe classic both say where to start from",
        ),
        ("--pose generic --individual all", "--tasks multitask learns the keypoints of one animal"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(
    study: Path,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: str,
    said: str,
) -> None:
    if "individual" in flags:
        study = shutil.copytree(study, tmp_path / "study")
        for path in (study / "DLC").iterdir():
            two_animals(path)
    assert main([*command("multitask", study, cache, tmp_path / "run"), *flags.split()]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert said in line


def two_animals(path: Path) -> None:
    """Turn a DeepLabCut table of one animal into one of two that are always in the same place."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    width = len(rows[0]) - 1
    who = ["individuals", *["one"] * width, *["two"] * width]
    path.write_text(
        "\n".join(",".join(r) for r in (rows[0] + rows[0][1:], who, *(r + r[1:] for r in rows[1:])))
        + "\n"
    )


@pytest.mark.skipif(
    torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU"
)
def test_a_gpu_that_is_not_there_is_not_waited_for(
    study: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main([*command("multimodal", study, cache, tmp_path / "run"), "--accelerator", "gpu"]) == 2
    )
    assert "--accelerator gpu: PyTorch finds none on this machine" in capsys.readouterr().err


def test_poses_of_none_that_is_learned_from_are_refused(
    study: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = shutil.copytree(study, tmp_path / "study")
    first, *others = sorted((study / "DLC").iterdir())
    for path in others:
        path.unlink()
    animal = next(
        part for part in first.name.split("_") if part[-1] in "MF" and part[:-1].isdigit()
    )
    assert (
        main([*command("multimodal", study, cache, tmp_path / "run"), "--test_animals", animal])
        == 2
    )
    assert "none of the training animals has a pose" in capsys.readouterr().err


def test_another_study_with_other_points_is_not_scored(
    trained: Callable[[str], RunFolder],
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = shutil.copytree(study, tmp_path / "other")
    for path in (other / "DLC").iterdir():
        path.write_text(path.read_text().replace("mouth", "nostril"))
    assert (
        main(
            ["evaluate", str(trained("generic").path), str(other), "--seen_animals_too", "--quiet"]
        )
        == 2
    )
    assert "choose some with --kp_names" in capsys.readouterr().err


def test_without_labels_keypoints_are_learned_alone_and_scored_on_animals_that_were_left_out(
    study: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [
        "--videos",
        str(study / "Videos"),
        "--dlc",
        str(study / "DLC"),
        "--cache",
        str(cache),
    ]
    flags = [*folders, *SMALL.split(), "--pose", "none", "--temporal", "none", "--epochs", "1"]
    assert main(["train", "multitask", *flags, "--run", str(tmp_path / "run")]) == 0
    assert "only keypoints are learned" in capsys.readouterr().err
    run = RunFolder(tmp_path / "run")
    metrics = run.read_json("metrics.json")
    assert set(metrics) == {"test"}
    assert metrics["test"]["frames"] == 0
    assert metrics["test"]["keypoints"]["points"] > 0
    assert "without labels" in (run.path / "model_card.md").read_text("utf-8")
    animal = metrics["test"]["animals"][0]
    assert (
        main(["train", "multitask", *flags, "--run", str(tmp_path / "no"), "--val_animals", animal])
        == 2
    )
    assert "--val_animals none" in capsys.readouterr().err
    assert main(["train", "video", *flags[:2], *SMALL.split(), "--run", str(tmp_path / "no")]) == 2


def test_recordings_without_labels_are_drawn_from_as_often_as_they_are_long() -> None:
    empty = [Recording(str(n), "a", np.full(n, -1, np.int16)) for n in (300, 900)]
    sampler = BoutSampler(empty, TrainConfig(train_T=10), AugmentConfig())
    assert len(sampler) == 120
    drawn = [
        spec.recording for epoch in range(5) for spec in (sampler.set_epoch(epoch), *sampler)[1:]
    ]
    assert 0.65 < np.mean(drawn) < 0.85
