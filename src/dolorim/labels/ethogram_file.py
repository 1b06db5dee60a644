"""Ethograms as files: `classes.csv` (`id,name[,merged][,type]`) and `ethogram.toml`.

A behavior that is merged into `none` is left out: its frames are unlabeled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from dolorim.core.errors import UserError
from dolorim.files.structured import read_toml
from dolorim.files.tables import read_table, write_text
from dolorim.labels.ethogram import PAIN, Ethogram, RawClass, means_unlabelled

_LEFT_OUT = "none"
# Larger ids are damage, or no ids at all.
_MOST_DIGITS = 9
_LARGEST_ID = 10**_MOST_DIGITS - 1
_KEYS = {"classes", "indicator", "background", "points", "raw"}
_POINT = ("point", "point event")  # what BORIS calls it, too
_RAW_KEYS = {"id", "name", "merged"}


def read_ethogram(path: Path) -> Ethogram:
    """Read an ethogram from TOML or a table.

    Raises `UserError` for an unknown key, and for a missing or invalid entry.
    """
    if path.suffix.casefold() == ".toml":
        return _from_toml(path)
    return _from_table(path)


def given_ethogram(path: Path | None) -> Ethogram:
    """The ethogram of a file, or the built-in one if there is no file."""
    if path is None:
        return PAIN
    return read_ethogram(path)


def write_ethogram(path: Path, ethogram: Ethogram) -> None:
    """Write TOML that `read_ethogram` reads back to an equal ethogram."""
    data: dict[str, Any] = {"classes": list(ethogram.classes)}
    if ethogram.indicator:
        data["indicator"] = ethogram.indicator
    data["background"] = list(ethogram.background)
    if ethogram.points:
        data["points"] = list(ethogram.points)
    data["raw"] = [
        {"id": raw.id, "name": raw.name, "merged": raw.merged or _LEFT_OUT} for raw in ethogram.raw
    ]
    write_text(path, tomli_w.dumps(data))


def _from_toml(path: Path) -> Ethogram:
    data = read_toml(path)
    unknown = set(data) - _KEYS
    if unknown:
        known = ", ".join(sorted(_KEYS))
        raise UserError(f"{path}: unknown key {sorted(unknown)[0]!r}; known are {known}")
    classes = data.get("classes", [])
    raw = _raw_classes(path, data.get("raw", []), classes)
    indicator, background = data.get("indicator"), data.get("background", [])
    points = data.get("points", [])
    if not _are_names(background) or not _are_names(points):
        raise UserError(f'{path}: expected background = ["..."] and points = ["..."]')
    if not isinstance(indicator, str | None):
        raise UserError(f'{path}: expected indicator = "..."')
    names = tuple(classes) or _merged_names(raw)
    return _checked(path, raw, names, indicator, tuple(background), tuple(points))


def _raw_classes(path: Path, rows: Any, classes: Any) -> tuple[RawClass, ...]:
    """The behaviors in the [[raw]] tables of a TOML file with these `classes`."""
    has_tables = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    if not _are_names(classes) or not has_tables:
        raise UserError(
            f'{path}: expected classes = ["..."] and [[raw]] tables with id, name and merged'
        )
    if not rows:  # the short form: names alone, counted from 0
        rows = [{"id": i, "name": name} for i, name in enumerate(classes)]
    return tuple(_raw_class(path, row) for row in rows)


def _raw_class(path: Path, row: dict[str, Any]) -> RawClass:
    raw_id, name = row.get("id"), row.get("name")
    merged = row.get("merged", name)
    # `True` is an instance of int, but no id.
    is_id = type(raw_id) is int and abs(raw_id) <= _LARGEST_ID
    if not set(row) <= _RAW_KEYS or not is_id or not _are_names([name, merged]):
        raise UserError(
            f"{path}: expected a [[raw]] table with id (a number), name and merged, found {row}"
        )
    merged_name = None if means_unlabelled(str(merged)) else str(merged)
    return RawClass(int(raw_id or 0), str(name), merged_name)


def _from_table(path: Path) -> Ethogram:
    table = read_table(path)
    id_column = table.column("id", "raw_id")
    name_column = table.column("name", "class", "behavior", "behaviour")
    merged_column = table.column("merged", "merged_name", "merged_class")
    type_column = table.column("type", "behavior type", "behaviour type")
    if id_column is None or name_column is None:
        raise UserError(
            f"{path}: expected the columns id,name[,merged], found {', '.join(table.header)}"
        )
    raw = []
    kinds: list[bool] = []  # whether each behavior is a point event
    for line, row in zip(table.lines, table.rows, strict=True):
        raw_id, name = row[id_column], row[name_column]
        if not raw_id.isdecimal() or len(raw_id) > _MOST_DIGITS or not name:
            raise UserError(
                f"{path}, line {line}: expected a number and a name, found {raw_id!r}, {name!r}"
            )
        merged = "" if merged_column is None else row[merged_column]
        raw.append(RawClass(int(raw_id), name, _merged_name(name, merged)))
        kind = "" if type_column is None else row[type_column]
        kinds.append(kind.strip().casefold() in _POINT)
    return _checked(path, tuple(raw), _merged_names(raw), None, (), _points_among(raw, kinds))


def _points_among(raw: Sequence[RawClass], kinds: Sequence[bool]) -> tuple[str, ...]:
    """The classes into which only point events are merged; `kinds` tells which behaviors are."""
    lasting = {r.merged for r, is_point in zip(raw, kinds, strict=True) if not is_point}
    return tuple(name for name in _merged_names(raw) if name not in lasting)


def _merged_name(name: str, cell: str) -> str | None:
    """The class that a behavior is merged into, as the cell of a table says it; None for none."""
    merged = cell or name  # an empty cell merges nothing
    if merged != name and means_unlabelled(merged):
        return None
    return merged


def _merged_names(raw: Sequence[RawClass]) -> tuple[str, ...]:
    """The classes of some behaviors, in order of their first behavior."""
    names = [behavior.merged for behavior in raw if behavior.merged is not None]
    return tuple(dict.fromkeys(names))


def _checked(
    path: Path,
    raw: tuple[RawClass, ...],
    names: tuple[str, ...],
    indicator: str | None,
    background: tuple[str, ...],
    points: tuple[str, ...],
) -> Ethogram:
    """An ethogram; its `UserError`s name the file."""
    try:
        return Ethogram(raw, names, indicator, background, points)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _are_names(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(v, str) and v for v in values)
