"""A video gives the same crops no matter where its stream starts and how many threads help."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.video import crop_stream
from dolorim.video.crop import Crops, crop_frames, plan_crop
from dolorim.video.crop_stream import CropStream, open_crops
from dolorim.video.random_access import DisagreementError
from dolorim.video.reader import FrameStream
from videos import numbered, write_film

N = 260
CONFIG = DataConfig(image_size=24)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_film(tmp_path / "a.mp4", numbered(N), options={"g": "40"})


def as_one(blocks: CropStream | list[Crops]) -> Crops:
    """Consecutive blocks as one."""
    blocks = list(blocks)
    names = [f.name for f in dataclasses.fields(Crops) if f.name != "start"]
    joined = {name: np.concatenate([getattr(b, name) for b in blocks]) for name in names}
    return Crops(blocks[0].start, **joined)


def assert_same(one: Crops, two: Crops) -> None:
    assert one.start == two.start
    for name in ("images", "centers", "time_s", "angles_rad"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name


@pytest.mark.parametrize("crop", ["none", "follow"])
@pytest.mark.parametrize("cores", [1, 4])
def test_threads_do_not_change_the_crops(
    crop: str, cores: int, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crop_stream, "usual_workers", lambda: cores)
    config = dataclasses.replace(CONFIG, crop=crop)
    step_by_step = as_one(list(crop_frames(FrameStream(video), plan_crop(video, config))))
    assert len(step_by_step.images) == N
    assert_same(as_one(open_crops(video, config)), step_by_step)
    assert_same(as_one(open_crops(video, config, prefetched=False)), step_by_step)


@pytest.mark.parametrize(("start", "stop"), [(0, 60), (90, 170), (200, None)])
def test_a_span_gives_the_crops_of_the_whole_video(
    start: int, stop: int | None, video: Path
) -> None:
    whole = as_one(open_crops(video, CONFIG))
    n_frames = (N if stop is None else stop) - start
    part = as_one(open_crops(video, CONFIG, span=(start, stop)))
    assert part.start == start
    assert np.array_equal(part.images[:n_frames], whole.images[start : start + n_frames])
    assert np.array_equal(part.centers[:n_frames], whole.centers[start : start + n_frames])
    assert np.array_equal(part.time_s[:n_frames], whole.time_s[start : start + n_frames])


def test_a_span_of_a_file_without_timestamps_is_refused(tmp_path: Path) -> None:
    video = write_film(tmp_path / "a.h264", numbered(60), options={"g": "30"})
    with pytest.raises(DisagreementError):
        open_crops(video, CONFIG, span=(30, 60))


def test_a_sound_video_has_one_picture_size_and_no_damage(video: Path) -> None:
    crops = open_crops(video, CONFIG)
    assert sum(len(block.images) for block in crops) == N
    assert crops.damage is None
    assert [size.first_frame for size in crops.sizes] == [0]
    assert crops.info.expected_frames == N
    assert {"decode", "localize and crop", "waiting for pictures"} <= set(crops.stopwatch)


def test_a_file_that_is_no_video_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"a\.mp4: cannot be opened as a video"):
        open_crops(tmp_path / "a.mp4", CONFIG)


def test_the_stream_tells_about_damage_at_its_end(real_data: Path) -> None:
    video = real_data / "odd_videos" / "corrupted.mp4"
    crops = open_crops(video, dataclasses.replace(CONFIG, crop="none", image_size=16))
    assert sum(len(block.images) for block in crops) == 28
    assert crops.damage is not None
    assert "28 frames decode" in crops.damage
