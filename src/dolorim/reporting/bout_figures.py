"""Figures about bouts: how soon the first one comes, and how long they last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from statsmodels.duration.survfunc import SurvfuncRight

from dolorim.reporting.figure_parts import (
    Color,
    Drawn,
    colors_of_groups,
    grid,
    group_legend,
    inches,
    time_unit,
    width_mm,
)
from dolorim.reporting.plotting import plt
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.wording import shown

_MOST_LATENCIES = 3  # pain behaviors whose latencies are drawn
_MOST_STEPS = 300  # of a curve: thousands of bouts would only make the file large
_CURVE_MM, _LINE_MM = 42.0, 3.6  # heights of a curve, and of a line of numbers at risk
_TIMES_AT_RISK = 4  # at which the animals at risk are counted
_LATENCY_COLUMNS = ["behavior", "group", "time_s", "share_begun", "at_risk", "begun", "censored"]


def draw_latencies(results: StudyResults) -> Drawn:
    """Kaplan-Meier curves: the share of animals that have begun, with the numbers at risk.

    An animal that never begins is censored at the end of its recording.
    """
    behaviors = results.pain[:_MOST_LATENCIES]
    animals = results.tables["animals"]
    latencies = animals[animals.readout == "latency_s"]
    latencies = latencies[latencies.window == results.assay.windows[0].name]
    latencies = latencies.dropna(subset="value")
    longest_s = latencies.value.max() if len(latencies) else 0.0
    figure, pairs = _curves_above_numbers(len(behaviors), len(results.observations.groups))
    steps = []
    for (axes, numbers), behavior in zip(pairs, behaviors, strict=True):
        of_behavior = latencies[latencies.behavior == behavior]
        _draw_curves(axes, of_behavior, results, longest_s)
        axes.set(title=shown(behavior))
        _write_at_risk(numbers, of_behavior, results, longest_s)
        for group, rows in of_behavior.groupby("group", sort=False):
            steps.append(_steps_of(rows).assign(behavior=behavior, group=group))
    group_legend(figure, results.observations, marked=False)
    table = pd.concat(steps) if steps else pd.DataFrame()
    return Drawn(figure, table.reindex(columns=_LATENCY_COLUMNS))


def _curves_above_numbers(panels: int, groups: int) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    heights = [_CURVE_MM, _LINE_MM * groups]
    size = inches(width_mm(panels), sum(heights) + 14)
    shape: dict[str, Any] = {"squeeze": False, "height_ratios": heights, "sharex": "col"}
    figure, axes = plt.subplots(2, panels, figsize=size, **shape)
    return figure, list(zip(axes[0], axes[1], strict=True))


def _draw_curves(
    axes: Axes, latencies: pd.DataFrame, results: StudyResults, longest_s: float
) -> None:
    scale, unit = time_unit(longest_s)
    for group, color in colors_of_groups(results.observations):
        rows = latencies[latencies.group == group]
        if not len(rows):
            continue
        x, y = _share_begun(rows)
        # Once all have begun, nothing changes any more; otherwise the curve ends where
        # nobody is observed any longer.
        end_s = longest_s if rows.event.all() else rows.value.max()
        x, y = np.append(x, max(end_s, x[-1])), np.append(y, y[-1])
        axes.step(x / scale, y, where="post", color=color, lw=1.2)
        _mark_censored(axes, rows, x, y, scale, color)
    axes.set(ylim=(-0.02, 1.03), ylabel="share that has begun", xlabel=f"time ({unit})")
    axes.tick_params(labelbottom=True)


def _write_at_risk(
    axes: Axes, latencies: pd.DataFrame, results: StudyResults, longest_s: float
) -> None:
    """How many animals of each group have neither begun nor left, below times of the curve."""
    scale, _ = time_unit(longest_s)
    times_s = np.linspace(0, longest_s, _TIMES_AT_RISK)
    groups = colors_of_groups(results.observations)
    for line, (group, color) in enumerate(groups):
        values = latencies[latencies.group == group].value.to_numpy(float)
        for time_s in times_s:
            count = int((values >= time_s).sum())
            axes.text(time_s / scale, -line, str(count), color=color, ha="center", va="center")
    axes.set(ylim=(0.5 - len(groups), 0.6), yticks=[])
    axes.set_ylabel("at risk", rotation=0, ha="right", va="center")
    axes.tick_params(bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)


def _steps_of(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each time at which an animal begins, or leaves without having begun."""
    times = rows.value.to_numpy(float)
    begun = rows.event.to_numpy(float) > 0
    x, y = _share_begun(rows)
    moments = np.unique(times)
    return pd.DataFrame(
        {
            "time_s": moments,
            "share_begun": y[np.searchsorted(x, moments, "right") - 1],
            "at_risk": [int((times >= moment).sum()) for moment in moments],
            "begun": [int((begun & (times == moment)).sum()) for moment in moments],
            "censored": [int((~begun & (times == moment)).sum()) for moment in moments],
        }
    )


def _mark_censored(
    axes: Axes, rows: pd.DataFrame, x: np.ndarray, y: np.ndarray, scale: float, color: Color
) -> None:
    """A stroke on the curve `(x, y)` where an animal leaves that has not begun."""
    left_s = rows[rows.event == 0].value.to_numpy(float)
    heights = y[np.searchsorted(x, left_s, "right") - 1]
    axes.plot(left_s / scale, heights, "|", color=color, ms=6, mew=1)


def _share_begun(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and the share of animals that have begun by then, `(steps,)` each, from (0, 0)."""
    start = np.zeros(1)
    if not rows.event.any():
        return start, start
    begun = (rows.event > 0).to_numpy(int)
    survival = SurvfuncRight(rows.value.to_numpy(float), begun)
    return np.append(start, survival.surv_times), np.append(start, 1 - survival.surv_prob)


def draw_bout_durations(results: StudyResults) -> Drawn | None:
    """The share of bouts that last longer than x, by group; None where there are no bouts."""
    bouts = results.tables["bouts"]
    if not len(bouts):
        return None
    behaviors = results.behaviors_in_focus
    figure, all_axes = grid(len(behaviors), 42)
    curves = []
    for axes, behavior in zip(all_axes, behaviors, strict=True):
        of_behavior = bouts[bouts.behavior == behavior]
        for group, color in colors_of_groups(results.observations):
            durations_s = of_behavior[of_behavior.group == group].duration_s.to_numpy(float)
            if not len(durations_s):
                continue
            x, percent = _survival_curve(np.sort(durations_s))
            axes.step(x, percent, where="post", color=color, lw=1.2)
            curve = pd.DataFrame({"duration_s": x, "percent_longer": percent})
            curves.append(curve.assign(behavior=behavior, group=group))
        axes.set(xscale="log", title=shown(behavior), ylim=(0, 100))
        axes.set(xlabel="bout lasts longer than (s)", ylabel="% of bouts")
        # A log axis cannot begin at 0.
        axes.set_xlim(max(0.02, bouts.duration_s.min() * 0.8), bouts.duration_s.max() * 1.2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        # Numbers at the minor ticks of a log axis overlap in panels this small.
        axes.xaxis.set_minor_formatter(NullFormatter())
    group_legend(figure, results.observations, marked=False)
    table = pd.concat(curves) if curves else pd.DataFrame()
    return Drawn(
        figure, table.reindex(columns=["behavior", "group", "duration_s", "percent_longer"])
    )


def _survival_curve(durations_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Durations and the percentage of bouts that last longer, `(steps,)` each, from sorted ones."""
    n = len(durations_s)
    kept = np.unique(np.linspace(0, n - 1, _MOST_STEPS).round().astype(int))
    return durations_s[kept], 100 * (1 - (kept + 1) / n)
