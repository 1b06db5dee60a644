"""`dolorim report`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dolorim.cli.common import check_targets, parse, report_failures, set_verbosity
from dolorim.cli.settings import Settings, settings_flags
from dolorim.config import LABEL_FILES, LABEL_TIMES

_READ = settings_flags("videos", "label_origin", *LABEL_FILES, *LABEL_TIMES)


@dataclass(frozen=True)
class _Report:
    """Read-outs, group statistics, figures and an HTML page, from predictions or label files."""

    predictions: tyro.conf.Positional[Path]
    """Folder that predict has written, or a folder of label files in any format."""
    groups: Path
    """Table file,animal,group[,treated_side][,more]: the animal of each recording and its group."""
    assay: str = "whole"
    """whole, formalin, von_frey, acetone, hargreaves, cfa, home_cage, or a .toml file of your
    own.
    """
    out: Path = Path("dolorim-report")
    """Folder for the page, the tables and the figures."""
    bin: str | None = None
    """Bins of the time course: 30s, 5min, 1h."""
    control: str | None = None
    """The group that others are compared with. Without it: a group called control, vehicle or the
    like, otherwise the lowest dose, otherwise the first group."""
    pain: tuple[str, ...] = ()
    """Pain behaviors, the most telling one first. Without it, they are found by name (lick,
    withdraw, flinch, shake, guard)."""
    second_factor: str | None = None
    """Column of the table of groups that is a second factor between animals (sex)."""
    within: str | None = None
    """Column that tells sessions of one animal apart (day)."""
    covariates: tuple[str, ...] = ()
    """Columns of the table of groups (weight, sex) to adjust the difference between groups for. A
    column cluster (litter, cage) is used without being named."""
    planned: tuple[str, ...] = ()
    """Comparisons to make in that model, such as 'drug - vehicle'. Without it, each group with the
    control."""
    stimuli: Path | None = None
    """Table video,onset_s[,trial] with the times of stimuli."""
    von_frey: Path | None = None
    """Table animal,filament_g,response[,session] of filaments applied up and down, scored by hand:
    adds 50 % thresholds to the report."""
    hand_tests: Path | None = None
    """Table animal,test,value[,session][,cut_off][,filament_g] of tests scored by hand: latencies
    with a cut-off (hargreaves), scores (acetone), answers to single filaments (filament)."""
    hand_labels: Path | None = None
    """Folder of label files that people made of some of the animals, chosen by chance: shows how
    well read-outs agree, and corrects the difference between groups by them."""
    clips: int = 3
    """Typical and doubtful bouts of each pain behavior and group that the page shows as moving
    pictures, if the videos are at hand. 0 for none."""
    run: Path | None = None
    """The run that made the predictions: its scores on held-out animals tell which behaviors can be
    compared, and correct time budgets where possible."""
    agreement: Path | None = None
    """File that dolorim agree --json has written: how well people agree, next to the run's
    scores.
    """
    classes: Path | None = None
    """For label files: the ethogram, as in train."""
    rate_hz: float | None = None
    """For label files: frames per second, if neither they nor their videos (--videos) tell."""
    settings: Annotated[Settings, _READ] = field(default_factory=dict)
    correction: Literal["holm", "fdr"] = "holm"
    """Correction of p values for the number of behaviors."""
    title: str | None = None
    """Title of the page."""
    seed: int = 0
    """Seed of the permutation tests and intervals."""
    quiet: bool = False
    """Print warnings and errors only."""


_NOT_SETTINGS = ("predictions", "settings", "quiet")


def run(arguments: list[str]) -> int:
    """`dolorim report PREDICTIONS --groups groups.csv`"""
    given = parse(_Report, arguments, "dolorim report")
    check_targets(given)
    from dolorim import api
    from dolorim.terminal import say, warn

    set_verbosity(given.quiet)
    names = [f.name for f in dataclasses.fields(given) if f.name not in _NOT_SETTINGS]
    flags = {name: getattr(given, name) for name in names}
    report = api.report(given.predictions, **flags, **given.settings)
    for finding in report.study.findings:
        if finding.severity == "note":
            say(f"note: {finding}")
        else:
            warn(str(finding))
    for sentence in report.sentences:
        say(sentence)
    say(f"open {report.page}")
    return report_failures(report.study.failures)
