"""`dolorim inspect`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from dolorim.cli.common import check_targets, parse
from dolorim.config import DataConfig
from dolorim.core.errors import UserError


@dataclass(frozen=True)
class _Inspect:
    """What is in a video, a label file or a pose file, in one screen."""

    file: tyro.conf.Positional[Path]
    crops: Path | None = None
    """For a video: draw a contact sheet of the follow crop to this PNG file."""
    overlay: Path | None = None
    """For a video: draw its pose on frames spread over it to this PNG file. The pose is looked for beside the video and
    in DLC/, or is the file or in the folder that --dlc names."""
    data: DataConfig = field(default_factory=DataConfig)
    json: bool = False
    """Print the findings as JSON to stdout."""


def run(arguments: list[str]) -> int:
    """`dolorim inspect FILE`"""
    given = parse(_Inspect, arguments, "dolorim inspect")
    check_targets(given)
    from dolorim.checks.inspect import contact_sheet, look_at
    from dolorim.checks.pose_sheet import pose_sheet
    from dolorim.files.poses import pose_of_video
    from dolorim.pose.read import READERS

    drawn = given.crops or given.overlay
    if drawn is not None and given.file.suffix.casefold() in READERS:
        raise UserError(
            f"{given.file}: frames are drawn from a video, found a table; name the video, and this with --dlc"
        )
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
    if given.overlay is not None:
        pose = pose_of_video(given.file, given.data.dlc)
        if pose is None:
            raise UserError(
                f"{given.file}: no pose file lies beside it or in DLC/; name it with --dlc FILE"
            )
        pose_sheet(given.file, pose, given.data, given.overlay)
        print(f"pose on frames: {given.overlay}", file=sys.stderr)
    return 1 if found.get("damage") else 0
