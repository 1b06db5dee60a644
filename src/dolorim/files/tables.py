"""Small tables as spreadsheets save them: CSV of any usual dialect and encoding, or .xlsx."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dolorim.core.errors import UserError
from dolorim.files.sheet import SHEETS, read_sheet

# What a spreadsheet would compute, or such a text with the mark that `write_table` puts in front.
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(,\d{3})+")  # or decimals, for all anybody knows
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_BEGINNINGS = frozenset("'=+-@\t\r")  # of a formula
# The first line that Excel writes and reads to name the delimiter.
_SEP = re.compile(r'"?sep=(?P<delimiter>.)"?[;,\t|]*', re.IGNORECASE)
_DELIMITERS = ",;\t|"
_HEAD = 1 << 18  # bytes that are read to tell what a file is
HEADER_WITHIN = 200  # lines in which a header is looked for

Row = tuple[int, list[str]]  # the line number, counted from 1, and the cells
IsHeader = Callable[[Sequence[str]], bool]


@dataclass(frozen=True)
class Table:
    """Cells as text. `lines[i]` is the line number of row i in the file, counted from 1."""

    path: Path
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    def column(self, *names: str) -> int | None:
        """Index of the column with the first of these names that exists, regardless of case."""
        header = [h.casefold() for h in self.header]
        return next((header.index(n) for n in names if n in header), None)


def read_table(path: Path) -> Table:
    """Read a table with one header line.

    Raises `UserError` for an empty file, and for a row with too few cells.
    """
    header, rows = read_rows(path)
    lines, cells = [], []
    for line, row in rows:
        lines.append(line)
        cells.append(row)
    return Table(path, header, cells, lines)


def read_rows(path: Path) -> tuple[tuple[str, ...], Iterator[Row]]:
    """The header of a table, and its rows one by one, for long tables.

    Raises `UserError` for an empty file and, while reading, for a row with too few cells.
    """
    rows = filled_rows(path)
    try:
        _, header = next(rows)
    except StopIteration:
        raise UserError(
            "the file is empty; expected a table with a header line", where=path
        ) from None
    return tuple(header), _long_enough(path, header, rows)


def filled_rows(path: Path) -> Iterator[Row]:
    """The rows that have a filled cell, without white space around the cells."""
    for line, row in read_cells(path):
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield line, cells


def _long_enough(path: Path, header: Sequence[str], rows: Iterable[Row]) -> Iterator[Row]:
    for line, cells in rows:
        if len(cells) < len(header):
            expected = f"{len(header)} cells ({', '.join(header)})"
            raise UserError(
                f"expected {expected}, found {len(cells)}", where=f"{path}, line {line}"
            )
        yield line, cells


def read_cells(path: Path, is_header: IsHeader | None = None) -> Iterator[Row]:
    """The rows of a table that hold anything, at least a delimiter.

    If free text may precede the table, `is_header` recognizes the line that names the columns, and
    the delimiter is that of this line, whatever commas the text has. Otherwise the first line
    decides.
    """
    if Path(path).suffix.casefold() in SHEETS:
        for number, cells in read_sheet(Path(path)):
            yield number, [*map(_unmarked, cells)]
        return
    yield from _cells_of(path, _bytes(path), is_header)


def head_of(path: Path, rows: int) -> list[list[str]]:
    """The first rows of a table as cells, without reading the rest of a long file."""
    if Path(path).suffix.casefold() in SHEETS:
        return [cells for _, cells in itertools.islice(read_sheet(Path(path)), rows)]
    raw = _bytes(path, _HEAD)
    if len(raw) == _HEAD:  # the last line may be cut off
        raw = raw[: raw.rfind(b"\n") + 1] or raw
    return [cells for _, cells in itertools.islice(_cells_of(path, raw), rows)]


def _cells_of(path: Path, raw: bytes, is_header: IsHeader | None = None) -> Iterator[Row]:
    # Decoded while it is read, so that a long file is not in memory twice.
    lines = io.TextIOWrapper(io.BytesIO(raw), _encoding(raw), errors="replace", newline="")
    top = _find_header(lines, is_header)
    lines.seek(0)
    marked = b"'" in raw
    number, reader = 0, None
    try:
        if top is None:
            number, delimiter = _first_line(lines)
        else:
            in_front, delimiter = top
            for number, line in enumerate(itertools.islice(lines, in_front), 1):
                # One line at a time: quotes mean nothing in free text and must not join lines.
                if line.strip():
                    yield number, next(csv.reader([line], delimiter=delimiter))
        reader = csv.reader(lines, delimiter=delimiter)
        for cells in reader:
            if len(cells) > 1 or "".join(cells).strip():
                yield number + reader.line_num, [*map(_unmarked, cells)] if marked else cells
    except csv.Error as error:
        line_number = number + (reader.line_num if reader else 0)
        raise UserError(
            f"not a table that can be read ({error})", where=f"{path}, line {line_number}"
        ) from None


def _first_line(lines: io.TextIOWrapper) -> tuple[int, str]:
    """Reads to the first row. Returns how many lines that skips, and the delimiter.

    The delimiter is that of Excel's line `sep=;`, or the most frequent one of the first line.
    """
    empty = 0
    first = lines.readline()
    while first and not first.strip():
        empty += 1
        first = lines.readline()
    sep_line = _SEP.fullmatch(first.strip(" \r\n"))
    if sep_line:
        return empty + 1, sep_line["delimiter"]
    lines.seek(0)
    without_quoted = re.sub(r'"[^"]*"', "", first)  # a delimiter within quotes separates nothing
    return 0, max(_DELIMITERS, key=without_quoted.count)


def _find_header(lines: Iterable[str], is_header: IsHeader | None) -> tuple[int, str] | None:
    """How many lines precede the header, and the header's delimiter; None if there is none."""
    if is_header is None:
        return None
    for number, line in enumerate(itertools.islice(lines, HEADER_WITHIN)):
        for delimiter in _DELIMITERS:
            cells = [cell.strip().strip('"') for cell in line.split(delimiter)]
            if len(cells) > 1 and is_header(cells):
                return number, delimiter
    return None


def begins_with(path: Path, mark: str) -> bool:
    """Is this the first character of a text file that is not white space?"""
    head = _bytes(path, 1 << 12)
    return head.decode(_encoding(head), errors="replace").lstrip().startswith(mark)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, in UTF-16, or in Latin-1 if it is neither."""
    raw = _bytes(path)
    return raw.decode(_encoding(raw), errors="replace")


def _bytes(path: Path, most: int = -1) -> bytes:
    """The bytes of a file, or the first ones."""
    try:
        with Path(path).open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=path) from None


def _encoding(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    # UTF-16 without its mark: every other byte of a header, which is ASCII, is 0.
    for parity, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(raw) > 3 and not any(raw[parity:64:2]):
            return name
    try:
        raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a comma-separated table completely or not at all.

    Text that a spreadsheet would take for a formula gets a ' in front, which reading removes again:
    names of files and of behaviors may come from anyone.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*map(_marked, header)])
    writer.writerows([*map(_marked, row)] for row in rows)
    write_text(path, buffer.getvalue())


def _marked(cell: object) -> object:
    # A long table is nearly all numbers, so the first letter is looked at before anything else.
    if not isinstance(cell, str) or cell[:1] not in _BEGINNINGS:
        return cell
    if not _FORMULA.match(cell) or _is_number(cell):
        return cell
    return f"'{cell}"


def _unmarked(cell: str) -> str:
    if cell[:1] == "'" and _FORMULA.match(cell):
        return cell[1:]
    return cell


def number_in(text: str) -> float | None:
    """The number in a cell that a person wrote, with a point or a comma; None for anything else.

    `1,200` may be 1200 or 1.2, so that it is none.
    """
    if _THOUSANDS.fullmatch(text.strip()):
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file completely or not at all: under a temporary name first, then renamed."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise UserError(
            f"cannot be written ({error.strerror})",
            where=path,
            remedy="free some space or choose another folder",
        ) from None
