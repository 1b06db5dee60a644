"""Fill the frame cache: decode, crop and shrink every video once."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.workers import Failed, TaskRunner, spread
from dolorim.terminal import progress, say, warn
from dolorim.video import cache
from dolorim.video.body_length import NO_LENGTHS, BodyLengths
from dolorim.video.cache import CachedVideo
from dolorim.video.reader import VideoInfo, probe

Failures = list[tuple[Path, str]]
Poses = Mapping[Path, Path | None]


def extract(
    videos: Poses | Sequence[Path],
    config: DataConfig,
    workers: int = 1,
    lengths: BodyLengths = NO_LENGTHS,
) -> tuple[dict[Path, CachedVideo], Failures]:
    """Cache entries of all videos, missing and stale ones built anew; and the videos that have none, and why.

    A mapping gives the pose file of each video, for windows that follow it; `lengths` are those of the animals.
    """
    poses: Poses = videos if isinstance(videos, Mapping) else dict.fromkeys(videos)
    found: dict[Path, CachedVideo] = {}
    missing: list[Path] = []
    failures: Failures = []
    frames = needed = 0
    look = TaskRunner(lambda number: partial(_look, config, lengths), 0)
    for video in videos:
        seen = look.attempt((video, poses[video]))
        if isinstance(seen, Failed):
            failures.append((video, seen.explain(str(video))))
        elif isinstance(seen, CachedVideo):
            found[video] = seen
        else:
            frames += seen.expected_frames
            needed += cache.bytes_needed(seen, config)
            missing.append(video)
    if missing:
        _announce(missing, needed, config)
        with progress("extracting frames", frames or None) as bar:
            for video, entry_or_reason in _build_all(
                {v: poses[v] for v in missing}, config, workers, lengths
            ):
                if isinstance(entry_or_reason, str):
                    failures.append((video, entry_or_reason))
                else:
                    found[video] = entry_or_reason
                    bar(entry_or_reason.n_frames)
    for entry in found.values():
        if entry.note:
            warn(f"{entry.video}: {entry.note}")
    return {v: found[v] for v in videos if v in found}, failures


_Task = tuple[Path, Path | None]
"""A video and the pose that its window follows."""


def _look(config: DataConfig, lengths: BodyLengths, task: _Task) -> CachedVideo | VideoInfo:
    """A video's entry, or what has to be known of the video to make one."""
    video, pose = task
    return cache.load(video, lengths.for_crop(config, video), pose) or probe(video)


def _build_all(
    videos: Poses, config: DataConfig, workers: int, lengths: BodyLengths
) -> Iterator[tuple[Path, CachedVideo | str]]:
    """Entries of all videos as they are made, or why one could not be made."""
    tasks: deque[_Task] = deque(videos.items())
    for (video, pose), result in spread(
        partial(_builder, config, lengths), tasks, min(workers, len(videos))
    ):
        if isinstance(result, Failed):
            yield video, result.explain(str(video))
        else:
            entry = cache.load(video, lengths.for_crop(config, video), pose)
            yield video, entry or f"{video}: its cache entry disappeared; run again"


def _builder(config: DataConfig, lengths: BodyLengths, number: int) -> Callable[[_Task], None]:
    return partial(_build, config, lengths)


def _build(config: DataConfig, lengths: BodyLengths, task: _Task) -> None:
    video, pose = task
    cache.build(video, lengths.for_crop(config, video), pose)


def _announce(missing: Sequence[Path], needed: int, config: DataConfig) -> None:
    folder = cache.cache_folder(config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be made ({error.strerror}); choose another folder with --cache DIR"
        ) from None
    free = shutil.disk_usage(folder).free
    size = f"{needed / 1e9:.2f} GB" if needed >= 1e8 else f"{needed / 1e6:.0f} MB"
    say(
        f"extracting frames of {len(missing)} videos to {folder} (about {size} of {free / 1e9:.0f} GB free)"
    )
    if needed > free:
        raise UserError(
            f"{folder}: about {size} are needed, {free / 1e9:.1f} GB are free; choose another --cache DIR"
        )
