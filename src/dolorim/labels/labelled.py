"""Label files of raters and of studies, in whichever format `train` reads, with or without their videos.

Without a video, nobody knows how many frames it has and when they are shown: the files say it as far as they can.
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
from dolorim.labels.annotations import SUFFIXES
from dolorim.labels.boris import media_of
from dolorim.labels.boris_events import base_name
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events, frame_count
from dolorim.labels.label_files import LabelFile, parse_name
from dolorim.labels.matching import labels_in, names_videos
from dolorim.labels.trials import TrialLabels

_NOT_LABELS = ("groups.csv", "classes.csv", "recordings.csv", "animals.csv", "stimuli.csv")
_OURS = (".predictions.csv", ".keypoints.csv", "to_check.csv")
_MOST_FRAMES = 2**25  # as for frames: a larger number is damage, and would fill the memory


@dataclass
class LabelFolder:
    """Label files by the recording that they label, and what was said about them on the way."""

    files: dict[str, list[LabelFile | Events]] = field(default_factory=lambda: defaultdict(list))
    findings: list[Finding] = field(default_factory=list)
    failures: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Clock:
    """The frames of a recording as its label files tell: how many, and at which rate, None where they do not say."""

    n_frames: int
    rate_hz: float | None

    @property
    def time_s(self) -> np.ndarray:
        """When each frame is shown; where nobody knows the rate, at one that nothing depends on."""
        return np.arange(self.n_frames) / (self.rate_hz or 30.0)


def label_paths(place: Path) -> list[Path]:
    """The label files of a folder, or else those below it; a file is one itself."""
    if place.is_file():
        return [place]
    here = [p for p in sorted(place.iterdir()) if p.is_file() and _may_be_labels(p)]
    return here or [p for p in files_below(place) if _may_be_labels(p)]


def _may_be_labels(path: Path) -> bool:
    name = path.name.casefold()
    ours = name in _NOT_LABELS or name.endswith(_OURS) or name.startswith(".")
    return not ours and path.suffix.casefold() in SUFFIXES


def video_name(name: str) -> str:
    """A video's name without its extension: `a.mp4` and `a` are one video."""
    return next((name[: -len(s)] for s in VIDEO_SUFFIXES if name.casefold().endswith(s)), name)


@dataclass(frozen=True)
class Names:
    """What a label file may label: the videos that it names inside, and the one whose name it carries."""

    inside: tuple[str, ...]
    own: str

    def meant(self, known: Collection[str]) -> tuple[str, ...]:
        """The names that somebody else knows (in lower case), else what the file says inside, else its own name."""
        of_known = tuple(name for name in self.inside if name.casefold() in known)
        if of_known:
            return of_known
        return (self.own,) if self.own.casefold() in known or not self.inside else self.inside


def names_of(path: Path, config: DataConfig) -> Names:
    """What a label file may label. A file that cannot be read carries its own name; reading it will say why."""
    inside: list[str] = []
    if names_videos(path, config):
        with contextlib.suppress(UserError):
            inside = [video_name(base_name(media)) for media in media_of(path)]
    return Names(tuple(dict.fromkeys(inside)), video_name(parse_name(path)[0]))


def read_label_files(
    paths: Iterable[Path],
    recordings: dict[Path, str],
    config: DataConfig,
    ethogram: Ethogram,
    streams: Mapping[Path, str] | None = None,
) -> LabelFolder:
    """Read label files of these recordings. One that cannot be read is among the failures, and the rest is read.

    `streams` says which subject or stream counts for a recording, before the settings do.
    """
    found = LabelFolder()
    names = by_name(recordings)
    conflicts = Conflicts(config.on_conflict, found.findings)
    for path in paths:
        try:
            for recording, file in labels_in(
                path, config, names, ethogram, found.findings, conflicts, streams or {}
            ):
                found.files[recordings[recording]].append(file)
        except UserError as error:
            found.failures.append((path, str(error)))
    return found


def are_trials(files: Sequence[LabelFile | Events]) -> bool:
    """Does each of these files label one trial of its video?"""
    return bool(files) and all(isinstance(f, LabelFile) and f.trial is not None for f in files)


def count_trial(file: LabelFile, config: DataConfig) -> TrialLabels:
    """A file of a trial with its frames counted from 0, where nobody knows the video."""
    return file.counted_from_zero(
        config.trial_length, config.label_context, None, config.label_counts_from
    )


def clock_of(
    files: Sequence[LabelFile | Events], rate_hz: float | None, otherwise_hz: float | None = None
) -> Clock:
    """The frames that files of one whole video need, at `rate_hz`, else at the rate that one of them states.

    Bouts in seconds need a rate: `otherwise_hz`. Raises `UserError` where that is None.
    """
    stated_hz = [f.rate_hz for f in files if isinstance(f, Events) and f.rate_hz]
    seconds = next((f for f in files if isinstance(f, Events) and f.unit == "s"), None)
    rate_hz = rate_hz or next(iter(stated_hz), None)
    if rate_hz is None and seconds is not None:
        rate_hz = otherwise_hz
        if rate_hz is None:
            raise UserError(
                f"{seconds.path}: its labels are in seconds, and the rate of its video is not known; give --rate_hz, "
                f"or the videos with --videos"
            )
    claimed = [f.n_frames for f in files if isinstance(f, LabelFile) and f.n_frames is not None]
    if claimed:
        return Clock(max(claimed), rate_hz)
    return Clock(max((_needed(f, rate_hz) for f in files), default=0), rate_hz)


def _needed(file: LabelFile | Events, rate_hz: float | None) -> int:
    """Frames that a file's labels reach over."""
    if isinstance(file, LabelFile):
        first, last = (int(file.frames[0]), int(file.frames[-1])) if len(file.frames) else (0, -1)
        base = file.counts_from if file.counts_from is not None else int(first == 1)
        return last + 1 - base
    if file.unit == "frames":
        return frame_count(file)
    assert rate_hz is not None
    end_s = max(file.length_s or 0.0, float(file.stop.max(initial=0.0)))
    n_frames = round(end_s * rate_hz)
    if n_frames > _MOST_FRAMES:
        raise UserError(
            f"{file.path}: labels go on until {end_s:g} s, which no video has; was the file damaged?"
        )
    return max(n_frames, 1)
