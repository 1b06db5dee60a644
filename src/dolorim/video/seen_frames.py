"""Entries of the frame cache that prediction leaves: features of frames, and no pictures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.config import DataConfig
from dolorim.video.cache import (
    EntryMeta,
    alone_with,
    entry_folder,
    feature_file,
    feature_name,
    load,
    make_part,
    state_of,
    write_arrays,
    write_meta,
)


@dataclass(frozen=True)
class SeenFrames:
    """What prediction has seen of a video, for an entry without pictures.

    `features` `(steps, width)` are those under the key `key` (`feature_file`), `centers` and
    `angles_rad` `(frames,)` as in `Crops`. `state` is that of the files before they were read.
    """

    key: str
    state: dict[str, Any]
    features: np.ndarray
    centers: np.ndarray
    angles_rad: np.ndarray

    def part(self, wanted: slice) -> SeenFrames:
        """Some of the frames, of a video in which each is a step."""
        return replace(
            self,
            features=self.features[wanted],
            centers=self.centers[wanted],
            angles_rad=self.angles_rad[wanted],
        )


def joined_frames(parts: Sequence[SeenFrames]) -> SeenFrames:
    """Consecutive parts as a whole."""
    return replace(
        parts[0],
        features=np.concatenate([part.features for part in parts]),
        centers=np.concatenate([part.centers for part in parts]),
        angles_rad=np.concatenate([part.angles_rad for part in parts]),
    )


def keep_seen(
    video: Path,
    config: DataConfig,
    pose: Path | None,
    seen: SeenFrames,
    time_s: np.ndarray,
    meta: EntryMeta,
) -> None:
    """Store features that prediction has computed, in the video's entry or in a new one.

    Nothing is stored if the files have changed since they were read. Raises `OSError` if the cache
    cannot be written.
    """
    folder = entry_folder(video, config, pose)
    with alone_with(folder):
        if meta.state != state_of(video, config, pose):
            return
        entry = load(video, config, pose, pictures=False)
        if entry is not None:
            path = feature_file(entry, seen.key)
            part = path.with_suffix(".part.npy")
            np.save(part, seen.features)
            part.replace(path)
            return
        part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        make_part(folder, part)
        try:
            np.save(part / feature_name(seen.key), seen.features)
            write_arrays(part, seen.centers, time_s, seen.angles_rad)
            write_meta(part, video, meta, len(time_s), pictures=False)
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
