"""Bouts and frames say the same thing in two ways."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.core.runs import runs
from dolorim.labels.bouts import Bout, to_bouts, to_frames

labels_of_a_video = st.lists(st.integers(-1, 4), max_size=60).map(lambda x: np.array(x, np.int16))


@settings(deadline=None)
@given(labels_of_a_video)
def test_bouts_turned_back_into_frames_are_the_same_frames(labels):
    assert to_frames(to_bouts(labels), len(labels)).tolist() == labels.tolist()


@settings(deadline=None)
@given(labels_of_a_video)
def test_bouts_are_as_long_as_they_can_be(labels):
    bouts = to_bouts(labels)
    for bout in bouts:
        assert set(labels[bout.start : bout.stop].tolist()) == {bout.label}
    for one, two in pairwise(bouts):
        assert one.stop < two.start or (one.stop == two.start and one.label != two.label)


@settings(deadline=None)
@given(labels_of_a_video)
def test_runs_cover_every_frame_once_gaps_included(labels):
    starts, stops, values = runs(labels)
    assert np.repeat(values, stops - starts).tolist() == labels.tolist()
    assert starts[1:].tolist() == stops[:-1].tolist()


def test_unlabelled_frames_are_gaps_and_no_bouts():
    assert to_bouts(np.array([-1, 2, 2, -1, 2, 0])) == [Bout(1, 3, 2), Bout(4, 5, 2), Bout(5, 6, 0)]


def test_a_bout_is_as_long_as_its_frames():
    assert len(Bout(3, 10, 1)) == 7


def test_the_order_in_which_bouts_are_given_does_not_matter():
    assert to_frames([Bout(3, 5, 1), Bout(0, 2, 0)], 6).tolist() == [0, 0, -1, 1, 1, -1]


def test_two_bouts_that_share_a_frame_are_refused():
    with pytest.raises(ValueError, match=r"\[4, 8\) overlaps"):
        to_frames([Bout(0, 5, 0), Bout(4, 8, 1)], 10)


@pytest.mark.parametrize("bout", [Bout(8, 11, 0), Bout(-1, 3, 0), Bout(4, 4, 0), Bout(5, 2, 0)])
def test_a_bout_that_leaves_the_video_or_is_empty_is_refused(bout):
    with pytest.raises(ValueError, match="lies outside"):
        to_frames([bout], 10)
