"""One page about a run and what it found in new videos: a single HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.core.palette import class_colors
from dolorim.files.tables import write_text
from dolorim.labels.prediction_files import read_predictions
from dolorim.labels.predictions import Predictions

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { margin-bottom: 0; } .lead { color: #555; } img { max-width: 100%; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; } .note { background: #fff4e5; padding: .6rem 1rem; }
.track { display: block; width: 100%; height: 28px; } .key span { margin-right: 1rem; white-space: nowrap; }
.key i { display: inline-block; width: .9em; height: .9em; margin-right: .3em; }
"""


def write_run_page(
    path: Path, run: Path, metrics: dict[str, Any], predictions: Path, simulated: bool = False
) -> Path:
    """Write the page: scores on held-out animals, their figures, and the behaviors found in newly predicted videos."""
    parts = ["<h1>dolorim</h1>", f'<p class="lead">Run {escape(run.name)}</p>']
    if simulated:
        parts.append(
            '<p class="note">Simulated data: this shows that everything works, and nothing about accuracy.</p>'
        )
    for part, found in reversed(metrics.items()):
        what = "Test animals" if part == "test" else "Validation animals"
        parts.append(f"<h2>{what}: {escape(', '.join(found['animals']))}</h2>{_scores(found)}")
        parts += [
            _image(run / "figures" / f"{part}_{name}.png") for name in ("raster", "confusion")
        ]
    found = [read_predictions(p) for p in sorted(predictions.glob("*.predictions.csv"))]
    if found:
        parts.append(f"<h2>New videos</h2>{_key(found[0].classes)}")
        parts += [_track(p) for p in found]
    head = f'<meta charset="utf-8"><title>dolorim</title><style>{_STYLE}</style>'
    body = "\n".join(parts)
    write_text(path, f'<!doctype html><html lang="en">{head}{body}</html>')
    return path


def _scores(found: dict[str, Any]) -> str:
    s = found["segments"]
    lead = (
        f"<p>macro-F1 <b>{found['macro_f1']:.2f}</b>, accuracy {found['accuracy']:.2f}, "
        f"segment F1@50 {s['f1_50']:.0f}, edit {s['edit']:.0f}; {found['frames']} frames</p>"
    )
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{c['precision']:.2f}</td><td>{c['recall']:.2f}</td><td>{c['f1']:.2f}</td>"
        f"<td>{c['support']}</td></tr>"
        for name, c in found["per_class"].items()
    )
    head = "<tr><th>behavior</th><th>precision</th><th>recall</th><th>F1</th><th>frames</th></tr>"
    return f"{lead}<table>{head}{rows}</table>"


def _track(predictions: Predictions) -> str:
    """A video's bouts as a strip, and its time budget."""
    n = len(predictions.labels)
    colors = class_colors(len(predictions.classes))
    blocks = "".join(
        f'<rect x="{b.start}" width="{len(b)}" height="1" fill="rgb{colors[b.label]}"/>'
        for b, _ in predictions.bouts()
    )
    counts = np.bincount(predictions.labels, minlength=len(predictions.classes)) / max(n, 1)
    budget = ", ".join(
        f"{escape(c)} {100 * s:.1f} %" for c, s in zip(predictions.classes, counts, strict=True)
    )
    strip = f'<svg class="track" viewBox="0 0 {n} 1" preserveAspectRatio="none" shape-rendering="crispEdges">{blocks}</svg>'
    return f"<h3>{escape(predictions.name)}</h3>{strip}<p>{budget}</p>"


def _key(classes: Sequence[str]) -> str:
    items = zip(classes, class_colors(len(classes)), strict=True)
    return (
        '<p class="key">'
        + "".join(f'<span><i style="background:rgb{c}"></i>{escape(n)}</span>' for n, c in items)
        + "</p>"
    )


def _image(path: Path) -> str:
    return f'<img alt="{escape(path.stem)}" src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}">'
