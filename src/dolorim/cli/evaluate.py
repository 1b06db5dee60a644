"""`dolorim evaluate`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from dolorim.cli.common import check_targets, parse, set_verbosity, show_metrics
from dolorim.cli.settings import Settings, settings_flags
from dolorim.config import LABEL_FILES, LABEL_TIMES, POSES, STUDY_FILES
from dolorim.core.errors import UserError
from dolorim.files.tables import write_text

_READ = settings_flags(
    *STUDY_FILES, *LABEL_FILES, *LABEL_TIMES, *POSES, "body_length_px", "mask", "cache"
)


@dataclass(frozen=True)
class _Evaluate:
    """Score a run on its held-out animals or on another study, or compare two runs:  RUN RUN
    [STUDY]

    Settings describe the files of the other study; those that are not given are the run's own.
    """

    run: tyro.conf.Positional[Path]
    """Run folder."""
    study: tyro.conf.Positional[Path | None] = None
    """Folder with Videos/ and Annotations/ of other animals; without it, the run is scored on its
    own held-out animals. Or a second run, to compare the first one with."""
    compare_on: tyro.conf.Positional[Path | None] = None
    """For two runs: a study to score both on; without it, the test animals of both."""
    settings: Annotated[Settings, _READ] = field(default_factory=dict)
    seen_animals_too: bool = False
    """Also score animals that the run was trained on; the figures say so."""
    curve: bool = False
    """Tell whether labeling more would help: refit a quick head to 10, 25, 50, and 100 % of the
    training bouts, and score it on the held-out animals."""
    json: Path | None = None
    """Also write the figures to this file."""
    quiet: bool = False
    """Print warnings and errors only."""


def run(arguments: list[str]) -> int:
    """`dolorim evaluate RUN [STUDY]` and `dolorim evaluate RUN RUN [STUDY]`"""
    given = parse(_Evaluate, arguments, "dolorim evaluate")
    check_targets(given)
    from dolorim import api

    set_verbosity(given.quiet)
    run = api.load_run(given.run)
    metrics: dict[str, Any]
    if given.curve:
        metrics = _curve(run, given)
    elif given.study is not None and (given.study / "config.toml").exists():
        metrics = _compare(run, api.load_run(given.study), given)
    elif given.compare_on is not None:
        raise UserError(
            f"{given.study}: not a run folder; usage: dolorim evaluate RUN [STUDY], or RUN RUN "
            f"[STUDY]"
        )
    else:
        metrics = api.evaluate(
            run, given.study, seen_animals_too=given.seen_animals_too, **given.settings
        )
        show_metrics(run.folder, metrics)
    if given.json is not None:
        write_text(given.json, json.dumps(metrics, indent=1) + "\n")
    return 0


def _curve(run: Any, given: _Evaluate) -> dict[str, Any]:
    if given.study is not None or given.settings:
        raise UserError("--curve is about the run's own study; leave everything else out")
    from dolorim.reporting.curve_figure import curve_table, draw_curve
    from dolorim.terminal import say, show
    from dolorim.training.label_curve import label_curve

    curve = label_curve(run.folder)
    show(curve_table(curve))
    draw_curve(curve, run.folder.figures / "label_curve.png")
    say(curve["sentence"])
    return curve


def _compare(first: Any, second: Any, given: _Evaluate) -> dict[str, Any]:
    from dolorim import api
    from dolorim.reporting.tables import comparison_table
    from dolorim.terminal import show

    figures = api.compare(
        first, second, given.compare_on, seen_animals_too=given.seen_animals_too, **given.settings
    )
    show(comparison_table(figures, first.folder.read_ethogram().indicator))
    return figures
