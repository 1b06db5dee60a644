"""Frames that could be of two classes are left open, and bouts are listed by what they can
change.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dolorim.cli import main
from dolorim.cli.common import with_usual
from dolorim.config import Config, DataConfig, ModelConfig, TrainConfig
from dolorim.core.errors import UserError
from dolorim.core.palette import class_colors
from dolorim.dataset.splits import Split
from dolorim.evaluation.calibrate_conformal import LEVELS, calibrate
from dolorim.files.tables import read_table
from dolorim.inference.conformal import Conformal, read_sets
from dolorim.inference.decoder import Decoder
from dolorim.inference.overlay import _OPEN, _paint
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.raw_prediction import PredictInput
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import PAIN, Ethogram, RawClass
from dolorim.labels.label_files import write_labels
from dolorim.labels.prediction_files import read_predictions, write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.models.build import build_recognizer
from simulated_probabilities import CLASSES, simulate_probabilities

ETHOGRAM = Ethogram(tuple(RawClass(i, n, n) for i, n in enumerate(CLASSES)), CLASSES)


def validated(path: Path, animals: int) -> RunFolder:
    """A run with kept predictions of its validation animals, of which only the first one shows the
    last class."""
    run = RunFolder(path)
    run.start(Config(), ETHOGRAM, Split(("t",), tuple(f"v{i}" for i in range(animals))))
    for i in range(animals):
        p, truth = simulate_probabilities(i, 150)
        truth = np.where((truth == 3) & (i > 0), -1, truth)
        meta = {"animal": f"v{i}", "trials": []}
        predictions = Predictions(
            f"film{i}", CLASSES, p.argmax(1).astype(np.int16), p, np.arange(150) / 30, meta
        )
        write_predictions(run.predictions("val"), predictions)
        write_labels(
            run.predictions("val") / f"film{i}.truth.csv", truth.astype(np.int16), ETHOGRAM
        )
    return run


def test_sets_are_kept_for_several_levels_and_say_what_they_do_not_promise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = validated(tmp_path / "run", 20)
    calibrate(run, "val")
    assert [s["alpha"] for s in run.read_json("conformal.json")["sets"]] == list(LEVELS)
    sets = read_sets(run, 0.2, CLASSES)
    assert sets.animals[3] == 1
    assert not sets.guaranteed[3]
    assert "fewer than 9 held-out animals show: " in " ".join(capsys.readouterr().err.split())
    with pytest.raises(UserError, match=r"--abstain 0\.17: expected one of 0\.01, 0\.02"):
        read_sets(run, 0.17, CLASSES)
    with pytest.raises(UserError, match="its sets are of rest, withdraw"):
        read_sets(run, 0.2, PAIN.classes)


def test_two_animals_calibrate_nothing(tmp_path: Path) -> None:
    run = validated(tmp_path / "run", 2)
    calibrate(run, "val")
    with pytest.raises(UserError, match="no conformal sets, which need 3 held-out animals"):
        read_sets(run, 0.1, CLASSES)


def test_a_class_that_nobody_shows_does_not_leave_every_frame_open(tmp_path: Path) -> None:
    run = validated(tmp_path / "run", 1)
    sets = Conformal(0.1, (0.3, 0.4, 0.5, 0.0), (20, 20, 20, 0), (True, True, True, False))
    run.write_json("conformal.json", {"sets": [sets.to_dict()]})
    assert read_sets(run, 0.1, CLASSES).thresholds == (0.3, 0.4, 0.5, 0.3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with random weights, and thresholds that leave about half of the frames open."""
    torch.manual_seed(0)
    config = Config(
        data=DataConfig(image_size=16),
        model=ModelConfig(clip_length=4),
        train=TrainConfig(accelerator="cpu"),
    )
    folder = RunFolder(tmp_path_factory.mktemp("random") / "run")
    folder.start(config, PAIN, Split(train=("a",)))
    folder.save_model(build_recognizer(config.model, len(PAIN)))
    folder.write_json("decoder.json", Decoder().to_dict())
    return folder


def test_ambiguous_frames_are_left_open_and_counted(
    run: RunFolder, study: Path, tmp_path: Path
) -> None:
    video = sorted((study / "Videos").iterdir())[0]
    jobs = [PredictInput(video, video.stem)]
    predict_videos(run, jobs, tmp_path)
    usual = read_predictions(tmp_path / f"{video.stem}.predictions.csv")
    label = int(np.bincount(usual.labels).argmax())
    middle = float(np.median(usual.probabilities[usual.labels == label, label]))
    high = tuple(middle if c == label else 0.99 for c in range(len(PAIN)))
    sets = [
        Conformal(alpha, high, (20,) * len(PAIN), (True,) * len(PAIN)).to_dict()
        for alpha in (0.1, 0.2)
    ]
    run.write_json("conformal.json", {"sets": sets})
    outcome = predict_videos(run, jobs, tmp_path, PredictOptions(abstain=0.1, overwrite=False))
    assert outcome.done == [video]  # what was there had been decided otherwise
    predictions = read_predictions(tmp_path / f"{video.stem}.predictions.csv")
    sure = predictions.probabilities[:, label] >= middle - 1e-9
    assert 0 < sure.sum() < len(sure)
    np.testing.assert_array_equal(
        predictions.labels, np.where(sure & (usual.labels == label), label, -1)
    )
    assert predictions.meta["frames_left_open"] == int(np.sum(predictions.labels < 0))
    colors = class_colors(len(PAIN))
    gray, frame = np.zeros((64, 64), np.uint8), int(np.flatnonzero(predictions.labels < 0)[0])
    assert set(map(tuple, _paint(gray, predictions, frame, colors)[0, :640])) == {_OPEN}
    assert predict_videos(
        run, jobs, tmp_path, PredictOptions(abstain=0.1, overwrite=False)
    ).skipped == [video]
    assert predict_videos(
        run, jobs, tmp_path, PredictOptions(abstain=0.2, overwrite=False)
    ).done == [video]


def test_bouts_to_check_are_ranked_over_all_videos_also_those_that_were_done_before(
    run: RunFolder, study: Path, tmp_path: Path
) -> None:
    videos = sorted((study / "Videos").iterdir())[:2]
    predict_videos(run, [PredictInput(videos[0], "one")], tmp_path)
    predict_videos(
        run,
        [PredictInput(v, n) for v, n in zip(videos, ("one", "two"), strict=True)],
        tmp_path,
        PredictOptions(overwrite=False),
    )
    table = read_table(tmp_path / "to_check.csv")
    assert {row[0] for row in table.rows} == {"one", "two"}
    scores = [float(row[table.header.index("percent_of_readout")]) for row in table.rows]
    assert scores == sorted(scores, reverse=True)
    indicator = run.read_ethogram().indicator
    for name in ("one", "two"):
        predictions = read_predictions(tmp_path / f"{name}.predictions.csv")
        target = predictions.classes.index(str(indicator))
        of_it = sum(bout.label == target for bout, _ in predictions.bouts())
        listed = [row for row in table.rows if row[0] == name and row[5] == indicator]
        assert (
            len(listed) == of_it
        )  # every bout of the sign of pain is listed, and possible ones beside


def test_abstaining_without_sets_is_refused_before_any_video_is_read(
    run: RunFolder, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.path / "conformal.json").unlink(missing_ok=True)
    command = ["predict", str(run.path), str(study / "Videos"), "--out", str(tmp_path)]
    assert main([*command, "--abstain"]) == 2
    assert "conformal.json: the run has no conformal sets" in capsys.readouterr().err
    assert main([*command, "--abstain_by", str(run.path)]) == 2
    assert "needs --abstain" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["run", "v.mp4", "--abstain"], ["run", "v.mp4", "--abstain=0.1"]),
        (["run", "--abstain", "v.mp4"], ["run", "--abstain=0.1", "v.mp4"]),
        (["run", "--abstain", "0.2", "v.mp4"], ["run", "--abstain", "0.2", "v.mp4"]),
        (["run", "--abstain=0.2"], ["run", "--abstain=0.2"]),
    ],
)
def test_a_flag_without_a_number_has_the_usual_one(given: list[str], read: list[str]) -> None:
    assert with_usual(given, "--abstain", "0.1", lambda w: w.replace(".", "").isdigit()) == read


def test_the_file_of_sets_names_the_animals_behind_them(tmp_path: Path) -> None:
    run = validated(tmp_path / "run", 4)
    calibrate(run, "val")
    assert json.loads((run.path / "conformal.json").read_text())["animals"] == [
        "v0",
        "v1",
        "v2",
        "v3",
    ]


def test_sets_of_probabilities_of_another_kind_are_refused(run: RunFolder, tmp_path: Path) -> None:
    sets = [Conformal(0.1, (0.5,) * len(PAIN), (20,) * len(PAIN), (True,) * len(PAIN)).to_dict()]
    newer = RunFolder(tmp_path / "newer")
    shutil.copytree(run.path, newer.path)
    newer.write_json("decoder.json", Decoder(prior=(1.5,) * len(PAIN)).to_dict())
    newer.write_json("conformal.json", {"sets": sets, "prior_corrected": True})
    run.write_json("conformal.json", {"sets": sets})  # as version 0.1.0 wrote it
    assert (
        read_sets(newer, 0.1, PAIN.classes, newer).alpha
        == read_sets(run, 0.1, PAIN.classes, run).alpha
        == 0.1
    )
    for by, wanted in ((run, newer), (newer, run)):
        with pytest.raises(UserError, match="train the older one again"):
            read_sets(by, 0.1, PAIN.classes, wanted)
