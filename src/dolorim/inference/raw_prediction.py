"""What goes into the prediction of one recording, and what the network returns for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dolorim.core.stopwatch import Stopwatch
from dolorim.files.recordings import Chamber, Recorded, recorded
from dolorim.video.appearance import Appearance
from dolorim.video.picture_size import PictureSize
from dolorim.video.seen_frames import SeenFrames, joined_frames
from dolorim.video.time_grid import TimeGrid


@dataclass(frozen=True)
class PredictInput:
    """A recording to label: its video, its pose, or both; `stem` names its result files.

    `chamber` is the part of the video that it is, if not all. `problem` says why the recording
    cannot be labeled, if that is known beforehand.
    """

    file: Path
    stem: str
    pose: Path | None = None
    chamber: Chamber | None = None
    problem: str = ""

    @property
    def video(self) -> Path | None:
        """The video; None for a recording that has only a pose."""
        return None if self.file == self.pose else self.file

    @property
    def recorded(self) -> Recorded:
        """What identifies the recording: its file, or the chamber of it."""
        return recorded(self.file, self.chamber)


@dataclass(frozen=True)
class VideoPart:
    """Frames `[start, stop)` of a long recording; up to its end where `stop` is None."""

    recording: PredictInput
    start: int
    stop: int | None


@dataclass(frozen=True)
class RawPrediction:
    """The network's output for consecutive frames, before labels are decided.

    `probabilities` `(steps, classes)` are those of the steps of the run's time grid, and `time_s`
    `(frames,)` the times of the frames in seconds. Without a `grid`, each frame is a step. `damage`
    says where decoding stopped; `inputs` are "video" and "pose", as far as they were used.
    `keypoints` `(steps, keypoint, 3)`, if requested, are x and y in pixels of the video and the
    probability that the keypoint is visible. `pose_rows` is the number of rows of the pose, if
    one was used beside a video. `seen_length_px` is the body length that the video alone shows.
    `centers_px` `(frames, 2)` are the centers of the crop windows in pixels of the video, and
    `side_px` is their side. `several` tells that more than one animal moves. In a chamber that is
    `empty` there is nobody to label. `seen` is what quick heads decided by, to be stored;
    `appearance` is what the crops look like.
    """

    probabilities: np.ndarray
    time_s: np.ndarray
    damage: str | None
    inputs: tuple[str, ...]
    seconds: Stopwatch = field(default_factory=Stopwatch)
    keypoints: np.ndarray | None = None
    sizes: tuple[PictureSize, ...] = ()
    grid: TimeGrid | None = None
    pose_rows: int | None = None
    seen_length_px: float | None = None
    centers_px: np.ndarray | None = None
    side_px: float = 0.0
    several: bool = False
    empty: bool = False
    seen: SeenFrames | None = None
    appearance: Appearance | None = None


def joined(parts: Sequence[tuple[VideoPart, RawPrediction | None]]) -> RawPrediction | None:
    """The parts of a recording, in order, as a whole; None where they do not fit together."""
    usable = _up_to_damage(parts)
    if usable is None or not any(len(raw.time_s) for raw in usable):
        return None
    return _as_one(usable)


def _as_one(parts: Sequence[RawPrediction]) -> RawPrediction:
    """Consecutive parts put together; at least one of them has frames."""
    seconds = Stopwatch()
    for raw in parts:
        seconds.add_all(raw.seconds)
    filled = [raw for raw in parts if len(raw.time_s)]
    return RawPrediction(
        np.concatenate([raw.probabilities for raw in filled]),
        np.concatenate([raw.time_s for raw in filled]),
        damage=parts[-1].damage,
        inputs=parts[0].inputs,
        seconds=seconds,
        keypoints=_concatenated([raw.keypoints for raw in filled]),
        pose_rows=parts[0].pose_rows,
        seen_length_px=parts[0].seen_length_px,
        centers_px=_concatenated([raw.centers_px for raw in filled]),
        side_px=filled[0].side_px,
        several=filled[0].several,
        appearance=filled[0].appearance,
        seen=_joined_seen([raw.seen for raw in filled]),
    )


def _joined_seen(parts: Sequence[SeenFrames | None]) -> SeenFrames | None:
    known = [part for part in parts if part is not None]
    return joined_frames(known) if len(known) == len(parts) else None


def _concatenated(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [array for array in arrays if array is not None]
    return np.concatenate(known) if known else None


def _up_to_damage(
    parts: Sequence[tuple[VideoPart, RawPrediction | None]],
) -> list[RawPrediction] | None:
    """Predictions up to the first damage; None where a part is missing or has the wrong length."""
    usable: list[RawPrediction] = []
    for part, raw in parts:
        if raw is None:
            return None
        usable.append(raw)
        if raw.damage:
            # A whole video ends at its damage, so later parts do not count, even if they decode.
            break
        if part.stop is not None and len(raw.time_s) != part.stop - part.start:
            return None
    return usable


def cut_to_part(raw: RawPrediction, part: VideoPart, first: int) -> RawPrediction:
    """The frames of a part, from a prediction that begins earlier, at frame `first`."""
    stop = None if part.stop is None else part.stop - first
    wanted = slice(part.start - first, stop)
    # Damage behind the part belongs to the next one, which meets it too.
    damage_is_later = stop is not None and len(raw.time_s) > stop
    return replace(
        raw,
        probabilities=raw.probabilities[wanted],
        time_s=raw.time_s[wanted],
        keypoints=None if raw.keypoints is None else raw.keypoints[wanted],
        centers_px=None if raw.centers_px is None else raw.centers_px[wanted],
        damage=None if damage_is_later else raw.damage,
        seen=None if raw.seen is None else raw.seen.part(wanted),
    )
