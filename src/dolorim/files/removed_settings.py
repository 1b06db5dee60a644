"""Settings of earlier versions that this one does without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dolorim.core.errors import UserError

# The value that each setting always has now. No benchmark favored another one.
_REMOVED: dict[tuple[str, str], Any] = {
    ("model", "refine_stages"): 0,
    ("train", "optimizer"): "adamw",
    ("train", "grad_clip"): 1.0,
}


def drop_removed_settings(data: dict[str, Any], path: Path) -> None:
    """Take removed settings out of a run's settings, so that runs of earlier versions can be read.

    Raises `UserError` for a value that this version cannot have.
    """
    for (section, name), value in _REMOVED.items():
        table = data.get(section)
        if isinstance(table, dict) and table.pop(name, value) != value:
            raise UserError(
                f"{section}.{name}: this version knows only {value}",
                where=path,
                remedy="train again, or use version 0.1.0",
            )
