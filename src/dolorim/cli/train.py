"""`dolorim train`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from dolorim.cli.common import parse, settle, show_run, wait_politely, with_usual
from dolorim.config import AugmentConfig, DataConfig, ModelConfig, TrainConfig, read_config
from dolorim.core.errors import UserError
from dolorim.formats.project import with_project_files

_OTHER_WORDS = {"--backbone_type": "--visual", "--img_size": "--image_size", "--window": "--train_T"}


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
    quiet: bool = False


def run(arguments: list[str]) -> int:
    """`dolorim train APPROACH ...`"""
    from dolorim.presets import PRESETS, RECIPES

    if not arguments or arguments[0] not in PRESETS:
        raise UserError(f"usage: dolorim train {'|'.join(PRESETS)} --videos DIR --annotations DIR --run DIR")
    approach, arguments = arguments[0], _in_our_words(arguments)
    base = PRESETS[approach]
    recipe = _value_of("--recipe", arguments) or "default"
    if recipe not in RECIPES:
        raise UserError(f"--recipe {recipe}: there is no such recipe; there are {', '.join(RECIPES)}")
    for section, values in RECIPES[recipe].items():
        base = dataclasses.replace(base, **{section: dataclasses.replace(getattr(base, section), **values)})
    source = _value_of("--config", arguments)
    if source is not None:
        base = read_config(Path(source))
        if base.approach != approach:
            raise UserError(f"{source}: holds settings of {base.approach}, not of {approach}")
    parts = {name: getattr(base, name) for name in ("data", "model", "augment", "train")}
    given = parse(_Train, arguments[1:], f"dolorim train {approach}", default=_Train(run=tyro.MISSING, **parts))
    wait_politely()
    from dolorim.engine.crossval import cross_validate
    from dolorim.engine.run_folder import RunFolder
    from dolorim.engine.train import train as run_training

    settle(given.quiet)
    config = dataclasses.replace(
        base, data=with_project_files(given.data), model=given.model, augment=given.augment, train=given.train
    )
    if given.folds is None and given.leave_one_out is None:
        run = run_training(config, RunFolder(given.run))
    elif given.folds is not None and given.leave_one_out is not None:
        raise UserError("--folds and --leave_one_out both say how many folds there are; keep one of them")
    else:
        run = cross_validate(config, RunFolder(given.run), given.folds)
    show_run(run)
    return 0


def _in_our_words(arguments: Sequence[str]) -> list[str]:
    """The same command with flags that users know by other names under ours."""
    words = [
        word for argument in arguments for word in (argument.split("=", 1) if argument[:2] == "--" else [argument])
    ]
    words = ["--" + w[2:].replace("-", "_") if w[:2] == "--" else w for w in words]
    for i, word in enumerate(words):
        words[i] = _OTHER_WORDS.get(word, word)
        if word == "--model_type" and i + 1 < len(words) and words[i + 1] in ("action_only", "multitask"):
            words[i] = "--tasks"
    return with_usual(words, "--leave_one_out", "animal", lambda word: word == "animal")


def _value_of(flag: str, arguments: Sequence[str]) -> str | None:
    """The value of a flag that has to be known before the others can be read."""
    for word, following in zip(arguments, [*arguments[1:], None], strict=True):
        if word == flag:
            return following
        if word.startswith(flag + "="):
            return word.split("=", 1)[1]
    return None
