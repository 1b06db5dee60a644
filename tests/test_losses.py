"""Losses: what they ask of each frame, and what has no part in them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dolorim.config import TrainConfig
from dolorim.models.heads import Keypoints
from dolorim.training.losses import FrameLoss, class_weights, keypoint_loss, peaks, soft_targets

EVEN = np.array([0.5, 0.5])


def loss_of(logits: Any, labels: Any, shares: np.ndarray = EVEN, **settings: Any) -> float:
    """The loss of logits `(batch, time, classes)` in one process, classes not weighted
    unless asked."""
    loss = FrameLoss(TrainConfig(**{"class_weights": "none", **settings}), shares)
    return float(loss(torch.as_tensor(logits), torch.as_tensor(labels), lambda value: value))


def test_classes_are_weighted_by_the_inverse_of_their_share_and_not_without_limit() -> None:
    weights = class_weights(np.array([0.9, 0.1, 0.0]))
    assert weights[1] / weights[0] == pytest.approx(9)
    assert weights[2] == 0
    assert (weights * [0.9, 0.1, 0]).sum() == pytest.approx(1)
    extreme = class_weights(np.array([0.9999, 0.0001]))
    assert extreme[1] / extreme[0] == pytest.approx(30)


def test_unlabelled_frames_have_no_part_in_the_loss() -> None:
    logits = [[[2.0, 0.0], [0.0, 9.0]]]
    assert loss_of(logits, [[0, -1]]) == pytest.approx(float(np.log1p(np.exp(-2))))
    wild = torch.tensor(logits)
    wild[..., 1, :] = 1e4
    for settings in ({}, {"lambda_smooth": 1.0}, {"label_smoothing": 0.1}, {"focal_gamma": 2.0}):
        assert loss_of(wild, [[0, -1]], **settings) == loss_of(logits, [[0, -1]], **settings)
    assert loss_of(logits, [[-1, -1]], lambda_smooth=1.0) == 0


def test_focal_loss_forgives_what_is_right_already() -> None:
    right, wrong = [[[4.0, 0.0]]], [[[0.0, 4.0]]]
    assert loss_of(right, [[0]], focal_gamma=2.0) < 0.01 * loss_of(right, [[0]])
    assert loss_of(wrong, [[0]], focal_gamma=2.0) > 0.9 * loss_of(wrong, [[0]])


def test_logit_adjustment_adds_tau_times_the_log_share() -> None:
    loss = loss_of(torch.zeros(1, 1, 2), [[1]], np.array([0.9, 0.1]), logit_adjustment=1.0)
    assert loss == pytest.approx(-np.log(0.1), rel=1e-5)


def test_two_processes_have_the_loss_of_one_that_has_both_batches() -> None:
    logits = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0] * 6, [1] * 6, [0, 1, -1, -1, -1, -1], [-1] * 6])
    loss = FrameLoss(TrainConfig(), np.array([0.8, 0.2]))
    parts = [(logits[part], labels[part]) for part in (slice(0, 2), slice(2, 4))]
    totals = [float(loss.weights[y[y >= 0]].sum()) for _, y in parts]
    together = torch.tensor(totals).mean()  # what the processes hear of each other
    losses = [float(loss(x, y, lambda _: together)) for x, y in parts]
    assert np.mean(losses) == pytest.approx(
        float(loss(logits, labels, lambda value: value)), rel=1e-5
    )


def test_smoothed_labels_leave_a_share_to_every_class() -> None:
    logits = torch.tensor([[[3.0, 0.0, 0.0, 0.0]]])
    log = logits.log_softmax(-1)[0, 0]
    target = torch.tensor([0.925, 0.025, 0.025, 0.025])  # 0.1 of four classes
    shares = np.full(4, 0.25)
    assert loss_of(logits, [[0]], shares, label_smoothing=0.1) == pytest.approx(
        float(-(target * log).sum()), rel=1e-5
    )


def test_around_a_change_of_labels_the_truth_is_a_mixture() -> None:
    labels = torch.tensor([[0, 0, 0, 1, 1, 1, -1, 1]])
    targets = soft_targets(labels, 2, 1)[0]
    assert targets[:, 1].tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1, 1, 1, 1])
    assert torch.equal(soft_targets(labels, 2, 0)[0, 6], torch.zeros(2))  # no label, no target
    assert loss_of(torch.zeros(1, 8, 2), labels, soft_boundaries=1) == pytest.approx(
        float(np.log(2))
    )


@given(labels=st.lists(st.integers(-1, 3), min_size=1, max_size=30), reach=st.integers(0, 5))
def test_soft_targets_are_shares_of_the_labels_that_are_near(labels: list[int], reach: int) -> None:
    targets = soft_targets(torch.tensor([labels]), 4, reach)[0].numpy()
    for t, target in enumerate(targets):
        near = [y for y in labels[max(0, t - reach) : t + reach + 1] if y >= 0]
        expected = np.bincount(near, minlength=4) / len(near) if near else np.zeros(4)
        np.testing.assert_allclose(target, expected, atol=1e-6)


def test_steadiness_is_asked_only_between_frames_of_one_label() -> None:
    logits = torch.zeros(1, 4, 2)
    logits[0, 2:, 0] = 3.0  # the decision changes between the second and the third frame

    def unsteadiness(labels: list[int]) -> float:
        return loss_of(logits, [labels], lambda_smooth=1.0) - loss_of(logits, [labels])

    assert unsteadiness([1, 1, 0, 0]) == pytest.approx(0, abs=1e-6)
    assert unsteadiness([1, 1, -1, 0]) == pytest.approx(0, abs=1e-6)
    assert unsteadiness([1, 1, 1, 1]) > 0.1


def test_a_jump_costs_no_more_than_sixteen() -> None:
    logits = torch.zeros(1, 2, 2)
    logits[0, 0, 0], logits[0, 1, 1] = 1000.0, 1000.0
    smooth = loss_of(logits, [[1, 1]], lambda_smooth=1.0) - loss_of(logits, [[1, 1]])
    assert smooth == pytest.approx(16, rel=1e-4)


def test_missing_keypoints_and_those_outside_of_the_crop_have_no_place_to_be_wrong_about() -> None:
    truth = torch.tensor([[[[0.2, 0.1], [torch.nan, torch.nan], [1.4, 0.0]]] * 2])  # (1, 2, 3, 2)

    def loss(
        places: torch.Tensor, says: torch.Tensor, truth: torch.Tensor, valid: torch.Tensor
    ) -> torch.Tensor:
        predicted = Keypoints(places, says, torch.zeros(*says.shape, 4, 4))
        return keypoint_loss(predicted, truth, valid, over_all=lambda value: value)

    valid, seen = torch.tensor([[True, False]]), torch.tensor([[[9.0, -9.0, -9.0]] * 2])
    right = truth.nan_to_num(0.0)
    best = float(loss(right, seen, truth, valid))
    assert best < 1e-3
    for frame, keypoint in ((0, 1), (0, 2), (1, 0)):  # missing, outside, beyond the recording
        elsewhere = right.clone()
        elsewhere[0, frame, keypoint] += 0.5
        assert float(loss(elsewhere, seen, truth, valid)) == pytest.approx(best)
    off = right.clone()
    off[0, 0, 0] += 0.5
    assert float(loss(off, seen, truth, valid)) > best + 0.5
    assert float(loss(right, -seen, truth, valid)) > best + 0.5  # says that what is there is not
    nothing = torch.full_like(truth, torch.nan)
    assert loss(right, seen, nothing, torch.zeros_like(valid)).isfinite()
    untracked = torch.cat([truth, nothing])  # beside a recording that nobody has tracked
    for says in (seen, -seen):
        beside = loss(
            right.expand(2, -1, -1, -1), torch.cat([seen, says]), untracked, valid.expand(2, -1)
        )
        assert float(beside) == pytest.approx(best, abs=1e-6)


@given(x=st.floats(-1, 1), y=st.floats(-1, 1))
def test_a_peak_is_highest_in_the_cell_that_its_point_lies_in(x: float, y: float) -> None:
    heat_map = peaks(torch.tensor([x, y]), (6, 10))
    assert heat_map.shape == (6, 10)
    assert float(heat_map.sum()) == pytest.approx(1, abs=1e-5)
    row, column = divmod(int(heat_map.argmax()), 10)
    assert abs((column + 0.5) / 5 - 1 - x) <= 0.1 + 1e-5
    assert abs((row + 0.5) / 3 - 1 - y) <= 1 / 6 + 1e-5


def test_of_two_guesses_with_the_right_mean_one_spread_over_the_whole_mouse_is_worse() -> None:
    truth = torch.zeros(1, 1, 1, 2)  # in the middle of the crop
    spread, peaked = torch.full((1, 1, 1, 9, 9), -20.0), torch.full((1, 1, 1, 9, 9), -20.0)
    spread[..., 4, 0] = spread[..., 4, 8] = 0.0  # half here, half there: the mean is in the middle
    peaked[..., 4, 4] = 0.0
    loss = functools.partial(
        keypoint_loss, points=truth, valid=torch.ones(1, 1, dtype=torch.bool), over_all=lambda v: v
    )
    one, other = (Keypoints(truth, torch.full((1, 1, 1), 9.0), heat) for heat in (spread, peaked))
    assert float(loss(one)) == pytest.approx(float(loss(other)))
    assert float(loss(one, map_weight=0.1)) > float(loss(other, map_weight=0.1)) + 0.3


def test_the_best_heat_map_is_the_peak_itself() -> None:
    truth = torch.tensor([[[[0.3, -0.2]]]])
    best = peaks(truth, (8, 8)).log().requires_grad_()
    predicted = Keypoints(truth, torch.full((1, 1, 1), 9.0), best)
    keypoint_loss(
        predicted, truth, torch.ones(1, 1, dtype=torch.bool), lambda v: v, map_weight=1.0
    ).backward()
    torch.testing.assert_close(best.grad, torch.zeros_like(best), atol=1e-6, rtol=0)
