"""`dolorim inspect`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from dolorim.cli.common import check_targets, parse
from dolorim.cli.settings import Settings, settings_flags
from dolorim.config import CROPS, LABEL_FILES, POSES, Config
from dolorim.core.errors import UserError
from dolorim.files.recordings import Chamber
from dolorim.presets import with_settings

_READ = settings_flags("classes", "dlc", "chambers", *LABEL_FILES, *POSES, *CROPS, "rate_hz")


@dataclass(frozen=True)
class _Inspect:
    """What is in a video, a label file or a pose file, on one screen."""

    file: tyro.conf.Positional[Path]
    """Video, label file or pose file."""
    crops: Path | None = None
    """For a video: draw what the network would see, on a contact sheet in this PNG file; with
    --chambers, the chambers and what it would see of each."""
    overlay: Path | None = None
    """For a video: draw its pose on a few frames, in this PNG file. The pose file is looked for
    beside the video and in DLC/, or is the one that --dlc names."""
    settings: Annotated[Settings, _READ] = field(default_factory=dict)
    json: bool = False
    """Print the results as JSON to stdout."""


def run(arguments: list[str]) -> int:
    """`dolorim inspect FILE`"""
    given = parse(_Inspect, arguments, "dolorim inspect")
    check_targets(given)
    from dolorim.checks.inspect import contact_sheet, look_at
    from dolorim.checks.pose_sheet import pose_sheet
    from dolorim.checks.rack_sheet import find_chambers, look_at_chambers, rack_sheet
    from dolorim.files.poses import pose_of_video
    from dolorim.pose.read import READERS

    draws = given.crops or given.overlay
    if draws is not None and given.file.suffix.casefold() in READERS:
        raise UserError(
            f"{given.file}: frames are drawn from a video, found a table; name the video, and this "
            f"file with --dlc"
        )
    config = with_settings(Config(), given.settings).data
    results = look_at(given.file, config)
    chambers: tuple[Chamber, ...] = ()
    if config.chambers is not None:
        chambers = find_chambers(given.file, config)
        results |= look_at_chambers(given.file, chambers, config)
    if given.json:
        print(json.dumps(results, indent=1))
    else:
        width = max(map(len, results))
        for key, value in results.items():
            print(f"{key:{width}}  {value}")
    if given.crops is not None:
        if chambers:
            rack_sheet(given.file, chambers, config, given.crops)
        else:
            contact_sheet(given.file, config, given.crops)
        print(f"contact sheet: {given.crops}", file=sys.stderr)
    if given.overlay is not None:
        pose = pose_of_video(given.file, config.dlc)
        if pose is None:
            raise UserError(
                f"{given.file}: there is no pose file beside it or in DLC/; name it with --dlc FILE"
            )
        pose_sheet(given.file, pose, config, given.overlay)
        print(f"pose on frames: {given.overlay}", file=sys.stderr)
    return 1 if results.get("damage") else 0
