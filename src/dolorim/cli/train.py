"""`dolorim train`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from dolorim.cli.common import (
    canonical,
    check_targets,
    parse,
    set_verbosity,
    show_run,
    value_of,
    wait_politely,
    with_usual,
)
from dolorim.cli.short_help import page_of
from dolorim.config import AugmentConfig, DataConfig, ModelConfig, TrainConfig, config_toml
from dolorim.core.errors import UserError
from dolorim.dataset.study import with_study_files
from dolorim.files.targets import check_folder
from dolorim.presets import PRESETS, SECTIONS, starting_point


@dataclass(frozen=True)
class _Train:
    """Learn behaviors from labeled videos. The same command continues a run that was
    interrupted.
    """

    run: Path
    """Folder that the run is written to."""
    data: DataConfig
    model: ModelConfig
    augment: AugmentConfig
    train: TrainConfig
    config: Path | None = None
    """Settings of an earlier run (RUN/config.toml) to start from; flags override them."""
    recipe: Literal["default", "classic"] = "default"
    """Settings to start from: default, or those of the classic pipeline; flags override them."""
    folds: int | None = None
    """Cross-validate by animal in this many folds: each animal is scored by a network that was not
    trained on it."""
    leave_one_out: Literal["animal"] | None = None
    """Cross-validate with as many folds as animals."""
    dry_run: bool = False
    """Print the resolved settings as TOML and stop, before anything is decoded or written."""
    quiet: bool = False
    """Print warnings and errors only."""
    verbose: bool = False
    """Also print what helps a developer: the shapes of a batch."""


def run(arguments: list[str]) -> int:
    """`dolorim train APPROACH ...`"""
    if arguments and arguments[0] in ("-h", "--help", "--help_all", "--help-all"):
        print(page_of("dolorim train"), end="")
        return 0
    if not arguments or arguments[0] not in PRESETS:
        raise UserError(
            f"usage: dolorim train {'|'.join(PRESETS)} --videos DIR --annotations DIR --run DIR"
        )
    approach, words = arguments[0], canonical(arguments[1:])
    words = with_usual(words, "--leave_one_out", "animal", lambda word: word == "animal")
    # These two decide which values the other flags have by default.
    recipe = value_of("--recipe", words) or "default"
    source = value_of("--config", words)
    base = starting_point(approach, recipe, None if source is None else Path(source))
    sections = {name: getattr(base, name) for name in SECTIONS}
    default = _Train(run=tyro.MISSING, **sections)
    given = parse(_Train, words, f"dolorim train {approach}", default)
    check_targets(given)
    check_folder(given.run, "--run")
    wait_politely()
    from dolorim import api

    set_verbosity(given.quiet, given.verbose)
    # The dataclass of the flags holds the sections of the settings unchanged.
    sections = {name: getattr(given, name) for name in SECTIONS}
    config = dataclasses.replace(base, **sections)
    config = dataclasses.replace(config, data=with_study_files(config.data))
    if given.dry_run:
        print(config_toml(config), end="")
        return 0
    run = api.train_config(config, given.run, given.folds, given.leave_one_out is not None)
    show_run(run.folder)
    return 0
