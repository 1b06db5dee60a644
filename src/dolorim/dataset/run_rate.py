"""The rate of a run, and a study's recordings at it."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.core.wording import first_of
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.terminal import say, warn
from dolorim.video.time_grid import (
    FrameRate,
    describe_resampling,
    frame_rate,
    is_doubtful,
    time_grid,
)

_MORE_THAN_FILMED = 2.0  # times the fastest recording: a run's rate beyond that is a mistake
_NAMED = 3  # recordings that a message names


def middle_rate(filmed: Iterable[FrameRate | None]) -> float | None:
    """The rate in the middle of a study's, which is always one that was filmed.

    Of the two in the middle of an even number, it is the lower one: frames of the other are left
    out, rather than repeated. None if no times tell a rate.
    """
    rates = sorted(rate.mean_hz for rate in filmed if rate is not None)
    if not rates:
        return None
    # Times in milliseconds tell the rate of a short clip to about four digits.
    return float(f"{rates[(len(rates) - 1) // 2]:.4g}")


def rate_of_study(recordings: Sequence[LabelledRecording], given_hz: float | None) -> float | None:
    """The rate of a run on these recordings: the one that is given, else the one in their middle.

    Raises `UserError` for a rate far above those of all recordings.
    """
    filmed = [rate for r in recordings if (rate := frame_rate(r.frame_s)) is not None]
    if given_hz is None or not filmed:
        return given_hz or middle_rate(filmed)
    fastest_hz = max(rate.fastest_hz for rate in filmed)
    if given_hz > _MORE_THAN_FILMED * fastest_hz:
        raise UserError(
            f"--run_rate_hz {given_hz:g}: the fastest recording has {fastest_hz:.4g} frames/s, so "
            f"a higher rate shows nothing more; choose {fastest_hz:.4g} or less, or leave it out"
        )
    return given_hz


def at_rate(
    recordings: Sequence[LabelledRecording], rate_hz: float | None
) -> list[LabelledRecording]:
    """The recordings as a run at `rate_hz` sees them; which are resampled is said."""
    seen = []
    filmed: dict[str, list[tuple[str, FrameRate]]] = defaultdict(list)
    for recording in recordings:
        grid = time_grid(recording.frame_s, rate_hz)
        if grid is None:
            seen.append(recording)
            continue
        filmed[str(grid.filmed)].append((recording.recording.name, grid.filmed))
        seen.append(recording.on_grid(grid))
    if rate_hz is not None:
        for alike in filmed.values():
            _tell([name for name, _ in alike], alike[0][1], rate_hz)
    return seen


def _tell(names: Sequence[str], filmed: FrameRate, rate_hz: float) -> None:
    """Say what happens to the recordings of one rate, or warn of what they cannot show."""
    what, remedy = describe_resampling(filmed, rate_hz)
    tell = warn if is_doubtful(filmed, rate_hz) else say
    tell(f"{first_of(names, _NAMED)}: {what}; {remedy}")


def with_rate(config: Config, rate_hz: float | None) -> Config:
    """The settings of a run at this rate, in which nothing is left to be derived from it."""
    data, model = dataclasses.replace(config.data, run_rate_hz=rate_hz), config.model
    if model.clip_s is not None:
        n_frames = max(1, int(np.round(model.clip_s * (rate_hz or config.data.rate_hz))))
        model = dataclasses.replace(model, clip_length=n_frames, clip_s=None)
    return dataclasses.replace(config, data=data, model=model)
