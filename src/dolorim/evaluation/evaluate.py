"""Score a run on recordings that it has not learned from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dolorim import __version__
from dolorim.config import DataConfig
from dolorim.core.clock import rate_of
from dolorim.core.errors import UserError
from dolorim.dataset.labelled_recording import LabelledRecording, crop_points
from dolorim.dataset.loading import StudyDataset, load_dataset, wants_pose
from dolorim.files.animals import also_in
from dolorim.inference.backbone_features import needs_only_features, with_features
from dolorim.inference.decoder import Decoder
from dolorim.inference.predictor import predictor_of
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.label_files import read_labels, write_labels
from dolorim.labels.prediction_files import read_predictions, write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.metrics.keypoints import keypoint_scores
from dolorim.metrics.summary import Scored, summarize
from dolorim.terminal import progress


def evaluate_recordings(
    run: RunFolder, labelled: Sequence[LabelledRecording], folder: Path
) -> dict[str, Any]:
    """Predict every recording, write predictions and truth to `folder`, and score the ones
    against the other.
    """
    ethogram, decoder = run.read_ethogram(), run.read_decoder()
    config, model = run.read_config(), run.load_model()
    predictor = predictor_of(run, model, keypoints=True)
    if needs_only_features(config.model):
        labelled = with_features(labelled, model, predictor.input_spec, config)
    for old in folder.glob("*.truth.csv"):  # of what was scored here before
        old.unlink()
    found, keypoints = [], []
    with progress("predicting", sum(f.n_frames for f in labelled)) as bar:
        for one in labelled:
            recording = one.recording
            decided = predictor(one)
            probabilities = decoder.calibrated(decided.probabilities)
            labels = _decoded(one, decided.probabilities, decoder)
            meta = {
                "dolorim": __version__,
                "run": str(run.path),
                "video": str(recording.file),
                "animal": recording.animal,
                "trials": [[t.start, t.stop] for t in recording.trials],
            }
            predictions = Predictions(
                recording.name, ethogram.classes, labels, probabilities, one.time_s, meta
            )
            write_predictions(folder, predictions)
            write_labels(folder / f"{recording.name}.truth.csv", recording.labels, ethogram)
            found.append(decided.probabilities)
            if decided.keypoints is not None:
                keypoints.append(_distances_px(one, decided.keypoints))
            bar(one.n_frames)
    metrics = score(labelled, found, ethogram, decoder)
    names = run.read_skeleton().keypoints
    return {**metrics, "keypoints": keypoint_scores(keypoints, names)} if keypoints else metrics


def score(
    labelled: Sequence[LabelledRecording],
    probabilities: Sequence[np.ndarray],
    ethogram: Ethogram,
    decoder: Decoder,
) -> dict[str, Any]:
    """All figures of one split, as `metrics.json` holds them."""
    pairs = [
        (f, decoder.calibrated(p), _decoded(f, p, decoder))
        for f, p in zip(labelled, probabilities, strict=True)
    ]
    plain = [_scored(f, p, p.argmax(1)) for f, p, _ in pairs]
    decoded = [_scored(f, p, labels) for f, p, labels in pairs]
    return _figures(decoded, [] if decoder.is_plain else plain, ethogram, decoder.kind)


def _figures(
    decoded: Sequence[Scored], plain: Sequence[Scored], ethogram: Ethogram, decoder: str
) -> dict[str, Any]:
    """The figures of what was decoded and, where that is another thing, of the likeliest class of
    each frame beside.
    """
    found = summarize(decoded, ethogram.classes, ethogram.background)
    found["decoder"] = decoder
    if plain:
        beside = summarize(plain, ethogram.classes, ethogram.background)
        found["argmax"] = {
            k: v for k, v in beside.items() if k not in ("intervals", "calibration", "confusion")
        }
    return found


def read_scored(folder: Path, ethogram: Ethogram) -> dict[str, Scored]:
    """Truth and calibrated predictions that `evaluate_recordings` has left in a folder, by
    recording.

    Raises `UserError` where there are none, and where an older version has not written whose they
    are.
    """
    found = {}
    for path in sorted(folder.glob("*.truth.csv")):
        name = path.name.removesuffix(".truth.csv")
        predictions, truth = (
            read_predictions(folder / f"{name}.predictions.csv"),
            read_labels(path, ethogram).labels,
        )
        meta = predictions.meta
        if not {"animal", "trials"} <= set(meta) or len(truth) != len(predictions.labels):
            raise UserError(
                f"{path}: its predictions do not say whose they are, or are others'; evaluate the "
                "run again"
            )
        found[name] = Scored(
            str(meta["animal"]),
            truth,
            predictions.labels,
            predictions.probabilities,
            predictions.time_s,
            [(int(start), int(stop)) for start, stop in meta["trials"]],
        )
    if not found:
        raise UserError(f"{folder}: holds no scored recordings; evaluate the run again")
    return found


def _decoded(
    labelled: LabelledRecording, probabilities: np.ndarray, decoder: Decoder
) -> np.ndarray:
    breaks = [t.start for t in labelled.recording.trials[1:]]
    return decoder.decode(probabilities, rate_of(labelled.time_s), breaks)


def _scored(labelled: LabelledRecording, probabilities: np.ndarray, labels: np.ndarray) -> Scored:
    recording = labelled.recording
    borders = [(t.start, t.stop) for t in recording.trials]
    return Scored(
        recording.animal, recording.labels, labels, probabilities, labelled.time_s, borders
    )


def _distances_px(
    labelled: LabelledRecording, found: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Distances `(time, keypoint)` of keypoints found in the crop from those that the tracker has
    seen there.
    """
    video, track = labelled.video, labelled.track
    assert video is not None
    if track is None:
        return np.full(found.shape[:2], np.nan), 1.0, 1.0
    true = crop_points(track.points[:, 0], video.centers, video.angles_rad, video.side_px)
    true[(np.abs(true) > 1).any(-1) | (track.since_seen[:, 0] > 0)] = np.nan
    return (
        np.hypot(*np.moveaxis(found - true, -1, 0)) * video.side_px / 2,
        video.side_px,
        track.length_px,
    )


def evaluate_held_out(run: RunFolder, dataset: StudyDataset | None = None) -> dict[str, Any]:
    """Score a run on its own validation and test animals, by part; empty where it has none.

    A cross-validated run is scored once, over its kept out-of-fold predictions.
    """
    if run.is_cross_validated:
        return {"folds": score_folds(run)}
    split, dataset = (
        run.read_split(),
        dataset or load_dataset(run.read_config(), run.read_body_lengths()),
    )
    metrics = {}
    for part in ("val", "test"):
        labelled = dataset.part(getattr(split, part))
        if labelled:
            metrics[part] = evaluate_recordings(run, labelled, run.predictions(part))
    before, training = run.seen_before(), run.read_training()
    for part, found in metrics.items():
        if training:
            found["training"] = training
        if seen := sorted(before & set(getattr(split, part))):
            found["seen_in_training"] = seen
    return metrics


def score_folds(run: RunFolder) -> dict[str, Any]:
    """All figures over the out-of-fold predictions of a cross-validated run, and in `by_fold`
    some of each fold.
    """
    ethogram, splits = run.read_ethogram(), run.read_folds()
    decoded = list(read_scored(run.predictions("folds"), ethogram).values())
    lacking = {a for s in splits for a in s.test} - {s.animal for s in decoded}
    if lacking:
        raise UserError(
            f"{run.predictions('folds')}: lacks {', '.join(sorted(lacking))}; give the command of "
            "the run again"
        )
    parts = [run.fold(k).read_json("metrics.json")["test"] for k in range(len(splits))]
    fitted = any(not run.fold(k).read_decoder().is_plain for k in range(len(splits)))
    plain = [
        dataclasses.replace(s, predicted=s.probabilities.argmax(1))
        for s in decoded
        if s.probabilities is not None
    ]
    kinds = sorted({part["decoder"] for part in parts})
    found = _figures(decoded, plain if fitted else [], ethogram, " or ".join(kinds))
    wanted = ("animals", "frames", "accuracy", "macro_f1", "decoder")
    found["by_fold"] = [
        {"fold": k, **{name: part[name] for name in wanted}, **_training(part)}
        for k, part in enumerate(parts)
    ]
    points = [part["keypoints"] for part in parts if part.get("keypoints", {}).get("points")]
    if points:
        weights = [p["points"] for p in points]
        means = {
            k: float(np.average([p[k] for p in points], weights=weights))
            for k in points[0]
            if k[:4] == "mae_"
        }
        found["keypoints"] = {"points": sum(weights), **means}
    seen = sorted({a for part in parts for a in part.get("seen_in_training", ())})
    return {**found, "seen_in_training": seen} if seen else found


def _training(part: dict[str, Any]) -> dict[str, Any]:
    return {"training": part["training"]} if "training" in part else {}


def evaluate_study(
    run: RunFolder, data: DataConfig, folder: Path, seen_too: bool
) -> dict[str, Any]:
    """Score a run on a project, on animals that it has neither learned from nor been chosen by.

    Animals of the run's own split, and of the run that it started from, are refused unless
    `seen_too` asks for them; the figures then say so.
    """
    seen_before = run.learned_from()
    dataset = load_dataset(
        dataclasses.replace(run.read_config(), data=data), run.read_body_lengths()
    )
    _refuse_other_classes(run, dataset)
    mine, theirs = run.read_skeleton(), dataset.skeleton
    if wants_pose(run.read_config()) and theirs != mine:
        raise UserError(
            f"the run has learned from {', '.join(mine.keypoints)} of {mine.animals}, the "
            "project's poses have "
            f"{', '.join(theirs.keypoints)} of {theirs.animals}; choose some with --kp_names"
        )
    seen = also_in(dataset.animals, seen_before)
    if seen and not seen_too:
        raise UserError(
            f"{run.path}: has learned from {', '.join(seen)}, so a score on them says nothing "
            "about new animals; "
            f"score other ones, or ask for it with --seen_animals_too"
        )
    metrics = evaluate_recordings(run, dataset.labelled, folder)
    return {**metrics, "seen_in_training": seen} if seen else metrics


def _refuse_other_classes(run: RunFolder, dataset: StudyDataset) -> None:
    mine, theirs = run.read_ethogram().classes, dataset.study.ethogram.classes
    if mine != theirs:
        raise UserError(
            f"the run knows the classes {', '.join(mine)}, the project has {', '.join(theirs)}; "
            "give --classes"
        )
