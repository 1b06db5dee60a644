"""Features of a frozen network, computed once and kept: heads decide on them as on the pictures themselves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from dolorim.config import Config, DataConfig, ModelConfig, TrainConfig
from dolorim.engine.features import with_features
from dolorim.engine.infer import Predictor
from dolorim.engine.material import gather
from dolorim.engine.needs import needs_of
from dolorim.engine.run_folder import RunFolder
from dolorim.engine.train import train
from dolorim.formats.project import in_project
from dolorim.models.build import build_recognizer


@pytest.mark.parametrize("pose", ["none", "graph"])
def test_decisions_on_stored_features_are_bit_for_bit_those_on_the_pictures(
    study: Path, tmp_path: Path, pose: str
) -> None:
    data = dataclasses.replace(in_project(study, DataConfig(cache=tmp_path, trial_length=90)), image_size=32)
    settings = ModelConfig(visual="vit_2d", encoder_name="vit_tiny_patch16_224", temporal="tcn", tcn_layers=4, width=16)
    config = Config(data=data, model=dataclasses.replace(settings, pose=pose), train=TrainConfig(accelerator="cpu"))
    material = gather(config)
    torch.manual_seed(0)
    model = build_recognizer(config.model, 6, material.skeleton, 32).eval()
    needs = needs_of(model, config.model, material.skeleton)
    plain = material.footage[:1]
    stored = with_features(plain, model, needs, config)
    assert stored[0].features is not None
    for read in (32, 1024):
        predictor = Predictor(model, needs, torch.device("cpu"), read=read)
        seen, kept = predictor(plain[0]).probabilities, predictor(stored[0]).probabilities
        np.testing.assert_array_equal(seen, kept)
        assert np.ptp(seen, axis=0).min() > 1e-4


def test_a_second_head_is_trained_and_scored_without_the_network_looking_at_anything_again(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = in_project(study, DataConfig(cache=tmp_path, trial_length=90, image_size=32))
    model = ModelConfig(visual="vit_2d", encoder_name="vit_tiny_patch16_224", encoder_weights="random", width=16)
    settings = TrainConfig(accelerator="cpu", epochs=1, train_T=32, batch_size=8)
    config = Config(data=data, model=model, train=settings)
    first = train(config, RunFolder(tmp_path / "first"))
    seen: list[int] = []
    monkeypatch.setattr(Predictor, "_see", lambda *_: seen.append(1))
    second = train(dataclasses.replace(config, model=dataclasses.replace(model, width=24)), RunFolder(tmp_path / "two"))
    assert not seen
    assert first.read_split() == second.read_split()
    assert second.read_json("metrics.json")["test"]["frames"] > 0
