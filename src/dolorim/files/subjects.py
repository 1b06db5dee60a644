"""Tables that say whose a recording is and what was done to that animal: recordings.csv, animals.csv, groups.csv, or
the Excel file that a lab has. One reader for all of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dolorim.core.errors import UserError
from dolorim.files.animals import animal_key
from dolorim.files.naming import by_name, named
from dolorim.files.tables import Table, read_cells

# Names of columns, the most telling first, as `column_key` writes them.
_NAMES: dict[str, tuple[str, ...]] = {}
_NAMES["video"] = (
    "video", "video_name", "video_file", "video_filename", "videofile", "recording", "recording_name", "file",
    "file_name", "filename", "video_id", "media_file", "media_file_name", "movie", "clip",
)  # fmt: skip
_NAMES["animal"] = (
    "animal", "animal_id", "animalid", "animal_name", "animal_no", "animal_number", "mouse", "mouse_id", "mouseid",
    "mouse_name", "mouse_no", "mouse_number", "rat", "rat_id", "subject", "subject_id", "subjectid", "subject_name",
    "ear_tag",
)  # fmt: skip
_NAMES["group"] = (
    "group",
    "groups",
    "group_name",
    "treatment",
    "treatment_group",
    "condition",
    "experimental_group",
)
_LEAST_SURE = {"video": "name", "animal": "id"}  # understood where nothing better is there
_STREAM = ("subject", "subject_name", "label_stream")
_FIRST_ROWS = 10  # among which the header is looked for: some tables begin with a title
_NOT_READ = (".xls", ".ods", ".numbers", ".docx", ".pdf")

K = TypeVar("K")


@dataclass(frozen=True)
class Subject:
    """A line of such a table. Empty text stands for what the table does not say.

    `columns` are all cells, by the header as it is written, and once more as `animal` and `group`.
    """

    line: int
    video: str
    animal: str
    group: str
    stream: str = ""
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SubjectTable:
    path: Path
    header: tuple[str, ...]
    subjects: tuple[Subject, ...]
    has_video: bool
    has_animal: bool
    has_group: bool

    def lines_of(self, recordings: Mapping[Path, str]) -> dict[Path, Subject]:
        """The line of each recording that has one. `recordings` gives the name of each file.

        Where the table names no videos, that of the animal whose id stands in the recording's name. Raises
        `UserError` where two lines say different things of one recording, or a line fits two recordings.
        """
        return self._by_video(recordings) if self.has_video else self._by_animal(recordings)

    def _by_video(self, recordings: Mapping[Path, str]) -> dict[Path, Subject]:
        names = by_name(recordings)
        lines: dict[Path, Subject] = {}
        for subject in self.subjects:
            matches = named(subject.video, names)
            if len(matches) > 1:
                raise UserError(
                    f"{self.path}, line {subject.line}: {subject.video} may be {matches[0]} or {matches[1]}; write the "
                    f"folder in front of it"
                )
            for match in matches:
                other = lines.setdefault(match, subject)
                if _says(other) != _says(subject):
                    raise UserError(
                        f"{self.path}, line {subject.line}: {subject.video} stands twice, on line {other.line} with "
                        f"another animal or group; keep one line"
                    )
        return lines

    def _by_animal(self, recordings: Mapping[Path, str]) -> dict[Path, Subject]:
        by_id: dict[str, Subject] = {}
        for subject in self.subjects:
            other = by_id.setdefault(animal_key(subject.animal), subject)
            if other.group != subject.group:
                raise UserError(
                    f"{self.path}, line {subject.line}: {subject.animal} stands twice, with the groups {other.group} "
                    f"and {subject.group}; keep one line"
                )
        lines = {}
        for file, name in recordings.items():
            ids = ids_in(name, [s.animal for s in by_id.values()])
            if len(ids) > 1:
                raise UserError(
                    f"{self.path}: the name of {name} fits the animals {' and '.join(ids)}; add a column video that "
                    f"says whose each recording is"
                )
            if ids:
                lines[file] = by_id[animal_key(ids[0])]
        return lines

    def unused(self, lines: Iterable[Subject]) -> list[Subject]:
        """Lines that belong to none of the recordings."""
        used = {s.line for s in lines}
        return [s for s in self.subjects if s.line not in used]


def read_subjects(path: Path) -> SubjectTable:
    """Read a table that says whose recordings are. Raises `UserError` for one without a column of videos or animals."""
    if path.suffix.casefold() in _NOT_READ:
        raise UserError(
            f"{path}: expected a table as CSV or .xlsx, found {path.suffix}; save it as one of these"
        )
    table = _table(path)
    columns = _columns(table.header)
    if "animal" not in columns and "video" not in columns:
        raise UserError(
            f"{path}: expected the columns video,animal[,group,...], found {', '.join(table.header)}"
        )
    subjects = []
    for line, cells in zip(table.lines, table.rows, strict=True):
        found = {what: cells[i] for what, i in columns.items()}
        everything = dict(zip(table.header, cells, strict=False))
        everything |= {what: found[what] for what in ("animal", "group") if what in found}
        subjects.append(
            Subject(
                line, found.get("video", ""), found.get("animal", ""), found.get("group", ""),
                found.get("stream", ""), everything,
            )
        )  # fmt: skip
    there = (what in columns for what in ("video", "animal", "group"))
    return SubjectTable(path, table.header, tuple(subjects), *there)


def column_key(name: str) -> str:
    """What a column is known by: `Animal ID`, `animal-id` and `animal_id` are one."""
    return re.sub(r"[\s_.\-]+", "_", name.strip().casefold()).strip("_")


def cell(columns: Mapping[str, str], name: str) -> str | None:
    """The cell of a column of this name, however it is spelled; None where there is no such column."""
    wanted = column_key(name)
    return next((value for header, value in columns.items() if column_key(header) == wanted), None)


def animal_of(name: str, pattern: str) -> str:
    """The animal's name: what the pattern finds in the recording's name (`267M`), else that name itself."""
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise UserError(
            f"animal_pattern: {pattern} is not a regular expression ({error})"
        ) from None
    return (match[0] if match else "") or name


def ids_in(name: str, ids: Iterable[str]) -> list[str]:
    """Which of some animals' ids stand in a recording's name, as words of their own.

    A number stands in any name that has a date, so that one counts only behind a word such as mouse, or as the whole
    name. Of ids that lie within one another (`A1`, `A1.2`) the longest counts.
    """
    text = name.casefold()
    hits: dict[str, tuple[int, int]] = {}
    for known in ids:
        word = re.escape(known.strip().casefold())
        weak = known.strip().isdecimal() or len(known.strip()) < 2
        front = (
            r"(?:^|(?:mouse|animal|subject|rat|id|no|nr)[ _.#-]*0*)" if weak else r"(?<![0-9a-z])"
        )
        match = re.search(f"{front}({word})(?![0-9a-z])", text) if word else None
        if match and (not weak or match.start(1) or text == known.strip().casefold()):
            hits[known] = match.span(1)
    return [
        known for known, (start, stop) in hits.items()
        if not any(a <= start and stop <= b and (a, b) != (start, stop) for a, b in hits.values())
    ]  # fmt: skip


def _says(subject: Subject) -> tuple[str, str]:
    return animal_key(subject.animal), subject.group


def _table(path: Path) -> Table:
    """The table below its header, which is the first line that has a column of videos or animals."""
    rows = [(line, [c.strip() for c in cells]) for line, cells in read_cells(path)]
    rows = [(line, cells) for line, cells in rows if any(cells)]
    if not rows:
        raise UserError(f"{path}: the file is empty; expected a table with a header line")
    known = [len(_columns(cells)) for _, cells in rows[:_FIRST_ROWS]]
    first = next(
        (i for i, n in enumerate(known) if n >= 2), next((i for i, n in enumerate(known) if n), 0)
    )
    header = tuple(rows[first][1])
    below = rows[first + 1 :]
    padded = [cells + [""] * (len(header) - len(cells)) for _, cells in below]
    return Table(path, header, padded, [line for line, _ in below])


def _columns(header: Sequence[str]) -> dict[str, int]:
    """Where each thing stands. A column `subject` beside one of animals is the name of the animal in its label file."""
    keys = [column_key(h) for h in header]
    found: dict[str, int] = {}
    for what, names in _NAMES.items():
        known = [keys.index(n) for n in names if n in keys]
        found |= {what: known[0]} if known else {}
    for what, name in _LEAST_SURE.items():
        if what not in found and found and name in keys:
            found[what] = keys.index(name)
    stream = next((keys.index(n) for n in _STREAM if n in keys), None)
    if stream is not None and "animal" in found and stream != found["animal"]:
        found["stream"] = stream
    return found


def missing(recordings: Mapping[K, str], lines: Mapping[K, Subject]) -> list[K]:
    """Recordings of which no line says whose they are."""
    return [r for r in recordings if r not in lines]


def example(subjects: Sequence[Subject], names: Iterable[str]) -> str:
    """One name of each side, for a message about names that do not fit one another."""
    written = next((s.video or s.animal for s in subjects), "nothing")
    here = next(itertools.chain(names, ["nothing"]))
    return f"the table says {written}, a recording here is called {here}"
