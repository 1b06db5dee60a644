"""Poses: what is missing is missing everywhere, and nothing can be changed behind one's back."""

import numpy as np
import pytest

from dolorim.pose.pose import Pose, tracked

NAMES = ("mouth", "tail_base")


def test_a_point_with_one_unknown_coordinate_is_missing_and_so_is_its_likelihood():
    points = np.array([[[1.0, np.nan], [3, 4]], [[np.inf, 2], [0, 4]]])
    pose = Pose(NAMES, points, np.full((2, 2), 0.9))
    assert pose.missing.tolist() == [[True, False], [True, False]]
    assert np.isnan(pose.points[:, 0]).all()
    assert np.isnan(pose.likelihood[:, 0]).all()
    np.testing.assert_array_equal(pose.xy("tail_base"), [[3, 4], [0, 4]])
    assert points[0, 0, 0] == 1


def test_a_tracker_says_0_0_for_a_point_that_is_not_there_but_a_point_on_the_edge_is_there():
    pose = tracked(NAMES, np.array([[[0.0, 0], [0, 7]]]), np.ones((1, 2)))
    assert pose.missing.tolist() == [[True, False]]
    assert np.isnan(pose.points[0, 0]).all()
    assert pose.notes == ()


def test_likelihoods_outside_0_to_1_are_clipped_and_it_is_said():
    pose = tracked(NAMES, np.ones((2, 2, 2)), np.array([[1.25, 0.5], [-0.1, 1.0]]))
    assert pose.likelihood.tolist() == [[1.0, 0.5], [0.0, 1.0]]
    assert pose.notes == (
        "50.0% of the likelihoods lie outside [0, 1] (-0.1 to 1.25) and were clipped",
    )


def test_a_likelihood_that_is_never_known_is_no_likelihood():
    assert tracked(NAMES, np.ones((2, 2, 2)), np.full((2, 2), np.nan)).likelihood is None


def test_the_arrays_of_a_pose_are_read_only():
    pose = Pose(NAMES, np.ones((2, 2, 2)), np.ones((2, 2)))
    for array in (pose.points, pose.likelihood, pose.missing):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_keypoints_are_chosen_in_any_order_and_renamed():
    pose = Pose(("a", "b", "c"), np.arange(12.0).reshape(2, 3, 2), np.arange(6.0).reshape(2, 3) / 6)
    two = pose.take([2, 0], ["mouth", "tail_base"])
    assert two.names == ("mouth", "tail_base")
    np.testing.assert_array_equal(two.points, pose.points[:, [2, 0]])
    np.testing.assert_array_equal(two.likelihood, pose.likelihood[:, [2, 0]])


@pytest.mark.parametrize(
    ("names", "points", "likelihood"),
    [
        (NAMES, np.ones((2, 3, 2)), None),
        (NAMES, np.ones((2, 2, 3)), None),
        (NAMES, np.ones((2, 2)), None),
        (NAMES, np.ones((2, 2, 2)), np.ones((3, 2))),
        (("a", "a"), np.ones((2, 2, 2)), None),
    ],
)
def test_shapes_that_do_not_fit_and_names_that_stand_twice_are_refused(names, points, likelihood):
    with pytest.raises(ValueError, match=r"expected|one name"):
        Pose(names, points, likelihood)
