"""Sets of classes that hold the true one as often as promised, and bouts in the order of what they
can change."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dolorim.core.errors import UserError
from dolorim.inference.conformal import Conformal, abstain, calibrate_conformal
from dolorim.inference.review_priority import rank_bouts
from dolorim.labels.predictions import Predictions
from simulated_probabilities import CLASSES, simulate_probabilities


def test_on_new_animals_the_true_class_is_in_the_set_as_often_as_promised():
    animals = [simulate_probabilities(s, 1500) for s in range(120)]
    coverage = []
    for start in range(0, 120, 40):
        some, new = animals[start : start + 28], animals[start + 28 : start + 40]
        sets = calibrate_conformal(*zip(*some, strict=True), [str(i) for i in range(28)], alpha=0.1)
        assert sets.guaranteed == (True,) * 4
        coverage += [
            [sets.sets(p)[y == c, c].mean() for c in range(4)]
            for p, y in new
            if len(np.unique(y)) == 4
        ]
    assert (np.mean(coverage, axis=0) > 0.9).all()
    assert (np.mean(coverage, axis=0) < 0.98).all()


def test_a_recording_more_of_an_animal_is_not_an_animal_more():
    p, y = simulate_probabilities(0)
    assert calibrate_conformal([p, p], [y, y], ["a", "a"]).animals == (1,) * 4
    assert calibrate_conformal([p, p], [y, y], ["a", "a"]) == calibrate_conformal([p], [y], ["a"])


def test_few_animals_and_unseen_classes_guarantee_nothing():
    p, y = simulate_probabilities(0)
    y = np.where(y == 3, -1, y)
    sets = calibrate_conformal([p], [y], ["a"])
    assert sets.guaranteed == (False,) * 4
    assert sets.sets(p)[:, 3].all()  # never seen: it can be anywhere
    own = p[y == 1, 1]
    assert np.mean(own >= sets.thresholds[1]) == pytest.approx(0.9, abs=0.01)


def test_what_could_be_two_classes_or_none_is_left_open():
    sets = Conformal(0.1, (0.3, 0.3, 0.4), (20,) * 3, (True,) * 3)
    p = np.array(
        [[0.9, 0.1, 0.0], [0.5, 0.4, 0.1], [0.29, 0.29, 0.39], [np.nan] * 3, [0.9, 0.1, 0.0]]
    )
    assert abstain(np.array([0, 0, 2, 0, 1]), p, sets).tolist() == [0, -1, -1, -1, -1]


def test_conformal_sets_read_back_and_others_are_refused():
    sets = calibrate_conformal(*zip(*[simulate_probabilities(0, 500)], strict=True), ["a"])
    assert Conformal.from_dict(json.loads(json.dumps(sets.to_dict()))) == sets
    for wrong in (
        {**sets.to_dict(), "beta": 1},
        {"alpha": 0.1},
        [],
        {**sets.to_dict(), "thresholds": ["x"]},
    ):
        with pytest.raises(UserError, match=r"conformal\.json"):
            Conformal.from_dict(wrong)
    with pytest.raises(ValueError, match="alpha"):
        calibrate_conformal([], [], [])


def prediction(name, rows):
    """Bouts of (label, frames, probabilities) at 10 frames a second."""
    labels = np.concatenate([[label] * n for label, n, _ in rows])
    p = np.concatenate([np.tile(p, (n, 1)) for _, n, p in rows])
    return Predictions(name, CLASSES, labels, p, np.arange(len(labels)) / 10)


def test_first_comes_the_bout_that_can_change_the_sign_of_pain_most():
    sure, doubtful = [0.02, 0.96, 0.01, 0.01], [0.1, 0.5, 0.4, 0.0]
    nearly = [0.55, 0.45, 0.0, 0.0]
    one = prediction("one", [(1, 20, sure), (0, 20, nearly), (2, 40, [0.4, 0.0, 0.6, 0.0])])
    two = prediction("two", [(1, 30, doubtful)])
    ranked = rank_bouts([one, two], "withdraw")
    assert [(b.name, b.label) for b in ranked] == [
        ("two", "withdraw"),
        ("one", "rest"),
        ("one", "withdraw"),
    ]
    first = ranked[0]
    assert (first.seconds, first.bouts, first.rival) == (
        pytest.approx(1.5),
        pytest.approx(0.5),
        "lick",
    )
    assert first.score == pytest.approx(100 * (1.5 / 5 + 0.5 / 2))  # of 5 s and two bouts of it
    assert (first.confidence, first.margin) == (pytest.approx(0.5), pytest.approx(0.1))
    assert len(rank_bouts([one, two], "withdraw", limit=2)) == 2


def test_a_long_rest_with_a_possible_withdrawal_leads_to_it_and_a_sure_rest_is_not_listed():
    sure, possible = [0.97, 0.03, 0.0, 0.0], [0.6, 0.4, 0.0, 0.0]
    rest = prediction("rest", [(0, 200, sure), (0, 5, possible), (0, 65, sure)])
    uncertain = prediction("found", [(1, 10, [0.1, 0.9, 0.0, 0.0])])
    ranked = rank_bouts([rest, uncertain], "withdraw")
    first, second = ranked
    assert (first.name, first.label, first.rival) == ("rest", "rest", "withdraw")
    assert (first.start_s, first.stop_s) == (pytest.approx(20.0), pytest.approx(20.5))
    assert second.name == "found"
    assert len(ranked) == 2


def test_without_a_sign_of_pain_the_longest_doubt_comes_first():
    one = prediction("one", [(1, 10, [0.0, 0.5, 0.5, 0.0]), (2, 40, [0.4, 0.0, 0.6, 0.0])])
    assert [b.label for b in rank_bouts([one])] == ["lick", "withdraw"]
    assert rank_bouts([]) == []
    with pytest.raises(ValueError, match="no class is called 'sleep'"):
        rank_bouts([one], "sleep")
