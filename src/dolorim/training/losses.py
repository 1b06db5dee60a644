"""Losses on frame-wise decisions.

Each correction for rare classes is a setting of its own; they are meant to be used one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dolorim.config import TrainConfig
from dolorim.models.heads import Keypoints, cell_centers

OverAll = Callable[[torch.Tensor], torch.Tensor]
_MOST = 30.0  # no class is weighted more than this many times another
_PEAK = 1.0  # cells; standard deviation of the heat map that a keypoint should have
_LEAST_SHARE = 1e-4  # a rarer class is adjusted for as if it had this share of drawn frames
# Largest change of a log probability that counts against smoothness (Farha and Gall 2019, MS-TCN).
_STEP = 4.0
_NEAR = 0.05  # half sides of the crop; below this distance the keypoint loss is quadratic
_VISIBILITY = 0.1  # weight of whether keypoints are visible, beside where they are


def class_weights(shares: np.ndarray, power: float = 1.0) -> np.ndarray:
    """Weights `(classes,)` inverse to a power of each class's share among drawn frames.

    Their mean over drawn frames is 1; classes that were never drawn get 0.
    """
    present = shares > 0
    if not present.any():
        return np.zeros_like(shares)
    floor = shares.max() / _MOST
    weights = np.where(present, np.maximum(shares, floor) ** -power, 0.0)
    return weights / (weights * shares).sum()


def learned_shares(config: TrainConfig, shares: np.ndarray) -> np.ndarray:
    """The shares `(classes,)` that a network learns from drawn frames with these `shares`.

    A class that is weighted up seems more frequent, in proportion. Logit adjustment divides its
    share out of the network's own probabilities.
    """
    return shares * _weights(config, shares) * np.exp(-_adjustment(config, shares))


def _weights(config: TrainConfig, shares: np.ndarray) -> np.ndarray:
    if config.class_weights == "inverse":
        return class_weights(shares, config.class_weight_power)
    return np.ones_like(shares)


def _adjustment(config: TrainConfig, shares: np.ndarray) -> np.ndarray:
    """Added to the logits `(classes,)` in training, and not afterwards."""
    return config.logit_adjustment * np.log(np.maximum(shares, _LEAST_SHARE))


class FrameLoss(nn.Module):
    """Mean loss over labeled frames.

    Logits are `(batch, time, classes)`, labels `(batch, time)`, -1 unlabeled. Focal loss:
    Lin et al. 2017. Logit adjustment: Menon et al. 2021, tau times the log share is added to the
    logits. Smoothness: Farha and Gall 2019, the truncated squared change of log probabilities
    between neighboring frames of one label.
    """

    weights: torch.Tensor
    adjustment: torch.Tensor

    def __init__(self, config: TrainConfig, shares: np.ndarray) -> None:
        super().__init__()
        weights = torch.as_tensor(_weights(config, shares), dtype=torch.float32)
        adjustment = torch.as_tensor(_adjustment(config, shares), dtype=torch.float32)
        # Not saved with the weights, because they follow from the settings and the labels.
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("adjustment", adjustment, persistent=False)
        self.config = config

    def forward(
        self, logits: torch.Tensor, labels: torch.Tensor, over_all: OverAll
    ) -> torch.Tensor:
        """The loss, where `over_all` averages over the processes that train together.

        Together they then minimize the loss of their whole batch.
        """
        logits, known = logits.float(), labels >= 0
        targets = soft_targets(labels, len(self.weights), self.config.soft_boundaries)
        target, smoothing = targets[known], self.config.label_smoothing
        total = over_all((target @ self.weights).sum()).clamp(min=1e-6)
        log = (logits + self.adjustment).log_softmax(-1)[known]
        smoothed = target * (1 - smoothing) + smoothing / len(self.weights)
        loss = -(smoothed * log).sum(-1)
        if self.config.focal_gamma:
            missed = (1 - (target * log.exp()).sum(-1)).clamp(min=0)
            loss = loss * missed**self.config.focal_gamma
        mean = (loss * (target @ self.weights)).sum() / total
        if self.config.lambda_smooth:
            unsteadiness = _unsteadiness(logits.log_softmax(-1), labels, over_all)
            mean = mean + self.config.lambda_smooth * unsteadiness
        return mean


def soft_targets(labels: torch.Tensor, n_classes: int, reach: int) -> torch.Tensor:
    """Labels `(batch, time)` as shares `(batch, time, classes)`, averaged over neighboring frames.

    These are the `reach` frames to either side. Unlabelled frames do not count, and are all zeros
    themselves where no label is near.
    """
    known = labels >= 0
    one_hot = F.one_hot(labels.clamp(min=0), n_classes).float() * known[..., None]
    if not reach:
        return one_hot
    sums = F.avg_pool1d(one_hot.transpose(1, 2), 2 * reach + 1, 1, reach).transpose(1, 2)
    return sums / sums.sum(-1, keepdim=True).clamp(min=1e-6)


def keypoint_loss(
    predicted: Keypoints,
    points: torch.Tensor,
    valid: torch.Tensor,
    over_all: OverAll,
    map_weight: float = 0.0,
) -> torch.Tensor:
    """The loss of `predicted` keypoints against `points` `(batch, time, keypoint, 2)`.

    It is the smooth L1 distance where a point is in the crop, plus a tenth of the cross entropy of
    whether it is, plus `map_weight` times the cross entropy of the heat map. `valid` `(batch,
    time)` is false beyond the recording; `over_all` as above.
    """
    # A window without any point comes from a recording without pose: it does not tell what is
    # visible.
    valid = valid & ~points.isnan().flatten(1).all(1, keepdim=True)
    present = ~points.isnan().any(-1) & valid[..., None]
    inside = present & (points.abs() <= 1).all(-1)
    places, visibility = predicted.places.float(), predicted.visibility.float()
    known = points.nan_to_num(0.0)
    loss = F.smooth_l1_loss(places, known, reduction="none", beta=_NEAR).sum(-1)
    if map_weight:
        # The distance alone is that of a mean, and a heat map spread over the whole mouse has the
        # right mean too: the left and the right ear would never separate.
        log = predicted.heat.float().flatten(3).log_softmax(-1)
        target = peaks(points, predicted.heat.shape[3:]).flatten(3)
        loss = loss - map_weight * (target * log).sum(-1)
    visible = F.binary_cross_entropy_with_logits(visibility, inside.float(), reduction="none")
    n_inside, n_valid = (over_all(mask.sum().float()).clamp(min=1e-6) for mask in (inside, valid))
    distance = (loss * inside).sum() / n_inside
    return distance + _VISIBILITY * (visible.mean(-1) * valid).sum() / n_valid


def peaks(points: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Heat maps `(..., rows, columns)` that sum to 1, each with a normal peak at one of the points.

    `points` `(..., 2)` are in the crop, from -1 to 1; `size` is the number of rows and columns.
    """
    sides = []
    for n, place in zip(size, (points[..., 1], points[..., 0]), strict=True):
        cells = (cell_centers(n, points.device) - place.nan_to_num(0.0)[..., None]) * (n / 2)
        sides.append((-0.5 * (cells / _PEAK) ** 2).softmax(-1))
    rows, columns = sides
    return rows[..., :, None] * columns[..., None, :]


def _unsteadiness(log: torch.Tensor, labels: torch.Tensor, over_all: OverAll) -> torch.Tensor:
    same = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] >= 0)
    change = (log[:, 1:] - log[:, :-1].detach()).abs().clamp(max=_STEP) ** 2
    return (change.mean(-1) * same).sum() / over_all(same.sum().float()).clamp(min=1e-6)
