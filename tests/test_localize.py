"""The animal is found without any pose: dark on light, bright paws in the dark, walking or
still.
"""

import csv

import numpy as np
import pytest

from dolorim.config import DataConfig
from dolorim.simulate.mouse import Mouse
from dolorim.video import localizer as localize
from dolorim.video.crop import crop_frames, plan_crop
from dolorim.video.reader import FrameStream
from videos import mouse_film

SIZE, LENGTH = 160, 34.0
DARK = Mouse(length_px=LENGTH)
INFRARED = Mouse(length_px=LENGTH, floor=24, coat=55, paw=200)
LIGHT = (0.8 * SIZE, 0.25 * SIZE)
CLOCK = (SIZE - 22, SIZE - 12, SIZE - 2, SIZE - 2)  # x0, y0, x1, y1
KINDS = pytest.mark.parametrize("mouse", [DARK, INFRARED], ids=["dark on light", "infrared"])
_DIGITS = ("111101101101111", "010110010010111", "111001111100111", "111001011001111",
"101101111001001",
           "111100111001111", "111100111101111", "111001001010010", "111101111101111",
           "111101111001111")  # fmt: skip


def draw_clock(picture, frame):
    """White digits, seconds and hundredths, on a black box in the corner."""
    x0, y0, _, _ = CLOCK
    picture[y0 : y0 + 9, x0 : x0 + 19] = 0
    for i, digit in enumerate(f"{frame // 30:02d}{frame * 100 // 30 % 100:02d}"):
        pixels = np.array([int(p) for p in _DIGITS[int(digit)]], np.uint8).reshape(5, 3) * 255
        picture[y0 + 2 : y0 + 7, x0 + 2 + 4 * i : x0 + 5 + 4 * i] = pixels


def way_of(path, mask="", stop=None):
    """The crop's centers in pixels, `(time, 2)`, and the body length that it takes for true."""
    view = plan_crop(path, DataConfig(image_size=16, mask=mask))
    centers = np.concatenate([b.centers for b in crop_frames(FrameStream(path, stop=stop), view)])
    return centers * view.side_px, view.scene.body_length_px


def follow(folder, mouse, mask="", **scene):
    """Over three videos: distances between crop and animal in body lengths, and the body lengths
    found."""
    distances, lengths = [], []
    for seed in range(3):
        truth = mouse_film(folder / f"{seed}.mp4", mouse, seed=seed, size_px=SIZE, **scene)
        way, length = way_of(folder / f"{seed}.mp4", mask)
        distances.append(np.hypot(*(way - truth).T) / mouse.length_px)
        lengths.append(length)
    return np.concatenate(distances), np.array(lengths)


@pytest.fixture(scope="module", params=[DARK, INFRARED], ids=["dark on light", "infrared"])
def walk(request, tmp_path_factory):
    return follow(tmp_path_factory.mktemp("walk"), request.param)


def hits(distances):
    """Share of frames in which the crop's center lies on the animal: within half a body length."""
    return np.mean(distances < 0.5)


def test_the_crop_follows_a_walking_animal(walk):
    distances, _ = walk
    assert hits(distances) >= 0.95


def test_the_body_length_is_right_within_a_third(walk):
    _, lengths = walk
    assert np.all(np.abs(lengths / LENGTH - 1) < 1 / 3)


@KINDS
def test_an_animal_that_never_moves_is_found(tmp_path, mouse):
    assert hits(follow(tmp_path, mouse, still=True)[0]) >= 0.95


@KINDS
def test_a_bright_reflection_does_not_attract_the_crop_from_a_walking_animal(tmp_path, mouse):
    assert hits(follow(tmp_path, mouse, light=LIGHT)[0]) >= 0.95


def test_a_bright_reflection_does_not_attract_the_crop_from_a_dark_animal_that_never_moves(
    tmp_path,
):
    assert hits(follow(tmp_path, DARK, still=True, light=LIGHT)[0]) >= 0.95


def test_beside_a_bright_reflection_the_crop_of_a_still_infrared_animal_is_mostly_near_it(
    tmp_path,
):
    distances, _ = follow(tmp_path, INFRARED, still=True, light=LIGHT)
    assert (
        np.mean(distances < 1) >= 0.75
    )  # the weakest case: its paws are no brighter than the reflection


@KINDS
def test_a_flickering_clock_does_not_attract_the_crop_from_a_walking_animal(tmp_path, mouse):
    assert hits(follow(tmp_path, mouse, overlay=draw_clock)[0]) >= 0.95


@KINDS
def test_a_clock_attracts_the_crop_from_an_animal_that_never_moves_until_the_clock_is_masked(
    tmp_path, mouse
):
    assert (
        hits(follow(tmp_path, mouse, still=True, overlay=draw_clock)[0]) < 0.5
    )  # the limit that --mask is there for
    mask = ",".join(map(str, CLOCK))
    assert hits(follow(tmp_path, mouse, mask, still=True, overlay=draw_clock)[0]) >= 0.95


def test_a_negative_of_the_film_is_followed_all_the_same():
    y, x = np.mgrid[:96, :96]
    way = np.linspace((20, 30), (75, 60), 40)
    frames = np.stack([200 - 140 * (np.hypot(x - a, (y - b) * 2) < 10) for a, b in way]).astype(
        np.uint8
    )
    for film in (frames, 255 - frames):
        small = np.stack([localize.shrink(f, 1) for f in film])
        scene = localize.survey(small, 1)
        places = np.array([localize.locate(scene, f) for f in small]) - 0.5
        assert np.hypot(*(places - way).T).max() < 3


@pytest.mark.parametrize("level", [0, 90, 255])
def test_an_empty_picture_puts_the_crop_in_its_middle(level):
    small = np.stack([localize.shrink(np.full((96, 128), level, np.uint8), 1)] * 8)
    scene = localize.survey(small, 1)
    assert localize.locate(scene, small[0]) == scene.home_px == (64, 48)
    assert 0 < scene.body_length_px < 64


@pytest.mark.parametrize(
    ("shape", "factor"), [((90, 128), 1), ((480, 640), 5), ((1070, 1064), 8), ((40, 30), 1)]
)
def test_a_picture_is_shrunk_to_about_128_pixels_by_block_means(shape, factor):
    assert localize.factor_for(shape) == factor
    luma = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    small = localize.shrink(luma, factor)
    height, width = (s // factor for s in shape)
    blocks = (
        luma[: height * factor, : width * factor]
        .reshape(height, factor, width, factor)
        .mean(axis=(1, 3))
    )
    assert np.allclose(small, np.log(blocks + 16), atol=1e-5)


@pytest.mark.parametrize(
    ("video", "table"),
    [
        ("bottomview_pose/cropped_video.mp4", "bottomview_pose/cropped_videoDLC_resnet50_vame.csv"),
        ("openfield_keypoints/*.mp4", "openfield_keypoints/*DLC*.csv"),
    ],
)
def test_in_real_films_the_crop_stays_on_the_animal_that_a_trained_tracker_sees(
    real_data, video, table
):
    (path,), (points,) = real_data.rglob(video), real_data.rglob(table)
    way, length = way_of(path, stop=200)
    with open(points, newline="") as file:
        rows = np.array([row[1:] for row in list(csv.reader(file))[3:]], float)[: len(way)]
    track = rows.reshape(len(rows), -1, 3)
    sure = track[..., 2:] > 0.6
    low, high = (np.where(sure, track[..., :2], far) for far in (np.inf, -np.inf))
    seen = sure.any(axis=(1, 2))
    middle = (low.min(axis=1)[seen] + high.max(axis=1)[seen]) / 2
    assert seen.sum() > 150
    assert hits(np.hypot(*(way[seen] - middle).T) / length) >= 0.95


def test_a_real_animal_that_hardly_moves_is_found_in_a_cage_full_of_edges(real_data):
    (path,) = real_data.rglob("bottomview/Videos/session2_inactive.mp4")
    way, length = way_of(path)
    assert len(way) == 72
    assert hits(np.hypot(*(way - (259, 218)).T) / length) >= 0.95  # where a person sees it lie


def test_the_burnt_in_clock_of_real_films_does_not_attract_the_crop(real_data):
    videos = sorted((real_data / "formalin").rglob("*.mp4"))
    assert len(videos) >= 10
    for path in videos[::2]:
        way, length = way_of(path, stop=60)
        assert np.hypot(*(way - (352, 330)).T).min() > length, path.name
