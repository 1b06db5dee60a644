"""What NWB wants to know about a recording: its animal, and when the session began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dolorim.core.errors import UserError
from dolorim.files.subjects import cell, read_subjects

_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F"}
_SPECIES = "Mus musculus"
# What a file goes without unless it is given, and the column that gives it.
_ASKED_FOR = {"animal": "animal", "sex": "sex", "age": "age", "start": "session_start"}


@dataclass(frozen=True)
class SessionFacts:
    """Empty text and None stand for what nobody has said.

    `age` is a duration as ISO 8601 writes it (`P70D`), `sex` one of M, F and U.
    """

    animal: str = ""
    sex: str = "U"
    age: str = ""
    species: str = _SPECIES
    group: str = ""
    start: datetime | None = None

    def missing(self) -> list[str]:
        """The columns of the table of recordings that would say what is not known."""
        known = {"animal": self.animal, "sex": self.sex != "U", "age": self.age}
        known["start"] = self.start is not None
        return [column for name, column in _ASKED_FOR.items() if not known[name]]


@dataclass(frozen=True)
class FactsTable:
    """The facts of each recording, from a table like recordings.csv."""

    lines: Mapping[str, SessionFacts] = field(default_factory=dict)

    def of(self, recording: str, animal: str, start: datetime | None) -> SessionFacts:
        """The facts of a recording; `animal` and `start` count where the table says nothing."""
        facts = self.lines.get(recording, SessionFacts())
        return SessionFacts(
            facts.animal or animal,
            facts.sex,
            facts.age,
            facts.species,
            facts.group,
            facts.start or start,
        )


def read_facts(path: Path, recordings: list[str]) -> FactsTable:
    """Animal, group, sex, age, species and session_start of recordings, from a table of them.

    Raises `UserError` for a table that is none, and for an age or a start that cannot be read.
    """
    table = read_subjects(path)
    lines = table.lines_of({Path(name): name for name in recordings})
    facts = {}
    for recording, subject in lines.items():
        where = f"{path}, line {subject.line}"
        sex = (cell(subject.columns, "sex") or "").strip().casefold()
        start = (cell(subject.columns, "session_start") or "").strip()
        facts[recording.name] = SessionFacts(
            animal=subject.animal,
            sex=_SEXES.get(sex, "U"),
            age=_age(cell(subject.columns, "age") or "", where),
            species=(cell(subject.columns, "species") or "").strip() or _SPECIES,
            group=subject.group,
            start=moment(start, f"{where}, session_start") if start else None,
        )
    return FactsTable(facts)


def _age(text: str, where: str) -> str:
    """Days as a number, or what ISO 8601 has for it: both become `P70D`."""
    text = text.strip()
    if not text or text.upper().startswith("P"):
        return text.upper()
    try:
        return f"P{float(text):g}D"
    except ValueError:
        raise UserError(
            f"age is {text!r}", where=where, remedy="give days, or a duration such as P10W"
        ) from None


def moment(text: str, where: str) -> datetime:
    """A date with a time; without a time zone it is UTC. Raises `UserError` for anything else."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{where}: expected a date like 2026-01-31T14:05, found {text!r}") from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
