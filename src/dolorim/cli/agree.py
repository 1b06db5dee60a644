"""`dolorim agree`."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro

from dolorim.cli.common import check_targets, parse, report_failures
from dolorim.cli.label_flags import LabelFlags
from dolorim.config import DataConfig
from dolorim.files.animals import animal_key
from dolorim.files.naming import find_videos
from dolorim.files.subjects import animal_of
from dolorim.files.tables import write_text
from dolorim.labels.ethogram import PAIN
from dolorim.labels.ethogram_file import read_ethogram
from dolorim.labels.ratings import Rated, lay_side_by_side, read_raters
from dolorim.metrics.summary import Scored, summarize


@dataclass(frozen=True)
class _Agree:
    """How well do two raters agree, and how well does a model agree with each of them? The same figures for all."""

    rater_a: tyro.conf.Positional[str]
    """Label files of one rater in any format: a folder, a file, or FILE.npz:RATER. Names say which video they label."""
    rater_b: tyro.conf.Positional[str]
    """Label files of another. Of each pair, the first one is taken for the truth where that makes a difference."""
    model: tyro.conf.Positional[str | None] = None
    """A run, or a folder of predictions."""
    classes: Path | None = None
    """Ethogram; without it, that of the run, else the eight pain behaviors."""
    rate_hz: float | None = None
    """Frames per second, where neither videos, nor predictions, nor label files tell it: for labels in seconds, and for
    the agreement on onsets."""
    labels: LabelFlags = field(default_factory=LabelFlags)
    json: Path | None = None
    """Write all figures to this file."""
    quiet: bool = False


def run(arguments: list[str]) -> int:
    """`dolorim agree RATER_A RATER_B [MODEL]`"""
    given = parse(_Agree, arguments, "dolorim agree")
    check_targets(given)
    ethogram_path = given.classes
    if (
        ethogram_path is None
        and given.model is not None
        and (Path(given.model) / "ethogram.toml").exists()
    ):
        ethogram_path = Path(given.model) / "ethogram.toml"
    ethogram = PAIN if ethogram_path is None else read_ethogram(ethogram_path)
    places = [given.rater_a, given.rater_b, *([given.model] if given.model else [])]
    config = given.labels.settings(ethogram_path)
    raters = read_raters(places, ethogram, config)
    rated, notes = lay_side_by_side(raters, config, ethogram, given.rate_hz, _timestamps(config))
    pairs = {}
    for i, j in itertools.combinations(range(len(raters)), 2):
        scored = [_scored(r, i, j, given.rate_hz, config.animal_pattern) for r in rated]
        pairs[f"{raters[i].name} - {raters[j].name}"] = summarize(
            scored, ethogram.classes, ethogram.background
        )
    if not given.quiet:
        from rich.console import Console

        from dolorim.reporting.tables import agreement_table

        Console().print(agreement_table(pairs, ethogram.indicator))
    if given.json is not None:
        found = {"pairs": pairs, "videos": [r.video for r in rated], "notes": notes}
        write_text(given.json, json.dumps(found, indent=1, allow_nan=False) + "\n")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return report_failures([failure for r in raters for failure in r.failed])


def _timestamps(config: DataConfig) -> Callable[[str], np.ndarray | None]:
    """When the frames of a video are shown, by its name; None for a video that was not given."""
    if config.videos is None:
        return lambda _: None
    from dolorim.video.frame_times import frame_times

    videos = {video.stem.casefold(): video for video in find_videos([config.videos])}

    def times_of(name: str) -> np.ndarray | None:
        video = videos.get(name.casefold())
        return None if video is None else frame_times(video)

    return times_of


def _scored(
    rated: Rated, truth: int, predicted: int, rate_hz: float | None, animal_pattern: str
) -> Scored:
    time_s = rated.time_s
    if time_s is None and rate_hz is not None:
        time_s = np.arange(rated.labels.shape[1]) / rate_hz
    animal = animal_key(animal_of(Path(f"{rated.video}.mp4").stem, animal_pattern))
    return Scored(animal, rated.labels[truth], rated.labels[predicted], None, time_s, rated.borders)
