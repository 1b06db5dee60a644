"""dolorim in a script or a notebook: what the command line does, with objects and pandas tables.

Problems that a user can solve are raised as `UserError` (`dolorim.DolorimError`), whose text is one
line. Functions import the modules that need PyTorch when they are called.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dolorim.config import CROPS, LABEL_FILES, LABEL_TIMES, Config
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.dataset.study import in_study_folder, with_study_files
from dolorim.labels.ethogram_file import given_ethogram
from dolorim.labels.matching import labels_of_one
from dolorim.labels.placing import place_labels
from dolorim.presets import options_of, starting_point, with_settings
from dolorim.results import AnyPath, Poses, Prediction, Report

if TYPE_CHECKING:
    from dolorim.checks.check import Checked
    from dolorim.inference.encoder_folder import Encoder
    from dolorim.inference.predict_batch import BatchResult
    from dolorim.inference.predict_options import PredictOptions
    from dolorim.inference.run_folder import RunFolder


@dataclass(frozen=True)
class Run:
    """A trained run. Its properties are read from its folder each time they are used."""

    path: Path

    @property
    def folder(self) -> RunFolder:
        """The files of the run, for functions inside the package."""
        from dolorim.inference.run_folder import RunFolder

        return RunFolder(self.path)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the behaviors, in the order of the columns of probabilities."""
        return self.folder.read_ethogram().classes

    @property
    def config(self) -> Config:
        """Every setting of the run."""
        return self.folder.read_config()

    @property
    def metrics(self) -> dict[str, Any]:
        """The figures of `metrics.json`, by split (`val`, `test` or `folds`)."""
        metrics: dict[str, Any] = self.folder.read_json("metrics.json")
        return metrics

    @property
    def card(self) -> str:
        """The text of `model_card.md`."""
        return (self.path / "model_card.md").read_text("utf-8")

    def predict(
        self,
        video: AnyPath | np.ndarray,
        pose: AnyPath | None = None,
        *,
        rate_hz: float | None = None,
        name: str = "video",
        body_length_px: float | None = None,
        mask: str | None = None,
        abstain: float | None = None,
    ) -> Prediction:
        """Label one recording.

        `video` is a file or an array `(time, height, width)` uint8. An array needs `rate_hz`, its
        frames per second, and `name` is what its files will be called. `pose` is the video's pose
        file, or the folder to look for it; without it, a run that was trained on poses looks beside
        the video. `body_length_px` and `mask` replace those of the run, for another camera.
        `abstain` leaves frames open that could be of another class at this error rate. Raises
        `UserError`.
        """
        from dolorim.inference.predict_options import PredictOptions
        from dolorim.video.writer import write_lossless

        options = PredictOptions(body_length_px=body_length_px, mask=mask, abstain=abstain)
        pose_path = _path(pose)
        if isinstance(video, np.ndarray):
            with tempfile.TemporaryDirectory() as folder:
                file = write_lossless(Path(folder) / f"{name}.mkv", video, rate_hz)
                return _predict_one(self.folder, file, pose_path, options)
        return _predict_one(self.folder, Path(video), pose_path, options)

    def predict_all(
        self,
        videos: AnyPath | Iterable[AnyPath],
        out: AnyPath | None = None,
        *,
        dlc: AnyPath | None = None,
        **settings: Any,
    ) -> BatchResult:
        """Label many videos and write the results to a folder; see `predict`."""
        return predict(self, videos, out=out, dlc=dlc, **settings)


def load_run(path: AnyPath) -> Run:
    """Open the folder of a trained run, or a file that `dolorim share` has written.

    Raises `UserError` where there is no run.
    """
    from dolorim.inference.shared_run import is_shared, open_shared

    run = Run(Path(path))
    if is_shared(run.path):
        run = Run(open_shared(run.path).path)
    run.folder.read_config()
    return run


def train(
    approach: str,
    *,
    run: AnyPath,
    videos: AnyPath | None = None,
    annotations: AnyPath | None = None,
    dlc: AnyPath | None = None,
    folds: int | None = None,
    recipe: str = "default",
    config: AnyPath | None = None,
    **settings: Any,
) -> Run:
    """Learn behaviors from labeled videos, as `dolorim train APPROACH` does.

    `approach` is `video`, `multimodal` or `multitask`; `settings` are its flags by name
    (`epochs=30`, `test_animals="201M,202F"`). `folds` cross-validates by animal. `config` starts
    from the settings of an earlier run. Raises `UserError`.
    """
    base = starting_point(approach, recipe, _path(config))
    files = {"videos": videos, "annotations": annotations, "dlc": dlc}
    given = {name: Path(value) for name, value in files.items() if value is not None}
    changed = with_settings(base, {**given, **settings})
    changed = dataclasses.replace(changed, data=with_study_files(changed.data))
    return train_config(changed, Path(run), folds)


def train_config(
    config: Config, run: Path, folds: int | None = None, leave_one_out: bool = False
) -> Run:
    """Train with complete settings; with `folds` or `leave_one_out`, cross-validate by animal."""
    from dolorim.inference.run_folder import RunFolder
    from dolorim.training.cross_validation import cross_validate
    from dolorim.training.train import train as train_once

    if folds is not None and leave_one_out:
        raise UserError(
            "--folds and --leave_one_out both set the number of folds; keep one of them"
        )
    if folds is None and not leave_one_out:
        train_once(config, RunFolder(run))
    else:
        cross_validate(config, RunFolder(run), folds)
    return Run(run)


def pretrain(videos: AnyPath | Iterable[AnyPath], *, out: AnyPath, **settings: Any) -> Encoder:
    """Learn an encoder from videos without labels, as `dolorim pretrain` does.

    `videos` are files or folders. `settings` are the command's flags by name (`steps=500`,
    `continue_from="encoder"`, `mask=...`). Videos that cannot be read are reported and left out.
    Raises `UserError`.
    """
    from dolorim.training.pretrain import pretrain_encoder, recordings_in
    from dolorim.training.pretrain_options import PretrainOptions

    about_crops = {*CROPS, "cache", "chambers", "run_rate_hz"}
    reading = {name: value for name, value in settings.items() if name in about_crops}
    own = {name: value for name, value in settings.items() if name not in about_crops}
    options = options_of(PretrainOptions, "pretrain", own, also=about_crops)
    data = with_settings(Config(), reading).data
    recordings, unclear = recordings_in(_paths(videos), data.chambers)
    encoder, failures = pretrain_encoder(recordings, Path(out), data, options)
    for _, reason in [*unclear, *failures]:
        warnings.warn(reason, stacklevel=2)
    return encoder


def predict(
    run: Run | AnyPath,
    videos: AnyPath | Iterable[AnyPath],
    *,
    out: AnyPath | None = None,
    dlc: AnyPath | None = None,
    chambers: AnyPath | None = None,
    **settings: Any,
) -> BatchResult:
    """Label videos, as `dolorim predict` does, and write the results to a folder.

    `videos` are files or folders. `out` is the folder for the results; without it,
    `RUN/predictions/new`. `dlc` is the folder of the pose files. `chambers` says where
    in the picture several animals are: a table, a grid (`"2x4"`) or `"auto"`. `settings` are the
    flags of `dolorim predict` by name (`overlay=True`, `jobs=2`). A video that fails is reported
    and does not stop the others: the result lists the files that are `done`, `skipped`, `damaged`
    and `failed`. Raises `UserError`.
    """
    from dolorim.files.targets import check_folder
    from dolorim.inference.inputs import find_inputs
    from dolorim.inference.predict_batch import predict_videos
    from dolorim.inference.predict_options import PredictOptions

    folder = _run_of(run).folder
    options = options_of(PredictOptions, "predict", settings)
    target = _path(out) or folder.predictions("new")
    check_folder(target, "--out")
    places = _paths(videos)
    rack = None if chambers is None else str(chambers)
    recordings = find_inputs(folder, places, _path(dlc), rack)
    return predict_videos(folder, recordings, target, options)


def evaluate(
    run: Run | AnyPath,
    study: AnyPath | None = None,
    *,
    seen_animals_too: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Score a run on its own held-out animals or on another study.

    Returns the figures of `metrics.json`. `settings` are the flags of `dolorim train` that tell
    where the other study's files are and how to read them. Animals that the run was trained on are
    refused unless `seen_animals_too`. Raises `UserError`.
    """
    from dolorim.evaluation.evaluate import evaluate_held_out, evaluate_study
    from dolorim.evaluation.other_study import data_of_other_study

    folder = _run_of(run).folder
    if not _names_a_study(study, settings):
        metrics = evaluate_held_out(folder)
        if not metrics:
            raise UserError(
                f"{folder.path}: no animals were held out of this run; name another study to "
                f"score it on"
            )
        return metrics
    data = data_of_other_study(folder, _path(study), settings)
    scored = evaluate_study(folder, data, folder.predictions("other"), seen_animals_too)
    return {"other": scored}


def compare(
    run: Run | AnyPath,
    other: Run | AnyPath,
    study: AnyPath | None = None,
    *,
    seen_animals_too: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Compare two runs on the test animals of both, or on another study.

    `seen_animals_too` and `settings` are those of `evaluate`. The result has the figures of both
    runs, `a` and `b`, and their `difference`. Raises `UserError`.
    """
    from dolorim.evaluation.compare import compare_held_out, compare_on
    from dolorim.evaluation.other_study import data_of_other_study

    first, second = _run_of(run).folder, _run_of(other).folder
    if not _names_a_study(study, settings):
        return compare_held_out(first, second, seen_animals_too)
    classes = first.path / "ethogram.toml"
    data = (
        data_of_other_study(first, _path(study), settings, classes),
        data_of_other_study(second, _path(study), settings, classes),
    )
    return compare_on(first, second, data, seen_animals_too)


def check(study: AnyPath, *, workers: int | None = None, **settings: Any) -> Checked:
    """Check every video, label file and pose file of a study, as `dolorim check` does.

    The result has `rows` (one per recording), `counts` (per class) and `findings` (errors first).
    `workers` is the number of parallel processes; without it, one per processor.
    """
    from dolorim.checks.check import check as check_config
    from dolorim.core.workers import usual_workers

    data = with_settings(Config(), settings).data
    return check_config(in_study_folder(Path(study), data), workers or usual_workers())


def report(
    labels: AnyPath, *, groups: AnyPath, out: AnyPath = "dolorim-report", **settings: Any
) -> Report:
    """Read-outs, statistics between groups and figures, as `dolorim report` writes them to `out`.

    `labels` is a folder of predictions or of label files. `settings` are the command's flags by
    name (`assay="formalin"`, `run="runs/first"`, `label_gaps="rest"`). Raises `UserError`.
    """
    from dolorim.reporting.options import ReportOptions
    from dolorim.reporting.study_report import report_study
    from dolorim.video.frame_times import frame_times

    about_labels = {"videos", *LABEL_FILES, *LABEL_TIMES}
    reading = {name: value for name, value in settings.items() if name in about_labels}
    own = {name: value for name, value in settings.items() if name not in about_labels}
    if isinstance(own.get("run"), Run):
        own["run"] = own["run"].path
    if own.get("classes") is not None:
        reading["classes"] = own["classes"]
    paths = {"predictions": Path(labels), "groups": Path(groups), "out": Path(out)}
    data = with_settings(Config(), reading).data
    fixed = {**paths, "labels": data, "times_of": frame_times}
    options = options_of(ReportOptions, "report", own, fixed, about_labels)
    page, sentences, study = report_study(options)
    return Report(page, tuple(sentences), study)


def read_poses(path: AnyPath) -> Poses:
    """Read a pose file of DeepLabCut, Lightning Pose or SLEAP, with all its animals.

    Raises `UserError`.
    """
    from dolorim.pose.read import read_poses as read

    return Poses(read(Path(path)))


def read_labels(path: AnyPath, video: AnyPath, **settings: Any) -> pd.DataFrame:
    """Read a label file of any format as a row per frame of its video: `frame`, `time_s`, `label`.

    `label` is None where a frame is unlabeled. Times are the video's own, in seconds. `settings`
    are the flags of `dolorim train` that tell how to read labels (`classes`, `label_stream`,
    `label_gaps`, ...). Raises `UserError`.
    """
    from dolorim.video.frame_times import frame_times

    config = with_settings(Config(), settings).data
    ethogram = given_ethogram(config.classes)
    findings: list[Finding] = []
    files = labels_of_one(Path(path), Path(video), config, ethogram, findings)
    time_s = frame_times(Path(video), decode=True)
    time_s = time_s - time_s[:1]
    placement = place_labels(files, time_s, config, ethogram)
    for finding in (*findings, *placement.findings):
        warnings.warn(str(finding), stacklevel=2)
    names = np.array([*ethogram.classes, None], object)  # index -1 is None
    frames = np.arange(len(time_s))
    return pd.DataFrame({"frame": frames, "time_s": time_s, "label": names[placement.labels]})


def _run_of(run: Run | AnyPath) -> Run:
    return run if isinstance(run, Run) else load_run(run)


def _paths(given: AnyPath | Iterable[AnyPath]) -> list[Path]:
    several = [given] if isinstance(given, str | os.PathLike) else given
    return [Path(path) for path in several]


def _path(path: AnyPath | None) -> Path | None:
    return None if path is None else Path(path)


def _names_a_study(study: AnyPath | None, settings: dict[str, Any]) -> bool:
    """Is another study named? Raises `UserError` for settings that would be ignored without one."""
    if study is not None or settings.get("videos") is not None:
        return True
    for name, value in settings.items():
        if value is not None:
            raise UserError(
                f"--{name} tells how to read another study, but none is named; name its folder, "
                f"or leave the flag out to score on held-out animals"
            )
    return False


def _predict_one(
    folder: RunFolder, video: Path, pose: Path | None, options: PredictOptions
) -> Prediction:
    from dolorim.inference.inputs import find_inputs
    from dolorim.inference.predict_worker import PredictSetup, PredictWorker

    recording, *others = find_inputs(folder, [video], pose)
    if others:
        raise UserError(
            "shows several chambers, each of which is a recording; use predict_all", where=video
        )
    if pose is not None and pose.is_file():
        recording = dataclasses.replace(recording, pose=pose)
    setup = PredictSetup(folder, Path(), options)  # nothing is written, so no folder is needed
    return Prediction(PredictWorker(setup).predictions_of(recording))
