"""Fill the frame cache: decode, crop and shrink every video once."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.workers import Failed, TaskRunner, spread
from dolorim.terminal import progress, say, warn
from dolorim.video import cache
from dolorim.video.body_length import NO_LENGTHS, BodyLengths
from dolorim.video.cache import CachedVideo
from dolorim.video.oddities import describe_oddities
from dolorim.video.reader import VideoInfo, probe

Failures = list[tuple[Path, str]]
Poses = Mapping[Path, Path | None]


def extract(
    videos: Poses | Sequence[Path],
    config: DataConfig,
    workers: int = 1,
    lengths: BodyLengths = NO_LENGTHS,
) -> tuple[dict[Path, CachedVideo], Failures]:
    """The cache entries of all videos, built where missing or stale, and the failures.

    A mapping gives the pose file of each video, for windows that follow it; `lengths` are the body
    lengths of the study. Raises `UserError` if the cache cannot be written or the disk is full.
    """
    poses: Poses = videos if isinstance(videos, Mapping) else dict.fromkeys(videos)
    entries: dict[Path, CachedVideo] = {}
    missing: dict[Path, VideoInfo] = {}
    failures: Failures = []
    # One bad video must not stop the others, in looking it up as in building its entry.
    runner = TaskRunner(lambda number: partial(_load_or_probe, config, lengths), 0)
    for video in videos:
        result = runner.attempt((video, poses[video]))
        if isinstance(result, Failed):
            failures.append((video, result.explain(str(video))))
        elif isinstance(result, CachedVideo):
            entries[video] = result
        else:
            missing[video] = result
    if missing:
        _announce(missing, config)
        tasks: deque[_Task] = deque((video, poses[video]) for video in missing)
        expected_frames = sum(info.expected_frames for info in missing.values())
        built, not_built = _build_all(tasks, expected_frames, config, workers, lengths)
        entries |= built
        failures += not_built
    _warn_of_oddities(entries.values(), config, lengths)
    # In the order of the videos, no matter which entries existed before.
    return {v: entries[v] for v in videos if v in entries}, failures


def _warn_of_oddities(
    entries: Iterable[CachedVideo], config: DataConfig, lengths: BodyLengths
) -> None:
    for entry in entries:
        info = probe(entry.video)
        oddities = describe_oddities(info, entry.time_s, entry.damage is not None, entry.sizes)
        new_view = lengths.describe_new_view(config, info, entry.seen_length_px)
        for text in [*oddities.values(), *filter(None, [new_view])]:
            warn(f"{entry.video}: {text}")


_Task = tuple[Path, Path | None]
"""A video, and the pose that its window follows."""


def _load_or_probe(
    config: DataConfig, lengths: BodyLengths, task: _Task
) -> CachedVideo | VideoInfo:
    """A video's entry, or its header if there is no entry."""
    video, pose = task
    return cache.load(video, lengths.for_crop(config, video), pose) or probe(video)


def _build_all(
    tasks: deque[_Task],
    expected_frames: int,
    config: DataConfig,
    workers: int,
    lengths: BodyLengths,
) -> tuple[dict[Path, CachedVideo], Failures]:
    """The new entries of all videos, and the failures, with a progress bar."""
    entries: dict[Path, CachedVideo] = {}
    failures: Failures = []
    make_builder = partial(_builder, config, lengths)
    workers = min(workers, len(tasks))
    with progress("extracting frames", expected_frames or None) as bar:
        for (video, pose), result in spread(make_builder, tasks, workers):
            if isinstance(result, Failed):
                failures.append((video, result.explain(str(video))))
                continue
            # The entry is read here: sending a memory map between processes would copy all of it.
            entry = cache.load(video, lengths.for_crop(config, video), pose)
            if entry is None:
                failures.append((video, f"{video}: its cache entry disappeared; run again"))
                continue
            entries[video] = entry
            bar(entry.n_frames)
    return entries, failures


def _builder(config: DataConfig, lengths: BodyLengths, number: int) -> Callable[[_Task], None]:
    return partial(_build, config, lengths)


def _build(config: DataConfig, lengths: BodyLengths, task: _Task) -> None:
    video, pose = task
    cache.build(video, lengths.for_crop(config, video), pose)


def _announce(missing: Mapping[Path, VideoInfo], config: DataConfig) -> None:
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
        f"extracting frames of {len(missing)} videos to {folder} "
        f"(about {size} of {free / 1e9:.0f} GB free)"
    )
    if needed > free:
        raise UserError(
            f"{folder}: about {size} are needed, {free / 1e9:.1f} GB are free; "
            "choose another --cache DIR"
        )
