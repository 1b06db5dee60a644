"""`dolorim report`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from dolorim.cli.common import check_targets, parse, report_failures, settle
from dolorim.cli.label_flags import LabelFlags


@dataclass(frozen=True)
class _Report:
    """Read-outs, statistics between groups, figures and one HTML page, from predictions or from label files."""

    predictions: tyro.conf.Positional[Path]
    """Folder that predict has written, or a folder of label files in any format."""
    groups: Path
    """Table file,animal,group[,treated_side][,more]: whose each recording is, and what was done to that animal."""
    assay: str = "whole"
    """whole, formalin, von_frey, acetone, hargreaves, cfa, home_cage, or a .toml file of your own."""
    out: Path = Path("dolorim-report")
    """Folder for the page, the tables and the figures."""
    bin: str | None = None
    """Bins of the time course: 30s, 5min, 1h."""
    control: str | None = None
    """The group that others are compared with; else one called control, vehicle or the like, else the lowest dose,
    else the first."""
    pain: tuple[str, ...] = ()
    """Pain behaviors, the most telling first; else by name (lick, withdraw, flinch, shake, guard)."""
    second_factor: str | None = None
    """A column of the table of groups that is a second factor between animals (sex)."""
    within: str | None = None
    """A column that says when (day): several sessions of each animal."""
    stimuli: Path | None = None
    """Table video,onset_s[,trial] with the times of stimuli."""
    run: Path | None = None
    """The run that has made the predictions: its scores on held-out animals say which behaviors can be
    compared, and correct time budgets where they can."""
    agreement: Path | None = None
    """What dolorim agree --json has written: how well people agree, beside the run's scores."""
    classes: Path | None = None
    """For label files: the ethogram, as in train."""
    rate_hz: float | None = None
    """For label files: frames per second, where neither they nor their videos (--videos) tell it."""
    labels: LabelFlags = field(default_factory=LabelFlags)
    correction: Literal["holm", "fdr"] = "holm"
    """For many behaviors."""
    title: str | None = None
    seed: int = 0
    quiet: bool = False


def run(arguments: list[str]) -> int:
    """`dolorim report PREDICTIONS --groups groups.csv`"""
    given = parse(_Report, arguments, "dolorim report")
    check_targets(given)
    from dolorim.reporting.options import ReportOptions
    from dolorim.reporting.study_report import report_study
    from dolorim.terminal import say, warn
    from dolorim.video.frame_times import frame_times

    settle(given.quiet)
    flags = {f.name: getattr(given, f.name) for f in dataclasses.fields(given)}
    del flags["quiet"], flags["labels"]
    options = ReportOptions(
        **flags, labels=given.labels.settings(given.classes), times_of=frame_times
    )
    page, sentences, study = report_study(options)
    for finding in study.findings:
        if finding.severity == "note":
            say(f"note: {finding}")
        else:
            warn(str(finding))
    for sentence in sentences:
        say(sentence)
    say(f"open {page}")
    return report_failures(study.failures)
