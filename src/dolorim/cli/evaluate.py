"""`dolorim evaluate`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from dolorim.cli.common import check_targets, parse, settle, show_metrics
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.study import in_study_folder, with_study_files
from dolorim.files.tables import write_text

if TYPE_CHECKING:
    from dolorim.inference.run_folder import RunFolder


@dataclass(frozen=True)
class _Evaluate:
    """Score a run on its own held-out animals or on another project, or compare two runs:  RUN RUN [PROJECT]"""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    project: tyro.conf.Positional[Path | None] = None
    """Folder with Videos/ and Annotations/ of other animals; without it, the run's own held-out ones. Or a second run
    to compare the first with, on the test animals of both."""
    compare_on: tyro.conf.Positional[Path | None] = None
    """For two runs: a project to score both on."""
    videos: Path | None = None
    annotations: Path | None = None
    recordings: Path | None = None
    trial_layout: Literal["auto", "fixed", "cumulative"] | None = None
    """For another project: as in train."""
    label_stream: str | None = None
    """For another project: which of several subjects or streams in its label files."""
    label_gaps: str | None = None
    """For another project: class of frames that bouts leave out; as in train."""
    label_counts_from: Literal["auto", "0", "1"] = "auto"
    """For another project: what the frame numbers in its label files count from; as in train."""
    label_step: int | None = None
    """For another project: frames for each row of its label files; as in train."""
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
    """`dolorim evaluate RUN [PROJECT]` and `dolorim evaluate RUN RUN [PROJECT]`"""
    given = parse(_Evaluate, arguments, "dolorim evaluate")
    check_targets(given)
    from dolorim.evaluation.evaluate import evaluate_held_out, evaluate_project
    from dolorim.inference.run_folder import RunFolder

    settle(given.quiet)
    run = RunFolder(given.run)
    data = run.read_config().data
    metrics: dict[str, Any]
    if given.project is not None and (given.project / "config.toml").exists():
        metrics = _compare(run, RunFolder(given.project), given)
    elif given.compare_on is not None:
        raise UserError(
            f"{given.project}: not a run folder; usage: dolorim evaluate RUN [PROJECT], or RUN RUN [PROJECT]"
        )
    elif given.project is None and given.videos is None:
        metrics = evaluate_held_out(run)
        if not metrics:
            raise UserError(
                f"{run.path}: no animals were held out of this run; name another project to score it on"
            )
        show_metrics(run, metrics)
    else:
        other = _other(data, given, given.project)
        metrics = {
            "other": evaluate_project(run, other, run.predictions("other"), given.seen_animals_too)
        }
        show_metrics(run, metrics)
    if given.json is not None:
        write_text(given.json, json.dumps(metrics, indent=1) + "\n")
    return 0


def _compare(one: RunFolder, two: RunFolder, given: _Evaluate) -> dict[str, Any]:
    from dolorim.evaluation.compare import compare_held_out, compare_on
    from dolorim.reporting.tables import comparison_table
    from dolorim.terminal import show

    if given.compare_on is None and given.videos is None:
        found = compare_held_out(one, two, given.seen_animals_too)
    else:
        data = [_other(r.read_config().data, given, given.compare_on) for r in (one, two)]
        found = compare_on(one, two, (data[0], data[1]), given.seen_animals_too)
    show(comparison_table(found, one.read_ethogram().indicator))
    return found


def _other(data: DataConfig, given: _Evaluate, project: Path | None) -> DataConfig:
    """A run's settings for the data of another project.

    Whoever made the run does not say where files lie or are put here, nor what is searched for in their names.
    """
    other = dataclasses.replace(
        data, videos=given.videos, annotations=given.annotations, recordings=given.recordings, cache=given.cache,
        dlc=given.dlc, classes=None, animal_pattern=given.animal_pattern or DataConfig().animal_pattern,
        trial_layout=given.trial_layout or data.trial_layout, label_format="auto",
        label_stream=given.label_stream, on_conflict=given.on_conflict or data.on_conflict,
        label_counts_from=given.label_counts_from, label_step=given.label_step,
        label_gaps=data.label_gaps if given.label_gaps is None else given.label_gaps,
    )  # fmt: skip
    other = in_study_folder(project, other) if project else with_study_files(other)
    return dataclasses.replace(other, classes=other.classes or given.run / "ethogram.toml")
