"""Losses on frame-wise decisions. Each correction for rare classes is a knob of its own; one at a time is meant."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dolorim.config import TrainConfig

_MOST = 30.0  # a class is never weighted more than this many times another


def class_weights(shares: np.ndarray) -> np.ndarray:
    """Weights `(classes,)` inverse to the share of each class among drawn frames, mean 1 over drawn frames.

    Classes that were never drawn get 0.
    """
    present = shares > 0
    floor = shares.max() / _MOST
    weights = np.where(present, 1 / np.maximum(shares, floor), 0.0)
    return weights / (weights * shares).sum()


class FrameLoss(nn.Module):
    """Mean loss over labelled frames, from logits `(batch, time, classes)` and labels `(batch, time)`, -1 unlabelled.

    Focal: Lin et al. 2017. Logit adjustment: Menon et al. 2021, tau times the log share is added to the logits.
    """

    weights: torch.Tensor
    adjustment: torch.Tensor

    def __init__(self, config: TrainConfig, shares: np.ndarray) -> None:
        super().__init__()
        weights = class_weights(shares) if config.class_weights == "inverse" else np.ones_like(shares)
        adjustment = config.logit_adjustment * np.log(np.maximum(shares, 1e-4))
        self.register_buffer("weights", torch.as_tensor(weights, dtype=torch.float32), persistent=False)
        self.register_buffer("adjustment", torch.as_tensor(adjustment, dtype=torch.float32), persistent=False)
        self.gamma, self.smoothing = config.focal_gamma, config.label_smoothing

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        known = labels >= 0
        logits, labels = logits[known].float() + self.adjustment, labels[known]
        weights = self.weights[labels]
        loss = F.cross_entropy(logits, labels, reduction="none", label_smoothing=self.smoothing)
        if self.gamma:
            right = logits.log_softmax(-1).gather(-1, labels[:, None])[:, 0].exp()
            loss = loss * (1 - right) ** self.gamma
        return (loss * weights).sum() / weights.sum().clamp(min=1e-6)
