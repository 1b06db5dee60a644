"""The queue is a sample: what is found in it speaks for everything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.labels.bouts import Bout
from dolorim.review.sampling import FEW, PIECE, Piece, cut, draw, estimate

ANIMALS = ["a", "a", "b", "c"]


def pool(seed: int = 0, n: int = 12) -> list[tuple[Piece, float]]:
    rng = np.random.default_rng(seed)
    pieces = []
    for item in range(len(ANIMALS)):
        at, bouts = 0, []
        for _ in range(n):
            length = int(rng.integers(3, 60))
            bouts.append(
                (Bout(at, at + length, int(rng.integers(0, 4))), float(rng.uniform(0.4, 1)))
            )
            at += length
        pieces += cut(item, bouts)
    return pieces


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=8))
def test_pieces_cover_every_predicted_frame_once(lengths: list[int]) -> None:
    edges = np.cumsum([0, *lengths]).tolist()
    bouts = [(Bout(a, b, 0), 0.9) for a, b in itertools.pairwise(edges)]
    pieces = [p for p, _ in cut(0, bouts)]
    assert [p.start for p in pieces] == [0, *(p.stop for p in pieces[:-1])]
    assert pieces[-1].stop == edges[-1]
    assert all(0 < len(p) <= PIECE for p in pieces)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_everything_is_drawn_once_and_the_same_seed_draws_the_same(seed: int) -> None:
    pieces = pool()
    order = draw(pieces, ANIMALS, seed, indicator=1)
    assert sorted((p.item, p.start, p.stop) for p in order) == sorted(
        (p.item, p.start, p.stop) for p, _ in pieces
    )
    assert all(0 < p.q <= 1 for p in order)
    assert order == draw(pieces, ANIMALS, seed, indicator=1)


def test_the_estimate_is_unbiased_where_the_plain_mean_is_not() -> None:
    pieces = pool()
    rng = np.random.default_rng(5)
    wrong = {
        (p.item, p.start): len(p) if unsure > 0.35 + 0.2 * rng.random() else 0
        for p, unsure in pieces
    }
    true = 1 - sum(wrong.values()) / sum(len(p) for p, _ in pieces)
    estimates, plain, covered = [], [], 0
    for seed in range(500):
        order = draw(pieces, ANIMALS, seed, indicator=1)
        errors = [wrong[p.item, p.start] for p in order[:16]]
        result = estimate(order, errors, [0] * 16)
        assert result.accuracy is not None
        assert result.low is not None
        assert result.high is not None
        estimates.append(result.accuracy)
        plain.append(1 - sum(errors) / sum(map(len, order[:16])))
        covered += result.low <= true <= result.high
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - true) < 4 * error
    assert abs(np.mean(plain) - true) > 5 * error  # the queue shows the doubtful ones first
    assert covered > 0.9 * 500


def test_when_all_is_checked_the_estimate_is_the_truth() -> None:
    order = draw(pool(), ANIMALS, 0)
    wrong = [len(p) // 2 for p in order]
    result = estimate(order, wrong, [0] * len(order))
    assert result.accuracy == pytest.approx(1 - sum(wrong) / sum(map(len, order)))
    assert result.low == pytest.approx(result.accuracy)


def test_what_the_rater_is_unsure_of_does_not_count() -> None:
    order = draw(pool(), ANIMALS, 0)
    unsure = [len(p) if i % 2 else 0 for i, p in enumerate(order)]
    wrong = [0 if i % 2 else len(p) for i, p in enumerate(order)]
    assert estimate(order, wrong, unsure).accuracy == pytest.approx(0)
    assert estimate(order, [0] * len(order), unsure).accuracy == pytest.approx(1)


def test_few_pieces_give_no_interval_and_say_how_many_are_missing() -> None:
    order = draw(pool(), ANIMALS, 0)
    assert estimate(order, [], []).accuracy is None
    assert estimate(order, [], []).missing == FEW
    three = estimate(order, [0] * 3, [0] * 3)
    assert (three.low, three.high, three.missing) == (None, None, FEW - 3)
    assert estimate(order, [0] * FEW, [0] * FEW).missing == 0


def test_a_dozen_pieces_without_an_error_do_not_make_the_model_perfect() -> None:
    """Of 12 independent draws without an error, the exact interval reaches down to 0.025 ** (1 /
    12) = 0.735."""
    order = draw(pool(n=100), ANIMALS, 0)
    estimated = estimate(order, [0] * 12, [0] * 12)
    assert estimated.accuracy == 1
    assert estimated.high == 1
    assert estimated.low is not None
    assert 0.3 < estimated.low < 0.735


def wrong_frames(
    pieces: list[tuple[Piece, float]], share: float, how: str, rng: np.random.Generator
) -> dict[Piece, int]:
    """So many frames are wrong, in whole pieces: any, those that the model is sure of, the long, or
    the short ones."""
    length = np.array([len(p) for p, _ in pieces])
    unsure = np.array([u for _, u in pieces])
    score = {"any": rng.random(len(pieces)), "sure": unsure, "long": -length, "short": length}[how]
    left = round(share * int(length.sum()))
    wrong = {}
    for i in np.argsort(score):
        piece = pieces[int(i)][0]
        wrong[piece] = min(len(piece), left)
        left -= wrong[piece]
    return wrong


@pytest.mark.parametrize("how", ["any", "sure", "long", "short"])
@pytest.mark.parametrize("accuracy", [0.7, 0.9, 0.99])
def test_the_interval_holds_the_truth_wherever_it_is_shown(accuracy: float, how: str) -> None:
    pieces = pool(seed=3, n=20)
    wrong = wrong_frames(pieces, 1 - accuracy, how, np.random.default_rng(0))
    true = 1 - sum(wrong.values()) / sum(len(piece) for piece, _ in pieces)
    sizes = (5, 10, 20, 30, 60)
    inside = dict.fromkeys(sizes, 0)
    repeats = 150
    for seed in range(repeats):
        order = draw(pieces, ANIMALS, seed, indicator=1)
        for m in sizes:
            errors = [wrong[Piece(p.item, p.start, p.stop, p.label)] for p in order[:m]]
            estimated = estimate(order, errors, [0] * m)
            if estimated.low is not None and estimated.high is not None:
                inside[m] += estimated.low - 1e-9 <= true <= estimated.high + 1e-9
    assert inside.pop(5) == 0  # not shown
    assert min(inside.values()) >= 0.93 * repeats, inside


def test_what_was_checked_on_the_wall_leaves_the_estimate_unbiased() -> None:
    """The rater corrects every wrong bout on the wall, then checks two that the queue gives."""
    pieces = [(Piece(0, 10 * i, 10 * i + 10, 0), 0.5) for i in range(20)]
    accuracies = []
    for seed in range(300):
        order = draw(pieces, ["a"], seed)
        on_wall = [piece.start < 60 for piece in order]
        next_one = [i for i, wall in enumerate(on_wall) if not wall][2]
        wrong = [10 * wall for wall in on_wall[:next_one]]
        checked = estimate(order, wrong, [0] * next_one, drawn=2)
        assert checked.low is None  # two draws say too little, however much the wall has shown
        assert checked.missing == FEW - 2
        accuracies.append(checked.accuracy)
    assert np.mean(accuracies) == pytest.approx(14 / 20, abs=0.04)


def test_the_wall_alone_says_nothing_of_the_accuracy() -> None:
    order = draw([(Piece(0, 10 * i, 10 * i + 10, 0), 0.5) for i in range(12)], ["a"], 0)
    assert estimate(order, [10, 10], [0, 0], drawn=0).accuracy is None
    everything = estimate(order, [10] * 3 + [0] * 9, [0] * 12, drawn=0)
    assert (everything.accuracy, everything.low, everything.high) == (0.75, 0.75, 0.75)
