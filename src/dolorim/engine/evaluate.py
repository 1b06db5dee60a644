"""Score a run on recordings that it has not learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dolorim import __version__
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.ethogram import Ethogram
from dolorim.core.predictions import Predictions
from dolorim.core.recording import Recording
from dolorim.data.cache import CachedVideo
from dolorim.engine.hardware import pick_device
from dolorim.engine.infer import Predictor, blocks_of
from dolorim.engine.material import Material, gather
from dolorim.engine.run_folder import RunFolder
from dolorim.engine.talk import progress
from dolorim.formats.labels import write_labels
from dolorim.formats.predictions import write_predictions
from dolorim.metrics.summary import Scored, summarize


def evaluate_recordings(
    run: RunFolder, recordings: Sequence[Recording], videos: Sequence[CachedVideo], folder: Path
) -> dict[str, Any]:
    """Predict every recording, write predictions and truth to `folder`, and score the ones against the other."""
    config, ethogram = run.read_config(), run.read_ethogram()
    predictor = Predictor(run.load_model(), pick_device(config.train.accelerator), config.train.precision)
    found, raw = [], []
    with progress("predicting", sum(v.n_frames for v in videos)) as bar:
        for recording, video in zip(recordings, videos, strict=True):
            probabilities = predictor(blocks_of(video.images, video.centers, video.time_s))
            labels = probabilities.argmax(1)
            meta = {"dolorim": __version__, "run": str(run.path), "video": recording.video.name}
            predictions = Predictions(recording.name, ethogram.classes, labels, probabilities, video.time_s, meta)
            write_predictions(folder, predictions)
            write_labels(folder / f"{recording.name}.truth.csv", recording.labels, ethogram)
            found.append(labels)
            raw.append(probabilities)
            bar(video.n_frames)
    return score(recordings, found, ethogram, run.read_decoder()["decoder"], raw, [v.time_s for v in videos])


def score(
    recordings: Sequence[Recording],
    predicted: Sequence[np.ndarray],
    ethogram: Ethogram,
    decoder: str,
    probabilities: Sequence[np.ndarray] | None = None,
    times_s: Sequence[np.ndarray] | None = None,
) -> dict[str, Any]:
    """All figures of one split, as `metrics.json` holds them. `predicted` are class indices `(time,)` per recording.

    With calibrated `probabilities` `(time, classes)` there are ranking and calibration, with `times_s` events too.
    """
    found = summarize(scored(recordings, predicted, probabilities, times_s), ethogram.classes, ethogram.background)
    return {**found, "decoder": decoder}


def scored(
    recordings: Sequence[Recording],
    predicted: Sequence[np.ndarray],
    probabilities: Sequence[np.ndarray] | None = None,
    times_s: Sequence[np.ndarray] | None = None,
) -> list[Scored]:
    """Recordings with what was predicted for them, as `summarize` and `compare` take them."""
    none = [None] * len(recordings)
    rows = zip(recordings, predicted, probabilities or none, times_s or none, strict=True)
    return [
        Scored(r.animal, r.labels, np.asarray(g), p, t, [(x.start, x.stop) for x in r.trials]) for r, g, p, t in rows
    ]


def evaluate_held_out(run: RunFolder, material: Material | None = None) -> dict[str, Any]:
    """Score a run on its own validation and test animals, by part; empty where it has none."""
    split, material = run.read_split(), material or gather(run.read_config().data)
    metrics = {}
    for part in ("val", "test"):
        recordings, videos = material.part(getattr(split, part))
        if recordings:
            metrics[part] = evaluate_recordings(run, recordings, videos, run.predictions(part))
    return metrics


def evaluate_project(run: RunFolder, data: DataConfig, folder: Path, seen_too: bool) -> dict[str, Any]:
    """Score a run on a project, on animals that it has neither learned from nor been chosen by.

    Animals of the run's own split are refused unless `seen_too` asks for them; the figures then say so.
    """
    material = gather(data)
    _refuse_other_classes(run, material)
    split = run.read_split()
    known = {*split.train, *split.val}
    seen = sorted({r.animal for r in material.recordings} & known)
    if seen and not seen_too:
        raise UserError(
            f"{', '.join(seen)}: the run has learned from these animals, so a score on them says nothing about new "
            f"ones; score other animals, or ask for it with --seen_animals_too"
        )
    recordings, videos = material.part(sorted({r.animal for r in material.recordings}))
    metrics = evaluate_recordings(run, recordings, videos, folder)
    return {**metrics, "seen_in_training": seen} if seen else metrics


def _refuse_other_classes(run: RunFolder, material: Material) -> None:
    mine, theirs = run.read_ethogram().classes, material.project.ethogram.classes
    if mine != theirs:
        raise UserError(
            f"the run knows the classes {', '.join(mine)}, the project has {', '.join(theirs)}; give --classes"
        )
