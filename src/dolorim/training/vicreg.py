"""VICReg: features that agree between two views, vary over a batch, and do not repeat each other.

Bardes, Ponce and LeCun (2022), Variance-Invariance-Covariance Regularization for Self-Supervised
Learning, arXiv:2105.04906; the weights of the three terms are those of the paper.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

_INVARIANCE, _VARIANCE, _COVARIANCE = 25.0, 25.0, 1.0


def projector(width: int) -> nn.Sequential:
    """Layers between the features and the loss, which are dropped after training."""
    return nn.Sequential(
        nn.Linear(width, width, bias=False),
        nn.BatchNorm1d(width),
        nn.ReLU(inplace=True),
        nn.Linear(width, width),
    )


def vicreg_loss(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The loss of two views `(batch, width)` of the same moments, row by row."""
    invariance = F.mse_loss(first, second)
    pairs = [(_variance(view), _covariance(view)) for view in (first, second)]
    variance = sum(v for v, _ in pairs) / 2
    covariance = sum(c for _, c in pairs)
    return _INVARIANCE * invariance + _VARIANCE * variance + _COVARIANCE * covariance


def share_matched(first: torch.Tensor, second: torch.Tensor) -> float:
    """How many views of a batch find their own partner among all partners, from 0 to 1."""
    similar = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T
    own = torch.arange(len(first), device=first.device)
    return float((similar.argmax(1) == own).float().mean())


def _variance(view: torch.Tensor) -> torch.Tensor:
    """How far standard deviations fall short of 1."""
    return F.relu(1 - (view.var(0) + 1e-4).sqrt()).mean()


def _covariance(view: torch.Tensor) -> torch.Tensor:
    """Squared covariances between different features."""
    centered = view - view.mean(0)
    squares = (centered.T @ centered / (len(view) - 1)) ** 2
    return (squares.sum() - squares.diagonal().sum()) / view.shape[1]
