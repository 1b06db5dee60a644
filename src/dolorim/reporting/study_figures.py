"""Figures of a report, each as PNG, SVG and PDF."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.ticker import NullFormatter

from dolorim.core.palette import class_colors, group_colors
from dolorim.reporting.assays import Assay
from dolorim.reporting.effect_sizes import group_interval, scale_of_readout
from dolorim.reporting.observations import Observations
from dolorim.reporting.raster import draw_raster
from dolorim.reporting.readouts import row_shares
from dolorim.reporting.stretches import find_stretches

_STYLE: dict[Any, Any] = {
    "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 9, "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none",
    "pdf.fonttype": 42, "text.parse_math": False, "legend.frameon": False, "figure.constrained_layout.use": True,
}  # fmt: skip
_MARKERS = "osD^vP*X"
LABELS = {
    "time_percent": "% of time", "time_s": "time (s)", "bouts": "bouts", "bouts_per_min": "bouts per minute",
    "bout_mean_s": "mean bout (s)", "latency_s": "latency (s)",
    "response": "share with a response", "auc": "area (% min)",
}  # fmt: skip


def shown(name: str, most: int = 28) -> str:
    """A name in a figure or a table: underscores read as spaces, and a long one is cut."""
    name = name.replace("_", " ").strip() or name
    return name if len(name) <= most else f"{name[: most - 2]}…"


def draw_study(
    observations: Observations,
    assay: Assay,
    tables: dict[str, pd.DataFrame],
    pain: Sequence[str],
    locomotion: Sequence[str],
    out: Path,
) -> list[Path]:
    """Draw every figure and return the PNG files, in the order in which a report shows them."""
    out.mkdir(parents=True, exist_ok=True)
    todo: dict[str, Callable[[], Figure | None]] = {
        "answer": lambda: _answer(observations, assay, tables["animals"], pain, locomotion),
        "raster": lambda: _raster(observations, pain),
        "budget": lambda: _budget(observations, assay, tables["animals"]),
        "timecourse": lambda: _time_course(
            observations, assay, tables["bins"], [*pain, *locomotion]
        ),
        "sessions": lambda: _sessions(observations, assay, tables["animals"], [*pain, *locomotion]),
        "latency": lambda: _latency(observations, assay, tables["animals"], pain),
        "bouts": lambda: _bouts(observations, tables["bouts"], [*pain, *locomotion]),
        "transitions": lambda: _transitions(observations, tables["transitions"]),
    }
    paths = []
    with plt.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing from"
        )  # a name in a script that the font lacks
        for name, draw in todo.items():
            figure = draw()
            if figure is None:
                continue
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # laid out once, not again for every format
            for suffix in ("svg", "pdf", "png"):
                figure.savefig(out / f"{name}.{suffix}", dpi=170)
            plt.close(figure)
            paths.append(out / f"{name}.png")
    return paths


def _rgb(n: int) -> list[tuple[float, float, float]]:
    return [(r / 255, g / 255, b / 255) for r, g, b in class_colors(n)]


def _group_rgb(n: int) -> list[tuple[float, float, float]]:
    return [(r / 255, g / 255, b / 255) for r, g, b in group_colors(n)]


def _grid(
    n: int, width: float = 2.35, height: float = 2.3, most: int = 4
) -> tuple[Figure, list[Axes]]:
    columns = min(n, most)
    rows = -(-n // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(max(width * columns, 3.2), height * rows + 0.35), squeeze=False
    )
    for axis in axes.flat[n:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:n])


def _legend(figure: Figure, observations: Observations, marked: bool = True) -> None:
    n = len(observations.groups)
    handles = [
        Line2D([], [], color=c, marker=_MARKERS[i % 8] if marked else "", ms=5, lw=1.6)
        for i, c in enumerate(_group_rgb(n))
    ]
    figure.legend(
        handles,
        [shown(g) for g in observations.groups],
        ncols=min(n, 4),
        loc="outside lower center",
    )


def _dots(
    axes: Axes, samples: Sequence[np.ndarray], observations: Observations, readout: str
) -> None:
    """Every animal, with mean and 95 % interval of each group beside the dots."""
    rng = np.random.default_rng(0)
    for i, (values, color) in enumerate(zip(samples, _group_rgb(len(samples)), strict=True)):
        values = values[~np.isnan(values)]
        if not len(values):
            continue
        axes.plot(
            i - 0.12 + rng.uniform(-0.1, 0.1, len(values)),
            values,
            _MARKERS[i % 8],
            color=color,
            ms=4.2,
            alpha=0.75,
            mew=0,
        )
        low, high = group_interval(values, scale_of_readout(readout))
        axes.plot([i + 0.18] * 2, [low, high], color="black", lw=1.1)
        axes.plot([i + 0.18], [values.mean()], "_", color="black", ms=11, mew=2)
    names = [shown(g) for g in observations.groups]
    slanted = max(map(len, names)) * len(names) > 24
    axes.set_xticks(
        range(len(samples)),
        names,
        rotation=30 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor",
    )
    axes.set_xlim(-0.5, len(samples) - 0.5)
    low, high = axes.get_ylim()
    axes.set_ylim(min(0, low) if low < 0 else 0, high if high > 0 else 1)


def _samples(cell: pd.DataFrame, observations: Observations) -> list[np.ndarray]:
    return [cell[cell.group == g].value.to_numpy(float) for g in observations.groups]


def _answer(
    observations: Observations,
    assay: Assay,
    animals: pd.DataFrame,
    pain: Sequence[str],
    locomotion: Sequence[str],
) -> Figure:
    panels = [(window, pain[0], assay.readout) for window in assay.primary]
    panels += [(assay.primary[-1], b, assay.readout) for b in pain[1:2] if len(assay.primary) < 3]
    panels += [(assay.primary[-1], b, "time_percent") for b in locomotion]
    figure, all_axes = _grid(len(panels), 2.0, 2.4, 5)
    for axes, (window, behavior, readout) in zip(all_axes, panels, strict=True):
        cell = animals[
            (animals.window == window)
            & (animals.behavior == behavior)
            & (animals.readout == readout)
        ]
        cell = cell.groupby(["animal", "group"], sort=False)["value"].mean().reset_index()
        _dots(axes, _samples(cell, observations), observations, readout)
        axes.set(
            ylabel=LABELS[readout],
            title=shown(behavior) + ("" if window == "whole" else f", {window}"),
        )
    return figure


def _raster(observations: Observations, pain: Sequence[str]) -> Figure:
    figure = draw_raster(observations, pain, {g: shown(g) for g in observations.groups})
    _class_key(figure, observations)
    return figure


def _class_key(figure: Figure, observations: Observations) -> None:
    handles = [Rectangle((0, 0), 1, 1, color=c) for c in _rgb(len(observations.classes))]
    figure.legend(
        handles,
        [shown(c) for c in observations.classes],
        ncols=min(len(handles), 6),
        loc="outside lower center",
    )


def _budget(observations: Observations, assay: Assay, animals: pd.DataFrame) -> Figure:
    cell = animals[animals.readout == "time_percent"]
    windows = [w.name for w in assay.windows if w.name in set(cell.window)]
    figure, axes = plt.subplots(
        figsize=(9, 0.9 + 0.3 * (len(observations.groups) + 0.6) * len(windows))
    )
    at, names = [], []
    for i, window in enumerate(windows):
        means = cell[cell.window == window].groupby(["group", "behavior"])["value"].mean().unstack()
        for j, group in enumerate(g for g in observations.groups if g in means.index):
            y, left = i * (len(observations.groups) + 0.6) + j, 0.0
            at.append(y)
            names.append(shown(group) + ("" if len(windows) == 1 else f", {window}"))
            for behavior, color in zip(
                observations.classes, _rgb(len(observations.classes)), strict=True
            ):
                share = means.loc[group, behavior]
                axes.barh(y, share, 0.82, left, color=color)
                if share >= 6:
                    dark = np.dot(color, (0.3, 0.59, 0.11)) < 0.5
                    axes.text(
                        left + share / 2,
                        y,
                        f"{share:.0f}",
                        ha="center",
                        va="center",
                        fontsize=8,
                        color="white" if dark else "black",
                    )
                left += share
    axes.set_yticks(at, names)
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="% of time, mean over animals")
    axes.tick_params(axis="y", length=0)
    _class_key(figure, observations)
    return figure


def _time_course(
    observations: Observations, assay: Assay, bins: pd.DataFrame, behaviors: Sequence[str]
) -> Figure | None:
    stretches, _ = find_stretches(observations, assay)
    end_s = max(s.end_s for s in stretches)  # beyond it, not all recordings go on
    bins = bins[bins.start_s < end_s - assay.bin_s / 2]
    if bins.start_s.nunique() < 3:
        return None
    scale, unit = (
        (3600, "h")
        if bins.stop_s.max() > 6 * 3600
        else (60, "min")
        if bins.stop_s.max() > 180
        else (1, "s")
    )
    figure, all_axes = _grid(len(behaviors), 3.1, 2.4, 3)
    for axes, behavior in zip(all_axes, behaviors, strict=True):
        cell = (
            bins[bins.behavior == behavior]
            .groupby(["animal", "group", "start_s"])["time_percent"]
            .mean()
            .reset_index()
        )
        _lines(
            axes,
            cell.assign(x=(cell.start_s + assay.bin_s / 2) / scale, value=cell.time_percent),
            observations,
            "time_percent",
        )
        for window in assay.windows[1:]:
            if window.start_s > 0:
                axes.axvline(window.start_s / scale, color="#bbbbbb", lw=0.8, ls=":", zorder=0)
        axes.set(title=shown(behavior), xlabel=f"time ({unit})", ylabel="% of time")
    _legend(figure, observations)
    return figure


def _lines(axes: Axes, cell: pd.DataFrame, observations: Observations, readout: str) -> None:
    """Mean and 95 % interval over animals of `value` at each `x`, one line per group."""
    for i, (group, color) in enumerate(
        zip(observations.groups, _group_rgb(len(observations.groups)), strict=True)
    ):
        by = cell[(cell.group == group) & cell.value.notna()].groupby("x")["value"]
        if not len(by):
            continue
        x = np.array(list(by.groups), float)
        bands = np.array([group_interval(v.to_numpy(), scale_of_readout(readout)) for _, v in by])
        axes.fill_between(x, bands[:, 0], bands[:, 1], color=color, alpha=0.18, lw=0)
        axes.plot(
            x,
            by.mean().to_numpy(),
            color=color,
            lw=1.6,
            marker=_MARKERS[i % 8],
            ms=3.2 if len(x) < 40 else 0,
        )
    axes.set_ylim(bottom=0)


def _sessions(
    observations: Observations, assay: Assay, animals: pd.DataFrame, behaviors: Sequence[str]
) -> Figure | None:
    if assay.within is None or assay.within not in animals:
        return None
    figure, all_axes = _grid(len(behaviors), 3.1, 2.4, 3)
    when = animals[assay.within]
    codes = (
        when
        if when.map(lambda v: isinstance(v, (int, float))).all()
        else pd.Series(pd.factorize(when)[0], when.index)
    )
    for axes, behavior in zip(all_axes, behaviors, strict=True):
        here = (
            (animals.behavior == behavior)
            & (animals.readout == assay.readout)
            & (animals.window == assay.primary[0])
        )
        _lines(axes, animals[here].assign(x=codes[here]), observations, assay.readout)
        ticks = codes[here].drop_duplicates()
        axes.set_xticks(
            ticks, [f"{v:g}" if isinstance(v, float) else str(v) for v in when[ticks.index]]
        )
        axes.set(title=shown(behavior), xlabel=shown(assay.within), ylabel=LABELS[assay.readout])
    _legend(figure, observations)
    return figure


def _latency(
    observations: Observations, assay: Assay, animals: pd.DataFrame, pain: Sequence[str]
) -> Figure | None:
    """Kaplan-Meier: the share of animals that have begun; one that never does leaves at the end of its recording."""
    from statsmodels.duration.survfunc import SurvfuncRight

    figure, all_axes = _grid(len(pain[:3]), 3.1, 2.4, 3)
    cell = animals[
        (animals.readout == "latency_s") & (animals.window == assay.windows[0].name)
    ].dropna(subset="value")
    scale, unit = (60, "min") if len(cell) and cell.value.max() > 180 else (1, "s")
    for axes, behavior in zip(all_axes, pain, strict=False):
        for group, color in zip(
            observations.groups, _group_rgb(len(observations.groups)), strict=True
        ):
            rows = cell[(cell.behavior == behavior) & (cell.group == group)]
            if not len(rows):
                continue
            end = (cell if rows.event.all() else rows).value.max() / scale
            x, y = np.array([0.0]), np.array([0.0])
            if rows.event.any():
                found = SurvfuncRight(rows.value.to_numpy(float), (rows.event > 0).to_numpy(int))
                x, y = np.append(x, found.surv_times / scale), np.append(y, 1 - found.surv_prob)
            axes.step(
                np.append(x, max(end, x[-1])),
                np.append(y, y[-1]),
                where="post",
                color=color,
                lw=1.6,
            )
        axes.set(
            ylim=(-0.02, 1.03),
            title=shown(behavior),
            xlabel=f"time ({unit})",
            ylabel="share that has begun",
        )
    _legend(figure, observations, marked=False)
    return figure


def _bouts(
    observations: Observations, bouts: pd.DataFrame, behaviors: Sequence[str]
) -> Figure | None:
    if not len(bouts):
        return None
    figure, all_axes = _grid(len(behaviors), 3.1, 2.4, 3)
    for axes, behavior in zip(all_axes, behaviors, strict=True):
        for group, color in zip(
            observations.groups, _group_rgb(len(observations.groups)), strict=True
        ):
            lasting = np.sort(
                bouts[(bouts.behavior == behavior) & (bouts.group == group)].duration_s.to_numpy(
                    float
                )
            )
            if len(lasting):
                kept = np.unique(np.linspace(0, len(lasting) - 1, 300).round().astype(int))
                longer = 1 - (kept + 1) / len(lasting)
                axes.step(lasting[kept], 100 * longer, where="post", color=color, lw=1.5)
        axes.set(
            xscale="log",
            title=shown(behavior),
            xlabel="bout lasts longer than (s)",
            ylabel="% of bouts",
            ylim=(0, 100),
        )
        axes.set_xlim(max(0.02, bouts.duration_s.min() * 0.8), bouts.duration_s.max() * 1.2)
        axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    _legend(figure, observations, marked=False)
    return figure


def _transitions(observations: Observations, moves: pd.DataFrame) -> Figure | None:
    n = len(observations.classes)
    if not moves["count"].sum():
        return None
    figure, all_axes = _grid(len(observations.groups), 3.1, 2.3, 3)
    angle = np.pi / 2 - 2 * np.pi * np.arange(n) / n
    at = [(float(np.cos(a)), float(np.sin(a))) for a in angle]
    colors = _rgb(n)
    wide = moves.groupby(["group", "before", "after"])["count"].sum()
    for axes, group in zip(all_axes, observations.groups, strict=True):
        counts = np.array(
            [
                [wide.get((group, a, b), 0) for b in observations.classes]
                for a in observations.classes
            ],
            float,
        )
        shares = row_shares(counts)
        for (i, j), share in np.ndenumerate(shares):
            if share >= 0.05:
                axes.add_patch(
                    FancyArrowPatch(
                        at[i], at[j], connectionstyle="arc3,rad=0.16", arrowstyle="-|>", mutation_scale=7 + 5 * share,
                        shrinkA=9, shrinkB=9, lw=0.4 + 4 * share, color=colors[i], alpha=0.8,
                    )
                )  # fmt: skip
        for k, (x, y) in enumerate(at):
            axes.plot(x, y, "o", ms=13, color=colors[k], mec="white", zorder=3)
            side = "center" if abs(x) < 0.2 else "left" if x > 0 else "right"
            axes.text(
                1.22 * x,
                1.25 * y,
                shown(observations.classes[k], 18),
                ha=side,
                va="center",
                fontsize=7.5,
            )
        axes.set(xlim=(-2.3, 2.3), ylim=(-1.4, 1.4), title=shown(group), aspect="equal")
        axes.axis("off")
    return figure
