"""Which heads of a run decide, and their weights in its folder.

`head.json` says how much each head's log probabilities count: the network's, and those of quick
heads. The tensors of quick heads stand in `model.safetensors` beside the network's, under `quick.`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.models.build import build_quick
from dolorim.models.quick import QuickRecognizer
from dolorim.models.quick_heads import KINDS, Arrays, QuickHead, TreeArrays
from dolorim.pose.pose import Skeleton

PREFIX = "quick."
NETWORK = "network"
_DEEPEST = 1000


@dataclass(frozen=True)
class Head:
    """What decides in a run: shares by the name of a head (`network`, `linear`, `trees`).

    Shares add up to 1. `why` says in a sentence how they were chosen, and `scores` holds what was
    compared.
    """

    shares: Mapping[str, float] = field(default_factory=lambda: {NETWORK: 1.0})
    why: str = ""
    scores: tuple[dict[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """The heads that decide, with their shares where there are several."""
        deciding = {name: share for name, share in self.shares.items() if share > 0}
        if len(deciding) == 1:
            return next(iter(deciding))
        return " + ".join(f"{share:.2g} {name}" for name, share in deciding.items())

    @property
    def quick_shares(self) -> dict[str, float]:
        """Shares of the quick heads among themselves."""
        quick = {k: v for k, v in self.shares.items() if k != NETWORK and v > 0}
        total = sum(quick.values())
        return {name: share / total for name, share in quick.items()}

    def to_dict(self) -> dict[str, Any]:
        return {"shares": dict(self.shares), "why": self.why, "scores": list(self.scores)}

    @classmethod
    def from_dict(cls, data: Any, where: Path) -> Head:
        """Read `to_dict` back. Raises `UserError` for anything else."""
        shares = data.get("shares") if isinstance(data, dict) else None
        known = {NETWORK, *KINDS}
        if not isinstance(shares, dict) or not shares or not known.issuperset(shares):
            raise UserError(f"{where}: expected shares of {', '.join(sorted(known))}")
        values = list(shares.values())
        numbers = all(isinstance(v, int | float) and 0 <= v <= 1 for v in values)
        if not numbers or abs(sum(values) - 1) > 1e-3:
            raise UserError(f"{where}: expected shares from 0 to 1 that add up to 1, got {values}")
        return cls(shares, str(data.get("why", "")), tuple(data.get("scores", ())))


def quick_tensors(model: QuickRecognizer) -> dict[str, torch.Tensor]:
    """The tensors of a quick recognizer as `model.safetensors` holds them."""
    return {f"{PREFIX}{name}": tensor for name, tensor in model.state_dict().items()}


def quick_from(
    tensors: Mapping[str, torch.Tensor],
    head: Head,
    config: Config,
    skeleton: Skeleton,
    n_classes: int,
    where: Path,
) -> QuickRecognizer:
    """The quick recognizer whose tensors are `quick.*`.

    Raises `UserError` for tensors that do not fit the settings, or each other.
    """
    own = {k.removeprefix(PREFIX): v for k, v in tensors.items() if k.startswith(PREFIX)}
    lengths = _windows_in(own, where)
    shares = head.quick_shares
    columns = build_quick(config, skeleton).width * (1 + len(lengths))
    heads: dict[str, QuickHead] = {}
    for name in shares:
        head_class, arrays_class = KINDS[name]
        arrays = _arrays(arrays_class, name, own, where)
        _refuse_other_sizes(arrays, columns, n_classes, where)
        heads[name] = head_class(arrays)
    model = build_quick(config, skeleton, lengths, heads, list(shares.values()))
    wanted = model.state_dict()
    if wanted.keys() != own.keys() or any(wanted[k].shape != own[k].shape for k in wanted):
        raise UserError(f"{where}: its quick heads do not fit config.toml; copy the run again")
    model.load_state_dict(own)
    return model


def _windows_in(tensors: Mapping[str, torch.Tensor], where: Path) -> list[int]:
    """The lengths of the windows in frames. Raises `UserError` where they are none."""
    windows = tensors.get("windows")
    if windows is None or windows.dim() != 1 or windows.dtype != torch.int64:
        raise UserError(f"{where}: lacks the quick heads that head.json names; train again")
    lengths: list[int] = windows.tolist()
    if not all(1 <= length <= 1 << 20 for length in lengths):
        raise UserError(f"{where}: windows of {lengths} frames; copy the run folder again")
    return lengths


def _arrays(
    kind: type[Arrays], name: str, tensors: Mapping[str, torch.Tensor], where: Path
) -> Arrays:
    by_name = {}
    for one in fields(kind):
        key = f"heads.{name}.{one.name}"
        if key not in tensors:
            raise UserError(f"{where}: lacks {PREFIX}{key}; copy the run folder again")
        by_name[one.name] = tensors[key].numpy()
    return kind(**by_name)


def _refuse_other_sizes(arrays: Arrays, columns: int, n_classes: int, where: Path) -> None:
    if not _fits(arrays, columns, n_classes):
        raise UserError(
            f"{where}: its quick head does not fit {columns} columns and {n_classes} classes; "
            "copy the run folder again, or train again"
        )


def _fits(arrays: Arrays, columns: int, n_classes: int) -> bool:
    if isinstance(arrays, TreeArrays):
        return _trees_fit(arrays, columns, n_classes)
    width = (n_classes, columns + arrays.masked.size)
    shapes = arrays.mean.shape == arrays.std.shape == (columns,)
    shapes = shapes and arrays.coefficients.shape == width
    shapes = shapes and arrays.intercept.shape == (n_classes,)
    return bool(shapes and _within(arrays.masked, columns))


def _trees_fit(arrays: TreeArrays, columns: int, n_classes: int) -> bool:
    if not _shapes_fit(arrays, n_classes) or not 0 <= int(arrays.depth) <= _DEEPEST:
        return False
    n_nodes = len(arrays.value)
    goes_to = (arrays.left, arrays.right, arrays.roots)
    return _within(arrays.feature, columns) and all(_within(a, n_nodes) for a in goes_to)


def _shapes_fit(arrays: TreeArrays, n_classes: int) -> bool:
    nodes = arrays.value.shape
    by_node = (arrays.feature, arrays.threshold, arrays.missing_left, arrays.left, arrays.right)
    if len(nodes) != 1 or any(array.shape != nodes for array in by_node):
        return False
    if arrays.roots.ndim != 2 or arrays.roots.shape[1] != n_classes:
        return False
    return arrays.baseline.shape == (n_classes,) and arrays.depth.shape == ()


def _within(indices: np.ndarray, size: int) -> bool:
    if indices.dtype != np.int64:
        return False
    return indices.size == 0 or bool(indices.min() >= 0 and indices.max() < size)
