"""People and run, animal by animal (Bland & Altman 1986, Lancet 327:307-310)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from dolorim.reporting.figure_parts import (
    Drawn,
    colors_of_groups,
    grid,
    group_legend,
    marker_of_group,
)
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.wording import READOUT_LABELS, shown


def draw_agreement(results: StudyResults) -> Drawn | None:
    """The difference between run and people against their mean, in the main read-out of each pain
    behavior; None where people have scored no animals.
    """
    if "hand_scored" not in results.tables:
        return None
    readout, window = str(results.assay.readout), results.assay.primary[-1]
    values = results.tables["hand_scored"]
    values = values[(values.window == window) & (values.readout == readout) & values.begun]
    behaviors = [name for name in results.pain if (values.behavior == name).any()]
    if not behaviors:
        return None
    figure, all_axes = grid(len(behaviors), 46)
    for axes, behavior in zip(all_axes, behaviors, strict=True):
        of_behavior = values[values.behavior == behavior]
        for i, (group, color) in enumerate(colors_of_groups(results.observations)):
            rows = of_behavior[of_behavior.group == group]
            one, two = rows["first"].to_numpy(float), rows["second"].to_numpy(float)
            axes.plot((one + two) / 2, two - one, marker_of_group(i), color=color, ms=3.5)
        # The lines are those of the table, not computed again.
        agreed = results.select("agreement", window, behavior, readout)
        _draw_lines(axes, [*agreed[["limit_low", "bias", "limit_high"]].to_numpy(float).ravel()])
        label = READOUT_LABELS[readout]
        axes.set(title=shown(behavior), xlabel=f"{label}, mean of both", ylabel="run - people")
    group_legend(figure, results.observations)
    return Drawn(figure, values)


def _draw_lines(axes: Axes, heights: list[float]) -> None:
    """The bias, and the limits of agreement around it, dashed."""
    axes.axhline(0, color="#bbbbbb", lw=0.6)
    for height, style in zip(heights, ("--", "-", "--"), strict=False):
        if np.isfinite(height):
            axes.axhline(height, color="#333333", lw=0.8, ls=style)
