"""The picture tells by how many frames a pose is late, or says nothing."""

from pathlib import Path

import numpy as np
import pytest

from dolorim.checks.alignment import LAGS, Lag, LagEstimator
from dolorim.config import DataConfig
from dolorim.pose.pose_track import read_any_track
from dolorim.video.reader import Frame, FrameStream

SIZE, LENGTH = 120, 40.0


def shifted(points: np.ndarray, late: int) -> np.ndarray:
    """The rows that many frames later: row t belongs to frame t - late."""
    moved = np.full_like(points, np.nan)
    if late > 0:
        moved[late:] = points[:-late]
    elif late < 0:
        moved[:late] = points[-late:]
    else:
        moved[:] = points
    return moved


def estimate(frames: list[Frame], points: np.ndarray, length_px: float = LENGTH) -> Lag:
    estimator = LagEstimator(points, length_px)
    for frame in frames:
        if estimator.wants(frame.index):
            estimator.look(frame)
    return estimator.estimate()


def run_and_rest(n: int = 600, seed: int = 0) -> tuple[list[Frame], np.ndarray]:
    """Pictures of a dark oval that runs in circles and rests by turns, and two points of it,
    `(time, 1, 2, 2)`."""
    rng = np.random.default_rng(seed)
    speed = np.where(np.arange(n) // 30 % 2, 0.06, 0.0) * rng.uniform(0.7, 1.3, n)
    angle = np.cumsum(speed)
    ahead = np.stack([-np.sin(angle), np.cos(angle)], 1)
    center = 60 + 30 * np.stack([np.cos(angle), np.sin(angle)], 1)
    points = np.stack([center + 14 * ahead, center - 14 * ahead], 1) + rng.normal(0, 0.4, (n, 2, 2))
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    frames = []
    for t in range(n):
        along = (x - center[t, 0]) * ahead[t, 0] + (y - center[t, 1]) * ahead[t, 1]
        across = (x - center[t, 0]) * ahead[t, 1] - (y - center[t, 1]) * ahead[t, 0]
        inside = (along / 16) ** 2 + (across / 7) ** 2 < 1
        picture = np.where(inside, 50, 140) + rng.normal(0, 3, (SIZE, SIZE))
        frames.append(Frame(t, t / 30, picture.astype(np.uint8), False))
    return frames, points[:, None]


@pytest.fixture(scope="module")
def film() -> tuple[list[Frame], np.ndarray]:
    return run_and_rest()


@pytest.mark.parametrize("late", [-6, -1, 0, 1, 3])
def test_the_lag_is_found_by_what_moving_points_look_like(
    film: tuple[list[Frame], np.ndarray], late: int
) -> None:
    frames, points = film
    estimated = estimate(frames, shifted(points, late))
    assert estimated.frames == late
    assert estimated.costs.shape == LAGS.shape
    assert LAGS[estimated.costs.argmin()] == late


def test_nothing_is_said_of_a_pose_that_belongs_to_another_video(
    film: tuple[list[Frame], np.ndarray],
) -> None:
    frames, points = film
    assert estimate(frames, SIZE - points).frames is None


def test_nothing_is_said_of_an_animal_that_never_moves(
    film: tuple[list[Frame], np.ndarray],
) -> None:
    frames, points = film
    still = np.broadcast_to(points[:1], points.shape)
    assert (
        estimate([Frame(f.index, f.time_s, frames[0].luma, False) for f in frames], still).frames
        is None
    )


@pytest.mark.parametrize("rows", [0, 5, 40])
def test_nothing_is_said_of_a_short_pose(film: tuple[list[Frame], np.ndarray], rows: int) -> None:
    frames, points = film
    assert estimate(frames, points[:rows]).frames is None


def test_nothing_is_said_where_no_point_is_there(film: tuple[list[Frame], np.ndarray]) -> None:
    frames, points = film
    assert estimate(frames, np.full_like(points, np.nan)).frames is None


def test_points_beyond_the_picture_and_pictures_that_shrink_do_no_harm(
    film: tuple[list[Frame], np.ndarray],
) -> None:
    frames, points = film
    assert estimate(frames, points * 9 - 300).frames is None
    small = [Frame(f.index, f.time_s, f.luma[:30, :20], False) for f in frames]
    assert estimate(small, points).frames is None


def test_a_real_pose_that_fits_its_video_is_silent_and_a_shifted_one_is_not(
    real_data: Path,
) -> None:
    folder = real_data / "openfield_keypoints"
    frames = list(FrameStream(folder / "m3v1mp4.mp4", stop=600))
    track = read_any_track(next(folder.glob("*.csv")), DataConfig(), 30.0)
    for late in (0, -2):
        assert estimate(frames, shifted(track.points[:600], late), track.length_px).frames == late
