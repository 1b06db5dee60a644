"""What the figures of a study share: style, colors, grids, legends, dots and lines."""

from __future__ import annotations

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

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 9,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # text stays text, for a vector graphics program
    "pdf.fonttype": 42,  # TrueType: Illustrator cannot edit the default, Type 3
    "text.parse_math": False,  # a dollar sign in a name is no formula
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
_MARKERS = "osD^vP*X"
_LONGEST_LEVEL_NAMES = 24  # letters of all names under an axis; beyond it they are slanted
_MOST_MARKED = 40  # points of a line; beyond it, markers would hide the line

Color = tuple[float, float, float]


def behavior_colors(observations: Observations) -> list[Color]:
    """RGB, 0-1, of each behavior."""
    return [_fractions(color) for color in class_colors(len(observations.classes))]


def colors_of_groups(observations: Observations) -> list[tuple[str, Color]]:
    """Each group with its color, RGB, 0-1."""
    colors = [_fractions(color) for color in group_colors(len(observations.groups))]
    return list(zip(observations.groups, colors, strict=True))


def _fractions(rgb: tuple[int, int, int]) -> Color:
    red, green, blue = rgb
    return red / 255, green / 255, blue / 255


def grid(
    panels: int, width_in: float = 3.1, height_in: float = 2.4, columns: int = 3
) -> tuple[Figure, list[Axes]]:
    """A figure of several panels, `columns` at most side by side."""
    columns = min(panels, columns)
    # Division that rounds up.
    rows = -(-panels // columns)
    size = (max(width_in * columns, 3.2), height_in * rows + 0.35)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for unused in axes.flat[panels:]:
        unused.set_visible(False)
    return figure, list(axes.flat[:panels])


def group_legend(figure: Figure, observations: Observations, marked: bool = True) -> None:
    """The colors of the groups, below the panels; `marked` where lines carry markers."""
    handles = []
    for i, (_, color) in enumerate(colors_of_groups(observations)):
        marker = _MARKERS[i % len(_MARKERS)] if marked else ""
        handles.append(Line2D([], [], color=color, marker=marker, ms=5, lw=1.6))
    names = [shown(group) for group in observations.groups]
    figure.legend(handles, names, ncols=min(len(names), 4), loc="outside lower center")


def behavior_legend(figure: Figure, observations: Observations) -> None:
    """The colors of the behaviors, below the panels."""
    handles = [Rectangle((0, 0), 1, 1, color=color) for color in behavior_colors(observations)]
    names = [shown(name) for name in observations.classes]
    figure.legend(handles, names, ncols=min(len(names), 6), loc="outside lower center")


def draw_dots(axes: Axes, cell: pd.DataFrame, observations: Observations, readout: str) -> None:
    """Every animal, with the mean and the 95 % interval of its group beside the dots.

    `cell` has the columns group and value, a row per animal.
    """
    jitter = np.random.default_rng(0)
    for i, (group, color) in enumerate(colors_of_groups(observations)):
        values = cell[cell.group == group].value.dropna().to_numpy(float)
        if not len(values):
            continue
        x = i - 0.12 + jitter.uniform(-0.1, 0.1, len(values))
        marker = _MARKERS[i % len(_MARKERS)]
        axes.plot(x, values, marker, color=color, ms=4.2, alpha=0.75, mew=0)
        # The interval stands beside the dots: on top of them it would hide the animals.
        low, high = group_interval(values, scale_of_readout(readout))
        axes.plot([i + 0.18] * 2, [low, high], color="black", lw=1.1)
        axes.plot([i + 0.18], [values.mean()], "_", color="black", ms=11, mew=2)
    _name_groups(axes, observations)
    axes.set_xlim(-0.5, len(observations.groups) - 0.5)
    # Zero is always in the picture, so that a difference looks as large as it is.
    low, high = axes.get_ylim()
    axes.set_ylim(min(0, low), high if high > 0 else 1)


def _name_groups(axes: Axes, observations: Observations) -> None:
    names = [shown(group) for group in observations.groups]
    ticks = range(len(names))
    if max(map(len, names)) * len(names) > _LONGEST_LEVEL_NAMES:
        axes.set_xticks(ticks, names, rotation=30, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(ticks, names)


def draw_lines(axes: Axes, cell: pd.DataFrame, observations: Observations, readout: str) -> None:
    """Mean and 95 % interval over animals at each x, one line per group.

    `cell` has the columns group, x and value, a row per animal and x.
    """
    scale = scale_of_readout(readout)
    for i, (group, color) in enumerate(colors_of_groups(observations)):
        # Bins without labels have no value, and would break the line.
        of_group = cell[(cell.group == group) & cell.value.notna()]
        at_x = of_group.groupby("x")["value"]
        if not len(at_x):
            continue
        x = np.array(list(at_x.groups), float)
        bands = np.array([group_interval(values.to_numpy(), scale) for _, values in at_x])
        axes.fill_between(x, bands[:, 0], bands[:, 1], color=color, alpha=0.18, lw=0)
        size = 3.2 if len(x) < _MOST_MARKED else 0
        marker = _MARKERS[i % len(_MARKERS)]
        axes.plot(x, at_x.mean().to_numpy(), color=color, lw=1.6, marker=marker, ms=size)
    axes.set_ylim(bottom=0)


def time_unit(longest_s: float, hours: bool = False) -> tuple[float, str]:
    """Seconds per unit of a time axis, and the unit: what people would say of such a length."""
    if hours and longest_s > 6 * 3600:
        return 3600, "h"
    if longest_s > 180:
        return 60, "min"
    return 1, "s"
