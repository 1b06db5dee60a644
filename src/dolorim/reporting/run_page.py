"""One page about a run and its bouts in new videos: a single HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.core.palette import class_colors
from dolorim.labels.prediction_files import read_predictions
from dolorim.labels.predictions import Predictions
from dolorim.reporting.rendering import Table, image_data, write_page

_SPLITS = {"test": "Test animals", "val": "Validation animals", "folds": "Held-out animals"}


def write_run_page(
    path: Path, run: Path, metrics: dict[str, Any], predictions: Path, simulated: bool = False
) -> Path:
    """Write the page: scores on held-out animals, their figures, and bouts in new videos.

    `metrics` are those of `metrics.json`, by split; `predictions` is a folder that `predict` wrote.
    """
    # Test animals come first: they are stored last, after the validation that chose the run.
    splits = [_split_view(run, part, scores) for part, scores in reversed(metrics.items())]
    videos = [read_predictions(file) for file in sorted(predictions.glob("*.predictions.csv"))]
    return write_page(
        path,
        "run.html",
        title="dolorim",
        heading="dolorim",
        lead=f"Run {run.name}",
        simulated=simulated,
        splits=splits,
        videos=[_video_view(video) for video in videos],
        colors=_colors(videos[0].classes) if videos else {},
    )


def _split_view(run: Path, part: str, scores: dict[str, Any]) -> dict[str, Any]:
    files = [run / "figures" / f"{part}_{name}.png" for name in ("raster", "confusion")]
    segments = scores["segments"]
    return {
        "heading": f"{_SPLITS[part]}: {', '.join(scores['animals'])}",
        "macro_f1": f"{scores['macro_f1']:.2f}",
        "accuracy": f"{scores['accuracy']:.2f}",
        "f1_50": f"{segments['f1_50']:.0f}",
        "edit": f"{segments['edit']:.0f}",
        "frames": scores["frames"],
        "scores": _scores_table(scores["per_class"]),
        "figures": [{"name": file.stem, "data": image_data(file)} for file in files],
    }


def _scores_table(per_class: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = []
    for name, score in per_class.items():
        figures = [f"{score[key]:.2f}" for key in ("precision", "recall", "f1")]
        rows.append([name, *figures, str(score["support"])])
    return Table(["behavior", "precision", "recall", "F1", "frames"], rows)


def _video_view(predictions: Predictions) -> dict[str, Any]:
    """A video's bouts as a strip of colors, and its time budget in words."""
    colors = list(_colors(predictions.classes).values())
    bouts = [
        {"start": bout.start, "length": len(bout), "color": colors[bout.label]}
        for bout, _ in predictions.bouts()
    ]
    frames = len(predictions.labels)
    counts = np.bincount(predictions.labels, minlength=len(predictions.classes))
    # A video without frames has a budget of zeros rather than an error.
    percents = 100 * counts / max(frames, 1)
    shares = zip(predictions.classes, percents, strict=True)
    budget = ", ".join(f"{name} {percent:.1f} %" for name, percent in shares)
    return {"name": predictions.name, "bouts": bouts, "length": frames, "budget": budget}


def _colors(classes: tuple[str, ...]) -> dict[str, str]:
    """The CSS color of each class."""
    colors = class_colors(len(classes))
    return {name: f"rgb{color}" for name, color in zip(classes, colors, strict=True)}
