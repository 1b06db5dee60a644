"""The ethogram raster: every recording a row, and no pain behavior lost between pixels."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dolorim.core.palette import class_colors
from dolorim.reporting.observations import Observations, ObservedRecording

COLUMNS = 1400  # about one for each dot of a printed column
_ROW_IN = 0.16  # height of a row in inches, where there are few
_MOST_IN = 6.5  # height of all rows, unless they get thinner than:
_LEAST_ROW_IN = 0.03


def column_s(observations: Observations) -> float:
    """Seconds that a column of the raster stands for."""
    return max(t.length_s for t in observations.recordings) / COLUMNS


def priorities(observations: Observations, pain: Sequence[str]) -> list[int]:
    """Class indices in the order in which they are painted: the pain behaviors last, the first of them on top.

    The others by the time that they take, the rarest last.
    """
    time = np.zeros(len(observations.classes))
    for recording in observations.recordings:
        time += np.bincount(
            recording.labels, recording.stop_s - recording.start_s, len(observations.classes)
        )
    painful = [observations.classes.index(name) for name in pain if name in observations.classes]
    others = [i for i in range(len(observations.classes)) if i not in painful]
    return [*sorted(others, key=lambda i: -time[i]), *reversed(painful)]


def paint(recording: ObservedRecording, width_s: float, order: Sequence[int]) -> np.ndarray:
    """Class indices `(columns,)` of one recording, -1 where nothing is labelled.

    A bout fills every column that it touches. Where several behaviors share a column, the last of
    `order` is shown.
    """
    row = np.full(COLUMNS, -1)
    for label in order:
        mine = (
            (recording.labels == label)
            & (recording.stop_s > 0)
            & (recording.start_s < recording.length_s)
        )
        first = np.floor(np.maximum(recording.start_s[mine], 0) / width_s).astype(int)
        last = np.ceil(
            np.minimum(recording.stop_s[mine], recording.length_s) / width_s - 1e-9
        ).astype(int)
        for a, b in zip(first.tolist(), last.tolist(), strict=True):
            row[a : max(b, a + 1)] = label
    return row


def draw_raster(observations: Observations, pain: Sequence[str], labels: dict[str, str]) -> Figure:
    """All recordings, sorted by group and animal; `labels` are the groups' names as they are shown."""

    def place(recording: ObservedRecording) -> tuple[int, str, str, str]:
        return (
            observations.groups.index(recording.group),
            recording.animal,
            recording.video,
            recording.trial,
        )

    recordings = sorted(observations.recordings, key=place)
    width_s, order = column_s(observations), priorities(observations, pain)
    colors = np.array([(255, 255, 255), *class_colors(len(observations.classes))]) / 255
    image = colors[np.stack([paint(recording, width_s, order) for recording in recordings]) + 1]
    longest = max(t.length_s for t in recordings)
    scale, unit = (60, "min") if longest > 180 else (1, "s")
    height = max(min(_ROW_IN * len(recordings), _MOST_IN), _LEAST_ROW_IN * len(recordings))
    figure, axes = plt.subplots(figsize=(9, 1.5 + height))
    axes.imshow(
        image,
        aspect="auto",
        interpolation="nearest",
        extent=(0, longest / scale, len(recordings), 0),
    )
    for group in observations.groups:
        rows = [i for i, t in enumerate(recordings) if t.group == group]
        if rows:
            middle = float(np.mean(rows)) + 0.5
            side = axes.get_yaxis_transform()
            axes.text(-0.01, middle, labels[group], transform=side, ha="right", va="center")
            axes.axhline(rows[-1] + 1, color="white", lw=3)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"time ({unit}); one row per recording")
    return figure
