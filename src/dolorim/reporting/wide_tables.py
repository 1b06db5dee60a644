"""Wide tables for Prism and Excel: a column per group, a row per animal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dolorim.core.errors import UserError
from dolorim.reporting.readouts import UNITS, write_tidy
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.wording import READOUT_LABELS, shown

FOLDER = "prism"
WORKBOOK = "readouts.xlsx"
_LONGEST_SHEET_NAME = 31  # that Excel takes
_NOT_IN_SHEET_NAMES = re.compile(r"[\[\]:*?/\\'\x00-\x1f]")
_CONTENTS = ["sheet", "behavior", "window", "read-out", "unit", "file"]


@dataclass(frozen=True)
class WideTable:
    """One read-out of one behavior in one window; `name` is that of its file."""

    name: str
    behavior: str
    window: str
    readout: str
    table: pd.DataFrame
    """The column `animal`, then one per group. Of latencies, these hold 1 (the behavior began) or
    0 (censored), and a column `latency_s` stands before them: Prism's table of survival."""


def wide_tables(results: StudyResults) -> list[WideTable]:
    """The read-outs of pain behaviors and movement, in the order of the page."""
    tables = results.tables["animals"]
    tables = tables[tables.behavior.isin(results.behaviors_in_focus)]
    order = [(b, w.name) for b in results.behaviors_in_focus for w in results.assay.windows]
    wide: list[WideTable] = []
    names: set[str] = set()
    for behavior, window in order:
        of_window = tables[(tables.behavior == behavior) & (tables.window == window)]
        for readout, cell in of_window.groupby("readout", sort=False):
            name = _file_name(f"{behavior}_{window}_{readout}", names)
            table = _wide(cell, results.observations.groups, readout)
            wide.append(WideTable(name, behavior, window, str(readout), table))
    return wide


def _file_name(text: str, taken: set[str]) -> str:
    """A name that every system takes, and that no other table has."""
    plain = re.sub(r"[^\w.+-]+", "_", text).strip("._") or "table"
    name, number = plain, 2
    while name.casefold() in taken:
        name, number = f"{plain}_{number}", number + 1
    taken.add(name.casefold())
    return name


def _wide(cell: pd.DataFrame, groups: Sequence[str], readout: str) -> pd.DataFrame:
    """A row per animal, control first; an animal with several sessions counts by their mean."""
    keys = ["animal", "group"]
    by_animal = cell.groupby(keys, sort=False).agg(value=("value", "mean"), event=("event", "min"))
    by_animal = by_animal.reset_index()
    place = by_animal.group.map({group: i for i, group in enumerate(groups)})
    by_animal = by_animal.loc[place.sort_values(kind="stable").index]
    if readout == "latency_s":
        # One animal in several groups has several times, so it gets a row for each.
        events = by_animal.pivot(columns="group", values="event").reindex(columns=list(groups))
        events = events.loc[by_animal.index]
        who = by_animal[["animal", "value"]].rename(columns={"value": "latency_s"})
        return pd.concat([who, events], axis=1)
    wide = by_animal.pivot(index="animal", columns="group", values="value")
    wide = wide.reindex(index=by_animal.animal.unique(), columns=list(groups))
    return wide.rename_axis(columns=None).reset_index()


def write_wide_tables(out: Path, tables: Sequence[WideTable]) -> None:
    """One CSV per table in the folder `prism`, and all of them in one workbook."""
    for wide in tables:
        write_tidy(out / FOLDER / f"{wide.name}.csv", wide.table)
    _write_workbook(out / WORKBOOK, tables)


def _write_workbook(path: Path, tables: Sequence[WideTable]) -> None:
    from openpyxl import Workbook  # takes a moment to import, and only a report needs it

    book = Workbook()
    contents = book.active
    contents.title = "contents"
    _append(contents, _CONTENTS)
    for number, wide in enumerate(tables, 1):
        title = _NOT_IN_SHEET_NAMES.sub(" ", f"{number} {shown(wide.behavior)}")
        sheet = book.create_sheet(title[:_LONGEST_SHEET_NAME])
        what = READOUT_LABELS.get(wide.readout, wide.readout)
        unit = UNITS.get(wide.readout, "")
        file = f"{FOLDER}/{wide.name}.csv"
        _append(contents, [sheet.title, wide.behavior, wide.window, what, unit, file])
        _append(sheet, list(wide.table.columns))
        for row in wide.table.itertuples(index=False):
            _append(sheet, list(row))
    part = path.with_name(f".{path.name}.part")
    try:
        book.save(part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        reason = error.strerror or error
        raise UserError(
            f"{path}: cannot be written ({reason}); close it in other programs"
        ) from None


def _append(sheet: Any, values: Sequence[object]) -> None:
    """A row at the end of a sheet; text is never a formula, and a missing value an empty cell."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    row = sheet.max_row + 1
    if row == 2 and sheet.cell(1, 1).value is None:
        row = 1
    for column, value in enumerate(values, 1):
        if value is None or value != value:
            continue
        cell = sheet.cell(row, column)
        if isinstance(value, str):
            cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)
            cell.data_type = "s"
        else:
            cell.value = value
