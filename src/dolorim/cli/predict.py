"""`dolorim predict`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from dolorim.cli.common import (
    check_targets,
    parse,
    report_failures,
    set_verbosity,
    wait_politely,
    with_usual,
)
from dolorim.core.errors import UserError
from dolorim.core.wording import counted
from dolorim.inference.predict_options import PredictOptions

if TYPE_CHECKING:
    from dolorim.inference.predict_batch import BatchResult


@dataclass(frozen=True)
class _Predict:
    """Label videos that the run was not trained on."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    videos: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Videos, or folders of videos; for a run of poses alone, pose files or folders of them."""
    dlc: Path | None = None
    """Folder with pose files, for a run that was trained on poses. Without it: those in the DLC/
    beside the folder of the videos, or beside the videos. A run of poses alone needs no videos."""
    chambers: str | None = None
    """Several animals in one video, each in its own chamber: a table [video,]chamber,x0,y0,x1,y1;
    2x4 for a grid of 2 rows with 4 chambers each; auto to find them in the picture. Without it: the
    chambers.csv beside the videos, if there is one."""
    out: Path | None = None
    """Folder for the results; RUN/predictions/new without it."""
    options: PredictOptions = field(default_factory=PredictOptions)
    profile: bool = False
    """Print at the end how much time each step took."""
    quiet: bool = False
    """Print warnings and errors only."""


def run(arguments: list[str]) -> int:
    """`dolorim predict RUN VIDEO...`"""
    arguments = with_usual(arguments, "--abstain", "0.1", _is_number)
    given = parse(_Predict, arguments, "dolorim predict")
    check_targets(given)
    if not given.videos and given.dlc is None:
        raise UserError("no videos given; usage: dolorim predict RUN VIDEO...")
    wait_politely()
    from dolorim import api
    from dolorim.terminal import say

    set_verbosity(given.quiet)
    run = api.load_run(given.run)
    out = given.out or run.folder.predictions("new")
    # The API takes the options as keywords.
    settings = {f.name: getattr(given.options, f.name) for f in dataclasses.fields(given.options)}
    places = {"dlc": given.dlc, "chambers": given.chambers}
    batch = api.predict(run, given.videos, out=out, **places, **settings)
    say(f"{_summary(batch)}; results in {out}")
    if given.profile:
        _show_profile(batch, given.options)
    failed = report_failures(batch.failed)
    damaged = report_failures(batch.damaged, "damaged")
    if not (batch.done or batch.skipped or batch.bugs):
        # Nothing was labeled, and no bug of ours is to blame: the user has to change something.
        return 2
    return max(failed, damaged)


def _show_profile(batch: BatchResult, options: PredictOptions) -> None:
    from dolorim.reporting.tables import profile_table
    from dolorim.terminal import show

    # Seconds of several workers add up to more than the time that has passed.
    in_parallel = options.engine == "ray" or (options.jobs or 1) > 1
    show(profile_table(batch.seconds, batch.frames, in_parallel))


def _summary(batch: BatchResult) -> str:
    """`12 recordings labeled (4,320 frames), 3 were done before`"""
    text = f"{counted(len(batch.done), 'recording')} labeled ({batch.frames:,} frames)"
    if batch.skipped:
        text += f", {len(batch.skipped)} were done before"
    return text


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
