"""Which animal each recording of a study shows: from the table of recordings, or from names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.animals import animal_key
from dolorim.files.folders import find_whose, homes
from dolorim.files.recordings import Recorded, called, chamber_of
from dolorim.files.subjects import Subject, SubjectTable, animal_of, example, read_subjects


def subjects_of(
    config: DataConfig,
    names: Mapping[Recorded, str],
    assumptions: list[Finding],
    findings: list[Finding],
) -> dict[Recorded, Subject]:
    """The row of each recording in the table of recordings; empty if there is no such table."""
    if config.recordings is None:
        assumptions += find_whose(homes(config.videos, config.annotations), names).findings
        return {}
    path, table = config.recordings, read_subjects(config.recordings)
    if not table.has_animal:
        raise UserError(
            f"{path}: expected the columns video,animal[,...], found {', '.join(table.header)}"
        )
    subjects = table.lines_of(names)
    if not subjects and table.subjects:
        sides = example(table.subjects, names.values())
        raise UserError(
            f"{path}: none of its {len(table.subjects)} lines fits a recording: {sides}"
        )
    # A recording without an animal would count as one of its own and could leak into the test.
    _check_complete(path, table, subjects, names)
    findings += _unused_lines(path, table, subjects)
    n_animals = len({animal_key(subject.animal) for subject in subjects.values()})
    what = f"says whose the {len(subjects)} recordings are (animals: {n_animals})"
    assumptions.append(Finding("note", str(path), what, name="recordings-used"))
    return subjects


def _check_complete(
    path: Path,
    table: SubjectTable,
    subjects: Mapping[Recorded, Subject],
    names: Mapping[Recorded, str],
) -> None:
    """Raises `UserError` if a recording has no row, or its row no animal."""
    for subject in subjects.values():
        if not subject.animal:
            raise UserError(
                f"{path}, line {subject.line}: the animal of {subject.video} is missing"
            )
    lacking = [recording for recording in names if recording not in subjects]
    if lacking:
        what = "has no animal of the table in its name; rename it"
        if table.has_video:
            what = "has no line; add its animal"
        if len(lacking) > 1:
            what += f" (and those of {len(lacking) - 1} more)"
        raise UserError(f"{path}: {called(lacking[0])} {what}")


def _unused_lines(
    path: Path, table: SubjectTable, subjects: Mapping[Recorded, Subject]
) -> list[Finding]:
    """What to say about rows of the table that name no video here."""
    if not table.has_video:
        return []
    unused = [subject for subject in table.unused(subjects.values()) if subject.video]
    if not unused:
        return []
    name = "recording-without-video"
    # One name may be misspelled; many rows mean that the table is about a larger study.
    if len(unused) == 1:
        where = f"{path}, line {unused[0].line}"
        return [Finding("warning", where, f"{unused[0].video} is not among the videos", name=name)]
    what = (
        f"{len(unused)} of its {len(table.subjects)} lines name no video here "
        f"({unused[0].video}, ...)"
    )
    return [Finding("note", str(path), what, name=name)]


def animals_of(
    config: DataConfig, names: Mapping[Recorded, str], subjects: Mapping[Recorded, Subject]
) -> dict[Recorded, str]:
    """The animal of each recording: from the table, else from its name."""
    animals: dict[Recorded, str] = {}
    for recording, name in names.items():
        if recording in subjects:
            animals[recording] = subjects[recording].animal
        elif chamber_of(recording) is not None:
            # An animal's id in the name of a video with several animals is not that of each.
            animals[recording] = name
        else:
            animals[recording] = animal_of(name, config.animal_pattern)
    return animals


def streams_of(recording: Recorded, subjects: Mapping[Recorded, Subject]) -> tuple[str, ...]:
    """What the subject or stream of a recording may be called in label files of several animals.

    That is what the table says; for a chamber also its own name, or that of its animal.
    """
    stream, animal = "", ""
    if recording in subjects:
        stream, animal = subjects[recording].stream, subjects[recording].animal
    chamber = chamber_of(recording)
    names = (stream,) if chamber is None else (stream, chamber.name, animal)
    return tuple(name for name in names if name)


def several_spellings(spelled: Mapping[str, str]) -> list[Finding]:
    """Which different spellings of an id are taken for one animal."""
    findings = []
    for kept in dict.fromkeys(spelled.values()):
        spellings = [spelling for spelling, to in spelled.items() if to == kept]
        if len(spellings) > 1:
            what = f"{' and '.join(spellings)} are taken for one animal, {kept}"
            remedy = "if they are several, name them differently"
            findings.append(Finding("note", "animals", what, remedy, "one-animal"))
    return findings


def animals_without_table(
    names: Mapping[Recorded, str], animals: Mapping[Recorded, str], spelled: Mapping[str, str]
) -> Finding:
    """What is assumed about the animals if no table names them."""
    unnamed = [recording for recording, name in names.items() if animals[recording] == name]
    if unnamed:
        noun = "chamber" if chamber_of(unnamed[0]) else "video"
        which = f"each of {len(unnamed)} {noun}s ({called(unnamed[0])}, ...)"
        if len(unnamed) == len(names):
            which = f"each {noun}"
        what = f"no table says whose the videos are: {which} is taken for an animal of its own"
        remedy = (
            "name the animals in recordings.csv (video,animal), "
            "lest one of them is learned from and scored"
        )
        return Finding("warning", "animals", what, remedy, "animals-unknown")
    ids = list(dict.fromkeys(spelled[animal] for animal in animals.values()))
    shown = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
    what = f"no table says whose the videos are; the ids in their names are taken: {shown}"
    remedy = "or name them in recordings.csv (video,animal)"
    return Finding("note", "animals", what, remedy, "animals-named")
