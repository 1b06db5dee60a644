"""Frame-wise and segment-wise scores, against scikit-learn, the MS-TCN evaluation and published
numbers."""

import json
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from dolorim.metrics.frames import confusion, frame_scores
from dolorim.metrics.segments import count_segments, edit_score, labelled_stretches

N = 4
NAMES = ("a", "b", "c", "d")


@st.composite
def label_pairs(draw, lowest=0):
    """Truth and prediction of one video, in bouts that mostly agree."""
    n = draw(st.integers(1, 60))
    truth = draw(st.lists(st.integers(lowest, N - 1), min_size=n, max_size=n))
    changed = draw(st.dictionaries(st.integers(0, n - 1), st.integers(0, N - 1)))
    repeat = draw(st.integers(1, 3))
    guess = [changed.get(i, max(t, 0)) for i, t in enumerate(truth)]
    return np.repeat(truth, repeat), np.repeat(guess, repeat)


@settings(deadline=None)
@given(label_pairs(lowest=-1))
def test_frame_scores_are_those_of_scikit_learn_on_the_labelled_frames(pair):
    truth, guess = pair
    known = truth >= 0
    assume(known.any())
    scores = frame_scores(confusion(truth, guess, N), NAMES)
    y, p = truth[known], guess[known]
    assert scores["frames"] == known.sum()
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(y, p))
    assert scores["macro_f1"] == pytest.approx(sk.f1_score(y, p, average="macro"))
    assert scores["weighted_f1"] == pytest.approx(sk.f1_score(y, p, average="weighted"))
    columns = sk.precision_recall_fscore_support(y, p, labels=range(N), zero_division=0)
    for name, row in zip(NAMES, zip(*columns, strict=True), strict=True):
        assert list(scores["per_class"][name].values()) == pytest.approx(list(row))
    if len({*y, *p}) > 1:
        assert scores["kappa"] == pytest.approx(sk.cohen_kappa_score(y, p))


@settings(deadline=None)
@given(label_pairs(), label_pairs())
def test_the_confusion_of_two_videos_is_the_sum_of_theirs(one, two):
    both = confusion(np.concatenate([one[0], two[0]]), np.concatenate([one[1], two[1]]), N)
    assert both.tolist() == (confusion(*one, N) + confusion(*two, N)).tolist()
    assert confusion(one[1], one[0], N).tolist() == confusion(*one, N).T.tolist()


def test_rows_of_the_confusion_are_the_truth():
    assert confusion(np.array([0, 0, 1, -1]), np.array([1, 1, 1, 0]), 2).tolist() == [
        [0, 2],
        [0, 1],
    ]


def test_a_class_that_is_only_predicted_counts_and_one_that_nobody_names_does_not():
    scores = frame_scores(confusion(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1]), 3), NAMES[:3])
    assert scores["macro_f1"] == pytest.approx((6 / 7 + 0) / 2)


def test_without_a_labelled_frame_every_score_is_zero():
    scores = frame_scores(confusion(np.array([-1, -1]), np.array([0, 1]), 2), NAMES[:2])
    assert [scores[k] for k in ("frames", "accuracy", "macro_f1", "weighted_f1", "kappa")] == [
        0,
        0,
        0,
        0,
        0,
    ]


def test_agreement_on_one_class_alone_is_worth_no_kappa():
    scores = frame_scores(confusion(np.zeros(5, int), np.zeros(5, int), 2), NAMES[:2])
    assert (scores["accuracy"], scores["kappa"]) == (1.0, 0.0)


def segments_of(labels, background):
    """Segments one frame after the other, as the MS-TCN evaluation finds them."""
    segments = []
    for i, label in enumerate(labels.tolist()):
        if i and labels[i - 1] == label:
            segments[-1][1] = i + 1
        else:
            segments.append([i, i + 1, label])
    return [s for s in segments if s[2] not in background]


def reference_counts(truth, guess, overlap, background):
    """True and false positives and misses after `f_score` of github.com/yabufarha/ms-tcn,
    eval.py.
    """
    true, guessed = segments_of(truth, background), segments_of(guess, background)
    taken = [False] * len(true)
    tp = fp = 0
    for start, stop, label in guessed:
        shares = [
            (min(stop, b) - max(start, a)) / (max(stop, b) - min(start, a)) * (label == c)
            for a, b, c in true
        ]
        best = int(np.argmax(shares)) if shares else 0
        if shares and shares[best] >= overlap and not taken[best]:
            tp, taken[best] = tp + 1, True
        else:
            fp += 1
    return [tp, fp, len(true) - sum(taken)]


def distance(one, two):
    """Levenshtein, by its definition."""

    @cache
    def between(i, j):
        if not i or not j:
            return i + j
        return min(
            between(i - 1, j) + 1,
            between(i, j - 1) + 1,
            between(i - 1, j - 1) + (one[i - 1] != two[j - 1]),
        )

    return between(len(one), len(two))


@settings(deadline=None)
@given(st.lists(label_pairs(), min_size=1, max_size=3), st.sets(st.integers(0, N - 1), max_size=2))
def test_segments_are_counted_as_the_ms_tcn_evaluation_counts_them(pairs, background):
    counts = count_segments(pairs, background)
    for i, overlap in enumerate((0.1, 0.25, 0.5)):
        expected = np.sum([reference_counts(*pair, overlap, background) for pair in pairs], axis=0)
        assert [counts.tp[i], counts.fp[i], counts.fn[i]] == expected.tolist()


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_the_edit_score_is_the_levenshtein_distance_in_per_cent_of_the_longer_sequence(one, two):
    longest = max(len(one), len(two), 1)
    expected = 100 * (1 - distance(tuple(one), tuple(two)) / longest)
    assert edit_score(np.array(one, int), np.array(two, int)) == pytest.approx(expected)


@settings(deadline=None)
@given(label_pairs())
def test_a_prediction_that_is_the_truth_scores_100(pair):
    truth, _ = pair
    assert set(count_segments([(truth, truth)]).scores.values()) == {100.0}
    assert frame_scores(confusion(truth, truth, N), NAMES)["macro_f1"] == 1.0


def test_a_bout_broken_in_two_costs_two_segments_and_half_of_the_edit_score():
    truth = np.repeat([0, 1], 10)
    broken = np.repeat([0, 1, 0, 1], [5, 2, 3, 10])
    scores = count_segments([(truth, broken)]).scores
    two_of_four = 200 * 2 / (2 * 2 + 2)
    assert scores == pytest.approx(
        {"f1_10": two_of_four, "f1_25": two_of_four, "f1_50": two_of_four, "edit": 50.0}
    )


def test_nothing_but_background_is_perfect_in_order_and_has_no_segments():
    counts = count_segments([(np.zeros(9, int), np.zeros(9, int))], background=[0])
    assert counts.scores == {"f1_10": 0.0, "f1_25": 0.0, "f1_50": 0.0, "edit": 100.0}


def test_a_sequence_without_frames_does_not_count():
    empty = np.empty(0, int)
    pair = (np.repeat([0, 1], 5), np.repeat([0, 2], 5))
    assert count_segments([pair, (empty, empty)]).scores == count_segments([pair]).scores


def test_stretches_end_at_gaps_and_at_the_borders_of_trials():
    labels = np.array([-1, 0, 0, 0, -1, 2, 2, 2])
    assert labelled_stretches(labels, [(0, 3), (3, 8)]) == [slice(1, 3), slice(3, 4), slice(5, 8)]


RATERS = ("NN", "Furkan", "Jin", "Oliver")


def rated(real_data):
    """By rater, the labels of each of the 20 videos on the frames that all four have labeled."""
    with np.load(real_data / "raters" / "openfield20.npz") as table:
        videos = sorted({key.split("|")[0] for key in table.files})
        labels = {r: [table[f"{v}|{r}"].astype(int) for v in videos] for r in RATERS}
    known = [
        np.all(np.stack(of_video) >= 0, axis=0) for of_video in zip(*labels.values(), strict=True)
    ]
    return {r: [x[k] for x, k in zip(labels[r], known, strict=True)] for r in RATERS}


@pytest.mark.parametrize("background", ["no_bg", "bg_None"])
@pytest.mark.parametrize(
    ("name", "truth", "guess"),
    [
        ("NN_vs_Oliver", "Oliver", "NN"),
        ("NN_vs_Jin", "Jin", "NN"),
        ("Furkan(gt)_vs_Jin", "Furkan", "Jin"),
        ("Jin(gt)_vs_Oliver", "Jin", "Oliver"),
    ],
)
def test_scores_of_real_raters_are_those_of_the_reference_evaluation(
    real_data, name, truth, guess, background
):
    expected = json.loads(
        (real_data / "raters" / "expected_segment_metrics.json").read_text("utf-8")
    )
    expected = expected[f"OFT20_{name}_{background}"]
    labels = rated(real_data)
    pairs = list(zip(labels[truth], labels[guess], strict=True))
    counts = count_segments(pairs, [int(b) for b in expected["bg"]])
    frames = frame_scores(sum(confusion(*pair, 3) for pair in pairs), NAMES[:3])
    scores = {
        **counts.scores,
        "acc": 100 * frames["accuracy"],
        "frames": frames["frames"],
        "videos": len(pairs),
    }
    assert scores == pytest.approx({key: expected[key] for key in scores}, rel=0, abs=1e-6)
    assert [counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist()] == [
        expected[k] for k in ("tp", "fp", "fn")
    ]


def test_human_raters_agree_with_a_kappa_of_080_to_083(real_data):
    labels = rated(real_data)
    for one, two in combinations(("Furkan", "Jin", "Oliver"), 2):
        pairs = zip(labels[one], labels[two], strict=True)
        scores = frame_scores(sum(confusion(*pair, 3) for pair in pairs), NAMES[:3])
        assert 0.795 < scores["kappa"] < 0.835
        assert 0.845 < scores["macro_f1"] < 0.885
