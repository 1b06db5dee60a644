"""Figures are drawn from the files that an evaluation leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dolorim.labels.ethogram import Ethogram, RawClass
from dolorim.labels.label_files import write_labels
from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.metrics.summary import Scored, summarize
from dolorim.reporting.figures import draw_evaluation


def test_an_evaluation_is_drawn_where_no_behavior_carries_the_name_of_its_class(
    tmp_path: Path,
) -> None:
    raw = (RawClass(0, "still", "calm"), RawClass(1, "sleep", "calm"), RawClass(2, "lick", "pain"))
    ethogram = Ethogram(raw, ("calm", "pain"))
    truth = np.array([0, 0, 1, 1, -1, 0], np.int16)
    found = np.array([0, 1, 1, 1, 1, 0], np.int16)
    folder = tmp_path / "predictions"
    write_labels(folder / "v.truth.csv", truth, ethogram)
    write_predictions(
        folder,
        Predictions("v", ethogram.classes, found, np.eye(2, dtype=np.float32)[found], np.arange(6)),
    )
    probabilities = np.eye(2)[found] * 0.6 + 0.2
    names = ["confusion", "classes", "distribution", "raster"]
    metrics = summarize([Scored("m", truth, found)], ethogram.classes)
    paths = draw_evaluation(metrics, folder, ethogram, tmp_path / "figures", "val")
    assert [p.name for p in paths] == [f"val_{n}.png" for n in names]
    metrics = summarize([Scored("m", truth, found, probabilities)], ethogram.classes)
    paths = draw_evaluation(metrics, folder, ethogram, tmp_path / "figures", "test")
    assert [p.name for p in paths] == [f"test_{n}.png" for n in [*names, "reliability"]]
    assert all(p.stat().st_size > 1000 for p in paths)
