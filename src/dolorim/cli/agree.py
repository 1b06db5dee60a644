"""`dolorim agree`."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from dolorim.cli.common import check_targets, parse, report_failures
from dolorim.cli.settings import Settings, settings_flags
from dolorim.config import LABEL_FILES, LABEL_TIMES, Config, DataConfig
from dolorim.files.animals import animal_key
from dolorim.files.naming import find_videos
from dolorim.files.subjects import animal_of
from dolorim.files.tables import write_text
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.ethogram_file import given_ethogram
from dolorim.labels.rater_alignment import Rated, align_raters
from dolorim.labels.ratings import Ratings, read_raters
from dolorim.metrics.summary import Scored, summarize
from dolorim.presets import with_settings

_READ = settings_flags("videos", *LABEL_FILES, *LABEL_TIMES)


@dataclass(frozen=True)
class _Agree:
    """How well do two raters agree with each other, and a model with each of them?

    All pairs get the same figures.
    """

    rater_a: tyro.conf.Positional[str]
    """Label files of one rater in any format: a folder, a file, or FILE.npz:RATER. File names tell
    which video they label."""
    rater_b: tyro.conf.Positional[str]
    """Label files of another rater. In each pair, the first one counts as the truth where that
    makes a difference."""
    model: tyro.conf.Positional[str | None] = None
    """A run, or a folder of predictions."""
    classes: Path | None = None
    """Ethogram; without it, that of the run, otherwise the eight pain behaviors."""
    rate_hz: float | None = None
    """Frames per second, if neither videos, nor predictions, nor label files tell: for labels in
    seconds, and for the agreement on onsets."""
    settings: Annotated[Settings, _READ] = field(default_factory=dict)
    json: Path | None = None
    """Write all figures to this file."""
    quiet: bool = False
    """Print no table."""


def run(arguments: list[str]) -> int:
    """`dolorim agree RATER_A RATER_B [MODEL]`"""
    given = parse(_Agree, arguments, "dolorim agree")
    check_targets(given)
    # The label files are read as training on this ethogram would read them.
    ethogram_path = _ethogram_path(given)
    ethogram = given_ethogram(ethogram_path)
    config = with_settings(Config(), {**given.settings, "classes": ethogram_path}).data
    places = [given.rater_a, given.rater_b]
    if given.model is not None:
        places.append(given.model)
    raters = read_raters(places, ethogram, config)
    rated, notes = align_raters(raters, config, ethogram, given.rate_hz, _timestamps(config))
    pairs = _agreement(raters, rated, ethogram, given.rate_hz, config.animal_pattern)
    readouts = _readouts(raters, rated, ethogram, given.rate_hz, config.animal_pattern)
    if not given.quiet:
        from rich.console import Console

        from dolorim.reporting.tables import agreement_table, readouts_table

        Console().print(agreement_table(pairs, ethogram.indicator))
        if readouts:
            Console().print(readouts_table(readouts, ethogram.indicator))
    if given.json is not None:
        figures = {"pairs": pairs, "videos": [r.video for r in rated], "notes": notes}
        figures["readouts"] = readouts
        write_text(given.json, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return report_failures([failure for rater in raters for failure in rater.failed])


def _ethogram_path(given: _Agree) -> Path | None:
    if given.classes is not None or given.model is None:
        return given.classes
    of_run = Path(given.model) / "ethogram.toml"
    return of_run if of_run.exists() else None


def _agreement(
    raters: Sequence[Ratings],
    rated: Sequence[Rated],
    ethogram: Ethogram,
    rate_hz: float | None,
    animal_pattern: str,
) -> dict[str, Any]:
    """The figures of each pair of raters."""
    pairs = {}
    for i, j in itertools.combinations(range(len(raters)), 2):
        scored = [_scored(r, i, j, rate_hz, animal_pattern) for r in rated]
        name = f"{raters[i].name} - {raters[j].name}"
        pairs[name] = summarize(scored, ethogram.classes, ethogram.background)
    return pairs


def _readouts(
    raters: Sequence[Ratings],
    rated: Sequence[Rated],
    ethogram: Ethogram,
    rate_hz: float | None,
    animal_pattern: str,
) -> dict[str, list[dict[str, Any]]]:
    """How well each pair agrees on time, bouts and latencies per animal; empty without times."""
    if any(r.time_s is None for r in rated) and rate_hz is None:
        return {}
    # Imports pandas, which would keep --help waiting.
    from dolorim.reporting.readout_agreement import agreement_rows, observed

    pairs = {}
    for i, j in itertools.combinations(range(len(raters)), 2):
        recordings = []
        for r in rated:
            scored = _scored(r, i, j, rate_hz, animal_pattern)
            assert scored.time_s is not None
            # Trials are recordings of their own: a bout does not go on from one to the next.
            for start, stop in r.borders:
                piece = slice(start, stop)
                one, two = scored.truth[piece], scored.predicted[piece]
                if (one >= 0).any():
                    times_s = scored.time_s[piece]
                    labeled = (observed(x, times_s, r.video, scored.animal) for x in (one, two))
                    recordings.append(tuple(labeled))
        name = f"{raters[i].name} - {raters[j].name}"
        pairs[name] = agreement_rows(recordings, ethogram.classes)
    return pairs


def _timestamps(config: DataConfig) -> Callable[[str], np.ndarray | None]:
    """The times of the frames of a video, by its name; None for a video that was not given."""
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
    # Intervals are over animals, so each video needs its animal.
    animal = animal_key(animal_of(Path(f"{rated.video}.mp4").stem, animal_pattern))
    return Scored(animal, rated.labels[truth], rated.labels[predicted], None, time_s, rated.borders)
