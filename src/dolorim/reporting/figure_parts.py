"""What the figures of a study share: style, widths, colors, grids, legends, and courses over time.

Widths are those of a journal's column and page, and text is as large as journals ask for, so that a
figure goes into a paper as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from dolorim.core.palette import class_colors, group_colors
from dolorim.reporting.effect_sizes import group_interval, scale_of_readout
from dolorim.reporting.observations import Observations
from dolorim.reporting.plotting import plt
from dolorim.reporting.wording import shown

COLUMN_MM, PAGE_MM = 89.0, 183.0
"""Widths of a journal's column, and of its page."""
STYLE: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # text stays text, for a vector graphics program
    "pdf.fonttype": 42,  # TrueType: Illustrator cannot edit the default, Type 3
    "text.parse_math": False,  # a dollar sign in a name is no formula
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
_MM_PER_INCH = 25.4
_MARKERS = "osD^vP*X"
_LONGEST_LEVEL_NAMES = 24  # letters of all names under an axis; beyond it they are slanted
_MOST_MARKED = 40  # points of a line; beyond it, markers would hide the line

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Drawn:
    """A figure, and the numbers in it: what somebody needs to draw it again."""

    figure: Figure
    data: pd.DataFrame | None
    """None where a table of the report has them already."""


def inches(*lengths_mm: float) -> tuple[float, ...]:
    """Matplotlib measures in inches, journals in millimeters."""
    return tuple(length / _MM_PER_INCH for length in lengths_mm)


def behavior_colors(observations: Observations) -> list[Color]:
    """RGB, 0-1, of each behavior."""
    return [_fractions(color) for color in class_colors(len(observations.classes))]


def colors_of_groups(observations: Observations) -> list[tuple[str, Color]]:
    """Each group with its color, RGB, 0-1."""
    colors = [_fractions(color) for color in group_colors(len(observations.groups))]
    return list(zip(observations.groups, colors, strict=True))


def marker_of_group(index: int) -> str:
    """The marker of a group by its place: groups differ without colors, too."""
    return _MARKERS[index % len(_MARKERS)]


def _fractions(rgb: tuple[int, int, int]) -> Color:
    red, green, blue = rgb
    return red / 255, green / 255, blue / 255


def width_mm(columns: int) -> float:
    """One panel takes a column of a journal, several side by side take its page."""
    return COLUMN_MM if columns == 1 else PAGE_MM


def grid(panels: int, height_mm: float = 50, columns: int = 3) -> tuple[Figure, list[Axes]]:
    """A figure of several panels of one height, `columns` at most side by side."""
    columns = min(panels, columns)
    # Division that rounds up.
    rows = -(-panels // columns)
    size = inches(width_mm(columns), height_mm * rows + 7)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for unused in axes.flat[panels:]:
        unused.set_visible(False)
    return figure, list(axes.flat[:panels])


def group_legend(figure: Figure, observations: Observations, marked: bool = True) -> None:
    """The colors of the groups, below the panels; `marked` where lines carry markers."""
    handles = []
    for i, (_, color) in enumerate(colors_of_groups(observations)):
        marker = marker_of_group(i) if marked else ""
        handles.append(Line2D([], [], color=color, marker=marker, ms=4, lw=1.2))
    names = [shown(group) for group in observations.groups]
    figure.legend(handles, names, ncols=min(len(names), 4), loc="outside lower center")


def behavior_legend(figure: Figure, observations: Observations, first: tuple[str, ...]) -> None:
    """The colors of the behaviors, below the panels, those named in `first` before the others."""
    names = [name for name in first if name in observations.classes]
    names += [name for name in observations.classes if name not in names]
    colors = dict(zip(observations.classes, behavior_colors(observations), strict=True))
    handles = [Rectangle((0, 0), 1, 1, color=colors[name]) for name in names]
    labels = [shown(name) for name in names]
    figure.legend(handles, labels, ncols=min(len(names), 5), loc="outside lower center")


def name_groups(axes: Axes, observations: Observations) -> None:
    """The names of the groups under an axis, at 0, 1, 2, ..."""
    names = [shown(group) for group in observations.groups]
    ticks = range(len(names))
    if max(map(len, names)) * len(names) > _LONGEST_LEVEL_NAMES:
        axes.set_xticks(ticks, names, rotation=30, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(ticks, names)


def course_of_groups(cell: pd.DataFrame, observations: Observations, readout: str) -> pd.DataFrame:
    """Mean and 95 % interval over animals of each group at each x.

    `cell` has the columns group, x and value, a row per animal and x.
    """
    scale = scale_of_readout(readout)
    rows: list[dict[str, Any]] = []
    for group in observations.groups:
        # Bins without labels have no value, and would break the line.
        of_group = cell[(cell.group == group) & cell.value.notna()]
        for x, values in of_group.groupby("x")["value"]:
            low, high = group_interval(values.to_numpy(float), scale)
            row = {"group": group, "x": x, "n": len(values), "mean": values.mean()}
            rows.append({**row, "mean_low": low, "mean_high": high})
    return pd.DataFrame(rows, columns=["group", "x", "n", "mean", "mean_low", "mean_high"])


def draw_course(axes: Axes, course: pd.DataFrame, observations: Observations) -> None:
    """A line per group through its means, in a band as high as the intervals."""
    for i, (group, color) in enumerate(colors_of_groups(observations)):
        rows = course[course.group == group]
        if not len(rows):
            continue
        x = rows.x.to_numpy(float)
        axes.fill_between(x, rows.mean_low, rows.mean_high, color=color, alpha=0.18, lw=0)
        size = 2.6 if len(x) < _MOST_MARKED else 0
        axes.plot(x, rows["mean"], color=color, lw=1.2, marker=marker_of_group(i), ms=size)
    axes.set_ylim(bottom=0)


def draw_dots(axes: Axes, values: np.ndarray, x: float, color: Color, marker: str) -> None:
    """Every animal, beside `x`, moved sideways by a little so that equal ones show."""
    jitter = np.random.default_rng(0).uniform(-0.1, 0.1, len(values))
    axes.plot(x - 0.12 + jitter, values, marker, color=color, ms=3.2, alpha=0.75, mew=0)


def time_unit(longest_s: float, hours: bool = False) -> tuple[float, str]:
    """Seconds per unit of a time axis, and the unit: what people would say of such a length."""
    if hours and longest_s > 6 * 3600:
        return 3600, "h"
    if longest_s > 180:
        return 60, "min"
    return 1, "s"
