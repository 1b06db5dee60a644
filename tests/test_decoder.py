"""The decoder finds the best labels among those in which every bout is long enough."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.core.errors import UserError
from dolorim.core.runs import runs
from dolorim.inference.decoder import Decoder, best_bouts
from dolorim.labels.bouts import to_bouts


def worth(labels, scores, shortest, cost):
    """Summed scores less the cost of switches; minus infinity where a bout inside is too short."""
    starts, stops, values = runs(np.asarray(labels))
    if any(b - a < shortest[v] for a, b, v in list(zip(starts, stops, values, strict=True))[1:-1]):
        return -np.inf
    return sum(scores[i, v] for i, v in enumerate(labels)) - cost * (len(values) - 1)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 7),
    st.lists(st.integers(1, 5), min_size=2, max_size=3),
    st.sampled_from([0.0, 0.5, 3.0]),
    st.integers(0, 2**32 - 1),
)
def test_no_labels_are_better_than_those_found(n, shortest, cost, seed):
    scores = np.random.default_rng(seed).normal(0, 2, (n, len(shortest)))
    labels = best_bouts(scores, shortest, cost)
    best = max(
        worth(x, scores, shortest, cost) for x in itertools.product(range(len(shortest)), repeat=n)
    )
    assert worth(labels.tolist(), scores, shortest, cost) == pytest.approx(best)


def noisy(n=4000, classes=4, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.4), n)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_every_bout_but_the_first_and_the_last_of_a_piece_is_long_enough(seed, shortest_s):
    breaks = (120, 250)
    labels = Decoder("viterbi", min_duration_s=tuple(shortest_s)).decode(
        noisy(400, seed=seed), 30.0, breaks
    )
    for piece in np.split(labels, breaks):
        assert all(len(b) >= round(shortest_s[b.label] * 30) for b in to_bouts(piece)[1:-1])


def test_without_minimum_durations_and_costs_the_search_is_argmax():
    p = noisy()
    assert np.array_equal(Decoder("viterbi").decode(p, 30.0), p.argmax(1))
    assert np.array_equal(Decoder().decode(p, 30.0), p.argmax(1))


def test_a_bout_may_be_cut_short_by_the_end_of_a_recording_and_by_a_break():
    p = np.full((60, 2), 0.1)
    p[:, 0] = 0.9
    p[[0, 1, 20, 21, 40, 41, 58, 59]] = [
        0.1,
        0.9,
    ]  # two frames of class 1: at both ends, inside, and before a break
    decoder = Decoder("viterbi", min_duration_s=(0.0, 0.2))  # six frames
    assert np.flatnonzero(decoder.decode(p, 30.0, breaks=[42])).tolist() == [0, 1, 40, 41, 58, 59]


def test_nothing_is_carried_over_a_break():
    p = noisy(300)
    for decoder in (
        Decoder("viterbi", smooth_s=0.2, min_duration_s=(0.3,) * 4, switch_cost=1.0),
        Decoder(smooth_s=0.5),
    ):
        alone = [decoder.decode(part, 30.0) for part in (p[:100], p[100:])]
        assert np.array_equal(decoder.decode(p, 30.0, breaks=[100]), np.concatenate(alone))


def test_minimum_durations_are_seconds_at_any_frame_rate():
    p = np.full((300, 2), [0.9, 0.1])
    p[100:112] = [0.1, 0.9]
    decoder = Decoder("viterbi", min_duration_s=(0.0, 0.3))
    assert decoder.decode(p, 30.0).sum() == 12
    assert decoder.decode(p, 60.0).sum() in (
        0,
        18,
    )  # 0.2 s are too short: left out, or drawn out to 0.3 s


def test_a_frame_without_evidence_goes_with_its_neighbors():
    p = np.repeat([[0.9, 0.1], [0.1, 0.9]], 10, axis=0)
    p[[0, 5, 14, 19]] = np.nan
    for decoder in (
        Decoder(),
        Decoder("viterbi", min_duration_s=(0.1, 0.1), switch_cost=1.0),
        Decoder(smooth_s=0.1),
    ):
        assert decoder.decode(p, 30.0).tolist() == [0] * 10 + [1] * 10
    assert decoder.decode(np.full((4, 2), np.nan), 30.0).tolist() == [-1] * 4
    assert decoder.decode(np.empty((0, 2)), 30.0).tolist() == []


def test_temperature_softens_and_keeps_the_order():
    p = noisy(50)
    soft = Decoder(temperature=2.0).calibrated(p)
    assert np.allclose(soft.sum(1), 1)
    assert np.array_equal(soft.argmax(1), p.argmax(1))
    assert (soft.max(1) <= p.max(1) + 1e-9).all()
    assert np.allclose(soft[:, 0] / soft[:, 1], np.sqrt(p[:, 0] / p[:, 1]))


def test_a_bias_is_added_to_the_log_probability():
    p = np.array([[0.6, 0.4]])
    assert Decoder(biases=(0.0, np.log(1.4))).decode(p, 30.0).tolist() == [0]
    assert Decoder(biases=(0.0, np.log(1.6))).decode(p, 30.0).tolist() == [1]


def test_half_an_hour_of_eight_classes_takes_no_time_to_speak_of():
    p = noisy(54_000, 8)
    start = time.process_time()
    Decoder("viterbi", min_duration_s=(0.3,) * 8, switch_cost=1.0).decode(p, 30.0)
    assert time.process_time() - start < 1.5


DECODERS = st.builds(
    Decoder,
    st.sampled_from(["argmax", "viterbi"]),
    st.floats(0.1, 10),
    st.sampled_from([(), (0.5, -1.0, 0.0)]),
    st.floats(0, 1),
    st.sampled_from([(), (0.5, 1.0, 0.0)]),
    st.floats(0, 20),
)


@given(DECODERS)
def test_a_decoder_reads_back_from_json(decoder):
    assert Decoder.from_dict(json.loads(json.dumps(decoder.to_dict())), classes=3) == decoder


def test_plain_argmax_is_written_as_ever():
    assert Decoder().to_dict() == {"decoder": "argmax"}
    assert Decoder.from_dict({"decoder": "argmax"}) == Decoder()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"decoder": "argmax", "bias": [1]}, "unknown key bias"),
        ({"decoder": "magic"}, "'argmax' or 'viterbi'"),
        ([1], "expected"),
        ({"temperature": 1}, "expected"),
        ({"decoder": "argmax", "temperature": 0}, "temperature"),
        ({"decoder": "argmax", "temperature": "hot"}, "temperature"),
        ({"decoder": "argmax", "temperature": float("nan")}, "temperature"),
        ({"decoder": "argmax", "biases": [1.0, 2.0]}, "3 classes, found 2"),
        ({"decoder": "argmax", "biases": "abc"}, "biases"),
        ({"decoder": "viterbi", "min_duration_s": [0.1, -0.1, 0.0]}, r"min_duration_s\.1"),
        ({"decoder": "viterbi", "switch_cost": True}, "switch_cost"),
    ],
)
def test_what_cannot_be_a_decoder_is_refused(data, said):
    with pytest.raises(UserError, match=said):
        Decoder.from_dict(data, classes=3)


def test_a_decoder_of_other_classes_is_a_bug():
    with pytest.raises(ValueError, match="3 classes got probabilities of 4"):
        Decoder(biases=(0.0,) * 3).decode(noisy(10), 30.0)


def test_the_likeliest_class_of_a_frame_alone_follows_prior_and_biases_like_the_labels() -> None:
    probabilities = np.random.default_rng(0).dirichlet((1, 1, 1), 200)
    decoder = Decoder(biases=(0.5, 0.0, -1.0), prior=(2.0, 1.0, 0.5), temperature=1.3)
    # Without anything that looks at other frames, both are the same.
    assert (decoder.most_likely(probabilities) == decoder.decode(probabilities, 30)).all()
    searching = dataclasses.replace(decoder, kind="viterbi", switch_cost=5.0)
    assert (searching.most_likely(probabilities) == decoder.most_likely(probabilities)).all()
