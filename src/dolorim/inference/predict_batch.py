"""Label new recordings, each independently, on this machine or on a cluster."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dolorim.core.errors import UserError
from dolorim.core.stopwatch import Stopwatch
from dolorim.core.workers import Failed, failure_of
from dolorim.files.recordings import Recorded
from dolorim.inference.head import NETWORK
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.predict_worker import (
    PredictSetup,
    PredictWorker,
    RecordingResult,
    Task,
    video_predictor,
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
    """The outcome of a batch, by file or, where a video has several, by chamber.

    They are done, skipped (done before), damaged, or failed; the last two come with reasons.
    """

    done: list[Recorded] = field(default_factory=list)
    skipped: list[Recorded] = field(default_factory=list)
    damaged: list[tuple[Recorded, str]] = field(default_factory=list)
    failed: list[tuple[Recorded, str]] = field(default_factory=list)
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
    with progress("labeling videos", len(recordings)) as bar:
        for task, result in results:
            if isinstance(task, tuple):
                # A failure of the whole video is one of each of its chambers.
                each = [result] * len(task) if isinstance(result, Failed) else result
                for chamber, its_result in zip(task, each, strict=True):
                    _add_result(batch, chamber, its_result, len(recordings))
                    bar(1)
                continue
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
            bar.describe(f"labeling videos ({batch.frames:,} frames so far)")
    _write_to_check(setup, recordings, {*batch.done, *batch.skipped})
    batch.seconds["all"] = time.perf_counter() - started
    return batch


def _tasks(
    recordings: Sequence[PredictInput], shared: dict[PredictInput, _SharedVideo]
) -> deque[Task]:
    """Parts of shared videos first, because these take longest, then all other recordings."""
    tasks: deque[Task] = deque()
    for video in shared.values():
        tasks.extend(video.parts)
    tasks.extend(_by_video([recording for recording in recordings if recording not in shared]))
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
    setup: PredictSetup, recordings: Sequence[PredictInput], available: set[Recorded]
) -> None:
    """List the bouts that a person should look at first, over all predictions there are."""
    stems = [recording.stem for recording in recordings if recording.recorded in available]
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
        place = str(recording.recorded)
        # The file is in the place already, with the chamber behind it.
        reason = result.explain(place).replace(f"{place}: {recording.file}: ", f"{place}: ", 1)
        batch.failed.append((recording.recorded, reason))
        batch.bugs += bool(result.trace)
        warn(reason)
        return
    if result.summary is None:
        batch.skipped.append(recording.recorded)
        return
    batch.done.append(recording.recorded)
    batch.frames += result.frames
    batch.seconds.add_all(result.seconds)
    if result.note:
        warn(f"{recording.recorded}: {result.note}")
    if result.damage:
        batch.damaged.append((recording.recorded, result.damage))
        warn(f"{recording.recorded}: {result.damage}; the frames before that are labeled")
    finished = len(batch.done) + len(batch.skipped) + len(batch.failed)
    say(f"{finished} of {total}: {result.summary}" if total > 1 else result.summary)


def _by_video(recordings: Sequence[PredictInput]) -> list[PredictInput | tuple[PredictInput, ...]]:
    """The same recordings; the chambers of a video, which is decoded once, are one task."""
    chambers: dict[Path, list[PredictInput]] = defaultdict(list)
    for recording in recordings:
        if _is_cut_out(recording):
            chambers[recording.file].append(recording)
    tasks: list[PredictInput | tuple[PredictInput, ...]] = []
    for recording in recordings:
        if not _is_cut_out(recording):
            tasks.append(recording)
        elif chambers[recording.file][0] is recording:
            tasks.append(tuple(chambers[recording.file]))
    return tasks


def _is_cut_out(recording: PredictInput) -> bool:
    return recording.chamber is not None and recording.video is not None


def _divide(
    setup: PredictSetup, recordings: Sequence[PredictInput], part_units: int
) -> dict[PredictInput, _SharedVideo]:
    """Long videos in parts, for several workers; without those that are done already."""
    size = part_units * UNIT
    predictor = None
    if setup.run.read_head().shares.get(NETWORK, 0.0) == 0:
        predictor = video_predictor(setup)  # quick heads label a video from stored features
    shared = {}
    for recording in recordings:
        if recording.video is None or recording.chamber is not None:
            continue
        try:
            n_frames = probe(recording.video).expected_frames
            if n_frames < 2 * size or (predictor is not None and predictor.is_stored(recording)):
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
