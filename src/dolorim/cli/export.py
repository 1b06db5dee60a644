"""`dolorim export`."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import tyro

from dolorim.cli.common import check_targets, parse, report_failures
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.naming import is_video
from dolorim.files.poses import LOOKED_FOR, poses_of
from dolorim.labels.export import Target, export_predictions, export_to_boris
from dolorim.labels.nwb_subject import FactsTable, moment, read_facts
from dolorim.labels.prediction_files import meta_path, read_meta, read_predictions, which_counts
from dolorim.labels.predictions import Predictions, chamber_named
from dolorim.pose.read import read_pose

_ENDING = ".predictions.csv"


@dataclass(frozen=True)
class _Export:
    """Write predictions in the format of another tool."""

    predictions: tyro.conf.Positional[Path]
    """Folder that predict has written to, or one <name>.predictions.csv."""
    to: Target
    """Format."""
    out: Path | None = None
    """Folder for the results; without it, a folder named after the format beside the predictions.
    """
    pose: Path | None = None
    """For NWB: pose file of the one video, or folder with pose files that begin with their video's
    name."""
    individual: str | None = None
    """Which animal of a pose file with several animals."""
    session_start: str | None = None
    """For NWB: when the recording began, 2026-01-31T14:05; without a time zone, it is UTC."""
    recordings: Path | None = None
    """For NWB: table video,animal[,group][,sex][,age][,species][,session_start]; age in days.
    """
    quiet: bool = False
    """Print warnings and errors only."""


def run(arguments: list[str]) -> int:
    """`dolorim export PREDICTIONS --to FORMAT`"""
    given = parse(_Export, arguments, "dolorim export")
    check_targets(given)
    start = None if given.session_start is None else moment(given.session_start, "--session_start")
    if (given.pose or start or given.recordings) and given.to != "nwb":
        raise UserError(
            f"--pose, --session_start, and --recordings are for --to nwb; {given.to} has no place "
            f"for them"
        )
    files = _files(given.predictions)
    facts = FactsTable()
    if given.recordings is not None:
        facts = read_facts(given.recordings, [file.name.removesuffix(_ENDING) for file in files])
    out = given.out or files[0].parent / given.to
    failures: list[tuple[Path, str]] = []
    for together in _exported_together(files, given.to):
        recordings = {}
        for file in together:
            try:
                recordings[file] = _read(file)
            except UserError as error:
                failures.append((file, str(error)))
        try:
            _export([*recordings.values()], out, given, facts, start)
        except UserError as error:
            failures += [(file, str(error)) for file in recordings]
    if not given.quiet:
        written = f"{len(files) - len(failures)} of {len(files)} written"
        print(f"{written} as {given.to} to {out}", file=sys.stderr)
    # One file that fails does not stop the others; if all fail, the command did.
    code = report_failures(failures)
    if len(failures) == len(files):
        return 2
    return code


def _exported_together(files: Sequence[Path], to: Target) -> list[list[Path]]:
    """The files that are exported as one: for BORIS, those of all chambers of a video."""
    together: dict[str, list[Path]] = {}
    for file in files:
        name = file.name.removesuffix(_ENDING)
        if to == "boris":
            with contextlib.suppress(UserError):  # reading the predictions will name the damage
                chamber = chamber_named(read_meta(meta_path(file.parent, name)))
                name = name.removesuffix(f".{chamber}")
        together.setdefault(name, []).append(file)
    return [*together.values()]


def _read(file: Path) -> Predictions:
    predictions = read_predictions(file)
    for note in which_counts(file.parent, predictions.name).notes:
        print(f"note: {note}", file=sys.stderr)
    return predictions


def _export(
    recordings: Sequence[Predictions],
    out: Path,
    given: _Export,
    table: FactsTable,
    start: datetime | None,
) -> None:
    if not recordings:  # none of them could be read, which has been said
        return
    if given.to == "boris":
        export_to_boris(out, recordings)
        return
    [predictions] = recordings
    pose = None
    if given.pose is not None:
        pose = read_pose(_pose_of(predictions, given.pose), given.individual)
    facts = table.of(predictions.name, str(predictions.meta.get("animal", "")), start)
    if given.to == "nwb" and facts.missing() and not given.quiet:
        print(
            f"note: {predictions.name}: not known: {', '.join(facts.missing())}; archives ask for "
            f"them, give them as columns of --recordings FILE",
            file=sys.stderr,
        )
    export_predictions(out, predictions, given.to, pose, facts)


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    files = []
    if place.is_dir():
        # Hidden files are copies that some systems leave beside the real ones.
        files = sorted(p for p in place.glob(f"*{_ENDING}") if not p.name.startswith("."))
    if not files:
        raise UserError(
            f"{place}: expected a folder with <name>{_ENDING} files or one such file, as predict "
            f"writes them"
        )
    return files


def _pose_of(predictions: Predictions, place: Path) -> Path:
    """The pose file of a video: the one that is named, or the video's one in a folder.

    Raises `UserError` for none and for two.
    """
    if not place.is_dir():
        return place
    # Predictions may have another name than their video, whose path may come from another system.
    recorded = str(predictions.meta.get("video", predictions.name))
    video = Path(re.split(r"[\\/]", recorded)[-1])
    if not is_video(video):
        video = Path(f"{predictions.name}.mp4")
    findings: list[Finding] = []
    pose = poses_of([video], [place], findings).get(video)
    if pose is not None:
        return pose
    reason = f"looked for {LOOKED_FOR.replace('<video>', video.stem)}"
    if findings:
        reason = findings[0].what
    raise UserError(
        f"{place}: no single pose file of {predictions.name} ({reason}); name it with --pose FILE"
    )
