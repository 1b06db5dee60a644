"""What the functions of `dolorim.api` return: predictions, poses and reports, as pandas or
xarray.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from dolorim.core.errors import UserError
from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.pose.pose import Pose

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

    from dolorim.reporting.observations import Observations

AnyPath: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True)
class Prediction:
    """What a run says about one recording, frame by frame.

    `predictions` holds the arrays: `labels` `(time,)` class indices, -1 where a frame was left
    open, `probabilities` `(time, classes)`, and `time_s` `(time,)`, seconds from the first frame.
    """

    predictions: Predictions

    @property
    def name(self) -> str:
        """The recording's name, which its files have."""
        return self.predictions.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the behaviors, in the order of the columns of probabilities."""
        return self.predictions.classes

    @cached_property
    def frames(self) -> pd.DataFrame:
        """A row per frame: `frame`, `time_s`, `label` (None where left open), `p_<class>`."""
        p = self.predictions
        names = np.array([*p.classes, None], object)  # index -1 is None
        columns = {"frame": np.arange(len(p.labels)), "time_s": p.time_s, "label": names[p.labels]}
        table = pd.DataFrame(columns)
        for i, name in enumerate(p.classes):
            table[f"p_{name}"] = p.probabilities[:, i]
        return table

    @cached_property
    def bouts(self) -> pd.DataFrame:
        """A row per bout: `start_s`, `stop_s`, `label`, `mean_probability`, `start_frame`,
        `stop_frame`.

        Frames and seconds are half-open ranges, `[start, stop)`.
        """
        rows = []
        for bout, probability in self.predictions.bouts():
            start_s, stop_s = self.predictions.interval_s(bout)
            label = self.classes[bout.label]
            rows.append((start_s, stop_s, label, probability, bout.start, bout.stop))
        columns = ["start_s", "stop_s", "label", "mean_probability", "start_frame", "stop_frame"]
        return pd.DataFrame(rows, columns=columns)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the ethogram: a row per class, time in seconds along it."""
        from dolorim.reporting.figures import draw_ethogram

        return draw_ethogram(self.predictions, axes)

    def save(self, folder: AnyPath) -> Path:
        """Write the files that `dolorim predict` writes, byte for byte; returns the folder."""
        write_predictions(Path(folder), self.predictions)
        return Path(folder)


@dataclass(frozen=True)
class Report:
    """A report that was written.

    `page` is the HTML file, `sentences` the answer in words, `study` the data that were read.
    """

    page: Path
    sentences: tuple[str, ...]
    study: Observations


@dataclass(frozen=True)
class Poses(Sequence[Pose]):
    """The animals of a pose file, in its order.

    Each is a `Pose` with `points` `(time, keypoint, xy)` in pixels.
    """

    animals: tuple[Pose, ...]

    def __getitem__(self, index: Any) -> Any:
        return self.animals[index]

    def __len__(self) -> int:
        return len(self.animals)

    def to_xarray(self, rate_hz: float | None = None) -> xr.Dataset:
        """A dataset with the names and dimensions of the movement package.

        `position` `(time, space, keypoints, individuals)` is in pixels, `confidence` is
        `(time, keypoints, individuals)`; missing points are NaN. `time` counts frames, or seconds
        with `rate_hz`. Raises `UserError` where xarray is not installed.
        """
        try:
            import xarray as xr
        except ImportError:
            raise UserError(
                "to_xarray needs the package xarray; install it with: pip install xarray"
            ) from None
        names = self.animals[0].names
        length = max(len(pose) for pose in self.animals)
        position = np.full((length, 2, len(names), len(self.animals)), np.nan)
        confidence = np.full((length, len(names), len(self.animals)), np.nan)
        for i, pose in enumerate(self.animals):
            position[: len(pose), :, :, i] = pose.points.transpose(0, 2, 1)
            if pose.likelihood is not None:
                confidence[: len(pose), :, i] = pose.likelihood
        frames = np.arange(length)
        return xr.Dataset(
            {
                "position": (("time", "space", "keypoints", "individuals"), position),
                "confidence": (("time", "keypoints", "individuals"), confidence),
            },
            coords={
                "time": frames if rate_hz is None else frames / rate_hz,
                "space": ["x", "y"],
                "keypoints": list(names),
                "individuals": [p.individual or f"id_{i}" for i, p in enumerate(self.animals)],
            },
            attrs={"time_unit": "frames" if rate_hz is None else "seconds", "fps": rate_hz},
        )
