"""Tables that say which animal a recording shows, and how that animal was treated.

One reader for recordings.csv, animals.csv, groups.csv, and the Excel files of labs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

from dolorim.core.errors import UserError
from dolorim.files.animals import animal_key
from dolorim.files.naming import VIDEO_SUFFIXES, by_name, folded, named
from dolorim.files.recordings import (
    R,
    Recorded,
    are_chambers_of_one,
    chamber_names,
    chamber_of,
)
from dolorim.files.tables import Table, filled_rows

# Names of columns, the most telling first, as `column_key` writes them.
_NAMES: dict[str, tuple[str, ...]] = {
    "video": (
        *("video", "video_name", "video_file", "video_filename", "videofile", "recording"),
        *("recording_name", "file", "file_name", "filename", "video_id", "media_file"),
        *("media_file_name", "movie", "clip"),
    ),
    "animal": (
        *("animal", "animal_id", "animalid", "animal_name", "animal_no", "animal_number"),
        *("mouse", "mouse_id", "mouseid", "mouse_name", "mouse_no", "mouse_number"),
        *("rat", "rat_id", "subject", "subject_id", "subjectid", "subject_name", "ear_tag"),
    ),
    "group": (
        *("group", "groups", "group_name", "treatment", "treatment_group"),
        *("condition", "experimental_group"),
    ),
}
_FALLBACK = {"video": "name", "animal": "id"}  # names that count only if no better one is there
_STREAM = ("subject", "subject_name", "label_stream")
_FIRST_ROWS = 10  # in which the header is looked for: some tables begin with a title
_NOT_READ = (".xls", ".ods", ".numbers", ".docx", ".pdf")

K = TypeVar("K")


@dataclass(frozen=True)
class Subject:
    """A line of such a table. Empty text stands for what the table does not say.

    `stream` is the animal's name in label files of several animals. `columns` holds all cells by
    their header as it is written, and repeats two of them as `animal` and `group`.
    """

    line: int
    video: str
    animal: str
    group: str
    stream: str = ""
    columns: dict[str, str] = field(default_factory=dict)

    def further_columns(self) -> dict[str, str]:
        """Further cells by `column_key` of their header: `Treated side` is `treated_side`."""
        by_key = {column_key(header): value for header, value in self.columns.items()}
        return {key: value for key, value in by_key.items() if key not in ("animal", "group")}


@dataclass(frozen=True)
class SubjectTable:
    """A table of animals or recordings, and which columns it has."""

    path: Path
    header: tuple[str, ...]
    subjects: tuple[Subject, ...]
    has_video: bool
    has_animal: bool
    has_group: bool

    def lines_of(self, recordings: Mapping[R, str]) -> dict[R, Subject]:
        """The line of each recording that has one. `recordings` gives the name of each.

        Without a column of videos, a recording's line is that of the animal whose id occurs in the
        recording's name. Raises `UserError` if two lines contradict each other about a recording,
        or a line fits two recordings.
        """
        return self._by_video(recordings) if self.has_video else self._by_animal(recordings)

    def _by_video(self, recordings: Mapping[R, str]) -> dict[R, Subject]:
        names = by_name(recordings)
        lines: dict[R, Subject] = {}
        for subject in self.subjects:
            place = f"{self.path}, line {subject.line}"
            matches = _meant(subject, names, place)
            if len(matches) > 1:
                raise UserError(
                    f"{subject.video} may be {matches[0]} or {matches[1]}",
                    where=place,
                    remedy="write the folder in front of it",
                )
            for match in matches:
                other = lines.setdefault(match, subject)
                if not _agree(other, subject):
                    raise UserError(
                        f"{subject.video} is already on line {other.line} with another animal or "
                        "group",
                        where=place,
                        remedy=_one_line_of_two(subject),
                    )
        return lines

    def _by_animal(self, recordings: Mapping[R, str]) -> dict[R, Subject]:
        # An animal may be listed once per recording, as long as it stays in one group.
        by_id: dict[str, Subject] = {}
        for subject in self.subjects:
            other = by_id.setdefault(animal_key(subject.animal), subject)
            if other.group != subject.group:
                raise UserError(
                    f"{subject.animal} occurs twice, with the groups {other.group} and "
                    f"{subject.group}",
                    where=f"{self.path}, line {subject.line}",
                    remedy="keep one line",
                )
        lines: dict[R, Subject] = {}
        animals = [subject.animal for subject in by_id.values()]
        for file, name in recordings.items():
            ids = ids_in(name, animals)
            if len(ids) > 1:
                raise UserError(
                    f"the name of {name} fits the animals {' and '.join(ids)}",
                    where=self.path,
                    remedy="add a column video that names each animal's recordings",
                )
            if ids:
                lines[file] = by_id[animal_key(ids[0])]
        return lines

    def unused(self, lines: Iterable[Subject]) -> list[Subject]:
        """The lines of the table that are not among these."""
        used = {subject.line for subject in lines}
        return [subject for subject in self.subjects if subject.line not in used]


def _meant(subject: Subject, names: Mapping[str, Sequence[R]], place: str) -> list[R]:
    """The recordings that a line is about: a video, or the chamber of it that the line names.

    Raises `UserError` if the video has chambers and the line names none.
    """
    chamber = cell(subject.columns, "chamber")
    if chamber:
        stem = subject.video
        if PurePosixPath(stem).suffix.casefold() in VIDEO_SUFFIXES:
            stem = stem.rpartition(".")[0]
        in_chamber = named(f"{stem}.{chamber}", names)
        if in_chamber:
            return in_chamber
    matches = named(subject.video, names)
    if len(matches) > 1 and are_chambers_of_one(matches) and not chamber:
        raise UserError(
            f"{subject.video} has the chambers {chamber_names(matches)}, and this line names none",
            where=place,
            remedy="name one in a column chamber",
        )
    return [match for match in matches if _is_in(match, chamber)]


def _is_in(recording: Recorded, chamber: str | None) -> bool:
    """Can a line with this name in its column of chambers be about a recording?"""
    # A video without chambers may have such a column too, which says where it was filmed.
    its_chamber = chamber_of(recording)
    return not chamber or its_chamber is None or folded(its_chamber.name) == folded(chamber)


def read_subjects(path: Path) -> SubjectTable:
    """Read a table of animals or recordings. Raises `UserError` if it has a column of neither."""
    if path.suffix.casefold() in _NOT_READ:
        raise UserError(
            f"expected a table as CSV or .xlsx, found {path.suffix}",
            where=path,
            remedy="save it as one of these",
        )
    table = _table(path)
    columns = columns_of(table.header)
    if "animal" not in columns and "video" not in columns:
        names = ", ".join(table.header)
        raise UserError(f"expected the columns video,animal[,group,...], found {names}", where=path)
    subjects = []
    for line, cells in zip(table.lines, table.rows, strict=True):
        known = {what: cells[i] for what, i in columns.items()}
        all_cells = dict(zip(table.header, cells, strict=False))
        all_cells |= {what: known[what] for what in ("animal", "group") if what in known}
        subject = Subject(
            line=line,
            video=known.get("video", ""),
            animal=known.get("animal", ""),
            group=known.get("group", ""),
            stream=known.get("stream", ""),
            columns=all_cells,
        )
        subjects.append(subject)
    return SubjectTable(
        path=path,
        header=table.header,
        subjects=tuple(subjects),
        has_video="video" in columns,
        has_animal="animal" in columns,
        has_group="group" in columns,
    )


def column_key(name: str) -> str:
    """A key for all spellings of a column: `Animal ID`, `animal-id` and `animal_id` are one."""
    return re.sub(r"[\s_.\-]+", "_", name.strip().casefold()).strip("_")


def cell(columns: Mapping[str, str], name: str) -> str | None:
    """The cell of a column, however its name is spelled; None if there is no such column."""
    wanted = column_key(name)
    for header, value in columns.items():
        if column_key(header) == wanted:
            return value
    return None


def animal_of(name: str, pattern: str) -> str:
    """The animal in a recording's name: what the pattern finds (`267M`), or the whole name."""
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise UserError(
            f"{pattern} is not a regular expression ({error})", where="animal_pattern"
        ) from None
    return (match[0] if match else "") or name


def ids_in(name: str, ids: Iterable[str]) -> list[str]:
    """Which of some animals' ids occur in a recording's name, as words of their own.

    Any name with a date contains numbers, so a number counts only after a word such as mouse, or as
    the whole name. Of ids that contain one another (`A1`, `A1.2`) the longest counts.
    """
    spans: dict[str, tuple[int, int]] = {}
    for animal_id in ids:
        span = _span_of_id(animal_id.strip().casefold(), name.casefold())
        if span is not None:
            spans[animal_id] = span
    return [animal_id for animal_id, span in spans.items() if not _inside_another(span, spans)]


def _span_of_id(animal_id: str, name: str) -> tuple[int, int] | None:
    """Where an id occurs in a name as a word of its own, `[start, stop)`."""
    if not animal_id:
        return None
    ambiguous = animal_id.isdecimal() or len(animal_id) < 2
    in_front = r"(?<![0-9a-z])"
    if ambiguous:
        in_front = r"(?:^|(?:mouse|animal|subject|rat|id|no|nr)[ _.#-]*0*)"
    match = re.search(f"{in_front}({re.escape(animal_id)})(?![0-9a-z])", name)
    if match is None:
        return None
    if ambiguous and match.start(1) == 0 and name != animal_id:
        return None  # the number at the beginning of a name may be a date
    return match.span(1)


def _inside_another(span: tuple[int, int], spans: Mapping[str, tuple[int, int]]) -> bool:
    start, stop = span
    return any(a <= start and stop <= b and (a, b) != span for a, b in spans.values())


def _one_line_of_two(subject: Subject) -> str:
    """What to do about two lines on one video that name different animals."""
    if cell(subject.columns, "chamber"):
        return "say where its chambers are: x0,y0,x1,y1 here or in chambers.csv, or --chambers 2x4"
    return "keep one line"


def _agree(one: Subject, other: Subject) -> bool:
    """Do two lines say the same about a recording?"""
    return animal_key(one.animal) == animal_key(other.animal) and one.group == other.group


def _table(path: Path) -> Table:
    """The table below its header, which is the first line that names a column of this module."""
    rows = list(filled_rows(path))
    if not rows:
        raise UserError("the file is empty; expected a table with a header line", where=path)
    # The header is the line that names most columns, among the first ones.
    columns_known = [len(columns_of(cells)) for _, cells in rows[:_FIRST_ROWS]]
    # A title may contain one of the names; two of them make a header.
    two = [i for i, count in enumerate(columns_known) if count >= 2]
    one = [i for i, count in enumerate(columns_known) if count]
    first = [*two, *one, 0][0]
    header = tuple(rows[first][1])
    below = rows[first + 1 :]
    padded = [cells + [""] * (len(header) - len(cells)) for _, cells in below]
    return Table(path, header, padded, [line for line, _ in below])


def columns_of(header: Sequence[str]) -> dict[str, int]:
    """The index of each column that is understood.

    A column `subject` next to another one of animals is the animal's name in its label file.
    """
    keys = [column_key(h) for h in header]
    columns = _named_columns(keys)
    stream = _first_index(keys, _STREAM)
    if stream is not None and "animal" in columns and stream != columns["animal"]:
        columns["stream"] = stream
    return columns


def _named_columns(keys: Sequence[str]) -> dict[str, int]:
    columns: dict[str, int] = {}
    for what, names in _NAMES.items():
        index = _first_index(keys, names)
        if index is not None:
            columns[what] = index
    # A table with none of the better names is no table of animals, even with a column `name`.
    for what, name in _FALLBACK.items():
        if what not in columns and columns and name in keys:
            columns[what] = keys.index(name)
    return columns


def _first_index(keys: Sequence[str], names: Iterable[str]) -> int | None:
    """The index of the first of these names that is there."""
    return next((keys.index(name) for name in names if name in keys), None)


def missing(recordings: Mapping[K, str], lines: Mapping[K, Subject]) -> list[K]:
    """Recordings that have no line, so that nothing says which animal they show."""
    return [r for r in recordings if r not in lines]


def example(subjects: Sequence[Subject], names: Iterable[str]) -> str:
    """One name from the table and one recording's name, for a message that they do not match."""
    written = next((subject.video or subject.animal for subject in subjects), "nothing")
    here = next(iter(names), "nothing")
    return f"the table says {written}, a recording here is called {here}"
