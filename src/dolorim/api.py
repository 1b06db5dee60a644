"""dolorim in a script or a notebook: what the command line does, with objects and pandas tables.

What a user can mend is raised as `UserError` (`dolorim.DolorimError`), whose text is one line. Modules that need
PyTorch are imported by the functions that use them.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.dataset.study import in_study_folder, with_study_files
from dolorim.labels.ethogram import PAIN
from dolorim.labels.ethogram_file import read_ethogram
from dolorim.labels.matching import labels_of_one
from dolorim.labels.placing import place_labels
from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.pose.pose import Pose

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

    from dolorim.checks.check import Checked
    from dolorim.inference.run_folder import RunFolder
    from dolorim.reporting.observations import Observations

AnyPath: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True)
class Prediction:
    """What a run says about one recording, frame by frame.

    `predictions` holds the arrays: `labels` `(time,)` class indices, -1 where a frame was left open, `probabilities`
    `(time, classes)`, and `time_s` `(time,)`, seconds from the first frame.
    """

    predictions: Predictions

    @property
    def name(self) -> str:
        return self.predictions.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.predictions.classes

    @cached_property
    def frames(self) -> pd.DataFrame:
        """A row per frame: `frame`, `time_s`, `label` (None where it was left open) and `p_<class>`."""
        p = self.predictions
        names = np.array([*p.classes, None], object)
        table = pd.DataFrame({
            "frame": np.arange(len(p.labels)),
            "time_s": p.time_s,
            "label": names[p.labels],
        })  # fmt: skip
        for i, name in enumerate(p.classes):
            table[f"p_{name}"] = p.probabilities[:, i]
        return table

    @cached_property
    def bouts(self) -> pd.DataFrame:
        """A row per bout: `start_s`, `stop_s`, `label`, `mean_probability`, `start_frame`, `stop_frame`.

        Frames and seconds are half-open ranges, `[start, stop)`.
        """
        rows = []
        for bout, probability in self.predictions.bouts():
            start_s, stop_s = self.predictions.interval_s(bout)
            label = self.classes[bout.label]
            rows.append((start_s, stop_s, label, probability, bout.start, bout.stop))
        columns = ["start_s", "stop_s", "label", "mean_probability", "start_frame", "stop_frame"]
        return pd.DataFrame(rows, columns=columns)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the ethogram: a row per class, time in seconds along it."""
        from dolorim.reporting.figures import draw_ethogram

        return draw_ethogram(self.predictions, axes)

    def save(self, folder: AnyPath) -> Path:
        """Write the files that `dolorim predict` writes, byte for byte; returns the folder."""
        write_predictions(Path(folder), self.predictions)
        return Path(folder)


@dataclass(frozen=True)
class Run:
    """A trained run: `classes`, `config`, `metrics` and `card` are read from its folder when they are asked for."""

    path: Path

    @property
    def folder(self) -> RunFolder:
        from dolorim.inference.run_folder import RunFolder

        return RunFolder(self.path)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.folder.read_ethogram().classes

    @property
    def config(self) -> Config:
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

        `video` is a file or an array `(time, height, width)` uint8, for which `rate_hz` (frames per second) is
        required and `name` is what its files will be called. `pose` is its pose file, or the folder in which it is
        looked for; without it, a run that has learned from poses looks beside the video. `abstain` leaves frames open
        that could be of another class at this error rate. Raises `UserError`.
        """
        if isinstance(video, np.ndarray):
            with tempfile.TemporaryDirectory() as folder:
                file = _as_file(video, rate_hz, Path(folder) / f"{name}.mkv")
                return self._predict_file(file, pose, body_length_px, mask, abstain)
        return self._predict_file(Path(video), pose, body_length_px, mask, abstain)

    def _predict_file(
        self,
        video: Path,
        pose: AnyPath | None,
        body_length_px: float | None,
        mask: str | None,
        abstain: float | None,
    ) -> Prediction:
        from dolorim.inference.inputs import find_inputs
        from dolorim.inference.predict_batch import PredictOptions, PredictWorker

        places = None if pose is None else Path(pose)
        [job] = find_inputs(self.folder, [video], places)
        if places is not None and places.is_file():
            job = dataclasses.replace(job, pose=places)
        options = PredictOptions(
            self.folder, Path(), body_length_px=body_length_px, mask=mask, abstain=abstain
        )  # nothing is written, so the folder is never used
        return Prediction(PredictWorker(options).predictions_of(job))


def load_run(path: AnyPath) -> Run:
    """Open the folder of a trained run. Raises `UserError` where it holds none."""
    run = Run(Path(path))
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
    """Learn behaviors from labelled videos, as `dolorim train APPROACH` does.

    `approach` is `video`, `multimodal` or `multitask`; `settings` are its flags by name (`epochs=30`,
    `test_animals="201M,202F"`). `folds` cross-validates by animal. `config` starts from the settings of an earlier run.
    Raises `UserError`.
    """
    from dolorim.presets import starting_point, with_settings

    base = starting_point(approach, recipe, None if config is None else Path(config))
    files = {"videos": videos, "annotations": annotations, "dlc": dlc}
    given = {name: Path(value) for name, value in files.items() if value is not None}
    changed = with_settings(base, {**given, **settings})
    changed = dataclasses.replace(changed, data=with_study_files(changed.data))
    return train_config(changed, Path(run), folds)


def train_config(
    config: Config, run: Path, folds: int | None = None, leave_one_out: bool = False
) -> Run:
    """Train with settings that are complete; with `folds` or `leave_one_out`, cross-validate by animal."""
    from dolorim.inference.run_folder import RunFolder
    from dolorim.training.cross_validation import cross_validate
    from dolorim.training.train import train as train_once

    if folds is not None and leave_one_out:
        raise UserError(
            "--folds and --leave_one_out both say how many folds there are; keep one of them"
        )
    if folds is None and not leave_one_out:
        train_once(config, RunFolder(run))
    else:
        cross_validate(config, RunFolder(run), folds)
    return Run(run)


def evaluate(
    run: Run | AnyPath,
    study: AnyPath | None = None,
    *,
    seen_animals_too: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Score a run on its own held-out animals or on another study; the figures are those of `metrics.json`.

    `settings` are the flags of `dolorim train` that say where the other study's files are and how to read them.
    Animals that the run has learned from are refused unless `seen_animals_too`. Raises `UserError`.
    """
    from dolorim.evaluation.evaluate import evaluate_held_out, evaluate_project
    from dolorim.presets import with_settings

    folder = (run if isinstance(run, Run) else load_run(run)).folder
    if study is None and not settings:
        metrics = evaluate_held_out(folder)
        if not metrics:
            raise UserError(
                f"{folder.path}: no animals were held out of this run; name another study to score it on"
            )
        return metrics
    config = folder.read_config()
    # Where files lie, and what their names mean, is the other study's own.
    elsewhere = dataclasses.replace(
        config.data,
        videos=None,
        annotations=None,
        recordings=None,
        dlc=None,
        classes=None,
        label_format="auto",
    )
    data = with_settings(dataclasses.replace(config, data=elsewhere), settings).data
    data = with_study_files(data) if study is None else in_study_folder(Path(study), data)
    data = dataclasses.replace(data, classes=data.classes or folder.path / "ethogram.toml")
    scored = evaluate_project(folder, data, folder.predictions("other"), seen_animals_too)
    return {"other": scored}


def check(study: AnyPath, *, workers: int | None = None, **settings: Any) -> Checked:
    """Look at every video, label file and pose file of a study, as `dolorim check` does.

    The result has `rows` (one per recording), `counts` (per class) and `findings` (the worst first).
    """
    from dolorim.checks.check import check as check_config
    from dolorim.core.workers import usual_workers
    from dolorim.presets import with_settings

    data = with_settings(Config(), settings).data
    return check_config(in_study_folder(Path(study), data), workers or usual_workers())


@dataclass(frozen=True)
class Report:
    """A written report: `page` is the HTML file, `sentences` the answer in words, `study` what was read."""

    page: Path
    sentences: tuple[str, ...]
    study: Observations


def report(
    labels: AnyPath, *, groups: AnyPath, out: AnyPath = "dolorim-report", **settings: Any
) -> Report:
    """Read-outs, statistics between groups and figures, as `dolorim report` writes them to `out`.

    `settings` are its flags by name (`assay="formalin"`, `run="runs/first"`). Raises `UserError`.
    """
    from dolorim.reporting.options import ReportOptions
    from dolorim.reporting.study_report import report_study
    from dolorim.video.frame_times import frame_times

    known = {field.name for field in dataclasses.fields(ReportOptions)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise UserError(
            f"report has no setting {unknown[0]!r}; there are {', '.join(sorted(known))}"
        )
    for name in ("stimuli", "run", "classes", "agreement"):
        if settings.get(name) is not None:
            value = settings[name]
            settings[name] = value.path if isinstance(value, Run) else Path(value)
    options = ReportOptions(
        Path(labels), Path(groups), out=Path(out), times_of=frame_times, **settings
    )
    page, sentences, study = report_study(options)
    return Report(page, tuple(sentences), study)


@dataclass(frozen=True)
class Poses(Sequence[Pose]):
    """The animals of a pose file, in its order; each is a `Pose` with `points` `(time, keypoint, xy)` in pixels."""

    animals: tuple[Pose, ...]

    def __getitem__(self, index: Any) -> Any:
        return self.animals[index]

    def __len__(self) -> int:
        return len(self.animals)

    def to_xarray(self, rate_hz: float | None = None) -> xr.Dataset:
        """A dataset as the movement package has it: `position` `(time, space, keypoints, individuals)` in pixels and
        `confidence` `(time, keypoints, individuals)`; NaN where a point is missing.

        `time` counts frames, or seconds with `rate_hz`. Raises `UserError` where xarray is not installed.
        """
        try:
            import xarray as xr
        except ImportError:
            raise UserError(
                "to_xarray needs the package xarray; install it with: pip install xarray"
            ) from None
        names = self.animals[0].names
        length = max(len(pose) for pose in self.animals)
        position = np.full((length, 2, len(names), len(self.animals)), np.nan)
        confidence = np.full((length, len(names), len(self.animals)), np.nan)
        for i, pose in enumerate(self.animals):
            position[: len(pose), :, :, i] = pose.points.transpose(0, 2, 1)
            if pose.likelihood is not None:
                confidence[: len(pose), :, i] = pose.likelihood
        individuals = [pose.individual or f"id_{i}" for i, pose in enumerate(self.animals)]
        time = np.arange(length) if rate_hz is None else np.arange(length) / rate_hz
        return xr.Dataset(
            {
                "position": (("time", "space", "keypoints", "individuals"), position),
                "confidence": (("time", "keypoints", "individuals"), confidence),
            },
            coords={
                "time": time,
                "space": ["x", "y"],
                "keypoints": list(names),
                "individuals": individuals,
            },
            attrs={"time_unit": "frames" if rate_hz is None else "seconds", "fps": rate_hz},
        )


def read_poses(path: AnyPath) -> Poses:
    """Read a pose file of DeepLabCut, Lightning Pose or SLEAP, with all its animals. Raises `UserError`."""
    from dolorim.pose.read import read_poses as read

    return Poses(read(Path(path)))


def read_labels(path: AnyPath, video: AnyPath, **settings: Any) -> pd.DataFrame:
    """Read a label file of any format as a row per frame of its video: `frame`, `time_s`, `label`.

    `label` is None where a frame is unlabelled. Times are the video's own. `settings` are the flags of `dolorim train`
    that say how labels are read (`classes`, `label_stream`, `label_gaps`, ...). Raises `UserError`.
    """
    from dolorim.presets import with_settings
    from dolorim.video.frame_times import frame_times

    config = with_settings(Config(), settings).data
    ethogram = PAIN if config.classes is None else read_ethogram(config.classes)
    findings: list[Finding] = []
    files = labels_of_one(Path(path), Path(video), config, ethogram, findings)
    time_s = frame_times(Path(video), decode=True)
    time_s = time_s - time_s[:1]
    placement = place_labels(files, time_s, config, ethogram)
    for finding in (*findings, *placement.findings):
        warnings.warn(str(finding), stacklevel=2)
    names = np.array([*ethogram.classes, None], object)
    frames = np.arange(len(time_s))
    return pd.DataFrame({"frame": frames, "time_s": time_s, "label": names[placement.labels]})


def _as_file(frames: np.ndarray, rate_hz: float | None, path: Path) -> Path:
    """Write frames losslessly, so that they take the very way of a video."""
    from dolorim.video.writer import write_lossless

    if frames.ndim != 3 or frames.dtype != np.uint8:
        raise UserError(
            f"expected frames (time, height, width) uint8, got {frames.shape} {frames.dtype}"
        )
    if rate_hz is None or rate_hz <= 0:
        raise UserError("an array has no timestamps; give rate_hz, its frames per second")
    return write_lossless(path, frames, rate_hz)
