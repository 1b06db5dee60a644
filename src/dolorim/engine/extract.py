"""Fill the frame cache: decode, crop and shrink every video once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.data import cache
from dolorim.data.cache import CachedVideo
from dolorim.data.video import probe
from dolorim.engine.talk import progress, say

Failures = list[tuple[Path, str]]


Poses = Mapping[Path, Path | None]


def extract(
    videos: Poses | Sequence[Path], config: DataConfig, workers: int = 1
) -> tuple[dict[Path, CachedVideo], Failures]:
    """Cache entries of all videos, missing and stale ones built anew; and the videos that have none, and why.

    A mapping gives the pose file of each video, for windows that follow it.
    """
    poses: Poses = videos if isinstance(videos, Mapping) else dict.fromkeys(videos)
    found: dict[Path, CachedVideo] = {}
    missing: list[Path] = []
    failures: Failures = []
    frames = needed = 0
    for video in videos:
        try:
            entry = cache.load(video, config, poses[video])
            if entry is None:
                info = probe(video)
                frames += info.expected_frames
                needed += cache.bytes_needed(info, config)
                missing.append(video)
            else:
                found[video] = entry
        except UserError as error:
            failures.append((video, str(error)))
    if missing:
        _announce(missing, needed, config)
        with progress("extracting frames", frames or None) as bar:
            for video, entry_or_reason in _build_all({v: poses[v] for v in missing}, config, workers):
                if isinstance(entry_or_reason, str):
                    failures.append((video, entry_or_reason))
                else:
                    found[video] = entry_or_reason
                    bar(entry_or_reason.n_frames)
    return {v: found[v] for v in videos if v in found}, failures


def _build_all(videos: Poses, config: DataConfig, workers: int) -> Iterator[tuple[Path, CachedVideo | str]]:
    workers = min(workers, len(videos))
    if workers <= 1:
        for video, pose in videos.items():
            reason = _build(video, config, pose)
            yield video, reason or cache.load(video, config, pose) or "its cache entry disappeared; run again"
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(_build, video, config, pose): video for video, pose in videos.items()}
        for job in as_completed(jobs):
            video = jobs[job]
            reason = job.result()
            yield video, reason or cache.load(video, config, videos[video]) or "its cache entry disappeared; run again"


def _build(video: Path, config: DataConfig, pose: Path | None) -> str | None:
    try:
        cache.build(video, config, pose)
    except UserError as error:
        return str(error)
    return None


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
    say(f"extracting frames of {len(missing)} videos to {folder} (about {size} of {free / 1e9:.0f} GB free)")
    if needed > free:
        raise UserError(f"{folder}: about {size} are needed, {free / 1e9:.1f} GB are free; choose another --cache DIR")


def usual_workers() -> int:
    """As many processes as there are processors that this one may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
