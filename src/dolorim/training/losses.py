"""Losses on frame-wise decisions. Each correction for rare classes is a knob of its own; one at a time is meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dolorim.config import TrainConfig
from dolorim.models.heads import Keypoints, cell_centers

OverAll = Callable[[torch.Tensor], torch.Tensor]
_MOST = 30.0  # a class is never weighted more than this many times another
_PEAK = 1.0  # cells; standard deviation of the heat map that a keypoint should have
_LEAST_SHARE = 1e-4  # a rarer class is adjusted for as if it had this share of drawn frames
_STEP = 4.0  # largest change of a log probability that smoothness is asked of (Farha and Gall 2019, MS-TCN)


def class_weights(shares: np.ndarray, power: float = 1.0) -> np.ndarray:
    """Weights `(classes,)` inverse to a power of the share of each class among drawn frames, mean 1 over drawn frames.

    Classes that were never drawn get 0.
    """
    present = shares > 0
    if not present.any():
        return np.zeros_like(shares)
    floor = shares.max() / _MOST
    weights = np.where(present, np.maximum(shares, floor) ** -power, 0.0)
    return weights / (weights * shares).sum()


def learned_shares(config: TrainConfig, shares: np.ndarray) -> np.ndarray:
    """What a network takes the classes' shares for, `(classes,)`, that learns from drawn frames with these `shares`.

    A class that is weighted up seems more frequent, in proportion. Logit adjustment divides its log share out of the
    network's own probabilities.
    """
    return shares * _weights(config, shares) * np.exp(-_adjustment(config, shares))


def _weights(config: TrainConfig, shares: np.ndarray) -> np.ndarray:
    if config.class_weights == "inverse":
        return class_weights(shares, config.class_weight_power)
    return np.ones_like(shares)


def _adjustment(config: TrainConfig, shares: np.ndarray) -> np.ndarray:
    """What is added to logits in training, and not afterwards."""
    return config.logit_adjustment * np.log(np.maximum(shares, _LEAST_SHARE))


class FrameLoss(nn.Module):
    """Mean loss over labelled frames, from logits `(stages, batch, time, classes)`, summed over stages.

    Labels are `(batch, time)`, -1 unlabelled. Focal: Lin et al. 2017. Logit adjustment: Menon et al. 2021, tau times
    the log share is added to the logits. Smoothness: Farha and Gall 2019, the truncated squared change of log
    probabilities between neighboring frames of one label.
    """

    weights: torch.Tensor
    adjustment: torch.Tensor

    def __init__(self, config: TrainConfig, shares: np.ndarray) -> None:
        super().__init__()
        weights, adjustment = _weights(config, shares), _adjustment(config, shares)
        self.register_buffer(
            "weights", torch.as_tensor(weights, dtype=torch.float32), persistent=False
        )
        self.register_buffer(
            "adjustment", torch.as_tensor(adjustment, dtype=torch.float32), persistent=False
        )
        self.config = config

    def forward(
        self, stages: torch.Tensor, labels: torch.Tensor, over_all: OverAll
    ) -> torch.Tensor:
        """`over_all` averages over the processes that train together: theirs is then the loss of their whole batch."""
        targets = soft_targets(labels, len(self.weights), self.config.soft_boundaries)
        known = labels >= 0
        total = over_all((targets[known] @ self.weights).sum()).clamp(min=1e-6)
        return torch.stack(
            [self._of_stage(logits.float(), labels, targets, total, over_all) for logits in stages]
        ).sum()

    def _of_stage(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        targets: torch.Tensor,
        total: torch.Tensor,
        over_all: OverAll,
    ) -> torch.Tensor:
        known = labels >= 0
        log = (logits + self.adjustment).log_softmax(-1)[known]
        target, smoothing = targets[known], self.config.label_smoothing
        loss = -((target * (1 - smoothing) + smoothing / len(self.weights)) * log).sum(-1)
        if self.config.focal_gamma:
            loss = loss * (1 - (target * log.exp()).sum(-1)).clamp(min=0) ** self.config.focal_gamma
        mean = (loss * (target @ self.weights)).sum() / total
        if self.config.lambda_smooth:
            mean = mean + self.config.lambda_smooth * _unsteadiness(
                logits.log_softmax(-1), labels, over_all
            )
        return mean


def soft_targets(labels: torch.Tensor, n_classes: int, reach: int) -> torch.Tensor:
    """Labels `(batch, time)` as shares `(batch, time, classes)`, averaged over `reach` frames to either side.

    Unlabelled frames count for nothing, and are all zeros themselves where there is no label near.
    """
    known = labels >= 0
    one_hot = F.one_hot(labels.clamp(min=0), n_classes).float() * known[..., None]
    if not reach:
        return one_hot
    sums = F.avg_pool1d(one_hot.transpose(1, 2), 2 * reach + 1, 1, reach).transpose(1, 2)
    return sums / sums.sum(-1, keepdim=True).clamp(min=1e-6)


def keypoint_loss(
    found: Keypoints,
    points: torch.Tensor,
    valid: torch.Tensor,
    over_all: OverAll,
    map_weight: float = 0.0,
) -> torch.Tensor:
    """Smooth L1 distance of keypoints from `points` `(batch, time, keypoint, 2)` that are in the crop, plus a tenth of
    the cross entropy of whether they are there, plus `map_weight` times that of their heat maps.

    The distance alone is of a mean, and a heat map that is spread over the mouse has the right mean too: the left and
    the right ear then never part. `valid` `(batch, time)` is false beyond the recording. `over_all` as above. A window
    without any point is of a recording that nobody has tracked: it says nothing about what can be seen.
    """
    valid = valid & ~points.isnan().flatten(1).all(1, keepdim=True)
    there = ~points.isnan().any(-1) & valid[..., None]
    inside = there & (points.abs() <= 1).all(-1)
    places, visibility = found.places.float(), found.visibility.float()
    wrong = F.smooth_l1_loss(places, points.nan_to_num(0.0), reduction="none", beta=0.05).sum(-1)
    if map_weight:
        log = found.heat.float().flatten(3).log_softmax(-1)
        wrong = wrong - map_weight * (peaks(points, found.heat.shape[3:]).flatten(3) * log).sum(-1)
    seen = F.binary_cross_entropy_with_logits(visibility, inside.float(), reduction="none").mean(-1)
    n_inside, n_valid = (over_all(mask.sum().float()).clamp(min=1e-6) for mask in (inside, valid))
    return (wrong * inside).sum() / n_inside + 0.1 * (seen * valid).sum() / n_valid


def peaks(points: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Heat maps `(..., rows, columns)` that sum to 1, with a normal peak at each of `points` `(..., 2)` in the crop."""
    sides = []
    for n, place in zip(size, (points[..., 1], points[..., 0]), strict=True):
        cells = (cell_centers(n, points.device) - place.nan_to_num(0.0)[..., None]) * (n / 2)
        sides.append((-0.5 * (cells / _PEAK) ** 2).softmax(-1))
    return sides[0][..., :, None] * sides[1][..., None, :]


def _unsteadiness(log: torch.Tensor, labels: torch.Tensor, over_all: OverAll) -> torch.Tensor:
    same = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] >= 0)
    change = (log[:, 1:] - log[:, :-1].detach()).abs().clamp(max=_STEP) ** 2
    return (change.mean(-1) * same).sum() / over_all(same.sum().float()).clamp(min=1e-6)
