"""`dolorim export-model`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dolorim.cli.common import check_targets, parse
from dolorim.core.errors import UserError


@dataclass(frozen=True)
class _ExportModel:
    """Write a run's network for programs that do not have PyTorch, or its files for those that do.

    onnx is one file whose metadata say how to prepare pictures and how much context it needs;
    folder holds what `dolorim predict` needs, as `dolorim share` packs it.
    """

    run: tyro.conf.Positional[Path]
    """Run folder."""
    to: Literal["onnx", "folder"]
    """Format."""
    out: Path | None = None
    """File or folder to write; without it, model.onnx or model in the run folder."""
    frames: Annotated[int, tyro.conf.arg(metavar="N")] = 64
    """For onnx: frames that one call decides on. Fewer answer sooner; more cost less per frame."""
    quiet: bool = False
    """Print warnings and errors only."""


def run(arguments: list[str]) -> int:
    """`dolorim export-model RUN --to onnx`"""
    given = parse(_ExportModel, arguments, "dolorim export-model")
    check_targets(given)
    if not 1 <= given.frames <= 4096:
        raise UserError(f"--frames {given.frames}: expected 1 to 4096")
    from dolorim import api
    from dolorim.inference.export_onnx import export_onnx
    from dolorim.inference.shared_run import collect_run

    folder = api.load_run(given.run).folder
    # A folder is a run folder without what others must not or need not have.
    if given.to == "folder":
        out = given.out or folder.path / "model"
        if out.exists() and any(out.iterdir()):
            raise UserError("is not empty", where=f"--out {out}", remedy="name a new folder")
        out.mkdir(parents=True, exist_ok=True)
        told = f"{len(collect_run(folder, out))} files"
    else:
        out = given.out or folder.path / "model.onnx"
        facts = export_onnx(folder, out, given.frames)
        told = (
            f"takes {facts['window']} crops and decides on {facts['frames']} of them "
            f"({facts['before']} before and {facts['after']} after are context)"
        )
    if not given.quiet:
        print(f"{out}: {told}", file=sys.stderr)
    return 0
