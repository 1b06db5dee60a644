"""A decoder that was fitted to some animals does better than argmax on others, or is argmax."""

from __future__ import annotations

import numpy as np
import pytest

from dolorim.inference.decoder import Decoder
from dolorim.metrics.frames import confusion, frame_scores
from dolorim.metrics.segments import count_segments
from dolorim.training.fit_decoder import fit_biases, fit_decoder, fit_temperature
from simulated_probabilities import CLASSES, RATE_HZ, simulate_probabilities


def scores_on(decoder, recordings):
    """Macro-F1 and segment F1@50."""
    pairs = [(y, decoder.decode(p, RATE_HZ)) for p, y in recordings]
    frames = frame_scores(sum(confusion(*pair, len(CLASSES)) for pair in pairs), CLASSES)
    return frames["macro_f1"], count_segments(pairs).scores["f1_50"]


@pytest.mark.parametrize("animals", [1, 4])
def test_on_new_animals_it_raises_segment_f1_and_keeps_macro_f1(animals):
    known, new = (
        [simulate_probabilities(s) for s in range(a, b)] for a, b in ((0, animals), (50, 56))
    )
    decoder = fit_decoder(*zip(*known, strict=True), RATE_HZ, CLASSES)
    macro, segments = scores_on(Decoder(), new)
    fitted_macro, fitted_segments = scores_on(decoder, new)
    assert fitted_segments > segments + 20
    assert fitted_macro > macro - 0.005


def test_with_perfect_or_meaningless_probabilities_it_does_no_harm():
    labels = [simulate_probabilities(s, 1500)[1] for s in range(3)]
    perfect = [np.eye(4)[y] * 0.96 + 0.01 for y in labels]
    assert scores_on(fit_decoder(perfect, labels, RATE_HZ, CLASSES), [(perfect[0], labels[0])]) == (
        1.0,
        100.0,
    )
    flat = [np.full((len(y), 4), 0.25) for y in labels]
    decoder = fit_decoder(flat, labels, RATE_HZ, CLASSES)
    macro, _ = scores_on(Decoder(), [(flat[0], labels[0])])
    assert scores_on(decoder, [(flat[0], labels[0])])[0] >= macro - 0.005


def test_the_temperature_that_made_probabilities_too_sure_is_found():
    rng = np.random.default_rng(0)
    honest = rng.dirichlet(np.ones(4), 20_000)
    labels = (honest.cumsum(1) > rng.random((20_000, 1))).argmax(1)
    sure = honest**3 / np.sum(honest**3, axis=1, keepdims=True)
    assert fit_temperature(sure, labels) == pytest.approx(3, rel=0.05)


def test_a_bias_brings_back_a_class_that_is_always_outbid():
    rng = np.random.default_rng(1)
    labels = rng.choice(3, 6000, p=[0.8, 0.1, 0.1])
    scores = 1.5 * np.eye(3)[labels] + rng.normal(size=(6000, 3)) - [0, 0, 2]
    biases = fit_biases(scores, labels, [0, 1, 2])
    assert biases[2] - biases[0] > 1
    assert fit_biases(scores, labels, []).tolist() == [0, 0, 0]


def test_with_too_few_bouts_only_the_temperature_is_fitted():
    p, _ = simulate_probabilities(0, 200)
    labels = np.repeat([0, 1, 0], [80, 40, 80])
    decoder = fit_decoder([p, p], [labels, labels], RATE_HZ, CLASSES)
    assert set(decoder.to_dict()) <= {"decoder", "temperature"}
    assert decoder.kind == "argmax"


def test_without_labels_nothing_is_fitted():
    p, y = simulate_probabilities(0, 100)
    assert fit_decoder([p], [np.full_like(y, -1)], RATE_HZ, CLASSES) == Decoder()
    assert fit_decoder([], [], RATE_HZ, CLASSES) == Decoder()


def test_unlabelled_and_unknown_frames_do_not_disturb():
    pairs = []
    for seed in range(3):
        p, y = simulate_probabilities(seed)
        p[100:130], y[200:260] = np.nan, -1
        pairs.append((p, y))
    decoder = fit_decoder(
        *zip(*pairs, strict=True), [RATE_HZ] * 3, CLASSES, borders=[[(0, 1500), (1500, 3000)]] * 3
    )
    assert decoder.kind == "viterbi"
    assert np.isfinite([decoder.temperature, *decoder.biases, *decoder.min_duration_s]).all()
