"""The folders of a study and the tables that lie beside them, as they were named: links are not followed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.animals import animal_key
from dolorim.files.poses import home_of
from dolorim.files.subjects import SubjectTable, example, read_subjects
from dolorim.files.tables import read_cells

ETHOGRAMS = ("ethogram.toml", "classes.csv", "classes.xlsx")
_SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm")
_NAMED = (
    "recordings",
    "animals",
    "groups",
)  # in this order; the first says whose recordings are, and has to
_SURE = "recordings"


@dataclass(frozen=True)
class Whose:
    """The table that says whose recordings are, if any, and what is to be said about others that were passed over."""

    table: SubjectTable | None
    findings: tuple[Finding, ...] = ()


def homes(*folders: Path | None) -> list[Path]:
    """The folders beside which tables are looked for: those that the named ones lie in."""
    return list(dict.fromkeys(home_of(f) for f in folders if f is not None))


def tables_in(places: Iterable[Path], names: Iterable[str]) -> list[Path]:
    """Files of these names in some folders, in any letter case, in the order of the names."""
    wanted = list(names)
    found = []
    for place in dict.fromkeys(places):
        if place.is_dir():
            found += [
                p for p in sorted(place.iterdir()) if p.name.casefold() in wanted and p.is_file()
            ]
    return sorted(dict.fromkeys(found), key=lambda p: wanted.index(p.name.casefold()))


def one_of(tables: Iterable[Path], flag: str) -> Path | None:
    """The one table among several of one kind that say the same. Raises `UserError` where they do not."""
    chosen: Path | None = None
    for table in tables:
        if chosen is None:
            chosen = table
        elif not _same(chosen, table):
            raise UserError(
                f"{chosen} and {table} are different tables; remove one, or name the one that counts with {flag}"
            )
    return chosen


def find_whose(places: Iterable[Path], recordings: Mapping[Path, str]) -> Whose:
    """The table beside a study's folders that says whose recordings are.

    `recordings` gives the name of each recording's file. A recordings.csv is meant for this, an animals.csv or a
    groups.csv may be another study's: it counts where it fits a recording. Raises `UserError` where two differ.
    """
    places = list(places)
    chosen: SubjectTable | None = None
    findings: list[Finding] = []
    for kind in _NAMED:
        path = one_of(tables_in(places, [kind + s for s in _SUFFIXES]), "--recordings")
        if path is None:
            continue
        if kind == _SURE:
            chosen = read_subjects(path)
            continue
        try:
            table = read_subjects(path)
            fitting = table.lines_of(recordings) if table.has_animal else {}
        except UserError as error:
            findings.append(_passed_over(path, str(error).removeprefix(f"{path}: ")))
            continue
        if not fitting:
            why = (
                example(table.subjects, recordings.values())
                if table.has_animal
                else "it names no animals"
            )
            findings.append(_passed_over(path, why))
        elif chosen is None:
            chosen = table
        else:
            _refuse_other_animals(chosen, table, recordings)
    return Whose(chosen, tuple(findings))


def _refuse_other_animals(
    one: SubjectTable, two: SubjectTable, recordings: Mapping[Path, str]
) -> None:
    mine, theirs = one.lines_of(recordings), two.lines_of(recordings)
    for recording in mine:
        other = theirs.get(recording)
        if other is not None and animal_key(other.animal) != animal_key(mine[recording].animal):
            raise UserError(
                f"{one.path} says that {recordings[recording]} is of {mine[recording].animal}, {two.path} says "
                f"{other.animal}; mend one, or name the table that counts with --recordings"
            )


def _passed_over(path: Path, why: str) -> Finding:
    return Finding(
        "note", str(path), f"is not used to say whose recordings are: {why}", name="table-not-used"
    )


def _same(one: Path, two: Path) -> bool:
    """Do two files say the same?"""
    if one.samefile(two) or one.read_bytes() == two.read_bytes():
        return True
    if ".toml" in (one.suffix.casefold(), two.suffix.casefold()):
        return False
    return [c for _, c in read_cells(one)] == [c for _, c in read_cells(two)]
