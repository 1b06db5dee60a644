"""Where a trial lies in its video."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.core.errors import UserError
from dolorim.labels.trials import Recording, Trial, TrialLabels, place_trials


def trial(number, span=360, value=1, first=0):
    frames = np.arange(first, span)
    return TrialLabels(
        Path(f"prediction_v_{number}.csv"), number, frames, np.full(len(frames), value, np.int16)
    )


def labelled(placement):
    """First and one past the last frame of each stretch with one label."""
    labels = placement.labels
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return [(a, b, int(labels[a])) for a, b in pairwise(edges) if labels[a] >= 0]


def test_a_label_file_of_345_rows_labels_the_last_345_frames_of_its_trial():
    placement = place_trials([trial(1, 345, 1), trial(2, 345, 2)], 720, "fixed")
    assert labelled(placement) == [(15, 360, 1), (375, 720, 2)]
    assert placement.trials == (Trial(1, 0, 360), Trial(2, 360, 720))


def test_a_label_file_of_360_rows_labels_its_whole_trial():
    placement = place_trials([trial(1, value=1), trial(3, value=3)], 1080, "fixed")
    assert labelled(placement) == [(0, 360, 1), (720, 1080, 3)]


def test_a_tool_that_leaves_out_15_frames_leaves_them_out_in_a_shorter_last_file_too():
    placement = place_trials([trial(1, 345, 1), trial(2, 300, 2)], 720, "fixed")
    assert labelled(placement) == [(15, 360, 1), (375, 675, 2)]


def test_trials_numbered_from_0_begin_with_trial_0():
    placement = place_trials([trial(0, value=1), trial(1, value=2)], 720, "fixed")
    assert labelled(placement) == [(0, 360, 1), (360, 720, 2)]
    assert [t.number for t in placement.trials] == [0, 1]


def test_trial_length_and_context_are_settings():
    placement = place_trials([trial(2, 90, 2)], 300, "fixed", length=100, context=10)
    assert labelled(placement) == [(110, 200, 2)]


def test_cumulative_trials_follow_one_another_with_their_own_lengths():
    placement = place_trials(
        [trial(1, 345, 1), trial(2, 360, 2), trial(3, 295, 3)], 1000, "cumulative"
    )
    assert labelled(placement) == [(0, 345, 1), (345, 705, 2), (705, 1000, 3)]
    assert placement.trials == (Trial(1, 0, 345), Trial(2, 345, 705), Trial(3, 705, 1000))


@pytest.mark.parametrize(
    ("spans", "n_frames", "layout"),
    [
        ([345, 345, 345], 1080, "fixed"),
        ([345, 345, 345], 1035, "cumulative"),
        ([345, 345, 345], 1037, "cumulative"),
        ([345, 360, 295], 1000, "cumulative"),
        ([360, 360], 720, "fixed"),
        ([345], 345, "cumulative"),
        ([360, 200], 600, "cumulative"),
        ([345], 360, "fixed"),
        ([400, 320], 720, "cumulative"),
        ([400, 300], 720, "cumulative"),
        ([400, 300], 1000, "cumulative"),
        ([100, 100], 300, "cumulative"),
    ],
)
def test_the_true_number_of_frames_says_which_layout_it_is(spans, n_frames, layout):
    files = [trial(i, span, i) for i, span in enumerate(spans, 1)]
    placement = place_trials(files, n_frames)
    assert placement.layout == layout
    assert placement.labels.tolist() == place_trials(files, n_frames, layout).labels.tolist()
    assert not placement.skipped


@pytest.mark.parametrize(
    ("spans", "n_frames", "verb"),
    [([345, 345, 345], 1200, "fit neither"), ([358, 360], 720, "fit both")],
)
def test_labels_that_could_lie_in_two_ways_are_refused_with_both_flags(spans, n_frames, verb):
    files = [trial(i, span, i) for i, span in enumerate(spans, 1)]
    with pytest.raises(UserError, match=verb) as caught:
        place_trials(files, n_frames)
    message = str(caught.value)
    assert "--trial_layout fixed" in message
    assert "--trial_layout cumulative" in message
    assert f"{n_frames} frames" in message
    assert "prediction_v_1.csv" in message


@pytest.mark.parametrize("layout", ["fixed", "cumulative", "auto"])
def test_a_trial_beyond_the_end_of_the_video_is_left_out_with_a_reason_and_the_others_stay(layout):
    placement = place_trials(
        [trial(1, value=1), trial(2, value=2), trial(3, value=3)], 1000, layout
    )
    assert labelled(placement) == [(0, 360, 1), (360, 720, 2)]
    assert [t.number for t in placement.trials] == [1, 2]
    (reason,) = placement.skipped
    assert (
        reason
        == "prediction_v_3.csv: labels frames [720, 1080) of a video that has only 1000 frames"
    )


def test_a_file_with_more_rows_than_a_fixed_trial_has_frames_is_left_out_with_a_reason():
    placement = place_trials([trial(1, 400, 1), trial(2, 360, 2)], 720, "fixed")
    assert labelled(placement) == [(360, 720, 2)]
    assert placement.skipped == ("prediction_v_1.csv: labels 400 frames, but a trial has 360",)


def test_frames_without_a_row_stay_unlabelled():
    frames = np.array([0, 1, 5, 359])
    placement = place_trials([TrialLabels(Path("a_1.csv"), 1, frames, np.array([0, 1, 2, 3]))], 360)
    assert np.flatnonzero(placement.labels >= 0).tolist() == frames.tolist()
    assert placement.labels[frames].tolist() == [0, 1, 2, 3]


def test_two_files_for_one_trial_are_refused_by_name():
    one, two = (
        trial(1),
        TrialLabels(Path("again_1.csv"), 1, np.arange(360), np.zeros(360, np.int16)),
    )
    with pytest.raises(UserError, match=r"prediction_v_1\.csv and again_1\.csv both label trial 1"):
        place_trials([one, two], 720)


def test_a_file_without_a_trial_number_labels_the_whole_video():
    whole = TrialLabels(Path("v.csv"), None, np.arange(1000), np.zeros(1000, np.int16))
    placement = place_trials([whole], 1000)
    assert labelled(placement) == [(0, 1000, 0)]
    assert placement.trials == (Trial(1, 0, 1000),)


def test_a_whole_video_cannot_be_labelled_twice():
    whole = TrialLabels(Path("v.csv"), None, np.arange(10), np.zeros(10, np.int16))
    with pytest.raises(
        UserError, match=r"v\.csv labels the whole video, and prediction_v_1\.csv labels it too"
    ):
        place_trials([trial(1, 10), whole], 10)


@pytest.mark.parametrize("layout", ["fixed", "cumulative", "auto"])
def test_a_video_without_label_files_is_unlabelled(layout):
    placement = place_trials([], 5, layout)
    assert placement.labels.tolist() == [-1] * 5
    assert placement.trials == ()


spans = st.lists(st.integers(1, 60), min_size=1, max_size=6)


@settings(deadline=None)
@given(spans)
def test_cumulative_labels_are_the_files_laid_end_to_end(lengths):
    files = [trial(i, span, i % 5) for i, span in enumerate(lengths, 1)]
    placement = place_trials(files, sum(lengths), "cumulative")
    assert placement.labels.tolist() == np.concatenate([f.labels for f in files]).tolist()


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(1, 60)),
        min_size=1,
        max_size=6,
        unique_by=lambda t: t[0],
    ),
    st.integers(1, 300),
    st.sampled_from(["fixed", "cumulative"]),
    st.randoms(),
)
def test_no_label_is_lost_or_overwritten_whatever_the_order_of_the_files(
    trials, n_frames, layout, random
):
    files = [trial(number, span, number) for number, span in trials]
    placement = place_trials(files, n_frames, layout, length=40, context=10)
    kept = {t.number for t in placement.trials}
    assert len(placement.skipped) + len(kept) == len(files)
    for file in files:
        assert np.count_nonzero(placement.labels == file.number) == (
            len(file.labels) if file.number in kept else 0
        )
    random.shuffle(files)
    again = place_trials(files, n_frames, layout, length=40, context=10)
    assert again.labels.tolist() == placement.labels.tolist()


def test_a_recording_is_named_after_its_video_and_is_as_long_as_its_labels():
    recording = Recording("267M.left", "267M", np.zeros(12, np.int16))
    assert (recording.name, recording.n_frames) == ("267M.left", 12)
