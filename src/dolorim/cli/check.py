"""`dolorim check`."""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from dolorim.cli.common import check_targets, parse, set_verbosity
from dolorim.cli.settings import Settings, settings_flags
from dolorim.config import LABEL_FILES, LABEL_TIMES, POSES, STUDY_FILES

if TYPE_CHECKING:
    from dolorim.checks.check import Checked
    from dolorim.checks.recordings import Row

_COLORS = {"error": "red", "warning": "yellow", "note": "dim"}
_WIDTH = 200  # columns of the tables if stdout is not a terminal
_READ = settings_flags(
    *STUDY_FILES,
    *LABEL_FILES,
    *LABEL_TIMES,
    "label_origin",
    *POSES,
    "rate_hz",
    "run_rate_hz",
    "body_length_px",
    "allow_damaged",
)


@dataclass(frozen=True)
class _Check:
    """Check every video, label file and pose file of a study before training.

    The exit code is 0 if all is well, 1 if there are warnings, 2 if there are errors.
    """

    study: tyro.conf.Positional[Path]
    """Folder with Videos/, Annotations/ and DLC/, as far as they exist."""
    settings: Annotated[Settings, _READ] = field(default_factory=dict)
    workers: int | None = None
    """Recordings that are checked in parallel; without it, one per processor."""
    json: Path | None = None
    """Write rows and findings to this file as JSON; - prints them instead of the tables."""
    all: bool = False
    """List every recording and every finding, instead of counting similar ones."""
    strict: bool = False
    """Count warnings as errors."""
    quiet: bool = False
    """Print no tables."""


def run(arguments: list[str]) -> int:
    """`dolorim check STUDY`"""
    given = parse(_Check, arguments, "dolorim check")
    check_targets(given)
    from dolorim import api
    from dolorim.files.tables import write_text

    set_verbosity(given.quiet)
    checked = api.check(given.study, workers=given.workers, **given.settings)
    status = checked.status(given.strict)
    if given.json is not None:
        text = json.dumps(_as_json(checked, status), indent=1) + "\n"
        # Standard output then holds JSON and nothing else.
        if str(given.json) == "-":
            print(text, end="")
            return status
        write_text(given.json, text)
    if not given.quiet:
        _print_tables(checked, given.all)
    return status


def _print_tables(checked: Checked, everything: bool) -> None:
    from rich.console import Console

    from dolorim.cli.check_tables import (
        classes_table,
        finding_lines,
        recordings_table,
        summary_line,
    )

    width = None  # that of the terminal
    if not sys.stdout.isatty():
        width = _WIDTH
    console = Console(width=width, highlight=False)
    common, table = recordings_table(checked, everything)
    if common:
        console.print(common, markup=False, soft_wrap=True)
    console.print(table)
    if any(count.frames for count in checked.counts.values()):
        console.print(classes_table(checked))
    for severity, line in finding_lines(checked.findings, everything):
        console.print(line, style=_COLORS[severity], markup=False, soft_wrap=True)
    console.print(summary_line(checked.findings))


def _as_json(checked: Checked, status: int) -> dict[str, Any]:
    return {
        "status": status,
        "recordings": [_row_as_json(row, list(checked.counts)) for row in checked.rows],
        "classes": {name: dataclasses.asdict(count) for name, count in checked.counts.items()},
        "findings": [dataclasses.asdict(finding) for finding in checked.findings],
    }


def _row_as_json(row: Row, classes: list[str]) -> dict[str, Any]:
    from dolorim.cli.check_tables import class_frames

    examined = row.examined
    # Keys are always there, so that scripts need not ask for them.
    layout, trials = None, []
    if row.placement is not None:
        layout = row.placement.layout
        trials = [dataclasses.asdict(trial) for trial in row.placement.trials]
    pose = None
    if row.source.pose is not None:
        pose = str(row.source.pose)
    lag_frames, lag_agreement = None, None
    if examined.lag is not None:
        lag_frames, lag_agreement = examined.lag.frames, examined.lag.agreement
    return {
        "recording": row.name,
        "file": str(row.source.file),
        "animal": row.source.animal,
        "frames": examined.n_frames,
        "header_frames": examined.header_frames,
        "rate_hz": examined.rate_hz,
        "constant_rate": examined.constant_rate,
        "width_px": examined.width_px,
        "height_px": examined.height_px,
        "layout": layout,
        "trials": trials,
        "label_rows": sum(len(file.labels) for file in row.source.labels),
        "classes": dict(zip(classes, class_frames(row, len(classes)), strict=True)),
        "pose": pose,
        "pose_rows": examined.pose_rows,
        "keypoints": examined.keypoints,
        "missing": examined.missing,
        "body_length_px": examined.body_length_px,
        "lag": lag_frames,
        "lag_agreement": lag_agreement,
    }
