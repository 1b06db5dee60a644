"""`dolorim predict`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from dolorim.cli.common import (
    check_targets,
    parse,
    report_failures,
    settle,
    wait_politely,
    with_usual,
)
from dolorim.core.errors import UserError
from dolorim.files.targets import check_folder


@dataclass(frozen=True)
class _Predict:
    """Label videos that the run has not learned from."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    videos: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Videos, or folders of videos; for a run of poses alone, pose files or folders of them."""
    dlc: Path | None = None
    """Folder with pose files, for a run that has learned from poses. Without it: those in the DLC/ beside the folder of
    the videos, or beside the videos. For a run of poses alone it may stand instead of videos."""
    out: Path | None = None
    """Folder for the results; RUN/predictions/new without it."""
    overlay: bool = False
    """Also write a copy of each video with labels and probabilities painted on it."""
    keypoints: bool = False
    """Also write the keypoints that a run of train multitask finds, as DeepLabCut would write them."""
    body_length_px: float | None = None
    """Body length in these videos, where the run has a fixed one and the camera is another."""
    mask: str | None = None
    """Regions of these videos to blank, where they differ from those that the run has learned from."""
    abstain: float | None = None
    """Leave ambiguous frames open (None): those that could be of another class, or of none, at this error rate.
    Without a number: 0.1."""
    abstain_by: Path | None = None
    """A cross-validated run of the same recipe, whose held-out animals say what is ambiguous; else RUN's own do."""
    overwrite: bool = True
    """--no_overwrite skips videos whose results are complete, to go on with a batch that was stopped."""
    engine: Literal["local", "ray"] = "local"
    """local: this machine; ray: a Ray cluster, which must see the same files under the same names."""
    jobs: int | None = None
    """Workers that share the work, each with its own copy of the network: 1 on this machine, all there is room for in
    a cluster. Long videos are divided among them."""
    address: str | None = None
    """Address of the Ray cluster (auto: the one that this machine belongs to); without it, one is started here."""
    profile: bool = False
    """Say at the end what the time was spent on."""
    quiet: bool = False


def run(arguments: list[str]) -> int:
    """`dolorim predict RUN VIDEO...`"""
    arguments = with_usual(arguments, "--abstain", "0.1", _is_number)
    given = parse(_Predict, arguments, "dolorim predict")
    check_targets(given)
    if not given.videos and given.dlc is None:
        raise UserError("no videos given; usage: dolorim predict RUN VIDEO...")
    if given.jobs is not None and given.jobs < 1:
        raise UserError(f"--jobs {given.jobs}: expected 1 or more")
    wait_politely()
    from dolorim.inference.inputs import find_inputs
    from dolorim.inference.predict_batch import predict_videos
    from dolorim.inference.run_folder import RunFolder
    from dolorim.reporting.tables import profile_table
    from dolorim.terminal import say, show

    settle(given.quiet)
    run = RunFolder(given.run)
    visual = run.read_config().model.visual  # a wrong run folder is said first
    if not given.videos and visual != "none":
        raise UserError(
            "no videos given; usage: dolorim predict RUN VIDEO... (--dlc alone is for runs of poses alone)"
        )
    out = given.out or run.predictions("new")
    check_folder(out, "--out")
    knobs = {
        name: getattr(given, name)
        for name in (
            "overlay",
            "overwrite",
            "body_length_px",
            "mask",
            "abstain",
            "engine",
            "address",
            "keypoints",
        )
    }
    if given.abstain_by is not None:
        if given.abstain is None:
            raise UserError("--abstain_by says whose sets to use, and needs --abstain")
        knobs["abstain_by"] = RunFolder(given.abstain_by)
    workers = given.jobs if given.jobs is not None else int(given.engine == "local")
    outcome = predict_videos(
        run, find_inputs(run, given.videos, given.dlc), out, workers=workers, **knobs
    )
    skipped = f", {len(outcome.skipped)} were done before" if outcome.skipped else ""
    n = len(outcome.done)
    say(
        f"{n} video{'s' * (n != 1)} labelled ({outcome.frames:,} frames){skipped}; results in {out}"
    )
    if given.profile:
        show(profile_table(outcome.seconds, outcome.frames, workers > 1))
    code = max(report_failures(outcome.failed), report_failures(outcome.damaged, "damaged"))
    # Where nothing could be labelled, the user has to change something, unless the fault is ours.
    return code if outcome.done or outcome.skipped or outcome.bugs else 2


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
