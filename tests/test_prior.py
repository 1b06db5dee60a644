"""Probabilities mean what they say, whatever training drew, weighted and adjusted for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dolorim.config import AugmentConfig, TrainConfig
from dolorim.dataset.sampling import BoutSampler
from dolorim.inference.decoder import Decoder, prior_factors
from dolorim.labels.trials import Recording
from dolorim.metrics.summary import Scored, summarize
from dolorim.training.fit_decoder import fit_decoder
from dolorim.training.losses import FrameLoss, learned_shares
from simulated_probabilities import CLASSES, RATE_HZ, simulate_probabilities

LABELLED = np.array([0.9, 0.02, 0.08])  # of what a camera sees
DRAWN = np.array([0.45, 0.3, 0.25])  # of what training draws
SEEN_AS = np.array(
    [[0.7, 0.2, 0.1], [0.2, 0.6, 0.2], [0.25, 0.25, 0.5]]
)  # p(x | class), x one of three pictures


def posterior(shares: np.ndarray) -> np.ndarray:
    """How likely each class is by Bayes' rule, `(picture, class)`, among frames with these shares
    of classes."""
    joint = (SEEN_AS * shares[:, None]).T
    return joint / joint.sum(1, keepdims=True)


def minimizer(settings: TrainConfig) -> np.ndarray:
    """The probabilities `(picture, class)` of a network that minimizes the loss over endless
    draws.
    """
    loss = FrameLoss(settings, DRAWN)
    logits = torch.zeros(3, 3, requires_grad=True)
    often = np.round(2000 * SEEN_AS * DRAWN[:, None]).astype(int)  # (class, picture)
    labels, pictures = (
        torch.from_numpy(np.repeat(i.ravel(), often.ravel())) for i in np.indices(often.shape)
    )
    optimizer = torch.optim.LBFGS([logits], max_iter=300, line_search_fn="strong_wolfe")

    def expected() -> torch.Tensor:
        optimizer.zero_grad()
        total = loss(logits[pictures][None], labels[None], lambda value: value)
        total.backward()
        return total

    optimizer.step(expected)
    return logits.detach().softmax(-1).numpy()


@pytest.mark.parametrize(
    "changes",
    [
        {"class_weights": "none"},
        {},
        {"class_weight_power": 1.0},
        {"class_weights": "none", "logit_adjustment": 1.0},
        {"logit_adjustment": 0.5},
        {"class_weights": "none", "focal_gamma": 2.0},
        {"focal_gamma": 2.5, "class_weight_power": 1.0},
    ],
)
def test_what_any_loss_teaches_is_corrected_to_how_likely_a_class_is_in_the_recordings(
    changes,
) -> None:
    settings = TrainConfig(**changes)
    learned = minimizer(settings)
    decoder = Decoder(
        prior=prior_factors(LABELLED, learned_shares(settings, DRAWN)),
        focal_gamma=settings.focal_gamma,
    )
    calibrated = decoder.calibrated(learned)
    np.testing.assert_allclose(calibrated, posterior(LABELLED), atol=5e-3)
    shown = (SEEN_AS * LABELLED[:, None]).sum(0)
    np.testing.assert_allclose(
        shown @ calibrated, LABELLED, atol=5e-3
    )  # probabilities add up to the time that there is
    assert (shown @ learned)[1] > 2 * LABELLED[1]  # those of the network alone do not


def test_probabilities_are_corrected_in_full_and_labels_by_the_power_that_serves_them() -> None:
    p = np.array([[0.3, 0.7]])
    for power, label in ((1.0, 0), (0.5, 0), (0.0, 1)):
        decoder = Decoder(prior=(4.0, 0.5), prior_power=power)
        assert decoder.decode(p, 30.0).tolist() == [label]
        np.testing.assert_allclose(decoder.calibrated(p), [[1.2 / 1.55, 0.35 / 1.55]])
    np.testing.assert_allclose(Decoder(prior=(4.0, 0.5), prior_power=0.0).for_labels(p), p)


def test_without_a_fitted_decoder_the_label_is_the_likeliest_class_as_written() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(3), 200)
    decoder = Decoder(prior=(3.0, 1.0, 0.2))
    assert np.array_equal(decoder.decode(p, 30.0), decoder.calibrated(p).argmax(1))


def test_a_run_of_an_older_version_is_read_and_not_corrected() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(3), 20)
    old = Decoder.from_dict({"decoder": "argmax", "temperature": 1.5, "biases": [0.0, 0.5, 0.0]}, 3)
    raised = p ** (1 / 1.5)
    np.testing.assert_allclose(old.calibrated(p), raised / raised.sum(1, keepdims=True))
    assert old.prior == ()


def test_a_class_that_nobody_has_labelled_keeps_its_probability() -> None:
    factors = prior_factors(np.array([80, 20, 0]), np.array([0.5, 0.5, 0.0]))
    assert factors == pytest.approx((1.6, 0.4, 1.0))
    assert prior_factors(np.zeros(3), np.zeros(3)) == ()


def test_unknown_frames_stay_unknown() -> None:
    p = np.array([[0.5, 0.5], [np.nan, 0.5]])
    assert np.isnan(Decoder(prior=(2.0, 1.0)).calibrated(p)).all(1).tolist() == [False, True]


def test_a_window_in_the_mirror_shows_the_other_side_and_shares_count_that() -> None:
    rec = Recording("a", "1M", np.repeat([0, 1, 0], [100, 100, 100]).astype(np.int16))
    sampler = BoutSampler([rec], TrainConfig(train_T=1), AugmentConfig(aug_flip=0.5))
    assert sampler.class_shares(3) == pytest.approx([2 / 3, 1 / 3, 0])
    assert sampler.class_shares(3, (0, 2, 1)) == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def skewed(seed: int, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Simulated probabilities as of a network that takes classes for more or less frequent
    than they are."""
    p, y = simulate_probabilities(seed)
    p = p / factors
    return p / p.sum(1, keepdims=True), y


def test_the_decoder_is_fitted_on_top_of_the_correction() -> None:
    factors = np.array([1.5, 0.3, 1.0, 0.5])
    known, new = ([skewed(s, factors) for s in range(a, b)] for a, b in ((0, 3), (50, 52)))
    base = Decoder(prior=tuple(factors))
    decoder = fit_decoder(*zip(*known, strict=True), RATE_HZ, CLASSES, base=base)
    assert decoder.prior == base.prior
    assert decoder.prior_power in (0.0, 0.5, 1.0)
    old = fit_decoder(*zip(*known, strict=True), RATE_HZ, CLASSES)
    scores = {}
    for name, d in (("new", decoder), ("old", old)):
        scored = [
            Scored(str(i), y, d.decode(p, RATE_HZ), d.calibrated(p)) for i, (p, y) in enumerate(new)
        ]
        scores[name] = summarize(scored, CLASSES)
    assert scores["new"]["calibration"]["nll"] < scores["old"]["calibration"]["nll"]
    assert scores["new"]["macro_f1"] > scores["old"]["macro_f1"] - 0.02


def test_metrics_say_how_much_time_the_probabilities_promise() -> None:
    truth = np.array([0, 0, 0, 1])
    p = np.array([[0.5, 0.5]] * 4)
    per_class = summarize([Scored("a", truth, p.argmax(1), p)], ["rest", "lick"])["per_class"]
    assert per_class["lick"]["expected_over_true"] == pytest.approx(2.0)
    assert per_class["rest"]["expected_over_true"] == pytest.approx(2 / 3)
    absent = summarize([Scored("a", truth * 0, p.argmax(1), p)], ["rest", "lick"])["per_class"]
    assert absent["lick"]["expected_over_true"] is None


def test_probabilities_in_files_need_no_prior_again_before_they_are_decoded() -> None:
    raw = np.random.default_rng(0).dirichlet(np.ones(3), 200)
    prior, shortest = (2.0, 0.2, 0.8), (0.2,) * 3
    written = Decoder(prior=prior).calibrated(raw)
    labels = Decoder("viterbi", min_duration_s=shortest).decode(written, 30.0)
    at_once = Decoder("viterbi", min_duration_s=shortest, prior=prior).decode(raw, 30.0)
    assert (labels == at_once).all()
