"""Recordings of any frame rate, from the video to the labels of every frame."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dolorim.config import Config, DataConfig, ModelConfig
from dolorim.dataset.splits import Split
from dolorim.inference.decoder import Decoder
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.raw_prediction import PredictInput
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import PAIN
from dolorim.labels.prediction_files import read_predictions
from dolorim.labels.predictions import Predictions
from dolorim.models.build import build_recognizer
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


def test_a_slow_video_is_labelled_and_what_it_cannot_show_is_said(
    run: RunFolder, pictures: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = predict(run, write_lossless(tmp_path / "slow.mkv", pictures[::2], 15))
    assert len(slow.labels) == len(pictures) // 2
    said = capsys.readouterr().err
    assert "15 frames/s, seen at the run's 30" in said
    assert "paw shake" in said


def test_what_has_the_runs_rate_is_not_resampled(at_30: Predictions) -> None:
    assert "seen_at_hz" not in at_30.meta


def test_a_shortest_bout_is_the_same_time_at_every_rate(
    run: RunFolder, pictures: np.ndarray, tmp_path: Path
) -> None:
    """0.2 s are 12 frames at 60 frames/s, but for the bouts that the ends may cut short."""
    fast = predict(run, write_lossless(tmp_path / "a.mkv", pictures.repeat(2, 0), 60))
    changes = np.flatnonzero(np.diff(fast.labels))
    assert (np.diff(changes) >= 12).all()
