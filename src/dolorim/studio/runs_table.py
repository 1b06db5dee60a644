"""The runs of a study side by side, as far as their files tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dolorim.core.errors import UserError
from dolorim.files.structured import read_json, read_toml
from dolorim.studio.home import StudioHome


@dataclass(frozen=True)
class ShownRun:
    """A run: what decides in it, and how well on which animals. Scores are text, empty if unknown.

    `split` says which animals were scored: those of the test, or those that chose the best epoch.
    """

    name: str
    folder: Path
    approach: str = ""
    is_finished: bool = False
    split: str = ""
    n_animals: int = 0
    macro_f1: str = ""
    indicator: str = ""
    indicator_f1: str = ""
    frames: int = 0


def list_runs(home: StudioHome) -> list[ShownRun]:
    """All runs, the newest first."""
    return [_shown(folder) for folder in reversed(home.all_runs())]


def _shown(folder: Path) -> ShownRun:
    approach = _approach(folder)
    try:
        metrics = read_json(folder / "metrics.json")
        split = next(name for name in ("test", "val") if name in metrics)
        scores: Mapping[str, Any] = metrics[split]
        name = _indicator(folder)
        per_class = scores.get("per_class", {}).get(name, {})
        return ShownRun(
            name=folder.name,
            folder=folder,
            approach=approach,
            is_finished=True,
            split=split,
            n_animals=len(scores.get("animals", [])),
            macro_f1=_score(scores.get("macro_f1")),
            indicator=name,
            indicator_f1=_score(per_class.get("f1")),
            frames=int(scores.get("frames", 0)),
        )
    except (UserError, StopIteration, TypeError, AttributeError, ValueError):
        # It has not finished, or its files were changed by somebody else.
        return ShownRun(folder.name, folder, approach)


def _approach(folder: Path) -> str:
    try:
        approach = str(read_toml(folder / "config.toml").get("approach", ""))
        heads = read_json(folder / "head.json") if (folder / "head.json").is_file() else {}
    except UserError:
        return ""
    if isinstance(heads, dict) and heads.get("heads"):
        approach += f" ({', '.join(map(str, heads['heads']))})"
    return approach


def _indicator(folder: Path) -> str:
    try:
        return str(read_toml(folder / "ethogram.toml").get("indicator", ""))
    except UserError:
        return ""


def _score(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else ""
