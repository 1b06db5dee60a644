"""Small tables as spreadsheets save them: CSV with any usual delimiter and encoding, or the first sheet of an .xlsx."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dolorim.core.errors import UserError
from dolorim.files.sheet import SHEETS, read_sheet

_FORMULA = re.compile(
    r"'*[=+\-@\t\r]"
)  # what a spreadsheet would compute, and the same with our mark in front
_SEP = re.compile(
    r'"?sep=(?P<delimiter>.)"?[;,\t|]*', re.IGNORECASE
)  # what Excel writes and reads as a first line
_DELIMITERS = ",;\t|"
_HEAD = 1 << 18  # bytes that are looked at to tell what a file is
HEADER_WITHIN = 200  # lines in which a header is looked for

IsHeader = Callable[[Sequence[str]], bool]


@dataclass(frozen=True)
class Table:
    """Cells as text. `lines[i]` is the line of the file on which row i stands, counted from 1."""

    path: Path
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    def column(self, *names: str) -> int | None:
        """Index of the first column that carries one of these names, letter case aside."""
        known = [h.casefold() for h in self.header]
        return next((known.index(n) for n in names if n in known), None)


def read_table(path: Path) -> Table:
    """Read a table with one header line. Raises `UserError` for an empty file and for a row with too few cells."""
    header, found = read_rows(path)
    rows, lines = [], []
    for line, cells in found:
        rows.append(cells)
        lines.append(line)
    return Table(path, header, rows, lines)


def read_rows(path: Path) -> tuple[tuple[str, ...], Iterator[tuple[int, list[str]]]]:
    """The header of a table and, one by one, its rows as (line number, cells), for those that are long.

    Raises `UserError` for an empty file and, on the way, for a row with too few cells.
    """
    found = ((line, [c.strip() for c in cells]) for line, cells in read_cells(path))
    rows = ((line, cells) for line, cells in found if any(cells))
    try:
        _, header = next(rows)
    except StopIteration:
        raise UserError(f"{path}: the file is empty; expected a table with a header line") from None
    return tuple(header), _long_enough(path, header, rows)


def _long_enough(
    path: Path, header: Sequence[str], rows: Iterable[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    for line, cells in rows:
        if len(cells) < len(header):
            raise UserError(
                f"{path}, line {line}: expected {len(header)} cells ({', '.join(header)}), found {len(cells)}"
            )
        yield line, cells


def read_cells(path: Path, is_header: IsHeader | None = None) -> Iterator[tuple[int, list[str]]]:
    """The lines of a table that hold anything, a delimiter at least, as (line number, cells).

    Where free text may stand in front of the table, `is_header` knows the line that names the columns: the delimiter
    is that of this line, whatever commas the text has. Without it, the first line decides.
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
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_HEAD)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    whole_lines = raw if len(raw) < _HEAD else raw[: raw.rfind(b"\n") + 1] or raw
    return [cells for _, cells in itertools.islice(_cells_of(path, whole_lines), rows)]


def _cells_of(
    path: Path, raw: bytes, is_header: IsHeader | None = None
) -> Iterator[tuple[int, list[str]]]:
    lines = io.TextIOWrapper(
        io.BytesIO(raw), _encoding(raw), errors="replace", newline=""
    )  # decoded as it is read
    top = None if is_header is None else _find_header(lines, is_header)
    lines.seek(0)
    marked = b"'" in raw
    number, reader = 0, None
    try:
        if top is None:
            number, delimiter = _first_line(lines)
        else:
            in_front, delimiter = top
            for number, line in enumerate(
                itertools.islice(lines, in_front), 1
            ):  # quotes mean nothing in free text
                if line.strip():
                    yield number, next(csv.reader([line], delimiter=delimiter))
        reader = csv.reader(lines, delimiter=delimiter)
        for cells in reader:
            if len(cells) > 1 or "".join(cells).strip():
                yield number + reader.line_num, [*map(_unmarked, cells)] if marked else cells
    except csv.Error as error:
        line_number = number + (reader.line_num if reader else 0)
        raise UserError(
            f"{path}, line {line_number}: not a table that can be read ({error})"
        ) from None


def _first_line(lines: io.TextIOWrapper) -> tuple[int, str]:
    """How many lines to pass over, which is done, and the delimiter: Excel's `sep=;` says it, else the first line."""
    empty = 0
    first = lines.readline()
    while first and not first.strip():
        empty += 1
        first = lines.readline()
    said = _SEP.fullmatch(first.strip(" \r\n"))
    if said:
        return empty + 1, said["delimiter"]
    lines.seek(0)
    without_quoted = re.sub(r'"[^"]*"', "", first)  # a delimiter within quotes separates nothing
    return 0, max(_DELIMITERS, key=without_quoted.count)


def _find_header(lines: Iterable[str], is_header: IsHeader) -> tuple[int, str] | None:
    """How many lines stand in front of the header, and the header's delimiter."""
    for number, line in enumerate(itertools.islice(lines, HEADER_WITHIN)):
        for delimiter in _DELIMITERS:
            if delimiter in line and is_header(
                [c.strip().strip('"') for c in line.split(delimiter)]
            ):
                return number, delimiter
    return None


def begins_with(path: Path, mark: str) -> bool:
    """Is this the first character of a text file, white space aside?"""
    try:
        with Path(path).open("rb") as file:
            head = file.read(1 << 12)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    return head.decode(_encoding(head), errors="replace").lstrip().startswith(mark)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 (with its mark) or Latin-1, whichever it is."""
    raw = _bytes(path)
    return raw.decode(_encoding(raw), errors="replace")


def _bytes(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _encoding(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    for parity, name in (
        (1, "utf-16-le"),
        (0, "utf-16-be"),
    ):  # without its mark, every other byte of a header is 0
        if len(raw) > 3 and not any(raw[parity:64:2]):
            return name
    try:
        raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a comma-separated table whole or not at all.

    Text that a spreadsheet would take for a formula gets a ' in front, which reading takes away again: names of files
    and of classes come from anywhere.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*map(_marked, header)])
    writer.writerows([*map(_marked, row)] for row in rows)
    write_text(path, buffer.getvalue())


def _marked(cell: object) -> object:
    if not isinstance(cell, str) or not _FORMULA.match(cell) or _is_number(cell):
        return cell
    return f"'{cell}"


def _unmarked(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all: under another name first, then renamed over the old one."""
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
            f"{path}: cannot be written ({error.strerror}); free some space or choose another folder"
        ) from None
