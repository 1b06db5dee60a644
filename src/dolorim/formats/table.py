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
    header: tuple[str, ...] | None = None
    rows, lines = [], []
    for line, cells in read_cells(path):
        if not any(c.strip() for c in cells):
            continue
        if header is None:
            header = tuple(c.strip() for c in cells)
            continue
        if len(cells) < len(header):
            raise UserError(
                f"{path}, line {line}: expected {len(header)} cells ({', '.join(header)}), found {len(cells)}"
            )
        rows.append([c.strip() for c in cells])
        lines.append(line)
    if header is None:
        raise UserError(f"{path}: the file is empty; expected a table with a header line")
    return Table(path, header, rows, lines)


def read_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines of a table that hold anything, a delimiter at least, as (line number, cells)."""
    text = read_text(path)
    first = next((line for line in io.StringIO(text, newline=None) if line.strip()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    marked = "'" in text
    try:
        for cells in reader:
            if len(cells) > 1 or "".join(cells).strip():
                yield reader.line_num, [*map(_unmarked, cells)] if marked else cells
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not a table that can be read ({error})") from None


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 (with its mark) or Latin-1, whichever it is."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


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
