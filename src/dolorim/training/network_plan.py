"""What the data choose about a network, where `--head auto` leaves it to them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dolorim.config import Config
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.labels.bouts import to_bouts
from dolorim.presets import PRESETS
from dolorim.terminal import say

_LONG_S = 1.0  # bouts of which half last longer are told apart by what happens around a frame
_STEP_S, _WINDOW_S = 0.27, 17.0  # between the frames that are compared, and of a training window

# Poses alone, bouts of seconds: chosen on two rats (benchmarks/results/social_rat_features.md).
_SLOW_POSES: dict[str, dict[str, Any]] = {
    "model": {"temporal": "tcn", "pose_reach": 0, "dropout": 0.4},
    "train": {
        "batch_size": 16,
        "lr": 1e-3,
        "weight_decay": 0.01,
        "epochs": 24,
        "sampling": "frames",
        "class_weight_power": 0.3,
    },
    "augment": {"kp_jitter_std": 0.01, "aug_stretch": 0.2, "aug_border": 0.0},
}


def planned(config: Config, recordings: Sequence[LabelledRecording]) -> Config:
    """The settings, with a network over time where poses alone are to tell long bouts apart.

    Only with `--head auto`, and only where none of the settings in question was changed.
    """
    if config.model.head != "auto" or config.model.visual != "none":
        return config
    durations_s = _durations_s(recordings)
    if not len(durations_s) or np.median(durations_s) < _LONG_S:
        return config
    rate_hz = config.data.run_rate_hz or config.data.rate_hz
    step, window = max(1, round(_STEP_S * rate_hz)), round(_WINDOW_S * rate_hz)
    plan = {section: dict(values) for section, values in _SLOW_POSES.items()}
    plan["model"]["tcn_step"] = step
    plan["train"]["train_T"] = window // step * step
    if not _is_usual(config, plan):
        return config
    for section, values in plan.items():
        changed = dataclasses.replace(getattr(config, section), **values)
        config = dataclasses.replace(config, **{section: changed})
    say(
        f"half of the bouts last {np.median(durations_s):.1f} s or longer: the network compares "
        f"every {step}th frame of {window / rate_hz:.0f} s (--temporal tcn and what belongs to "
        "it; settings of your own replace them all)"
    )
    return config


def _is_usual(config: Config, plan: Mapping[str, Mapping[str, object]]) -> bool:
    """Whether all settings of a plan are those of the approach."""
    usual = PRESETS[config.approach]
    for section, values in plan.items():
        now, before = getattr(config, section), getattr(usual, section)
        if any(getattr(now, name) != getattr(before, name) for name in values):
            return False
    return True


def _durations_s(recordings: Sequence[LabelledRecording]) -> np.ndarray:
    """Durations of all labeled bouts."""
    by_recording = []
    for one in recordings:
        time_s = one.time_s
        step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
        by_recording.append([len(b) * step_s for b in to_bouts(one.recording.labels)])
    return np.array([*itertools.chain.from_iterable(by_recording)])
