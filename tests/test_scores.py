"""Events, probabilities, time budgets and intervals: each figure against its definition."""

from __future__ import annotations

import dataclasses
import json
import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from dolorim.metrics.events import event_figures, event_sums
from dolorim.metrics.frames import confusion, frame_scores
from dolorim.metrics.intervals import (
    PERCENT,
    SHARE,
    difference_interval,
    intervals_of,
    mean_interval,
    scale_of,
)
from dolorim.metrics.keypoints import keypoint_scores
from dolorim.metrics.probabilities import average_precision
from dolorim.metrics.segments import count_segments
from dolorim.metrics.summary import Scored, compare, summarize
from simulated_probabilities import CLASSES, simulate_probabilities

TIME_S = np.arange(100) / 20  # a frame lasts 50 ms


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_balanced_accuracy_and_mcc_are_those_of_scikit_learn(seed, n):
    rng = np.random.default_rng(seed)
    truth, guess = rng.integers(0, 3, (2, n))
    scores = frame_scores(confusion(truth, guess, 3), "abc")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class that is only predicted
        assert scores["balanced_accuracy"] == pytest.approx(
            sk.balanced_accuracy_score(truth, guess)
        )
        assert scores["mcc"] == pytest.approx(sk.matthews_corrcoef(truth, guess))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_average_precision_is_that_of_scikit_learn_ties_included(seed, n):
    rng = np.random.default_rng(seed)
    positive, scores = rng.random(n) < 0.4, rng.integers(0, 8, n) / 8
    if positive.any():
        assert average_precision(scores, positive) == pytest.approx(
            sk.average_precision_score(positive, scores)
        )
    else:
        assert np.isnan(average_precision(scores, positive))


def bouts(*rows, n=100):
    """Labels of n frames: 0, with bouts (start, stop, label)."""
    labels = np.zeros(n, int)
    for start, stop, label in rows:
        labels[start:stop] = label
    return labels


def events(truth, guess, stretches=(slice(0, 100),)):
    sums = event_sums(truth, guess, TIME_S, stretches, 3)
    return event_figures({k: v[None] for k, v in sums.items()}, ("rest", "lick", "walk"), [1, 2])


def test_an_event_is_right_when_it_begins_in_time_whatever_its_end():
    truth, guess = (
        bouts((10, 20, 1), (40, 50, 1)),
        bouts((12, 35, 1), (44, 49, 1)),
    )  # 100 ms and 200 ms late
    scores = events(truth, guess)
    assert scores["events", "100ms", "f1"][0] == pytest.approx(0.5)
    assert scores["events", "200ms", "f1"][0] == 1
    assert scores["events", "100ms", "onset_error_ms"][0] == pytest.approx(100)
    assert scores["events", "200ms", "onset_error_ms"][0] == pytest.approx(150)
    assert scores["events", "200ms", "offset_error_ms"][0] == pytest.approx((750 + 50) / 2)


def test_another_class_is_another_event_and_background_is_none():
    scores = events(bouts((10, 20, 1)), bouts((10, 20, 2)))
    assert [scores["events", "200ms", k][0] for k in ("f1", "precision", "recall")] == [0, 0, 0]
    assert scores["events", "200ms", "per_class", "rest"][0] == 1


def test_a_bout_has_one_partner_at_most_and_it_is_the_closest():
    scores = events(bouts((20, 30, 1)), bouts((17, 18, 1), (19, 21, 1), (23, 24, 1)))
    assert scores["events", "200ms", "precision"][0] == pytest.approx(1 / 3)
    assert scores["events", "200ms", "recall"][0] == 1
    assert scores["events", "200ms", "onset_error_ms"][0] == pytest.approx(50)


def test_an_onset_that_nobody_saw_is_neither_right_nor_wrong():
    truth, guess = bouts((0, 10, 1), (50, 60, 1)), bouts((2, 10, 1), (50, 60, 1))
    scores = events(truth, guess)
    assert [scores["events", "200ms", k][0] for k in ("f1", "precision", "recall")] == [1, 1, 1]
    assert events(truth, bouts((50, 60, 1)))["events", "200ms", "recall"][0] == 1


def test_a_false_event_shares_no_frame_with_a_true_one_of_its_class():
    truth, guess = bouts((10, 20, 1)), bouts((19, 30, 1), (40, 41, 1), (60, 70, 2))
    scores = events(truth, guess)
    minutes = 100 * 0.05 / 60
    assert scores["events", "false_per_minute"][0] == pytest.approx(2 / minutes)
    assert scores["events", "false_per_minute_by_class", "lick"][0] == pytest.approx(1 / minutes)
    halves = events(truth, guess, (slice(0, 35), slice(80, 100)))
    assert halves["events", "false_per_minute"][0] == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_events_of_truth_and_prediction_exchanged_exchange_precision_and_recall(seed):
    truth, guess = np.repeat(np.random.default_rng(seed).integers(0, 3, (2, 20)), 5, axis=1)
    one, two = events(truth, guess), events(guess, truth)
    for k in ("100ms", "200ms"):
        np.testing.assert_allclose(one["events", k, "precision"], two["events", k, "recall"])
        np.testing.assert_allclose(one["events", k, "f1"], two["events", k, "f1"])


def study(n=6, quality=2.5, first=0, frames=1500):
    recordings = []
    for seed in range(first, first + n):
        p, y = simulate_probabilities(seed, frames, quality)
        recordings.append(Scored(f"m{seed}", y, p.argmax(1), p, np.arange(frames) / 30))
    return recordings


def test_the_summary_holds_what_the_parts_say():
    recordings = study(3)
    summary = summarize(recordings, CLASSES, ["rest"])
    truth, guess = (
        np.concatenate([getattr(r, k) for r in recordings]) for k in ("truth", "predicted")
    )
    p = np.concatenate([r.probabilities for r in recordings])
    frames = frame_scores(confusion(truth, guess, 4), CLASSES)
    assert {k: summary[k] for k in frames if k != "per_class"} == {
        k: v for k, v in frames.items() if k != "per_class"
    }
    pairs = [(r.truth, r.predicted) for r in recordings]
    assert summary["segments"] == pytest.approx(count_segments(pairs).scores)
    assert summary["segments_without_background"] == pytest.approx(
        count_segments(pairs, [0]).scores
    )
    areas = [sk.average_precision_score(truth == c, p[:, c]) for c in range(4)]
    assert [summary["per_class"][n]["average_precision"] for n in CLASSES] == pytest.approx(areas)
    assert summary["pr_auc"] == pytest.approx(np.mean(areas))
    assert summary["calibration"]["nll"] == pytest.approx(
        sk.log_loss(truth, p, labels=range(4)), rel=1e-3
    )
    assert summary["calibration"]["brier"] == pytest.approx(
        np.mean(np.sum((p - np.eye(4)[truth]) ** 2, axis=1))
    )
    table = summary["calibration"]["reliability"]
    assert sum(r["frames"] for r in table) == len(truth)
    assert summary["calibration"]["ece"] == pytest.approx(
        sum(r["frames"] * abs(r["confidence"] - r["accuracy"]) for r in table) / len(truth)
    )
    budget = summary["time_budget"]["lick"]
    shares = np.array([[np.mean(r.truth == 2), np.mean(r.predicted == 2)] for r in recordings])
    assert [budget["true"], budget["predicted"]] == pytest.approx(shares.mean(0))
    x, y = shares.T
    lin = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert budget["concordance"] == pytest.approx(lin)
    json.dumps(summary, allow_nan=False)


def test_every_figure_lies_in_its_interval_and_intervals_of_binned_areas_fit_the_exact_ones():
    summary = summarize(study(6), CLASSES, ["rest"])

    def both(tree, ends):
        for k, v in tree.items():
            if isinstance(v, dict):
                yield from both(v, ends.get(k) or {})
            elif isinstance(ends.get(k), list):
                yield v, ends[k]

    pairs = list(both(summary, summary["intervals"]))
    assert len(pairs) > 60
    assert all(low <= value <= high for value, (low, high) in pairs)


def test_one_animal_has_no_interval_and_says_so():
    r = study(1)[0]
    intervals = summarize([r, r], CLASSES)["intervals"]
    assert "macro_f1" not in intervals
    assert "no intervals" in intervals["note"]


def test_two_animals_have_no_interval_either_and_the_summary_says_so():
    for scores in (summarize(study(2), CLASSES), compare(study(2), study(2), CLASSES)):
        assert "macro_f1" not in scores["intervals"]
        assert "2 animals are too few for an interval" in scores["intervals"]["note"]


@pytest.mark.parametrize("animals", [3, 4, 6])
def test_no_interval_leaves_what_the_figure_can_be(animals):
    limits = {"kappa": (-1, 1), "mcc": (-1, 1), "concordance": (-1, 1), "bias": (-1, 1)}
    limits["expected_over_true"] = (0, np.inf)
    bad, good = study(animals, 0.3), study(animals, 6.0)
    for scores, factor in ((summarize(bad, CLASSES), 1), (compare(bad, good, CLASSES), 2)):
        for path, (low, high) in leaves(scores["intervals"]):
            assert low <= high, path
            floor, top = limits.get(path[-1], (0, 100 if path[0] == "segments" else 1))
            if {*path} & {"events", "calibration"}:  # milliseconds, bouts per minute, nats
                floor, top = 0, np.inf
            if factor == 2:
                floor, top = floor - top, top - floor
            assert floor <= low, (path, low)
            assert high <= top, (path, high)


def leaves(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        elif isinstance(value, list):
            yield (*path, key), value


def test_an_interval_of_a_mean_share_stays_a_share_and_one_of_a_difference_is_two_sided():
    licking = np.array([0.0, 0.1, 0.2, 0.1, 3.0])
    low, high = mean_interval(licking, PERCENT)
    assert 0 < low < licking.mean() < high < 100
    one_licks = np.array([0.0, 0, 0, 2.1, 0, 0])  # without that animal the mean is 0
    assert mean_interval(one_licks, PERCENT)[1] < 10
    never = np.zeros(5)
    assert np.isnan(mean_interval(never, PERCENT)).all()
    low, high = difference_interval(never, licking, PERCENT)
    assert 0 < low < licking.mean() < high
    low, high = difference_interval(licking / 100, licking[::-1] / 100, SHARE)
    assert low == pytest.approx(-high)
    assert np.isnan(difference_interval(never, never, PERCENT)).all()
    x, y = np.random.default_rng(3).normal(
        40, 5, (2, 30)
    )  # of many animals alike it is about Welch's
    welch = stats.ttest_ind(y, x, equal_var=False).confidence_interval()
    assert difference_interval(x, y, PERCENT) == pytest.approx(tuple(welch), abs=0.4)


def test_a_figure_of_every_name_has_the_bounds_of_its_kind():
    assert scale_of(("segments_without_background", "edit")) == PERCENT
    assert scale_of(("per_class", "kappa", "f1")) == SHARE
    assert scale_of(("events", "200ms", "per_class", "bias")) == SHARE
    assert scale_of(("events", "false_per_minute_by_class", "lick")).high == np.inf


def test_a_second_recording_of_an_animal_makes_no_interval_narrower():
    recordings = study(5)
    once, twice = (
        summarize(r, CLASSES)["intervals"]["macro_f1"] for r in (recordings, recordings * 2)
    )
    assert once == pytest.approx(twice)


def test_on_means_the_interval_is_students():
    x = np.random.default_rng(0).normal(0.3, 0.1, 7)
    sums = {"x": x[:, None], "n": np.ones((7, 1))}
    ((low, high),) = intervals_of(sums, lambda t: {("bias",): t["x"][:, 0] / t["n"][:, 0]}).values()
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 6, x.mean(), stats.sem(x)))


def test_what_hangs_on_one_animal_has_no_interval():
    lone = Scored("lone", np.array([0, 3, 3, 0]), np.array([0, 3, 0, 0]))
    summary = summarize([*study(3), lone], ("a", "b", "c", "d"))
    assert summary["intervals"]["per_class"]["d"]["f1"] is not None
    others = [
        dataclasses.replace(r, truth=np.where(r.truth == 3, -1, r.truth), predicted=r.predicted % 3)
        for r in study(3)
    ]
    summary = summarize(
        [*(dataclasses.replace(r, probabilities=None) for r in others), lone], ("a", "b", "c", "d")
    )
    assert summary["per_class"]["d"]["f1"] > 0
    assert summary["intervals"]["per_class"]["d"]["f1"] is None


def test_a_better_run_is_better_with_an_interval_above_zero_and_a_run_equals_itself():
    bad, good = study(6, quality=1.0), study(6, quality=3.0)
    comparison = compare(bad, good, CLASSES, ["rest"])
    assert comparison["difference"]["macro_f1"] > 0.1
    assert comparison["intervals"]["macro_f1"][0] > 0
    same = compare(good, good, CLASSES)
    assert same["difference"]["macro_f1"] == 0
    assert same["intervals"]["macro_f1"] is None
    with pytest.raises(ValueError, match="same recordings"):
        compare(bad, good[::-1], CLASSES)


def test_abstained_and_unlabelled_frames_count_nowhere():
    r = study(1)[0]
    holes = r.predicted.copy()
    holes[100:400] = -1
    summary = summarize([dataclasses.replace(r, predicted=holes)], CLASSES)
    assert summary["abstained"] == pytest.approx(300 / 1500)
    assert summary["frames"] == 1200
    nothing = summarize([dataclasses.replace(r, truth=np.full(1500, -1))], CLASSES, ["rest"])
    assert (nothing["frames"], nothing["macro_f1"], nothing["segments"]["f1_50"]) == (0, 0, 0)
    json.dumps(nothing, allow_nan=False)


def test_thirty_animals_of_long_recordings_take_seconds():
    p, y = simulate_probabilities(0, 8_000)
    recordings = [Scored(str(i), y, p.argmax(1), p, np.arange(len(y)) / 30) for i in range(30)]
    start = time.process_time()
    summarize(recordings, CLASSES)
    assert time.process_time() - start < 4


def test_errors_of_keypoints_count_visible_points_in_three_units():
    first = (
        np.array([[2.0, np.nan], [4.0, np.nan]]),
        100.0,
        20.0,
    )  # of a crop of 100 pixels, of a mouse of 20
    second = (np.array([[9.0, np.nan]]), 300.0, 90.0)
    scores = keypoint_scores([first, second], ("mouth", "tail_base"))
    assert scores["points"] == 3
    assert scores["mae_px"] == pytest.approx(5.0)
    assert scores["median_px"] == pytest.approx(4.0)
    assert scores["mae_normalized"] == pytest.approx((0.02 + 0.04 + 0.03) / 3)
    assert scores["mae_body_lengths"] == pytest.approx((0.1 + 0.2 + 0.1) / 3)
    assert scores["per_keypoint"] == {
        "mouth": {"points": 3, "mae_px": 5.0},
        "tail_base": {"points": 0, "mae_px": None},
    }
    assert keypoint_scores([(np.full((2, 2), np.nan), 1.0, 1.0)], ("mouth", "tail_base")) == {
        "points": 0
    }
