"""A report shows bouts as moving pictures, where the videos are at hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.videos import write_film

from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.reporting.clips import MOST_BYTES, chosen_bouts, make_clips
from dolorim.reporting.observations import Observations, ObservedRecording

NAMES = ("rest", "lick")


def test_typical_bouts_are_sure_ones_of_middling_length_and_doubtful_ones_the_least_sure() -> None:
    rows = [
        {
            "behavior": "lick",
            "group": "g",
            "animal": f"m{i % 2}",
            "start_s": float(i),
            "stop_s": i + 0.5 + 0.1 * i,
            "probability": 0.5 + 0.04 * i,
        }
        for i in range(10)
    ]
    # The longest is the surest, and no typical bout.
    chosen = chosen_bouts(pd.DataFrame(rows), ["lick"], ["g"], 2)
    assert chosen.groupby("kind").start_s.apply(list).to_dict() == {
        "typical": [6.0, 5.0],
        "doubtful": [0.0, 1.0],
    }
    assert chosen.animal.tolist() == ["m0", "m1", "m0", "m1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A mouse-like blob that moves for four seconds at 15 frames/s, with three bouts of licking."""
    rows, columns = np.mgrid[:96, :128]
    images = [
        np.where((rows - 48) ** 2 + (columns - 30 - i) ** 2 < 120, 230, 20).astype(np.uint8)
        for i in range(60)
    ]
    film = write_film(tmp_path / "films" / "v0.mp4", images, rate=15)
    labels = np.zeros(60, np.int16)
    for start in (5, 20, 40):
        labels[start : start + 8] = 1
    meta = {"fps": 15.0, "video": str(film)}
    p = np.eye(2, dtype=np.float32)[labels] * 0.8 + 0.1
    write_predictions(
        tmp_path / "found", Predictions("v0", NAMES, labels, p, np.arange(60) / 15, meta)
    )
    return tmp_path


def study(*videos: str) -> Observations:
    empty = np.zeros(0)
    recordings = [ObservedRecording(v, "m1", "g", empty, empty, empty, 4.0) for v in videos]
    return Observations(NAMES, ("g",), tuple(recordings))


def test_bouts_become_small_looping_pictures_of_the_animal(folder: Path) -> None:
    clips, findings = make_clips(folder / "found", study("v0"), ["lick"], None, 2)
    assert not findings
    assert [clip.kind for clip in clips] == ["typical", "typical", "doubtful"]
    assert {clip.animal for clip in clips} == {"m1"}
    assert sum(len(clip.webp) for clip in clips) < MOST_BYTES
    with Image.open(io.BytesIO(clips[0].webp)) as picture:
        assert picture.is_animated
        assert picture.info["loop"] == 0
        duration_ms = 0
        # The window follows the animal, so it is in the middle of every frame.
        for i in range(picture.n_frames):
            picture.seek(i)
            picture.load()
            duration_ms += picture.info["duration"]
            pixels = np.asarray(picture.convert("L"))
            assert pixels[46:66, 46:66].mean() > 120
        # Eight frames of the bout, and four (0.3 s) on either side, at 15 frames/s.
        assert duration_ms == pytest.approx(1000 * 16 / 15, abs=20)


def test_a_video_that_is_not_here_gives_no_clip_and_stops_nothing(folder: Path) -> None:
    film = folder / "films" / "v0.mp4"
    film.rename(film.with_name("elsewhere.mp4"))
    assert make_clips(folder / "found", study("v0"), ["lick"], None, 2) == ([], [])
    film.write_bytes(b"no video")
    assert make_clips(folder / "found", study("v0"), ["lick"], None, 2) == ([], [])
    assert make_clips(folder / "found", study("v0"), ["lick"], None, 0) == ([], [])


def test_videos_that_were_named_and_cannot_be_read_are_noted(folder: Path) -> None:
    broken = folder / "broken"
    broken.mkdir()
    (folder / "films" / "v0.mp4").rename(folder / "films" / "away.mp4")
    (broken / "v0.mp4").write_bytes(b"no video")
    clips, (finding,) = make_clips(folder / "found", study("v0"), ["lick"], broken, 2)
    assert not clips
    assert "cannot be cut from v0" in str(finding)


def test_a_page_that_would_grow_too_large_says_that_clips_are_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dolorim.reporting.clips.MOST_BYTES", 1)
    clips, (finding,) = make_clips(folder / "found", study("v0"), ["lick"], None, 2)
    assert not clips
    assert "the first 0 are shown" in str(finding)
