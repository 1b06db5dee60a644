"""`dolorim evaluate`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from dolorim.cli.common import parse, settle, show_metrics
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.formats.project import in_project, with_project_files
from dolorim.formats.table import write_text


@dataclass(frozen=True)
class _Evaluate:
    """Score a run: on its own held-out animals, or on another project."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    project: tyro.conf.Positional[Path | None] = None
    """Folder with Videos/ and Annotations/ of other animals; without it, the run's own held-out ones."""
    videos: Path | None = None
    annotations: Path | None = None
    recordings: Path | None = None
    trial_layout: Literal["auto", "fixed", "cumulative"] | None = None
    """For another project: as in train."""
    label_stream: str | None = None
    """For another project: which of several subjects or streams in its label files."""
    label_gaps: str | None = None
    """For another project: class of frames that bouts leave out; as in train."""
    on_conflict: Literal["error", "warn"] | None = None
    """For another project: as in train."""
    dlc: Path | None = None
    """For another project: folder with its pose files."""
    animal_pattern: str | None = None
    """For another project: as in train."""
    cache: Path | None = None
    """For another project: folder of the frame cache."""
    seen_animals_too: bool = False
    """Score animals that the run has learned from as well; the figures will say so."""
    json: Path | None = None
    """Write the figures to this file too."""
    quiet: bool = False


def run(arguments: list[str]) -> int:
    """`dolorim evaluate RUN [PROJECT]`"""
    given = parse(_Evaluate, arguments, "dolorim evaluate")
    from dolorim.engine.evaluate import evaluate_held_out, evaluate_project
    from dolorim.engine.run_folder import RunFolder

    settle(given.quiet)
    run = RunFolder(given.run)
    data = run.read_config().data
    if given.project is None and given.videos is None:
        metrics = evaluate_held_out(run)
        if not metrics:
            raise UserError(f"{run.path}: no animals were held out of this run; name another project to score it on")
    else:
        # Whoever made the run does not say where files lie or are put here, nor what is searched for in their names.
        other = dataclasses.replace(
            data, cache=given.cache, dlc=given.dlc, classes=None, videos=given.videos, annotations=given.annotations,
            animal_pattern=given.animal_pattern or DataConfig().animal_pattern, recordings=given.recordings,
            trial_layout=given.trial_layout or data.trial_layout, label_format="auto",
            label_stream=given.label_stream, on_conflict=given.on_conflict or data.on_conflict,
            label_gaps=data.label_gaps if given.label_gaps is None else given.label_gaps,
        )  # fmt: skip
        other = in_project(given.project, other) if given.project else with_project_files(other)
        other = dataclasses.replace(other, classes=other.classes or run.path / "ethogram.toml")
        metrics = {"other": evaluate_project(run, other, run.predictions("other"), given.seen_animals_too)}
    show_metrics(run, metrics)
    if given.json is not None:
        write_text(given.json, json.dumps(metrics, indent=1) + "\n")
    return 0
