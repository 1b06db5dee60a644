"""The network of a run, ready to predict."""

from __future__ import annotations

from dolorim.inference.hardware import pick_device
from dolorim.inference.input_spec import input_spec_of
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.streaming import Predictor
from dolorim.models.recognizer import Recognizer


def predictor_of(
    run: RunFolder, model: Recognizer | None = None, keypoints: bool = False
) -> Predictor:
    """The run's recognizer, ready to predict on the device that its settings name."""
    config, model = run.read_config(), model or run.load_model()
    return Predictor(
        model,
        input_spec_of(model, config.model, run.read_skeleton()),
        pick_device(config.train.accelerator),
        config.train.precision,
        compiled=config.train.compile,
        keypoints=keypoints,
    )
