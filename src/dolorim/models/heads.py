"""Heads: features `(batch, time, width)` to what a task wants."""

from __future__ import annotations

import torch
from torch import nn


class ActionHead(nn.Module):
    """A decision for every frame: `(batch, time, width)` -> logits `(batch, time, classes)`."""

    def __init__(self, width: int, hidden: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, n_classes)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layers(features)
