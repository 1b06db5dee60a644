"""Label new recordings, each on its own, wherever the work is done."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dolorim import __version__
from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.core.stopwatch import Stopwatch
from dolorim.core.workers import Failed, failure_of
from dolorim.files.structured import read_json
from dolorim.files.tables import write_table
from dolorim.inference.conformal import Conformal, read_sets
from dolorim.inference.overlay import write_overlay
from dolorim.inference.predict_video import (
    PredictInput,
    RawPrediction,
    VideoPart,
    VideoPredictor,
    decide,
    joined,
)
from dolorim.inference.predictor import predictor_of
from dolorim.inference.review_priority import rank_bouts
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.streaming import UNIT
from dolorim.inference.workers import Engine, how_many, spread, threads_for
from dolorim.labels.prediction_files import meta_path, read_predictions, write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.pose.write_dlc import write_dlc
from dolorim.terminal import progress, say, warn
from dolorim.video.cache import CROP_SETTINGS, fingerprint
from dolorim.video.picture_size import describe_sizes
from dolorim.video.reader import probe

_TO_CHECK = 500  # bouts in to_check.csv
_PART = 32  # units (`Predictor.unit`) of a long video that one worker looks at: about 18 minutes at 30 frames/s


@dataclass
class BatchResult:
    """What became of a batch of recordings."""

    done: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    bugs: int = 0  # of those that failed, by an exception that nobody expected
    seconds: Stopwatch = field(default_factory=Stopwatch)
    frames: int = 0


@dataclass(frozen=True)
class PredictOptions:
    """What is to be done with each recording: all that a worker has to be told."""

    run: RunFolder
    out: Path
    overlay: bool = False
    overwrite: bool = True
    body_length_px: float | None = None
    mask: str | None = None
    abstain: float | None = None
    abstain_by: RunFolder | None = None
    threads: int | None = None
    keypoints: bool = False

    @property
    def config(self) -> Config:
        """The run's settings, with what is special about these videos."""
        config = self.run.read_config()
        data = dataclasses.replace(
            config.data,
            body_length_px=self.body_length_px or config.data.body_length_px,
            mask=config.data.mask if self.mask is None else self.mask,
        )
        return dataclasses.replace(config, data=data)

    @property
    def sets(self) -> Conformal | None:
        """What says which frames are ambiguous, where they are to be left open."""
        if self.abstain is None:
            return None
        classes = self.run.read_ethogram().classes
        return read_sets(self.abstain_by or self.run, self.abstain, classes, for_run=self.run)

    def meta(self, job: PredictInput) -> dict[str, Any]:
        data, by = self.config.data, self.abstain_by or self.run
        if (
            job.video is not None
        ):  # as long as the animal is taken for: another length is another view
            data = self.run.read_body_lengths().for_crop(data, job.video)
        open_ = (
            {}
            if self.abstain is None
            else {"abstain": self.abstain, "abstain_by": str(by.path.resolve())}
        )
        return {
            "dolorim": __version__,
            "run": str(self.run.path.resolve()),
            "video": str(job.file),
            "view": {name: getattr(data, name) for name in CROP_SETTINGS},
            **open_,
            **({"keypoints": True} if self.keypoints else {}),
            **_identity(job),
        }


@dataclass(frozen=True)
class Done:
    """What became of one recording: a line about it, or None where it was done before."""

    line: str | None
    damage: str | None = None
    frames: int = 0
    seconds: Stopwatch = field(default_factory=Stopwatch)
    note: str | None = None


class PredictWorker:
    """Labels recordings and parts of them as the options say, with a network that is loaded once."""

    def __init__(self, options: PredictOptions, number: int = 0) -> None:
        self.options, run = options, options.run
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        if torch.cuda.is_available():
            torch.cuda.set_device(number % torch.cuda.device_count())
        self.labeler = VideoPredictor(
            predictor_of(run, keypoints=options.keypoints), options.config, run.read_body_lengths()
        )

    def __call__(self, task: PredictInput | VideoPart) -> Done | RawPrediction | None:
        if isinstance(task, VideoPart):
            return self.labeler.predict_part(task)
        meta = self.options.meta(task)
        if not self.options.overwrite and is_done(self.options.out, task.stem, meta):
            return Done(None)
        return write_down(self.options, task, self.labeler.predict_video(task), meta)

    def predictions_of(self, job: PredictInput) -> Predictions:
        """The predictions of one recording, without writing anything. Raises `UserError`."""
        run, options = self.options.run, self.options
        raw = self.labeler.predict_video(job)
        return decide(
            job, raw, run.read_decoder(), run.read_ethogram(), options.meta(job), options.sets
        )


def write_down(
    options: PredictOptions, job: PredictInput, raw: RawPrediction, meta: dict[str, Any]
) -> Done:
    """Decide on the whole of a recording and write its files. Raises `UserError`."""
    predictions = decide(
        job, raw, options.run.read_decoder(), options.run.read_ethogram(), meta, options.sets
    )
    if options.meta(job) != meta:
        raise UserError(f"{job.file}: changed while it was read; run again when it is complete")
    with raw.seconds.on("writing"):
        if raw.keypoints is not None:
            names, found = options.run.read_skeleton().keypoints, raw.keypoints.astype(float)
            points, visible = found[..., :2].round(2), found[..., 2].round(4)
            write_dlc(options.out / f"{job.stem}.keypoints.csv", "dolorim", names, points, visible)
        write_predictions(options.out, predictions)
        if options.overlay and job.video is not None:
            write_overlay(job.video, predictions, options.out / f"{job.stem}.overlay.mp4")
    used = (
        f" from {' and '.join(raw.seen)}" if options.run.read_config().model.pose != "none" else ""
    )
    shares = _summary(predictions, options.run.read_ethogram().indicator)
    line = f"{job.file.name}: {len(predictions.labels)} frames{used}, {shares}"
    return Done(line, raw.damage, len(predictions.labels), raw.seconds, describe_sizes(raw.sizes))


def predict_videos(
    run: RunFolder,
    jobs: Sequence[PredictInput],
    out: Path,
    *,
    overlay: bool = False,
    overwrite: bool = True,
    body_length_px: float | None = None,
    mask: str | None = None,
    abstain: float | None = None,
    abstain_by: RunFolder | None = None,
    engine: Engine = "local",
    workers: int = 1,
    address: str | None = None,
    part: int = _PART,
    keypoints: bool = False,
) -> BatchResult:
    """Label recordings and write their files to `out`. One that fails is reported and does not stop the others.

    `to_check.csv` lists the bouts of all of them that a person should look at first. With `abstain`, frames whose
    conformal set at this alpha is not their label alone are left open (-1); the sets are the run's, or `abstain_by`'s.

    With `keypoints`, those that a run of several tasks finds are written as DeepLabCut would write them.

    `body_length_px` and `mask` replace those of the run, for videos of another camera. Where several `workers` do it,
    a long video is divided among them, `part` units at a time.

    With `overwrite=False`, recordings whose predictions are complete and made by this run from these very files are
    skipped.
    """
    workers = how_many(engine, workers, address)
    threads = threads_for(engine, workers, address)
    options = PredictOptions(
        run, out, overlay, overwrite, body_length_px, mask, abstain, abstain_by, threads, keypoints
    )
    if keypoints and run.read_config().model.tasks != "multitask":
        raise UserError(
            f"{run.path}: has learned no keypoints; --keypoints is for runs of train multitask"
        )
    _ = options.sets  # where they are missing, it is said before any work is done
    alone = engine == "local" and workers == 1
    outcome, started = BatchResult(), time.perf_counter()
    divided = {} if alone else _divided(options, jobs, part)
    waiting: deque[PredictInput | VideoPart] = deque(
        p for _, parts in divided.values() for p in parts
    )
    waiting.extend(job for job in jobs if job not in divided)
    found: dict[VideoPart, RawPrediction | Failed | None] = {}
    with progress("labelling videos", len(jobs)) as bar:
        for task, result in spread(
            partial(PredictWorker, options), waiting, workers, engine, address
        ):
            job = task if isinstance(task, PredictInput) else task.job
            if isinstance(task, VideoPart):
                assert not isinstance(result, Done)
                found[task] = result
                meta, parts = divided[job]
                if any(p not in found for p in parts):
                    continue
                result = _from_parts(options, job, [(p, found.pop(p)) for p in parts], meta)
                if result is None:
                    waiting.append(job)  # as one whole
                    continue
            assert isinstance(result, Done | Failed)
            _note(outcome, job, result, len(jobs))
            bar(1)
            bar.describe(f"labelling videos ({outcome.frames:,} frames so far)")
    there = {*outcome.done, *outcome.skipped}
    if there:
        _write_bouts_to_check(
            out, [j.stem for j in jobs if j.file in there], run.read_ethogram().indicator
        )
    outcome.seconds["all"] = time.perf_counter() - started
    return outcome


def _write_bouts_to_check(out: Path, stems: Sequence[str], indicator: str | None) -> None:
    """`to_check.csv`: bouts by what they can change in the read-out, the first ones."""
    ranked = rank_bouts(_readable(out, stems), indicator, _TO_CHECK)
    rows = [
        [b.name, b.bout.start, b.bout.stop, f"{b.start_s:.3f}", f"{b.stop_s:.3f}", b.label, b.rival,
         *(f"{v:.4f}" for v in (b.confidence, b.margin, b.seconds, b.bouts, b.score))] for b in ranked
    ]  # fmt: skip
    header = "recording,start_frame,stop_frame,start_s,stop_s,label,rival,mean_probability,margin"
    header += ",seconds_at_stake,bouts_at_stake,percent_of_readout"
    write_table(out / "to_check.csv", header.split(","), rows)


def _readable(out: Path, stems: Sequence[str]) -> Iterator[Predictions]:
    """Predictions with every frame decided; a file that was damaged since it was written is named and left out."""
    for stem in stems:
        try:
            predictions = read_predictions(out / f"{stem}.predictions.csv")
        except UserError as error:
            warn(f"left out of to_check.csv: {error}")
            continue
        yield _decided(predictions)


def _decided(predictions: Predictions) -> Predictions:
    """The same with every frame that was left open under its likeliest class."""
    likeliest = np.nan_to_num(predictions.probabilities).argmax(1).astype(np.int16)
    return dataclasses.replace(
        predictions, labels=np.where(predictions.labels < 0, likeliest, predictions.labels)
    )


def _note(outcome: BatchResult, job: PredictInput, result: Done | Failed, total: int) -> None:
    if isinstance(result, Failed):
        reason = result.explain(str(job.file))
        outcome.failed.append((job.file, reason))
        outcome.bugs += bool(result.trace)
        warn(reason)
    elif result.line is None:
        outcome.skipped.append(job.file)
    else:
        outcome.done.append(job.file)
        outcome.frames += result.frames
        for what, spent in result.seconds.items():
            outcome.seconds.add(what, spent)
        if result.note:
            warn(f"{job.file}: {result.note}")
        if result.damage:
            outcome.damaged.append((job.file, result.damage))
            warn(f"{job.file}: {result.damage}; the frames before that are labelled")
        finished = len(outcome.done) + len(outcome.skipped) + len(outcome.failed)
        say(f"{finished} of {total}: {result.line}" if total > 1 else result.line)


def _divided(
    options: PredictOptions, jobs: Sequence[PredictInput], units: int
) -> dict[PredictInput, tuple[dict[str, Any], list[VideoPart]]]:
    """Long videos in parts, for several workers. Those of a batch that are done already are not among them."""
    size = units * UNIT
    found: dict[PredictInput, tuple[dict[str, Any], list[VideoPart]]] = {}
    for job in jobs:
        if job.video is None:
            continue
        try:
            frames = probe(job.video).expected_frames
            if frames < 2 * size:
                continue
            meta = options.meta(job)
        except Exception:  # noqa: BLE001 - whoever is given it says what is wrong
            continue
        if not options.overwrite and is_done(options.out, job.stem, meta):
            continue
        starts = range(0, frames - size + 1, size)
        found[job] = (
            meta,
            [VideoPart(job, s, s + size if s != starts[-1] else None) for s in starts],
        )
    return found


def _from_parts(
    options: PredictOptions,
    job: PredictInput,
    parts: list[tuple[VideoPart, RawPrediction | Failed | None]],
    meta: dict[str, Any],
) -> Done | Failed | None:
    for _, result in parts:
        if isinstance(result, Failed):
            return result
    whole = joined([(p, w) for p, w in parts if not isinstance(w, Failed)])
    try:
        return None if whole is None else write_down(options, job, whole, meta)
    except Exception as error:  # noqa: BLE001 - as where a worker writes it down
        return failure_of(error)


def _identity(job: PredictInput) -> dict[str, Any]:
    if not job.file.is_file():
        raise UserError(f"{job.file}: there is no such {'video' if job.video else 'pose'} file")
    try:
        found = {"fingerprint": fingerprint(job.file)}
        return (
            found
            if job.pose is None
            else {**found, "pose": str(job.pose), "pose_fingerprint": fingerprint(job.pose)}
        )
    except OSError as error:
        raise UserError(f"{job.file}: cannot be read ({error.strerror})") from None


def is_done(out: Path, stem: str, meta: dict[str, Any]) -> bool:
    try:
        before = read_json(meta_path(out, stem))
    except UserError:
        return False
    keys = ("run", "view", "fingerprint", "pose_fingerprint", "abstain", "abstain_by", "keypoints")
    return isinstance(before, dict) and all(before.get(key) == meta.get(key) for key in keys)


def _summary(predictions: Predictions, indicator: str | None) -> str:
    """Shares of the frames, the sign of pain first: that there is none of it is a result, too."""
    labels, n = predictions.labels, len(predictions.labels)
    shares = np.bincount(labels[labels >= 0], minlength=len(predictions.classes)) / n
    by_name = dict(zip(predictions.classes, shares, strict=True))
    shown = [] if indicator is None else [indicator]
    shown += [
        c for c in sorted(by_name, key=lambda c: -by_name[c])[:4] if by_name[c] and c != indicator
    ]
    words = [f"{name} {100 * by_name[name]:.1f}%" for name in shown]
    if (left := predictions.meta.get("frames_left_open")) is not None:
        words.append(f"{left} left open ({100 * left / n:.1f}%)")
    return ", ".join(words)
