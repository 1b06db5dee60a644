"""`dolorim inspect`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from dolorim.cli.common import parse
from dolorim.config import DataConfig


@dataclass(frozen=True)
class _Inspect:
    """What is in a video, a label file or a pose file, in one screen."""

    file: tyro.conf.Positional[Path]
    crops: Path | None = None
    """For a video: draw a contact sheet of the follow crop to this PNG file."""
    data: DataConfig = field(default_factory=DataConfig)
    json: bool = False
    """Print the findings as JSON to stdout."""


def run(arguments: list[str]) -> int:
    """`dolorim inspect FILE`"""
    given = parse(_Inspect, arguments, "dolorim inspect")
    from dolorim.data.inspect import contact_sheet, look_at

    found = look_at(given.file, given.data)
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        width = max(map(len, found))
        for key, value in found.items():
            print(f"{key:{width}}  {value}")
    if given.crops is not None:
        contact_sheet(given.file, given.data, given.crops)
        print(f"contact sheet: {given.crops}", file=sys.stderr)
    return 1 if found.get("damage") else 0
