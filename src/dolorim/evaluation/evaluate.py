"""Score a run on recordings that it has not learned from."""

from __future__ import annotations

import dataclasses
import itertools
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
from dolorim.dataset.splits import Split
from dolorim.files.animals import also_in
from dolorim.inference.decoder import Decoder
from dolorim.inference.encoder_folder import seen_unlabelled
from dolorim.inference.predictor import predictor_of, with_stored_features
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.label_files import read_labels, write_labels
from dolorim.labels.prediction_files import read_predictions, write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.metrics.keypoints import keypoint_scores
from dolorim.metrics.summary import Scored, summarize
from dolorim.terminal import progress
from dolorim.video.time_grid import time_grid


def evaluate_recordings(
    run: RunFolder, labelled: Sequence[LabelledRecording], folder: Path
) -> dict[str, Any]:
    """Predict recordings, write predictions and true labels to `folder`, and compare the two.

    Returns the figures of one split, as `metrics.json` holds them. Raises `UserError`.
    """
    ethogram, decoder = run.read_ethogram(), run.read_decoder()
    predictor = predictor_of(run, keypoints=True)
    labelled = with_stored_features(predictor, labelled, run.read_config())
    for old in folder.glob("*.truth.csv"):  # of what was scored here before
        old.unlink()
    probabilities: list[np.ndarray] = []
    distances_px: list[tuple[np.ndarray, float, float]] = []
    with progress("predicting", sum(f.n_frames for f in labelled)) as bar:
        for one in labelled:
            decisions = predictor(one)
            probabilities.append(decisions.probabilities)
            _write_scored(run, one, decisions.probabilities, ethogram, decoder, folder)
            if decisions.keypoints is not None:
                distances_px.append(_distances_px(one, decisions.keypoints))
            bar(one.n_frames)
    metrics = score(labelled, probabilities, ethogram, decoder)
    if seen := seen_unlabelled(run.path, (one.recording for one in labelled)):
        metrics["seen_unlabelled"] = seen
    if distances_px:
        names = run.read_skeleton().keypoints
        metrics["keypoints"] = keypoint_scores(distances_px, names)
    return metrics


def _write_scored(
    run: RunFolder,
    labelled: LabelledRecording,
    probabilities: np.ndarray,
    ethogram: Ethogram,
    decoder: Decoder,
    folder: Path,
) -> None:
    """Write what `read_scored` reads back: a recording's predictions, and its true labels."""
    recording = labelled.on_frames
    meta: dict[str, Any] = {
        "dolorim": __version__,
        "run": str(run.path),
        "video": str(recording.file),
        "animal": recording.animal,
        "trials": [[t.start, t.stop] for t in recording.trials],
    }
    if labelled.grid is not None:
        meta["seen_at_hz"] = labelled.grid.rate_hz
    predictions = Predictions(
        recording.name,
        ethogram.classes,
        labelled.by_frame(_decoded(labelled, probabilities, decoder)),
        labelled.by_frame(decoder.calibrated(probabilities)),
        labelled.frame_s,
        meta,
    )
    write_predictions(folder, predictions)
    write_labels(folder / f"{recording.name}.truth.csv", recording.labels, ethogram)


def score(
    labelled: Sequence[LabelledRecording],
    probabilities: Sequence[np.ndarray],
    ethogram: Ethogram,
    decoder: Decoder,
) -> dict[str, Any]:
    """All figures of one split, as `metrics.json` holds them.

    `probabilities` `(time, classes)` are those of the network, one array per recording. Frames are
    those of the run's time grid, so that a recording counts by its time and not by its frame rate.
    """
    decoded, plain = [], []
    for one, network_output in zip(labelled, probabilities, strict=True):
        calibrated = decoder.calibrated(network_output)
        decoded.append(_scored(one, calibrated, _decoded(one, network_output, decoder)))
        plain.append(_scored(one, calibrated, calibrated.argmax(1)))
    return _figures(decoded, [] if decoder.is_plain else plain, ethogram, decoder.kind)


def _figures(
    decoded: Sequence[Scored], plain: Sequence[Scored], ethogram: Ethogram, decoder: str
) -> dict[str, Any]:
    """The figures of decoded labels and, as `argmax`, those of the most likely classes.

    `plain` is empty where the decoder does nothing else.
    """
    figures = summarize(decoded, ethogram.classes, ethogram.background)
    figures["decoder"] = decoder
    if plain:
        argmax = summarize(plain, ethogram.classes, ethogram.background)
        for name in ("intervals", "calibration", "confusion"):
            argmax.pop(name, None)
        figures["argmax"] = argmax
    return figures


def read_scored(
    folder: Path, ethogram: Ethogram, rate_hz: float | None = None
) -> dict[str, Scored]:
    """Truth and calibrated predictions that `evaluate_recordings` wrote to a folder, by recording.

    They are on the time grid of `rate_hz`; without it, on that of the run that was evaluated.

    Raises `UserError` where there are none, and where the files do not say which animals they show.
    """
    scored = {}
    for path in sorted(folder.glob("*.truth.csv")):
        name = path.name.removesuffix(".truth.csv")
        predictions = read_predictions(folder / f"{name}.predictions.csv")
        truth = read_labels(path, ethogram).labels
        meta = predictions.meta
        if not {"animal", "trials"} <= set(meta) or len(truth) != len(predictions.labels):
            raise UserError(
                "its predictions do not say whose they are, or are others'",
                where=path,
                remedy="evaluate the run again",
            )
        on_frames = Scored(
            str(meta["animal"]),
            truth,
            predictions.labels,
            predictions.probabilities,
            predictions.time_s,
            [(int(start), int(stop)) for start, stop in meta["trials"]],
        )
        scored[name] = _at_rate(on_frames, rate_hz or meta.get("seen_at_hz"))
    if not scored:
        raise UserError("holds no scored recordings", where=folder, remedy="evaluate the run again")
    return scored


def _at_rate(scored: Scored, rate_hz: float | None) -> Scored:
    """A recording as the steps of a grid show it, so that it counts by its time."""
    assert scored.time_s is not None
    assert scored.probabilities is not None
    grid = time_grid(scored.time_s, rate_hz)
    if grid is None:
        return scored
    return dataclasses.replace(
        scored,
        truth=scored.truth[grid.frames],
        predicted=scored.predicted[grid.frames],
        probabilities=scored.probabilities[grid.frames],
        time_s=grid.time_s,
        borders=[grid.span(start, stop) for start, stop in scored.borders],
    )


def _decoded(
    labelled: LabelledRecording, probabilities: np.ndarray, decoder: Decoder
) -> np.ndarray:
    # Nothing is carried from one trial to the next.
    breaks = [t.start for t in labelled.recording.trials[1:]]
    return decoder.decode(probabilities, rate_of(labelled.time_s), breaks)


def _scored(labelled: LabelledRecording, probabilities: np.ndarray, labels: np.ndarray) -> Scored:
    recording = labelled.recording
    borders = [(t.start, t.stop) for t in recording.trials]
    return Scored(
        recording.animal, recording.labels, labels, probabilities, labelled.time_s, borders
    )


def _distances_px(
    labelled: LabelledRecording, keypoints: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Distances `(time, keypoint)` between the network's `keypoints` in the crop and the tracker's,
    the side of the crop, and the body length, all in pixels.

    NaN where the tracker has no point, interpolates one, or has it outside of the crop.
    """
    video, track = labelled.video, labelled.track
    assert video is not None
    if track is None:
        return np.full(keypoints.shape[:2], np.nan), 1.0, 1.0
    true = crop_points(track.points[:, 0], video.centers, video.angles_rad, video.side_px)
    is_outside = (np.abs(true) > 1).any(-1)
    is_interpolated = track.since_seen[:, 0] > 0
    true[is_outside | is_interpolated] = np.nan
    # Places in the crop go from -1 to 1, over the whole side.
    distances_px = np.hypot(*np.moveaxis(keypoints - true, -1, 0)) * video.side_px / 2
    return distances_px, video.side_px, track.length_px


def evaluate_held_out(run: RunFolder, dataset: StudyDataset | None = None) -> dict[str, Any]:
    """Score a run on its own validation and test animals, by part; empty where it has none.

    A cross-validated run is scored once, over its kept out-of-fold predictions. `dataset` is the
    run's study, if it has been loaded. Raises `UserError`.
    """
    if run.is_cross_validated:
        return {"folds": score_folds(run)}
    split = run.read_split()
    if dataset is None:
        config = run.read_config()
        _refuse_absent_study(run, config.data)
        dataset = load_dataset(config, run.read_body_lengths())
    seen_before, training = run.seen_before(), run.read_training()
    metrics = {}
    for part, animals in (("val", split.val), ("test", split.test)):
        labelled = dataset.part(animals)
        if not labelled:
            continue
        metrics[part] = evaluate_recordings(run, labelled, run.predictions(part))
        if training is not None:
            metrics[part]["training"] = dataclasses.asdict(training)
        if seen := sorted(seen_before & set(animals)):
            metrics[part]["seen_in_training"] = seen
    return metrics


def _refuse_absent_study(run: RunFolder, data: DataConfig) -> None:
    for folder in (data.videos, data.annotations, data.corrections, data.dlc):
        if folder is not None and not folder.exists():
            raise UserError(
                f"its study is not where it was ({folder})",
                where=run.path,
                remedy="put it back, or score another study: dolorim evaluate RUN STUDY",
            )


def score_folds(run: RunFolder) -> dict[str, Any]:
    """All figures over the out-of-fold predictions of a cross-validated run.

    `by_fold` has some of them for each fold. Raises `UserError` where a fold has not finished.
    """
    ethogram, splits = run.read_ethogram(), run.read_folds()
    decoded = list(read_scored(run.predictions("folds"), ethogram).values())
    _refuse_unfinished(run, splits, {scored.animal for scored in decoded})
    folds = [run.fold(k) for k in range(len(splits))]
    parts = [fold.read_json("metrics.json")["test"] for fold in folds]
    plain = [] if _all_plain(folds) else _by_argmax(decoded)
    kinds = sorted({part["decoder"] for part in parts})
    figures = _figures(decoded, plain, ethogram, " or ".join(kinds))
    figures["by_fold"] = [_of_fold(k, part) for k, part in enumerate(parts)]
    if keypoints := _mean_keypoints(parts):
        figures["keypoints"] = keypoints
    for kind in ("seen_in_training", "seen_unlabelled"):
        if seen := _animals_of(kind, parts):
            figures[kind] = seen
    return figures


def _animals_of(kind: str, parts: Sequence[dict[str, Any]]) -> list[str]:
    """The animals that the figures of any fold list under a name."""
    by_fold = (part.get(kind, ()) for part in parts)
    return sorted(set(itertools.chain.from_iterable(by_fold)))


def _refuse_unfinished(run: RunFolder, splits: Sequence[Split], scored: set[str]) -> None:
    """Raises `UserError` where a fold's test animals have not been scored."""
    tested = set(itertools.chain.from_iterable(split.test for split in splits))
    lacking = sorted(tested - scored)
    if lacking:
        raise UserError(
            f"lacks {', '.join(lacking)}",
            where=run.predictions("folds"),
            remedy="give the command of the run again",
        )


def _all_plain(folds: Sequence[RunFolder]) -> bool:
    """Do all folds label frames by their most likely class?"""
    return all(fold.read_decoder().is_plain for fold in folds)


def _by_argmax(recordings: Sequence[Scored]) -> list[Scored]:
    """The same recordings with the most likely class of each frame as the prediction."""
    plain = []
    for scored in recordings:
        if scored.probabilities is not None:
            plain.append(dataclasses.replace(scored, predicted=scored.probabilities.argmax(1)))
    return plain


def _of_fold(number: int, part: dict[str, Any]) -> dict[str, Any]:
    """What the figures of a cross-validated run say about one fold."""
    shown = {"fold": number}
    for name in ("animals", "frames", "accuracy", "macro_f1", "decoder", "training"):
        if name in part:
            shown[name] = part[name]
    return shown


def _mean_keypoints(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean errors of keypoints over the folds, each weighted by its number of points."""
    scored = [part["keypoints"] for part in parts if part.get("keypoints", {}).get("points")]
    if not scored:
        return {}
    n_points = [scores["points"] for scores in scored]
    means: dict[str, Any] = {"points": sum(n_points)}
    for name in scored[0]:
        if name.startswith("mae_"):
            errors = [scores[name] for scores in scored]
            means[name] = float(np.average(errors, weights=n_points))
    return means


def evaluate_study(
    run: RunFolder, data: DataConfig, folder: Path, seen_too: bool
) -> dict[str, Any]:
    """Score a run on another study, on animals that it was neither trained on nor chosen by.

    Animals of the run's own split, and of the run that it started from, are refused unless
    `seen_too` asks for them; the figures then say so. Raises `UserError`.
    """
    config = dataclasses.replace(run.read_config(), data=data)
    learned_from = run.learned_from()
    dataset = load_dataset(config, run.read_body_lengths())
    _refuse_other_classes(run, dataset)
    if wants_pose(config):
        _refuse_other_points(run, dataset)
    seen = also_in(dataset.animals, learned_from)
    if seen and not seen_too:
        names = ", ".join(seen)
        raise UserError(
            f"has learned from {names}, so a score on them says nothing about new animals",
            where=run.path,
            remedy="score others, or ask for it with --seen_animals_too",
        )
    metrics = evaluate_recordings(run, dataset.labelled, folder)
    if seen:
        metrics["seen_in_training"] = seen
    return metrics


def _refuse_other_classes(run: RunFolder, dataset: StudyDataset) -> None:
    mine, theirs = run.read_ethogram().classes, dataset.study.ethogram.classes
    if mine != theirs:
        raise UserError(
            f"the run knows the classes {', '.join(mine)}, the study has {', '.join(theirs)}",
            remedy="give --classes",
        )


def _refuse_other_points(run: RunFolder, dataset: StudyDataset) -> None:
    mine, theirs = run.read_skeleton(), dataset.skeleton
    if mine != theirs:
        raise UserError(
            f"the run has learned from {', '.join(mine.keypoints)} of {mine.animals}, the study's "
            f"poses have {', '.join(theirs.keypoints)} of {theirs.animals}",
            remedy="choose some with --kp_names",
        )
