"""Features of poses: local, and the same wherever, however large and in which order the animals
are."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.pose.cleaning import since_seen
from dolorim.pose.features import REACH, feature_names, pose_features, skeleton_scale_px
from dolorim.pose.generic_features import body_axis, trunk
from dolorim.pose.graph import FEATURES
from dolorim.pose.keypoints import KEYPOINTS

RAT = ("top", "body", "tail", "tail-m", "tail-e")
LAYOUTS = [
    ("graph", KEYPOINTS, 1),
    ("full", KEYPOINTS, 1),
    ("generic", KEYPOINTS, 1),
    ("generic", RAT, 2),
]
layouts = pytest.mark.parametrize(
    ("kind", "keypoints", "animals"), [*LAYOUTS, ("generic", ("a", "b"), 3)]
)
seeds, shifts = st.integers(0, 2**20), st.floats(-500, 500)
SHAKY = ("turning", "facing", "aligned")  # directions: ill-conditioned where two points nearly meet


def walk(seed, frames, animals, keypoints, missing=0.2):
    """Points `(time, animal, keypoint, xy)` that wander smoothly, some of them missing for a
    while.
    """
    rng = np.random.default_rng(seed)
    path = np.cumsum(rng.normal(0, 3, (frames, animals, 1, 2)), axis=0) + rng.uniform(
        0, 300, (animals, 1, 2)
    )
    shape = np.stack([np.linspace(60, -60, keypoints), np.resize([0, 20, -20], keypoints)], -1)
    points = path + shape + np.cumsum(rng.normal(0, 1, (frames, animals, keypoints, 2)), axis=0)
    lost = rng.random((frames // 4 + 1, animals, keypoints)) < missing
    points[np.repeat(lost, 4, axis=0)[:frames]] = np.nan
    return points


def features(kind, keypoints, points, unseen=None, scale_px=120.0, rate_hz=30.0):
    if unseen is None:
        seen = np.isfinite(points[..., 0]).reshape(len(points), np.prod(points.shape[1:3]))
        unseen = since_seen(seen).reshape(points.shape[:3])
    return pose_features(kind, keypoints, points, unseen, scale_px=scale_px, rate_hz=rate_hz)


def of(kind, keypoints, points, **settings):
    names = feature_names(kind, keypoints, points.shape[1])
    return dict(zip(names, features(kind, keypoints, points, **settings).T, strict=True))


@layouts
def test_every_column_has_a_name_of_its_own(kind, keypoints, animals):
    names = feature_names(kind, keypoints, animals)
    columns = features(kind, keypoints, walk(0, 40, animals, len(keypoints)))
    assert columns.shape == (40, len(names))
    assert columns.dtype == np.float32
    assert len(set(names)) == len(names)


@given(
    seeds,
    st.sampled_from(LAYOUTS),
    st.integers(0, 199),
    st.integers(1, 90),
    st.sampled_from([15.0, 30, 60, 240]),
)
@settings(max_examples=40, deadline=None)
def test_a_slice_with_its_surroundings_has_the_features_of_the_whole_recording(
    seed, layout, start, frames, rate_hz
):
    kind, keypoints, animals = layout
    points = walk(seed, 200, animals, len(keypoints))
    unseen = since_seen(np.isfinite(points[..., 0]).reshape(200, -1)).reshape(points.shape[:3])
    stop = min(start + frames, 200)
    low, high = max(0, start - REACH), min(200, stop + REACH)
    whole = features(kind, keypoints, points, unseen, rate_hz=rate_hz)[start:stop]
    part = features(kind, keypoints, points[low:high], unseen[low:high], rate_hz=rate_hz)[
        start - low : stop - low
    ]
    np.testing.assert_allclose(part, whole, rtol=1e-4, atol=1e-4)


@given(
    seeds,
    st.sampled_from(LAYOUTS),
    st.floats(0, 2 * math.pi),
    st.floats(0.2, 5),
    st.tuples(shifts, shifts),
)
@settings(max_examples=40, deadline=None)
def test_animals_elsewhere_turned_and_filmed_larger_have_the_same_features(
    seed, layout, angle, scale, shift
):
    kind, keypoints, animals = layout
    points = walk(seed, 50, animals, len(keypoints))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = of(kind, keypoints, points @ turn.T * scale + shift, scale_px=120.0 * scale)
    for name, values in of(kind, keypoints, points).items():
        if not any(word in name for word in SHAKY):
            np.testing.assert_allclose(moved[name], values, rtol=1e-4, atol=1e-4, err_msg=name)


@given(seeds, st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_animals_have_no_order(seed, animals):
    points = walk(seed, 30, animals, len(RAT))
    other = points[:, np.random.default_rng(seed).permutation(animals)]
    np.testing.assert_allclose(
        features("generic", RAT, points), features("generic", RAT, other), atol=1e-5
    )


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_in_a_mirror_left_and_right_change_places_and_what_is_across_changes_its_sign(seed):
    points = walk(seed, 60, 1, 6)
    mirrored = points[:, :, [0, 2, 1, 4, 3, 5]] * [-1, 1]
    plain, seen = of("full", KEYPOINTS, points), of("full", KEYPOINTS, mirrored)
    for name, values in plain.items():
        there = (
            seen[
                name.translate(str.maketrans("LR", "RL"))
                .replace("R-L", "L-R")
                .replace("R+L", "L+R")
            ]
            if name not in FEATURES
            else seen[mirror_graph(name)]
        )
        signed = name.endswith((" across", "L-R", "L+R")) or name in ("sideways", "turning")
        np.testing.assert_allclose(
            there, -values if signed else values, rtol=1e-3, atol=1e-4, err_msg=name
        )


def mirror_graph(name):
    """The graph's feature on the other side: what runs from left to right may be named backwards
    there."""
    swapped = name.translate(str.maketrans("LR", "RL"))
    return swapped if swapped in FEATURES else "-".join(reversed(swapped.split("-")))


@layouts
def test_where_no_point_was_seen_nothing_is_known_but_that(kind, keypoints, animals):
    points = np.full((20, animals, len(keypoints), 2), np.nan)
    for name, values in of(kind, keypoints, points).items():
        if "unseen_s" in name:
            assert (values == 2).all(), name
        elif "seen" in name:
            assert (values == 0).all(), name
        else:
            assert np.isnan(values).all(), name


@layouts
def test_where_every_point_is_seen_everything_is_known(kind, keypoints, animals):
    assert np.isfinite(
        features(kind, keypoints, walk(3, 50, animals, len(keypoints), missing=0))
    ).all()


@layouts
def test_one_frame_has_a_posture_but_no_speed(kind, keypoints, animals):
    columns = of(kind, keypoints, walk(1, 1, animals, len(keypoints), missing=0))
    assert all(
        np.isnan(v).all() == ("speed" in n)
        for n, v in columns.items()
        if "speed" in n or n in FEATURES
    )
    assert features(kind, keypoints, walk(1, 0, animals, len(keypoints))).shape == (0, len(columns))


def test_a_rat_that_runs_a_body_length_a_second_at_another_that_sits():
    """The runner comes along x, at 100 px/s and 25 frames/s; the other looks its way."""
    body = np.array([[50, 0], [0, 0], [-50, 0]], float)
    points = np.stack(
        [
            np.stack([body + np.array([4 * t, 0]), body * [-1, 1] + np.array([500, 0])])
            for t in range(50)
        ]
    )
    columns = of("generic", ("nose", "back", "tail_base"), points, scale_px=100.0, rate_hz=25.0)
    at = {name: float(values[25]) for name, values in columns.items()}
    assert at["speed 1:max"] == at["forward 1:max"] == pytest.approx(1)
    assert at["speed 1:min"] == at["relative speed 1"] - 1 == pytest.approx(0)
    assert at["distance"] == pytest.approx(4)
    assert at["gap"] == at["nose~nose"] == pytest.approx(3)
    assert at["gap change 2"] == at["distance change 0"] == pytest.approx(-1)
    assert at["approach more"] == pytest.approx(1)
    assert at["approach less"] == pytest.approx(0)
    assert at["facing less"] == at["facing more"] == pytest.approx(1)
    assert at["aligned"] == pytest.approx(-1)
    assert at["nose~tail_base near"] == at["nose~tail_base far"] == pytest.approx(4)


def test_speeds_are_per_second_at_any_frame_rate():
    """A mouse that goes 300 px/s, filmed at 30 and at 90 frames/s."""
    slow = walk(0, 1, 1, 6, missing=0) + np.arange(40)[:, None, None, None] * [10.0, 0]
    fast = walk(0, 1, 1, 6, missing=0) + np.arange(120)[:, None, None, None] * [10 / 3, 0]
    for rate_hz, points in ((30.0, slow), (90.0, fast)):
        columns = of("full", KEYPOINTS, points, scale_px=100.0, rate_hz=rate_hz)
        for name in ("mouth speed 0", "R_hindpaw speed 2", "speed mean"):
            assert columns[name] == pytest.approx(3, rel=1e-4), name
        assert columns["R_frontpaw own speed"] == pytest.approx(0, abs=1e-4)


def test_a_shaken_paw_shakes_and_a_shaken_camera_does_not():
    rng = np.random.default_rng(0)
    still = np.repeat(walk(0, 1, 1, 6, missing=0), 60, axis=0)
    paw, camera = still.copy(), still + rng.normal(0, 5, (60, 1, 1, 2))
    paw[:, :, 2] += rng.normal(0, 5, (60, 1, 2))
    shaking = of("full", KEYPOINTS, paw)
    assert shaking["R_frontpaw shaking"].min() > 0.02
    assert shaking["L_frontpaw shaking"].max() < 1e-6
    assert of("full", KEYPOINTS, camera)["R_frontpaw shaking"].max() < 1e-6


def test_a_point_that_is_long_gone_is_as_gone_as_one_that_never_was():
    points = walk(0, 3, 1, 6, missing=0)
    unseen = np.zeros((3, 1, 6))
    unseen[:, 0, 0], unseen[:, 0, 1], unseen[:, 0, 2] = 15, 9000, np.inf
    columns = of("full", KEYPOINTS, points, unseen=unseen)
    assert columns["mouth unseen_s"][0] == 0.5
    assert columns["L_frontpaw unseen_s"][0] == columns["R_frontpaw unseen_s"][0] == 2


def test_the_body_runs_from_mouth_to_tail_base_whatever_they_are_called():
    assert body_axis(KEYPOINTS) == (0, 5)
    assert body_axis(RAT) == (0, 2)
    assert body_axis(("TailBase", "spine", "Snout")) == (2, 0)
    assert body_axis(("a", "b", "c")) == (0, 2)
    assert body_axis(("tail", "a")) == (0, 1)
    assert body_axis(("only",)) == (0, 0)
    assert trunk(RAT) == [0, 1, 2]
    assert trunk(KEYPOINTS) == [0, 1, 2, 3, 4, 5]


def test_the_scale_of_a_skeleton_is_how_long_it_is_when_stretched():
    points = np.zeros((100, 2, 3, 2))
    points[:, :, 1, 0] = np.linspace(50, 100, 100)[:, None]
    points[:2, 0, 2] = 5000  # a tracking error
    points[50:, 1] = np.nan
    assert skeleton_scale_px(points) == pytest.approx(97, abs=2)
    for useless in (
        np.full((5, 1, 3, 2), np.nan),
        np.zeros((5, 1, 3, 2)),
        np.ones((5, 1, 1, 2)),
        np.ones((0, 1, 2, 2)),
    ):
        with pytest.raises(ValueError, match="no animal has two points"):
            skeleton_scale_px(useless)


def test_what_does_not_fit_is_refused():
    points, unseen = np.zeros((4, 2, 5, 2)), np.zeros((4, 2, 5))
    with pytest.raises(ValueError, match="take 'generic'"):
        pose_features("full", RAT, points, unseen, scale_px=1, rate_hz=30)
    with pytest.raises(ValueError, match=r"got \(4, 2, 5, 2\) and \(4, 2\)"):
        pose_features("generic", RAT, points, unseen[..., 0], scale_px=1, rate_hz=30)
    with pytest.raises(ValueError, match="above 0, got 1 and 0"):
        pose_features("generic", RAT, points, unseen, scale_px=1, rate_hz=0)
    with pytest.raises(ValueError, match="expected features graph, full, generic, got 'best'"):
        pose_features("best", RAT, points, unseen, scale_px=1, rate_hz=30)
    with pytest.raises(ValueError, match="at least one animal"):
        pose_features("generic", RAT, points[:, :0], unseen[:, :0], scale_px=1, rate_hz=30)


@pytest.mark.parametrize("kind", ["graph", "full", "generic"])
def test_features_are_fast_enough_to_be_computed_while_training(kind):
    points = walk(0, 300, 1, 6)
    unseen = np.zeros(points.shape[:3])
    taken = []
    for _ in range(200):  # the quickest of many: what else the machine does slows some of them
        started = time.process_time()
        features(kind, KEYPOINTS, points, unseen)
        taken.append(time.process_time() - started)
    assert min(taken) < 0.003


def test_a_point_that_was_interpolated_is_there_but_was_not_seen():
    points, unseen = walk(0, 4, 2, 5, missing=0), np.zeros((4, 2, 5))
    unseen[2, 1] = 60
    columns = of("generic", RAT, points, unseen=unseen)
    assert columns["animals seen"].tolist() == [2, 2, 1, 2]
    assert columns["seen:min"].tolist() == [1, 1, 0, 1]
    assert columns["top unseen_s:max"][2] == 2
    assert np.isfinite(columns["distance"]).all()


@pytest.mark.parametrize("rate_hz", [10, 12.5, 15, 20, 24, 25, 30, 50, 60, 90, 100, 120])
@pytest.mark.parametrize("kind", ["full", "generic"])
def test_two_cameras_that_say_almost_the_same_rate_give_almost_the_same_features(kind, rate_hz):
    points = np.random.default_rng(0).normal(100, 20, (80, 1, 6, 2))
    one, ntsc, measured = (
        features(kind, KEYPOINTS, points, rate_hz=rate)
        for rate in (rate_hz, rate_hz / 1.001, rate_hz + 1e-9)
    )
    np.testing.assert_allclose(ntsc, one, rtol=0.01, atol=1e-3)
    np.testing.assert_allclose(measured, one, rtol=1e-4, atol=1e-5)
