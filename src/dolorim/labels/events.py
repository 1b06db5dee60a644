"""Labels that other tools wrote as bouts, and what is done where they contradict the video or themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from dolorim.core.clock import rate_of
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.label_files import LabelFile

_MOST_FRAMES = (
    2**25
)  # 300 hours at 30 frames/s: a larger number is damage, and would fill the memory
_OTHER_RATE = 0.01  # relative difference from which a video's rate is another one
_LAST = 9  # steps before the end that tell how long the last frame is shown
_DRIFT = 1.0  # frames by which a slightly other rate would be wrong at the end of the video, if it were believed


class ConflictError(UserError):
    """Labels at `where` that contradict their video, the ethogram or themselves; scripts know it by its `name`."""

    def __init__(self, where: object, message: str, name: str) -> None:
        super().__init__(message, where=where, name=name)


@dataclass(frozen=True)
class Conflicts:
    """Contradictions in label files: each is raised as a `UserError`, or kept in `found` to be said as a warning."""

    mode: Literal["warn", "error"] = "error"
    found: list[Finding] = field(default_factory=list)

    def add(
        self, where: object, what: str, remedy: str, otherwise: str, name: str = "label-conflict"
    ) -> None:
        """`remedy` is what the user can do about it, `otherwise` what happens with `--on_conflict warn`."""
        if self.mode == "error":
            raise ConflictError(
                where, f"{what}; {remedy}, or go on with --on_conflict warn ({otherwise})", name
            )
        self.found.append(Finding("warning", str(where), what, otherwise, name))


@dataclass(frozen=True)
class Events:
    """Bouts of one video, before anybody has counted its frames.

    `start` and `stop` `(bouts,)` are frames counted from 0, or seconds from the first frame; half-open, and a bout
    without a length takes one frame. `labels` `(bouts,)` are class indices, -1 where a bout is unlabelled.
    `rate_hz` and `length_s` are what the file says about its video. `points` `(bouts,)` is true for events without a
    duration that take their frame from the bout around them; None where none does.
    """

    path: Path
    unit: Literal["frames", "s"]
    start: np.ndarray
    stop: np.ndarray
    labels: np.ndarray
    rate_hz: float | None = None
    points: np.ndarray | None = None
    length_s: float | None = None

    def on_frames(
        self,
        n_frames: int,
        time_s: np.ndarray | None,
        gaps: int = UNLABELED,
        conflicts: Conflicts | None = None,
        cut: bool = False,
    ) -> LabelFile:
        """The labels of a video of `n_frames` frames that are shown at `time_s` `(n_frames,)`.

        `time_s` may be None for bouts in frames alone. A time is meant for the nearest border between frames. Frames
        that no bout claims are of class `gaps`; those that bouts of different classes claim are a conflict, and
        unlabelled. So is what lies beyond the last frame, unless the video is `cut` off there: then it is a warning.
        Raises `UserError` for conflicts that are not only to be warned of.
        """
        conflicts = Conflicts() if conflicts is None else conflicts
        start, stop = self.start, self.stop
        if self.unit == "s":
            borders, end_s = self._borders(n_frames, time_s, conflicts)
            start, stop = _nearest(borders, start, end_s), _nearest(borders, stop, end_s)
            start[start == n_frames] -= 1  # an event at the very end is part of the last frame
        start, stop = start.astype(np.int64), stop.astype(np.int64)
        stop = np.maximum(stop, start + 1)
        if int(stop.max(initial=0)) > n_frames:
            self._beyond(n_frames, int(stop.max()), cut, conflicts)
        labels, free, clash = self._laid(start, stop, n_frames, conflicts)
        if clash.any():
            first = int(np.flatnonzero(clash)[0])
            conflicts.add(
                self.path, f"{int(clash.sum())} frames have two behaviors at once, the first is frame {first}",
                "let one end where the other begins", "they are unlabelled",
            )  # fmt: skip
        labels[free], labels[clash] = gaps, UNLABELED
        return LabelFile(
            self.path, None, np.arange(n_frames), labels, counts_from=0, lists_bouts=True
        )

    def _laid(
        self, start: np.ndarray, stop: np.ndarray, n_frames: int, conflicts: Conflicts
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels of the frames, those that no bout claims, and those that bouts of different classes claim."""
        if self.points is None or not self.points.any():
            return _lay(start, stop, self.labels, n_frames)
        points = self.points
        labels, free, clash = _lay(start[~points], stop[~points], self.labels[~points], n_frames)
        marks, _, twice = _lay(start[points], stop[points], self.labels[points], n_frames)
        marked = marks >= 0
        inside = int((marked & (labels >= 0) & (labels != marks)).sum())
        if inside:
            what = f"{inside} frames have a point event inside a state"
            remedy = "they are of the point's class (--point_events)"
            conflicts.found.append(Finding("note", str(self.path), what, remedy, "point-in-state"))
        labels[marked] = marks[marked]
        return labels, free & ~marked, (clash & ~marked) | twice

    @property
    def covered(self) -> tuple[int, int]:
        """Frames that are in a bout, and those up to the end of the last bout; none for bouts in seconds."""
        if self.unit == "s":
            return 0, 0
        inside = end = 0
        for start, stop in sorted(zip(self.start.tolist(), self.stop.tolist(), strict=True)):
            inside += max(0, int(stop) - max(int(start), end))
            end = max(end, int(stop))
        return inside, end

    def stretched(self, step: int) -> Events:
        """The same bouts where each frame of theirs is `step` frames of the video."""
        if self.unit == "s":
            return self
        return dataclasses.replace(self, start=self.start * step, stop=self.stop * step)

    def _beyond(self, n_frames: int, last: int, cut: bool, conflicts: Conflicts) -> None:
        """Say that bouts go on where the video has ended."""
        what = f"labels frames up to {last} of a video that has only {n_frames} frames"
        if self.unit == "s":
            what = f"labels times up to {self.stop.max():g} s of a video that has only {n_frames} frames"
        if cut:
            remedy = "what lies behind the last frame that decodes is lost"
            conflicts.found.append(Finding("warning", str(self.path), what, remedy, "labels-lost"))
        else:
            conflicts.add(
                self.path, what, "give it the labels of this video", "the rest is cut off"
            )

    def _borders(
        self, n_frames: int, time_s: np.ndarray | None, conflicts: Conflicts
    ) -> tuple[np.ndarray, float]:
        """When each frame begins and the last one ends `(n_frames + 1,)`, in seconds from the first frame, and from
        which time on nothing can be meant for the last frame any more."""
        if time_s is None or (n_frames < 2 and self.rate_hz is None):
            raise UserError(
                f"{self.path}: its labels are in seconds, and the rate of its video is not known"
            )
        if n_frames < 2:
            return np.arange(n_frames + 1) / (self.rate_hz or 1.0), 2 / (self.rate_hz or 1.0)
        times = np.maximum.accumulate(np.asarray(time_s, np.float64) - time_s[0])
        usual_hz = rate_of(times)
        rate_hz = (n_frames - 1) / max(float(times[-1]), 1e-9)
        if self.rate_hz is not None:
            # Where the rate varies, tools call either of them the rate.
            nearest_hz = min(rate_hz, usual_hz, key=lambda r: abs(r - (self.rate_hz or 0)))
            off = abs(self.rate_hz - nearest_hz) / nearest_hz
            if off > _OTHER_RATE:
                conflicts.add(
                    self.path, f"was made on a video of {self.rate_hz:g} frames/s, but its video has {rate_hz:g}",
                    "give it the labels of this very video (a pose without one has the rate --rate_hz)",
                    "the times are believed",
                )  # fmt: skip
            elif off * n_frames > _DRIFT:
                what = f"says {self.rate_hz:.6g} frames/s, its video has {nearest_hz:.6g}"
                remedy = "its times are laid on the timestamps of the frames"
                conflicts.found.append(Finding("note", str(self.path), what, remedy, "label-fps"))
        # Nothing says how long the last frame is shown: as long as those shortly before it, or as is usual.
        lengths_s = (1 / usual_hz, float(np.median(np.diff(times)[-_LAST:])))
        return np.append(times, times[-1] + min(lengths_s)), times[-1] + 2 * max(lengths_s)


def classes_of(
    path: Path,
    words: Sequence[str],
    places: Sequence[object],
    ethogram: Ethogram,
    conflicts: Conflicts,
) -> np.ndarray:
    """Class indices `(words,)` int16 of behaviors; those that the ethogram does not know are conflicts, and -1.

    `places` are the numbers of the lines on which the words stand, or words that say where. A word is a raw behavior
    first, and else a class: what we export is written by class.
    """
    classes = {name.casefold(): i for i, name in enumerate(ethogram.classes)}
    found: dict[str, int] = {}
    for word, place in zip(words, places, strict=True):
        if word not in found:
            try:
                found[word] = int(ethogram.merge(np.array([ethogram.raw_id(word)]))[0])
            except ValueError as error:
                found[word] = classes.get(word.strip().casefold(), UNLABELED)
                if found[word] == UNLABELED:
                    what = " ".join(str(error).split())
                    where = f"line {place}" if isinstance(place, int) else place
                    conflicts.add(
                        f"{path}, {where}", what, "add it to the ethogram", "it is unlabelled"
                    )
    return np.array([found[word] for word in words], np.int16)


def seconds(text: str) -> float | None:
    """Seconds in a cell: 12.5, 12,5 or 1:02:03.5; None for anything else."""
    parts = text.strip().replace(",", ".").split(":")
    try:
        numbers = [float(p) for p in parts]
    except ValueError:
        return None
    total = 0.0
    for number in numbers:
        total = 60 * total + number
    return total if len(parts) <= 3 and 0 <= total < 1e9 else None


def _nearest(borders: np.ndarray, times: np.ndarray, end_s: float) -> np.ndarray:
    after = np.searchsorted(borders, times).clip(1, len(borders) - 1)
    before = after - 1
    found = np.where(times - borders[before] < borders[after] - times, before, after)
    # A time far behind the end must not pass for the end.
    return np.where(times > end_s, len(borders), found)


def _lay(
    start: np.ndarray, stop: np.ndarray, labels: np.ndarray, n_frames: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of the frames, those that no bout claims, and those that bouts of different classes claim."""
    frames, free = np.full(n_frames, UNLABELED, np.int16), np.ones(n_frames, bool)
    clash = np.zeros(n_frames, bool)
    for first, last, label in zip(start.tolist(), stop.tolist(), labels.tolist(), strict=True):
        part = frames[first:last]
        clash[first:last] |= (part >= 0) & (part != label) & (label >= 0)
        part[part < 0] = label
        free[first:last] = False
    return frames, free, clash


def frame_count(events: Events) -> int:
    """Frames up to the end of the last bout. Raises `UserError` for a number that no video reaches."""
    last = int(events.stop.max(initial=0))
    if last > _MOST_FRAMES:
        raise UserError(
            f"{events.path}: labels frame {last}, which no video has; was the file damaged?"
        )
    return last
