"""The settings of `dolorim predict`: each field is a flag, and its docstring is the flag's help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dolorim.core.errors import UserError


@dataclass(frozen=True)
class PredictOptions:
    """How new videos are labeled. Raises `UserError` for settings that contradict each other."""

    overlay: bool = False
    """Also write a copy of each video with labels and probabilities drawn on it."""
    keypoints: bool = False
    """Also write the keypoints that a run of train multitask finds, in DeepLabCut's format."""
    body_length_px: float | None = None
    """Body length in these videos, where the run has a fixed one and the camera is another."""
    mask: str | None = None
    """Regions of these videos to blank, where they differ from those of the training videos."""
    abstain: float | None = None
    """Leave ambiguous frames open (None): those that could be of another class, or of none, at this
    error rate. Without a number: 0.1."""
    abstain_by: Path | None = None
    """A cross-validated run of the same recipe, whose held-out animals tell what is ambiguous;
    without it, RUN's own do."""
    overwrite: bool = True
    """--no_overwrite skips videos whose results are complete, to continue a stopped batch."""
    engine: Literal["local", "ray"] = "local"
    """local: this machine; ray: a Ray cluster, which must see the same files under the same
    names.
    """
    jobs: int | None = None
    """Workers that share the work, each with its own copy of the network: without it, 1 on this
    machine and as many as there is room for in a cluster. Long videos are divided among them."""
    address: str | None = None
    """Address of the Ray cluster (auto: the one that this machine belongs to); without it, a
    cluster is started here."""

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 1:
            raise UserError(f"--jobs {self.jobs}: expected 1 or more")
        if self.abstain_by is not None and self.abstain is None:
            raise UserError("--abstain_by names the run whose sets to use, and needs --abstain")
