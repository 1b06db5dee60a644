"""A network that leaves as an ONNX file decides like the run it comes from."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dolorim.cli import main
from dolorim.config import Config, DataConfig, ModelConfig
from dolorim.dataset.splits import Split
from dolorim.inference.decoder import Decoder
from dolorim.inference.export_onnx import WindowNetwork
from dolorim.inference.predictor import predictor_of
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.streaming import fold_normalization
from dolorim.labels.ethogram import PAIN
from dolorim.models.build import build_recognizer
from dolorim.pose.pose import NO_SKELETON
from dolorim.video.crop import Crops

SIZE = 32
EXAMPLE = Path(__file__).parents[1] / "docs" / "label_without_torch.py"


@pytest.fixture(scope="module")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunFolder]:
    """Makes the run of a small network with random weights."""

    def make(**settings: object) -> RunFolder:
        model = dataclasses.replace(ModelConfig(clip_length=8), **settings)  # type: ignore[arg-type]
        config = Config(data=DataConfig(image_size=SIZE), model=model)
        run = RunFolder(tmp_path_factory.mktemp("run"))
        run.start(config, PAIN, Split(train=("201M",)))
        torch.manual_seed(0)
        run.save_model(build_recognizer(model, len(PAIN), NO_SKELETON, SIZE))
        decoder = Decoder(temperature=1.3, prior=(1.0, 2.0, 0.5, 1.0, 1.0, 3.0))
        run.write_json("decoder.json", decoder.to_dict())
        return run

    return make


def crops(n_frames: int) -> Crops:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (n_frames, SIZE, SIZE), np.uint8)
    centers = generator.random((n_frames, 2), np.float32)
    return Crops(0, images, centers, np.arange(n_frames) / 30, np.zeros(n_frames, np.float32))


def as_predicted(run: RunFolder, video: Crops) -> np.ndarray:
    parts = [d.probabilities for d in predictor_of(run).stream([video])]
    return run.read_decoder().calibrated(np.concatenate(parts))


def test_windows_with_context_over_time_decide_like_the_whole_recording(
    make_run: Callable[..., RunFolder],
) -> None:
    run, video, n_frames = make_run(temporal="tcn", tcn_layers=2), crops(20), 8
    network = WindowNetwork(fold_normalization(run.load_model()), run.read_decoder(), n_frames)
    before = (network.window - n_frames) // 2
    decided = []
    for start in range(0, 20, n_frames):
        first = start - network.model.before - network.model.visual.before
        shown = np.arange(first, first + network.window).clip(0, 19)
        read = np.arange(network.read) + start - network.model.before
        with torch.no_grad():
            probabilities = network(
                torch.from_numpy(video.images[shown]),
                torch.from_numpy(video.centers[shown]),
                torch.from_numpy((read >= 0) & (read < 20)),
            )
        decided.append(probabilities.numpy()[: 20 - start])
    assert before > 4
    np.testing.assert_allclose(np.concatenate(decided), as_predicted(run, video), atol=1e-4)


def test_the_onnx_file_decides_like_the_run_and_says_how_to_use_it(
    make_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    run, file = make_run(), tmp_path / "model.onnx"
    arguments = ["export_model", str(run.path), "--to", "onnx", "--out", str(file), "--quiet"]
    assert main([*arguments, "--frames", "16"]) == 0
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["dolorim"])
    assert about["classes"] == list(PAIN.classes)
    assert about["window"] == about["before"] + 16 + about["after"]
    video = crops(16)
    shown = np.arange(-about["before"], 16 + about["after"]).clip(0, 15)
    given = {"images": video.images[shown], "crop_centers": video.centers[shown]}
    [probabilities] = session.run(None, given)
    np.testing.assert_allclose(probabilities, as_predicted(run, video), atol=1e-4)


def test_the_example_never_imports_pytorch() -> None:
    pytest.importorskip("onnxruntime")
    code = f"import sys; sys.path.insert(0, {str(EXAMPLE.parent)!r}); import label_without_torch"
    code += "; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], env=None).returncode == 0


def test_a_folder_for_others_is_a_run(make_run: Callable[..., RunFolder], tmp_path: Path) -> None:
    run, out = make_run(), tmp_path / "model"
    assert main(["export-model", str(run.path), "--to", "folder", "--out", str(out)]) == 0
    assert RunFolder(out).load_model() is not None
    assert main(["export-model", str(run.path), "--to", "folder", "--out", str(out)]) == 2
