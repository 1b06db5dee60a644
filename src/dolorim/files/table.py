"""Small tables as spreadsheets save them: comma, semicolon or tab, with or without a byte-order mark."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dolorim.core.errors import UserError

_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # what a spreadsheet would compute, and the same with our mark in front


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


def read_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines of a table that hold anything, a delimiter at least, as (line number, cells)."""
    raw = _bytes(path)
    lines = io.TextIOWrapper(io.BytesIO(raw), _encoding(raw), errors="replace", newline="")  # decoded as it is read
    first = next((line for line in lines if line.strip()), "")
    lines.seek(0)
    reader = csv.reader(lines, delimiter=max(",;\t", key=first.count))
    marked = b"'" in raw
    try:
        for cells in reader:
            if len(cells) > 1 or "".join(cells).strip():
                yield reader.line_num, [*map(_unmarked, cells)] if marked else cells
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not a table that can be read ({error})") from None


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
