"""Score a run on recordings that it has not learned from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dolorim import __version__
from dolorim.config import DataConfig
from dolorim.core.decoder import Decoder
from dolorim.core.errors import UserError
from dolorim.core.ethogram import Ethogram
from dolorim.core.predictions import Predictions
from dolorim.data.footage import Footage, crop_points
from dolorim.engine.hardware import pick_device
from dolorim.engine.infer import Predictor
from dolorim.engine.material import Material, gather, rate_of
from dolorim.engine.needs import needs_of
from dolorim.engine.run_folder import RunFolder
from dolorim.engine.talk import progress
from dolorim.formats.labels import write_labels
from dolorim.formats.predictions import write_predictions
from dolorim.metrics.keypoints import keypoint_scores
from dolorim.metrics.summary import Scored, summarize
from dolorim.models.recognizer import Recognizer


def predictor_of(run: RunFolder, model: Recognizer | None = None) -> Predictor:
    """The run's recognizer, ready to predict on the device that its settings name."""
    config, model = run.read_config(), model or run.load_model()
    return Predictor(
        model, needs_of(model, config.model, run.read_skeleton()), pick_device(config.train.accelerator),
        config.train.precision, compiled=config.train.compile,
    )  # fmt: skip


def evaluate_recordings(run: RunFolder, footage: Sequence[Footage], folder: Path) -> dict[str, Any]:
    """Predict every recording, write predictions and truth to `folder`, and score the ones against the other."""
    ethogram, decoder = run.read_ethogram(), run.read_decoder()
    predictor = predictor_of(run)
    found, keypoints = [], []
    with progress("predicting", sum(f.n_frames for f in footage)) as bar:
        for one in footage:
            recording = one.recording
            decided = predictor(one)
            probabilities = decoder.calibrated(decided.probabilities)
            labels = _decoded(one, decided.probabilities, decoder)
            meta = {"dolorim": __version__, "run": str(run.path), "video": str(recording.file)}
            predictions = Predictions(recording.name, ethogram.classes, labels, probabilities, one.time_s, meta)
            write_predictions(folder, predictions)
            write_labels(folder / f"{recording.name}.truth.csv", recording.labels, ethogram)
            found.append(decided.probabilities)
            if decided.keypoints is not None:
                keypoints.append(_distances_px(one, decided.keypoints))
            bar(one.n_frames)
    metrics = score(footage, found, ethogram, decoder)
    names = run.read_skeleton().keypoints
    return {**metrics, "keypoints": keypoint_scores(keypoints, names)} if keypoints else metrics


def score(
    footage: Sequence[Footage], probabilities: Sequence[np.ndarray], ethogram: Ethogram, decoder: Decoder
) -> dict[str, Any]:
    """All figures of one split, as `metrics.json` holds them."""
    pairs = [(f, decoder.calibrated(p), _decoded(f, p, decoder)) for f, p in zip(footage, probabilities, strict=True)]
    found = summarize([_scored(f, p, labels) for f, p, labels in pairs], ethogram.classes, ethogram.background)
    found["decoder"] = decoder.kind
    if decoder != Decoder():
        plain = [_scored(f, p, p.argmax(1)) for f, p in zip(footage, probabilities, strict=True)]
        beside = summarize(plain, ethogram.classes, ethogram.background)
        found["argmax"] = {k: v for k, v in beside.items() if k not in ("intervals", "calibration", "confusion")}
    return found


def _decoded(footage: Footage, probabilities: np.ndarray, decoder: Decoder) -> np.ndarray:
    breaks = [t.start for t in footage.recording.trials[1:]]
    return decoder.decode(probabilities, rate_of(footage.time_s), breaks)


def _scored(footage: Footage, probabilities: np.ndarray, labels: np.ndarray) -> Scored:
    recording = footage.recording
    borders = [(t.start, t.stop) for t in recording.trials]
    return Scored(recording.animal, recording.labels, labels, probabilities, footage.time_s, borders)


def _distances_px(footage: Footage, found: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Distances `(time, keypoint)` of keypoints found in the crop from the tracked ones that lie in it."""
    video, track = footage.video, footage.track
    assert video is not None
    if track is None:
        return np.full(found.shape[:2], np.nan), 1.0, 1.0
    true = crop_points(track.points[:, 0], video.centers, video.turns, video.side_px)
    true[(np.abs(true) > 1).any(-1)] = np.nan
    return np.hypot(*np.moveaxis(found - true, -1, 0)) * video.side_px / 2, video.side_px, track.length_px


def evaluate_held_out(run: RunFolder, material: Material | None = None) -> dict[str, Any]:
    """Score a run on its own validation and test animals, by part; empty where it has none."""
    split, material = run.read_split(), material or gather(run.read_config())
    metrics = {}
    for part in ("val", "test"):
        footage = material.part(getattr(split, part))
        if footage:
            metrics[part] = evaluate_recordings(run, footage, run.predictions(part))
    return metrics


def evaluate_project(run: RunFolder, data: DataConfig, folder: Path, seen_too: bool) -> dict[str, Any]:
    """Score a run on a project, on animals that it has neither learned from nor been chosen by.

    Animals of the run's own split are refused unless `seen_too` asks for them; the figures then say so.
    """
    material = gather(dataclasses.replace(run.read_config(), data=data))
    _refuse_other_classes(run, material)
    split = run.read_split()
    known = {*split.train, *split.val}
    seen = sorted(set(material.animals) & known)
    if seen and not seen_too:
        raise UserError(
            f"{', '.join(seen)}: the run has learned from these animals, so a score on them says nothing about new "
            f"ones; score other animals, or ask for it with --seen_animals_too"
        )
    metrics = evaluate_recordings(run, material.footage, folder)
    return {**metrics, "seen_in_training": seen} if seen else metrics


def _refuse_other_classes(run: RunFolder, material: Material) -> None:
    mine, theirs = run.read_ethogram().classes, material.project.ethogram.classes
    if mine != theirs:
        raise UserError(
            f"the run knows the classes {', '.join(mine)}, the project has {', '.join(theirs)}; give --classes"
        )
