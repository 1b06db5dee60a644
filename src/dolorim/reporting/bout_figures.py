"""Figures about bouts: how soon the first one comes, how long they last, and what follows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.ticker import NullFormatter
from statsmodels.duration.survfunc import SurvfuncRight

from dolorim.reporting.figure_parts import (
    Color,
    behavior_colors,
    colors_of_groups,
    grid,
    group_legend,
    time_unit,
)
from dolorim.reporting.readouts import row_shares
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.wording import shown

_MOST_LATENCIES = 3  # pain behaviors whose latencies are drawn
_MOST_STEPS = 300  # of a curve: thousands of bouts would only make the file large
_LEAST_TRANSITION = 0.05


def draw_latencies(results: StudyResults) -> Figure:
    """Kaplan-Meier curves: the share of animals that have begun.

    An animal that never begins is censored at the end of its recording.
    """
    behaviors = results.pain[:_MOST_LATENCIES]
    animals = results.tables["animals"]
    latencies = animals[animals.readout == "latency_s"]
    latencies = latencies[latencies.window == results.assay.windows[0].name]
    latencies = latencies.dropna(subset="value")
    longest_s = latencies.value.max() if len(latencies) else 0.0
    scale, unit = time_unit(longest_s)
    figure, all_axes = grid(len(behaviors))
    for axes, behavior in zip(all_axes, behaviors, strict=True):
        of_behavior = latencies[latencies.behavior == behavior]
        for group, color in colors_of_groups(results.observations):
            rows = of_behavior[of_behavior.group == group]
            if not len(rows):
                continue
            x, y = _share_begun(rows)
            # Once all have begun, nothing changes any more; otherwise the curve ends where
            # nobody is observed any longer.
            end_s = longest_s if rows.event.all() else rows.value.max()
            x, y = np.append(x, max(end_s, x[-1])), np.append(y, y[-1])
            axes.step(x / scale, y, where="post", color=color, lw=1.6)
            _mark_censored(axes, rows, x, y, scale, color)
        axes.set(ylim=(-0.02, 1.03), title=shown(behavior))
        axes.set(xlabel=f"time ({unit})", ylabel="share that has begun")
    group_legend(figure, results.observations, marked=False)
    return figure


def _mark_censored(
    axes: Axes, rows: pd.DataFrame, x: np.ndarray, y: np.ndarray, scale: float, color: Color
) -> None:
    """A stroke on the curve `(x, y)` where an animal leaves that has not begun."""
    left_s = rows[rows.event == 0].value.to_numpy(float)
    heights = y[np.searchsorted(x, left_s, "right") - 1]
    axes.plot(left_s / scale, heights, "|", color=color, ms=8, mew=1.4)


def _share_begun(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and the share of animals that have begun by then, `(steps,)` each, from (0, 0)."""
    start = np.zeros(1)
    if not rows.event.any():
        return start, start
    begun = (rows.event > 0).to_numpy(int)
    survival = SurvfuncRight(rows.value.to_numpy(float), begun)
    return np.append(start, survival.surv_times), np.append(start, 1 - survival.surv_prob)


def draw_bout_durations(results: StudyResults) -> Figure | None:
    """The share of bouts that last longer than x, by group; None where there are no bouts."""
    bouts = results.tables["bouts"]
    if not len(bouts):
        return None
    behaviors = results.behaviors_in_focus
    figure, all_axes = grid(len(behaviors))
    for axes, behavior in zip(all_axes, behaviors, strict=True):
        of_behavior = bouts[bouts.behavior == behavior]
        for group, color in colors_of_groups(results.observations):
            durations_s = of_behavior[of_behavior.group == group].duration_s.to_numpy(float)
            if len(durations_s):
                x, percent = _survival_curve(np.sort(durations_s))
                axes.step(x, percent, where="post", color=color, lw=1.5)
        axes.set(xscale="log", title=shown(behavior), ylim=(0, 100))
        axes.set(xlabel="bout lasts longer than (s)", ylabel="% of bouts")
        # A log axis cannot begin at 0.
        axes.set_xlim(max(0.02, bouts.duration_s.min() * 0.8), bouts.duration_s.max() * 1.2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        # Numbers at the minor ticks of a log axis overlap in panels this small.
        axes.xaxis.set_minor_formatter(NullFormatter())
    group_legend(figure, results.observations, marked=False)
    return figure


def _survival_curve(durations_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Durations and the percentage of bouts that last longer, `(steps,)` each, from sorted ones."""
    n = len(durations_s)
    kept = np.unique(np.linspace(0, n - 1, _MOST_STEPS).round().astype(int))
    return durations_s[kept], 100 * (1 - (kept + 1) / n)


def draw_transitions(results: StudyResults) -> Figure | None:
    """Behaviors on a circle, with arrows to what follows them; None without any transition."""
    moves = results.tables["transitions"]
    if not moves["count"].sum():
        return None
    groups = results.observations.groups
    figure, all_axes = grid(len(groups), 3.1, 2.3, 3)
    for axes, group in zip(all_axes, groups, strict=True):
        of_group = moves[moves.group == group]
        counts = of_group.groupby(["before", "after"])["count"].sum().unstack(fill_value=0)
        names = list(results.observations.classes)
        # Nothing follows itself, so the diagonal is missing.
        square = counts.reindex(index=names, columns=names, fill_value=0).fillna(0)
        _draw_circle(axes, row_shares(square.to_numpy(float)), results)
        axes.set(xlim=(-2.3, 2.3), ylim=(-1.4, 1.4), title=shown(group), aspect="equal")
        axes.axis("off")
    return figure


def _draw_circle(axes: Axes, shares: np.ndarray, results: StudyResults) -> None:
    """`shares` are probabilities `(classes, classes)`, rows what went before."""
    colors = behavior_colors(results.observations)
    # Clockwise from the top.
    angles_rad = np.pi / 2 - 2 * np.pi * np.arange(len(colors)) / len(colors)
    points = [(float(np.cos(angle)), float(np.sin(angle))) for angle in angles_rad]
    for (i, j), share in np.ndenumerate(shares):
        if share >= _LEAST_TRANSITION:
            arrow = FancyArrowPatch(
                points[i],
                points[j],
                connectionstyle="arc3,rad=0.16",
                arrowstyle="-|>",
                mutation_scale=7 + 5 * share,
                shrinkA=9,
                shrinkB=9,
                lw=0.4 + 4 * share,
                color=colors[i],
                alpha=0.8,
            )
            axes.add_patch(arrow)
    for (x, y), name, color in zip(points, results.observations.classes, colors, strict=True):
        axes.plot(x, y, "o", ms=13, color=color, mec="white", zorder=3)
        place: dict[str, Any] = {"ha": _alignment(x), "va": "center", "fontsize": 7.5}
        axes.text(1.22 * x, 1.25 * y, shown(name, 18), **place)


def _alignment(x: float) -> str:
    """A name beside a point of the unit circle grows away from the circle."""
    if abs(x) < 0.2:
        return "center"
    return "left" if x > 0 else "right"
