"""The page of the demo: a run, a study of two groups, and bouts in a video, in one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.core.palette import class_colors
from dolorim.labels.prediction_files import read_predictions
from dolorim.labels.predictions import Predictions
from dolorim.reporting.rendering import Cell, Table, image_data, video_data, write_page
from dolorim.reporting.trust_page import cell_with_interval

_SPLITS = {
    "other": "Animals of the two groups",
    "test": "Test animals",
    "val": "Validation animals",
}


@dataclass(frozen=True)
class GroupStudy:
    """The report of a simulated study: its page, its answer, and what the simulation did."""

    title: str
    report: Path
    sentences: Sequence[str]
    truth: str


def write_run_page(
    path: Path,
    run: Path,
    metrics: dict[str, Any],
    predictions: Path,
    ending: str,
    study: GroupStudy,
) -> Path:
    """Write the page of a demo: a video with its labels, a study of two groups, and scores.

    `metrics` are those of `metrics.json`, by split; `predictions` is a folder that `predict` wrote,
    with overlays; `ending` says how training ended.
    """
    # The last ones come first: they are the furthest from what the run was chosen by.
    splits = [_split_view(run, part, scores) for part, scores in reversed(metrics.items())]
    videos = [read_predictions(file) for file in sorted(predictions.glob("*.predictions.csv"))]
    return write_page(
        path,
        "run.html",
        title="dolorim",
        heading="dolorim",
        lead=f"Run {run.name}: {ending}.",
        study=_study_view(study, path.parent),
        splits=splits,
        videos=[_video_view(v, predictions / f"{v.name}.overlay.mp4") for v in videos],
        colors=_colors(videos[0].classes) if videos else {},
    )


def _study_view(study: GroupStudy, folder: Path) -> dict[str, Any]:
    report = study.report.resolve()
    return {
        "title": study.title,
        "link": report.relative_to(folder.resolve()).as_posix(),
        "sentences": study.sentences,
        "truth": study.truth,
        "figure": image_data(report.parent / "figures" / "answer.png"),
    }


def _split_view(run: Path, part: str, scores: dict[str, Any]) -> dict[str, Any]:
    files = [run / "figures" / f"{part}_{name}.png" for name in ("raster", "confusion")]
    segments = scores["segments"]
    interval = scores["intervals"].get("macro_f1")
    return {
        "heading": f"{_SPLITS[part]}: {', '.join(scores['animals'])}",
        "macro_f1": cell_with_interval(scores["macro_f1"], interval),
        "accuracy": f"{scores['accuracy']:.2f}",
        "f1_50": f"{segments['f1_50']:.0f}",
        "edit": f"{segments['edit']:.0f}",
        "frames": scores["frames"],
        "scores": _scores_table(scores),
        "figures": [{"name": file.stem, "data": image_data(file)} for file in files],
    }


def _scores_table(scores: Mapping[str, Any]) -> Table:
    rows: list[list[str | Cell]] = []
    intervals = scores["intervals"].get("per_class", {})
    for name, score in scores["per_class"].items():
        figures = [f"{score[key]:.2f}" for key in ("precision", "recall")]
        f1 = cell_with_interval(score["f1"], intervals.get(name, {}).get("f1"))
        rows.append([name, *figures, f1, str(score["support"])])
    return Table(["behavior", "precision", "recall", "F1 (95 % interval)", "frames"], rows)


def _video_view(predictions: Predictions, overlay: Path) -> dict[str, Any]:
    """A video's bouts as a strip of colors, its time budget in words, and the video itself."""
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
    return {
        "name": predictions.name,
        "bouts": bouts,
        "length": frames,
        "budget": budget,
        "overlay": video_data(overlay),
    }


def _colors(classes: tuple[str, ...]) -> dict[str, str]:
    """The CSS color of each class."""
    colors = class_colors(len(classes))
    return {name: f"rgb{color}" for name, color in zip(classes, colors, strict=True)}
