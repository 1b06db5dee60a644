"""Two runs are compared on the same recordings, and on animals that neither has learned from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dolorim.cli import main
from dolorim.config import Config, DataConfig, ModelConfig, TrainConfig
from dolorim.core.errors import UserError
from dolorim.dataset.splits import Split
from dolorim.evaluation.compare import compare_held_out
from dolorim.inference.decoder import Decoder
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import PAIN, Ethogram, RawClass
from dolorim.labels.label_files import write_labels
from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.models.build import build_recognizer

CLASSES = ("rest", "lick")
TWO = Ethogram(tuple(RawClass(i, n, n) for i, n in enumerate(CLASSES)), CLASSES)
TRUTH = np.repeat([0, 1, 0, 1], 25)
TESTED = ("x", "y", "z")
ONE_SPLIT = Split(("a",), ("b",), TESTED)


def scored(path: Path, wrong: int, split: Split | list[Split] = ONE_SPLIT) -> RunFolder:
    """A run that was scored on three animals and took the first frames of each for the other
    class.
    """
    run = RunFolder(path)
    run.start(Config(), TWO, split)
    for i, animal in enumerate(TESTED):
        labels = TRUTH.copy()
        labels[: wrong + i] = 1 - labels[: wrong + i]
        part = run.predictions("test" if isinstance(split, Split) else "folds")
        meta = {"animal": animal, "trials": [[0, 50], [50, 100]]}
        chances = np.eye(2)[labels] * 0.8 + 0.1
        write_predictions(
            part, Predictions(f"film_{animal}", CLASSES, labels, chances, np.arange(100) / 30, meta)
        )
        write_labels(part / f"film_{animal}.truth.csv", TRUTH, TWO)
    return run


def test_the_difference_is_that_of_the_second_to_the_first_with_an_interval_over_animals(
    tmp_path: Path,
) -> None:
    comparison = compare_held_out(scored(tmp_path / "one", 20), scored(tmp_path / "two", 10))
    assert comparison["a"]["accuracy"] == pytest.approx(0.79)
    assert comparison["b"]["accuracy"] == pytest.approx(0.89)
    assert comparison["difference"]["accuracy"] == pytest.approx(0.1)
    assert comparison["animals"] == list(TESTED)
    low, high = comparison["intervals"]["macro_f1"]
    assert low < comparison["difference"]["macro_f1"] < high
    assert comparison["seen_in_training"] == {}


def test_a_cross_validated_run_is_compared_with_another_on_all_their_animals(
    tmp_path: Path,
) -> None:
    folds = [Split(("y", "z"), (), ("x",)), Split(("x",), (), ("y", "z"))]
    one, two = (scored(tmp_path / n, 5, folds) for n in ("one", "two"))
    for run in (one, two):
        for k, split in enumerate(folds):
            run.fold(k).start(Config(), TWO, split)
    assert compare_held_out(one, two)["difference"]["macro_f1"] == 0


def test_the_command_shows_the_comparison_and_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = scored(tmp_path / "one", 20), scored(tmp_path / "two", 10)
    assert (
        main(["evaluate", str(one.path), str(two.path), "--json", str(tmp_path / "found.json")])
        == 0
    )
    said = capsys.readouterr().err
    assert "+0.100" in said
    assert "3 animals are few" in " ".join(said.split())
    assert json.loads((tmp_path / "found.json").read_text())["runs"] == {
        "a": str(one.path),
        "b": str(two.path),
    }


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (Split(("a", "x"), (), ("y", "z")), "has learned from x, on which the other was scored"),
        (Split(("a",), ("z",), ("x", "y")), "has learned from z"),
        (Split(("a",), (), ("x", "y")), "one was scored on x, y, z, .*two on x, y"),
        (Split(("a",)), "has no test animals"),
    ],
)
def test_runs_that_were_not_held_out_alike_are_not_compared(
    tmp_path: Path, split: Split, said: str
) -> None:
    one, two = scored(tmp_path / "one", 20), scored(tmp_path / "two", 10, split)
    with pytest.raises(UserError, match=said):
        compare_held_out(one, two)


def test_what_one_run_has_seen_can_be_asked_for_and_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warm = Config(
        train=TrainConfig(
            warm_start=scored(tmp_path / "first", 1, Split(("x",), (), TESTED[1:])).path
        )
    )
    one, two = scored(tmp_path / "one", 20), scored(tmp_path / "two", 10)
    two.config.unlink()
    two.start(warm, TWO, Split(("a",), ("b",), TESTED))
    command = ["evaluate", str(one.path), str(two.path)]
    assert main(command) == 2
    assert "has learned from x" in capsys.readouterr().err
    assert main([*command, "--seen_animals_too"]) == 0
    assert "SEEN IN TRAINING" in capsys.readouterr().err


def test_changed_labels_a_lacking_recording_and_other_classes_are_refused(tmp_path: Path) -> None:
    one, two = scored(tmp_path / "one", 20), scored(tmp_path / "two", 10)
    truth = two.predictions("test") / "film_x.truth.csv"
    write_labels(truth, 1 - TRUTH, TWO)
    with pytest.raises(UserError, match="film_x: its labels have changed"):
        compare_held_out(one, two)
    truth.unlink()
    with pytest.raises(UserError, match="two: was not scored on film_x"):
        compare_held_out(one, two)
    three = RunFolder(tmp_path / "three")
    three.start(Config(), PAIN, Split(("a",), (), TESTED))
    with pytest.raises(UserError, match="knows the classes rest, lick"):
        compare_held_out(one, three)


def test_predictions_of_an_older_version_have_to_be_made_again(tmp_path: Path) -> None:
    one, two = scored(tmp_path / "one", 20), scored(tmp_path / "two", 10)
    path = two.predictions("test") / "film_y.meta.json"
    path.write_text(
        json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "animal"})
    )
    with pytest.raises(UserError, match="do not say whose they are"):
        compare_held_out(one, two)


def test_two_runs_are_scored_on_a_study_of_animals_that_are_new_to_both(
    study: Path, frame_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = DataConfig(image_size=16, trial_length=90, cache=frame_cache)
    runs = []
    for seed, learned in ((0, "a"), (1, "b")):
        torch.manual_seed(seed)
        config = Config(
            data=data, model=ModelConfig(clip_length=4), train=TrainConfig(accelerator="cpu")
        )
        run = RunFolder(tmp_path / learned)
        run.start(config, PAIN, Split(train=(learned,)))
        run.save_model(build_recognizer(config.model, len(PAIN)))
        run.write_json("decoder.json", Decoder().to_dict())
        runs.append(run)
    target = tmp_path / "found.json"
    command = [
        "evaluate",
        *(str(run.path) for run in runs),
        str(study),
        "--json",
        str(target),
        "--quiet",
    ]
    assert main(command) == 0
    written = json.loads(target.read_text())
    assert written["animals"] == ["201M", "202F", "203M", "204F", "205M"]
    assert written["difference"]["accuracy"] == pytest.approx(
        written["b"]["accuracy"] - written["a"]["accuracy"]
    )
    assert main(["evaluate", str(runs[0].path), str(study), str(study)]) == 2
    assert "not a run folder" in capsys.readouterr().err
