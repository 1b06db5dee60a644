"""The ethogram raster: every recording a row, and no pain behavior lost between pixels.

Where a column stands for more time than a bout lasts, the bout still fills the column, in a color
that is paler the less of the column it takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dolorim.core.palette import class_colors
from dolorim.reporting.figure_parts import PAGE_MM, inches
from dolorim.reporting.observations import Observations, ObservedRecording
from dolorim.reporting.plotting import plt

COLUMNS = 1400  # about one for each dot of a printed column
_ROW_MM = 3.2  # height of a row, where there are few
_MOST_MM = 150.0  # height of all rows, unless they get thinner than:
_LEAST_ROW_MM = 0.8
_PALEST = 0.45  # strength of the color of a bout that takes next to nothing of its column


def column_s(observations: Observations) -> float:
    """Seconds that a column of the raster stands for."""
    return max(recording.length_s for recording in observations.recordings) / COLUMNS


def priorities(observations: Observations, pain: Sequence[str]) -> list[int]:
    """Class indices in the order in which they are painted: pain behaviors last, the first on top.

    The others are ordered by the time that they take, the rarest last.
    """
    classes = observations.classes
    time_s = np.zeros(len(classes))
    for recording in observations.recordings:
        durations_s = recording.stop_s - recording.start_s
        time_s += np.bincount(recording.labels, durations_s, len(classes))
    painful = [classes.index(name) for name in pain if name in classes]
    others = [i for i in range(len(classes)) if i not in painful]
    return [*sorted(others, key=lambda i: -time_s[i]), *reversed(painful)]


def paint(recording: ObservedRecording, width_s: float, order: Sequence[int]) -> np.ndarray:
    """Class indices `(columns,)` of one recording, -1 where nothing is labeled.

    A bout fills every column that it touches. Where several behaviors share a column, the last of
    `order` is shown.
    """
    row = np.full(COLUMNS, -1)
    starts_s = np.maximum(recording.start_s, 0)
    stops_s = np.minimum(recording.stop_s, recording.length_s)
    inside = (recording.stop_s > 0) & (recording.start_s < recording.length_s)
    # A bout that ends on the border of a column does not touch the next, whatever rounding says.
    first = np.floor(starts_s / width_s).astype(int)
    last = np.ceil(stops_s / width_s - 1e-9).astype(int)
    for label in order:
        bouts = inside & (recording.labels == label)
        for start, stop in zip(first[bouts].tolist(), last[bouts].tolist(), strict=True):
            # Even the shortest bout fills one column: a pain bout of one frame must be seen.
            row[start : max(stop, start + 1)] = label
    return row


def strengths(recording: ObservedRecording, width_s: float, shown: np.ndarray) -> np.ndarray:
    """How strong the color of each column is, `(columns,)` 0-1, where it shows the class `shown`.

    It tells which part of the column's labeled time the class takes.
    """
    edges_s = np.arange(COLUMNS + 1) * width_s
    time_s = np.zeros(COLUMNS)
    labeled_s = np.zeros(COLUMNS)
    for label in np.unique(recording.labels):
        bouts = recording.labels == label
        in_column_s = np.diff(_seconds_before(edges_s, recording, bouts))
        labeled_s += in_column_s
        time_s += np.where(shown == label, in_column_s, 0)
    share = np.divide(time_s, labeled_s, out=np.zeros(COLUMNS), where=labeled_s > 0)
    return _PALEST + (1 - _PALEST) * share


def _seconds_before(
    edges_s: np.ndarray, recording: ObservedRecording, bouts: np.ndarray
) -> np.ndarray:
    """Seconds of some bouts that lie before each edge; bouts do not overlap."""
    starts_s, stops_s = recording.start_s[bouts], recording.stop_s[bouts]
    total_s = np.cumsum(stops_s - starts_s)
    # The sum stands still between bouts, and grows with the time inside them.
    times_s = np.column_stack([starts_s, stops_s]).ravel()
    sums_s = np.column_stack([total_s - (stops_s - starts_s), total_s]).ravel()
    return np.interp(edges_s, times_s, sums_s)


def draw_raster(
    observations: Observations, pain: Sequence[str], group_names: Mapping[str, str]
) -> Figure:
    """All recordings, sorted by group and animal; `group_names` are the names to show."""
    recordings = _in_order(observations)
    width_s, order = column_s(observations), priorities(observations, pain)
    palette = np.array([(255, 255, 255), *class_colors(len(observations.classes))]) / 255
    image = np.ones((len(recordings), COLUMNS, 3))
    for line, recording in zip(image, recordings, strict=True):
        shown = paint(recording, width_s, order)
        strength = strengths(recording, width_s, shown)[:, None]
        # -1, not labeled, is the first color: white.
        line[:] = 1 - strength * (1 - palette[shown + 1])
    longest_s = max(recording.length_s for recording in recordings)
    scale, unit = (60, "min") if longest_s > 180 else (1, "s")
    # Many recordings make rows thinner at first, then the figure higher.
    height = max(min(_ROW_MM * len(recordings), _MOST_MM), _LEAST_ROW_MM * len(recordings))
    figure, axes = plt.subplots(figsize=inches(PAGE_MM, 24 + height))
    axes.imshow(
        image,
        aspect="auto",
        interpolation="nearest",
        extent=(0, longest_s / scale, len(recordings), 0),
    )
    _name_groups(axes, [recording.group for recording in recordings], group_names)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"time ({unit}); one row per recording")
    return figure


def _in_order(observations: Observations) -> list[ObservedRecording]:
    def place(recording: ObservedRecording) -> tuple[int, str, str, str]:
        group = observations.groups.index(recording.group)
        return group, recording.animal, recording.video, recording.trial

    return sorted(observations.recordings, key=place)


def _name_groups(axes: Axes, group_of_row: Sequence[str], names: Mapping[str, str]) -> None:
    """Write each group beside its rows, and draw a line below them."""
    side = axes.get_yaxis_transform()
    for group in dict.fromkeys(group_of_row):
        rows = [i for i, name in enumerate(group_of_row) if name == group]
        middle = float(np.mean(rows)) + 0.5
        axes.text(-0.01, middle, names[group], transform=side, ha="right", va="center")
        axes.axhline(rows[-1] + 1, color="white", lw=3)
