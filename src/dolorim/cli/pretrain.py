"""`dolorim pretrain`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from dolorim.cli.common import (
    check_targets,
    parse,
    report_failures,
    set_verbosity,
    wait_politely,
)
from dolorim.cli.settings import Settings, settings_flags
from dolorim.config import CROPS, Config
from dolorim.core.errors import UserError
from dolorim.presets import with_settings
from dolorim.training.pretrain_options import PretrainOptions

_READ = settings_flags(*CROPS, "cache", "chambers", "run_rate_hz")


@dataclass(frozen=True)
class _Pretrain:
    """Learn an encoder from videos without labels, for `dolorim train --encoder`."""

    videos: tyro.conf.Positional[tuple[Path, ...]]
    """Videos, or folders of videos."""
    out: Path
    """Folder for the encoder."""
    settings: Annotated[Settings, _READ] = field(default_factory=dict)
    options: PretrainOptions = field(default_factory=PretrainOptions)
    quiet: bool = False
    """Print warnings and errors only."""


def run(arguments: list[str]) -> int:
    """`dolorim pretrain VIDEO... --out DIR`"""
    given = parse(_Pretrain, arguments, "dolorim pretrain")
    check_targets(given)
    if not given.videos:
        raise UserError("no videos given; usage: dolorim pretrain VIDEO... --out DIR")
    wait_politely()
    from dolorim.terminal import say
    from dolorim.training.pretrain import pretrain_encoder, recordings_in

    set_verbosity(given.quiet)
    data = with_settings(Config(), given.settings).data
    recordings, unclear = recordings_in(given.videos, data.chambers)
    encoder, failures = pretrain_encoder(recordings, given.out, data, given.options)
    n_videos = len(encoder.card["videos"])
    noun = "recording" if data.chambers else "video"
    videos = f"1 {noun}" if n_videos == 1 else f"{n_videos} {noun}s"
    say(f"encoder: {given.out}, which has seen {videos}; use it with train ... --encoder")
    return report_failures([*unclear, *failures])
