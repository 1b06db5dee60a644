"""A study as files: a folder of predictions or of label files, `groups.csv`, and stimulus times."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.animals import animal_key, one_spelling
from dolorim.files.naming import by_name, find_videos, folded, named, spellings
from dolorim.files.recordings import Recorded, chamber_of, name_recordings
from dolorim.files.subjects import (
    Subject,
    SubjectTable,
    animal_of,
    example,
    read_subjects,
)
from dolorim.files.tables import Table, read_table
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.ethogram_file import given_ethogram
from dolorim.labels.gaps import warn_of_gaps
from dolorim.labels.label_folder import label_paths, names_of
from dolorim.reporting.observations import Observations, ObservedRecording, order_groups
from dolorim.reporting.study_labels import Pieces, label_pieces, predicted_pieces, predicted_stems
from dolorim.reporting.timing import observe
from dolorim.video.chambers import chamber_tables_beside, chambers_of

_LATEST_STIMULUS_S = 1e7  # four months: a larger number is no time in a recording


@dataclass(frozen=True)
class _Files:
    """What a folder holds of the recordings that the table of groups names."""

    read: Pieces
    classes: tuple[str, ...]
    subjects: dict[str, Subject]
    """The line of the table for each recording."""
    absent: list[str]
    """Files that the table does not name."""
    names: list[str]
    """All recordings in the folder."""
    merging: str = ""


def read_observations(
    folder: Path,
    groups: Path,
    classes: Path | None = None,
    rate_hz: float | None = None,
    control: str | None = None,
    labels: DataConfig | None = None,
    times_of: Callable[[Path], np.ndarray] | None = None,
    factors: Sequence[str] = (),
) -> Observations:
    """Read all recordings of a folder and who is in which group.

    Pieces of a session are joined, and time 0 is the start that the table gives (`observe`). A
    column `session` among the `factors` says when an animal was measured, and joins nothing.
    A file that cannot be read is among the failures. `labels` says how label files are read, as in
    `train`; where it names videos, `times_of` gives the timestamps of their frames. Raises
    `UserError` where nothing is left to report on.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: there is no such folder; name one that predict has written, or one of "
            f"label files"
        )
    # The table of groups decides which recordings count; files that it does not name are noted.
    table = _read_groups(groups)
    # A folder of predictions may hold tables of other kinds beside them, so it is tried first.
    stems = predicted_stems(folder)
    if stems:
        files = _predictions(folder, table, stems)
    else:
        config = labels or DataConfig(classes=classes)
        files = _label_files(folder, table, config, given_ethogram(classes), rate_hz, times_of)
    from_start = labels is not None and labels.label_origin == "start" and not stems
    recordings, timing = observe(
        files.read.pieces, files.subjects, table, from_start, joins="session" not in factors
    )
    if not recordings:
        reason = _why_none(table, files)
        raise UserError(f"{folder}: no recording here that {groups} names{reason}")
    findings = [
        *files.read.findings,
        *timing,
        *_merged(files.merging),
        *_left_out(files.absent, groups.name),
        *_unused(table, files.subjects.values(), folder.name),
    ]
    return Observations(
        files.classes,
        _groups_in(recordings, table, control),
        tuple(recordings),
        tuple(findings),
        tuple(files.read.failures),
        files.merging,
    )


def _groups_in(
    recordings: Iterable[ObservedRecording], table: SubjectTable, control: str | None
) -> tuple[str, ...]:
    """The groups that have recordings, the control first. Raises `UserError` if it is none."""
    present = {recording.group for recording in recordings}
    _refuse_spellings(table.path, "group", present)
    names = dict.fromkeys(subject.group for subject in table.subjects)
    order = [name for name in names if name in present]
    if control is not None and control not in order:
        raise UserError(f"--control {control}: no such group; there are {', '.join(order)}")
    return order_groups(order, control)


def _why_none(table: SubjectTable, files: _Files) -> str:
    if files.read.failures:
        return f"; {_most_common(files.read.failures)}"
    return f": {example(table.subjects, files.names)}"


def _most_common(failures: Sequence[tuple[Path, str]]) -> str:
    """Why most files failed, in the words of the first of these."""
    reasons = [reason.removeprefix(str(path)) for path, reason in failures]
    # Reasons begin with the name of their file; without it, equal ones can be counted.
    common, times = Counter(reasons).most_common(1)[0]
    _, first = failures[reasons.index(common)]
    text = f"the first that failed: {first}"
    if times > 1:
        text += f" ({times} files failed alike)"
    return text


def _predictions(folder: Path, table: SubjectTable, stems: list[str]) -> _Files:
    """Read the bouts of the predicted recordings that the table of groups names."""
    subjects = _subjects_of(table, stems)
    absent = [f"{stem}.bouts.csv" for stem in stems if stem not in subjects]
    read, classes = predicted_pieces(folder, [stem for stem in stems if stem in subjects])
    return _Files(read, classes, subjects, absent, stems)


def _label_files(
    folder: Path,
    table: SubjectTable,
    config: DataConfig,
    ethogram: Ethogram,
    rate_hz: float | None,
    times_of: Callable[[Path], np.ndarray] | None,
) -> _Files:
    """Read the label files of the recordings that the table of groups names."""
    # With videos, labels are placed by the times of their frames.
    videos: dict[Recorded, str] = {}
    if config.videos is not None:
        files = find_videos([config.videos])
        beside = chamber_tables_beside([config.videos], config.chambers)
        given = dataclasses.replace(beside, recordings=table.path)
        videos = name_recordings(files, chambers_of(files, given).by_video)
    else:
        times_of = None  # names in label files are no videos that could be opened
    # The name of a label file alone does not tell which part of it is the name of its recording.
    known = _known_names(table, videos.values())
    meant = {path: names_of(path, config).meant(known) for path in label_paths(folder)}
    names = _different_names(meant.values())
    recordings: dict[Recorded, str] = videos or {Path(name): name for name in names}
    subjects = _subjects_of(table, list(recordings.values()))
    paths, absent = _split_by_subject(meant, subjects)
    if any(chamber_of(recording) is not None for recording in recordings):
        # Names of files and the subjects in them tell chambers apart when they are read.
        paths, absent = [*meant], []
    wanted = {recording: name for recording, name in recordings.items() if name in subjects}
    streams: dict[Recorded, tuple[str, ...]] = {}
    for recording, name in wanted.items():
        subject, chamber = subjects[name], chamber_of(recording)
        if subject.stream:
            streams[recording] = (subject.stream,)
        elif chamber is not None:
            streams[recording] = (chamber.name, subject.animal)
    read = label_pieces(paths, wanted, config, ethogram, rate_hz, times_of, streams)
    read.findings += warn_of_gaps(read.open_shares, config.label_gaps, ethogram)
    return _Files(read, ethogram.classes, subjects, absent, names, ethogram.merging_note())


def _known_names(table: SubjectTable, videos: Iterable[str]) -> set[str]:
    """All spellings of the recordings that the videos and the table of groups name."""
    known = {folded(stem) for stem in videos}
    for subject in table.subjects:
        known |= set(spellings(subject.video))
    return known


def _split_by_subject(
    meant: Mapping[Path, Iterable[str]], subjects: Iterable[str]
) -> tuple[list[Path], list[str]]:
    """The label files of recordings that are in the table, and the names of the other files.

    `meant` has the recordings that each file may be about.
    """
    present = {folded(name) for name in subjects}
    paths, absent = [], []
    for path, names in meant.items():
        if present.isdisjoint(folded(name) for name in names):
            absent.append(path.name)
        else:
            paths.append(path)
    return paths, absent


def _different_names(names_by_file: Iterable[Iterable[str]]) -> list[str]:
    """Names that differ in more than their spelling, each as it was spelled last."""
    names: dict[str, str] = {}
    for of_file in names_by_file:
        names.update({folded(name): name for name in of_file})
    return list(names.values())


def read_stimuli(path: Path, observations: Observations) -> dict[tuple[str, str], list[float]]:
    """Times of stimuli in seconds by (video, trial), from `video,onset_s[,trial]`.

    Lines about other recordings are left out. Raises `UserError` for a time that is none.
    """
    table = read_table(path)
    video = table.column("video", "file", "recording")
    onset = table.column("onset_s", "time_s")
    trial = table.column("trial")
    if video is None or onset is None:
        header = ", ".join(table.header)
        raise UserError(f"{path}: expected the columns video,onset_s[,trial], found {header}")
    known = {(recording.video, recording.trial) for recording in observations.recordings}
    names = by_name({Path(r.video): r.video for r in observations.recordings})
    onsets_s: dict[tuple[str, str], list[float]] = defaultdict(list)
    for line, row in zip(table.lines, table.rows, strict=True):
        seconds = _stimulus_s(path, table, line, row[onset], onset)
        videos = [file.name for file in named(row[video], names)]
        # A recording that is one piece has no trials, whatever the table counts.
        trials = [""]
        if trial is not None:
            trials.insert(0, row[trial])
        place = _first_known(itertools.product(videos, trials), known)
        if place is not None:
            onsets_s[place].append(seconds)
    return {place: sorted(times_s) for place, times_s in onsets_s.items()}


def _first_known(
    places: Iterable[tuple[str, str]], known: Collection[tuple[str, str]]
) -> tuple[str, str] | None:
    return next((place for place in places if place in known), None)


def _stimulus_s(path: Path, table: Table, line: int, text: str, column: int) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < _LATEST_STIMULUS_S:
        where = f"{path}, line {line}, column {table.header[column]}"
        raise UserError(f"{where}: expected seconds, found {text!r}")
    return seconds


def _read_groups(path: Path) -> SubjectTable:
    table = read_subjects(path)
    if not table.has_group:
        header = ", ".join(table.header)
        raise UserError(
            f"{path}: expected the columns file,animal,group (or animal,group), found {header}"
        )
    if not table.subjects:
        raise UserError(f"{path}: has a header but no rows")
    return table


def _subjects_of(table: SubjectTable, videos: Sequence[str]) -> dict[str, Subject]:
    """The line of each recording, with one spelling of each animal's id.

    Raises `UserError` where a line lacks the animal or the group.
    """
    # Without a column of videos, a recording's name tells its animal.
    different = list(dict.fromkeys(videos))
    lines = table.lines_of({Path(video): video for video in different})
    subjects: dict[str, Subject] = {}
    for video in different:
        subject = lines.get(Path(video))
        if subject is None:
            continue
        animal = subject.animal
        if not table.has_animal:
            animal = animal_of(video, DataConfig.animal_pattern)
        if not animal or not subject.group:
            where = f"{table.path}, line {subject.line}"
            raise UserError(f"{where}: a recording, an animal or a group is missing")
        subjects[video] = dataclasses.replace(subject, animal=animal)
    # "M1" and "m1" are one animal: a table of groups is typed by hand.
    spelled = one_spelling(subject.animal for subject in subjects.values())
    return {
        video: dataclasses.replace(subject, animal=spelled[subject.animal])
        for video, subject in subjects.items()
    }


def _merged(note: str) -> list[Finding]:
    """Merging behaviors is a scientific decision, so it is named wherever it was made."""
    if not note:
        return []
    return [Finding("note", "behaviors", note)]


def _left_out(names: Sequence[str], table: str) -> list[Finding]:
    if not names:
        return []
    if len(names) == 1:
        return [Finding("warning", names[0], f"is not in {table}", "left out")]
    what = f"does not name {len(names)} recordings ({names[0]}, ...)"
    return [Finding("warning", table, what, "left out")]


def _unused(table: SubjectTable, used: Iterable[Subject], folder: str) -> list[Finding]:
    """Lines of the table that have no recording: all of them are one finding."""
    lines = table.unused(used)
    if not lines:
        return []
    first = lines[0].video or lines[0].animal
    what = f"{first} has no recording in {folder}"
    if len(lines) > 1:
        count = f"{len(lines)} of its {len(table.subjects)} lines"
        what = f"{count} have no recording in {folder} ({first}, ...)"
    return [Finding("warning", table.path.name, what)]


def _refuse_spellings(path: Path, what: str, values: Iterable[str]) -> None:
    """Raises `UserError` where two values differ in letter case or spaces alone: one, or two?"""
    # `Saline` and `saline` may be one group or two, and only the user can tell.
    known: dict[str, str] = {}
    for value in sorted(set(values)):
        other = known.setdefault(animal_key(value), value)
        if other != value:
            raise UserError(
                f"{path}: {other!r} and {value!r} differ in letter case or spaces alone; if they "
                f"are one {what}, spell them alike, else give them different names"
            )


def check_factor(
    path: Path, observations: Observations, factor: str, between_animals: bool
) -> None:
    """Check that a column has a value for each recording and, `between_animals`, one per animal.

    Raises `UserError` where it has not.
    """
    values: dict[str, tuple[str, str]] = {}
    for recording in observations.recordings:
        value = recording.columns.get(factor)
        if not value:
            raise UserError(
                f"{path}: expected a column {factor} with a value for {recording.video}; there is "
                f"none"
            )
        other, video = values.setdefault(recording.animal, (value, recording.video))
        if between_animals and animal_key(other) != animal_key(value):
            raise UserError(
                f"{path}: --second_factor {factor} has to be one value per animal; animal "
                f"{recording.animal} has {other} ({video}) and {value} ({recording.video})"
            )
    given = (recording.columns[factor] for recording in observations.recordings)
    _refuse_spellings(path, f"value of {factor}", given)
