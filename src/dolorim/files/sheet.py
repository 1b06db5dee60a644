"""Excel workbooks (.xlsx) as rows of text, as if the first sheet that holds anything had been saved as CSV."""

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
    """Rows that hold anything, as (row number, cells); cells behind a row's last one are empty text.

    Formulas give the value that was saved with them. Raises `UserError` for what is no workbook.
    """
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about drop-down lists and colors, which are not read
            workbook = load_workbook(path, read_only=True, data_only=True)
            try:
                sheets = [[*sheet.iter_rows(values_only=True)] for sheet in workbook.worksheets]
            finally:
                workbook.close()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, ParseError):
        raise UserError(f"{path}: not an Excel workbook that can be read; save it as CSV") from None
    for sheet in sheets:
        rows = [(number, [_text(cell) for cell in row]) for number, row in enumerate(sheet, 1)]
        filled = [(number, cells) for number, cells in rows if any(cells)]
        if filled:
            used = max(_width(cells) for _, cells in filled)
            yield from ((number, cells[:used]) for number, cells in filled)
            return


def _text(cell: object) -> str:
    """A cell as a person reads it: 267 and not 267.0, a day without midnight."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    return str(cell)


def _width(cells: list[str]) -> int:
    """Columns up to the last one that holds anything."""
    return max(i for i, cell in enumerate(cells, 1) if cell)
