"""One worker of a batch.

It labels a recording and writes its files, or predicts a part of a long video.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from dolorim import __version__
from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.core.stopwatch import Stopwatch
from dolorim.core.workers import Failed, failure_of
from dolorim.files.recordings import called
from dolorim.files.structured import read_json
from dolorim.inference.conformal import Conformal, read_sets
from dolorim.inference.overlay import (
    ShownChamber,
    windows_of,
    write_overlay,
    write_rack_overlay,
)
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.predict_video import VideoPredictor, decide
from dolorim.inference.predictor import predictor_of, store_of
from dolorim.inference.raw_prediction import PredictInput, RawPrediction, VideoPart
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.unlike import read_appearances
from dolorim.labels.prediction_files import meta_path, write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.pose.pose_track import describe_rows, read_track
from dolorim.pose.write_dlc import write_dlc
from dolorim.terminal import detail
from dolorim.video.cache import CROP_SETTINGS, EntryMeta, cache_folder, fingerprint
from dolorim.video.chambers import in_chamber
from dolorim.video.oddities import describe_oddities
from dolorim.video.reader import probe
from dolorim.video.seen_frames import keep_seen
from dolorim.video.time_grid import describe_resampling, is_doubtful

_VISIBLE = 0.5  # probability from which on a keypoint of the network is drawn
_SUMMARY_CLASSES = 4  # classes that the line about a recording names

# Predictions are up to date if these entries of their `meta.json` are what they would be now.
_IDENTITY = (
    *("run", "view", "chamber", "fingerprint", "pose_fingerprint"),
    *("abstain", "abstain_by", "keypoints"),
)


@dataclass(frozen=True)
class PredictSetup:
    """What a worker has to know: the run, the folder for the results, and the options."""

    run: RunFolder
    out: Path
    options: PredictOptions = PredictOptions()  # noqa: RUF009 - frozen
    threads: int | None = None

    @property
    def config(self) -> Config:
        """The run's settings, with those that are special about these videos."""
        config = self.run.read_config()
        mask = config.data.mask if self.options.mask is None else self.options.mask
        length_px = self.options.body_length_px or config.data.body_length_px
        data = dataclasses.replace(config.data, body_length_px=length_px, mask=mask)
        return dataclasses.replace(config, data=data)

    @property
    def sets_run(self) -> RunFolder:
        """The run whose conformal sets tell which frames are ambiguous."""
        by = self.options.abstain_by
        return self.run if by is None else RunFolder(by)

    @property
    def conformal_sets(self) -> Conformal | None:
        """What tells which frames are ambiguous; None where none are to be left open."""
        if self.options.abstain is None:
            return None
        classes = self.run.read_ethogram().classes
        return read_sets(self.sets_run, self.options.abstain, classes, for_run=self.run)

    def meta(self, recording: PredictInput) -> dict[str, Any]:
        """What predictions of a recording depend on, as `meta.json` holds it."""
        data = in_chamber(self.config.data, recording.chamber)
        if recording.video is not None:
            # The crop depends on the body length that the animal is taken to have.
            data = self.run.read_body_lengths().for_crop(data, recording.video)
        meta: dict[str, Any] = {
            "dolorim": __version__,
            "run": str(self.run.path.resolve()),
            "video": str(recording.file),
            "view": {name: getattr(data, name) for name in CROP_SETTINGS},
        }
        if recording.chamber is not None:
            meta["chamber"] = {"name": recording.chamber.name, "box": [*recording.chamber.box]}
        points = self.run.read_ethogram().points
        if points:
            meta["points"] = [*points]
        if self.options.abstain is not None:
            meta["abstain"] = self.options.abstain
            meta["abstain_by"] = str(self.sets_run.path.resolve())
        if self.options.keypoints:
            meta["keypoints"] = True
        return meta | _fingerprints(recording)

    def is_done(self, recording: PredictInput, meta: dict[str, Any]) -> bool:
        """Has this run written predictions of these very files, and are they to be kept?"""
        if self.options.overwrite:
            return False
        try:
            before = read_json(meta_path(self.out, recording.stem))
        except UserError:
            return False
        if not isinstance(before, dict):
            return False
        return all(before.get(key) == meta.get(key) for key in _IDENTITY)


@dataclass(frozen=True)
class RecordingResult:
    """The outcome for one recording: a line about it, or None where it was done before."""

    summary: str | None
    damage: str | None = None
    frames: int = 0
    seconds: Stopwatch = field(default_factory=Stopwatch)
    note: str | None = None


def video_predictor(setup: PredictSetup) -> VideoPredictor:
    """What the run predicts videos with, loaded and ready."""
    config = setup.config
    predictor = predictor_of(setup.run, keypoints=setup.options.keypoints, features=True)
    store = store_of(predictor, config)
    return VideoPredictor(predictor, config, setup.run.read_body_lengths(), store)


class PredictWorker:
    """Labels recordings, and predicts parts of long ones, with a network that is loaded once."""

    def __init__(self, setup: PredictSetup, number: int = 0) -> None:
        self.setup = setup
        if setup.threads is not None:
            torch.set_num_threads(setup.threads)
        if torch.cuda.is_available():
            torch.cuda.set_device(number % torch.cuda.device_count())
        self.video_predictor = video_predictor(setup)

    def __call__(self, task: Task) -> Any:
        """A `RecordingResult`, for chambers a list of results, or the prediction of a part."""
        if isinstance(task, VideoPart):
            return self.video_predictor.predict_part(task)
        if isinstance(task, tuple):
            return self._label_chambers(task)
        if task.problem:
            raise UserError(task.problem)
        meta = self.setup.meta(task)
        if self.setup.is_done(task, meta):
            return RecordingResult(None)
        return write_results(self.setup, task, self.video_predictor.predict_video(task), meta)

    def _label_chambers(self, recordings: Sequence[PredictInput]) -> list[RecordingResult | Failed]:
        """Label the chambers of one video; one that fails does not stop the others."""
        metas = {recording: self.setup.meta(recording) for recording in recordings}
        results: dict[PredictInput, RecordingResult | Failed] = {}
        for recording in recordings:
            if self.setup.is_done(recording, metas[recording]):
                results[recording] = RecordingResult(None)
        to_label = [recording for recording in recordings if recording not in results]
        if to_label:
            outcomes = self.video_predictor.predict_chambers(to_label)
            for recording, raw in zip(to_label, outcomes, strict=True):
                results[recording] = self._write_chamber(recording, raw, metas[recording])
            # The labels are on the disk by now, whatever becomes of the picture.
            if self.setup.options.overlay:
                self._write_rack_overlay(to_label, outcomes, metas)
        return [results[recording] for recording in recordings]

    def _write_chamber(
        self, recording: PredictInput, raw: RawPrediction | UserError, meta: dict[str, Any]
    ) -> RecordingResult | Failed:
        """Write the results of a chamber, or tell why it has none."""
        try:
            if isinstance(raw, UserError):
                raise raw
            return write_results(self.setup, recording, raw, meta)
        except Exception as error:  # noqa: BLE001 - no chamber may stop the others
            return failure_of(error)

    def _write_rack_overlay(
        self,
        recordings: Sequence[PredictInput],
        outcomes: Sequence[RawPrediction | UserError],
        metas: Mapping[PredictInput, dict[str, Any]],
    ) -> None:
        """One copy of a video with all its chambers and their labels."""
        shown = []
        for recording, raw in zip(recordings, outcomes, strict=True):
            if isinstance(raw, RawPrediction) and recording.chamber is not None:
                predictions = _decide(self.setup, recording, raw, metas[recording])
                shown.append(ShownChamber(recording.chamber, predictions, windows_of(raw)))
        if shown:
            video = recordings[0].file
            write_rack_overlay(video, shown, self.setup.out / f"{video.stem}.overlay.mp4")

    def predictions_of(self, recording: PredictInput) -> Predictions:
        """The predictions of one recording; nothing is written. Raises `UserError`."""
        raw = self.video_predictor.predict_video(recording)
        return _decide(self.setup, recording, raw, self.setup.meta(recording))


Task: TypeAlias = PredictInput | VideoPart | tuple[PredictInput, ...]
"""A recording, a part of a long one, or the chambers of one video."""


def write_results(
    setup: PredictSetup, recording: PredictInput, raw: RawPrediction, meta: dict[str, Any]
) -> RecordingResult:
    """Decide on the labels of a whole recording and write its files. Raises `UserError`."""
    predictions = _decide(setup, recording, raw, meta)
    if setup.meta(recording) != meta:
        raise UserError(
            f"{recording.file}: changed while it was read; run again when it is complete"
        )
    with raw.seconds.on("writing"):
        if raw.keypoints is not None:
            keypoints = raw.keypoints if raw.grid is None else raw.keypoints[raw.grid.steps]
            _write_keypoints(setup, recording, keypoints)
        write_predictions(setup.out, predictions)
        _keep_seen(setup, recording, raw)
        is_whole = recording.video is not None and recording.chamber is None
        if setup.options.overlay and is_whole:
            overlay = setup.out / f"{recording.stem}.overlay.mp4"
            points = _points_of(setup, recording, raw, predictions)
            write_overlay(recording.file, predictions, overlay, windows_of(raw), points)
    frames = f"{len(predictions.labels)} frames"
    if setup.run.read_config().model.pose != "none":
        frames += f" from {' and '.join(raw.inputs)}"
    if raw.grid is not None:
        frames += f" ({raw.grid.filmed}, seen at {raw.grid.rate_hz:.4g})"
    shares = "nobody in it, no label"
    if not raw.empty:
        shares = summary_text(predictions, setup.run.read_ethogram().indicator)
    return RecordingResult(
        f"{called(recording.recorded)}: {frames}, {shares}",
        raw.damage,
        len(predictions.labels),
        raw.seconds,
        _note_on(setup, recording, raw),
    )


def _keep_seen(setup: PredictSetup, recording: PredictInput, raw: RawPrediction) -> None:
    """Store what quick heads have seen, so that the next run need not decode the video again."""
    if raw.seen is None or recording.video is None:
        return
    data = in_chamber(setup.config.data, recording.chamber)
    data = setup.run.read_body_lengths().for_crop(data, recording.video)
    meta = EntryMeta(
        raw.seen.state, raw.side_px, raw.damage, raw.sizes, raw.seen_length_px, raw.several
    )
    try:
        keep_seen(recording.video, data, recording.pose, raw.seen, raw.time_s, meta)
    except OSError as error:
        # The labels are written; only the next prediction takes longer.
        detail(f"{cache_folder(data)}: features are not stored ({error.strerror})")


def _note_on(setup: PredictSetup, recording: PredictInput, raw: RawPrediction) -> str | None:
    """What has to be said about a recording, although its labels are complete."""
    notes: list[str] = []
    if raw.empty:
        notes.append("nothing moves or looks like an animal in it, so that it gets no labels")
    if recording.video is not None:
        info = probe(recording.video)
        oddities = describe_oddities(
            info,
            raw.time_s,
            raw.damage is not None,
            raw.sizes,
            several=raw.several,
            in_chamber=recording.chamber is not None,
        )
        notes += oddities.values()
        data = in_chamber(setup.config.data, recording.chamber)
        new_view = setup.run.read_body_lengths().describe_new_view(data, info, raw.seen_length_px)
        notes += filter(None, [new_view])
    if raw.appearance is not None:
        unlike = raw.appearance.describe_difference(read_appearances(setup.run))
        notes += filter(None, [unlike])
    if raw.pose_rows is not None and raw.damage is None:
        rows = describe_rows(raw.pose_rows, len(raw.time_s))
        notes += filter(None, [rows])
    notes += _notes_on_rate(raw)
    return "; ".join(notes) or None


def _notes_on_rate(raw: RawPrediction) -> list[str]:
    """What has to be said about a recording that is too slow or too fast for the run."""
    if raw.grid is None or not is_doubtful(raw.grid.filmed, raw.grid.rate_hz):
        return []
    return [*describe_resampling(raw.grid.filmed, raw.grid.rate_hz)]


def summary_text(predictions: Predictions, indicator: str | None) -> str:
    """Shares of frames by class.

    The pain indicator comes first, even at 0 %, then the most frequent classes.
    """
    labels, n_frames = predictions.labels, len(predictions.labels)
    counts = np.bincount(labels[labels >= 0], minlength=len(predictions.classes))
    shares = dict(zip(predictions.classes, (counts / n_frames).tolist(), strict=True))
    named = [name for name in predictions.classes if shares[name] or name == indicator]
    named.sort(key=lambda name: (name != indicator, -shares[name]))
    parts = [f"{name} {100 * shares[name]:.1f}%" for name in named[:_SUMMARY_CLASSES]]
    left_open = predictions.meta.get("frames_left_open")
    if left_open is not None:
        parts.append(f"{left_open} left open ({100 * left_open / n_frames:.1f}%)")
    return ", ".join(parts)


def _decide(
    setup: PredictSetup, recording: PredictInput, raw: RawPrediction, meta: dict[str, Any]
) -> Predictions:
    decoder, ethogram = setup.run.read_decoder(), setup.run.read_ethogram()
    return decide(recording, raw, decoder, ethogram, meta, setup.conformal_sets)


def _points_of(
    setup: PredictSetup, recording: PredictInput, raw: RawPrediction, predictions: Predictions
) -> np.ndarray | None:
    """The keypoints to draw, `(frames, keypoint, 2)`: those that the network found, or else those
    of the pose that it looked at."""
    if raw.keypoints is not None:
        keypoints = raw.keypoints if raw.grid is None else raw.keypoints[raw.grid.steps]
        is_visible = keypoints[..., 2:] >= _VISIBLE
        return np.where(is_visible, keypoints[..., :2], np.nan)
    if "pose" not in raw.inputs or recording.pose is None or recording.video is None:
        return None
    config = setup.run.read_config()
    data = setup.run.read_body_lengths().for_pose(config.data, recording.video)
    rate_hz = predictions.meta.get("fps") or data.rate_hz
    poses = read_track(recording.pose, data, config.model.pose == "generic", rate_hz)
    return poses.points.reshape(poses.n_frames, -1, 2)


def _write_keypoints(setup: PredictSetup, recording: PredictInput, keypoints: np.ndarray) -> None:
    """Write keypoints `(time, keypoint, 3)` in the format of DeepLabCut."""
    names = setup.run.read_skeleton().keypoints
    values = keypoints.astype(float)
    path = setup.out / f"{recording.stem}.keypoints.csv"
    write_dlc(path, "dolorim", names, values[..., :2].round(2), values[..., 2].round(4))


def _fingerprints(recording: PredictInput) -> dict[str, Any]:
    """What identifies the recording's files, so that a changed file is noticed."""
    if not recording.file.is_file():
        kind = "video" if recording.video else "pose"
        raise UserError(f"{recording.file}: there is no such {kind} file")
    try:
        entries: dict[str, Any] = {"fingerprint": fingerprint(recording.file)}
        if recording.pose is not None:
            entries["pose"] = str(recording.pose)
            entries["pose_fingerprint"] = fingerprint(recording.pose)
    except OSError as error:
        raise UserError(f"{recording.file}: cannot be read ({error.strerror})") from None
    return entries
