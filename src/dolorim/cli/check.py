"""`dolorim check`."""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from dolorim.cli.common import check_targets, parse, settle
from dolorim.config import DataConfig
from dolorim.dataset.study import in_study_folder

if TYPE_CHECKING:
    from dolorim.checks.check import Checked

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
    all: bool = False
    """List every recording and every finding, instead of counting those that are alike."""
    strict: bool = False
    """Take warnings for errors."""
    quiet: bool = False
    """Print no tables."""


def run(arguments: list[str]) -> int:
    """`dolorim check PROJECT`"""
    given = parse(_Check, arguments, "dolorim check")
    check_targets(given)
    from rich.console import Console

    from dolorim.checks.check import check
    from dolorim.cli.check_tables import (
        classes_table,
        finding_lines,
        recordings_table,
        summary_line,
    )
    from dolorim.core.workers import usual_workers
    from dolorim.files.tables import write_text

    settle(given.quiet)
    checked = check(in_study_folder(given.project, given.data), given.workers or usual_workers())
    status = checked.status(given.strict)
    if given.json is not None:
        text = json.dumps(_as_json(checked, status), indent=1) + "\n"
        if str(given.json) == "-":
            print(text, end="")
            return status
        write_text(given.json, text)
    if not given.quiet:
        console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
        common, table = recordings_table(checked, given.all)
        if common:
            console.print(common, markup=False, soft_wrap=True)
        console.print(table)
        if any(c.frames for c in checked.counts.values()):
            console.print(classes_table(checked))
        for severity, line in finding_lines(checked.findings, given.all):
            console.print(line, style=_COLORS[severity], markup=False, soft_wrap=True)
        console.print(summary_line(checked.findings))
    return status


def _as_json(checked: Checked, status: int) -> dict[str, Any]:
    from dolorim.cli.check_tables import class_frames

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
            "classes": dict(zip(checked.counts, class_frames(row, len(checked.counts)), strict=True)),
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
