"""Label files of raters and of studies, in any format that `train` reads, with or without videos.

Without a video, only the label files tell how many frames it has and when they are shown.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.naming import VIDEO_SUFFIXES, by_name, files_below
from dolorim.files.recordings import R
from dolorim.labels.annotations import is_named_like_labels
from dolorim.labels.boris import media_of
from dolorim.labels.boris_observation import base_name
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import MOST_FRAMES, Conflicts, Events, frame_count
from dolorim.labels.label_files import LabelFile, parse_name
from dolorim.labels.matching import labels_in, names_videos
from dolorim.labels.placing import count_without_video

# Tables of a study that lie beside label files.
_STUDY_TABLES = ("groups.csv", "classes.csv", "recordings.csv", "animals.csv", "stimuli.csv")
# Our own output that is no label file.
_OTHER_OUTPUT = (".predictions.csv", ".keypoints.csv", "to_check.csv")
# Where nobody knows the rate, nothing depends on it.
_ASSUMED_RATE_HZ = 30.0


@dataclass
class LabelFolder:
    """Label files by the recording that they label, with findings and failures on the way."""

    files: dict[str, list[LabelFile | Events]] = field(default_factory=lambda: defaultdict(list))
    findings: list[Finding] = field(default_factory=list)
    failures: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class FrameGrid:
    """The frames of a recording as its label files tell: how many, and at which rate.

    The rate is None where the files do not state it.
    """

    n_frames: int
    rate_hz: float | None

    @property
    def time_s(self) -> np.ndarray:
        """When each frame is shown, `(n_frames,)`, at an arbitrary rate where it is not known."""
        return np.arange(self.n_frames) / (self.rate_hz or _ASSUMED_RATE_HZ)


def label_paths(place: Path) -> list[Path]:
    """The label files of a folder, or else those in its subfolders; a file stands for itself."""
    if place.is_file():
        return [place]
    entries = sorted(place.iterdir())
    # Subfolders count only if the folder itself has none: they may hold another rater's files.
    in_folder = [path for path in entries if path.is_file() and _may_hold_labels(path)]
    return in_folder or [path for path in files_below(place) if _may_hold_labels(path)]


def _may_hold_labels(path: Path) -> bool:
    name = path.name.casefold()
    if name in _STUDY_TABLES or name.endswith(_OTHER_OUTPUT) or name.startswith("."):
        return False
    return is_named_like_labels(path)


def video_name(name: str) -> str:
    """A video's name without its extension: `a.mp4` and `a` are one video."""
    for suffix in VIDEO_SUFFIXES:
        if name.casefold().endswith(suffix):
            return name[: -len(suffix)]
    return name


@dataclass(frozen=True)
class VideoNames:
    """The videos that a label file names inside, and the one whose name it carries."""

    inside: tuple[str, ...]
    own: str

    def meant(self, known: Collection[str]) -> tuple[str, ...]:
        """The names among `known` (in lower case), else those inside the file, else its own."""
        # A file that names videos inside may still carry the name of the recording that is meant.
        known_inside = tuple(name for name in self.inside if name.casefold() in known)
        if known_inside:
            return known_inside
        if self.own.casefold() in known or not self.inside:
            return (self.own,)
        return self.inside


def names_of(path: Path, config: DataConfig) -> VideoNames:
    """What a label file may label.

    A file that cannot be read carries its own name; the error comes when it is read for its labels.
    """
    inside: list[str] = []
    if names_videos(path, config):
        with contextlib.suppress(UserError):
            inside = [video_name(base_name(media)) for media in media_of(path)]
    return VideoNames(tuple(dict.fromkeys(inside)), video_name(parse_name(path)[0]))


def read_label_files(
    paths: Iterable[Path],
    recordings: Mapping[R, str],
    config: DataConfig,
    ethogram: Ethogram,
    streams: Mapping[R, Sequence[str]] | None = None,
) -> LabelFolder:
    """Read label files of these recordings. A file that cannot be read becomes a failure.

    `streams` says what the subject or stream of a recording may be called; it comes before
    `config.label_stream`.
    """
    folder = LabelFolder()
    names = by_name(recordings)
    conflicts = Conflicts(config.on_conflict, folder.findings)
    for path in paths:
        try:
            labels = labels_in(
                path, config, names, ethogram, folder.findings, conflicts, streams or {}
            )
        except UserError as error:
            folder.failures.append((path, str(error)))
            continue
        for recording, file in labels:
            folder.files[recordings[recording]].append(file)
    return folder


def are_trials(files: Sequence[LabelFile | Events]) -> bool:
    """Whether each of these files labels one trial of its video; false for no files."""
    return bool(files) and all(isinstance(f, LabelFile) and f.trial is not None for f in files)


def frame_grid_of(
    files: Sequence[LabelFile | Events],
    config: DataConfig,
    rate_hz: float | None,
    otherwise_hz: float | None = None,
) -> FrameGrid:
    """The frames that the label files of one whole video need.

    The rate is `rate_hz`, else the one that a file states, else, for bouts in seconds,
    `otherwise_hz`. Raises `UserError` if bouts in seconds have none of them.
    """
    # Bouts in seconds need a rate before anything can be counted in frames.
    events = [file for file in files if isinstance(file, Events)]
    rate_hz = rate_hz or _rate_of_events(events, otherwise_hz)
    step = config.label_step or 1
    # A file with a row for each frame of its video tells the length.
    tables = [file for file in files if isinstance(file, LabelFile)]
    claimed = [step * file.n_frames for file in tables if file.n_frames is not None]
    needed = claimed or [_frames_needed(file, config, rate_hz) for file in files]
    return FrameGrid(max(needed, default=0), rate_hz)


def _rate_of_events(events: Sequence[Events], otherwise_hz: float | None) -> float | None:
    """The frame rate that a file states; for bouts in seconds, else `otherwise_hz`."""
    for file in events:
        if file.rate_hz:
            return file.rate_hz
    in_seconds = [file for file in events if file.unit == "s"]
    if not in_seconds:
        return None  # frame numbers need no rate
    if otherwise_hz is None:
        raise UserError(
            f"{in_seconds[0].path}: its labels are in seconds, and the rate of its video is not "
            f"known; give --rate_hz, or the videos with --videos"
        )
    return otherwise_hz


def _frames_needed(file: LabelFile | Events, config: DataConfig, rate_hz: float | None) -> int:
    """Frames up to the last labeled one."""
    step = config.label_step or 1
    if isinstance(file, Events):
        return _event_length(file.stretched(step), rate_hz)
    return step * count_without_video(file, config).span


def _event_length(events: Events, rate_hz: float | None) -> int:
    """Frames up to the end of the last bout, or of the video if the file states its length."""
    if events.unit == "frames":
        return frame_count(events)
    assert rate_hz is not None
    end_s = max(events.length_s or 0.0, float(events.stop.max(initial=0.0)))
    n_frames = round(end_s * rate_hz)
    if n_frames > MOST_FRAMES:
        raise UserError(
            f"{events.path}: labels go on until {end_s:g} s, which no video has; was the file "
            f"damaged?"
        )
    return max(n_frames, 1)
