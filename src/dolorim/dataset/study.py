"""A study folder: its videos, the label files that belong to them, and the animals they show."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.animals import animal_key, one_spelling
from dolorim.files.folders import ETHOGRAMS, find_whose, homes, tables_in
from dolorim.files.naming import find_videos, folded, inside, is_video, noting
from dolorim.files.poses import (
    find_pose_files,
    find_poses,
    home_of,
    pose_files_below,
    pose_places,
    poses_of,
    recording_stem,
    stem_of,
)
from dolorim.files.subjects import Subject, SubjectTable, animal_of, example, read_subjects
from dolorim.labels.ethogram import PAIN, Ethogram
from dolorim.labels.ethogram_file import read_ethogram
from dolorim.labels.events import Events
from dolorim.labels.label_files import LabelFile
from dolorim.labels.matching import label_files
from dolorim.labels.placing import place_labels
from dolorim.labels.trials import Placement, Recording


@dataclass(frozen=True)
class Source:
    """A recording with its files, before its frames are counted.

    `file` is its video, or its pose file if there is no video. `columns` are those of the table of
    recordings.
    """

    file: Path
    animal: str
    labels: tuple[LabelFile | Events, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    pose: Path | None = None

    @property
    def video(self) -> Path | None:
        return None if self.file == self.pose else self.file

    @property
    def name(self) -> str:
        return recording_stem(self.file) if self.video is None else self.file.stem


@dataclass(frozen=True)
class Study:
    """The recordings of a study, and what was noticed in opening it.

    `assumptions` say which tables count, and what is assumed where there is none.
    """

    ethogram: Ethogram
    sources: tuple[Source, ...]
    findings: tuple[Finding, ...] = ()
    assumptions: tuple[Finding, ...] = ()

    def place(
        self, source: Source, time_s: np.ndarray, config: DataConfig, promised: int | None = None
    ) -> tuple[Recording, Placement]:
        """Assign the labels of a recording to its frames, shown at `time_s` `(frames,)`.

        `promised` is the number of frames that the header of a damaged video claims. The placement
        holds what `place_labels` noticed.
        """
        placement = place_labels(source.labels, time_s, config, self.ethogram, promised)
        recording = Recording(
            source.name,
            source.animal,
            placement.labels,
            placement.trials,
            source.columns,
            source.file,
        )
        return recording, placement


def open_study(config: DataConfig, keep_going: bool = False) -> Study:
    """Find the files of a study and read its tables.

    Without videos, the pose files are the recordings. With `keep_going`, a label file or a table
    that cannot be read becomes a finding, and the rest is opened; otherwise it raises `UserError`,
    as does a study without recordings.
    """
    ethogram = PAIN if config.classes is None else read_ethogram(config.classes)
    findings: list[Finding] = []
    assumptions: list[Finding] = []
    if config.annotations:
        assumptions.append(_which_classes(config))
    names = recordings_of(config)
    poses = _poses(config, names, findings)
    noted = findings if keep_going else None
    subjects: dict[Path, Subject] = {}
    labels: dict[Path, list[LabelFile | Events]] = {}
    with noting(noted, "recordings-unreadable"):
        subjects = _subjects_of(config, names, assumptions, findings)
    with noting(noted, "labels-unreadable"):
        # The table may say which stream of a label file is about the recording's animal.
        streams = {file: subject.stream for file, subject in subjects.items() if subject.stream}
        labels = label_files(config, names, ethogram, findings, noted, streams)
    animals = _animals_of(config, names, subjects)
    # Different spellings of an id are one animal; apart, it could be learned from and scored.
    spelled = one_spelling(animals.values())
    assumptions += _several_spellings(spelled)
    if config.recordings is None and len(names) > 1:
        assumptions.append(_animals_without_table(names, animals, spelled))
    sources = []
    for file in names:
        animal = spelled[animals[file]]
        columns: dict[str, str] = {}
        if file in subjects and subjects[file].columns:
            columns = {**subjects[file].columns, "animal": animal}
        file_labels = tuple(labels.get(file, ()))
        sources.append(Source(file, animal, file_labels, columns, poses.get(file)))
    return Study(ethogram, tuple(sources), tuple(findings), tuple(assumptions))


def recordings_of(config: DataConfig) -> dict[Path, str]:
    """The file and the name of each recording. Without videos, pose files are the recordings.

    Raises `UserError` if there are none.
    """
    if config.videos is not None:
        return {video: video.stem for video in find_videos([config.videos])}
    if config.dlc is None:
        raise UserError(
            "no videos given; name their folder with --videos DIR "
            "(or that of pose files with --dlc DIR)"
        )
    pose_files = find_pose_files([config.dlc])
    by_name = sorted((recording_stem(file), file) for file in pose_files)
    return {file: name for name, file in by_name}


def _poses(config: DataConfig, names: dict[Path, str], findings: list[Finding]) -> dict[Path, Path]:
    """The pose file of each recording that has one."""
    if config.videos is None:
        assert config.dlc is not None
        # Called for its findings: which recordings have two pose files.
        find_poses(pose_files_below([config.dlc]), names.values(), findings)
        return {file: file for file in names}
    places = pose_places([config.videos], config.dlc, [config.annotations])
    poses = poses_of([*names], places, findings)
    if config.dlc and not poses:
        example_name = next(iter(names.values()))
        what = (
            "no pose file here belongs to a video "
            f"(looked for {example_name}DLC_*.csv and the like)"
        )
        findings.append(Finding("warning", str(config.dlc), what, name="pose-without-video"))
    return poses


def _which_classes(config: DataConfig) -> Finding:
    if config.classes is not None:
        return Finding(
            "note", str(config.classes), "says which behaviors there are", name="classes-used"
        )
    what = (
        "no classes.csv or ethogram.toml lies beside the folders; "
        "the eight pain behaviors are meant"
    )
    return Finding("note", "classes", what, "name another table with --classes", "classes-built-in")


def _subjects_of(
    config: DataConfig, names: dict[Path, str], assumptions: list[Finding], findings: list[Finding]
) -> dict[Path, Subject]:
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
    path: Path, table: SubjectTable, subjects: Mapping[Path, Subject], names: Mapping[Path, str]
) -> None:
    """Raises `UserError` if a recording has no row, or its row no animal."""
    for subject in subjects.values():
        if not subject.animal:
            raise UserError(
                f"{path}, line {subject.line}: the animal of {subject.video} is missing"
            )
    lacking = [file for file in names if file not in subjects]
    if lacking:
        what = "has no animal of the table in its name; rename it"
        if table.has_video:
            what = "has no line; add its animal"
        raise UserError(f"{path}: {lacking[0].name} {what} (and those of {len(lacking) - 1} more)")


def _unused_lines(
    path: Path, table: SubjectTable, subjects: Mapping[Path, Subject]
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


def _animals_of(
    config: DataConfig, names: Mapping[Path, str], subjects: Mapping[Path, Subject]
) -> dict[Path, str]:
    """The animal of each recording: from the table, else from its name."""
    animals = {}
    for file, name in names.items():
        if file in subjects:
            animals[file] = subjects[file].animal
        else:
            animals[file] = animal_of(name, config.animal_pattern)
    return animals


def _several_spellings(spelled: Mapping[str, str]) -> list[Finding]:
    """Which different spellings of an id are taken for one animal."""
    findings = []
    for kept in dict.fromkeys(spelled.values()):
        spellings = [spelling for spelling, to in spelled.items() if to == kept]
        if len(spellings) > 1:
            what = f"{' and '.join(spellings)} are taken for one animal, {kept}"
            remedy = "if they are several, name them differently"
            findings.append(Finding("note", "animals", what, remedy, "one-animal"))
    return findings


def _animals_without_table(
    names: Mapping[Path, str], animals: Mapping[Path, str], spelled: Mapping[str, str]
) -> Finding:
    """What is assumed about the animals if no table names them."""
    unnamed = [file for file, name in names.items() if animals[file] == name]
    if unnamed:
        which = f"each of {len(unnamed)} videos ({unnamed[0].name}, ...)"
        if len(unnamed) == len(names):
            which = "each video"
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


def in_study_folder(folder: Path, config: DataConfig) -> DataConfig:
    """The same settings with the paths of a study: Videos/, Annotations/ and tables beside them.

    A folder with neither Videos/ nor DLC/ is itself the folder of videos. Raises `UserError` if
    there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    videos, dlc = config.videos or inside(folder, "videos"), config.dlc
    annotations = config.annotations or inside(folder, "annotations")
    places = [folder]
    if dlc is None and config.videos is not None:
        # The videos lie elsewhere, and their poses here.
        dlc = inside(folder, "dlc")
    elif dlc is None and videos is None:
        pose_folder = inside(folder, "dlc")
        if pose_folder is not None and not _holds_videos(folder):
            dlc = pose_folder
        else:
            videos = folder
            # Training is given the folder of the videos and finds the tables in the same places.
            places.append(home_of(folder))
    config = dataclasses.replace(config, videos=videos, dlc=dlc, annotations=annotations)
    return _with_tables([*places, *homes(config.videos, config.annotations)], config)


def with_study_files(config: DataConfig) -> DataConfig:
    """The same settings with the tables that lie beside the folders named in them."""
    named = [f for f in (config.videos, config.annotations, config.dlc) if f is not None]
    places = homes(*named)
    if config.videos is not None:
        places = [*places, config.videos]
    return _with_tables(places, config)


def ethogram_beside(places: Sequence[Path]) -> Path | None:
    """The ethogram file in some folders. Raises `UserError` if two of them differ."""
    files = tables_in(places, ETHOGRAMS)
    if not files:
        return None
    chosen, *others = files
    for path in others:
        first, other = read_ethogram(chosen), read_ethogram(path)
        if (other.raw, set(other.classes)) != (first.raw, set(first.classes)):
            raise UserError(
                f"{chosen} and {path} name different behaviors; "
                "remove one, or say which counts with --classes"
            )
    return chosen


def unclaimed_poses(config: DataConfig, study: Study) -> list[Path]:
    """Pose files that belong to none of a study's recordings."""
    if config.videos is None:
        return []
    names = {folded(s.name): s.name for s in study.sources}
    files = pose_files_below(pose_places([config.videos], config.dlc, [config.annotations]))
    return [f for f in files if stem_of(f, names) is None]


def _holds_videos(folder: Path) -> bool:
    return any(is_video(file) for file in folder.iterdir())


def _with_tables(places: Sequence[Path], config: DataConfig) -> DataConfig:
    classes = config.classes or ethogram_beside(places)
    recordings = config.recordings
    if recordings is None and (config.videos is not None or config.dlc is not None):
        names: dict[Path, str] = {}
        with contextlib.suppress(UserError):  # `open_study` reports that there are no recordings
            names = recordings_of(config)
        whose = find_whose(places, names)
        recordings = whose.table.path if whose.table else None
    return dataclasses.replace(config, classes=classes, recordings=recordings)
