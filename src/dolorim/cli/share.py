"""`dolorim share`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from dolorim.cli.common import check_targets, parse


@dataclass(frozen=True)
class _Share:
    """Write a run as one file for somebody else: weights, settings, classes, and card.

    It holds no videos, no predictions, and no paths of this machine. Ids of animals stay in it.
    """

    run: tyro.conf.Positional[Path]
    """Run folder."""
    out: Path
    """File to write, ending in .zip."""
    license: str = ""
    """Under which license others may use the run, such as CC-BY-4.0."""
    about: str = ""
    """Animals and camera for the card, such as "C57BL/6, from below, Basler acA1300"."""
    quiet: bool = False
    """Print warnings and errors only."""


def run(arguments: list[str]) -> int:
    """`dolorim share RUN --out run.zip`"""
    given = parse(_Share, arguments, "dolorim share")
    check_targets(given)
    from dolorim import api
    from dolorim.inference.shared_run import NO_LICENSE, share_run

    folder = api.load_run(given.run).folder
    files = share_run(folder, given.out, given.license or NO_LICENSE, given.about)
    if not given.quiet:
        size_mb = given.out.stat().st_size / 1e6
        print(f"{given.out}: {len(files)} files, {size_mb:.1f} MB", file=sys.stderr)
        if not given.license:
            print("no license is stated; add one with --license CC-BY-4.0", file=sys.stderr)
    return 0
