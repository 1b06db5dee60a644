"""Excel workbooks (.xlsx) as rows of text, as if the first filled sheet had been saved as CSV."""

from __future__ import annotations

import datetime
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import ParseError

from dolorim.core.errors import UserError

SHEETS = (".xlsx", ".xlsm")


def read_sheet(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, as (row number, cells), padded with empty text to one width.

    A formula gives the value that was saved with it. Raises `UserError` for what is not a workbook.
    """
    for sheet in _sheets(path):
        rows = [(number, [*map(_text, row)]) for number, row in sheet]
        filled = [(number, cells) for number, cells in rows if any(cells)]
        if filled:
            used = max(_width(cells) for _, cells in filled)
            yield from ((number, cells[:used]) for number, cells in filled)
            return


def _sheets(path: Path) -> list[list[tuple[int, tuple[object, ...]]]]:
    """The rows of each sheet, numbered from 1."""
    # Imported here because few studies have workbooks, and every command reads tables.
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings():
            # openpyxl warns of drop-down lists and colors that it does not read.
            warnings.simplefilter("ignore")
            workbook = load_workbook(path, read_only=True, data_only=True)
            try:
                return [
                    list(enumerate(sheet.iter_rows(values_only=True), 1))
                    for sheet in workbook.worksheets
                ]
            finally:
                workbook.close()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=path) from None
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, ParseError):
        raise UserError(
            "not an Excel workbook that can be read", where=path, remedy="save it as CSV"
        ) from None


def _text(cell: object) -> str:
    """A cell as a person reads it: 267 instead of 267.0, and a date without 00:00:00."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    return str(cell)


def _width(cells: list[str]) -> int:
    """The number of columns up to the last filled cell."""
    return max(i for i, cell in enumerate(cells, 1) if cell)
