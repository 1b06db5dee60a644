"""Cleaning a pose: doubt becomes absence, short gaps are bridged, and nothing is made up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dolorim.core.errors import UserError
from dolorim.pose.cleaning import body_length_px, clean, gate, since_seen
from dolorim.pose.keypoints import KEYPOINTS, with_our_names
from dolorim.pose.pose import Pose
from dolorim.pose.read import read_pose
from dolorim.pose.write_dlc import write_dlc
from dolorim.simulate.mouse import draw_labels, keypoints, move
from dolorim.simulate.study import StudyPlan, draw_mouse, track

BODY_PX = 100.0


def walk(n=40, step=(2.0, 1.0)):
    """One point that walks in a straight line, `(time, 1, xy)`."""
    return 50 + np.arange(n)[:, None, None] * np.array(step)


def one_point(points, likelihood=None):
    return Pose(("nose",), points, likelihood)


def mice(n=200, length=BODY_PX, seed=0):
    """A mouth and a tail base of an animal that is stretched to its full length now and then, and
    often half of it."""
    rng = np.random.default_rng(seed)
    stretch = length * np.where(np.arange(n) % 10 == 0, 1.0, rng.uniform(0.4, 0.9, n))
    angle = rng.uniform(0, 2 * np.pi, n)
    tail = rng.uniform(200, 300, (n, 2))
    mouth = tail + stretch[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return Pose(("mouth", "tail_base"), np.stack([mouth, tail], axis=1))


def test_the_body_length_is_that_of_the_stretched_animal_however_often_it_cowers():
    assert body_length_px(mice()) == pytest.approx(BODY_PX)


def test_a_few_tracking_errors_do_not_change_the_body_length():
    points = np.array(mice().points)
    points[[3, 77, 131, 150], 0] += 5000
    assert body_length_px(Pose(("mouth", "tail_base"), points)) == pytest.approx(BODY_PX)


def test_frames_in_which_an_end_is_doubtful_do_not_count_for_the_body_length():
    pose = mice()
    likelihood, points = np.ones((200, 2)), np.array(pose.points)
    points[::2, 1] += 5000
    likelihood[::2, 1] = 0.3
    points[1::20] = pose.points[::20]
    assert body_length_px(Pose(pose.names, points, likelihood)) == pytest.approx(BODY_PX)


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        (
            Pose(("mouth", "tail_base"), np.ones((99, 2, 2)), np.full((99, 2), 0.1)),
            "together in 10 frames .* found 0",
        ),
        (Pose(("mouth", "tail_base"), np.ones((99, 2, 2))), "always at the same place"),
    ],
)
def test_a_body_length_that_cannot_be_measured_is_a_users_error(pose, message):
    with pytest.raises(UserError, match=message):
        body_length_px(pose)


def test_points_below_the_threshold_are_missing_and_those_of_unknown_likelihood_are_not():
    pose = one_point(np.ones((4, 1, 2)), np.array([[0.59], [0.6], [np.nan], [1]]))
    assert gate(pose, 0.6)[:, 0].tolist() == [False, True, True, True]
    cleaned = clean(one_point(walk(30), np.repeat([1, 0.2, 1], 10)[:, None]), BODY_PX)
    assert cleaned.doubted[:, 0].tolist() == [False] * 10 + [True] * 10 + [False] * 10
    assert cleaned.pose.missing[:, 0].tolist() == cleaned.doubted[:, 0].tolist()


@pytest.mark.parametrize("length", [1, 2, 5])
def test_an_excursion_of_a_few_frames_is_replaced_by_the_straight_way(length):
    points = walk()
    points[20 : 20 + length] += 300
    cleaned = clean(one_point(points), BODY_PX)
    assert np.flatnonzero(cleaned.jumped).tolist() == list(range(20, 20 + length))
    np.testing.assert_allclose(cleaned.pose.points, walk())
    assert np.flatnonzero(cleaned.interpolated).tolist() == list(range(20, 20 + length))


def test_an_excursion_at_either_end_of_a_recording_is_missing():
    points = walk()
    points[:2] += 300
    points[-3:] += 300
    cleaned = clean(one_point(points), BODY_PX)
    assert np.flatnonzero(cleaned.pose.missing).tolist() == [0, 1, 37, 38, 39]


def test_after_a_true_leap_the_animal_stays_where_it_went():
    points = walk()
    points[20:] += 300
    cleaned = clean(one_point(points), BODY_PX)
    assert cleaned.seen.all()
    np.testing.assert_array_equal(cleaned.pose.points, points)


@pytest.mark.parametrize(
    ("away", "frames", "jumped"), [(29, 1, False), (31, 1, True), (59, 4, False), (61, 4, True)]
)
def test_the_longer_a_point_was_not_seen_the_farther_away_it_may_be_seen_again(
    away, frames, jumped
):
    """A point stands still, is lost, and at the end of the recording is seen once: 0.3 body lengths
    times sqrt(n)."""
    points = np.full((20 + frames, 1, 2), 50.0)
    points[20:] = np.nan
    points[-1] = [50 + away, 50]
    assert clean(one_point(points), BODY_PX).jumped.tolist() == [[False]] * (19 + frames) + [
        [jumped]
    ]


def test_a_gap_of_five_frames_is_bridged_and_one_of_six_is_not():
    points = walk()
    points[5:10] = points[20:26] = points[:2] = points[-1:] = np.nan
    cleaned = clean(one_point(points), BODY_PX)
    assert np.flatnonzero(cleaned.pose.missing).tolist() == [0, 1, *range(20, 26), 39]
    np.testing.assert_allclose(cleaned.pose.points[2:20], walk()[2:20])
    assert cleaned.since_seen[:12, 0].tolist() == [np.inf, np.inf, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0]


def test_the_time_since_a_point_was_seen_is_infinite_before_the_first_time():
    seen = np.array([[False, True], [True, False], [False, False]])
    assert since_seen(seen).tolist() == [[np.inf, 0], [0, 1], [1, 2]]


poses = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        hnp.arrays(float, (n, 2, 2), elements=st.integers(1, 400).map(float) | st.just(np.nan)),
        hnp.arrays(float, (n, 2), elements=st.sampled_from([0.1, 0.7, 1.0])),
    )
)


@given(poses)
def test_what_was_seen_is_not_moved_and_what_was_not_lies_between_its_neighbours(arrays):
    pose = Pose(("a", "b"), *arrays)
    cleaned = clean(pose, BODY_PX)
    np.testing.assert_array_equal(cleaned.pose.points[cleaned.seen], pose.points[cleaned.seen])
    assert not (cleaned.seen & pose.missing).any()
    assert (cleaned.seen | cleaned.doubted | cleaned.jumped | pose.missing).all()
    assert np.isnan(cleaned.pose.likelihood[~cleaned.seen]).all()
    for k in range(2):
        at = np.flatnonzero(cleaned.seen[:, k])
        for t in np.flatnonzero(cleaned.interpolated[:, k]):
            before, after = at[at < t].max(), at[at > t].min()
            assert after - before <= 6
            ends = cleaned.pose.points[[before, after], k]
            share = (t - before) / (after - before)
            np.testing.assert_allclose(
                cleaned.pose.points[t, k], ends[0] + share * (ends[1] - ends[0])
            )


@given(poses)
def test_time_running_backwards_changes_nothing(arrays):
    points, likelihood = arrays
    one = clean(Pose(("a", "b"), points, likelihood), BODY_PX)
    two = clean(Pose(("a", "b"), points[::-1], likelihood[::-1]), BODY_PX)
    np.testing.assert_array_equal(one.jumped, two.jumped[::-1])
    np.testing.assert_allclose(one.pose.points, two.pose.points[::-1])


@given(poses, st.sampled_from([0.25, 4.0]))
def test_cleaning_is_the_same_in_a_video_of_another_size(arrays, scale):
    points, likelihood = arrays
    one = clean(Pose(("a", "b"), points, likelihood), BODY_PX)
    two = clean(Pose(("a", "b"), points * scale, likelihood), BODY_PX * scale)
    np.testing.assert_array_equal(one.jumped, two.jumped)
    np.testing.assert_allclose(one.pose.points * scale, two.pose.points)


def test_no_frames_and_never_seen_points_are_no_trouble():
    assert len(clean(Pose(("a",), np.empty((0, 1, 2))), 1.0).pose) == 0
    cleaned = clean(Pose(("a",), np.full((3, 1, 2), np.nan)), 1.0)
    assert cleaned.pose.missing.all()
    assert np.isinf(cleaned.since_seen).all()
    with pytest.raises(ValueError, match="above 0"):
        clean(Pose(("a",), np.ones((3, 1, 2))), 0.0)


def test_a_simulated_pose_file_reads_back_exactly_and_cleaning_brings_it_nearer_to_the_truth(
    tmp_path,
):
    rng = np.random.default_rng(4)
    plan = StudyPlan(animals=1, trials=1, size_px=256)
    mouse = draw_mouse(plan, rng)
    truth = keypoints(
        move(draw_labels(900, plan.rate_hz, rng), mouse, 256, plan.rate_hz, rng), mouse
    )
    points, likelihood = track(truth, rng)
    write_dlc(tmp_path / "vDLC.csv", "net", KEYPOINTS, points, likelihood)
    pose = read_pose(tmp_path / "vDLC.csv")
    np.testing.assert_array_equal(pose.points, points)
    np.testing.assert_array_equal(pose.likelihood, likelihood)
    length = body_length_px(pose)
    assert length == pytest.approx(
        np.percentile(np.hypot(*(truth[:, 0] - truth[:, 5]).T), 95), rel=0.05
    )
    cleaned = clean(pose, length)
    error = np.hypot(*np.moveaxis(cleaned.pose.points - truth, -1, 0)) / length
    raw = np.hypot(*np.moveaxis(points - truth, -1, 0)) / length
    wild = raw > 0.5
    assert (wild & gate(pose, 0.6)).sum() > 10
    assert (wild & cleaned.seen).sum() < 0.4 * (wild & gate(pose, 0.6)).sum()
    assert (cleaned.jumped & (raw < 0.15)).sum() < 0.001 * cleaned.seen.sum()
    assert np.nanquantile(error, 0.95) < 0.5 * np.quantile(raw, 0.95)
    assert cleaned.pose.missing.mean() < cleaned.doubted.mean()


def test_a_real_bottom_view_mouse_has_one_length_and_few_jumps_and_its_paws_come_back(real_data):
    (path,) = (real_data / "cfa_sample/DLC").glob("*.csv")
    pose, _ = with_our_names(read_pose(path))
    length = body_length_px(pose)
    assert length == pytest.approx(229, abs=1)
    assert body_length_px(pose, likelihood=0.9) == pytest.approx(length, rel=0.01)
    cleaned = clean(pose, length)
    paw = KEYPOINTS.index("L_frontpaw")
    assert cleaned.jumped.mean() < 0.01
    assert cleaned.doubted[:, paw].mean() == pytest.approx(0.38, abs=0.01)
    assert 0 < cleaned.interpolated[:, paw].sum() < cleaned.doubted[:, paw].sum()
    assert not (cleaned.pose.points == 0).any()
