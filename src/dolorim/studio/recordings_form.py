"""The table of recordings in the page: which animal each shows, its group, and more.

It is kept in recordings.csv, with all columns and lines that it has already.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.study import recordings_of
from dolorim.dataset.study_animals import animals_of, subjects_of
from dolorim.files.chambers import CORNERS
from dolorim.files.naming import by_name, folded, named
from dolorim.files.recordings import Recorded, chamber_of, file_of
from dolorim.files.subjects import SubjectTable, column_key, columns_of, read_subjects
from dolorim.files.tables import write_table
from dolorim.studio.home import StudioHome
from dolorim.studio.own_files import digest_of, refuse_changed, replace_file
from dolorim.studio.studio import text_in, texts_in

USUAL = ("animal", "group", "sex", "dose", "session", "start_s")
_NOT_SHOWN = ("video", "chamber", *CORNERS)
_OURS = ("recordings.csv", "animals.csv", "groups.csv")


@dataclass(frozen=True)
class RecordingRow:
    """One recording: its key in the form, what it is called, and its cells by column."""

    key: str
    name: str
    cells: Mapping[str, str]
    guessed: bool  # the animal comes from the name of the file


@dataclass(frozen=True)
class RecordingsForm:
    """What the page shows. A form with a `problem` cannot be changed in the page."""

    columns: tuple[str, ...] = ()
    rows: tuple[RecordingRow, ...] = ()
    seen: str = ""
    source: str = ""
    problem: str = ""

    @property
    def guessed(self) -> int:
        """How many animals come from the names of files."""
        return sum(row.guessed for row in self.rows)

    @property
    def animals(self) -> int:
        return len({row.cells["animal"] for row in self.rows})


@dataclass
class _Lines:
    """A table as it lies on disk, and what it says of each recording.

    `own` are the indices of the rows that are about exactly one recording, `similar` those of rows
    about its video or its animal, and `about_videos` those of all rows about any video here.
    """

    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    own: dict[Recorded, int] = field(default_factory=dict)
    similar: dict[Recorded, int] = field(default_factory=dict)
    about_videos: set[int] = field(default_factory=set)

    def column(self, name: str) -> int | None:
        """The index of a column by the name that this page has for it."""
        known = columns_of(self.header)
        if name in known:
            return known[name]
        keys = [column_key(header) for header in self.header]
        return keys.index(name) if name in keys else None

    def known(self, recording: Recorded) -> int | None:
        """The row that tells most of a recording; None if the table is silent about it."""
        return self.own.get(recording, self.similar.get(recording))

    def cell(self, row: int, name: str) -> str:
        index = self.column(name)
        return "" if index is None else self.rows[row][index]

    def set_cell(self, row: list[str], name: str, value: str) -> None:
        """Write a cell, with a new column for a value that has none."""
        index = self.column(name)
        if index is None:
            if not value:
                return
            index = len(self.header)
            self.header.append(name)
        row.extend([""] * (index + 1 - len(row)))
        row[index] = value


def read_form(home: StudioHome) -> RecordingsForm:
    """The recordings as the study's table and the names of the files tell them."""
    seen = digest_of(home.recordings_table)
    try:
        data = home.data()
        names = recordings_of(data, keep_going=True)
        lines = _read_lines(data, names)
    except UserError as error:
        return RecordingsForm(seen=seen, problem=str(error))
    rows = _form_rows(home, data, names, lines)
    source, problem = "", ""
    if data.recordings is not None:
        source = data.recordings.name
        if source.casefold() not in _OURS or data.recordings.parent.resolve() != home.folder:
            problem = f"the animals are read from {data.recordings}; change them there"
    return RecordingsForm(_shown_columns(lines.header), rows, seen, source, problem)


def save_form(home: StudioHome, values: dict[str, Any]) -> None:
    """Write recordings.csv. Raises `UserError` if it would not make sense; then nothing changes."""
    refuse_changed(home.recordings_table, text_in(values, "seen"))
    data = home.data()
    names = recordings_of(data, keep_going=True)
    keys, columns = texts_in(values, "recording"), texts_in(values, "column")
    recording_of = {_key(home, recording): recording for recording in names}
    # A video that was added or removed meanwhile would shift the lines of all others.
    if sorted(keys) != sorted(recording_of):
        raise UserError("the recordings have changed", remedy="reload the page")
    cells = {column: texts_in(values, f"cell-{column}") for column in columns}
    if any(len(column) != len(keys) for column in cells.values()):
        raise UserError("the table is incomplete", remedy="reload the page")
    given: dict[Recorded, dict[str, str]] = {}
    for i, key in enumerate(keys):
        row = {column: cells[column][i] for column in columns}
        if not row.get("animal"):
            raise UserError(f"{names[recording_of[key]]}: name its animal")
        given[recording_of[key]] = row
    _write(home, _read_lines(data, names), given)


def fit_to_chambers(home: StudioHome) -> None:
    """After chambers have changed, give each recording its own line in recordings.csv.

    A chamber takes over what the line of its video says, apart from the animal.
    """
    if not home.recordings_table.is_file():
        return
    data = home.data()
    names = recordings_of(data, keep_going=True)
    lines = _read_lines(data, names)
    rows = _form_rows(home, data, names, lines)
    recording_of = {_key(home, recording): recording for recording in names}
    _write(home, lines, {recording_of[row.key]: row.cells for row in rows})


def _write(home: StudioHome, lines: _Lines, given: Mapping[Recorded, Mapping[str, str]]) -> None:
    """Write recordings.csv with these cells, and with all lines about other videos."""
    path = home.recordings_table
    if lines.column("video") is None:
        # Lines about animals become lines about recordings.
        lines.header.insert(0, "video")
        lines.rows = [["", *row] for row in lines.rows]
    # Lines about other videos stay where they are; new lines come last.
    rows = {i: row for i, row in enumerate(lines.rows) if i not in lines.about_videos}
    for number, (recording, cells) in enumerate(given.items()):
        place = lines.own.get(recording, len(lines.rows) + number)
        rows[place] = _row_of(home, lines, recording, cells)
    width = len(lines.header)
    table = [rows[place] + [""] * (width - len(rows[place])) for place in sorted(rows)]

    def check() -> None:
        # Read back as training reads it.
        data = home.data()
        subjects_of(data, recordings_of(data, keep_going=True), [], [])

    replace_file(home, path, lambda: write_table(path, lines.header, table), check)


def _row_of(
    home: StudioHome, lines: _Lines, recording: Recorded, cells: Mapping[str, str]
) -> list[str]:
    """The line of a recording with new cells, and the others as they were."""
    known = lines.known(recording)
    row = [] if known is None else list(lines.rows[known])
    # A new line repeats what the table says of its video or its animal.
    if recording not in lines.own:
        chamber = chamber_of(recording)
        lines.set_cell(row, "video", _relative(home, file_of(recording)))
        lines.set_cell(row, "chamber", "" if chamber is None else chamber.name)
    for name, value in cells.items():
        lines.set_cell(row, name, value)
    return row


def _read_lines(data: DataConfig, names: Mapping[Recorded, str]) -> _Lines:
    """The study's table of recordings. Raises `UserError` if it cannot be read."""
    if data.recordings is None:
        return _Lines()
    table = read_subjects(data.recordings)
    rows = [[subject.columns.get(name, "") for name in table.header] for subject in table.subjects]
    lines = _Lines(list(table.header), rows)
    if table.has_video:
        _match_videos(table, names, lines)
    else:
        row_of = {subject.line: i for i, subject in enumerate(table.subjects)}
        for recording, subject in table.lines_of(names).items():
            lines.similar[recording] = row_of[subject.line]
    return lines


def _match_videos(table: SubjectTable, names: Collection[Recorded], lines: _Lines) -> None:
    """Note which rows are about which recordings, also where a video has other chambers now."""
    videos = by_name({file: file.stem for file in map(file_of, names)})
    for i, subject in enumerate(table.subjects):
        files = named(subject.video, videos)
        written = folded(lines.cell(i, "chamber"))
        for recording in names:
            if file_of(recording) not in files:
                continue
            lines.about_videos.add(i)
            lines.similar.setdefault(recording, i)
            chamber = chamber_of(recording)
            # A video without chambers may say where it was filmed.
            if chamber is None or folded(chamber.name) == written:
                lines.own.setdefault(recording, i)


def _form_rows(
    home: StudioHome, data: DataConfig, names: Mapping[Recorded, str], lines: _Lines
) -> tuple[RecordingRow, ...]:
    animals = animals_of(data, names, {})
    columns = _shown_columns(lines.header)
    rows = []
    for recording, name in names.items():
        cells = dict.fromkeys(columns, "")
        known = lines.known(recording)
        if known is not None:
            cells |= {column: lines.cell(known, column) for column in columns}
        # A line about the whole video does not say who is in this chamber.
        if recording not in lines.own and chamber_of(recording) is not None:
            cells["animal"] = ""
        guessed = not cells["animal"]
        if guessed:
            cells["animal"] = animals[recording]
        rows.append(RecordingRow(_key(home, recording), name, cells, guessed))
    return tuple(rows)


def _shown_columns(header: Collection[str]) -> tuple[str, ...]:
    """The columns of the form: the usual ones, then all others of the table, by `column_key`."""
    # A column `Mouse ID` is shown as `animal`, and is written to where it stands.
    named_columns = columns_of(list(header))
    ours = {index: name for name, index in named_columns.items()}
    others = [ours.get(i, column_key(name)) for i, name in enumerate(header)]
    columns = [*USUAL, *(name for name in others if name not in _NOT_SHOWN)]
    return tuple(dict.fromkeys(columns))


def _key(home: StudioHome, recording: Recorded) -> str:
    """What a form calls a recording."""
    chamber = chamber_of(recording)
    file = _relative(home, file_of(recording))
    return file if chamber is None else f"{file}#{chamber.name}"


def _relative(home: StudioHome, video: Path) -> str:
    """A video's path below the folder of the videos, as tables write it."""
    return video.relative_to(home.videos_folder).as_posix()
