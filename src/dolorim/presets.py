"""The three approaches, as values: each puts together the same parts."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from dolorim.config import Config, read_config
from dolorim.core.errors import UserError
from dolorim.files.structured import explain

T = TypeVar("T")
_PLAIN = Config()

VIDEO = Config(approach="video")

# Longer windows than for video alone: the pose needs context, which costs once per window.
MULTIMODAL = Config(
    approach="multimodal",
    model=dataclasses.replace(_PLAIN.model, pose="full"),
    train=dataclasses.replace(_PLAIN.train, train_T=32, batch_size=8, lr=1e-3, epochs=60),
)

# Half a trial per window: the temporal network trains with about as much context as it later has.
MULTITASK = Config(
    approach="multitask",
    # 112 px is a multiple of the patch sizes of both transformers, 14 and 16 px.
    data=dataclasses.replace(_PLAIN.data, image_size=112),
    model=dataclasses.replace(_PLAIN.model, pose="full", temporal="tcn", tasks="multitask"),
    train=dataclasses.replace(
        _PLAIN.train, train_T=180, batch_size=2, lr=1e-3, epochs=100, early_stopping_patience=20
    ),
)

PRESETS = {c.approach: c for c in (VIDEO, MULTIMODAL, MULTITASK)}

# For comparison: the recipe of the original scripts, which corrects for rare classes in many ways
# at once.
_CLASSIC: dict[str, dict[str, Any]] = {
    "train": {
        "focal_gamma": 2.5,
        "label_smoothing": 0.1,
        "lambda_smooth": 0.15,
        "rare_threshold_share": 0.05,
        "rare_boost_cap": 30.0,
        "class_weights": "inverse",
        "class_weight_power": 1.0,
        "sampling": "frames",
        "lr": 5e-5,
        "weight_decay": 5e-2,
        "warmup_epochs": 2.0,
        "ema_decay": 0.999,
        "early_stopping_patience": 20,
        "min_frames": 345,
        "epochs": 50,
        "decoder": "argmax",
        "kp_frames": 0,
        "lambda_kp_map": 0.0,
    },
    "augment": {"kp_jitter_std": 0.02, "aug_temporal_drop": 0.05, "kp_hide": 0.0},
    "model": {"modality_dropout": 0.0},
    "data": {"kp_likelihood_thr": 0.9},
}

RECIPES: dict[str, dict[str, dict[str, Any]]] = {"default": {}, "classic": _CLASSIC}

# Small and quick, for the simulated study: it shows that everything works, not how well it works.
# A run that misses one of six classes has a macro-F1 of 5/6 at most, so 0.85 needs all of them.
DEMO = dataclasses.replace(
    VIDEO,
    data=dataclasses.replace(VIDEO.data, image_size=64),
    train=dataclasses.replace(VIDEO.train, epochs=8, stop_at_f1=0.85),
)

SECTIONS = ("data", "model", "augment", "train")


def starting_point(
    approach: str, recipe: str = "default", config_file: Path | None = None
) -> Config:
    """The settings that a run starts from: an approach's, changed by a recipe, or an earlier run's.

    Raises `UserError` for an unknown approach or recipe, and for settings of another approach.
    """
    if approach not in PRESETS:
        raise UserError(f"there is no approach {approach!r}; there are {', '.join(PRESETS)}")
    if recipe not in RECIPES:
        raise UserError(
            "there is no such recipe",
            where=f"--recipe {recipe}",
            remedy=f"there are {', '.join(RECIPES)}",
        )
    if config_file is not None:
        return _earlier_settings(config_file, approach, recipe)
    config = PRESETS[approach]
    for section, values in RECIPES[recipe].items():
        changed = dataclasses.replace(getattr(config, section), **values)
        config = dataclasses.replace(config, **{section: changed})
    return config


def _earlier_settings(config_file: Path, approach: str, recipe: str) -> Config:
    if recipe != "default":
        raise UserError(
            f"--config {config_file} and --recipe {recipe} both say where to start from",
            remedy="keep one of them",
        )
    config = read_config(config_file)
    if config.approach != approach:
        raise UserError(
            f"holds settings of {config.approach}, not of {approach}", where=config_file
        )
    return config


def with_settings(config: Config, settings: dict[str, Any]) -> Config:
    """The same settings with some changed, each given by the name of its flag (`epochs`, ...).

    Raises `UserError` for an unknown name, and for a value that the setting cannot have.
    """
    plain = dataclasses.asdict(config)
    section_of: dict[str, str] = {}
    for section in SECTIONS:
        section_of |= dict.fromkeys(plain[section], section)
    for name, value in settings.items():
        if name not in section_of:
            close = difflib.get_close_matches(name, section_of, 1)
            remedy = f"did you mean {close[0]}?" if close else ""
            raise UserError(f"there is no setting {name!r}", remedy=remedy)
        plain[section_of[name]][name] = value
    try:
        return TypeAdapter(Config).validate_python(plain)
    except ValidationError as error:
        # Users know settings by their flags, which have no section.
        where, _, problem = explain(error).partition(": ")
        raise UserError(f"{where.split('.')[-1]}: {problem}") from None


def options_of(
    kind: type[T],
    verb: str,
    settings: dict[str, Any],
    fixed: dict[str, Any] | None = None,
    also: Iterable[str] = (),
) -> T:
    """The options of a verb, from a user's settings and `fixed` values that no user sets by name.

    `also` are settings of the verb that are handled elsewhere. Raises `UserError` for an unknown
    name or an impossible value.
    """
    fixed = fixed or {}
    fields = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    known = fields - set(fixed)
    for name in settings:
        if name not in known:
            names = ", ".join(sorted({*known, *also}))
            raise UserError(f"{verb} has no setting {name!r}; there are {names}")
    try:
        return TypeAdapter(kind).validate_python({**settings, **fixed})
    except ValidationError as error:
        raise UserError(explain(error)) from None
