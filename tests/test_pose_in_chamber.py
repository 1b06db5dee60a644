"""A point belongs to the animal in whose chamber it lies, whatever the tracker calls it."""

import numpy as np

from dolorim.pose.in_chamber import pose_in_chamber
from dolorim.pose.pose import Pose

NAMES = ("nose", "tail")
LEFT, RIGHT = (0, 0, 100, 100), (100, 0, 200, 100)


def pose(individual: str, rows: list[list[tuple[float, float]]], likelihood: float = 0.9) -> Pose:
    points = np.array(rows, float)
    return Pose(NAMES, points, np.full(points.shape[:2], likelihood), individual)


def test_individuals_that_the_tracker_exchanges_stay_in_their_chambers():
    one = pose("a", [[(10, 10), (20, 20)], [(110, 30), (120, 40)]])
    other = pose("b", [[(150, 50), (160, 60)], [(12, 11), (22, 21)]])
    left, right = pose_in_chamber([one, other], LEFT), pose_in_chamber([one, other], RIGHT)
    assert left.points.tolist() == [[[10, 10], [20, 20]], [[12, 11], [22, 21]]]
    assert right.points.tolist() == [[[50, 50], [60, 60]], [[10, 30], [20, 40]]]


def test_a_point_outside_its_chamber_is_missing_and_not_another_animals():
    one = pose("a", [[(10, 10), (105, 20)]])  # its tail was put onto the neighbor
    other = pose("b", [[(150, 50), (160, 60)]])
    left, right = pose_in_chamber([one, other], LEFT), pose_in_chamber([one, other], RIGHT)
    assert left.missing.tolist() == [[False, True]]
    # The neighbor has two points there, the stray one is alone.
    assert right.points.tolist() == [[[50, 50], [60, 60]]]


def test_a_chamber_without_points_has_none():
    empty = pose_in_chamber([pose("a", [[(10, 10), (20, 20)]])], RIGHT)
    assert empty.missing.all()
    assert np.isnan(empty.likelihood).all()


def test_individuals_may_have_rows_of_their_own_number():
    one, other = pose("a", [[(10, 10), (20, 20)]]), pose("b", [[(1, 1), (2, 2)], [(3, 3), (4, 4)]])
    assert len(pose_in_chamber([one, other], LEFT)) == 2
