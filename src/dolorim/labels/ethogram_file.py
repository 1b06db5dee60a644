"""Ethograms as files: `classes.csv` (`id,name[,merged]`) and `ethogram.toml`.

A behavior that is merged into `none` is left out: its frames are unlabelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from dolorim.core.errors import UserError
from dolorim.files.structured import read_toml
from dolorim.files.tables import read_table, write_text
from dolorim.labels.ethogram import Ethogram, RawClass, means_unlabelled

_LEFT_OUT = "none"
_MOST = 10**9  # ids beyond are damage, or no ids
_KEYS = {"classes", "indicator", "background", "raw"}


def read_ethogram(path: Path) -> Ethogram:
    """Read an ethogram from TOML or a table. Raises `UserError` for an unknown key, a missing or a doubtful entry."""
    return _from_toml(path) if path.suffix.casefold() == ".toml" else _from_table(path)


def write_ethogram(path: Path, ethogram: Ethogram) -> None:
    """Write TOML that `read_ethogram` reads back to an equal ethogram."""
    data = {
        "classes": list(ethogram.classes),
        **({"indicator": ethogram.indicator} if ethogram.indicator else {}),
        "background": list(ethogram.background),
        "raw": [
            {"id": r.id, "name": r.name, "merged": r.merged or _LEFT_OUT} for r in ethogram.raw
        ],
    }
    write_text(path, tomli_w.dumps(data))


def _from_toml(path: Path) -> Ethogram:
    data = read_toml(path)
    unknown = set(data) - _KEYS
    if unknown:
        raise UserError(
            f"{path}: unknown key {sorted(unknown)[0]!r}; known are {', '.join(sorted(_KEYS))}"
        )
    rows = data.get("raw", [])
    classes = data.get("classes", [])
    if (
        not _strings(classes)
        or not isinstance(rows, list)
        or not all(isinstance(r, dict) for r in rows)
    ):
        raise UserError(
            f'{path}: expected classes = ["..."] and [[raw]] tables with id, name and merged'
        )
    if not rows:  # the short form: names alone, counted from 0
        rows = [{"id": i, "name": n} for i, n in enumerate(classes)]
    raw = tuple(_raw_class(path, row) for row in rows)
    names = tuple(classes) or _merged(raw)
    indicator, background = data.get("indicator"), data.get("background", [])
    if not _strings(background) or not isinstance(indicator, str | None):
        raise UserError(f'{path}: expected indicator = "..." and background = ["..."]')
    return _checked(path, raw, names, indicator, tuple(background))


def _raw_class(path: Path, row: dict[str, Any]) -> RawClass:
    ident, name = row.get("id"), row.get("name")
    merged = row.get("merged", name)
    is_id = type(ident) is int and abs(ident) < _MOST
    if set(row) - {"id", "name", "merged"} or not is_id or not _strings([name, merged]):
        raise UserError(
            f"{path}: expected a [[raw]] table with id (a number), name and merged, found {row}"
        )
    return RawClass(
        int(ident or 0), str(name), None if means_unlabelled(str(merged)) else str(merged)
    )


def _from_table(path: Path) -> Ethogram:
    table = read_table(path)
    ident, name = (
        table.column("id", "raw_id"),
        table.column("name", "class", "behavior", "behaviour"),
    )
    merged = table.column("merged", "merged_name", "merged_class")
    if ident is None or name is None:
        raise UserError(
            f"{path}: expected the columns id,name[,merged], found {', '.join(table.header)}"
        )
    raw = []
    for line, row in zip(table.lines, table.rows, strict=True):
        if not row[ident].isdecimal() or len(row[ident]) > 9 or not row[name]:
            raise UserError(
                f"{path}, line {line}: expected a number and a name, found {row[ident]!r}, {row[name]!r}"
            )
        learned = (row[merged] if merged is not None else "") or row[
            name
        ]  # an empty cell merges nothing
        left_out = learned != row[name] and means_unlabelled(learned)
        raw.append(RawClass(int(row[ident]), row[name], None if left_out else learned))
    return _checked(path, tuple(raw), _merged(raw), None, ())


def _merged(raw: Sequence[RawClass]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(r.merged for r in raw if r.merged is not None))


def _checked(
    path: Path,
    raw: tuple[RawClass, ...],
    names: tuple[str, ...],
    indicator: str | None,
    background: tuple[str, ...],
) -> Ethogram:
    try:
        return Ethogram(raw, names, indicator, background)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _strings(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(v, str) and v for v in values)
