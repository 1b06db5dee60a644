"""The folders of a study and the tables next to them, as they were named (no links followed)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.animals import animal_key
from dolorim.files.poses import home_of
from dolorim.files.recordings import R
from dolorim.files.subjects import SubjectTable, column_key, example, read_subjects
from dolorim.files.tables import head_of, read_cells

ETHOGRAMS = ("ethogram.toml", "classes.csv", "classes.xlsx")
CHAMBERS = ("chambers.csv", "chambers.tsv", "chambers.xlsx")
_SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm")
_NAMED = ("recordings", "animals", "groups")  # tables of animals, in the order of preference
_REQUIRED = "recordings"  # has no other purpose, so that it must fit
_OF_REPORT = {"window", "behavior", "readout"}  # columns that every table of read-outs has


@dataclass(frozen=True)
class Whose:
    """The table that says which animal each recording shows, if any, and notes on unused tables."""

    table: SubjectTable | None
    findings: tuple[Finding, ...] = ()


def homes(*folders: Path | None) -> list[Path]:
    """The folders in which tables are looked for: the parents of the named folders."""
    return list(dict.fromkeys(home_of(f) for f in folders if f is not None))


def tables_in(places: Iterable[Path], names: Iterable[str]) -> list[Path]:
    """Files of these names in some folders, in any letter case, in the order of the names."""
    wanted = list(names)
    tables: list[Path] = []
    for place in dict.fromkeys(places):
        if not place.is_dir():
            continue
        for file in sorted(place.iterdir()):
            if file.name.casefold() in wanted and file.is_file():
                tables.append(file)
    return sorted(dict.fromkeys(tables), key=lambda table: wanted.index(table.name.casefold()))


def one_of(tables: Iterable[Path], flag: str) -> Path | None:
    """The first of several tables of one kind. Raises `UserError` if they do not say the same."""
    chosen: Path | None = None
    for table in tables:
        if chosen is None:
            chosen = table
        elif not _same(chosen, table):
            raise UserError(
                f"{chosen} and {table} are different tables",
                remedy=f"remove one, or name the one to use with {flag}",
            )
    return chosen


def recordings_beside(places: Iterable[Path]) -> Path | None:
    """The recordings.csv in some folders. Raises `UserError` if there are two different ones."""
    tables = tables_in(places, [_REQUIRED + suffix for suffix in _SUFFIXES])
    return one_of([path for path in tables if not is_report_table(path)], "--recordings")


def chambers_beside(places: Iterable[Path]) -> Path | None:
    """The chambers.csv in some folders. Raises `UserError` if there are two different ones."""
    return one_of(tables_in(places, CHAMBERS), "--chambers")


def find_whose(places: Iterable[Path], recordings: Mapping[R, str]) -> Whose:
    """The table next to a study's folders that says which animal each recording shows.

    `recordings` gives the name of each recording's file. A recordings.csv is meant for this; an
    animals.csv or a groups.csv may belong to another study and counts only if it fits a recording.
    Raises `UserError` if two tables name different animals.
    """
    places = list(places)
    chosen: SubjectTable | None = None
    findings: list[Finding] = []
    for kind in _NAMED:
        tables = tables_in(places, [kind + suffix for suffix in _SUFFIXES])
        # A report next to the folders has tables of these names that hold read-outs.
        of_report = [path for path in tables if is_report_table(path)]
        findings += [_not_used(path, "a report has written it") for path in of_report]
        path = one_of([path for path in tables if path not in of_report], "--recordings")
        if path is None:
            continue
        if kind == _REQUIRED:
            chosen = read_subjects(path)
            continue
        table = _read_if_it_fits(path, recordings, findings)
        if table is None:
            continue
        if chosen is None:
            chosen = table
        else:
            _refuse_other_animals(chosen, table, recordings)
    return Whose(chosen, tuple(findings))


def _read_if_it_fits(
    path: Path, recordings: Mapping[R, str], findings: list[Finding]
) -> SubjectTable | None:
    """A table that names the animal of at least one recording; else None, and a finding."""
    try:
        table = read_subjects(path)
        if not table.has_animal:
            findings.append(_not_used(path, "it names no animals"))
            return None
        fitting = table.lines_of(recordings)
    except UserError as error:
        why = Finding.from_error(error, "", path)
        findings.append(_not_used(path, why.what, why.remedy))
        return None
    if not fitting:
        findings.append(_not_used(path, example(table.subjects, recordings.values())))
        return None
    return table


def is_report_table(path: Path) -> bool:
    """Is this one of the tables of read-outs that `report` writes?"""
    try:
        header = head_of(path, 1)
    except UserError:
        return False
    return bool(header) and {column_key(name) for name in header[0]} >= _OF_REPORT


def _refuse_other_animals(
    one: SubjectTable, two: SubjectTable, recordings: Mapping[R, str]
) -> None:
    """Raises `UserError` if two tables name different animals for a recording."""
    second_lines = two.lines_of(recordings)
    for recording, line in one.lines_of(recordings).items():
        other = second_lines.get(recording)
        if other is not None and animal_key(other.animal) != animal_key(line.animal):
            raise UserError(
                f"{one.path} says that {recordings[recording]} shows {line.animal}, {two.path} "
                f"says {other.animal}",
                remedy="correct one, or name the table to use with --recordings",
            )


def _not_used(path: Path, why: str, remedy: str = "") -> Finding:
    what = f"is not used to tell which animal a recording shows: {why}"
    return Finding("note", str(path), what, remedy, "table-not-used")


def _same(one: Path, two: Path) -> bool:
    """Do two files have the same bytes, or the same cells?"""
    if one.samefile(two) or one.read_bytes() == two.read_bytes():
        return True
    if ".toml" in (one.suffix.casefold(), two.suffix.casefold()):
        return False
    # The same table may have been saved once with commas and once with semicolons, or as .xlsx.
    return [c for _, c in read_cells(one)] == [c for _, c in read_cells(two)]
