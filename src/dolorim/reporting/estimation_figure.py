"""The answer as an estimation plot: all animals, and below them how far each group is from the
control, with its interval (Cumming 2012; Ho et al. 2019, Nature Methods 16:565)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dolorim.reporting.effect_sizes import group_interval, scale_of_readout
from dolorim.reporting.figure_parts import (
    PAGE_MM,
    Drawn,
    colors_of_groups,
    draw_dots,
    inches,
    marker_of_group,
    name_groups,
    width_mm,
)
from dolorim.reporting.plotting import plt
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.summary_text import find_rank_tests
from dolorim.reporting.wording import READOUT_LABELS, shown

_MOST_COLUMNS = 5
_ANIMALS_MM, _DIFFERENCES_MM = 34.0, 24.0
_COLUMNS = ["window", "behavior", "readout", "shown", "group", "animal", "value", "low", "high"]

Panel = tuple[str, str, str]  # window, behavior, read-out


def draw_answer(results: StudyResults) -> Drawn:
    """The indicator in every primary window, another pain behavior, and movement."""
    panels = _panels(results)
    compared = len(results.observations.groups) > 1
    figure, pairs = _axes(len(panels), compared)
    rows: list[dict[str, Any]] = []
    for (above, below), panel in zip(pairs, panels, strict=True):
        rows += _draw_animals(above, results, panel)
        if below is None:
            name_groups(above, results.observations)
            continue
        above.set_xticks(range(len(results.observations.groups)), [])
        rows += _draw_differences(below, results, panel)
    return Drawn(figure, pd.DataFrame(rows, columns=_COLUMNS))


def _panels(results: StudyResults) -> list[Panel]:
    assay, pain = results.assay, results.pain
    panels = [(window, pain[0], str(assay.readout)) for window in assay.primary]
    if len(assay.primary) < 3:
        panels += [(assay.primary[-1], behavior, assay.readout) for behavior in pain[1:2]]
    return panels + [(assay.primary[-1], name, "time_percent") for name in results.locomotion]


def _axes(panels: int, compared: bool) -> tuple[Figure, list[tuple[Axes, Axes | None]]]:
    """For each panel the axes of the animals, and those of the differences below them."""
    columns = min(panels, _MOST_COLUMNS)
    blocks = -(-panels // columns)
    heights = [_ANIMALS_MM, _DIFFERENCES_MM] if compared else [_ANIMALS_MM]
    # Two or three panels are no wider than they need to be, but always one of two widths.
    width = width_mm(1) if columns <= 2 else PAGE_MM
    size = inches(width, blocks * (sum(heights) + 12))
    figure, axes = plt.subplots(
        blocks * len(heights),
        columns,
        figsize=size,
        squeeze=False,
        height_ratios=heights * blocks,
    )
    # A block is a row of panels, each of them one or two axes high.
    pairs: list[tuple[Axes, Axes | None]] = []
    for i in range(blocks * columns):
        block, column = divmod(i, columns)
        of_panel = axes[block * len(heights) : (block + 1) * len(heights), column]
        if i >= panels:
            for unused in of_panel:
                unused.set_visible(False)
            continue
        pairs.append((of_panel[0], of_panel[1] if compared else None))
    return figure, pairs


def _draw_animals(axes: Axes, results: StudyResults, panel: Panel) -> list[dict[str, Any]]:
    """Every animal, with the mean and the 95 % interval of its group beside the dots."""
    window, behavior, readout = panel
    observations = results.observations
    cell = results.select("animals", window, behavior, readout)
    # With sessions or a second factor an animal has several rows.
    by_animal = cell.groupby(["animal", "group"], sort=False)["value"].mean().dropna().reset_index()
    what = {"window": window, "behavior": behavior, "readout": readout}
    rows: list[dict[str, Any]] = []
    for i, (group, color) in enumerate(colors_of_groups(observations)):
        of_group = by_animal[by_animal.group == group]
        values = of_group.value.to_numpy(float)
        if not len(values):
            continue
        draw_dots(axes, values, i, color, marker_of_group(i))
        # The interval stands beside the dots: on top of them it would hide the animals.
        low, high = group_interval(values, scale_of_readout(readout))
        axes.plot([i + 0.2] * 2, [low, high], color="black", lw=0.9)
        axes.plot([i + 0.2], [values.mean()], "_", color="black", ms=7, mew=1.5)
        for animal, value in zip(of_group.animal, values, strict=True):
            one = {"shown": "animal", "group": group, "animal": animal, "value": value}
            rows.append({**what, **one})
        mean = {"shown": "mean", "group": group, "value": values.mean(), "low": low, "high": high}
        rows.append({**what, **mean})
    if observations.paired:
        _join_animals(axes, by_animal, observations.groups)
    axes.set_xlim(-0.5, len(observations.groups) - 0.5)
    # Zero is always in the picture, so that a difference looks as large as it is.
    low, high = axes.get_ylim()
    axes.set_ylim(min(0, low), high if high > 0 else 1)
    title = shown(behavior) if window == "whole" else f"{shown(behavior)}, {window}"
    axes.set(ylabel=READOUT_LABELS[readout], title=title)
    return rows


def _join_animals(axes: Axes, by_animal: pd.DataFrame, groups: tuple[str, ...]) -> None:
    """A line through the values of each animal that was measured in every group."""
    wide = by_animal.pivot(index="animal", columns="group", values="value")
    wide = wide.reindex(columns=list(groups)).dropna()
    places = np.arange(len(groups)) - 0.12
    for values in wide.to_numpy(float):
        axes.plot(places, values, color="#bbbbbb", lw=0.5, zorder=0)


def _draw_differences(axes: Axes, results: StudyResults, panel: Panel) -> list[dict[str, Any]]:
    """Each group minus the control: the differences and intervals of the table of tests."""
    window, behavior, readout = panel
    groups = results.observations.groups
    tests = find_rank_tests(results.tables["statistics"], window, behavior, readout)
    by_name = tests.set_index("compared")
    axes.axhline(0, color="#888888", lw=0.6)
    name_groups(axes, results.observations)
    axes.set(xlim=(-0.5, len(groups) - 0.5), ylabel="difference")
    rows: list[dict[str, Any]] = []
    if results.doubts.get(behavior):
        where: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(0.5, 0.5, "not found reliably", **where)
        return rows
    for i, (group, color) in enumerate(colors_of_groups(results.observations)):
        name = f"{group} - {groups[0]}"
        if name not in by_name.index:
            continue
        test = by_name.loc[name]
        value, low, high = test.difference, test.difference_low, test.difference_high
        axes.plot([i] * 2, [low, high], color=color, lw=1.4)
        axes.plot([i], [value], marker_of_group(i), color=color, ms=4.5)
        what = {"window": window, "behavior": behavior, "readout": readout}
        one = {"shown": "difference", "group": group, "value": value, "low": low, "high": high}
        rows.append({**what, **one})
    return rows
