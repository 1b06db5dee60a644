"""An animal stands on one side of a split only."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.core.errors import UserError
from dolorim.dataset.splits import Split, fold_animals, split_animals


def herd(n, classes=3):
    """Animals m00, m01, ... with the same 10 frames of every class."""
    return {f"m{i:02}": np.full(classes, 10) for i in range(n)}


@st.composite
def counted_herds(draw):
    n, classes = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    rows = st.lists(st.integers(0, 500), min_size=classes, max_size=classes)
    return {f"m{i}": np.array(draw(rows)) for i in range(n)}


few = settings(deadline=None, max_examples=30)  # each draws 500 orders of the animals


@few
@given(counted_herds(), st.integers(0, 2**31))
def test_every_animal_stands_in_exactly_one_part(frames, seed):
    split = split_animals(frames, seed=seed)
    assert sorted([*split.train, *split.val, *split.test]) == sorted(frames)
    assert split.train


@few
@given(counted_herds(), st.integers(0, 2**31), st.randoms())
def test_a_split_depends_on_the_seed_alone_and_not_on_the_order_of_the_animals(
    frames, seed, random
):
    animals = list(frames)
    random.shuffle(animals)
    assert split_animals({a: frames[a] for a in animals}, seed=seed) == split_animals(
        frames, seed=seed
    )


@few
@given(counted_herds(), st.integers(0, 99), st.data())
def test_animals_that_are_named_for_a_part_stand_there_and_nowhere_else(frames, seed, data):
    val = data.draw(
        st.lists(st.sampled_from(sorted(frames)), unique=True, max_size=len(frames) - 1)
    )
    split = split_animals(frames, val=val, seed=seed)
    assert split.val == tuple(sorted(val))
    assert sorted([*split.train, *split.val, *split.test]) == sorted(frames)


def test_another_seed_draws_other_animals():
    assert len({split_animals(herd(10), seed=seed).test for seed in range(10)}) > 1


@pytest.mark.parametrize(
    ("animals", "sizes"), [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (5, (3, 1, 1)),
    (10, (6, 2, 2)),
                           (20, (12, 4, 4))]
)  # fmt: skip
def test_animals_are_divided_60_20_20_and_training_is_served_first(animals, sizes):
    split = split_animals(herd(animals))
    assert (len(split.train), len(split.val), len(split.test)) == sizes


def test_animals_named_for_the_test_leave_a_fifth_of_all_for_validation():
    split = split_animals(herd(20), test=["m03", "m07", "m11", "m19"])
    assert (len(split.train), len(split.val)) == (12, 4)


def test_an_empty_list_leaves_a_part_out():
    split = split_animals(herd(5), val=[], test=[])
    assert split == Split(train=("m00", "m01", "m02", "m03", "m04"))


def test_a_behavior_that_one_animal_alone_shows_is_kept_for_training_at_any_cost_in_evenness():
    shares = {"even": 20, "most": 40, "less": 10, "least": 10, "also_even": 20}
    frames = {
        name: np.array([share] * 100 + [10 * (name == "even")]) for name, share in shares.items()
    }
    for seed in range(5):
        assert "even" in split_animals(frames, seed=seed).train


def test_an_animal_is_the_same_in_any_letter_case_when_it_is_named_for_a_part():
    frames = {name: np.array([10, 5]) for name in ("267M", "268F", "269M", "270F")}
    split = split_animals(frames, val=["267m"], test=[" 268f "])
    assert split.val == ("267M",)
    assert split.test == ("268F",)
    assert split.train == ("269M", "270F")


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"val": ["m9"]}, r"no animal is called 'm9' \(for validation\); there are m00, m01, m02"),
        ({"val": ["m00"], "test": ["M00 "]}, "'m00' is named for validation and for test"),
        ({"val": ["m00"], "test": ["m00"]}, "'m00' is named for validation and for test"),
        ({"val": ["m00"], "test": ["m01", "m02"]}, "no animal is left to train on"),
    ],
)
def test_names_that_cannot_be_followed_are_refused(given_, message):
    with pytest.raises(UserError, match=message):
        split_animals(herd(3), **given_)


def test_no_animals_at_all_are_a_users_error():
    with pytest.raises(UserError, match="no animal is left to train on"):
        split_animals({})


def test_a_split_knows_where_an_animal_stands():
    split = Split(("a",), ("b",), ("c",))
    assert [split.part_of(name) for name in "abcd"] == ["train", "val", "test", None]


@settings(few, max_examples=10)
@given(counted_herds().filter(lambda herd: len(herd) > 1), st.integers(0, 999), st.data())
def test_in_folds_every_animal_is_tested_once_and_never_learned_from_there(frames, seed, data):
    n = data.draw(st.integers(2, len(frames)))
    folds = fold_animals(frames, n, seed=seed)
    assert sorted(a for f in folds for a in f.test) == sorted(frames)
    sizes = [len(f.test) for f in folds]
    assert max(sizes) - min(sizes) <= 1
    for fold in folds:
        assert sorted([*fold.train, *fold.val, *fold.test]) == sorted(frames)
        assert fold.train
    assert folds == fold_animals(dict(reversed(frames.items())), n, seed=seed)


def test_a_rare_behavior_is_spread_over_the_folds():
    frames = {f"m{i}": np.array([100, 30 * (i < 4)]) for i in range(8)}
    folds = fold_animals(frames, 4)
    assert [sum(frames[a][1] for a in f.test) for f in folds] == [30] * 4


def test_a_behavior_that_two_animals_show_can_be_learned_in_every_fold():
    frames = {f"m{i}": np.array([100, 30 * (i < 2)]) for i in range(6)}
    for seed in range(5):
        for fold in fold_animals(frames, 2, seed=seed):
            assert sum(frames[a][1] for a in (*fold.train, *fold.val)) == 30


def test_as_many_folds_as_animals_leave_one_out_at_a_time():
    assert sorted(f.test for f in fold_animals(herd(5), 5)) == [(f"m{i:02}",) for i in range(5)]


def test_folds_can_go_without_validation_animals():
    assert all(f.val == () and len(f.train) == 4 for f in fold_animals(herd(6), 3, val=[]))


@pytest.mark.parametrize("folds", [0, 1, 4])
def test_folds_that_three_animals_cannot_fill_are_refused(folds):
    with pytest.raises(UserError, match=rf"{folds} folds of 3 animals \(m00, m01, m02\)"):
        fold_animals(herd(3), folds)
