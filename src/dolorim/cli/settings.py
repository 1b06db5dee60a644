"""Flags for the settings that a verb reads, made from the fields of `Config`."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, TypeAlias, TypedDict, get_type_hints

import tyro

from dolorim.config import AugmentConfig, DataConfig, ModelConfig, TrainConfig

Settings: TypeAlias = dict[str, Any]
"""The settings that were given on the command line, by name; `presets.with_settings` applies
them.
"""


def settings_flags(*names: str) -> Any:
    """The annotation of a `Settings` argument that has a flag for each of these settings.

    A verb that has it reads no other settings, so flags of others are errors (`common.parse`).
    """
    flags = {name: _flag(name) for name in names}
    # Of a total=False TypedDict, the result holds only what was given.
    chosen = TypedDict("chosen", flags, total=False)  # type: ignore[misc]
    return tyro.conf.arg(constructor=chosen)


def settings_read_by(kind: type) -> set[str]:
    """The settings that the flags of a verb include; `kind` is the dataclass of its arguments."""
    names: set[str] = set()
    for name, hint in get_type_hints(kind, include_extras=True).items():
        names.add(name)
        if dataclasses.is_dataclass(hint):
            names |= {field.name for field in dataclasses.fields(hint)}
        # Settings that a verb reads are flags of a factory, which tyro calls for their names.
        for metadata in getattr(hint, "__metadata__", ()):
            factory = getattr(metadata, "constructor_factory", None)
            if factory is not None:
                names |= set(factory().__annotations__)
    return names


def all_settings() -> set[str]:
    """The names of all settings, of whatever section."""
    sections = (DataConfig, ModelConfig, AugmentConfig, TrainConfig)
    return {field.name for section in sections for field in dataclasses.fields(section)}


def _flag(name: str) -> Any:
    section: Any = DataConfig if name in DataConfig.__dataclass_fields__ else ModelConfig
    field = section.__pydantic_fields__[name]
    kind = get_type_hints(section, include_extras=True)[name]
    usual = "" if field.default in ("", None) else f"(default: {field.default})"
    return Annotated[kind, tyro.conf.arg(help=field.description, help_behavior_hint=usual)]
