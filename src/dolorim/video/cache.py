"""The frame cache: every video decoded, cropped and shrunk once, for random access in training.

An entry is a folder: `images.u8` (time, size, size), `centers.npy`, `turns.npy` (the angles of the
windows), `time_s.npy` and, written last, `meta.json`. It is built under another name and renamed
when complete, so a half-written entry is never mistaken for a whole one. An entry that prediction
has left holds features in place of `images.u8`, which would take a hundred times their space.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import platformdirs
from filelock import FileLock, Timeout

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.files.structured import read_json
from dolorim.video.crop import Crops, plan_crop
from dolorim.video.crop_stream import CropStream, cut_together
from dolorim.video.picture_size import PictureSize
from dolorim.video.reader import VideoInfo, probe
from dolorim.video.time_grid import TimeGrid

_VERSION = 7  # of the contents of an entry; a new number makes all old entries stale
CROP_SETTINGS = ("crop", "align", "crop_scale", "body_length_px", "image_size", "mask")
# These move a window that follows a pose.
_POSE_SETTINGS = ("kp_names", "individual", "kp_likelihood_thr", "pose_lag")


@dataclass(frozen=True)
class CachedVideo:
    """A video as training reads it.

    `images` `(frames, size, size)` uint8 stay on disk; None in an entry that only has features,
    which was made with the crop of `cropping`. `centers` `(time, 2)`, `time_s` `(time,)`
    and `angles_rad` `(time,)` are as in `Crops`; `side_px` is the side of the windows. `damage`
    says where the video stops being readable. `seen_length_px` is the body length that the video
    alone shows; None for older entries. `several` tells that more than one animal moves. On a time
    grid, `shown` `(time,)` says which frame each step shows; without one, each frame is a step.
    """

    video: Path
    images: np.ndarray | None
    centers: np.ndarray
    time_s: np.ndarray
    damage: str | None
    side_px: float
    angles_rad: np.ndarray
    folder: Path = Path()
    sizes: tuple[PictureSize, ...] = ()
    seen_length_px: float | None = None
    shown: np.ndarray | None = None
    several: bool = False
    cropping: Cropping | None = None

    @property
    def n_frames(self) -> int:
        return len(self.time_s)

    def pictures(self, wanted: np.ndarray) -> np.ndarray:
        """Pictures by index; neighbors are read as one slice, several times faster on disk."""
        assert self.images is not None
        frames = wanted if self.shown is None else self.shown[wanted]
        # A few frames more than needed still cost less than reading one by one.
        low, high = int(frames.min()), int(frames.max()) + 1
        if high - low <= 2 * len(frames):
            return np.asarray(self.images[low:high])[frames - low]
        return self.images[frames]

    def on_grid(self, grid: TimeGrid) -> CachedVideo:
        """The video as the steps of a grid show it."""
        return dataclasses.replace(
            self,
            centers=self.centers[grid.frames],
            time_s=grid.time_s,
            angles_rad=self.angles_rad[grid.frames],
            sizes=(),  # they begin at frames
            shown=grid.frames,
        )


def cache_folder(config: DataConfig) -> Path:
    """Where the cache lies: `--cache`, else DOLORIM_CACHE, else the user's cache folder."""
    if config.cache is not None:
        return config.cache
    return Path(os.environ.get("DOLORIM_CACHE") or platformdirs.user_cache_path("dolorim"))


def load(
    video: Path, config: DataConfig, pose: Path | None = None, *, pictures: bool = True
) -> CachedVideo | None:
    """The video's entry; None if there is none, or if it is stale or damaged.

    Without `pictures`, one that has only features will do.
    """
    folder = entry_folder(video, config, pose)
    try:
        meta = read_json(folder / "meta.json")
        if meta["fingerprint"] != state_of(video, config, pose) or meta["version"] != _VERSION:
            return None
        shape = (meta["n_frames"], config.image_size, config.image_size)
        images = None
        if meta.get("pictures", True):
            if (folder / "images.u8").stat().st_size != np.prod(shape):
                return None
            images = np.memmap(folder / "images.u8", np.uint8, "r", shape=shape)
        elif pictures:
            return None
        centers = np.load(folder / "centers.npy", allow_pickle=False)
        time_s = np.load(folder / "time_s.npy", allow_pickle=False)
        angles_rad = np.load(folder / "turns.npy", allow_pickle=False)
        side_px = float(meta["side_px"])
        sizes = tuple(PictureSize(*size) for size in meta["sizes"])
    except (UserError, OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    # A disk that was full may have cut off one of the files.
    if any(len(array) != shape[0] for array in (centers, time_s, angles_rad)):
        return None
    return CachedVideo(
        video,
        images,
        centers,
        time_s,
        meta["damage"],
        side_px,
        angles_rad,
        folder,
        sizes,
        meta.get("seen_length_px"),
        several=bool(meta.get("several")),
        cropping=Cropping(config, pose),
    )


@contextlib.contextmanager
def alone_with(path: Path) -> Iterator[bool]:
    """Lock a file or folder of the cache; yields whether another process held the lock before.

    The system releases the lock when the process ends, even if it is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(blocking=False)
        waited = False
    except Timeout:
        lock.acquire()
        waited = True
    try:
        yield waited
    finally:
        lock.release()


@dataclass(frozen=True)
class Cropping:
    """How to crop a recording: the settings, with its chamber, and the pose that it follows."""

    config: DataConfig
    pose: Path | None = None


def build(video: Path, config: DataConfig, pose: Path | None = None) -> CachedVideo:
    """Decode, crop and store a video, replacing its old entry.

    If another process has just built the entry, that one is returned. Raises `UserError` if the
    video cannot be read or the cache cannot be written.
    """
    [entry] = build_together(video, [Cropping(config, pose)])
    return entry


def build_together(video: Path, croppings: Sequence[Cropping]) -> list[CachedVideo]:
    """The entries of several chambers of a video, as `build` makes them, from one decoding."""
    by_folder = {entry_folder(video, c.config, c.pose): c for c in croppings}
    try:
        with contextlib.ExitStack() as locks:
            # In one order everywhere, so that no two processes wait for each other.
            folders = sorted(by_folder)
            waited = [locks.enter_context(alone_with(folder)) for folder in folders]
            if not any(waited) or None in _loaded(video, croppings):
                _replace_entries(video, by_folder)
    except OSError as error:
        raise UserError(
            f"{next(iter(by_folder))}: the frame cache cannot be written ({error.strerror}); "
            "choose another folder with --cache DIR"
        ) from None
    entries = [entry for entry in _loaded(video, croppings) if entry is not None]
    if len(entries) < len(croppings):
        raise UserError(f"{video}: changed while it was being read; run again")
    return entries


def _loaded(video: Path, croppings: Iterable[Cropping]) -> list[CachedVideo | None]:
    return [load(video, cropping.config, cropping.pose) for cropping in croppings]


def _replace_entries(video: Path, croppings: Mapping[Path, Cropping]) -> None:
    """Build each entry in a part, and put the parts in the places of the old entries."""
    parts = {folder: folder.with_name(f"{folder.name}.{os.getpid()}.part") for folder in croppings}
    try:
        for folder, part in parts.items():
            make_part(folder, part)
        _write(video, croppings, parts)
        for folder, part in parts.items():
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
    finally:
        for part in parts.values():
            shutil.rmtree(part, ignore_errors=True)


def make_part(folder: Path, part: Path) -> None:
    """Make the folder in which an entry is built."""
    # A process that was killed may have left a part.
    for leftover in folder.parent.glob(f"{glob.escape(folder.name)}.*.part"):
        shutil.rmtree(leftover, ignore_errors=True)
    part.mkdir()


def feature_file(entry: CachedVideo, key: str) -> Path:
    """The file for the features of an encoder, in the entry, so that both become stale together."""
    return entry.folder / feature_name(key)


def feature_name(key: str) -> str:
    return f"features-{key}.npy"


@dataclass(frozen=True)
class EntryMeta:
    """What an entry says about its video; `state` is that of the files before they were read."""

    state: dict[str, Any]
    side_px: float
    damage: str | None
    sizes: tuple[PictureSize, ...]
    seen_length_px: float | None
    several: bool


def bytes_needed(info: VideoInfo, config: DataConfig) -> int:
    """Disk space that an entry will take, as far as the header tells."""
    return max(info.expected_frames, 1) * config.image_size**2


def fingerprint(video: Path) -> dict[str, Any]:
    """What tells two states of a file apart: size, modification time and a hash of both ends."""
    status = video.stat()
    with open(video, "rb") as file:
        ends = file.read(1 << 16)
        file.seek(max(0, status.st_size - (1 << 16)))
        ends += file.read()
    return {
        "bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ends": hashlib.sha256(ends).hexdigest()[:16],
    }


def _write(video: Path, croppings: Mapping[Path, Cropping], parts: Mapping[Path, Path]) -> None:
    """Decode a video once, and write each of its entries to its part."""
    before = [state_of(video, c.config, c.pose) for c in croppings.values()]
    info = probe(video)
    plans = [plan_crop(video, c.config, info, c.pose) for c in croppings.values()]
    streams = cut_together(video, info, plans, prefetched=False)
    with contextlib.ExitStack() as files:
        writers = []
        for folder in croppings:
            images = files.enter_context(open(parts[folder] / "images.u8", "wb"))
            writers.append(_EntryWriter(parts[folder], images))
        for blocks in zip(*streams, strict=True):
            for writer, block in zip(writers, blocks, strict=True):
                writer.add(block)
    for writer, stream, state in zip(writers, streams, before, strict=True):
        writer.finish(video, stream, state)


class _EntryWriter:
    """Writes an entry block by block; `finish` makes it complete."""

    def __init__(self, folder: Path, images: BinaryIO) -> None:
        self.folder, self.images = folder, images
        # Typed empty arrays, so that a video without a frame has its arrays too.
        self.centers = [np.empty((0, 2), np.float32)]
        self.times_s = [np.empty(0)]
        self.angles_rad = [np.empty(0, np.float32)]

    def add(self, block: Crops) -> None:
        self.images.write(block.images.data)
        self.centers.append(block.centers)
        self.times_s.append(block.time_s)
        self.angles_rad.append(block.angles_rad)

    def finish(self, video: Path, stream: CropStream, state: dict[str, Any]) -> None:
        """Write what remains; `state` is that of the files before they were read."""
        n_frames = sum(len(times) for times in self.times_s)
        if n_frames == 0:
            raise UserError(f"{video}: no frame of it decodes")
        centers, time_s = np.concatenate(self.centers), np.concatenate(self.times_s)
        write_arrays(self.folder, centers, time_s, np.concatenate(self.angles_rad))
        meta = EntryMeta(
            state,
            stream.side_px,
            stream.damage,
            stream.sizes,
            stream.plan.seen_length_px,
            stream.plan.shows_several,
        )
        write_meta(self.folder, video, meta, n_frames, pictures=True)


def write_arrays(
    folder: Path, centers: np.ndarray, time_s: np.ndarray, angles_rad: np.ndarray
) -> None:
    np.save(folder / "centers.npy", centers)
    np.save(folder / "time_s.npy", time_s)
    np.save(folder / "turns.npy", angles_rad)


def write_meta(
    folder: Path, video: Path, meta: EntryMeta, n_frames: int, *, pictures: bool
) -> None:
    values = {
        "version": _VERSION,
        "video": str(video),
        "fingerprint": meta.state,
        "n_frames": n_frames,
        "side_px": meta.side_px,
        "seen_length_px": meta.seen_length_px,
        "several": meta.several,
        "sizes": [dataclasses.astuple(size) for size in meta.sizes],
        "damage": meta.damage,
        "pictures": pictures,
    }
    (folder / "meta.json").write_text(json.dumps(values, indent=1), encoding="utf-8")


def state_of(video: Path, config: DataConfig, pose: Path | None) -> dict[str, Any]:
    """The state of the files that the crops depend on: the video, and a pose that they follow."""
    state = fingerprint(video)
    if pose is not None and config.crop == "pose":
        state["pose"] = fingerprint(pose)
    return state


def entry_folder(video: Path, config: DataConfig, pose: Path | None) -> Path:
    settings = {name: getattr(config, name) for name in CROP_SETTINGS}
    if config.chamber is not None:
        settings["chamber"] = config.chamber
    if pose is not None and config.crop == "pose":
        settings["pose"] = str(pose.resolve())
        settings |= {name: getattr(config, name) for name in _POSE_SETTINGS}
    key = json.dumps([str(video.resolve()), settings], sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return cache_folder(config) / f"{video.stem[:60]}-{digest}"
