"""Quick heads: classifiers of single frames that scikit-learn fits in seconds, as plain tensors.

Nothing is unpickled: a linear head is its coefficients, boosted trees are the arrays of their
nodes. Both take columns `(time, columns)`, NaN where missing, and return log probabilities
`(time, classes)` float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import nn

MOST_DEVIATIONS = 5.0  # standard deviations at which a column is cut off
_SLICE = 256  # frames that go through the trees at a time


@dataclass(frozen=True)
class LinearArrays:
    """A multinomial logistic regression on standardized columns.

    `mean` and `std` `(columns,)` are those of the known training values; a missing value counts as
    the mean. `coefficients` `(classes, columns + masked)`, where `masked` `(masked,)` are the
    columns whose being missing is a column of its own. `intercept` is `(classes,)`.
    """

    mean: np.ndarray
    std: np.ndarray
    masked: np.ndarray
    coefficients: np.ndarray
    intercept: np.ndarray


@dataclass(frozen=True)
class TreeArrays:
    """Boosted trees: the nodes of all trees one after the other, `(nodes,)` each.

    A node sends a frame to `left` where its `feature` is at most `threshold`, or where it is
    missing and `missing_left`; otherwise to `right`. A leaf leads to itself. `roots`
    `(rounds, classes)` are the first nodes, and `baseline` `(classes,)` is what the values of the
    leaves are added to. `depth` `()` is that of the deepest tree.
    """

    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    roots: np.ndarray
    baseline: np.ndarray
    depth: np.ndarray


Arrays = LinearArrays | TreeArrays


class _FromArrays(nn.Module):
    """A module whose buffers are the fields of a dataclass of arrays."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        for field in fields(arrays):
            self.register_buffer(
                field.name, torch.from_numpy(np.array(getattr(arrays, field.name)))
            )


class LinearHead(_FromArrays):
    """See `LinearArrays`."""

    mean: torch.Tensor
    std: torch.Tensor
    masked: torch.Tensor
    coefficients: torch.Tensor
    intercept: torch.Tensor

    def forward(self, columns: torch.Tensor) -> torch.Tensor:
        inputs = standardized(columns.double(), self.mean, self.std, self.masked)
        return (inputs @ self.coefficients.T + self.intercept).log_softmax(-1)


def standardized(
    columns: torch.Tensor, mean: torch.Tensor, std: torch.Tensor, masked: torch.Tensor
) -> torch.Tensor:
    """What the linear head multiplies: standardized columns, then which of `masked` are missing."""
    scaled = ((columns - mean) / std).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)
    missing = columns[:, masked].isnan().to(columns.dtype)
    return torch.cat([scaled.nan_to_num(0.0), missing], 1)


class TreesHead(_FromArrays):
    """See `TreeArrays`."""

    feature: torch.Tensor
    threshold: torch.Tensor
    missing_left: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor
    value: torch.Tensor
    roots: torch.Tensor
    baseline: torch.Tensor
    depth: torch.Tensor

    def forward(self, columns: torch.Tensor) -> torch.Tensor:
        parts = [self._scores(part) for part in torch.split(columns.double(), _SLICE)]
        return torch.cat(parts).log_softmax(-1)

    def _scores(self, columns: torch.Tensor) -> torch.Tensor:
        """All trees step down side by side, because a step is the same for all of them."""
        rounds, classes = self.roots.shape
        nodes = self.roots.flatten().expand(len(columns), -1)
        for _ in range(int(self.depth)):
            values = columns.gather(1, self.feature[nodes])
            goes_left = (values <= self.threshold[nodes]) | (
                values.isnan() & self.missing_left[nodes]
            )
            nodes = torch.where(goes_left, self.left[nodes], self.right[nodes])
        return self.value[nodes].view(-1, rounds, classes).sum(1) + self.baseline


QuickHead = LinearHead | TreesHead
KINDS: Mapping[str, tuple[type[LinearHead] | type[TreesHead], type[Arrays]]] = {
    "linear": (LinearHead, LinearArrays),
    "trees": (TreesHead, TreeArrays),
}
