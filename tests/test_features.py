"""Features of a frozen network, computed once and kept: heads decide on them as on the pictures
themselves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dolorim.cli import main
from dolorim.config import AugmentConfig, Config, DataConfig, ModelConfig, TrainConfig
from dolorim.dataset.augmentation import augment
from dolorim.dataset.loading import load_dataset
from dolorim.dataset.sampling import WindowSpec
from dolorim.dataset.study import in_study_folder
from dolorim.dataset.windows import Windows
from dolorim.inference.backbone_features import with_features
from dolorim.inference.input_spec import input_spec_of
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.streaming import Predictor
from dolorim.models.build import build_recognizer
from dolorim.models.vit import Vit2d
from dolorim.training.train import train

SMALL = ModelConfig(visual="vit_2d", encoder_name="vit_tiny_patch16_224", width=16)


@pytest.mark.parametrize("pose", ["none", "graph"])
def test_decisions_on_stored_features_are_bit_for_bit_those_on_the_pictures(
    study: Path, frame_cache: Path, pose: str
) -> None:
    data = dataclasses.replace(
        in_study_folder(study, DataConfig(cache=frame_cache, trial_length=90)), image_size=32
    )
    settings = ModelConfig(
        visual="vit_2d", encoder_name="vit_tiny_patch16_224", temporal="tcn", tcn_layers=4, width=16
    )
    config = Config(
        data=data,
        model=dataclasses.replace(settings, pose=pose),
        train=TrainConfig(accelerator="cpu"),
    )
    dataset = load_dataset(config)
    torch.manual_seed(0)
    model = build_recognizer(config.model, 6, dataset.skeleton, 32).eval()
    input_spec = input_spec_of(model, config.model, dataset.skeleton)
    plain = dataset.labelled[:1]
    stored = with_features(plain, model, input_spec, config)
    assert stored[0].features is not None
    for read in (32, 1024):
        predictor = Predictor(model, input_spec, torch.device("cpu"), read=read)
        seen, kept = predictor(plain[0]).probabilities, predictor(stored[0]).probabilities
        np.testing.assert_array_equal(seen, kept)
        assert np.ptp(seen, axis=0).min() > 1e-4


def test_a_second_head_is_trained_and_scored_without_the_network_looking_at_anything_again(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = in_study_folder(study, DataConfig(cache=tmp_path, trial_length=90, image_size=32))
    model = ModelConfig(
        visual="vit_2d", encoder_name="vit_tiny_patch16_224", encoder_weights="random", width=16
    )
    settings = TrainConfig(accelerator="cpu", epochs=3, train_T=32, batch_size=8)
    config = Config(data=data, model=model, train=settings)
    first = train(config, RunFolder(tmp_path / "first"))
    videos = len(list((study / "Videos").iterdir()))
    assert (
        len(list(tmp_path.rglob("features-*.npy"))) == videos
    )  # what was saved is the network that was frozen
    seen: list[int] = []
    monkeypatch.setattr(Predictor, "_encode_chunk", lambda *_: seen.append(1))
    second = train(
        dataclasses.replace(config, model=dataclasses.replace(model, width=24)),
        RunFolder(tmp_path / "two"),
    )
    assert not seen
    assert first.read_split() == second.read_split()
    assert second.read_json("metrics.json")["test"]["frames"] > 0


def test_what_is_stored_is_seen_in_no_mirror_and_neither_are_labels_and_pose(
    study: Path, frame_cache: Path
) -> None:
    data = in_study_folder(study, DataConfig(cache=frame_cache, trial_length=90, image_size=32))
    config = Config(
        data=data,
        model=dataclasses.replace(SMALL, pose="graph"),
        train=TrainConfig(accelerator="cpu"),
    )
    dataset = load_dataset(config)
    model = build_recognizer(config.model, 6, dataset.skeleton, 32).eval()
    input_spec = input_spec_of(model, config.model, dataset.skeleton)
    (stored,) = with_features(dataset.labelled[:1], model, input_spec, config)
    windows = Windows([stored], 16, input_spec, AugmentConfig(kp_jitter_std=0.0))
    plain, mirrored = (windows[WindowSpec(0, 30, mirrored=m, seed=1)] for m in (False, True))
    changed = augment(
        {k: v[None] for k, v in mirrored.items()}, AugmentConfig(), [0, 2, 1, 3, 4, 5]
    )
    assert torch.equal(changed["labels"][0], plain["labels"])
    torch.testing.assert_close(mirrored["pose"], plain["pose"], equal_nan=True)


@torch.no_grad()
def test_features_without_points_are_those_of_a_video_without_a_pose_and_have_a_place_of_their_own(
    study: Path, tmp_path: Path
) -> None:
    data = in_study_folder(study, DataConfig(cache=tmp_path, trial_length=90, image_size=32))
    features = {}
    for pose in ("graph", "none"):
        config = Config(
            data=data,
            model=dataclasses.replace(SMALL, pose=pose),
            train=TrainConfig(accelerator="cpu"),
        )
        dataset = load_dataset(config)
        torch.manual_seed(0)
        model = build_recognizer(config.model, 6, dataset.skeleton, 32).eval()
        input_spec = input_spec_of(model, config.model, dataset.skeleton)
        one = dataset.labelled[0]
        for track in {one.track, None}:
            (stored,) = with_features(
                [dataclasses.replace(one, track=track)], model, input_spec, config
            )
            features[pose, track is not None] = torch.from_numpy(
                np.asarray(stored.features, np.float32)
            )
        if pose == "graph":
            assert isinstance(model.visual, Vit2d)
            torch.testing.assert_close(
                model.visual.without_points(features["graph", True]), features["graph", False]
            )
            assert features["graph", True][:, model.visual.pooled :].any()
    assert len(list(tmp_path.rglob("features-*.npy"))) == 3
    assert features["graph", False].shape[1] > features["none", False].shape[1]


def test_extract_computes_the_features_that_training_reads(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [
        "--cache",
        str(tmp_path),
        "--backbone_type",
        "vit_2d",
        "--encoder_name",
        "test_vit.r160_in1k",
    ]
    weights = tmp_path / "vit.safetensors"
    save_file(Vit2d("test_vit.r160_in1k", 112).net.state_dict(), weights)
    flags += ["--encoder_weights", str(weights), "--tasks", "action_only"]
    assert (
        main(["extract", str(study), "--approach", "multitask", "--features", *flags, "--quiet"])
        == 0
    )

    def again(*_: object) -> None:
        raise AssertionError("features were computed again")

    monkeypatch.setattr(Predictor, "features", again)
    folders = [
        "--videos",
        str(study / "Videos"),
        "--annotations",
        str(study / "Annotations"),
        "--quiet",
    ]
    small = [
        "--trial_length",
        "90",
        "--epochs",
        "1",
        "--width",
        "16",
        "--run",
        str(tmp_path / "run"),
    ]
    assert main(["train", "multitask", *folders, *flags, *small]) == 0
    assert main(["extract", str(study), "--features", "--cache", str(tmp_path), "--quiet"]) == 2
    assert "--tasks action_only" in capsys.readouterr().err
