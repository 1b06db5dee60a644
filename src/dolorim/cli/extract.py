"""`dolorim extract`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dolorim.cli.common import check_targets, parse, report_failures, set_verbosity
from dolorim.cli.settings import Settings, settings_flags
from dolorim.config import CROPS, LABEL_FILES, POSES, STUDY_FILES
from dolorim.presets import PRESETS, with_settings

# What the visual encoder is, and whether its features can be stored.
_MODEL = ("visual", "encoder_name", "encoder_weights", "pose", "tasks", "freeze_backbone_epochs")
_LOOKS = ("input", "encoder_turns", "head", "encoder")
_READ = settings_flags(*STUDY_FILES, *LABEL_FILES, *POSES, *CROPS, "cache", *_MODEL, *_LOOKS)


@dataclass(frozen=True)
class _Extract:
    """Decode every video of a study once into the frame cache that training reads."""

    study: tyro.conf.Positional[Path]
    """Folder with Videos/ and, if there are any, Annotations/."""
    settings: Annotated[Settings, _READ] = field(default_factory=dict)
    approach: Literal["video", "multimodal", "multitask"] = "video"
    """Whose pictures: `train multitask` reads smaller ones, unless --image_size is given."""
    features: bool = False
    """Also compute once what a quick head reads (--head linear or trees), or the features of a
    pretrained network (--visual, --encoder_name, --encoder_weights)."""
    workers: int | None = None
    """Videos that are decoded in parallel; without it, one per processor."""
    quiet: bool = False
    """Print warnings and errors only."""


def run(arguments: list[str]) -> int:
    """`dolorim extract STUDY`"""
    given = parse(_Extract, arguments, "dolorim extract")
    check_targets(given)
    from dolorim.core.workers import usual_workers
    from dolorim.dataset.extract import extract as fill_cache
    from dolorim.dataset.loading import measure_study
    from dolorim.dataset.study import in_study_folder, open_study
    from dolorim.files.recordings import count_of
    from dolorim.terminal import say, warn

    set_verbosity(given.quiet)
    config = with_settings(PRESETS[given.approach], given.settings)
    data = in_study_folder(given.study, config.data)
    config = dataclasses.replace(config, data=data)
    # A window that follows the pose needs the pose of each recording.
    study = open_study(data)
    lengths = measure_study(config, study)
    poses = {s.recorded: s.pose if data.crop == "pose" else None for s in study.sources}
    workers = given.workers or usual_workers()
    # Where only features are wanted, those that prediction has left without pictures will do.
    pictures = not (given.features and config.model.head in ("linear", "trees"))
    cached, failures = fill_cache(poses, data, workers, lengths, pictures=pictures)
    damaged = {entry.video: entry.damage for entry in cached.values() if entry.damage}
    for video, damage in damaged.items():
        warn(f"{video}: {damage}")
    n_frames, side = sum(e.n_frames for e in cached.values()), data.image_size
    say(
        f"{len(cached)} of {count_of(poses)} are in the frame cache, {n_frames} frames of "
        f"{side}x{side} pixels"
    )
    if given.features:
        from dolorim.training.extract_features import compute_features

        compute_features(config, cached, lengths)
    return report_failures(failures)
