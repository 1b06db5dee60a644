"""A video that looks unlike those learned from is named, and one that looks like them is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dolorim.core.errors import UserError
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.unlike import SEEN, read_appearances
from dolorim.video.appearance import Appearance, AppearanceSampler

KNOWN = [
    Appearance(128.0, 30.0, 0.18, -2.7, 0.15, 30.0),
    Appearance(120.0, 27.0, 0.16, -2.5, 0.14, 30.0),
]


def test_a_dark_animal_on_a_bright_floor_is_measured_as_such() -> None:
    crops = np.full((40, 64, 64), 200, np.uint8)
    crops[:, 20:44, 20:44] = 40
    sampler = AppearanceSampler(40)
    for start in range(0, 40, 16):
        sampler.look(crops[start : start + 16])
    seen = sampler.result(0.2, 30.0)
    assert seen is not None
    assert seen.brightness == 200
    assert seen.polarity < -2
    assert AppearanceSampler(40).result(0.2, 30.0) is None


def test_what_lies_between_recordings_is_like_them() -> None:
    between = dataclasses.replace(KNOWN[0], brightness=124.0, contrast=28.0)
    assert between.describe_difference(KNOWN) is None
    assert between.describe_difference([]) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"brightness": 15.0}, "median gray is 15, not 120 to 128"),
        ({"polarity": 1.2}, "against the floor"),
        ({"rate_hz": 60.0}, "frame rate is 60, not 30 to 30"),
        ({"length_share": 0.3}, "animal's length"),
    ],
)
def test_each_difference_is_named_with_its_figures(changed: dict[str, float], words: str) -> None:
    other = dataclasses.replace(KNOWN[0], **changed)
    assert words in (other.describe_difference(KNOWN) or "")


def test_a_damaged_note_is_refused_and_a_missing_one_tells_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert read_appearances(run) == []
    run.write_json(SEEN, [one.to_dict() for one in KNOWN])
    assert read_appearances(run) == KNOWN
    (tmp_path / SEEN).write_text('[{"brightness": 1}]', encoding="utf-8")
    with pytest.raises(UserError, match="train again"):
        read_appearances(run)
