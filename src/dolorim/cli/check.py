"""`dolorim check`."""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from dolorim.cli.common import parse, settle
from dolorim.config import DataConfig
from dolorim.formats.project import in_project

if TYPE_CHECKING:
    from rich.table import Table

    from dolorim.core.findings import Finding
    from dolorim.data.check import Row
    from dolorim.engine.check import Checked

_COLORS = {"error": "red", "warning": "yellow", "note": "dim"}
_WIDTH = 200  # of the tables where no terminal tells


@dataclass(frozen=True)
class _Check:
    """Look at every video, label file and pose file of a project before anything is learned from them.

    The exit code is 0 where all is fine, 1 where there are warnings, 2 where there are errors.
    """

    project: tyro.conf.Positional[Path]
    """Folder with Videos/, Annotations/ and DLC/, as far as there are any."""
    data: DataConfig = field(default_factory=DataConfig)
    workers: int | None = None
    """Recordings that are looked at at a time; without it, one per processor."""
    json: Path | None = None
    """Write rows and findings to this file as JSON; - prints them instead of the tables."""
    strict: bool = False
    """Take warnings for errors."""
    quiet: bool = False
    """Print no tables."""


def run(arguments: list[str]) -> int:
    """`dolorim check PROJECT`"""
    given = parse(_Check, arguments, "dolorim check")
    from rich.console import Console

    from dolorim.engine.check import check
    from dolorim.engine.extract import usual_workers
    from dolorim.files.table import write_text

    settle(given.quiet)
    checked = check(in_project(given.project, given.data), given.workers or usual_workers())
    status = checked.status(given.strict)
    if given.json is not None:
        text = json.dumps(_as_json(checked, status), indent=1) + "\n"
        if str(given.json) == "-":
            print(text, end="")
            return status
        write_text(given.json, text)
    if not given.quiet:
        console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
        console.print(_recordings(checked))
        if any(c.frames for c in checked.counts.values()):
            console.print(_classes(checked))
        for finding in checked.findings:
            color = _COLORS[finding.severity]
            name = f" ({finding.name})" if finding.name else ""
            console.print(f"{finding.severity}{name}: {finding}", style=color, markup=False, soft_wrap=True)
        console.print(_summary(checked.findings))
    return status


def _recordings(checked: Checked) -> Table:
    from rich.table import Table

    heads = ("recording", "animal", "frames", "frames/s", "size", "trials", "label rows", "classes")
    table = Table(*heads, "pose rows", "keypoints", "missing")
    for row in checked.rows:
        cells = _cells(row)
        frames = zip(checked.counts, _class_frames(row, len(checked.counts)), strict=True)
        classes = ", ".join(f"{n} {c}" for n, c in frames if c)
        table.add_row(
            *(cells[h] for h in heads[:-1]), classes, cells["pose rows"], cells["keypoints"], cells["missing"]
        )
    return table


def _cells(row: Row) -> dict[str, str]:
    found, placement = row.found, row.placement
    rate = "" if found.rate_hz is None else f"{found.rate_hz:.4g}"
    trials = "" if placement is None else f"{len(placement.trials)} {placement.layout}"
    return {
        "recording": row.name,
        "animal": row.source.animal,
        "frames": str(found.n_frames),
        "frames/s": rate if found.constant_rate is not False else f"{rate} variable",
        "size": f"{found.width_px}x{found.height_px}" if found.width_px else "",
        "trials": trials,
        "label rows": str(sum(len(f.labels) for f in row.source.labels)) if row.source.labels else "",
        "pose rows": "" if found.pose_rows is None else str(found.pose_rows),
        "keypoints": found.keypoints,
        "missing": "" if found.missing is None else f"{100 * found.missing:.0f} %",
    }


def _class_frames(row: Row, n: int) -> list[int]:
    import numpy as np

    if row.placement is None:
        return [0] * n
    labels = row.placement.labels
    return np.bincount(labels[labels >= 0], minlength=n).tolist()


def _classes(checked: Checked) -> Table:
    from rich.table import Table

    table = Table("class", "frames", "bouts", "animals")
    for name, count in checked.counts.items():
        table.add_row(name, str(count.frames), str(count.bouts), str(count.animals))
    return table


def _summary(findings: tuple[Finding, ...]) -> str:
    numbers = [(s, sum(f.severity == s for f in findings)) for s in _COLORS]
    return ", ".join(f"{n} {s}{'s' * (n != 1)}" for s, n in numbers)


def _as_json(checked: Checked, status: int) -> dict[str, Any]:
    rows = []
    for row in checked.rows:
        found = row.found
        lag = found.lag
        rows.append({
            "recording": row.name,
            "file": str(row.source.file),
            "animal": row.source.animal,
            "frames": found.n_frames,
            "header_frames": found.header_frames,
            "rate_hz": found.rate_hz,
            "constant_rate": found.constant_rate,
            "width_px": found.width_px,
            "height_px": found.height_px,
            "layout": row.placement.layout if row.placement else None,
            "trials": [dataclasses.asdict(t) for t in row.placement.trials] if row.placement else [],
            "label_rows": sum(len(f.labels) for f in row.source.labels),
            "classes": dict(zip(checked.counts, _class_frames(row, len(checked.counts)), strict=True)),
            "pose": str(row.source.pose) if row.source.pose else None,
            "pose_rows": found.pose_rows,
            "keypoints": found.keypoints,
            "missing": found.missing,
            "body_length_px": found.body_length_px,
            "lag": lag.frames if lag else None,
            "lag_agreement": lag.agreement if lag else None,
        })  # fmt: skip
    return {
        "status": status,
        "recordings": rows,
        "classes": {name: dataclasses.asdict(count) for name, count in checked.counts.items()},
        "findings": [dataclasses.asdict(f) for f in checked.findings],
    }
