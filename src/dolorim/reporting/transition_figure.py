"""What follows what: the transitions of the control, and how those of the other groups differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from dolorim.metrics.intervals import SHARE, difference_interval
from dolorim.reporting.effect_sizes import FEWEST_PER_GROUP
from dolorim.reporting.figure_parts import Drawn, behavior_colors, grid
from dolorim.reporting.readouts import row_shares
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.wording import shown

LEAST = 0.05
"""Probabilities, and differences between them, below which no arrow is drawn."""
_MORE, _LESS = "#b2182b", "#2166ac"
_COLUMNS = ["before", "after", "group", "n", "probability", "difference", "low", "high"]


def draw_transitions(results: StudyResults) -> Drawn | None:
    """Behaviors on a circle, with arrows to what follows them; None without any transition.

    The first panel has the probabilities of the control, the others how much more or less often a
    behavior follows in their group.
    """
    if not results.tables["transitions"]["count"].sum():
        return None
    table = _differences(results)
    groups = results.observations.groups
    figure, all_axes = grid(len(groups), 42, 3)
    for axes, group in zip(all_axes, groups, strict=True):
        of_group = table[table.group == group]
        _draw_nodes(axes, results)
        if group == groups[0]:
            _draw_probabilities(axes, of_group, results)
            axes.set_title(shown(group))
        else:
            _draw_changes(axes, of_group, results)
            axes.set_title(f"{shown(group)} - {shown(groups[0])}")
        axes.set(xlim=(-2.4, 2.4), ylim=(-1.45, 1.45), aspect="equal")
        axes.axis("off")
    if len(groups) > 1:
        colors = {"more often": _MORE, "less often": _LESS}
        handles = [Line2D([], [], color=color, lw=1.6) for color in colors.values()]
        figure.legend(handles, list(colors), ncols=2, loc="outside lower center")
    return Drawn(figure, table)


def shares_by_animal(results: StudyResults) -> dict[str, np.ndarray]:
    """By group, transition probabilities of each animal `(animals, classes, classes)`.

    Rows are what went before. A behavior that an animal never ended has NaN there.
    """
    names = list(results.observations.classes)
    place = {name: i for i, name in enumerate(names)}
    moves = results.tables["transitions"]
    shares: dict[str, np.ndarray] = {}
    for group, of_group in moves.groupby("group", sort=False):
        animals = {animal: i for i, animal in enumerate(of_group.animal.unique())}
        counts = np.zeros((len(animals), len(names), len(names)))
        where = tuple(
            column.map(places).to_numpy()
            for column, places in (
                (of_group.animal, animals),
                (of_group.before, place),
                (of_group.after, place),
            )
        )
        np.add.at(counts, where, of_group["count"].to_numpy(float))
        # A behavior that an animal never ended is followed by nothing: no probability of 0.
        ended = counts.sum(-1, keepdims=True) > 0
        shares[str(group)] = np.where(ended, row_shares(counts), np.nan)
    return shares


def _differences(results: StudyResults) -> pd.DataFrame:
    """A row per group and transition: the mean probability over animals, and the difference from
    the control with its interval."""
    shares = shares_by_animal(results)
    groups, names = results.observations.groups, results.observations.classes
    control = shares[groups[0]]
    rows: list[dict[str, Any]] = []
    for group in groups:
        for i, j in np.ndindex(len(names), len(names)):
            values, reference = (_known(of_group[:, i, j]) for of_group in (shares[group], control))
            if i == j or not len(values):
                continue
            row = {"before": names[i], "after": names[j], "group": group, "n": len(values)}
            row["probability"] = float(values.mean())
            if group != groups[0] and len(reference):
                row["difference"] = float(values.mean() - reference.mean())
                if min(len(values), len(reference)) >= FEWEST_PER_GROUP:
                    row["low"], row["high"] = difference_interval(reference, values, SHARE)
            rows.append(row)
    return pd.DataFrame(rows, columns=_COLUMNS)


def _known(values: np.ndarray) -> np.ndarray:
    return values[~np.isnan(values)]


def _points(results: StudyResults) -> dict[str, tuple[float, float]]:
    """The place of each behavior on the circle, clockwise from the top."""
    names = results.observations.classes
    angles_rad = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / len(names)
    return {
        name: (float(np.cos(angle)), float(np.sin(angle)))
        for name, angle in zip(names, angles_rad, strict=True)
    }


def _draw_nodes(axes: Axes, results: StudyResults) -> None:
    colors = behavior_colors(results.observations)
    for (name, (x, y)), color in zip(_points(results).items(), colors, strict=True):
        axes.plot(x, y, "o", ms=8, color=color, mec="white", zorder=3)
        place: dict[str, Any] = {"ha": _alignment(x), "va": "center"}
        axes.text(1.2 * x, 1.25 * y, shown(name, 18), **place)


def _draw_probabilities(axes: Axes, rows: pd.DataFrame, results: StudyResults) -> None:
    colors = dict(
        zip(results.observations.classes, behavior_colors(results.observations), strict=True)
    )
    for row in rows.itertuples():
        if row.probability >= LEAST:
            _draw_arrow(axes, results, row, row.probability, colors[row.before], alpha=0.8)


def _draw_changes(axes: Axes, rows: pd.DataFrame, results: StudyResults) -> None:
    for row in rows.itertuples():
        if not abs(row.difference) >= LEAST:
            continue
        color = _MORE if row.difference > 0 else _LESS
        # An interval that holds 0 says that the difference may be chance.
        certain = row.low > 0 or row.high < 0
        _draw_arrow(axes, results, row, abs(row.difference), color, alpha=0.9 if certain else 0.25)


def _draw_arrow(
    axes: Axes, results: StudyResults, row: Any, size: float, color: Any, alpha: float
) -> None:
    points = _points(results)
    # Bent, so that the arrows of both directions lie side by side.
    arrow = FancyArrowPatch(
        points[row.before],
        points[row.after],
        connectionstyle="arc3,rad=0.16",
        arrowstyle="-|>",
        mutation_scale=5 + 4 * size,
        shrinkA=6,
        shrinkB=6,
        lw=0.4 + 3 * size,
        color=color,
        alpha=alpha,
    )
    axes.add_patch(arrow)


def _alignment(x: float) -> str:
    """A name beside a point of the unit circle grows away from the circle."""
    if abs(x) < 0.2:
        return "center"
    return "left" if x > 0 else "right"
