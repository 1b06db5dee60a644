"""Training end to end on a small simulated study: what it leaves behind, how it goes on, and how it
refuses."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dolorim.config import Config, DataConfig, ModelConfig, TrainConfig, read_config
from dolorim.core.errors import UserError
from dolorim.evaluation.evaluate import evaluate_held_out, evaluate_study
from dolorim.inference.run_folder import RunFolder, TrainingRecord, load_strictly
from dolorim.metrics.frames import frame_scores
from dolorim.models.build import build_recognizer
from dolorim.training.callbacks import FarEnough, average, ending_text
from dolorim.training.losses import FrameLoss
from dolorim.training.module import Learner, Plateau
from dolorim.training.train import train


def settings(study: Path, cache: Path, **changes: object) -> Config:
    data = DataConfig(
        videos=study / "Videos", annotations=study / "Annotations",
        recordings=study / "recordings.csv",
        trial_length=90, image_size=32, cache=cache,
    )  # fmt: skip
    loop = TrainConfig(
        epochs=2, batch_size=8, accelerator="cpu", **changes  # type: ignore[arg-type]
    )  # fmt: skip
    return Config(data=data, model=ModelConfig(clip_length=8), train=loop)


@pytest.fixture(scope="module")
def run(study: Path, frame_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("trained")
    return train(settings(study, frame_cache), RunFolder(folder / "run"))


def test_a_run_folder_holds_all_that_the_design_names(run: RunFolder) -> None:
    for name in (
        "config.toml", "ethogram.toml", "splits.json", "model.safetensors", "decoder.json",
        "metrics.json",
        "model_card.md", "checkpoints/last.ckpt",
    ):  # fmt: skip
        assert (run.path / name).is_file(), name
    assert any((run.path / "logs").iterdir())


def test_logs_hold_the_learning_rate_the_validation_loss_and_f1_of_every_class(
    run: RunFolder,
) -> None:
    log = EventAccumulator(str(run.path / "logs")).Reload()
    tags = set(log.Tags()["scalars"])
    assert {"train/loss_step", "val/loss", "val/macro_f1", "lr-AdamW"} <= tags
    assert {f"val_f1/{name}" for name in run.read_ethogram().classes} <= tags
    # Chance over six classes is a loss of 1.8.
    assert 0 < log.Scalars("val/loss")[-1].value < 5


def test_the_settings_in_a_run_folder_are_those_that_it_was_trained_with(
    run: RunFolder, study: Path
) -> None:
    asked = settings(study, run.read_config().data.cache)
    # The rate that nobody asked for is that of the videos.
    data = dataclasses.replace(asked.data, run_rate_hz=30.0)
    assert read_config(run.config) == dataclasses.replace(asked, data=data)


def test_metrics_json_has_the_agreed_shape_and_names_the_animals(run: RunFolder) -> None:
    metrics, split = json.loads(run.metrics.read_text()), run.read_split()
    assert set(metrics) == {"val", "test"}
    for part, scores in metrics.items():
        assert scores["animals"] == sorted(getattr(split, part))
        assert set(scores["segments"]) == {"f1_10", "f1_25", "f1_50", "edit"}
        assert {
            "frames",
            "accuracy",
            "macro_f1",
            "weighted_f1",
            "kappa",
            "per_class",
            "decoder",
        } <= set(scores)
        assert sum(c["support"] for c in scores["per_class"].values()) == scores["frames"]
        assert 0 <= scores["macro_f1"] <= 1


def test_no_animal_is_on_two_sides(run: RunFolder) -> None:
    split = run.read_split()
    parts = [set(split.train), set(split.val), set(split.test)]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts)) == 5


def test_unlabelled_frames_do_not_count(run: RunFolder) -> None:
    metrics, split = json.loads(run.metrics.read_text()), run.read_split()
    for part in ("val", "test"):
        short = sum(
            int(a[:-1]) % 2 == 0 for a in getattr(split, part)
        )  # 202F, 204F: 2 trials of 75 frames, not 90
        assert metrics[part]["frames"] == 180 * len(getattr(split, part)) - 30 * short


def test_the_same_seed_gives_the_same_weights(run: RunFolder, study: Path, tmp_path: Path) -> None:
    again = train(settings(study, run.read_config().data.cache), RunFolder(tmp_path / "again"))
    one, two = load_file(run.weights), load_file(again.weights)
    assert all(torch.equal(one[k], two[k]) for k in one)
    other = train(
        settings(study, run.read_config().data.cache, seed=1), RunFolder(tmp_path / "other")
    )
    assert any(not torch.equal(one[k], v) for k, v in load_file(other.weights).items())


def test_a_run_that_was_killed_ends_as_one_that_was_not(
    run: RunFolder, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = settings(study, run.read_config().data.cache), RunFolder(tmp_path / "killed")
    step = Learner.training_step

    def killed(self: Learner, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        if self.current_epoch == 1 and index == 2:  # in the middle of the second epoch
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(Learner, "training_step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(config, folder)
    assert folder.last_checkpoint.exists()
    assert not folder.weights.exists()
    monkeypatch.undo()
    train(config, folder)
    one, two = load_file(run.weights), load_file(folder.weights)
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=1e-6, rtol=1e-5)
    same = [json.loads(f.metrics.read_text())["test"]["macro_f1"] for f in (run, folder)]
    assert same[0] == pytest.approx(same[1], abs=1e-9)


def test_a_finished_run_is_not_trained_over(run: RunFolder, study: Path) -> None:
    with pytest.raises(UserError, match="finished"):
        train(settings(study, run.read_config().data.cache), run)


def test_going_on_with_other_settings_is_refused(
    run: RunFolder, study: Path, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "begun")
    folder.start(settings(study, tmp_path), run.read_ethogram(), run.read_split())
    with pytest.raises(UserError, match=r"lr = 0\.002, not 0\.1"):
        folder.start(settings(study, tmp_path, lr=0.1), run.read_ethogram(), run.read_split())


def test_a_loss_that_is_not_a_number_stops_training_and_keeps_the_last_checkpoint(
    run: RunFolder, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = FrameLoss.forward
    calls = []

    def broken(self: FrameLoss, *arguments: Any) -> torch.Tensor:
        calls.append(1)
        return forward(self, *arguments) * (float("nan") if len(calls) > 10 else 1.0)

    monkeypatch.setattr(FrameLoss, "forward", broken)
    folder = RunFolder(tmp_path / "nan")
    with pytest.raises(UserError, match=r"loss became nan in epoch 2, step \d+.*--lr"):
        train(settings(study, run.read_config().data.cache), folder)
    state = torch.load(folder.last_checkpoint, weights_only=True)["state_dict"]
    assert all(torch.isfinite(v).all() for v in state.values())


def test_running_out_of_memory_names_the_flags_that_help(
    run: RunFolder, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> torch.Tensor:
        raise RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
        )

    monkeypatch.setattr(FrameLoss, "forward", full)
    with pytest.raises(UserError, match=r"--batch_size .*--model_type light"):
        train(settings(study, run.read_config().data.cache), RunFolder(tmp_path / "full"))


def test_training_on_a_damaged_video_is_refused_unless_told_otherwise(
    real_data: Path, tmp_path: Path
) -> None:
    videos, labels = tmp_path / "Videos", tmp_path / "Annotations"
    videos.mkdir()
    labels.mkdir()
    for name in ("corrupted", "h264_10bits", "video_0"):
        source = next((real_data / "odd_videos").glob(f"{name}.*"))
        (videos / source.name).write_bytes(source.read_bytes())
        (labels / f"{name}.csv").write_text(
            "Frame,Action\n" + "\n".join(f"{i},{i % 2}" for i in range(3))
        )
    data = DataConfig(videos=videos, annotations=labels, image_size=16, cache=tmp_path / "cache")
    loop = TrainConfig(epochs=1, accelerator="cpu")
    config = Config(data=data, model=ModelConfig(clip_length=4), train=loop)
    with pytest.raises(
        UserError, match=r"corrupted\.mp4: damaged: 28 frames decode.*--allow_damaged"
    ):
        train(config, RunFolder(tmp_path / "run"))
    allowed = dataclasses.replace(config, data=dataclasses.replace(data, allow_damaged=True))
    assert train(allowed, RunFolder(tmp_path / "run2")).weights.exists()


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    model = build_recognizer(ModelConfig(clip_length=4), 3)
    state = model.state_dict()
    first = next(iter(state))
    with pytest.raises(UserError, match=f"lacks {first}"):
        load_strictly(model, {k: v for k, v in state.items() if k != first}, tmp_path)
    with pytest.raises(UserError, match="holds surplus"):
        load_strictly(model, {**state, "surplus": torch.zeros(1)}, tmp_path)
    with pytest.raises(UserError, match="of shape"):
        load_strictly(model, {**state, first: torch.zeros(1, 1)}, tmp_path)


@pytest.mark.parametrize(
    "name", ["splits.json", "ethogram.toml", "model.safetensors", "decoder.json", "config.toml"]
)
def test_a_run_folder_with_a_missing_file_is_refused_by_the_files_name(
    run: RunFolder, tmp_path: Path, name: str
) -> None:
    import shutil

    copy = RunFolder(tmp_path / "copy")
    shutil.copytree(run.path, copy.path)
    (copy.path / name).unlink()
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        evaluate_held_out(copy)


def test_evaluating_again_gives_the_same_figures(run: RunFolder) -> None:
    assert json.loads(json.dumps(evaluate_held_out(run))) == json.loads(run.metrics.read_text())


def test_scoring_animals_that_the_run_has_learned_from_must_be_asked_for(
    run: RunFolder, tmp_path: Path
) -> None:
    data = run.read_config().data
    with pytest.raises(UserError, match="--seen_animals_too"):
        evaluate_study(run, data, tmp_path, seen_too=False)
    scores = evaluate_study(run, data, tmp_path, seen_too=True)
    split = run.read_split()
    assert scores["seen_in_training"] == sorted({*split.train, *split.val})


def test_the_plateau_schedule_waits_four_epochs_and_then_lowers_the_rate() -> None:
    state = Plateau().after(0.5)
    for _ in range(3):
        state = state.after(0.4)
        assert state.factor == 1
    assert state.after(0.4).factor == pytest.approx(0.3)
    assert state.after(0.6) == Plateau(1.0, 0.6, 0)


@pytest.mark.parametrize("decay", [0.022, 0.5, 0.9, 0.99, 0.999])
def test_weights_are_averaged_and_whole_numbers_are_taken_over(decay: float) -> None:
    before, now, places = torch.randn(50), torch.randn(50), torch.arange(2000)
    weights, indices, flags = [before.clone()], [places.clone()], [torch.tensor([False, True])]
    average(decay, weights, [now], torch.tensor(10_000))
    average(decay, indices, [places], 1)
    average(decay, flags, [torch.tensor([True, True])], 1)
    torch.testing.assert_close(weights[0], decay * before + (1 - decay) * now)
    assert torch.equal(indices[0], places)
    assert flags[0].all()


def test_the_average_of_a_short_run_is_not_of_the_weights_that_it_began_with() -> None:
    weights = [torch.zeros(1)]
    for step in range(1, 50):
        average(0.999, weights, [torch.ones(1)], step)
    assert weights[0].item() > 0.9999


def ended(
    config: Config, run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> tuple[dict[str, Any], str]:
    train(config, run)
    return json.loads((run.path / "training.json").read_text()), capsys.readouterr().err


def says_what_training_starts_with(said: str, study: Path, run: RunFolder) -> None:
    """The block before the first epoch has the split, the classes, the network and the steps."""
    split, labels = run.read_split(), sorted((study / "Annotations").iterdir())
    by_part = {}
    for part in ("train", "val", "test"):
        animals = getattr(split, part)
        files = [pd.read_csv(f) for f in labels if any(f"_{a}_" in f.name for a in animals)]
        by_part[part] = pd.concat(files)["Action"]
        n_videos = f"{len(animals)} video{'s' * (len(animals) > 1)}"
        line = f"{part}: {', '.join(animals)} ({n_videos}, {len(by_part[part])} labeled frames)"
        assert line in said
    rows = [line.split() for line in said.splitlines()]
    frames = [str((by_part[part] == 0).sum()) for part in ("train", "val", "test")]
    assert any(row[:4] == ["rest", *frames] for row in rows)
    n_parameters = sum(p.numel() for p in run.load_model().parameters())
    assert f"model: video (cnn3d), {n_parameters / 1e6:.2f} million parameters; " in said
    assert "a decision sees 8 frames" in said
    assert re.search(
        r"training: \d+ steps per epoch, at most 50 epochs or 1000 minutes, on cpu", said
    )
    assert said.index("training: ") < said.index("epoch 1/50")


def test_a_run_that_the_time_limit_ends_says_so_and_how_far_it_came(
    run: RunFolder,
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = settings(study, run.read_config().data.cache, max_minutes=1000.0)
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, epochs=50))
    folder = RunFolder(tmp_path / "short")
    # Time as the network sees it: the limit is over in the second epoch.
    monkeypatch.setattr(
        Learner, "spent_s", property(lambda self: 60_000.0 * (self.trainer.current_epoch + 0.01))
    )
    training, said = ended(config, folder, capsys)
    assert (training["ended_by"], training["epoch"], training["epochs"]) == ("max_minutes", 2, 50)
    assert "--max_minutes 1000 ended training in epoch 2 of 50" in said
    says_what_training_starts_with(said, study, folder)
    metrics = json.loads(folder.metrics.read_text())
    assert metrics["val"]["training"] == metrics["test"]["training"] == training
    assert (
        "ended early in epoch 2 of 50 by --max_minutes"
        in (folder.path / "model_card.md").read_text()
    )


def test_a_run_that_ran_its_course_says_that(run: RunFolder) -> None:
    training = json.loads((run.path / "training.json").read_text())
    assert (training["ended_by"], training["epoch"], training["epochs"]) == ("epochs", 2, 2)
    assert "ran its course in epoch 2 of 2" in (run.path / "model_card.md").read_text()


def test_training_ends_once_validation_is_good_enough_and_says_so_either_way() -> None:
    trainer = SimpleNamespace(callback_metrics={"val/macro_f1": 0.849}, should_stop=False)
    learner = Learner.__new__(Learner)
    FarEnough(0.85).on_validation_end(trainer, learner)
    assert not trainer.should_stop
    trainer.callback_metrics["val/macro_f1"] = 0.85
    FarEnough(0.85).on_validation_end(trainer, learner)
    assert trainer.should_stop
    assert learner.ended_by == "stop_at_f1"
    settings = TrainConfig(stop_at_f1=0.85, epochs=8)
    record = TrainingRecord(5, 8, learner.ended_by, 1.0)
    assert ending_text(record, settings) == (
        "training ended after epoch 5 of 8: validation macro-F1 reached 0.85 (--stop_at_f1)"
    )
    record = TrainingRecord(8, 8, "epochs", 1.0)
    assert ending_text(record, settings).endswith("did not reach 0.85 (--stop_at_f1)")


@pytest.mark.parametrize(("schedule", "last"), [("cosine", 18), ("plateau", 3)])
def test_patience_waits_until_the_learning_rate_has_come_down(
    run: RunFolder, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    schedule: str, last: int,
) -> None:  # fmt: skip
    scores = frame_scores(np.array([[1, 0], [1, 0]]), ["a", "b"])  # the same after every epoch
    scores["per_class"] = defaultdict(lambda: {"f1": 0.0})
    monkeypatch.setattr("dolorim.training.module.frame_scores", lambda *_: scores)
    config = settings(
        study, run.read_config().data.cache, lr_schedule=schedule, early_stopping_patience=2
    )
    config = dataclasses.replace(
        config, train=dataclasses.replace(config.train, epochs=20, train_T=90)
    )
    training, said = ended(config, RunFolder(tmp_path / schedule), capsys)
    assert training["ended_by"] == "patience"
    assert training["epoch"] == pytest.approx(last, abs=1)
    assert f"training ended after epoch {training['epoch']} of 20" in said
