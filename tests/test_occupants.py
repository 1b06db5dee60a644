"""Whether one animal is in the picture, as it should be: nobody and several are told for sure."""

from pathlib import Path

import numpy as np
import pytest

from dolorim.checks.check import check
from dolorim.config import DataConfig
from dolorim.dataset.study import in_study_folder
from dolorim.files.tables import write_table
from dolorim.video.crop import sampled_lumas
from dolorim.video.empty_chambers import find_empty
from dolorim.video.localizer import Scene, factor_for, shrink, survey
from racks import empty_pictures, mouse_pictures, rack_film, tile

SIDE = 96


def scene_of(pictures: list[np.ndarray]) -> Scene:
    """The scene of about thirty of some pictures."""
    picked = pictures[:: max(1, len(pictures) // 30)]
    factor = factor_for(picked[0].shape)
    return survey(np.stack([shrink(picture, factor) for picture in picked]), factor)


@pytest.fixture(scope="module")
def mice() -> list[list[np.ndarray]]:
    return [mouse_pictures(seed, 120, SIDE) for seed in range(3)]


def test_one_animal_is_not_several(mice):
    assert [scene_of(pictures).has_several for pictures in mice] == [False] * 3


def test_two_animals_that_move_in_one_picture_are_several(mice):
    both = [np.hstack(pair) for pair in zip(mice[0], mice[1], strict=True)]
    assert scene_of(both).has_several
    assert scene_of(tile([*mice, mouse_pictures(7, 120, SIDE)], 2, 3)).has_several


@pytest.mark.parametrize("mirrored", [True, False], ids=["reflection", "shadow"])
def test_a_reflection_or_a_shadow_is_no_second_animal(mice, mirrored):
    floor = np.median(np.stack(mice[0][::8]), axis=0)
    pictures = []
    for picture in mice[0]:
        fainter = (floor + 0.7 * (picture - floor)).clip(0, 255).astype(np.uint8)
        pictures.append(np.hstack([picture, fainter[:, ::-1] if mirrored else fainter]))
    assert not scene_of(pictures).has_several


@pytest.mark.parametrize(
    "name",
    [
        "formalin/Videos/walking.mp4",
        "formalin/Videos/rearing.mp4",
        "bottomview/Videos/session1_locomote.mp4",
        "bottomview/Videos/session0_orient_L.mp4",
    ],
)
def test_one_real_mouse_is_neither_several_nor_nobody(real_data, name):
    scene = scene_of(sampled_lumas(real_data / name, None))
    assert (scene.has_several, scene.is_still) == (False, False)


def noisy(picture: np.ndarray, n_frames: int = 12) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    pictures = picture + rng.normal(0, 2, (n_frames, *picture.shape))
    return list(pictures.clip(0, 255).astype(np.uint8))


def test_a_mouse_that_only_breathes_is_somebody_and_so_is_one_that_does_not_move_at_all(mice):
    breathing = mouse_pictures(4, 60, SIDE, still=True)
    scenes = [scene_of(mice[0]), scene_of(breathing), scene_of(noisy(breathing[0]))]
    assert find_empty(scenes, None) == [False, False, False]
    assert scenes[2].is_still


def test_a_chamber_without_an_animal_is_empty(mice):
    scenes = [scene_of(mice[0]), scene_of(empty_pictures(0, 60, SIDE))]
    assert find_empty(scenes, None) == [False, True]


def test_where_nothing_moves_anywhere_nobody_is_said_to_be_missing():
    assert find_empty([scene_of(empty_pictures(0, 60, SIDE)), None], None) == [False, False]


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one rack: two mice that walk, one that rests, and an empty chamber, B2."""
    folder = tmp_path_factory.mktemp("study")
    rack_film(folder / "Videos" / "cage.mp4", n_frames=90, still=(2,), empty=(3,))
    return folder


def findings(folder: Path, **settings) -> dict[str, str]:
    """The findings of `check` about animals and chambers, by their names."""
    checked = check(in_study_folder(folder, DataConfig(**settings)))
    about = ("several-animals", "chamber-empty", "chamber-outside", "chambers-overlap")
    return {f.name: str(f) for f in checked.findings if f.name in about}


def test_check_names_the_chamber_without_an_animal(rack):
    assert [*findings(rack, chambers="2x2")] == ["chamber-empty"]
    assert "cage.mp4, chamber B2: nothing moves" in findings(rack, chambers="2x2")["chamber-empty"]


def test_check_warns_of_two_animals_in_one_picture_or_in_one_chamber(rack):
    assert "say where each of them is (--chambers 2x4" in findings(rack)["several-animals"]
    one_row = findings(rack, chambers="2x1")
    assert "more than one animal moves in this chamber" in one_row.get("several-animals", "")


def test_check_goes_on_after_a_chamber_outside_the_picture(rack, tmp_path):
    rows = [("in", 0, 0, 96, 96), ("out", 96, 0, 500, 96)]
    write_table(tmp_path / "boxes.csv", ("chamber", "x0", "y0", "x1", "y1"), rows)
    checked = check(in_study_folder(rack, DataConfig(chambers=str(tmp_path / "boxes.csv"))))
    assert [row.examined.n_frames for row in checked.rows] == [90, 0]
    [outside] = [f for f in checked.findings if f.name == "chamber-outside"]
    assert outside.severity == "error"
