"""`dolorim extract`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from dolorim.cli.common import parse, report_failures, settle
from dolorim.config import Config, DataConfig, ModelConfig
from dolorim.formats.project import in_project


@dataclass(frozen=True)
class _Extract:
    """Decode every video of a project once into the frame cache."""

    project: tyro.conf.Positional[Path]
    """Folder with Videos/ and, if there are any, Annotations/."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    features: bool = False
    """Also compute the features of a pretrained network (--visual, --encoder_name, --encoder_weights) once."""
    workers: int | None = None
    """Videos that are decoded at a time; without it, one per processor."""
    quiet: bool = False


def run(arguments: list[str]) -> int:
    """`dolorim extract PROJECT`"""
    given = parse(_Extract, arguments, "dolorim extract")
    from dolorim.engine.extract import extract as fill_cache
    from dolorim.engine.extract import usual_workers
    from dolorim.engine.features import compute_features
    from dolorim.engine.talk import say, warn
    from dolorim.formats.naming import find_videos

    settle(given.quiet)
    data = in_project(given.project, given.data)
    assert data.videos is not None
    videos = find_videos([data.videos])
    found, failures = fill_cache(videos, data, given.workers or usual_workers())
    for entry in found.values():
        if entry.damage:
            warn(f"{entry.video}: {entry.damage}")
    say(
        f"{len(found)} of {len(videos)} videos are in the frame cache, {sum(e.n_frames for e in found.values())} frames"
    )
    if given.features:
        compute_features(Config(data=data, model=given.model), [*found.values()])
    return report_failures(failures)
