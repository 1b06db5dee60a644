"""Figures of an evaluation, from the files that it has left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dolorim.core.palette import class_colors
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.label_files import read_labels
from dolorim.labels.prediction_files import read_predictions
from dolorim.labels.predictions import Predictions
from dolorim.reporting.plotting import plt

_MOST_RECORDINGS = 12  # in the raster
_STYLE: dict[Any, Any] = {  # Matplotlib's own type for the keys lists every setting by name
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "figure.dpi": 110,
}
_SLANTED: dict[str, Any] = {"rotation": 45, "ha": "right"}
_GRAY, _BLUE, _ORANGE = "#333333", "#56b4e9", "#e69f00"


@dataclass(frozen=True)
class _Compared:
    """Labels `(frames,)` of one recording: those of people, and the run's, and when frames are
    shown."""

    name: str
    truth: np.ndarray
    predicted: np.ndarray
    time_s: np.ndarray


def draw_evaluation(
    metrics: dict[str, Any], predictions: Path, ethogram: Ethogram, out: Path, part: str
) -> list[Path]:
    """Draw one split as PNG files with SVG beside them; returns the PNG files.

    These are the confusion matrix, scores and distribution of classes, and the raster.

    `metrics` are the scores of the split `part`; `predictions` is the folder with its labels and
    predictions. A reliability diagram is drawn where the scores have a calibration.
    """
    names = list(ethogram.classes)
    counts = np.array(metrics["confusion"])
    recordings = _read_recordings(predictions, ethogram)
    out.mkdir(parents=True, exist_ok=True)
    title = f"{part}: {', '.join(metrics['animals'])}"
    with plt.rc_context(_STYLE):
        figures = {
            "confusion": _draw_confusion(counts, names, title),
            "classes": _draw_scores(metrics["per_class"], title),
            "distribution": _draw_distribution(counts, names, title),
            "raster": _draw_raster(recordings, names, title),
        }
        if "calibration" in metrics:
            figures["reliability"] = _draw_reliability(metrics["calibration"], title)
        paths = []
        for name, figure in figures.items():
            paths.append(out / f"{part}_{name}.png")
            for file in (paths[-1], paths[-1].with_suffix(".svg")):
                figure.savefig(file, bbox_inches="tight")
            plt.close(figure)
    return paths


def _read_recordings(folder: Path, ethogram: Ethogram) -> list[_Compared]:
    recordings = []
    for path in sorted(folder.glob("*.truth.csv"))[:_MOST_RECORDINGS]:
        name = path.name.removesuffix(".truth.csv")
        predicted = read_predictions(folder / f"{name}.predictions.csv")
        truth = read_labels(path, ethogram).labels
        recordings.append(_Compared(name, truth, predicted.labels, predicted.time_s))
    return recordings


def _draw_confusion(counts: np.ndarray, names: Sequence[str], title: str) -> Figure:
    # Rows are true classes: each adds up to 1, however rare it is.
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 1.6 + 0.5 * len(names)
    figure, axes = plt.subplots(figsize=(side + 0.6, side))
    # One scale for all runs, so that figures can be compared.
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    centered: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8}
    for i, j in np.ndindex(counts.shape):
        if counts[i, j]:
            # The color map is dark from about one half on.
            color = "white" if shares[i, j] > 0.55 else "black"
            axes.text(j, i, f"{100 * shares[i, j]:.0f}", color=color, **centered)
    axes.set_xticks(range(len(names)), names, **_SLANTED)
    rows = [f"{name} (n = {int(n):,})" for name, n in zip(names, counts.sum(1), strict=True)]
    axes.set_yticks(range(len(names)), rows)
    axes.set(xlabel="predicted", ylabel="true (frames)", title=f"{title}\n% of the true frames")
    figure.colorbar(image, ax=axes, shrink=0.7)
    return figure


def _draw_scores(per_class: dict[str, dict[str, float]], title: str) -> Figure:
    names = list(per_class)
    figure, axes = plt.subplots(figsize=(1.5 + 0.75 * len(names), 3))
    middles = np.arange(len(names))
    bars = {"precision": (-0.27, _BLUE), "recall": (0, _ORANGE), "f1": (0.27, _GRAY)}
    for score, (offset, color) in bars.items():
        values = [per_class[name][score] for name in names]
        label = score.replace("f1", "F1")
        axes.bar(middles + offset, values, 0.25, label=label, color=color)
    ticks = [f"{name}\n({int(per_class[name]['support'])})" for name in names]
    axes.set_xticks(middles, ticks, **_SLANTED)
    axes.set(ylim=(0, 1), ylabel="score", title=f"{title}\nper class (frames)")
    _legend_beside(axes)
    return figure


def _draw_distribution(counts: np.ndarray, names: Sequence[str], title: str) -> Figure:
    figure, axes = plt.subplots(figsize=(1.5 + 0.75 * len(names), 2.6))
    middles = np.arange(len(names))
    percents = 100 * counts / max(counts.sum(), 1)
    axes.bar(middles - 0.2, percents.sum(1), 0.38, label="true", color=_GRAY)
    axes.bar(middles + 0.2, percents.sum(0), 0.38, label="predicted", color=_BLUE)
    axes.set_xticks(middles, names, **_SLANTED)
    axes.set(ylabel="% of frames", title=f"{title}\nclass distribution")
    _legend_beside(axes)
    return figure


def _legend_beside(axes: Axes) -> None:
    """The legend to the right of the axes, where it covers no bar."""
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def _draw_reliability(calibration: dict[str, Any], title: str) -> Figure:
    bins = calibration["reliability"]
    confidences = [row["confidence"] for row in bins]
    accuracies = [row["accuracy"] for row in bins]
    figure, axes = plt.subplots(figsize=(3.6, 3.6))
    # On the diagonal, a confidence of 0.8 is right in 80 % of the frames.
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--", label="perfect")
    axes.plot(confidences, accuracies, "o-", color="#0072b2", markersize=4, label="observed")
    error = f"calibration error {calibration['ece']:.3f} ({len(bins)} bins of equal mass)"
    axes.set(xlim=(0, 1), ylim=(0, 1), title=f"{title}\n{error}")
    axes.set(xlabel="confidence", ylabel="share of correct frames")
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="upper left")
    return figure


def _draw_raster(recordings: Sequence[_Compared], names: Sequence[str], title: str) -> Figure:
    colors = _fractions(len(names))
    color_map = ListedColormap([(1, 1, 1), *colors])
    rows = max(1, len(recordings))
    size = (9, 0.8 + 0.75 * rows)
    figure, all_axes = plt.subplots(rows, 1, figsize=size, squeeze=False, layout="constrained")
    for axes, recording in zip(all_axes[:, 0], recordings, strict=False):
        # Where nobody has labeled, the prediction cannot be compared with anything.
        predicted = np.where(recording.truth >= 0, recording.predicted, -1)
        # -1, unlabeled, becomes the first color, which is white.
        image = np.stack([recording.truth, predicted]) + 1
        limits = {"vmin": 0, "vmax": len(names)}
        # Seconds from the first frame; the last one is shown as long as the others.
        length_s = _length_s(recording.time_s)
        axes.imshow(
            image,
            aspect="auto",
            cmap=color_map,
            interpolation="nearest",
            extent=(0, length_s, 1.5, -0.5),
            **limits,
        )
        axes.set_yticks([0, 1], ["true", "pred."], fontsize=7)
        axes.set_title(recording.name, fontsize=7, loc="left", pad=2)
        axes.tick_params(length=0, labelsize=7)
    all_axes[-1, 0].set_xlabel("time (s)")
    handles = [Rectangle((0, 0), 1, 1, color=color) for color in colors]
    layout: dict[str, Any] = {"ncols": min(len(names), 6), "loc": "outside lower center"}
    figure.legend(handles, names, frameon=False, fontsize=8, **layout)
    figure.suptitle(title, fontsize=9)
    return figure


def _length_s(time_s: np.ndarray) -> float:
    if len(time_s) < 2:
        return float(len(time_s))
    return float(time_s[-1] - time_s[0] + np.median(np.diff(time_s)))


def _fractions(n: int) -> list[tuple[float, float, float]]:
    """The colors of `n` classes, RGB, 0-1."""
    return [(red / 255, green / 255, blue / 255) for red, green, blue in class_colors(n)]


def draw_ethogram(predictions: Predictions, axes: Axes | None = None) -> Axes:
    """Bouts of one recording over time in seconds: a row per class, the first class on top."""
    classes = predictions.classes
    if axes is None:
        _, axes = plt.subplots(figsize=(9, 0.8 + 0.3 * len(classes)), layout="constrained")
    spans: dict[int, list[tuple[float, float]]] = {}
    for bout, _ in predictions.bouts():
        start_s, stop_s = predictions.interval_s(bout)
        spans.setdefault(bout.label, []).append((start_s, stop_s - start_s))
    for label, color in enumerate(_fractions(len(classes))):
        axes.broken_barh(spans.get(label, []), (label - 0.4, 0.8), facecolors=[color])
    axes.set_yticks(range(len(classes)), classes)
    # Matplotlib counts rows from below.
    axes.invert_yaxis()
    axes.set(xlabel="time (s)", title=predictions.name)
    return axes
