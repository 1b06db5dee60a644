"""The 18 features of the pose graph."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dolorim.pose.cleaning import body_length_px
from dolorim.pose.graph import ANGLES, FEATURES, LENGTHS, pose_graph
from dolorim.pose.keypoints import KEYPOINTS, with_our_names
from dolorim.pose.pose import Pose
from dolorim.pose.read import read_pose

pixels = st.integers(0, 2000).map(lambda i: i / 4)
points = st.integers(1, 4).flatmap(lambda n: hnp.arrays(float, (n, 6, 2), elements=pixels))


def graph(points, length=100.0):
    return pose_graph(Pose(KEYPOINTS, points), length)


def scalar_reference(row, length):
    """Pencil and paper: one frame `(6, 2)`, one feature after the other, by the law of cosines."""
    at = dict(zip(KEYPOINTS, row.tolist(), strict=True))
    features = [math.dist(at[a], at[b]) / length for a, b in LENGTHS]
    for a, middle, b in ANGLES:
        one, two, across = (
            math.dist(at[middle], at[a]),
            math.dist(at[middle], at[b]),
            math.dist(at[a], at[b]),
        )
        features.append(
            math.acos(max(-1.0, min(1.0, (one**2 + two**2 - across**2) / (2 * one * two))))
        )
    return features


def test_the_features_are_the_eighteen_that_were_agreed():
    assert FEATURES == (
        "mouth-tail_base", "mouth-L_frontpaw", "mouth-R_frontpaw", "tail_base-L_hindpaw",
        "tail_base-R_hindpaw",
        "L_frontpaw-L_hindpaw", "R_frontpaw-R_hindpaw", "L_frontpaw-R_frontpaw",
        "tail_base-mouth-L_frontpaw", "tail_base-mouth-R_frontpaw", "mouth-tail_base-L_hindpaw",
        "mouth-tail_base-R_hindpaw", "mouth-L_frontpaw-L_hindpaw", "mouth-R_frontpaw-R_hindpaw",
        "tail_base-L_frontpaw-L_hindpaw", "tail_base-R_frontpaw-R_hindpaw",
        "L_frontpaw-mouth-R_frontpaw",
        "L_hindpaw-tail_base-R_hindpaw",
    )  # fmt: skip


def test_a_square_mouse_has_the_lengths_and_angles_of_a_square():
    """Mouth and tail base lie 200 px apart, each 50 px before and behind a square of paws with
    sides of 100 px."""
    row = np.array([[0, 100], [-50, 50], [50, 50], [-50, -50], [50, -50], [0, -100]], float)
    by_name = dict(zip(FEATURES, graph(row[None])[0].tolist(), strict=True))
    assert by_name["mouth-tail_base"] == 2
    assert by_name["L_frontpaw-R_frontpaw"] == by_name["L_frontpaw-L_hindpaw"] == 1
    assert by_name["mouth-L_frontpaw"] == pytest.approx(math.sqrt(0.5))
    assert by_name["tail_base-mouth-L_frontpaw"] == pytest.approx(math.pi / 4)
    assert by_name["L_frontpaw-mouth-R_frontpaw"] == pytest.approx(math.pi / 2)
    assert by_name["mouth-L_frontpaw-L_hindpaw"] == pytest.approx(3 * math.pi / 4)


@given(
    points,
    st.floats(0, 2 * math.pi),
    st.floats(0.2, 5),
    st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_a_mouse_that_is_elsewhere_turned_and_filmed_larger_has_the_same_features(
    points, angle, scale, shift
):
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    one, two = graph(points), graph(scale * points @ turn + shift, 100 * scale)
    lengths = slice(len(LENGTHS))
    np.testing.assert_allclose(one[:, lengths], two[:, lengths], atol=1e-9)
    # Where two corners of a triangle are at one place there is no angle, and rounding would make
    # one up.
    at = {name: points[:, i] for i, name in enumerate(KEYPOINTS)}
    for k, (a, middle, b) in enumerate(ANGLES, len(LENGTHS)):
        sides = np.minimum(*(np.hypot(*(at[end] - at[middle]).T) for end in (a, b)))
        np.testing.assert_allclose(one[sides > 0, k], two[sides > 0, k], atol=1e-8)


@given(points)
def test_a_mirrored_mouse_has_the_features_of_the_other_side(points):
    swap = [KEYPOINTS.index({"L": "R", "R": "L"}.get(n[0], n[0]) + n[1:]) for n in KEYPOINTS]
    mirrored = graph(points[:, swap] * [-1, 1])

    def other_side(name):
        ends = name.translate(str.maketrans("LR", "RL")).split("-")
        return next(n for n in ("-".join(ends), "-".join(reversed(ends))) if n in FEATURES)

    np.testing.assert_allclose(
        graph(points), mirrored[:, [FEATURES.index(other_side(n)) for n in FEATURES]]
    )


@given(points)
def test_every_feature_of_every_triangle_is_finite_and_in_range(points):
    for flat in (points, points * [1, 0], points[:, [0]] + np.zeros((1, 6, 1))):
        features = graph(flat)
        assert np.isfinite(features).all()
        assert (features >= 0).all()
        assert (features[:, len(LENGTHS) :] <= math.pi).all()


@pytest.mark.parametrize("side", [1, -1])
def test_the_angle_of_a_flat_triangle_keeps_its_slope(side):
    """A paw that leaves the line of the body by a hair turns by as much: the arc cosine would say
    by nothing at all."""
    row = np.array([[0, 0], [100 * side, 0], [1, 30], [2, 40], [3, 50], [100, 0]], float)
    hair = np.array(row)
    hair[1, 1] += 1e-7
    angle = FEATURES.index("tail_base-mouth-L_frontpaw")
    change = abs(graph(hair[None])[0, angle] - graph(row[None])[0, angle])
    assert change == pytest.approx(1e-9, rel=1e-5)


@pytest.mark.parametrize("gone", range(6))
def test_what_hangs_on_a_missing_point_is_missing_and_nothing_else(gone):
    row = np.random.default_rng(0).uniform(0, 99, (1, 6, 2))
    row[0, gone] = np.nan
    missing = [KEYPOINTS[gone] in name.split("-") for name in FEATURES]
    assert np.isnan(graph(row)[0]).tolist() == missing


def test_the_angle_at_two_corners_in_one_place_is_0_on_whichever_side_they_lie():
    row = np.zeros((1, 6, 2))
    for far in ([1, 1], [-1, 1], [-1, -1], [1, -1]):
        row[0, 4:] = (
            # A hind paw on the tail base: the other hind paw is elsewhere, but there is no corner
            far
        )
        assert graph(row)[0, FEATURES.index("L_hindpaw-tail_base-R_hindpaw")] == 0


def test_another_skeleton_or_order_and_a_body_without_length_are_refused():
    with pytest.raises(ValueError, match="expected the keypoints mouth, "):
        pose_graph(Pose(KEYPOINTS[::-1], np.ones((1, 6, 2))), 1.0)
    with pytest.raises(ValueError, match="above 0"):
        graph(np.ones((1, 6, 2)), 0.0)


def test_a_million_frames_take_less_than_ten_seconds():
    million = np.random.default_rng(0).uniform(0, 500, (1_000_000, 6, 2))
    start = time.process_time()
    assert graph(million).shape == (1_000_000, 18)
    assert time.process_time() - start < 10


def test_real_rows_have_the_features_that_pencil_and_paper_give(real_data):
    paths = [
        *(real_data / "cfa_sample/DLC").glob("*.csv"),
        *(real_data / "bottomview_pose").glob("*.csv"),
    ]
    for path in paths:
        pose, _ = with_our_names(read_pose(path))
        length = body_length_px(pose)
        features = pose_graph(pose, length)
        expected = np.array([scalar_reference(row, length) for row in pose.points])
        np.testing.assert_allclose(
            features[:, : len(LENGTHS)], expected[:, : len(LENGTHS)], rtol=1e-12
        )
        np.testing.assert_allclose(
            features, expected, atol=1e-6
        )  # as good as the arc cosine is near 0 and pi
    assert len(paths) == 2
