"""Recordings of any frame rate, from the video to the labels of every frame."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dolorim.cli import main
from dolorim.config import Config, DataConfig, ModelConfig, config_toml
from dolorim.core.errors import UserError
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.dataset.loading import load_dataset
from dolorim.dataset.run_rate import at_rate, with_rate
from dolorim.dataset.splits import Split
from dolorim.dataset.study import in_study_folder
from dolorim.evaluation.evaluate import evaluate_recordings, read_scored
from dolorim.files.tables import write_table, write_text
from dolorim.inference.decoder import Decoder
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.raw_prediction import PredictInput
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import PAIN
from dolorim.labels.prediction_files import read_predictions
from dolorim.labels.predictions import Predictions
from dolorim.labels.trials import Recording
from dolorim.models.build import build_recognizer
from dolorim.pose.pose_track import PoseTrack
from dolorim.video.body_length import NO_LENGTHS
from dolorim.video.writer import write_lossless

_SECOND = 30


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run at 30 frames/s with random weights, and bouts of at least 0.2 s."""
    torch.manual_seed(0)
    data = DataConfig(image_size=32, crop="none", run_rate_hz=30)
    config = Config(data=data, model=ModelConfig(clip_length=8))
    folder = RunFolder(tmp_path_factory.mktemp("rates") / "run")
    folder.start(config, PAIN, Split(train=("a",)))
    folder.save_model(build_recognizer(config.model, len(PAIN)))
    decoder = Decoder(kind="viterbi", min_duration_s=(0.2,) * len(PAIN))
    folder.write_json("decoder.json", decoder.to_dict())
    return folder


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (4 * _SECOND, 4, 4), np.uint8)
    return coarse.repeat(8, 1).repeat(8, 2)


def predict(run: RunFolder, video: Path, **options: int) -> Predictions:
    out = video.parent / "out"
    batch = predict_videos(
        run, [PredictInput(video, video.stem)], out, PredictOptions(**options), part_units=1
    )
    assert batch.done == [video]
    return read_predictions(out / f"{video.stem}.predictions.csv")


@pytest.fixture(scope="module")
def at_30(
    run: RunFolder, pictures: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Predictions:
    return predict(run, write_lossless(tmp_path_factory.mktemp("at") / "a.mkv", pictures, 30))


@pytest.mark.parametrize("times", [2, 4])
def test_a_video_whose_frames_come_twice_as_fast_gets_the_same_labels(
    run: RunFolder, pictures: np.ndarray, at_30: Predictions, tmp_path: Path, times: int
) -> None:
    video = write_lossless(tmp_path / "a.mkv", pictures.repeat(times, 0), 30 * times)
    fast = predict(run, video)
    assert len(fast.labels) == times * len(pictures)
    # The frame halfway between two steps goes with the first of them.
    np.testing.assert_array_equal(fast.labels[::times], at_30.labels)
    np.testing.assert_allclose(fast.probabilities[::times], at_30.probabilities, atol=1e-4)
    meta = json.loads((tmp_path / "out" / "a.meta.json").read_text())
    assert meta["seen_at_hz"] == 30
    assert meta["fps"] == pytest.approx(30 * times, rel=0.01)


@pytest.mark.parametrize(
    ("rate_hz", "doubt"), [(15, "paw shake"), (1000, "was it really filmed so fast?")]
)
def test_a_video_that_no_run_can_see_rightly_is_labelled_and_its_rate_is_doubted(
    run: RunFolder,
    pictures: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rate_hz: int,
    doubt: str,
) -> None:
    odd = predict(run, write_lossless(tmp_path / "odd.mkv", pictures, rate_hz))
    assert len(odd.labels) == len(pictures)
    said = capsys.readouterr().err
    assert f"{rate_hz} frames/s, seen at the run's 30" in said
    assert doubt in said


def test_what_has_the_runs_rate_is_not_resampled(at_30: Predictions) -> None:
    assert "seen_at_hz" not in at_30.meta


def test_a_shortest_bout_is_the_same_time_at_every_rate(
    run: RunFolder, pictures: np.ndarray, tmp_path: Path
) -> None:
    """0.2 s are 12 frames at 60 frames/s, but for the bouts that the ends may cut short."""
    fast = predict(run, write_lossless(tmp_path / "a.mkv", pictures.repeat(2, 0), 60))
    changes = np.flatnonzero(np.diff(fast.labels))
    assert (np.diff(changes) >= 12).all()


@pytest.fixture(scope="module")
def mixed(pictures: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Two animals that do the same, one filmed at 30 and one at 60 frames/s."""
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "Videos").mkdir()
    labels = np.arange(len(pictures)) // 10 % 8
    for animal, times in (("1M", 1), ("2F", 2)):
        write_lossless(folder / "Videos" / f"{animal}.mkv", pictures.repeat(times, 0), 30 * times)
        rows = enumerate(labels.repeat(times).tolist())
        write_table(folder / "Annotations" / f"{animal}.csv", ("Frame", "Action"), rows)
    config = DataConfig(crop="none", image_size=32, cache=folder / "cache")
    return in_study_folder(folder, config)


def test_an_animal_at_twice_the_rate_does_not_count_twice_in_learning(
    mixed: DataConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = load_dataset(Config(data=mixed))
    slow, fast = dataset.labelled
    assert dataset.rate_hz == 30
    assert slow.grid is None
    np.testing.assert_array_equal(slow.recording.labels, fast.recording.labels)
    frames = np.arange(slow.n_frames)
    assert slow.video is not None
    assert fast.video is not None
    np.testing.assert_array_equal(slow.video.pictures(frames), fast.video.pictures(frames))
    assert len(fast.on_frames.labels) == 2 * slow.n_frames
    assert "2F: 60 frames/s, seen at the run's 30" in capsys.readouterr().err


def test_an_animal_at_twice_the_rate_does_not_count_twice_in_scores(
    mixed: DataConfig, run: RunFolder, tmp_path: Path
) -> None:
    settings = replace(run.read_config(), data=replace(mixed, run_rate_hz=30))
    dataset = load_dataset(settings, NO_LENGTHS)
    scores = evaluate_recordings(run, dataset.labelled, tmp_path)
    assert scores["frames"] == 2 * 120
    # Every frame that was filmed is in the files, and both animals get the same labels.
    one, two = (read_predictions(tmp_path / f"{name}.predictions.csv") for name in ("1M", "2F"))
    np.testing.assert_array_equal(one.labels.repeat(2), two.labels)
    scored = read_scored(tmp_path, run.read_ethogram())
    np.testing.assert_array_equal(scored["1M"].truth, scored["2F"].truth)
    np.testing.assert_array_equal(scored["1M"].predicted, scored["2F"].predicted)


def test_a_run_keeps_its_rate_and_the_frames_of_a_clip_in_seconds() -> None:
    config = Config(model=ModelConfig(clip_s=0.5))
    resolved = with_rate(config, 50.0)
    assert resolved.data.run_rate_hz == 50
    assert (resolved.model.clip_length, resolved.model.clip_s) == (25, None)
    assert with_rate(resolved, 50.0) == resolved


def test_a_rate_far_above_what_was_filmed_is_refused(mixed: DataConfig) -> None:
    with pytest.raises(UserError, match="--run_rate_hz 1000: the fastest recording has 60"):
        load_dataset(Config(data=replace(mixed, run_rate_hz=1000)))


@pytest.mark.parametrize("rate", ["0", "-30", "nan"])
def test_a_rate_that_is_none_is_refused(
    rate: str, mixed: DataConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mixed.videos is not None
    folder = str(mixed.videos.parent)
    assert main(["check", folder, "--run_rate_hz", rate]) == 2
    assert "rate_hz" in capsys.readouterr().err


def test_check_names_what_is_resampled(
    mixed: DataConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mixed.videos is not None
    main(["check", str(mixed.videos.parent), "--all", "--workers", "1", "--json", "-"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    (differing,) = [finding for finding in findings if finding["name"] == "rates-differ"]
    assert differing["where"] == "2F"
    assert differing["what"] == "60 frames/s, seen at the run's 30"


def test_what_has_the_runs_rate_gets_the_very_labels_of_a_run_without_one(
    run: RunFolder, at_30: Predictions, pictures: np.ndarray, tmp_path: Path
) -> None:
    settings = with_rate(run.read_config(), None)
    without = RunFolder(shutil.copytree(run.path, tmp_path / "run"))
    write_text(without.config, config_toml(settings))
    video = write_lossless(tmp_path / "a.mkv", pictures, 30)
    predictions = predict(without, video)
    np.testing.assert_array_equal(predictions.labels, at_30.labels)
    np.testing.assert_array_equal(predictions.probabilities, at_30.probabilities)


def test_poses_alone_are_seen_at_the_runs_rate() -> None:
    """A pose of 60 frames/s without a video becomes one of 30 with the same way."""
    places = np.arange(120, dtype=np.float32)
    points = np.stack([places, 2 * places], -1)[:, None, None]
    track = PoseTrack(("mouth",), points, np.zeros((120, 1, 1), np.float32), 50.0, 60.0)
    recording = Recording("a", "1M", np.repeat(np.arange(4, dtype=np.int16), 30))
    (seen,) = at_rate([LabelledRecording(recording, track=track)], 30.0)
    assert seen.track is not None
    np.testing.assert_array_equal(seen.track.points[:, 0, 0, 0], places[::2])
    np.testing.assert_array_equal(seen.recording.labels, recording.labels[::2])
    np.testing.assert_allclose(seen.time_s, np.arange(60) / 30)
    np.testing.assert_array_equal(seen.by_frame(seen.recording.labels), recording.labels)
