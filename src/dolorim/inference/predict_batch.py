"""Label new recordings, each independently, on this machine or on a cluster."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dolorim.core.errors import UserError
from dolorim.core.stopwatch import Stopwatch
from dolorim.core.workers import Failed, failure_of
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.predict_worker import (
    PredictSetup,
    PredictWorker,
    RecordingResult,
    write_results,
)
from dolorim.inference.raw_prediction import (
    PredictInput,
    RawPrediction,
    VideoPart,
    joined,
)
from dolorim.inference.review_priority import write_bouts_to_check
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.streaming import UNIT
from dolorim.inference.workers import how_many, spread, threads_for
from dolorim.terminal import progress, say, warn
from dolorim.video.reader import probe

# Size of the parts of a long video, in units of `Predictor.unit`: about 18 minutes at 30 frames/s.
_PART_UNITS = 32


@dataclass
class BatchResult:
    """The outcome of a batch, by file.

    Files are done, skipped (done before), damaged, or failed; the last two come with reasons.
    """

    done: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    bugs: int = 0  # how many of the failed ones failed by an unexpected exception
    seconds: Stopwatch = field(default_factory=Stopwatch)
    frames: int = 0


@dataclass
class _SharedVideo:
    """A long video that several workers share, and the predictions of its parts so far."""

    meta: dict[str, Any]
    parts: list[VideoPart]
    results: dict[VideoPart, RawPrediction | Failed | None] = field(default_factory=dict)


def predict_videos(
    run: RunFolder,
    recordings: Sequence[PredictInput],
    out: Path,
    options: PredictOptions = PredictOptions(),  # noqa: B008 - frozen
    part_units: int = _PART_UNITS,
) -> BatchResult:
    """Label recordings and write their files to `out`. One that fails does not stop the others.

    `to_check.csv` lists the bouts of all recordings that a person should look at first. Where
    several workers share the work, a long video is divided into parts of `part_units` units.
    Raises `UserError` for options that this run cannot fulfill.
    """
    started = time.perf_counter()
    workers = how_many(options.engine, options.jobs or 0, options.address)
    threads = threads_for(options.engine, workers, options.address)
    setup = PredictSetup(run, out, options, threads)
    _check_options(setup)
    shared: dict[PredictInput, _SharedVideo] = {}
    if options.engine != "local" or workers > 1:
        shared = _divide(setup, recordings, part_units)
    tasks = _tasks(recordings, shared)
    batch = BatchResult()
    make_worker = partial(PredictWorker, setup)
    results = spread(make_worker, tasks, workers, options.engine, options.address)
    with progress("labelling videos", len(recordings)) as bar:
        for task, result in results:
            recording = task
            if isinstance(task, VideoPart):
                recording = task.recording
                result = _take_part(setup, task, result, shared)
                if result is None and recording not in shared:
                    # The parts do not fit together, so the video is predicted as a whole.
                    tasks.append(recording)
            if result is None:
                continue
            assert isinstance(recording, PredictInput)
            assert isinstance(result, RecordingResult | Failed)
            _add_result(batch, recording, result, len(recordings))
            bar(1)
            bar.describe(f"labelling videos ({batch.frames:,} frames so far)")
    _write_to_check(setup, recordings, {*batch.done, *batch.skipped})
    batch.seconds["all"] = time.perf_counter() - started
    return batch


def _tasks(
    recordings: Sequence[PredictInput], shared: dict[PredictInput, _SharedVideo]
) -> deque[PredictInput | VideoPart]:
    """Parts of shared videos first, because these take longest, then all other recordings."""
    tasks: deque[PredictInput | VideoPart] = deque()
    for video in shared.values():
        tasks.extend(video.parts)
    tasks.extend(recording for recording in recordings if recording not in shared)
    return tasks


def _take_part(
    setup: PredictSetup,
    part: VideoPart,
    result: RecordingResult | RawPrediction | Failed | None,
    shared: dict[PredictInput, _SharedVideo],
) -> RecordingResult | Failed | None:
    """Keep the prediction of a part, and write the whole video's files after the last one.

    None before that, and where the parts do not fit together; then the video is not `shared` any
    more.
    """
    assert not isinstance(result, RecordingResult)
    video = shared[part.recording]
    video.results[part] = result
    if len(video.results) < len(video.parts):
        return None
    return _write_joined(setup, part.recording, shared.pop(part.recording))


def _write_to_check(
    setup: PredictSetup, recordings: Sequence[PredictInput], available: set[Path]
) -> None:
    """List the bouts that a person should look at first, over all predictions there are."""
    stems = [recording.stem for recording in recordings if recording.file in available]
    if stems:
        indicator = setup.run.read_ethogram().indicator
        write_bouts_to_check(setup.out, stems, indicator)


def _check_options(setup: PredictSetup) -> None:
    """Raise `UserError` before any work is done where the run lacks what the options need."""
    run = setup.run
    if setup.options.keypoints and run.read_config().model.tasks != "multitask":
        raise UserError(
            f"{run.path}: has learned no keypoints; --keypoints is for runs of train multitask"
        )
    _ = setup.conformal_sets


def _add_result(
    batch: BatchResult, recording: PredictInput, result: RecordingResult | Failed, total: int
) -> None:
    """Count a recording's result, and report it."""
    if isinstance(result, Failed):
        reason = result.explain(str(recording.file))
        batch.failed.append((recording.file, reason))
        batch.bugs += bool(result.trace)
        warn(reason)
        return
    if result.summary is None:
        batch.skipped.append(recording.file)
        return
    batch.done.append(recording.file)
    batch.frames += result.frames
    batch.seconds.add_all(result.seconds)
    if result.note:
        warn(f"{recording.file}: {result.note}")
    if result.damage:
        batch.damaged.append((recording.file, result.damage))
        warn(f"{recording.file}: {result.damage}; the frames before that are labelled")
    finished = len(batch.done) + len(batch.skipped) + len(batch.failed)
    say(f"{finished} of {total}: {result.summary}" if total > 1 else result.summary)


def _divide(
    setup: PredictSetup, recordings: Sequence[PredictInput], part_units: int
) -> dict[PredictInput, _SharedVideo]:
    """Long videos in parts, for several workers; without those that are done already."""
    size = part_units * UNIT
    shared = {}
    for recording in recordings:
        if recording.video is None:
            continue
        try:
            n_frames = probe(recording.video).expected_frames
            if n_frames < 2 * size:
                continue
            meta = setup.meta(recording)
        except Exception:  # noqa: BLE001 - the worker that gets the whole video reports it
            continue
        if setup.is_done(recording, meta):
            continue
        starts = list(range(0, n_frames - size + 1, size))
        stops = [*starts[1:], None]
        parts = [VideoPart(recording, *ends) for ends in zip(starts, stops, strict=True)]
        shared[recording] = _SharedVideo(meta, parts)
    return shared


def _write_joined(
    setup: PredictSetup, recording: PredictInput, video: _SharedVideo
) -> RecordingResult | Failed | None:
    """Write the files of a video from its parts; None where the parts do not fit together."""
    parts: list[tuple[VideoPart, RawPrediction | None]] = []
    for part in video.parts:
        result = video.results[part]
        if isinstance(result, Failed):
            return result
        parts.append((part, result))
    whole = joined(parts)
    if whole is None:
        return None
    try:
        return write_results(setup, recording, whole, video.meta)
    except Exception as error:  # noqa: BLE001 - reported as if a worker had written the files
        return failure_of(error)
