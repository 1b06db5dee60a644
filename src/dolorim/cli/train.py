"""`dolorim train`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from dolorim.cli.common import (
    check_targets,
    in_our_words,
    parse,
    settle,
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


@dataclass(frozen=True)
class _Train:
    """Learn behaviors from labelled videos. A run that was interrupted goes on when the same command is given again."""

    run: Path
    """Folder that the run is written to."""
    data: DataConfig
    model: ModelConfig
    augment: AugmentConfig
    train: TrainConfig
    config: Path | None = None
    """Settings of an earlier run (RUN/config.toml) to start from; flags still override them."""
    recipe: Literal["default", "classic"] = "default"
    """Settings to start from: ours, or those of the pipeline that went before; flags still override them."""
    folds: int | None = None
    """Cross-validate by animal in this many folds; all animals are scored, each by a network that has not seen it."""
    leave_one_out: Literal["animal"] | None = None
    """Cross-validate with as many folds as animals."""
    dry_run: bool = False
    """Print the resolved settings as TOML and stop, before anything is decoded or written."""
    quiet: bool = False
    verbose: bool = False
    """Also tell what helps a developer: the shapes of a batch."""


def run(arguments: list[str]) -> int:
    """`dolorim train APPROACH ...`"""
    from dolorim.presets import PRESETS, starting_point

    if arguments and arguments[0] in ("-h", "--help", "--help_all", "--help-all"):
        print(page_of("dolorim train"), end="")
        return 0
    if not arguments or arguments[0] not in PRESETS:
        raise UserError(
            f"usage: dolorim train {'|'.join(PRESETS)} --videos DIR --annotations DIR --run DIR"
        )
    approach, words = arguments[0], in_our_words(arguments)
    arguments = with_usual(words, "--leave_one_out", "animal", lambda word: word == "animal")
    recipe = value_of("--recipe", arguments) or "default"
    source = value_of("--config", arguments)
    base = starting_point(approach, recipe, None if source is None else Path(source))
    parts = {name: getattr(base, name) for name in ("data", "model", "augment", "train")}
    given = parse(
        _Train,
        arguments[1:],
        f"dolorim train {approach}",
        default=_Train(run=tyro.MISSING, **parts),
    )
    check_targets(given)
    check_folder(given.run, "--run")
    wait_politely()
    from dolorim.api import train_config

    settle(given.quiet, given.verbose)
    config = dataclasses.replace(
        base,
        data=with_study_files(given.data),
        model=given.model,
        augment=given.augment,
        train=given.train,
    )
    if given.dry_run:
        print(config_toml(config), end="")
        return 0
    run = train_config(config, given.run, given.folds, given.leave_one_out is not None).folder
    show_run(run)
    return 0
