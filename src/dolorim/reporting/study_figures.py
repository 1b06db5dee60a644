"""Figures of a report, each as PNG, SVG and PDF."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dolorim.reporting.agreement_figure import draw_agreement
from dolorim.reporting.bout_figures import draw_bout_durations, draw_latencies
from dolorim.reporting.estimation_figure import draw_answer
from dolorim.reporting.figure_parts import (
    PAGE_MM,
    STYLE,
    Color,
    Drawn,
    behavior_colors,
    behavior_legend,
    course_of_groups,
    draw_course,
    grid,
    group_legend,
    inches,
    time_unit,
)
from dolorim.reporting.observations import Observations
from dolorim.reporting.plotting import plt
from dolorim.reporting.raster import draw_raster
from dolorim.reporting.readouts import write_tidy
from dolorim.reporting.stretches import find_stretches
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.transition_figure import draw_transitions
from dolorim.reporting.wording import READOUT_LABELS, shown

_FORMATS = ("svg", "pdf", "png")
_DPI = 250
_FEWEST_BINS = 3  # below it there is no time course to draw
_WRITTEN_PERCENT = 6  # a share that is smaller has no room for its number
_LUMA = (0.3, 0.59, 0.11)  # how bright red, green and blue look (ITU-R BT.601, rounded)


def draw_study(results: StudyResults, out: Path) -> list[Path]:
    """Draw every figure and return the PNG files, in the order in which a report shows them.

    Beside each are the same figure as SVG and PDF, and its numbers as CSV.
    """
    out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Callable[[StudyResults], Drawn | None]] = {
        "answer": draw_answer,
        "agreement": draw_agreement,
        "raster": _draw_raster,
        "budget": _draw_budget,
        "timecourse": _draw_time_course,
        "sessions": _draw_sessions,
        "latency": draw_latencies,
        "bouts": draw_bout_durations,
        "transitions": draw_transitions,
    }
    paths = []
    with plt.rc_context(STYLE), warnings.catch_warnings():
        # A name may be written in a script that the font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        for name, draw in figures.items():
            drawn = draw(results)
            if drawn is None:
                continue
            drawn.figure.draw_without_rendering()
            drawn.figure.set_layout_engine("none")  # laid out once, not again for every format
            # SVG and PDF for papers, PNG for the page.
            for suffix in _FORMATS:
                drawn.figure.savefig(out / f"{name}.{suffix}", dpi=_DPI)
            plt.close(drawn.figure)
            if drawn.data is not None:
                write_tidy(out / f"{name}.csv", drawn.data)
            paths.append(out / f"{name}.png")
    return paths


def _draw_raster(results: StudyResults) -> Drawn:
    observations = results.observations
    names = {group: shown(group) for group in observations.groups}
    figure = draw_raster(observations, results.pain, names)
    behavior_legend(figure, observations, tuple(results.pain))
    return Drawn(figure, None)  # bouts.csv


def _draw_budget(results: StudyResults) -> Drawn:
    """Stacked bars: what part of the time each group spends on each behavior, by window."""
    observations = results.observations
    animals = results.tables["animals"]
    shares = animals[animals.readout == "time_percent"]
    measured = set(shares.window)
    windows = [window.name for window in results.assay.windows if window.name in measured]
    block = len(observations.groups) + 0.6  # the rows of a window, and a gap
    height_mm = 22 + 5 * block * len(windows)
    figure, axes = plt.subplots(figsize=inches(PAGE_MM, height_mm))
    ticks, names = [], []
    for i, window in enumerate(windows):
        by_group = shares[shares.window == window].groupby(["group", "behavior"])["value"]
        # One row per group, one column per behavior.
        means = by_group.mean().unstack()
        present = [group for group in observations.groups if group in means.index]
        for j, group in enumerate(present):
            _draw_stacked_bar(axes, i * block + j, means.loc[group], observations)
            ticks.append(i * block + j)
            names.append(shown(group) if len(windows) == 1 else f"{shown(group)}, {window}")
    axes.set_yticks(ticks, names)
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="% of time, mean over animals")
    axes.tick_params(axis="y", length=0)
    behavior_legend(figure, observations, tuple(results.pain))
    means = shares.groupby(["window", "group", "behavior"], sort=False)["value"].mean()
    return Drawn(figure, means.reset_index(name="mean"))


def _draw_stacked_bar(axes: Axes, y: float, shares: pd.Series, observations: Observations) -> None:
    left = 0.0
    for behavior, color in zip(observations.classes, behavior_colors(observations), strict=True):
        share = shares[behavior]
        axes.barh(y, share, 0.82, left, color=color)
        if share >= _WRITTEN_PERCENT:
            center: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6.5}
            axes.text(left + share / 2, y, f"{share:.0f}", color=_ink_on(color), **center)
        left += share


def _ink_on(background: Color) -> str:
    """Black or white, whichever can be read on a color."""
    return "white" if np.dot(background, _LUMA) < 0.5 else "black"


def _draw_time_course(results: StudyResults) -> Drawn | None:
    observations, assay = results.observations, results.assay
    bins = results.tables["bins"]
    stretches, _ = find_stretches(observations, assay)
    end_s = max(stretch.end_s for stretch in stretches)  # beyond it, not all recordings go on
    bins = bins[bins.start_s < end_s - assay.bin_s / 2]
    if bins.start_s.nunique() < _FEWEST_BINS:
        return None
    scale, unit = time_unit(bins.stop_s.max(), hours=True)
    behaviors = results.behaviors_in_focus
    figure, all_axes = grid(len(behaviors), 46)
    courses = []
    for axes, behavior in zip(all_axes, behaviors, strict=True):
        by_animal = bins[bins.behavior == behavior].groupby(["animal", "group", "start_s"])
        cell = by_animal["time_percent"].mean().reset_index(name="value")
        cell["x"] = (cell.start_s + assay.bin_s / 2) / scale
        course = course_of_groups(cell, observations, "time_percent")
        draw_course(axes, course, observations)
        courses.append(course.assign(behavior=behavior, x=course.x * scale))
        # The first window is usually the whole recording.
        for window in assay.windows[1:]:
            if window.start_s > 0:
                axes.axvline(window.start_s / scale, color="#bbbbbb", lw=0.6, ls=":", zorder=0)
        axes.set(title=shown(behavior), xlabel=f"time ({unit})", ylabel="% of time")
    group_legend(figure, observations)
    return Drawn(figure, pd.concat(courses).rename(columns={"x": "time_s"}))


def _draw_sessions(results: StudyResults) -> Drawn | None:
    assay, animals = results.assay, results.tables["animals"]
    if assay.within is None or assay.within not in animals:
        return None
    session = animals[assay.within]
    if session.map(lambda value: isinstance(value, (int, float))).all():
        position = session  # days are drawn to scale
    else:
        position = pd.Series(pd.factorize(session)[0], session.index)
    behaviors = results.behaviors_in_focus
    figure, all_axes = grid(len(behaviors), 46)
    courses = []
    for axes, behavior in zip(all_axes, behaviors, strict=True):
        cell = results.select("animals", assay.primary[0], behavior, assay.readout)
        x = position[cell.index]
        course = course_of_groups(cell.assign(x=x), results.observations, assay.readout)
        draw_course(axes, course, results.observations)
        places = x.drop_duplicates()
        names = [_session_name(value) for value in session[places.index]]
        axes.set_xticks(places, names)
        name_of = dict(zip(places, names, strict=True))
        courses.append(course.assign(behavior=behavior, x=course.x.map(name_of)))
        label = READOUT_LABELS[assay.readout]
        axes.set(title=shown(behavior), xlabel=shown(assay.within), ylabel=label)
    group_legend(figure, results.observations)
    return Drawn(figure, pd.concat(courses).rename(columns={"x": "session"}))


def _session_name(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
