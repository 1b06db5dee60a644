"""One body length for all videos of one picture size.

A length estimated from one video depends on what the animal does in it: a short clip of a curled
animal gives two thirds of what walking gives, and the crop and all pose features scale with it. One
camera sees animals of about one size, so the median over all videos of one picture size in a study
is better than any single estimate. It is measured before training and stored in the run, so that
prediction crops a video as training did.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.workers import Failed, spread, usual_workers
from dolorim.files.recordings import Box, R, Recorded, chamber_of, file_of, recorded
from dolorim.files.structured import STRICT, Number, as_dataclass
from dolorim.pose.pose_track import track_length_px
from dolorim.terminal import progress
from dolorim.video.cache import cache_folder, fingerprint
from dolorim.video.chambers import in_chamber
from dolorim.video.crop import plan_crop
from dolorim.video.reader import VideoInfo, probe

_FEW = 4  # files that a process must have to measure, for it to be worth starting
_MOST = 40  # at most so many videos per picture size are measured, evenly spread
_WITH_CHAMBERS = " with chambers"  # in the key of pictures whose chambers were measured
# Lengths are rounded to steps of this size on the log scale, so that a further video rarely changes
# the length, which would make all cached crops stale.
_STEP = 0.04
# A clip alone shows an animal up to 1.4 times as long or as short as the median of its camera does;
# beyond this factor the camera has changed.
_OTHER_CAMERA = 2.0
_Length = Annotated[Number, Field(gt=0)]


@dataclass(frozen=True)
class BodyLengths:
    """Body lengths in pixels by picture size (`512x512`), as pictures and as poses show them.

    The two differ: a picture shows the whole body, a pose the distance from mouth to tail base.
    `--body_length_px` overrides both; for a size that was not measured, the length is estimated
    from each video alone. Chambers are measured by the size of the whole picture (`1920x1080 with
    chambers`); where that is not known, by their own.
    """

    __pydantic_config__ = STRICT

    pictures: Mapping[str, _Length]
    poses: Mapping[str, _Length]

    def for_crop(
        self, config: DataConfig, video: Path, info: VideoInfo | None = None
    ) -> DataConfig:
        """The settings for cropping a video, with its body length.

        Raises `UserError` if the video cannot be read.
        """
        return _with_length(config, self._of_crop(config), video, info)

    def for_pose(
        self, config: DataConfig, video: Path, info: VideoInfo | None = None
    ) -> DataConfig:
        """The settings for reading the pose of a video, with its body length.

        Raises `UserError` if the video cannot be read.
        """
        return _with_length(config, self.poses, video, info)

    def describe_new_view(
        self, config: DataConfig, info: VideoInfo, seen_px: float | None
    ) -> str | None:
        """What is unlike the videos that were measured, and what is done about it; None if nothing.

        `seen_px` is the body length that this video alone shows (`CropPlan.seen_length_px`).
        """
        lengths = self._of_crop(config)
        if config.body_length_px is not None or not lengths or seen_px is None:
            return None
        size = _size_in(lengths, info, config.chamber)
        pictures = f"pictures of {in_pixels(size)}"
        if size not in lengths:
            return (
                f"{pictures} are new to the run, which has measured body lengths "
                f"for {', '.join(lengths)}; the crop is sized by what this video alone shows, a "
                f"body of {seen_px:.0f} px; if that is wrong, set --body_length_px"
            )
        expected_px = lengths[size]
        if 1 / _OTHER_CAMERA <= seen_px / expected_px <= _OTHER_CAMERA:
            return None
        return (
            f"the animal looks {seen_px:.0f} px long, and the run expects {expected_px:.0f} px in "
            f"{pictures}; the crop is sized for {expected_px:.0f} px; if the camera "
            "was moved or zoomed, set --body_length_px"
        )

    def _of_crop(self, config: DataConfig) -> Mapping[str, float]:
        if config.crop == "none":
            return {}
        return self.poses if config.crop == "pose" else self.pictures

    @classmethod
    def from_dict(cls, data: Any, where: str) -> BodyLengths:
        """Read `dataclasses.asdict` back. Raises `UserError` for anything else."""
        problem = "expected body lengths above 0 by picture size"
        return as_dataclass(cls, data, where, "train again", problem)


NO_LENGTHS = BodyLengths({}, {})


def in_pixels(size: str) -> str:
    """A picture size as a person reads it: `512x512 pixels`, `1920x1080 pixels with chambers`."""
    whole = size.removesuffix(_WITH_CHAMBERS)
    return f"{whole} pixels{size.removeprefix(whole)}"


def measure_body_lengths(
    recordings: Mapping[R, Path | None],
    config: DataConfig,
    *,
    crops: bool,
    poses: bool,
    any_skeleton: bool = False,
) -> BodyLengths:
    """Medians over the recordings of a study, each given with its pose file or None.

    Only what is needed is measured: for `crops`, for `poses`, or for both. Videos and poses that
    cannot be read are left out; the code that needs them reports what is wrong.
    """
    if config.body_length_px is not None:
        return NO_LENGTHS
    by_size = _by_size(recordings)
    picture_lengths: dict[str, float] = {}
    pose_lengths: dict[str, float] = {}
    if crops and config.crop == "follow":
        picture_lengths = _medians(by_size, config, "picture", _in_picture)
    if poses or (crops and config.crop == "pose"):
        pose_files = {size: _poses_of(same, recordings) for size, same in by_size.items()}
        kind, measure = ("any", _in_any_pose) if any_skeleton else ("six", _in_pose)
        pose_lengths = _medians(pose_files, config, kind, measure)
    return BodyLengths(picture_lengths, pose_lengths)


def _with_length(
    config: DataConfig, lengths: Mapping[str, float], video: Path, info: VideoInfo | None
) -> DataConfig:
    if config.body_length_px is not None or not lengths:
        return config
    size = _size_in(lengths, info or probe(video), config.chamber)
    return dataclasses.replace(config, body_length_px=lengths.get(size))


def _size_in(lengths: Mapping[str, float], info: VideoInfo, chamber: Box | None) -> str:
    """The key of a picture in the table of lengths."""
    if chamber is None:
        return _size(info)
    with_chambers = _size(info) + _WITH_CHAMBERS
    if with_chambers in lengths:
        return with_chambers
    # A run of single animals knows a chamber that is as large as their videos.
    x0, y0, x1, y1 = chamber
    return f"{x1 - x0}x{y1 - y0}"


def _size(info: VideoInfo) -> str:
    return f"{info.width_px}x{info.height_px}"


def _by_size(recordings: Iterable[R]) -> dict[str, list[R]]:
    by_size: dict[str, list[R]] = defaultdict(list)
    for recording in sorted(recordings, key=_in_order):
        try:
            size = _size(probe(file_of(recording)))
        except UserError:
            continue
        if chamber_of(recording) is not None:
            size += _WITH_CHAMBERS
        by_size[size].append(recording)
    return dict(sorted(by_size.items()))


def _in_order(recording: Recorded) -> tuple[Path, str]:
    chamber = chamber_of(recording)
    return file_of(recording), "" if chamber is None else chamber.name


def _poses_of(recordings: Iterable[R], poses: Mapping[R, Path | None]) -> list[Recorded]:
    """The poses of those recordings that have one, each in the chamber of its recording."""
    files: list[Recorded] = []
    for recording in recordings:
        pose = poses[recording]
        if pose is not None:
            files.append(recorded(pose, chamber_of(recording)))
    return files


def _spread(files: Sequence[Recorded]) -> list[Recorded]:
    """At most `_MOST` of the files, evenly spread."""
    # Neighbors in a folder are often of one animal or day, so the files are spread.
    at = np.linspace(0, len(files) - 1, min(len(files), _MOST)).round().astype(int)
    return [files[i] for i in at]


def _medians(
    files: Mapping[str, Sequence[Recorded]],
    config: DataConfig,
    kind: str,
    measure: Callable[[Path, DataConfig], float],
) -> dict[str, float]:
    """The rounded median over the files of each picture size for which one could be measured."""
    medians = {}
    for size, same_size in files.items():
        measured = _measure_all(_spread(same_size), config, kind, measure)
        lengths_px = [length for length in measured if length is not None]
        if lengths_px:
            step = round(float(np.log(np.median(lengths_px))) / _STEP)
            medians[size] = round(float(np.exp(step * _STEP)), 1)
    return medians


def _in_picture(video: Path, config: DataConfig) -> float:
    scene = plan_crop(video, config).scene
    assert scene is not None
    return scene.body_length_px


def _in_pose(pose: Path, config: DataConfig) -> float:
    return track_length_px(pose, config, False)


def _in_any_pose(pose: Path, config: DataConfig) -> float:
    return track_length_px(pose, config, True)


def _measure_all(
    files: Sequence[Recorded],
    config: DataConfig,
    kind: str,
    measure: Callable[[Path, DataConfig], float],
) -> list[float | None]:
    """What `measure` returns for each file, in order; None for one that cannot be read."""
    lengths_px = [_read_cached(*_cache_entry(file, config, kind)) for file in files]
    missing = deque(i for i, length_px in enumerate(lengths_px) if length_px is None)
    # Starting a process takes as long as measuring a few videos.
    workers = min(usual_workers(), len(missing) // _FEW)
    make = partial(_measurer, files, config, kind, measure)
    with progress("measuring animals", len(missing)) as bar:
        for i, result in spread(make, missing, workers):
            if not isinstance(result, Failed):
                lengths_px[i] = result
            bar(1)
    return lengths_px


def _measurer(
    files: Sequence[Recorded],
    config: DataConfig,
    kind: str,
    measure: Callable[[Path, DataConfig], float],
    number: int,
) -> Callable[[int], float | None]:
    """For a worker: what measures the file of an index."""
    return lambda i: _measured(files[i], config, kind, measure)


def _cache_entry(
    recording: Recorded, config: DataConfig, kind: str
) -> tuple[Path, dict[str, Any] | None]:
    """Where the length of a file is cached, and the state of the file; None if it is gone."""
    file, config = file_of(recording), in_chamber(config, chamber_of(recording))
    key: list[Any] = [
        str(file.resolve()),
        kind,
        config.mask,
        config.kp_names,
        config.individual,
        config.kp_likelihood_thr,
    ]
    if config.chamber is not None:
        key.append(config.chamber)
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    cached = cache_folder(config) / "body_lengths" / f"{digest}.json"
    try:
        return cached, fingerprint(file)
    except OSError:
        return cached, None


def _measured(
    recording: Recorded, config: DataConfig, kind: str, measure: Callable[[Path, DataConfig], float]
) -> float | None:
    """What `measure` returns, which is then cached; None if the file cannot be read."""
    # Measuring takes a while per video and is repeated by every command.
    cached, state = _cache_entry(recording, config, kind)
    if state is None:
        return None
    try:
        length_px = measure(file_of(recording), in_chamber(config, chamber_of(recording)))
    except UserError:
        return None
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_text(json.dumps({"state": state, "length_px": length_px}), encoding="utf-8")
    except OSError:
        pass  # measured again next time; extraction reports a cache that cannot be written
    return length_px


def _read_cached(path: Path, state: dict[str, Any] | None) -> float | None:
    """The length measured before, if the file has not changed since."""
    try:
        entry = json.loads(path.read_text("utf-8"))
        if entry["state"] == state and entry["length_px"] > 0:
            return float(entry["length_px"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None
