"""Labels that other tools write as bouts, and what happens where they contradict the video."""

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

# 300 hours at 30 frames/s: a larger number means damage, and its array would fill the memory.
MOST_FRAMES = 2**25
# Relative difference from which on two frame rates count as different.
_OTHER_RATE = 0.01
# Frame intervals at the end of a video that tell how long its last frame is shown.
_LAST_INTERVALS = 9
# A slightly different rate is worth a note if it would shift the last label by more than this.
_MAX_DRIFT_FRAMES = 1.0


class ConflictError(UserError):
    """Labels that contradict their video, the ethogram or themselves.

    Scripts recognize the conflict by its `name`.
    """


@dataclass(frozen=True)
class Conflicts:
    """Collects contradictions in label files.

    With `mode="error"` the first one is raised as `ConflictError`; with `mode="warn"` each one
    becomes a warning in `findings`.
    """

    mode: Literal["warn", "error"] = "error"
    findings: list[Finding] = field(default_factory=list)

    def add(
        self, where: object, what: str, remedy: str, otherwise: str, name: str = "label-conflict"
    ) -> None:
        """Raise or record one contradiction.

        `remedy` is what the user can do, `otherwise` what happens with `--on_conflict warn`.
        """
        if self.mode == "error":
            message = f"{what}; {remedy}, or go on with --on_conflict warn ({otherwise})"
            raise ConflictError(message, where=where, name=name)
        self.findings.append(Finding("warning", str(where), what, otherwise, name))

    def add_overlap(self, path: Path, clash: np.ndarray, remedy: str) -> None:
        """Raise or record that the frames in `clash` `(n_frames,)` bool have two behaviors."""
        if not clash.any():
            return
        first = int(np.flatnonzero(clash)[0])
        n_clashes = int(clash.sum())
        what = f"{n_clashes} frames have two behaviors at once, the first is frame {first}"
        self.add(path, what, remedy, "they are unlabeled")

    def note(self, path: Path, what: str, remedy: str = "", name: str = "") -> None:
        """Record something that the user should know, but need not mend."""
        self.findings.append(Finding("note", str(path), what, remedy, name))


@dataclass(frozen=True)
class Events:
    """Bouts of one video, before its frames have been counted.

    `start` and `stop` `(bouts,)` are frames counted from 0, or seconds from the first frame. They
    are half-open; a bout without a length takes one frame. `labels` `(bouts,)` are class indices,
    -1 where a bout is unlabeled. `rate_hz` and `length_s` are what the file states about its
    video. `points` `(bouts,)` is true for events without a duration that take their frame from the
    bout around them; None where no event does.
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
        gap_label: int = UNLABELED,
        conflicts: Conflicts | None = None,
        is_cut_off: bool = False,
    ) -> LabelFile:
        """The labels of a video of `n_frames` frames that are shown at `time_s` `(n_frames,)`.

        `time_s` may be None if the bouts are in frames. A time means the nearest border between
        frames. Frames outside all bouts get `gap_label`. Frames that bouts of different classes
        claim are a conflict, and unlabeled. Labels beyond the last frame are a conflict too, but
        only a warning if the video `is_cut_off` there.

        Raises `ConflictError` for conflicts, unless they are collected as warnings, and `UserError`
        if the bouts are in seconds and nothing tells the frame rate.
        """
        conflicts = Conflicts() if conflicts is None else conflicts
        start, stop = self.start, self.stop
        if self.unit == "s":
            borders, end_s = self._frame_borders(n_frames, time_s, conflicts)
            start = _nearest_border(borders, start, end_s)
            stop = _nearest_border(borders, stop, end_s)
            start[start == n_frames] -= 1  # an event at the very end is part of the last frame
        start, stop = start.astype(np.int64), stop.astype(np.int64)
        stop = np.maximum(stop, start + 1)  # an event without a duration takes one frame
        last = int(stop.max(initial=0))
        if last > n_frames:
            self._report_beyond_end(n_frames, last, is_cut_off, conflicts)
        labels, free, clash = self._labels_on_frames(start, stop, n_frames, conflicts)
        conflicts.add_overlap(self.path, clash, "let one end where the other begins")
        labels[free], labels[clash] = gap_label, UNLABELED
        frames = np.arange(n_frames)
        return LabelFile(self.path, None, frames, labels, counts_from=0, lists_bouts=True)

    def _labels_on_frames(
        self, start: np.ndarray, stop: np.ndarray, n_frames: int, conflicts: Conflicts
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels, unclaimed frames and contested frames, as `_paint_bouts` returns them.

        Point events go on top of the bouts around them.
        """
        if self.points is None or not self.points.any():
            return _paint_bouts(start, stop, self.labels, n_frames)
        is_point, is_state = self.points, ~self.points
        labels, free, clash = _paint_bouts(
            start[is_state], stop[is_state], self.labels[is_state], n_frames
        )
        point_labels, _, point_clash = _paint_bouts(
            start[is_point], stop[is_point], self.labels[is_point], n_frames
        )
        has_point = point_labels >= 0
        inside = int((has_point & (labels >= 0) & (labels != point_labels)).sum())
        if inside:
            what = f"{inside} frames have a point event inside a state"
            remedy = "they are of the point's class (--point_events)"
            conflicts.note(self.path, what, remedy, "point-in-state")
        labels[has_point] = point_labels[has_point]
        return labels, free & ~has_point, (clash & ~has_point) | point_clash

    @property
    def covered(self) -> tuple[int, int]:
        """Frames in bouts, and frames up to the last one in a bout; 0, 0 for bouts in seconds."""
        if self.unit == "s":
            return 0, 0
        inside = end = 0
        for start, stop in sorted(zip(self.start.tolist(), self.stop.tolist(), strict=True)):
            inside += max(0, int(stop) - max(int(start), end))
            end = max(end, int(stop))
        return inside, end

    def stretched(self, step: int) -> Events:
        """The same bouts where each of their frames is `step` frames of the video."""
        if self.unit == "s":
            return self
        return dataclasses.replace(self, start=self.start * step, stop=self.stop * step)

    def _report_beyond_end(
        self, n_frames: int, last: int, is_cut_off: bool, conflicts: Conflicts
    ) -> None:
        """Report that bouts go on after the end of the video."""
        reach = f"frames up to {last}"
        if self.unit == "s":
            reach = f"times up to {self.stop.max():g} s"
        what = f"labels {reach} of a video that has only {n_frames} frames"
        if is_cut_off:
            remedy = "labels after the last frame that decodes are lost"
            warning = Finding("warning", str(self.path), what, remedy, "labels-lost")
            conflicts.findings.append(warning)
        else:
            remedy = "give it the labels of this video"
            conflicts.add(self.path, what, remedy, "the rest is cut off")

    def _frame_borders(
        self, n_frames: int, time_s: np.ndarray | None, conflicts: Conflicts
    ) -> tuple[np.ndarray, float]:
        """Borders between frames `(n_frames + 1,)`, in seconds from the first frame, and a limit.

        A time beyond the limit cannot mean the last frame any more.
        """
        if time_s is None or (n_frames < 2 and self.rate_hz is None):
            raise UserError(
                f"{self.path}: its labels are in seconds, and the rate of its video is not known"
            )
        if n_frames < 2:
            rate_hz = self.rate_hz or 1.0
            return np.arange(n_frames + 1) / rate_hz, 2 / rate_hz
        # Timestamps of damaged videos may run backwards, but borders must be sorted.
        times = np.maximum.accumulate(np.asarray(time_s, np.float64) - time_s[0])
        usual_hz = rate_of(times)
        self._compare_rates(times, usual_hz, conflicts)
        # Nothing tells how long the last frame is shown: as long as those shortly before it, or
        # as long as usual.
        last_interval_s = float(np.median(np.diff(times)[-_LAST_INTERVALS:]))
        lengths_s = (1 / usual_hz, last_interval_s)
        return np.append(times, times[-1] + min(lengths_s)), times[-1] + 2 * max(lengths_s)

    def _compare_rates(self, times: np.ndarray, usual_hz: float, conflicts: Conflicts) -> None:
        """Report where the file states another frame rate than its video has."""
        if self.rate_hz is None:
            return
        stated_hz, n_frames = self.rate_hz, len(times)
        mean_hz = (n_frames - 1) / max(float(times[-1]), 1e-9)
        # Where the rate varies, some tools state the mean and some the usual rate.
        nearest_hz = min(mean_hz, usual_hz, key=lambda rate_hz: abs(rate_hz - stated_hz))
        off = abs(stated_hz - nearest_hz) / nearest_hz
        if off > _OTHER_RATE:
            what = f"was made on a video of {stated_hz:g} frames/s, but its video has {mean_hz:g}"
            remedy = (
                "give it the labels of this very video (a pose without one has the rate --rate_hz)"
            )
            conflicts.add(self.path, what, remedy, "its times are used as they are")
        elif off * n_frames > _MAX_DRIFT_FRAMES:
            what = f"says {stated_hz:.6g} frames/s, its video has {nearest_hz:.6g}"
            remedy = "its times are matched to the timestamps of the frames"
            conflicts.note(self.path, what, remedy, "label-fps")


def classes_of(
    path: Path,
    words: Sequence[str],
    places: Sequence[object],
    ethogram: Ethogram,
    conflicts: Conflicts,
) -> np.ndarray:
    """Class indices `(words,)` int16 of the names of behaviors.

    `places` gives the line number of each word, or a text that says where it is. A name that the
    ethogram does not know is a conflict, and -1.
    """
    labels: dict[str, int] = {}
    for word, place in zip(words, places, strict=True):
        if word not in labels:
            where = f"line {place}" if isinstance(place, int) else place
            labels[word] = _class_of(word, f"{path}, {where}", ethogram, conflicts)
    return np.array([labels[word] for word in words], np.int16)


def _class_of(word: str, where: str, ethogram: Ethogram, conflicts: Conflicts) -> int:
    """The class index of one name; -1 for a name that the ethogram does not know."""
    try:
        return int(ethogram.merge(np.array([ethogram.raw_id(word)]))[0])
    except ValueError as error:
        # Our own exports name classes, which need not be raw behaviors.
        classes = {name.casefold(): label for label, name in enumerate(ethogram.classes)}
        name = word.strip().casefold()
        if name in classes:
            return classes[name]
        what = " ".join(str(error).split())
        conflicts.add(where, what, "add it to the ethogram", "it is unlabeled")
        return UNLABELED


def seconds(text: str) -> float | None:
    """Seconds in a cell: 12.5, 12,5 or 1:02:03.5; None for anything else."""
    parts = text.strip().replace(",", ".").split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return None
    total = 0.0
    for number in numbers:
        total = 60 * total + number
    # More than hours, minutes and seconds is no time; 1e9 s is damage.
    return total if len(parts) <= 3 and 0 <= total < 1e9 else None


def _nearest_border(borders: np.ndarray, times: np.ndarray, end_s: float) -> np.ndarray:
    after = np.searchsorted(borders, times).clip(1, len(borders) - 1)
    before = after - 1
    is_nearer_before = times - borders[before] < borders[after] - times
    nearest = np.where(is_nearer_before, before, after)
    # A time long after the end must not pass for the end.
    return np.where(times > end_s, len(borders), nearest)


def _paint_bouts(
    start: np.ndarray, stop: np.ndarray, bout_labels: np.ndarray, n_frames: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels `(n_frames,)` int16, and masks of unclaimed frames and of contested frames.

    A frame is contested if bouts of different classes claim it; it keeps the label of the first.
    """
    labels, free = np.full(n_frames, UNLABELED, np.int16), np.ones(n_frames, bool)
    clash = np.zeros(n_frames, bool)
    bouts = zip(start.tolist(), stop.tolist(), bout_labels.tolist(), strict=True)
    for first, last, label in bouts:
        part = labels[first:last]  # a view: writing to it writes to `labels`
        clash[first:last] |= (part >= 0) & (part != label) & (label >= 0)
        part[part < 0] = label
        free[first:last] = False
    return labels, free, clash


def frame_count(events: Events) -> int:
    """Frames up to the end of the last bout. Raises `UserError` for an impossible number."""
    last = int(events.stop.max(initial=0))
    if last > MOST_FRAMES:
        raise UserError(
            f"{events.path}: labels frame {last}, which no video has; was the file damaged?"
        )
    return last
