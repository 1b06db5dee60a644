"""Figures are drawn from the files that an evaluation leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dolorim.labels.ethogram import Ethogram, RawClass
from dolorim.labels.label_files import write_labels
from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.metrics.summary import Scored, summarize
from dolorim.reporting.figures import draw_evaluation
from dolorim.reporting.run_page import GroupStudy, write_run_page


def test_an_evaluation_is_drawn_where_no_behavior_carries_the_name_of_its_class(
    tmp_path: Path,
) -> None:
    raw = (RawClass(0, "still", "calm"), RawClass(1, "sleep", "calm"), RawClass(2, "lick", "pain"))
    ethogram = Ethogram(raw, ("calm", "pain"))
    truth = np.array([0, 0, 1, 1, -1, 0], np.int16)
    labels = np.array([0, 1, 1, 1, 1, 0], np.int16)
    folder = tmp_path / "predictions"
    write_labels(folder / "v.truth.csv", truth, ethogram)
    write_predictions(
        folder,
        Predictions(
            "v", ethogram.classes, labels, np.eye(2, dtype=np.float32)[labels], np.arange(6)
        ),
    )
    probabilities = np.eye(2)[labels] * 0.6 + 0.2
    names = ["confusion", "classes", "distribution", "raster"]
    metrics = summarize([Scored("m", truth, labels)], ethogram.classes)
    paths = draw_evaluation(metrics, folder, ethogram, tmp_path / "figures", "val")
    assert [p.name for p in paths] == [f"val_{n}.png" for n in names]
    metrics = summarize([Scored("m", truth, labels, probabilities)], ethogram.classes)
    paths = draw_evaluation(metrics, folder, ethogram, tmp_path / "figures", "test")
    assert [p.name for p in paths] == [f"test_{n}.png" for n in [*names, "reliability"]]
    assert all(p.stat().st_size > 1000 for p in paths)
    # Text of an SVG file stays text: the frames of each row, and time instead of frame numbers.
    confusion = (tmp_path / "figures" / "test_confusion.svg").read_text("utf-8")
    assert "calm (n = 3)" in confusion
    assert "time (s)" in (tmp_path / "figures" / "test_raster.svg").read_text("utf-8")


@pytest.mark.parametrize("module", ["study_figures", "raster", "figures"])
def test_a_notebook_keeps_its_backend(module: str) -> None:
    code = (
        "import matplotlib; matplotlib.use('svg'); import matplotlib.pyplot\n"
        f"import dolorim.reporting.{module}\n"
        "assert matplotlib.get_backend() == 'svg', matplotlib.get_backend()"
    )
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_a_page_about_a_run_shows_every_bout_and_takes_no_name_for_markup(tmp_path: Path) -> None:
    classes = ("<i>rest", "lick & bite")
    labels = np.array([0, 0, 1, 1, 1, 0], np.int16)
    probabilities = np.eye(2, dtype=np.float32)[labels]
    video = Predictions("v<1>", classes, labels, probabilities, np.arange(6) / 10, {"fps": 10.0})
    write_predictions(tmp_path / "labels", video)
    (tmp_path / "labels" / "v<1>.overlay.mp4").write_bytes(b"film")
    pictures = ("run/figures/test_raster", "run/figures/test_confusion", "report/figures/answer")
    for name in pictures:
        file = tmp_path / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (1, 1)).save(file)
    metrics = {"test": summarize([Scored("<m>", labels, labels)], classes)}
    report = tmp_path / "report" / "report.html"
    study = GroupStudy("5 & 5 mice", report, ["<b>licking</b> differs"], "They lick <more>.")
    page = write_run_page(
        tmp_path / "demo.html", tmp_path / "run", metrics, tmp_path / "labels", "<ended>", study
    )
    text = page.read_text("utf-8")
    for name in ("<i>rest", "lick & bite", "v<1>", "<m>", "<ended>", "<b>licking", "<more>"):
        assert name not in text
    assert "lick &amp; bite 50.0 %" in text
    assert text.count("<rect ") == 3
    assert '<rect x="2" width="3"' in text
    assert "default-src 'none'" in text
    assert 'src="data:video/mp4;base64,ZmlsbQ=="' in text
    assert '<a href="report/report.html">' in text
