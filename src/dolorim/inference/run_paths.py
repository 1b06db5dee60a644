"""Where the study of a run lies, from whatever folder a command is called, and after a move.

`config.toml` holds absolute paths. `paths.json` holds the same paths relative to the run folder,
for a study that was moved, or copied to another computer, together with its runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dolorim.config import Config

Change = Callable[[str, Path], Path | None]


def with_absolute_paths(config: Config) -> Config:
    """The same settings with absolute paths; links are not followed."""
    return _with_paths(config, lambda name, path: _absolute(path))


def relative_paths(config: Config, run: Path) -> dict[str, str]:
    """The paths in the settings relative to the run folder, by `section.name`."""
    relative: dict[str, str] = {}

    def note(name: str, path: Path) -> Path:
        with contextlib.suppress(ValueError):  # on another drive there is no relative path
            relative[name] = Path(os.path.relpath(path, _absolute(run))).as_posix()
        return path

    _with_paths(config, note)
    return relative


def with_moved_paths(config: Config, run: Path, relative: Mapping[str, Any]) -> Config:
    """The same settings; a path that is not there is replaced by one that is, seen from `run`."""

    def find(name: str, path: Path) -> Path:
        if path.exists() or name not in relative:
            return path
        moved = _absolute(run / str(relative[name]))
        return moved if moved.exists() else path

    return _with_paths(config, find)


def without_paths(config: Config) -> Config:
    """The same settings without the paths of this machine, for somebody else."""
    config = _with_paths(config, lambda name, path: None)
    model = config.model
    weights = model.encoder_weights
    if weights not in ("hub", "random"):
        weights = Path(weights).name
    # Settings that name an encoder say that there is one; its weights are those of the run.
    encoder = Path(model.encoder).name
    model = dataclasses.replace(model, encoder=encoder, encoder_weights=weights)
    return dataclasses.replace(config, model=model)


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(Path.cwd() / path))


def _with_paths(config: Config, change: Change) -> Config:
    sections: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        section = getattr(config, field.name)
        if not dataclasses.is_dataclass(section) or isinstance(section, type):
            continue
        paths = {
            entry.name: change(f"{field.name}.{entry.name}", value)
            for entry in dataclasses.fields(section)
            if isinstance(value := getattr(section, entry.name), Path)
        }
        sections[field.name] = dataclasses.replace(section, **paths)
    return dataclasses.replace(config, **sections)
