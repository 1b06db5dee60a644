"""`dolorim extract`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from dolorim.cli.common import check_targets, in_our_words, parse, report_failures, settle, value_of
from dolorim.config import Config, DataConfig, ModelConfig
from dolorim.dataset.study import in_study_folder, open_study


@dataclass(frozen=True)
class _Extract:
    """Decode every video of a project once into the frame cache."""

    project: tyro.conf.Positional[Path]
    """Folder with Videos/ and, if there are any, Annotations/."""
    data: DataConfig
    model: ModelConfig
    approach: Literal["video", "multimodal", "multitask"] = "video"
    """Whose pictures: `train multitask` looks at smaller ones, unless --image_size says otherwise."""
    features: bool = False
    """Also compute the features of a pretrained network (--visual, --encoder_name, --encoder_weights) once."""
    workers: int | None = None
    """Videos that are decoded at a time; without it, one per processor."""
    quiet: bool = False


def run(arguments: list[str]) -> int:
    """`dolorim extract PROJECT`"""
    from dolorim.presets import PRESETS

    arguments = in_our_words(arguments)
    base = PRESETS.get(value_of("--approach", arguments) or "video", PRESETS["video"])
    default = _Extract(project=tyro.MISSING, data=base.data, model=base.model)
    given = parse(_Extract, arguments, "dolorim extract", default=default)
    check_targets(given)
    from dolorim.core.workers import usual_workers
    from dolorim.dataset.extract import extract as fill_cache
    from dolorim.dataset.loading import measure_project
    from dolorim.files.naming import find_videos
    from dolorim.inference.backbone_features import compute_features
    from dolorim.terminal import say, warn

    settle(given.quiet)
    data = in_study_folder(given.project, given.data)
    assert data.videos is not None
    videos = find_videos([data.videos])
    project = open_study(data)
    poses = {s.video: s.pose for s in project.sources} if data.crop == "pose" else {}
    lengths = measure_project(dataclasses.replace(base, data=data, model=given.model), project)
    found, failures = fill_cache(
        {v: poses.get(v) for v in videos}, data, given.workers or usual_workers(), lengths
    )
    for entry in found.values():
        if entry.damage:
            warn(f"{entry.video}: {entry.damage}")
    frames, side = sum(e.n_frames for e in found.values()), data.image_size
    say(
        f"{len(found)} of {len(videos)} videos are in the frame cache, {frames} frames of {side}x{side} pixels"
    )
    if given.features:
        compute_features(Config(data=data, model=given.model), [*found.values()], lengths)
    return report_failures(failures)
