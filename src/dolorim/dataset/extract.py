"""Fill the frame cache: decode every video once, crop it, and shrink the crops."""

from __future__ import annotations

import shutil
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.workers import Failed, TaskRunner, spread
from dolorim.files.recordings import R, Recorded, chamber_of, count_of, file_of
from dolorim.terminal import progress, say, warn
from dolorim.video import cache
from dolorim.video.body_length import NO_LENGTHS, BodyLengths
from dolorim.video.cache import CachedVideo, Cropping
from dolorim.video.chambers import in_chamber
from dolorim.video.crop import plan_crop
from dolorim.video.oddities import describe_oddities
from dolorim.video.reader import VideoInfo, probe

Failures = list[tuple[Path, str]]


def extract(
    recordings: Mapping[R, Path | None] | Sequence[R],
    config: DataConfig,
    workers: int = 1,
    lengths: BodyLengths = NO_LENGTHS,
    *,
    pictures: bool = True,
) -> tuple[dict[R, CachedVideo], Failures]:
    """The cache entries of all recordings, built where missing or stale, and the failures.

    A mapping gives the pose file of each recording, for windows that follow it; `lengths` are the
    body lengths of the study. All chambers of a video are cut while it is decoded once. Without
    `pictures`, an entry that holds only features is not built again. Raises `UserError` if the
    cache cannot be written or the disk is full.
    """
    poses: Mapping[R, Path | None] = {}
    if isinstance(recordings, Mapping):
        poses = recordings
    entries: dict[R, CachedVideo] = {}
    missing: dict[R, VideoInfo] = {}
    failures: Failures = []
    # One bad video must not stop the others, in looking it up as in building its entry.
    runner = TaskRunner(lambda number: partial(_load_or_probe, config, lengths, pictures), 0)
    for recording in recordings:
        result = runner.attempt((recording, poses.get(recording)))
        if isinstance(result, Failed):
            failures.append((file_of(recording), result.explain(str(file_of(recording)))))
        elif isinstance(result, CachedVideo):
            entries[recording] = result
        else:
            missing[recording] = result
    if missing:
        _announce(missing, config)
        by_file: dict[Path, list[tuple[R, Path | None]]] = defaultdict(list)
        for recording in missing:
            by_file[file_of(recording)].append((recording, poses.get(recording)))
        tasks = deque(tuple(of_one_video) for of_one_video in by_file.values())
        expected_frames = sum(info.expected_frames for info in missing.values())
        built, not_built = _build_all(tasks, expected_frames, config, workers, lengths)
        entries |= built
        failures += not_built
    _warn_of_oddities(entries, config, lengths)
    # In the order of the recordings, no matter which entries existed before.
    return {r: entries[r] for r in recordings if r in entries}, failures


def _warn_of_oddities(
    entries: Mapping[R, CachedVideo], config: DataConfig, lengths: BodyLengths
) -> None:
    said: set[str] = set()
    for recording, entry in entries.items():
        info = probe(entry.video)
        chamber = chamber_of(recording)
        damaged = entry.damage is not None
        oddities = describe_oddities(
            info,
            entry.time_s,
            damaged,
            entry.sizes,
            several=entry.several,
            in_chamber=chamber is not None,
        )
        own = in_chamber(config, chamber)
        new_view = lengths.describe_new_view(own, info, entry.seen_length_px)
        lines = []
        for name, text in oddities.items():
            where: Recorded = recording if name == "several-animals" else entry.video
            lines.append(f"{where}: {text}")
        lines += [f"{recording}: {text}" for text in filter(None, [new_view])]
        # What is odd about a video is odd about each of its chambers.
        for line in lines:
            if line not in said:
                warn(line)
            said.add(line)


_Recording: TypeAlias = tuple[R, Path | None]
"""A recording, and the pose that its window follows."""
_Task: TypeAlias = tuple[_Recording[R], ...]
"""The recordings of one video that are to be built."""


def _load_or_probe(
    config: DataConfig, lengths: BodyLengths, pictures: bool, recording: _Recording[Recorded]
) -> CachedVideo | VideoInfo:
    """A recording's entry, or its video's header if there is no entry."""
    entry = _load(config, lengths, recording, pictures)
    return entry or probe(file_of(recording[0]))


def _load(
    config: DataConfig,
    lengths: BodyLengths,
    recording: _Recording[Recorded],
    pictures: bool = True,
) -> CachedVideo | None:
    cropping = _cropping(config, lengths, recording)
    video = file_of(recording[0])
    return cache.load(video, cropping.config, cropping.pose, pictures=pictures)


def _cropping(
    config: DataConfig, lengths: BodyLengths, recording: _Recording[Recorded]
) -> Cropping:
    recorded, pose = recording
    own = in_chamber(config, chamber_of(recorded))
    return Cropping(lengths.for_crop(own, file_of(recorded)), pose)


def _build_all(
    tasks: deque[_Task[R]],
    expected_frames: int,
    config: DataConfig,
    workers: int,
    lengths: BodyLengths,
) -> tuple[dict[R, CachedVideo], Failures]:
    """The new entries of all recordings, and the failures, with a progress bar."""
    entries: dict[R, CachedVideo] = {}
    failures: Failures = []
    make_builder = partial(_builder, config, lengths)
    workers = min(workers, len(tasks))
    with progress("extracting frames", expected_frames or None) as bar:
        for task, result in spread(make_builder, tasks, workers):
            video = file_of(task[0][0])
            if isinstance(result, Failed):
                failures.append((video, result.explain(str(video))))
                continue
            failures += [(video, reason) for reason in result]
            for recording, pose in task:
                # The entry is read here: sending a memory map between processes would copy it.
                entry = _load(config, lengths, (recording, pose))
                if entry is not None:
                    entries[recording] = entry
                    bar(entry.n_frames)
                elif not result:
                    failures.append((video, f"{video}: its cache entry disappeared; run again"))
    return entries, failures


def _builder(
    config: DataConfig, lengths: BodyLengths, number: int
) -> Callable[[_Task[Any]], list[str]]:
    return partial(_build, config, lengths)


def _build(config: DataConfig, lengths: BodyLengths, task: _Task[Any]) -> list[str]:
    """Build the entries of one video; returns why some of its chambers could not be built."""
    video = file_of(task[0][0])
    if len(task) == 1:
        cropping = _cropping(config, lengths, task[0])
        cache.build(video, cropping.config, cropping.pose)
        return []
    possible: list[Cropping] = []
    reasons: list[str] = []
    for recording in task:
        cropping = _cropping(config, lengths, recording)
        try:
            # A chamber that cannot be cropped must not stop the others of its video.
            plan_crop(video, cropping.config, pose=cropping.pose)
        except UserError as error:
            reasons.append(str(error))
        else:
            possible.append(cropping)
    if possible:
        cache.build_together(video, possible)
    return reasons


def _announce(missing: Mapping[R, VideoInfo], config: DataConfig) -> None:
    """Say how much disk space is needed. Raises `UserError` if there is less."""
    folder = cache.cache_folder(config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be made ({error.strerror}); choose another folder with --cache DIR"
        ) from None
    needed = sum(cache.bytes_needed(info, config) for info in missing.values())
    free = shutil.disk_usage(folder).free
    size = f"{needed / 1e9:.2f} GB" if needed >= 1e8 else f"{needed / 1e6:.0f} MB"
    say(
        f"extracting frames of {count_of(missing)} to {folder} "
        f"(about {size} of {free / 1e9:.0f} GB free)"
    )
    if needed > free:
        raise UserError(
            f"{folder}: about {size} are needed, {free / 1e9:.1f} GB are free; "
            "choose another --cache DIR"
        )
