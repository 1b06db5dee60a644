"""Prediction on new videos: the files, batches with bad videos, going on, damage, and memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dolorim.config import Config, DataConfig, ModelConfig
from dolorim.core.errors import UserError
from dolorim.dataset.labelled_recording import Halo, InputSpec
from dolorim.dataset.splits import Split
from dolorim.inference.decoder import Decoder
from dolorim.inference.inputs import unique_stems
from dolorim.inference.predict_batch import BatchResult, predict_videos
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.predict_worker import summary_text
from dolorim.inference.raw_prediction import PredictInput
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.streaming import Predictor
from dolorim.labels.ethogram import PAIN
from dolorim.labels.prediction_files import read_predictions
from dolorim.labels.predictions import Predictions
from dolorim.models.build import build_recognizer
from dolorim.models.recognizer import Inputs, Streams
from dolorim.video.crop import Crops, crop_frames, plan_crop
from dolorim.video.reader import FrameStream


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run folder with random weights: prediction does not care how good they are."""
    torch.manual_seed(0)
    config = Config(data=DataConfig(image_size=32), model=ModelConfig(clip_length=8))
    folder = RunFolder(tmp_path_factory.mktemp("random") / "run")
    folder.start(config, PAIN, Split(train=("a",)))
    folder.save_model(build_recognizer(config.model, len(PAIN)))
    folder.write_json("decoder.json", Decoder().to_dict())
    return folder


def label(run: RunFolder, videos: list[Path], out: Path, **knobs: Any) -> BatchResult:
    """Predict videos that have no pose."""
    recordings = [PredictInput(v, v.stem) for v in videos]
    return predict_videos(run, recordings, out, PredictOptions(**knobs))


@pytest.fixture
def video(study: Path) -> Path:
    return sorted((study / "Videos").iterdir())[0]


def test_every_frame_gets_a_label_a_time_and_probabilities_that_sum_to_one(
    run: RunFolder, video: Path, tmp_path: Path
) -> None:
    outcome = label(run, [video], tmp_path)
    assert (outcome.done, outcome.failed, outcome.damaged) == ([video], [], [])
    predictions = read_predictions(tmp_path / f"{video.stem}.predictions.csv")
    assert predictions.classes == PAIN.classes
    assert len(predictions.labels) == 180
    np.testing.assert_allclose(predictions.time_s, np.arange(180) / 30, atol=1e-3)
    np.testing.assert_allclose(predictions.probabilities.sum(1), 1, atol=1e-3)
    np.testing.assert_array_equal(predictions.labels, predictions.probabilities.argmax(1))


def test_the_bouts_file_says_the_same_as_the_frames(
    run: RunFolder, video: Path, tmp_path: Path
) -> None:
    label(run, [video], tmp_path)
    predictions = read_predictions(tmp_path / f"{video.stem}.predictions.csv")
    rows = [
        line.split(",") for line in (tmp_path / f"{video.stem}.bouts.csv").read_text().splitlines()
    ]
    assert rows[0] == [
        "start_frame",
        "stop_frame",
        "start_s",
        "stop_s",
        "label",
        "mean_probability",
    ]
    again = np.concatenate([[PAIN.classes.index(r[4])] * (int(r[1]) - int(r[0])) for r in rows[1:]])
    np.testing.assert_array_equal(again, predictions.labels)


def test_meta_json_says_where_the_predictions_come_from(
    run: RunFolder, video: Path, tmp_path: Path
) -> None:
    label(run, [video], tmp_path)
    meta = json.loads((tmp_path / f"{video.stem}.meta.json").read_text())
    assert meta["n_frames"] == 180
    assert meta["fps"] == pytest.approx(30, abs=0.01)
    assert meta["video"] == str(video)
    assert meta["run"] == str(run.path)
    assert {"dolorim", "fingerprint", "classes", "damage"} <= set(meta)


def test_streaming_a_video_gives_what_the_network_gives_on_all_of_it(
    run: RunFolder, video: Path, tmp_path: Path
) -> None:
    label(run, [video], tmp_path)
    config = run.read_config()
    blocks = list(crop_frames(FrameStream(video), plan_crop(video, config.data)))
    model = run.load_model()
    images = torch.from_numpy(np.concatenate([b.images for b in blocks]))[None, None].float() / 255
    track = torch.from_numpy(np.concatenate([b.centers for b in blocks]))[None]
    with torch.no_grad():
        whole = model(Inputs(images, track)).actions[0].softmax(-1).numpy()
    predictions = read_predictions(tmp_path / f"{video.stem}.predictions.csv")
    np.testing.assert_allclose(predictions.probabilities, whole, atol=2e-4)


def test_one_bad_video_is_named_and_does_not_stop_the_others(
    run: RunFolder, study: Path, tmp_path: Path
) -> None:
    good = sorted((study / "Videos").iterdir())[:2]
    empty, text = tmp_path / "empty.mp4", tmp_path / "text.mp4"
    empty.touch()
    text.write_text("no video")
    outcome = label(
        run, [good[0], empty, text, tmp_path / "missing.mp4", good[1]], tmp_path / "out"
    )
    assert outcome.done == list(good)
    assert [video for video, _ in outcome.failed] == [empty, text, tmp_path / "missing.mp4"]
    assert "0 bytes" in outcome.failed[0][1]
    assert all(str(video) in reason for video, reason in outcome.failed)


def test_a_damaged_video_keeps_the_frames_that_decode(
    run: RunFolder, real_data: Path, tmp_path: Path
) -> None:
    video = real_data / "odd_videos" / "corrupted.mp4"
    outcome = label(run, [video], tmp_path)
    assert outcome.damaged[0][0] == video
    assert len(read_predictions(tmp_path / "corrupted.predictions.csv").labels) == 28
    assert "28 frames" in json.loads((tmp_path / "corrupted.meta.json").read_text())["damage"]


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("flipping_a_pancake.mkv", 310),
        ("h264_10bits.mp4", 30),
        ("video_90.mov", 3),
        ("var_fps.mp4", 300),
    ],
)
def test_odd_videos_get_one_row_for_every_true_frame(
    run: RunFolder, real_data: Path, tmp_path: Path, name: str, frames: int
) -> None:
    video = next((real_data / "odd_videos").glob(f"{Path(name).stem}*"))
    label(run, [video], tmp_path)
    assert len(read_predictions(tmp_path / f"{video.stem}.predictions.csv").labels) == frames


def test_a_batch_goes_on_where_it_stopped(run: RunFolder, study: Path, tmp_path: Path) -> None:
    videos = sorted((study / "Videos").iterdir())[:3]
    label(run, videos[:2], tmp_path)
    (tmp_path / f"{videos[1].stem}.meta.json").unlink()  # as if it had been stopped while it wrote
    outcome = label(run, videos, tmp_path, overwrite=False)
    assert outcome.skipped == [videos[0]]
    assert outcome.done == [videos[1], videos[2]]


def test_a_video_that_has_changed_is_predicted_again(
    run: RunFolder, study: Path, tmp_path: Path
) -> None:
    videos, copy = sorted((study / "Videos").iterdir()), tmp_path / "copy.mp4"
    shutil.copy(videos[0], copy)
    label(run, [copy], tmp_path / "out")
    shutil.copy(videos[1], copy)
    outcome = label(run, [copy], tmp_path / "out", overwrite=False)
    assert outcome.done == [copy]


def test_another_camera_can_be_told_its_own_body_length_and_mask(
    run: RunFolder, video: Path, tmp_path: Path
) -> None:
    label(run, [video], tmp_path)
    usual = read_predictions(tmp_path / f"{video.stem}.predictions.csv").probabilities
    outcome = label(run, [video], tmp_path, overwrite=False, body_length_px=60.0, mask="0,0,30,160")
    assert outcome.done == [video]  # what was there had been seen otherwise
    other = read_predictions(tmp_path / f"{video.stem}.predictions.csv")
    assert np.abs(other.probabilities - usual).max() > 1e-3
    assert other.meta["view"]["body_length_px"] == 60
    assert (
        label(run, [video], tmp_path, overwrite=False, body_length_px=60.0, mask="0,0,30,160").done
        == []
    )


def test_the_overlay_has_as_many_frames_as_the_video_and_room_for_the_probabilities(
    run: RunFolder, video: Path, tmp_path: Path
) -> None:
    label(run, [video], tmp_path, overlay=True)
    frames = list(FrameStream(tmp_path / f"{video.stem}.overlay.mp4"))
    assert len(frames) == 180
    assert frames[0].luma.shape == (640, 640 + 212)


def test_videos_of_one_name_in_two_folders_keep_their_results_apart_or_are_refused(
    tmp_path: Path,
) -> None:
    assert unique_stems([Path("a/x.mp4"), Path("a/x.avi"), Path("b/y.mp4")]) == [
        "x.mp4",
        "x.avi",
        "y",
    ]
    with pytest.raises(UserError, match="--out"):
        unique_stems([Path("a/x.mp4"), Path("b/x.mp4")])


def test_the_chunk_that_is_decided_at_a_time_does_not_grow_with_the_video(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, sizes = run.load_model(), []

    def encode(inputs: Inputs, *, halo: bool, maps: int) -> Streams:
        assert inputs.frames is not None
        sizes.append(inputs.frames.shape[2])
        return Streams(torch.zeros(1, sizes[-1] - 7, 512), None)

    monkeypatch.setattr(model, "encode", encode)
    predictor = Predictor(
        model, InputSpec(Halo(4, 3)), torch.device("cpu"), "32", chunk=16, fold=False
    )
    blocks = (
        Crops(
            i * 50,
            np.zeros((50, 32, 32), np.uint8),
            np.zeros((50, 2), np.float32),
            np.zeros(50),
            np.zeros(50),
        )
        for i in range(40)
    )
    assert sum(len(d.probabilities) for d in predictor.stream(blocks)) == 2000
    assert max(sizes) == 16 + 7


def test_the_line_about_a_video_begins_with_the_sign_of_pain_even_if_there_is_none_of_it() -> None:
    labels = np.array([0, 0, 0, 2], np.int16)
    classes = ("rest", "paw_withdraw", "walk")
    predictions = Predictions(
        "m1", classes, labels, np.eye(3)[labels], np.arange(4) / 30, {"fps": 30.0}
    )
    assert summary_text(predictions, "paw_withdraw") == "paw_withdraw 0.0%, rest 75.0%, walk 25.0%"
    assert summary_text(predictions, None) == "rest 75.0%, walk 25.0%"
