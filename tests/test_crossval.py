"""Cross-validation by animal: every animal is scored once, by a network that others have taught and
chosen."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dolorim.cli import main
from dolorim.config import Config, DataConfig, ModelConfig, TrainConfig
from dolorim.core.errors import UserError
from dolorim.dataset.splits import Split
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import PAIN
from dolorim.labels.label_files import read_labels
from dolorim.labels.prediction_files import read_predictions
from dolorim.metrics.summary import Scored, summarize
from dolorim.reporting.tables import metrics_table
from dolorim.reporting.trust import read_trust
from dolorim.training import cross_validation as crossval
from dolorim.training.cross_validation import cross_validate
from dolorim.training.module import Learner
from dolorim.training.train import train

FOLDS = 2


def settings(study: Path, cache: Path, **changes: object) -> Config:
    data = DataConfig(
        videos=study / "Videos", annotations=study / "Annotations",
        recordings=study / "recordings.csv",
        trial_length=90, image_size=16, cache=cache,
    )  # fmt: skip
    loop = dataclasses.replace(
        TrainConfig(epochs=1, batch_size=8, accelerator="cpu", precision="32"), **changes
    )
    return Config(data=data, model=ModelConfig(clip_length=4), train=loop)


@pytest.fixture(scope="module")
def crossed(
    study: Path, frame_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunFolder, list[str]]:
    """A cross-validated run that was stopped in its second fold, and went on; and the folds that
    were begun."""
    home = tmp_path_factory.mktemp("crossed")
    config, run, begun = settings(study, frame_cache), RunFolder(home / "run"), []
    real, step = crossval.train_on, Learner.training_step

    def noted(config: Config, fold: RunFolder, *rest: object) -> RunFolder:
        begun.append(fold.path.name)
        return real(config, fold, *rest)

    def killed(self: Learner, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        if begun[-1] == "1":
            raise KeyboardInterrupt
        return step(self, batch, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossval, "train_on", noted)
        patch.setattr(Learner, "training_step", killed)
        with pytest.raises(KeyboardInterrupt):
            cross_validate(config, run, FOLDS)
        assert not run.metrics.exists()
        patch.setattr(Learner, "training_step", step)
        cross_validate(config, run, FOLDS)
    return run, begun


def test_a_command_that_was_stopped_goes_on_with_the_fold_it_was_in(
    crossed: tuple[RunFolder, list[str]],
) -> None:
    assert crossed[1] == ["0", "1", "1"]


def test_every_animal_is_scored_once_by_a_network_that_has_not_learned_from_it(
    crossed: tuple[RunFolder, list[str]],
) -> None:
    run, _ = crossed
    scores = json.loads(run.metrics.read_text())["folds"]
    assert scores["animals"] == ["201M", "202F", "203M", "204F", "205M"]
    assert scores["frames"] == 3 * 180 + 2 * 150  # all that is labeled
    scored = []
    for k, (split, part) in enumerate(zip(run.read_folds(), scores["by_fold"], strict=True)):
        fold = run.fold(k)
        assert fold.read_split() == split
        assert len(split.val) == (
            k == 1
        )  # of two animals that are left to learn from, none can be spared
        assert not fold.learned_from() & set(split.test)
        assert part["animals"] == list(split.test)
        scored += split.test
    assert sorted(scored) == scores["animals"]
    assert scores["intervals"]["animals"] == 5


def test_what_is_kept_out_of_fold_is_what_the_folds_have_predicted(
    crossed: tuple[RunFolder, list[str]],
) -> None:
    run, _ = crossed
    right = frames = 0
    for k in range(FOLDS):
        for path in run.fold(k).predictions("test").glob("*.predictions.csv"):
            kept = read_predictions(run.predictions("folds") / path.name)
            np.testing.assert_array_equal(kept.labels, read_predictions(path).labels)
            truth = read_labels(run.predictions("folds") / f"{kept.name}.truth.csv", PAIN).labels
            right, frames = (
                right + int(np.sum(truth == kept.labels)),
                frames + int(np.sum(truth >= 0)),
            )
    scores = json.loads(run.metrics.read_text())["folds"]
    assert (frames, right / frames) == (scores["frames"], pytest.approx(scores["accuracy"]))


def test_a_fold_can_be_repeated_as_a_run_by_itself(
    crossed: tuple[RunFolder, list[str]], tmp_path: Path
) -> None:
    fold = crossed[0].fold(0)
    again = train(fold.read_config(), RunFolder(tmp_path / "again"))
    assert again.read_split() == fold.read_split()
    metrics = [json.loads(one.metrics.read_text())["test"] for one in (again, fold)]
    for scores in metrics:
        del scores["training"]["minutes"]  # how busy the machine was
    assert metrics[0] == metrics[1]


def test_evaluate_and_report_read_a_cross_validated_run(
    crossed: tuple[RunFolder, list[str]], tmp_path: Path
) -> None:
    run, _ = crossed
    metrics = json.loads(run.metrics.read_text())
    trust = read_trust(run.path, PAIN.classes)
    assert (trust.part, len(trust.confusions)) == ("folds", 5)
    counted = np.sum(list(trust.confusions.values()), axis=0)
    np.testing.assert_array_equal(counted, metrics["folds"]["confusion"])
    assert trust.learned_from == set()  # each animal was held out in turn
    target = tmp_path / "scores.json"
    assert main(["evaluate", str(run.path), "--json", str(target), "--quiet"]) == 0
    assert json.loads(target.read_text()) == metrics
    card = (run.path / "model_card.md").read_text()
    assert "left out in fold 1" in card
    assert "Macro-F1 by fold" in card


def test_conformal_sets_are_calibrated_on_all_animals_out_of_fold(
    crossed: tuple[RunFolder, list[str]],
) -> None:
    conformal = crossed[0].read_json("conformal.json")
    assert (conformal["part"], len(conformal["animals"])) == ("folds", 5)
    assert not (
        crossed[0].fold(0).path / "conformal.json"
    ).exists()  # one validation animal calibrates nothing


def test_a_cross_validated_run_has_no_network_of_its_own(
    crossed: tuple[RunFolder, list[str]], study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = crossed
    for command in (
        ["predict", str(run.path), str(study / "Videos")],
        ["evaluate", str(run.path), str(study)],
    ):
        assert main([*command, "--quiet"]) == 2
        assert "name a fold" in capsys.readouterr().err.replace("\n", " ")


def test_an_animal_that_a_fold_has_learned_from_is_refused(
    crossed: tuple[RunFolder, list[str]], study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fold = crossed[0].fold(0)
    assert main(["evaluate", str(fold.path), str(study), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert all(animal in said for animal in fold.learned_from())
    assert "--seen_animals_too" in said


def test_other_folds_are_not_put_into_one_run(tmp_path: Path) -> None:
    one, two = Split(("a",), (), ("b",)), Split(("b",), (), ("a",))
    crossed, plain = RunFolder(tmp_path / "crossed"), RunFolder(tmp_path / "plain")
    crossed.start(Config(), PAIN, [one, two])
    plain.start(Config(), PAIN, one)
    assert crossed.start(Config(), PAIN, [one, two]) is False
    for run, split in ((crossed, [two, one]), (crossed, one), (plain, [one, two])):
        with pytest.raises(UserError, match="other folds, or with none"):
            run.start(Config(), PAIN, split)


@pytest.mark.parametrize(
    "changes", [{"test_animals": "201M"}, {"val_animals": "201M"}, {"test_animals": "none"}]
)
def test_animals_that_are_named_and_folds_do_not_go_together(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    with pytest.raises(UserError, match="leave --test_animals out"):
        cross_validate(settings(tmp_path, tmp_path, **changes), RunFolder(tmp_path / "run"), 2)


def test_folds_on_several_devices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one device"):
        cross_validate(settings(tmp_path, tmp_path, devices="2"), RunFolder(tmp_path / "run"), 2)


@pytest.mark.parametrize(
    ("flags", "folds"),
    [(["--folds", "3"], 3), (["--leave-one-out"], None), (["--leave_one_out", "animal"], None)],
)
def test_folds_are_asked_for_by_number_or_as_animals(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: list[str], folds: int | None
) -> None:
    asked: list[int | None] = []

    def stopped(config: Config, run: RunFolder, folds: int | None) -> RunFolder:
        asked.append(folds)
        raise UserError("enough")

    monkeypatch.setattr(crossval, "cross_validate", stopped)
    assert (
        main(["train", "video", "--videos", str(tmp_path), *flags, "--run", str(tmp_path / "run")])
        == 2
    )
    assert asked == [folds]


def test_what_a_run_was_started_from_has_been_seen_too(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "second")
    first.start(Config(), PAIN, Split(("a", "b"), ("c",), ("d",)))
    warm = dataclasses.replace(TrainConfig(), warm_start=first.path)
    second.start(Config(train=warm), PAIN, Split(("d",), (), ("a", "e")))
    shutil.rmtree(first.path)
    assert second.learned_from() == {"a", "b", "c", "d"}


def test_the_table_shows_what_the_decoder_changes_keypoints_and_each_fold() -> None:
    truth = np.repeat([0, 1, 0, 1], 25)
    summary = summarize([Scored("a", truth, truth)], ("rest", "lick"))
    plain = summarize([Scored("a", truth, np.zeros(100, int))], ("rest", "lick"))
    points = {"points": 7, "mae_px": 2.51, "mae_normalized": 0.02, "mae_body_lengths": 0.034}
    folds = [{"macro_f1": 0.5}, {"macro_f1": 0.25}]
    metrics = {
        **summary,
        "argmax": plain,
        "decoder": "viterbi",
        "keypoints": points,
        "by_fold": folds,
    }
    said = str(metrics_table("folds", metrics, None).title)
    assert "decoder viterbi; the likeliest class of each frame alone: macro-F1 0.333" in said
    assert "mean error 2.5 px, 2.0 % of the crop's side, 0.034 body lengths (7 points)" in said
    assert "macro-F1 by fold: 0.500, 0.250" in said
    same = str(
        metrics_table("test", {**summary, "argmax": summary, "decoder": "argmax"}, None).title
    )
    assert "likeliest" not in same
