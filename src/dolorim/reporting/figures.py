"""Figures of an evaluation, from the files that it has left."""

from __future__ import annotations

from collections.abc import Sequence
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

_ROWS = 12  # recordings in the raster at most
_STYLE: dict[Any, Any] = {  # Matplotlib's own type for the keys lists every setting by name
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "figure.dpi": 110,
}


def draw_evaluation(
    metrics: dict[str, Any], predictions: Path, ethogram: Ethogram, out: Path, part: str
) -> list[Path]:
    """Draw confusion matrix, per-class scores, class distribution and ethogram raster of one split as PNG files."""
    names = list(ethogram.classes)
    counts = np.array(metrics["confusion"])
    pairs = _truth_and_prediction(predictions, ethogram)
    out.mkdir(parents=True, exist_ok=True)
    title = f"{part}: {', '.join(metrics['animals'])}"
    with plt.rc_context(_STYLE):
        figures = {
            "confusion": _confusion(counts, names, title),
            "classes": _bars(metrics["per_class"], title),
            "distribution": _distribution(counts, names, title),
            "raster": _raster(pairs, names, title),
        }
        if "calibration" in metrics:
            figures["reliability"] = _reliability(metrics["calibration"], title)
        paths = []
        for name, figure in figures.items():
            paths.append(out / f"{part}_{name}.png")
            figure.savefig(paths[-1], bbox_inches="tight")
            plt.close(figure)
    return paths


def _truth_and_prediction(
    folder: Path, ethogram: Ethogram
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    pairs = []
    for path in sorted(folder.glob("*.truth.csv"))[:_ROWS]:
        name = path.name.removesuffix(".truth.csv")
        predicted = read_predictions(folder / f"{name}.predictions.csv")
        pairs.append((name, read_labels(path, ethogram).labels, predicted.labels))
    return pairs


def _confusion(counts: np.ndarray, names: Sequence[str], title: str) -> Figure:
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 1.6 + 0.5 * len(names)
    figure, axes = plt.subplots(figsize=(side + 0.6, side))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(counts.shape):
        if counts[i, j]:
            color = "white" if shares[i, j] > 0.55 else "black"
            axes.text(
                j, i, f"{100 * shares[i, j]:.0f}", ha="center", va="center", color=color, fontsize=8
            )
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true", title=f"{title}\n% of the true frames")
    figure.colorbar(image, ax=axes, shrink=0.7)
    return figure


def _bars(per_class: dict[str, dict[str, float]], title: str) -> Figure:
    names = list(per_class)
    figure, axes = plt.subplots(figsize=(1.5 + 0.75 * len(names), 3))
    at = np.arange(len(names))
    for offset, score, color in (
        (-0.27, "precision", "#56b4e9"),
        (0, "recall", "#e69f00"),
        (0.27, "f1", "#333333"),
    ):
        axes.bar(
            at + offset,
            [per_class[n][score] for n in names],
            0.25,
            label=score.replace("f1", "F1"),
            color=color,
        )
    axes.set_xticks(
        at, [f"{n}\n({int(per_class[n]['support'])})" for n in names], rotation=45, ha="right"
    )
    axes.set(ylim=(0, 1), ylabel="score", title=f"{title}\nper class (frames)")
    axes.legend(frameon=False, ncols=3, loc="upper right", bbox_to_anchor=(1, 1.02))
    return figure


def _distribution(counts: np.ndarray, names: Sequence[str], title: str) -> Figure:
    figure, axes = plt.subplots(figsize=(1.5 + 0.75 * len(names), 2.6))
    at = np.arange(len(names))
    total = max(counts.sum(), 1)
    axes.bar(at - 0.2, 100 * counts.sum(1) / total, 0.38, label="true", color="#333333")
    axes.bar(at + 0.2, 100 * counts.sum(0) / total, 0.38, label="predicted", color="#56b4e9")
    axes.set_xticks(at, names, rotation=45, ha="right")
    axes.set(ylabel="% of frames", title=f"{title}\nclass distribution")
    axes.legend(frameon=False)
    return figure


def _reliability(calibration: dict[str, Any], title: str) -> Figure:
    rows = calibration["reliability"]
    figure, axes = plt.subplots(figsize=(3.6, 3.6))
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--", label="perfect")
    axes.plot([r["confidence"] for r in rows], [r["accuracy"] for r in rows], "o-", color="#0072b2", markersize=4,
              label="observed")  # fmt: skip
    heading = (
        f"{title}\ncalibration error {calibration['ece']:.3f} ({len(rows)} bins of equal mass)"
    )
    axes.set(
        xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share of right frames", title=heading
    )
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="upper left")
    return figure


def _raster(
    pairs: Sequence[tuple[str, np.ndarray, np.ndarray]], names: Sequence[str], title: str
) -> Figure:
    colors = [tuple(v / 255 for v in c) for c in class_colors(len(names))]
    shades = ListedColormap([(1, 1, 1), *colors])
    figure, all_axes = plt.subplots(
        max(1, len(pairs)),
        1,
        figsize=(9, 0.8 + 0.75 * max(1, len(pairs))),
        squeeze=False,
        layout="constrained",
    )
    for axes, (name, truth, predicted) in zip(all_axes[:, 0], pairs, strict=False):
        rows = np.stack([truth, np.where(truth >= 0, predicted, -1)]) + 1
        axes.imshow(
            rows, aspect="auto", cmap=shades, vmin=0, vmax=len(names), interpolation="nearest"
        )
        axes.set_yticks([0, 1], ["true", "pred."], fontsize=7)
        axes.set_title(name, fontsize=7, loc="left", pad=2)
        axes.tick_params(length=0, labelsize=7)
    all_axes[-1, 0].set_xlabel("frame")
    handles = [Rectangle((0, 0), 1, 1, color=c) for c in colors]
    figure.legend(
        handles,
        names,
        ncols=min(len(names), 6),
        loc="outside lower center",
        frameon=False,
        fontsize=8,
    )
    figure.suptitle(title, fontsize=9)
    return figure


def draw_ethogram(predictions: Predictions, axes: Axes | None = None) -> Axes:
    """Bouts of one recording over time in seconds: a row per class, the first class on top."""
    if axes is None:
        _, axes = plt.subplots(
            figsize=(9, 0.8 + 0.3 * len(predictions.classes)), layout="constrained"
        )
    spans: dict[int, list[tuple[float, float]]] = {}
    for bout, _ in predictions.bouts():
        start_s, stop_s = predictions.interval_s(bout)
        spans.setdefault(bout.label, []).append((start_s, stop_s - start_s))
    for label, color in enumerate(class_colors(len(predictions.classes))):
        shade = tuple(value / 255 for value in color)
        axes.broken_barh(spans.get(label, []), (label - 0.4, 0.8), facecolors=[shade])
    axes.set_yticks(range(len(predictions.classes)), predictions.classes)
    axes.invert_yaxis()
    axes.set(xlabel="time (s)", title=predictions.name)
    return axes
