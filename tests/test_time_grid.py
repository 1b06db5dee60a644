"""A recording of any frame rate is seen on the run's time grid, and every frame gets a label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorim.pose.pose_track import PoseTrack
from dolorim.video.crop import Crops
from dolorim.video.crop_stream import crops_on_grid
from dolorim.video.time_grid import (
    TimeGrid,
    describe_resampling,
    frame_rate,
    is_doubtful,
    time_grid,
)


def at_rate(rate_hz: float, n_frames: int, start_s: float = 0.0) -> np.ndarray:
    return start_s + np.arange(n_frames) / rate_hz


def grid_of(time_s: np.ndarray, rate_hz: float = 30.0) -> TimeGrid:
    grid = time_grid(time_s, rate_hz)
    assert grid is not None
    return grid


def test_twice_the_rate_shows_every_other_frame_and_its_neighbor_gets_the_same_decision() -> None:
    grid = grid_of(at_rate(60, 8))
    assert grid.frames.tolist() == [0, 2, 4, 6]
    assert grid.steps.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_half_the_rate_shows_every_frame_twice() -> None:
    grid = grid_of(at_rate(15, 3))
    assert grid.frames.tolist() == [0, 0, 1, 1, 2, 2]
    assert grid.steps.tolist() == [0, 2, 4]


def test_24_frames_per_second_repeat_every_fourth_frame() -> None:
    grid = grid_of(at_rate(24, 24))
    shown = np.bincount(grid.frames, minlength=24)
    assert shown.sum() == 30
    assert sorted(set(shown.tolist())) == [1, 2]


@pytest.mark.parametrize("rate_hz", [28.6, 29.97, 30.0, 31.4])
def test_within_5_percent_each_frame_is_a_step(rate_hz: float) -> None:
    assert time_grid(at_rate(rate_hz, 100, 7.5), 30.0) is None


def test_milliseconds_of_matroska_and_a_dropped_frame_do_not_make_a_rate_uneven() -> None:
    time_s = np.delete(at_rate(30, 100), 50).round(3)
    assert time_grid(time_s, 30.0) is None


def test_a_rate_that_wanders_is_resampled_even_where_its_mean_is_the_runs() -> None:
    lengths_s = np.repeat([1 / 20, 1 / 40], 30)
    grid = grid_of(np.concatenate(([0.0], np.cumsum(lengths_s))))
    assert str(grid.filmed) == "20 to 40 frames/s"
    assert np.abs(grid.time_s - grid.frame_s[grid.frames]).max() <= 0.5 / 20 + 1e-6


def test_a_pause_is_not_filled() -> None:
    time_s = np.concatenate((at_rate(60, 60), at_rate(60, 60, 3600.0)))
    grid = grid_of(time_s)
    assert len(grid.frames) == 60
    assert grid.frames[29:31].tolist() == [58, 60]
    assert grid.time_s[30] == 3600.0


@pytest.mark.parametrize("time_s", [[], [0.0], [0.0, 0.0, 0.0], [2.0, 1.0]])
def test_times_that_tell_no_rate_leave_each_frame_a_step(time_s: list[float]) -> None:
    assert frame_rate(np.array(time_s)) is None
    assert time_grid(np.array(time_s), 30.0) is None


def test_without_a_rate_of_the_run_nothing_is_resampled() -> None:
    assert time_grid(at_rate(60, 100), None) is None


LENGTHS_MS = st.lists(st.integers(1, 900), min_size=1, max_size=60)


@given(LENGTHS_MS, st.sampled_from([5.0, 25.0, 30.0, 120.0]))
def test_each_frame_gets_the_nearest_step_and_each_step_the_nearest_frame(
    lengths_ms: list[int], rate_hz: float
) -> None:
    time_s = np.concatenate(([0.0], np.cumsum(lengths_ms))) / 1000
    grid = time_grid(time_s, rate_hz)
    if grid is None:
        return
    assert (np.diff(grid.frames) >= 0).all()
    assert (np.diff(grid.steps) >= 0).all()
    assert len(grid.steps) == len(time_s)
    away = np.abs(grid.time_s[:, None] - time_s[None])
    shown = away[np.arange(len(grid.frames)), grid.frames]
    np.testing.assert_allclose(shown, away.min(1), atol=1e-5)
    decided = away[grid.steps, np.arange(len(time_s))]
    np.testing.assert_allclose(decided, away.min(0), atol=1e-5)


@given(st.integers(1, 40), st.sampled_from([15.0, 24.0, 50.0, 120.0]))
def test_a_video_that_ends_early_has_the_steps_of_the_frames_that_it_has(
    n_frames: int, rate_hz: float
) -> None:
    grid = grid_of(at_rate(rate_hz, 40)).first(n_frames)
    assert len(grid.steps) == n_frames
    assert grid.frames.max() < n_frames
    assert grid.steps.max() < len(grid.frames)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.sampled_from([15.0, 50.0]))
def test_blocks_of_any_size_show_the_same_steps(sizes: list[int], rate_hz: float) -> None:
    n_frames = sum(sizes)
    grid = time_grid(at_rate(rate_hz, n_frames), 30.0)
    if grid is None:  # one frame tells no rate
        return
    numbers = np.arange(n_frames)
    blocks = []
    for start, size in zip(np.cumsum([0, *sizes[:-1]]).tolist(), sizes, strict=True):
        part = numbers[start : start + size]
        blocks.append(Crops(start, part, part, part / rate_hz, part))
    shown = list(crops_on_grid(blocks, grid))
    assert np.concatenate([block.images for block in shown]).tolist() == grid.frames.tolist()
    assert shown[0].start == 0


def test_a_speed_is_the_same_on_the_grid_although_frames_repeat() -> None:
    """A point that moves by 60 px per second does so when 24 frames/s are seen at 30."""
    time_s = at_rate(24, 48)
    x = (60 * time_s).astype(np.float32)
    points = np.stack([x, x], -1)[:, None, None]
    track = PoseTrack(("mouth",), points, np.full((48, 1, 1), 5, np.float32), 100.0, 24.0)
    grid = grid_of(time_s)
    resampled = track.resampled(grid.places, grid.rate_hz)
    inside = slice(0, 50)  # beyond the last frame nothing is known
    speed = np.diff(resampled.points[inside, 0, 0, 0]) * 30
    np.testing.assert_allclose(speed, 60, rtol=1e-3)
    assert resampled.rate_hz == 30
    np.testing.assert_allclose(resampled.since_seen[0], 5 * 30 / 24)


def test_what_is_not_in_a_slow_video_is_said_with_a_remedy() -> None:
    slow = frame_rate(at_rate(15, 100))
    fast = frame_rate(at_rate(60, 100))
    absurd = frame_rate(at_rate(1000, 100))
    assert slow
    assert fast
    assert absurd
    what, remedy = describe_resampling(slow, 30.0)
    assert is_doubtful(slow, 30.0)
    assert "paw shake" in what
    assert "--run_rate_hz 15" in remedy
    assert not is_doubtful(fast, 30.0)
    assert describe_resampling(fast, 30.0)[0] == "60 frames/s, seen at the run's 30"
    assert is_doubtful(absurd, 30.0)
    assert "really" in describe_resampling(absurd, 30.0)[0]
