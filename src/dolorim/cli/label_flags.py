"""Flags that say how label files are to be read: those of `train`, for the verbs that only compare or measure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dolorim.config import DataConfig


@dataclass(frozen=True)
class LabelFlags:
    """How label files are to be read, as in train."""

    videos: Path | None = None
    """Folder with the videos of the label files: their timestamps then say when each frame is shown."""
    label_format: Literal[
        "auto", "frames", "boris", "deepethogram", "simba", "caltech", "bouts", "nwb"
    ] = "auto"
    """Format of the label files; auto tells it from their content."""
    label_stream: str | None = None
    """Which of several subjects (BORIS) or streams (Caltech) in a label file."""
    label_gaps: str = ""
    """Class of frames that bouts leave out (rest), in formats that list bouts; without it they are unlabelled."""
    label_counts_from: Literal["auto", "0", "1"] = "auto"
    """What frame numbers in label files count from; auto tells it from each file, and says its doubts."""
    label_step: int | None = None
    """Frames of the video for each row of a label file, where that is not 1."""
    point_events: Literal["keep", "conflict", "drop"] = "keep"
    """A point event inside a state (BORIS): keep gives its frame to the point, conflict calls two behaviors in one
    frame a contradiction, drop leaves point events out."""
    on_conflict: Literal["error", "warn"] = "error"
    """What follows where labels contradict their video, the ethogram or themselves."""
    trial_layout: Literal["auto", "fixed", "cumulative"] = "auto"
    """Where trial k lies in its video: at (k-1)*trial_length, or behind the trials before it."""
    trial_length: int = 360
    """Frames of a trial in the fixed layout."""

    def settings(self, classes: Path | None) -> DataConfig:
        """The same as settings of `train`."""
        return DataConfig(classes=classes, **dataclasses.asdict(self))
