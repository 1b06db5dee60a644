"""One body length for all videos of one picture size.

A length that is estimated anew for each video depends on what the animal does in it: a short clip of a curled animal
gives two thirds of what a walk gives, and the crop and all pose features are scaled by it. One camera sees animals of
about one size, so the median over a project's videos of one picture size is better than any of them. It is measured
before training and kept in the run, so that a video is looked at in prediction as it was in training.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.pose.pose_track import track_length_px
from dolorim.video.cache import cache_folder, fingerprint
from dolorim.video.crop import plan_crop
from dolorim.video.reader import VideoInfo, probe

_MOST = 40  # videos of one picture size that are measured, spread over all of them
_STEP = 0.04  # of the logarithm: a further video rarely changes the length, and so rarely makes cached crops stale


@dataclass(frozen=True)
class BodyLengths:
    """Body lengths in pixels by picture size (`512x512`), as pictures and as poses show them.

    The two differ: a picture shows the whole body, a pose the distance from mouth to tail base. `--body_length_px`
    wins over both; a size that was not measured is estimated from each video alone.
    """

    pictures: Mapping[str, float] = field(default_factory=dict)
    poses: Mapping[str, float] = field(default_factory=dict)

    def for_crop(
        self, config: DataConfig, video: Path, info: VideoInfo | None = None
    ) -> DataConfig:
        """The settings by which a video's crops are cut, with its body length. Raises `UserError`."""
        known = self.poses if config.crop == "pose" else self.pictures
        return _with(config, known, video, info) if config.crop != "none" else config

    def for_pose(
        self, config: DataConfig, video: Path, info: VideoInfo | None = None
    ) -> DataConfig:
        """The settings by which the pose of a video is read, with its body length. Raises `UserError`."""
        return _with(config, self.poses, video, info)

    @classmethod
    def from_dict(cls, data: Any, where: str) -> BodyLengths:
        """Read `dataclasses.asdict` back. Raises `UserError` for anything else."""
        try:
            parts = {
                kind: {str(k): float(v) for k, v in data[kind].items()}
                for kind in ("pictures", "poses")
            }
        except (TypeError, KeyError, AttributeError, ValueError):
            raise UserError(
                f"{where}: expected body lengths by picture size; train again"
            ) from None
        if not all(0 < v < np.inf for part in parts.values() for v in part.values()):
            raise UserError(f"{where}: expected body lengths above 0; train again")
        return cls(**parts)


NO_LENGTHS = BodyLengths()


def measure_body_lengths(
    videos: Mapping[Path, Path | None],
    config: DataConfig,
    *,
    crops: bool,
    poses: bool,
    any_skeleton: bool = False,
) -> BodyLengths:
    """Medians over a project's videos, each with its pose file or None; of what is to be used, `crops` or `poses`.

    Videos and poses that cannot be read are left out here; whoever needs them says what is wrong.
    """
    if config.body_length_px is not None:
        return NO_LENGTHS
    by_size: dict[str, list[Path]] = defaultdict(list)
    for video in sorted(videos):
        try:
            by_size[_size(probe(video))].append(video)
        except UserError:
            continue
    pictures: dict[str, float] = {}
    tracked: dict[str, float] = {}
    for size, all_of_it in sorted(by_size.items()):
        if crops and config.crop == "follow":
            _put(
                pictures,
                size,
                [_measured(v, config, "picture", _in_picture) for v in _some(all_of_it)],
            )
        if poses or (crops and config.crop == "pose"):
            files = [pose for video in all_of_it if (pose := videos[video]) is not None]
            kind = "any" if any_skeleton else "six"
            read = _in_any_pose if any_skeleton else _in_pose
            _put(tracked, size, [_measured(p, config, kind, read) for p in _some(files)])
    return BodyLengths(pictures, tracked)


def _with(
    config: DataConfig, known: Mapping[str, float], video: Path, info: VideoInfo | None
) -> DataConfig:
    if config.body_length_px is not None or not known:
        return config
    return dataclasses.replace(config, body_length_px=known.get(_size(info or probe(video))))


def _size(info: VideoInfo) -> str:
    return f"{info.width_px}x{info.height_px}"


def _some(files: Sequence[Path]) -> list[Path]:
    """At most `_MOST` of them, evenly spread."""
    at = np.linspace(0, len(files) - 1, min(len(files), _MOST)).round().astype(int)
    return [files[i] for i in at]


def _put(lengths: dict[str, float], size: str, measured: Sequence[float | None]) -> None:
    known = [m for m in measured if m is not None]
    if known:
        step = round(float(np.log(np.median(known))) / _STEP)
        lengths[size] = round(float(np.exp(step * _STEP)), 1)


def _in_picture(video: Path, config: DataConfig) -> float:
    scene = plan_crop(video, config).scene
    assert scene is not None
    return scene.body_length_px


def _in_pose(pose: Path, config: DataConfig) -> float:
    return track_length_px(pose, config, False)


def _in_any_pose(pose: Path, config: DataConfig) -> float:
    return track_length_px(pose, config, True)


def _measured(
    file: Path, config: DataConfig, kind: str, measure: Callable[[Path, DataConfig], float]
) -> float | None:
    """What `measure` says, or said before of the same file and settings; None where the file cannot be read."""
    what = [
        str(file.resolve()),
        kind,
        config.mask,
        config.kp_names,
        config.individual,
        config.kp_likelihood_thr,
    ]
    digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    kept = cache_folder(config) / "body_lengths" / f"{digest}.json"
    try:
        state = fingerprint(file)
    except OSError:
        return None
    try:
        before = json.loads(kept.read_text("utf-8"))
        if before["state"] == state and before["length_px"] > 0:
            return float(before["length_px"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        length = measure(file, config)
    except UserError:
        return None
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"state": state, "length_px": length}), encoding="utf-8")
    except OSError:
        pass  # it is measured again next time; who fills the cache says that it cannot be written
    return length
