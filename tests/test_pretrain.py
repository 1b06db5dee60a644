"""Learning an encoder from videos without labels."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.encoder_features import encoder_features

import dolorim as dl
from dolorim.cli import main
from dolorim.config import AugmentConfig, Config, DataConfig, ModelConfig
from dolorim.core.errors import UserError
from dolorim.dataset.augmentation import augment
from dolorim.files.recordings import InChamber
from dolorim.inference import encoder_folder
from dolorim.inference.encoder_folder import (
    describe_video,
    keep_card,
    load_encoder_folder,
    save_encoder,
    seen_videos,
)
from dolorim.inference.run_folder import RunFolder
from dolorim.models.build import build_recognizer
from dolorim.models.cnn3d import Cnn3d
from dolorim.models.frame_encoder import FrameEncoder, calibrate_statistics, seen_window
from dolorim.pose.pose import NO_SKELETON
from dolorim.training import pretrain
from dolorim.training.model_card import write_model_card
from dolorim.training.module import thaw
from dolorim.training.prepare import _load_weights
from dolorim.training.pretrain_options import PretrainOptions
from dolorim.training.quick import new_quick
from dolorim.training.vicreg import share_matched, vicreg_loss
from dolorim.training.view_pairs import ViewPairs
from dolorim.video import cache
from dolorim.video.crop import Crops

TINY = ["--steps", "2", "--batch_size", "8", "--image_size", "32", "--accelerator", "cpu"]


@pytest.fixture(scope="module")
def place(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the cached videos of two animals and an encoder that has seen them."""
    folder = tmp_path_factory.mktemp("pretrained")
    (folder / "videos").mkdir()
    for video in sorted((study / "Videos").iterdir())[:2]:
        shutil.copy(video, folder / "videos")
    assert main(command(folder, "encoder")) == 0
    return folder


def command(place: Path, out: str, *more: str) -> list[str]:
    files = [str(place / "videos"), "--out", str(place / out), "--cache", str(place / "cache")]
    return ["pretrain", *files, *TINY, "--quiet", *more]


def crops(images: np.ndarray, start: int = 0) -> Crops:
    n = len(images)
    return Crops(start, images, np.zeros((n, 2), np.float32), np.arange(n) / 30, np.zeros(n))


def test_an_encoder_is_two_files_and_its_card_names_the_videos_by_content(place: Path) -> None:
    encoder = load_encoder_folder(place / "encoder")
    assert sorted(p.name for p in (place / "encoder").iterdir()) == [
        "encoder.json",
        "encoder.safetensors",
    ]
    videos = sorted((place / "videos").iterdir())
    assert [video["name"] for video in encoder.card["videos"]] == [v.name for v in videos]
    assert {video["frames"] for video in encoder.card["videos"]} == {180}
    assert encoder.card["settings"]["steps"] == 2
    renamed = place / "renamed.mp4"
    shutil.copy(videos[1], renamed)
    assert seen_videos(encoder.card, [renamed, place / "cache"]) == {renamed}


def test_an_encoder_has_about_300_000_parameters_and_256_features() -> None:
    encoder = FrameEncoder()
    assert sum(p.numel() for p in encoder.parameters()) == 304_432
    assert encoder(torch.zeros(2, 11, 64, 64)).shape == (2, 3, 256)


def test_a_training_that_was_interrupted_ends_as_one_that_was_not(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrain, "_SAVE_EVERY", 1)
    one_step = pretrain._one_step

    def interrupted(state: pretrain._State, batch: torch.Tensor) -> None:
        if state.step == 1:
            raise KeyboardInterrupt
        one_step(state, batch)

    with monkeypatch.context() as patch:
        patch.setattr(pretrain, "_one_step", interrupted)
        assert main(command(place, "again")) == 130
    assert main(command(place, "again", "--seed", "1")) == 2  # another training
    assert main(command(place, "again")) == 0
    assert not (place / "again" / "last.ckpt").exists()
    whole = (place / "encoder" / "encoder.safetensors").read_bytes()
    assert (place / "again" / "encoder.safetensors").read_bytes() == whole


def test_a_finished_encoder_is_not_replaced(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(place, "encoder")) == 2
    assert "holds a finished encoder" in capsys.readouterr().err


def test_an_encoder_that_continues_another_has_seen_its_videos_too(place: Path) -> None:
    first, second = sorted((place / "videos").iterdir())
    settings = {"steps": 1, "batch_size": 8, "image_size": 32, "cache": place / "cache"}
    before = dl.pretrain(first, out=place / "one", **settings)
    after = dl.pretrain(second, out=place / "two", continue_from=place / "one", **settings)
    assert [video["name"] for video in after.card["videos"]] == [second.name, first.name]
    assert after.card["settings"]["continued_from"] == before.key


def test_a_video_that_cannot_be_read_does_not_stop_the_others(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    words = command(place, "without_broken")
    words.insert(2, str(tmp_path / "broken.mp4"))
    assert main(words) == 1
    assert "broken.mp4" in capsys.readouterr().err
    assert len(load_encoder_folder(place / "without_broken").card["videos"]) == 2


def test_features_do_not_depend_on_how_a_video_is_divided_into_blocks(place: Path) -> None:
    encoder = load_encoder_folder(place / "encoder")
    images = np.random.default_rng(0).integers(0, 255, (150, 32, 32), np.uint8)
    whole = np.concatenate([*encoder_features(encoder, [crops(images)], 1.6)])
    blocks = [crops(images[:1]), crops(images[1:1], 1), crops(images[1:97], 1)]
    blocks.append(crops(images[97:], 97))
    parts = np.concatenate([*encoder_features(encoder, blocks, 1.6)])
    assert whole.shape == (150, encoder.width)
    np.testing.assert_allclose(whole, parts, atol=1e-5)
    assert not [*encoder_features(encoder, [], 1.6)]


def test_an_encoder_whose_files_do_not_belong_together_is_refused(place: Path) -> None:
    torch.manual_seed(0)
    save_encoder(FrameEncoder(), {}, place / "other")
    shutil.copytree(place / "encoder", place / "mixed")
    shutil.copy(place / "other" / "encoder.safetensors", place / "mixed")
    with pytest.raises(UserError, match=r"not the weights that encoder\.json describes"):
        load_encoder_folder(place / "mixed")
    card = json.loads((place / "other" / "encoder.json").read_text())
    (place / "other" / "encoder.json").write_text(json.dumps({**card, "stages": [8, 16]}))
    with pytest.raises(UserError, match="not the weights of this encoder"):
        load_encoder_folder(place / "other")
    (place / "other" / "encoder.json").write_text(json.dumps({**card, "stages": [-1, "x"]}))
    with pytest.raises(UserError, match="not the card of an encoder"):
        load_encoder_folder(place / "other")
    with pytest.raises(UserError, match=r"has no encoder\.json"):
        encoder_folder.read_card(place)


def test_a_batch_of_views_follows_from_seed_and_number_alone(place: Path) -> None:
    data = DataConfig(image_size=32, cache=place / "cache", body_length_px=30)
    videos = [cache.build(video, data) for video in sorted((place / "videos").iterdir())]
    first, second = (ViewPairs(videos, 1.6, reach=4, within=6, seed=3) for _ in range(2))
    second.draw(0, 4)
    views = first.draw(7, 4)
    assert views.shape == (8, 9, 64, 64)
    assert torch.equal(views, second.draw(7, 4))
    assert not torch.equal(views, first.draw(8, 4))


def test_chambers_are_recordings_of_their_own(place: Path, tmp_path: Path) -> None:
    videos = sorted((place / "videos").iterdir())
    recordings, unclear = pretrain.recordings_in([place / "videos"], "1x2")
    assert unclear == []
    assert [(r.file, r.chamber.name) for r in recordings if isinstance(r, InChamber)] == [
        (video, name) for video in videos for name in ("A1", "A2")
    ]
    table = tmp_path / "chambers.csv"
    table.write_text("chamber,x0,y0,x1,y1\nleft,0,0,40,60\n")
    [left] = pretrain.recordings_in(videos[:1], str(table))[0]
    entries, failures = pretrain.frames_of([left], DataConfig(image_size=16, cache=tmp_path))
    assert failures == []
    card = pretrain._settings(entries, DataConfig(), PretrainOptions(), None)
    assert card["videos"][0]["chamber"] == {"name": "left", "box": [0, 0, 40, 60]}


def test_videos_of_several_rates_are_seen_at_the_one_in_the_middle(place: Path) -> None:
    data = DataConfig(image_size=32, cache=place / "cache", body_length_px=30)
    entry = cache.build(sorted((place / "videos").iterdir())[0], data)
    fast = dataclasses.replace(entry, time_s=entry.time_s / 2)
    seen = pretrain._at_one_rate([entry, fast, entry], None)
    assert seen[0] is seen[2] is entry
    assert seen[1].n_frames == pytest.approx(entry.n_frames / 2, abs=1)
    assert seen[1].shown is not None
    assert np.diff(seen[1].shown).tolist() == [2] * (seen[1].n_frames - 1)


def test_views_that_agree_vary_and_do_not_repeat_themselves_have_no_loss() -> None:
    # Columns of a Hadamard matrix have variance 1 and no covariance.
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    hadamard = torch.kron(torch.kron(signs, signs), torch.kron(signs, signs))[:, 1:]
    assert vicreg_loss(hadamard, hadamard).item() == pytest.approx(0, abs=1e-5)
    collapsed = torch.ones(16, 15)
    assert vicreg_loss(collapsed, collapsed).item() > 20
    assert share_matched(hadamard, hadamard) == 1.0


def test_calibration_gives_every_channel_mean_0_and_deviation_1() -> None:
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(3)
    values = torch.randn(64, 3, 4, 4) * 7 + 5
    calibrate_statistics(norm, [values[:32], values[32:]])
    assert not norm.training
    assert norm(values).mean((0, 2, 3)).abs().max() < 0.1
    assert (norm(values).std((0, 2, 3)) - 1).abs().max() < 0.1


def test_augmentation_can_show_the_middle_at_another_size() -> None:
    still = AugmentConfig(
        **{name: 0.0 for name in AugmentConfig.__dataclass_fields__ if name != "aug_border"}
    )
    ramp = torch.arange(8.0).expand(1, 1, 8, 8) * 10
    batch = {
        "frames": ramp,
        "crop_centers": torch.zeros(1, 1, 2),
        "labels": torch.zeros(1, 1, dtype=torch.long),
        "mirrored": torch.zeros(1, dtype=torch.bool),
        "seed": torch.zeros(1, dtype=torch.long),
    }
    middle = augment(batch, still, [0], side=4, share=0.5)["frames"]
    torch.testing.assert_close(middle * 255, ramp[..., 2:6, 2:6], atol=0.3, rtol=0)


def test_the_3d_cnn_starts_from_an_encoder_and_sees_with_its_layers(place: Path) -> None:
    encoder = load_encoder_folder(place / "encoder").network
    cnn = build_recognizer(ModelConfig(encoder="encoder", appearance_dropout=0.0), 3).visual
    assert isinstance(cnn, Cnn3d)
    cnn.eval().adopt(encoder)
    maps = cnn.motion_maps(torch.rand(1, 24, 64, 64))
    outline = maps.inner_picture.abs() / (1 + maps.inner_picture.abs())
    layers = [outline, *maps.motion, maps.flicker]
    images = encoder.blocks[0](encoder.stem(torch.stack(layers, 2)[0]), 1)
    begun = cnn._begin([maps.inner_picture, *maps.motion, maps.flicker, maps.inner_picture])
    seen = cnn.blocks[0](begun[0].permute(0, 3, 1, 2), 1)
    torch.testing.assert_close(seen, images, atol=1e-4, rtol=1e-3)


def test_layers_from_an_encoder_learn_only_when_they_are_thawed() -> None:
    model = ModelConfig(encoder="encoder", freeze_backbone_epochs=1)
    cnn = build_recognizer(model, 3).visual
    assert isinstance(cnn, Cnn3d)
    cnn.train()
    thaw(cnn, model, epoch=0)
    assert not cnn.stem[0].weight.requires_grad
    assert not cnn.stem[1].training
    assert cnn.blocks[1].time[0].weight.requires_grad
    thaw(cnn, model, epoch=1)
    assert cnn.stem[0].weight.requires_grad
    assert cnn.stem[1].training


@pytest.mark.parametrize("settings", [{"visual": "motion_features"}, {"clip_length": 8}])
def test_an_encoder_that_would_not_be_used_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="--encoder"):
        build_recognizer(ModelConfig(encoder="encoder", **settings), 3)


def test_training_starts_from_the_encoder_that_is_named(place: Path) -> None:
    model = ModelConfig(encoder=str(place / "encoder"))
    recognizer = build_recognizer(model, 3)
    _load_weights(recognizer, Config(model=model))
    stem = load_encoder_folder(place / "encoder").network.stem[0].weight
    assert isinstance(recognizer.visual, Cnn3d)
    assert torch.equal(recognizer.visual.stem[0].weight[:, :5], stem)


def test_quick_heads_read_what_the_encoder_sees_beside_the_measurements(place: Path) -> None:
    config = Config(model=ModelConfig(encoder=str(place / "encoder"), head="linear"))
    quick = new_quick(config, NO_SKELETON, [31])
    plain = new_quick(dataclasses.replace(config, model=ModelConfig()), NO_SKELETON, [31])
    frames = torch.rand(1, 1, 11, 64, 64)
    with torch.no_grad():
        features = quick.visual(frames)
        torch.testing.assert_close(features[..., : plain.width], plain.visual(frames))
        encoder = load_encoder_folder(place / "encoder").network
        seen = encoder(seen_window(frames[:, 0], 1.6))
        torch.testing.assert_close(features[..., plain.width :], seen)
    blind = dataclasses.replace(config.model, visual="none", pose="full")
    with pytest.raises(UserError, match="looks at pictures"):
        new_quick(dataclasses.replace(config, model=blind), NO_SKELETON, [31])


def test_a_run_names_the_animals_whose_videos_its_encoder_has_seen(
    study: Path, trained: Path, tmp_path: Path
) -> None:
    videos = [describe_video(video) for video in sorted((study / "Videos").iterdir())]
    save_encoder(FrameEncoder(), {"videos": videos}, tmp_path / "encoder")
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    keep_card(run, tmp_path / "encoder", None)
    keep_card(tmp_path / "later", None, run)  # a warm start hands it on
    card = (run / "encoder.json").read_bytes()
    assert (tmp_path / "later" / "encoder.json").read_bytes() == card
    metrics = dl.evaluate(run)
    for scores in metrics.values():
        assert scores["seen_unlabelled"] == scores["animals"]
    write_model_card(RunFolder(run), [], metrics)
    assert "Seen without labels" in (run / "model_card.md").read_text()
