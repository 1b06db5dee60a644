"""The follow crop: a window of constant size that goes with the animal, whatever way the video is
cut into blocks."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.pose_track import read_any_track
from dolorim.pose.write_dlc import write_dlc
from dolorim.simulate.mouse import Mouse
from dolorim.video import crop
from dolorim.video import localizer as localize
from dolorim.video.crop import CropPlan, crop_frames, parse_masks, plan_crop
from dolorim.video.reader import Frame, FrameStream
from videos import LOSSLESS, mouse_film, write_film

SIZE, RADIUS = 64, 5


def collect(frames, view):
    """Images, centers in pixels and times of all frames."""
    blocks = list(crop_frames(frames, view))
    starts = [b.start for b in blocks]
    assert starts == [sum(len(b.images) for b in blocks[:i]) for i in range(len(blocks))]
    images, centers, times = (
        np.concatenate([getattr(b, f) for b in blocks]) for f in ("images", "centers", "time_s")
    )
    return images, centers * view.side_px, times


@cache
def wandering_disc(seed, n=150):
    """Frames of a bright disc that wanders over a gray floor, its way, and the scene they make."""
    rng = np.random.default_rng(seed)
    way = np.clip(32 + np.cumsum(rng.normal(0, 1.5, (n, 2)), axis=0), 10, SIZE - 10)
    y, x = np.mgrid[:SIZE, :SIZE]
    frames = []
    for i, (a, b) in enumerate(way):
        inside = np.clip(RADIUS + 0.5 - np.hypot(x - a, y - b), 0, 1)
        frames.append(Frame(i, i / 15, (60 + 140 * inside).astype(np.uint8), False))
    scene = localize.survey(np.stack([localize.shrink(f.luma, 1) for f in frames[::5]]), 1)
    return tuple(frames), way, scene


def disc_view(seed, knot=1, size=SIZE, side=32.0):
    return CropPlan(side, size, (SIZE / 2, SIZE / 2), wandering_disc(seed)[2], knot=knot)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 150), knot=st.integers(1, 3), batch=st.integers(1, 40), seed=st.integers(0, 2)
)
def test_the_crops_are_the_same_wherever_one_block_ends_and_the_next_begins(n, knot, batch, seed):
    frames, view = wandering_disc(seed)[0][:n], disc_view(seed, knot, size=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crop, "_BATCH", 1000)
        whole = collect(frames, view)
        patch.setattr(crop, "_BATCH", batch)
        parts = collect(frames, view)
    assert len(whole[0]) == n
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_a_long_video_leaves_in_blocks_before_it_has_been_read_to_its_end():
    read = []
    stream = (read.append(frame.index) or frame for frame in wandering_disc(0)[0])
    first = next(iter(crop_frames(stream, disc_view(0, size=16))))
    assert len(first.images) < 40
    assert len(read) < 60


@settings(max_examples=20, deadline=None)
@given(n=st.integers(20, 149), knot=st.integers(1, 3), seed=st.integers(0, 2))
def test_what_happens_later_than_half_a_second_does_not_change_a_crop(n, knot, seed):
    frames, view = wandering_disc(seed)[0], disc_view(seed, knot, size=16)
    early = max(0, n - 8 * knot)  # at 15 knots a second
    whole, start = collect(frames, view), collect(frames[:n], view)
    assert all(np.array_equal(a[:early], b[:early]) for a, b in zip(whole, start, strict=True))


def test_the_window_goes_with_the_animal():
    frames, way, _ = wandering_disc(1)
    _, centers, times = collect(frames, disc_view(1))
    assert np.hypot(*(centers - 0.5 - way).T).max() < RADIUS
    assert times.tolist() == [f.time_s for f in frames]


def test_a_point_of_the_picture_lies_in_the_crop_where_the_center_says_and_keeps_its_size():
    frames, way, _ = wandering_disc(2)
    view = disc_view(2, size=96, side=32.0)
    images, centers, _ = collect(frames, view)
    light = images.astype(float) - 60
    total = light.sum(axis=(1, 2))
    at = np.arange(96) + 0.5
    seen = (
        np.stack([light.sum(axis=1) @ at, light.sum(axis=2) @ at], 1) / total[:, None]
    )  # (x, y) in the crop
    expected = (way + 0.5 - (centers - view.side_px / 2)) * 96 / view.side_px
    assert (
        np.abs(seen - expected).max() < 0.5
    )  # half a pixel of the crop, a sixth of one of the picture
    area = total / 140 * (view.side_px / 96) ** 2
    assert area == pytest.approx(np.full(len(area), np.pi * RADIUS**2), rel=0.05)


@settings(max_examples=25, deadline=None)
@given(
    x=st.integers(-40, 100),
    y=st.integers(-40, 100),
    height=st.integers(9, 70),
    width=st.integers(9, 70),
)
def test_beyond_the_pictures_edge_its_edge_is_repeated(x, y, height, width):
    luma = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
    view = CropPlan(32.0, 32, (float(x), float(y)), None)
    images, _, _ = collect([Frame(0, 0.0, luma, False)], view)
    rows = np.clip(np.arange(y - 16, y + 16), 0, height - 1)
    columns = np.clip(np.arange(x - 16, x + 16), 0, width - 1)
    assert np.array_equal(images[0], luma[rows][:, columns])


def test_crops_of_a_limited_range_video_run_from_black_to_white():
    luma = np.tile(np.array([16, 235], np.uint8), (32, 16))
    images, _, _ = collect([Frame(0, 0.0, luma, True)], CropPlan(32.0, 32, (16.0, 16.0), None))
    assert np.array_equal(images[0], np.where(luma == 16, 0, 255))


def test_the_window_is_as_many_body_lengths_wide_as_asked(tmp_path):
    mouse_film(tmp_path / "a.mp4", Mouse(length_px=34))
    sides = [
        plan_crop(tmp_path / "a.mp4", DataConfig(crop_scale=scale)).side_px
        for scale in (1.0, 2.0, 3.0)
    ]
    assert sides[1:] == pytest.approx([2 * sides[0], 3 * sides[0]])
    assert 0.7 * 34 < sides[0] < 1.3 * 34


def test_a_body_length_that_is_given_is_taken_instead_of_the_estimate(tmp_path):
    mouse_film(tmp_path / "a.mp4", Mouse(length_px=34))
    assert plan_crop(
        tmp_path / "a.mp4", DataConfig(crop_scale=2.0, body_length_px=51)
    ).side_px == pytest.approx(102)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 64), (64, 64)])
def test_without_a_crop_the_whole_picture_is_kept_and_its_short_sides_are_padded(
    tmp_path, height, width
):
    y, x = np.mgrid[:height, :width]
    picture = (30 + 2 * y + x // 2).astype(np.uint8)
    path = write_film(tmp_path / "a.mp4", [picture] * 3, options=LOSSLESS)
    longest = max(height, width)
    config = DataConfig(crop="none", image_size=longest)
    images, centers, _ = collect(FrameStream(path), plan_crop(path, config))
    rows = np.clip(np.arange(longest) - (longest - height) // 2, 0, height - 1)
    columns = np.clip(np.arange(longest) - (longest - width) // 2, 0, width - 1)
    assert np.abs(images.astype(int) - picture[rows][:, columns]).max() <= 1
    assert np.all(centers == [width / 2, height / 2])


def test_a_masked_region_is_blank_and_nothing_else_is_touched(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [np.full((64, 64), 100, np.uint8) for _ in range(8)]
    for picture in pictures:
        picture[4:20, 30:60] = rng.integers(0, 256, (16, 30))
        picture[40:44, 8:20] = 200
    path = write_film(tmp_path / "a.mp4", pictures, options=LOSSLESS)
    config = DataConfig(crop="none", image_size=64, mask="30,4,60,20;0,60,5,64")
    images, _, _ = collect(FrameStream(path), plan_crop(path, config))
    expected = np.full((64, 64), 100)
    expected[40:44, 8:20] = 200
    assert np.abs(images.astype(int) - expected).max() <= 1


def test_a_mask_may_reach_beyond_the_picture(tmp_path):
    path = write_film(tmp_path / "a.mp4", [np.full((64, 64), 100, np.uint8)] * 3, options=LOSSLESS)
    config = DataConfig(crop="none", image_size=64, mask="50,50,500,500")
    images, _, _ = collect(FrameStream(path), plan_crop(path, config))
    assert images.shape == (3, 64, 64)


def test_masks_are_boxes_divided_by_semicolons():
    assert parse_masks("") == ()
    assert parse_masks("1,2,30,40; 0,0,5,6;") == ((1, 2, 30, 40), (0, 0, 5, 6))


@pytest.mark.parametrize(
    "text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "1.5,2,3,4", "9,2,3,4", "1,9,3,4", "-1,2,3,4"]
)
def test_a_mask_that_is_no_box_is_refused_in_one_line(text):
    with pytest.raises(UserError, match=r"^--mask .*: expected .* found [^\n]*$"):
        parse_masks(text)


def test_a_picture_that_changes_its_size_amid_the_file_is_still_cropped():
    frames, _, scene = wandering_disc(0)
    odd = [
        *frames[:20],
        *(Frame(20 + i, 2.0 + i, np.full((48, 40), 90, np.uint8), False) for i in range(20)),
    ]
    images, _, _ = collect(odd, CropPlan(32.0, 16, (32.0, 32.0), scene))
    assert images.shape == (40, 16, 16)
    assert np.all(images[-1] == 90)


def pose_of_a_mouse(way, heading):
    """Six points of a mouse of 40 px at `way` `(time, 2)` looking to `heading`, `(time, 6, 2)`."""
    body = np.array([[20, 0], [10, 4], [10, -4], [-10, 5], [-10, -5], [-20, 0]], float)
    cos, sin = np.cos(heading)[:, None], np.sin(heading)[:, None]
    turned = np.stack(
        [cos * body[:, 0] - sin * body[:, 1], sin * body[:, 0] + cos * body[:, 1]], -1
    )
    return way[:, None] + turned


def wandering_mouse(n=200):
    t = np.arange(n) / 30
    way = 80 + 40 * np.stack([np.cos(0.6 * t), np.sin(0.6 * t)], 1)
    return way, 0.6 * t + np.pi / 2


def write_pose(path, points, seen):
    """A tracker's table in which points that it did not see are at a corner of the picture, and
    doubtful."""
    write_dlc(
        path, "net", KEYPOINTS, np.where(seen[..., None], points, 3.0), np.where(seen, 0.99, 0.05)
    )
    return path


@pytest.mark.parametrize("missing", [[], [0], [1, 2], [0, 1, 2], [0, 1, 2, 3], [3, 4, 5]])
def test_a_crop_by_the_pose_stays_on_the_animal_where_points_are_missing(tmp_path, missing):
    way, heading = wandering_mouse()
    seen = np.ones((200, 6), bool)
    seen[80:120, missing] = False
    path = write_pose(tmp_path / "a.csv", pose_of_a_mouse(way, heading), seen)
    centers, angles = read_any_track(path, DataConfig(), 30.0).way()
    assert np.hypot(*(centers - way).T).max() < 4  # a tenth of the body
    off = np.angle(np.exp(1j * (angles - heading)))
    assert np.abs(off).max() < 0.15


def test_a_crop_by_the_pose_goes_on_where_the_animal_is_not_seen_and_refuses_a_pose_without_points(
    tmp_path,
):
    way, heading = wandering_mouse()
    seen = np.ones((200, 6), bool)
    seen[100:110] = False
    path = write_pose(tmp_path / "a.csv", pose_of_a_mouse(way, heading), seen)
    centers, _ = read_any_track(path, DataConfig(), 30.0).way()
    assert np.hypot(*(centers - way).T).max() < 4
    path = write_pose(tmp_path / "b.csv", pose_of_a_mouse(way, heading), np.zeros((200, 6), bool))
    with pytest.raises(UserError, match="kp_likelihood_thr"):
        read_any_track(path, DataConfig(), 30.0)


def test_a_body_length_that_is_given_helps_where_none_can_be_measured(tmp_path):
    way, heading = wandering_mouse()
    seen = np.ones((200, 6), bool)
    seen[:, 0] = False
    path = write_pose(tmp_path / "a.csv", pose_of_a_mouse(way, heading), seen)
    with pytest.raises(UserError, match="give --body_length_px"):
        read_any_track(path, DataConfig(), 30.0)
    centers, angles = read_any_track(path, DataConfig(body_length_px=40), 30.0).way()
    assert np.hypot(*(centers - way).T).max() < 12  # the middle of what there is
    assert np.all(angles == 0)


def test_a_crop_aligned_to_the_heading_keeps_the_mouth_above_the_tail_base(tmp_path):
    way, heading = wandering_mouse()
    points = pose_of_a_mouse(way, heading)
    pictures = []
    y, x = np.mgrid[:160, :160]
    for mouth, tail in zip(points[:, 0], points[:, 5], strict=True):
        picture = np.full((160, 160), 100, np.uint8)
        picture[np.hypot(x - mouth[0], y - mouth[1]) < 4] = 250
        picture[np.hypot(x - tail[0], y - tail[1]) < 4] = 0
        pictures.append(picture)
    video = write_film(tmp_path / "a.mp4", pictures, options=LOSSLESS)
    pose = write_pose(tmp_path / "a.csv", points, np.ones((200, 6), bool))
    config = DataConfig(crop="pose", align="heading", crop_scale=1.6, image_size=64)
    view = plan_crop(video, config, pose=pose)
    blocks = list(crop_frames(FrameStream(video), view))
    images = np.concatenate([b.images for b in blocks]).astype(float)
    assert images.shape == (200, 64, 64)
    at = np.arange(64) + 0.5
    for light, row in (
        (np.maximum(images - 130, 0), 32 - 20),
        (np.maximum(70 - images, 0), 32 + 20),
    ):
        total = light.sum((1, 2))
        assert np.abs(light.sum(2) @ at / total - row).max() < 2
        assert np.abs(light.sum(1) @ at / total - 32).max() < 2.5


def test_a_crop_by_the_pose_needs_one_and_a_turn_needs_such_a_crop(tmp_path):
    video = write_film(tmp_path / "a.mp4", [np.full((64, 64), 90, np.uint8)] * 3)
    with pytest.raises(UserError, match="has no pose file, which --crop pose needs"):
        plan_crop(video, DataConfig(crop="pose"))
    with pytest.raises(UserError, match="--align heading turns the window by the pose"):
        plan_crop(video, DataConfig(align="heading"))
