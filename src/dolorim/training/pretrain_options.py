"""The settings of `dolorim pretrain`: each field is a flag, its docstring the flag's help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from dolorim.config import NotNegative, Positive


@dataclass(frozen=True)
class PretrainOptions:
    """How an encoder is learned from videos without labels."""

    continue_from: Path | None = None
    """Folder of an encoder whose weights training starts from."""
    steps: Positive = 250
    """Training steps; a longer training hardly needs more than 1000."""
    batch_size: Annotated[int, Field(ge=8)] = 96
    """Pairs of views per step."""
    within: NotNegative = 6
    """Frames that the two moments of a pair are at most apart."""
    lr: Annotated[float, Field(gt=0)] = 1e-3
    """Peak learning rate."""
    seed: NotNegative = 0
    """The same seed gives the same encoder."""
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
