"""A project folder: which videos there are, which label files belong to them, and whose they are."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
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
from dolorim.files.subjects import Subject, animal_of, example, read_subjects
from dolorim.labels.ethogram import PAIN, Ethogram
from dolorim.labels.ethogram_file import read_ethogram
from dolorim.labels.events import Events
from dolorim.labels.label_files import LabelFile
from dolorim.labels.matching import label_files
from dolorim.labels.placing import place_labels
from dolorim.labels.trials import Placement, Recording


@dataclass(frozen=True)
class Source:
    """A recording with its files, before anybody has counted its frames: `file` is its video, else its pose file."""

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
    ethogram: Ethogram
    sources: tuple[Source, ...]
    findings: tuple[Finding, ...] = ()
    # Which tables count, and what is taken for granted without one.
    assumptions: tuple[Finding, ...] = ()

    def place(
        self, source: Source, time_s: np.ndarray, config: DataConfig, promised: int | None = None
    ) -> tuple[Recording, Placement]:
        """Lay a source's label files on its frames, shown at `time_s` `(n_frames,)`, as `place_labels` does."""
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
    """Find a project's files and read its tables. Raises `UserError` where nothing could be learned from it.

    Without videos, the pose files are the recordings. With `keep_going`, a label file or a table that cannot be read is
    a finding, and the rest is opened.
    """
    ethogram = PAIN if config.classes is None else read_ethogram(config.classes)
    findings: list[Finding] = []
    names = recordings_of(config)
    poses = _poses(config, names, findings)
    noted = findings if keep_going else None
    labels: dict[Path, list[LabelFile | Events]] = {}
    lines: dict[Path, Subject] = {}
    assumptions = [_which_classes(config)] if config.annotations else []
    with noting(noted, "recordings-unreadable"):
        lines = _lines(config, names, assumptions, findings)
    with noting(noted, "labels-unreadable"):
        streams = {file: line.stream for file, line in lines.items() if line.stream}
        labels = label_files(config, names, ethogram, findings, noted, streams)
    animals = {
        f: lines[f].animal if f in lines else animal_of(n, config.animal_pattern)
        for f, n in names.items()
    }
    spelled = one_spelling(animals.values())
    assumptions += _about_animals(names, animals, spelled, config)
    sources = []
    for file in names:
        columns = lines[file].columns if file in lines else {}
        if columns:
            columns = {**columns, "animal": spelled[animals[file]]}
        sources.append(
            Source(file, spelled[animals[file]], tuple(labels.get(file, ())), columns, poses.get(file))
        )  # fmt: skip
    return Study(ethogram, tuple(sources), tuple(findings), tuple(assumptions))


def recordings_of(config: DataConfig) -> dict[Path, str]:
    """The recordings that the settings mean: the file of each, and its name. Without videos, they are pose files.

    Raises `UserError` where there are none.
    """
    if config.videos is not None:
        return {v: v.stem for v in find_videos([config.videos])}
    if config.dlc is None:
        raise UserError(
            "no videos given; name their folder with --videos DIR (or that of pose files with --dlc DIR)"
        )
    files = find_pose_files([config.dlc])
    return {f: name for name, f in sorted((recording_stem(f), f) for f in files)}


def _poses(config: DataConfig, names: dict[Path, str], findings: list[Finding]) -> dict[Path, Path]:
    """The pose file of each recording that has one."""
    if config.videos is None:
        assert config.dlc is not None
        find_poses(
            pose_files_below([config.dlc]), names.values(), findings
        )  # says which recordings have two
        return {f: f for f in names}
    poses = poses_of(
        [*names], pose_places([config.videos], config.dlc, [config.annotations]), findings
    )
    if config.dlc and not poses:
        what = f"no pose file here belongs to a video (looked for {next(iter(names.values()))}DLC_*.csv and the like)"
        findings.append(Finding("warning", str(config.dlc), what, name="pose-without-video"))
    return poses


def _which_classes(config: DataConfig) -> Finding:
    if config.classes is not None:
        return Finding(
            "note", str(config.classes), "says which behaviors there are", name="classes-used"
        )
    what = "no classes.csv or ethogram.toml lies beside the folders; the eight pain behaviors are meant"
    return Finding("note", "classes", what, "name another table with --classes", "classes-built-in")


def _lines(
    config: DataConfig, names: dict[Path, str], assumptions: list[Finding], findings: list[Finding]
) -> dict[Path, Subject]:
    """The line of each recording in the table that says whose they are; empty where there is no such table."""
    if config.recordings is None:
        assumptions += find_whose(homes(config.videos, config.annotations), names).findings
        return {}
    path, table = config.recordings, read_subjects(config.recordings)
    if not table.has_animal:
        raise UserError(
            f"{path}: expected the columns video,animal[,...], found {', '.join(table.header)}"
        )
    lines = table.lines_of(names)
    if not lines and table.subjects:
        sides = example(table.subjects, names.values())
        raise UserError(
            f"{path}: none of its {len(table.subjects)} lines fits a recording: {sides}"
        )
    nobody = next((s for s in lines.values() if not s.animal), None)
    if nobody is not None:
        raise UserError(f"{path}, line {nobody.line}: the animal of {nobody.video} is missing")
    lacking = [f for f in names if f not in lines]
    if lacking:
        who = (
            "has no line; add its animal"
            if table.has_video
            else "has no animal of the table in its name; rename it"
        )
        raise UserError(f"{path}: {lacking[0].name} {who} (and those of {len(lacking) - 1} more)")
    unused = [s for s in table.unused(lines.values()) if s.video] if table.has_video else []
    if len(unused) == 1:
        what = f"{unused[0].video} is not among the videos"
        findings.append(
            Finding(
                "warning", f"{path}, line {unused[0].line}", what, name="recording-without-video"
            )
        )
    elif unused:
        what = f"{len(unused)} of its {len(table.subjects)} lines name no video here ({unused[0].video}, ...)"
        findings.append(Finding("note", str(path), what, name="recording-without-video"))
    ids = len({animal_key(s.animal) for s in lines.values()})
    what = f"says whose the {len(lines)} recordings are (animals: {ids})"
    assumptions.append(Finding("note", str(path), what, name="recordings-used"))
    return lines


def _about_animals(
    names: dict[Path, str], animals: dict[Path, str], spelled: dict[str, str], config: DataConfig
) -> list[Finding]:
    """What is taken for one animal: by different spellings of its id, and where no table says whose recordings are."""
    found = []
    for kept in dict.fromkeys(spelled.values()):
        others = [n for n, to in spelled.items() if to == kept]
        if len(others) > 1:
            what = f"{' and '.join(others)} are taken for one animal, {kept}"
            found.append(
                Finding(
                    "note",
                    "animals",
                    what,
                    "if they are several, name them differently",
                    "one-animal",
                )
            )
    if config.recordings is not None or len(names) < 2:
        return found
    unnamed = [f for f, name in names.items() if animals[f] == name]
    if unnamed:
        many = (
            "each video"
            if len(unnamed) == len(names)
            else f"each of {len(unnamed)} videos ({unnamed[0].name}, ...)"
        )
        what = f"no table says whose the videos are: {many} is taken for an animal of its own"
        remedy = "name the animals in recordings.csv (video,animal), lest one of them is learned from and scored"
        found.append(Finding("warning", "animals", what, remedy, "animals-unknown"))
    else:
        ids = list(dict.fromkeys(spelled[a] for a in animals.values()))
        more = ", ..." if len(ids) > 3 else ""
        what = f"no table says whose the videos are; the ids in their names are taken: {', '.join(ids[:3])}{more}"
        found.append(
            Finding(
                "note",
                "animals",
                what,
                "or name them in recordings.csv (video,animal)",
                "animals-named",
            )
        )
    return found


def in_study_folder(folder: Path, config: DataConfig) -> DataConfig:
    """The same settings with the paths of a project folder: Videos/, Annotations/ and the tables beside them.

    A folder with neither Videos/ nor DLC/ is taken for a folder of videos.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    videos, dlc = config.videos or inside(folder, "videos"), config.dlc
    annotations = config.annotations or inside(folder, "annotations")
    places = [folder]
    if config.videos is not None and dlc is None:
        dlc = inside(folder, "dlc")  # of videos that lie elsewhere
    if videos is None and dlc is None:
        tracked = inside(folder, "dlc")
        if tracked is None or any(is_video(f) for f in folder.iterdir()):
            videos = folder
            places.append(home_of(folder))  # as for train, which is given the folder of the videos
        else:
            dlc = tracked
    config = dataclasses.replace(config, videos=videos, dlc=dlc, annotations=annotations)
    return _with_tables([*places, *homes(config.videos, config.annotations)], config)


def with_study_files(config: DataConfig) -> DataConfig:
    """The same settings with the tables beside the folders of videos, poses and label files, as these were named."""
    named = [f for f in (config.videos, config.annotations, config.dlc) if f is not None]
    inside_videos = [config.videos] if config.videos is not None else []
    return _with_tables([*homes(*named), *inside_videos], config)


def ethogram_beside(places: Sequence[Path]) -> Path | None:
    """The file of the ethogram in some folders. Raises `UserError` for two that differ."""
    files = tables_in(places, ETHOGRAMS)
    chosen = files[0] if files else None
    if chosen is not None and len(files) > 1:
        first = read_ethogram(chosen)
        for path in files[1:]:
            other = read_ethogram(path)
            if (other.raw, set(other.classes)) != (first.raw, set(first.classes)):
                raise UserError(
                    f"{chosen} and {path} name different behaviors; remove one, or say which counts with --classes"
                )
    return chosen


def _with_tables(places: Sequence[Path], config: DataConfig) -> DataConfig:
    classes = config.classes or ethogram_beside(places)
    recordings = config.recordings
    if recordings is None and (config.videos is not None or config.dlc is not None):
        names: dict[Path, str] = {}
        with contextlib.suppress(
            UserError
        ):  # whoever opens the project says that there are no recordings
            names = recordings_of(config)
        whose = find_whose(places, names)
        recordings = whose.table.path if whose.table else None
    return dataclasses.replace(config, classes=classes, recordings=recordings)


def unclaimed_poses(config: DataConfig, project: Study) -> list[Path]:
    """Pose files that track none of a project's recordings."""
    if config.videos is None:
        return []
    names = {folded(s.name): s.name for s in project.sources}
    files = pose_files_below(pose_places([config.videos], config.dlc, [config.annotations]))
    return [f for f in files if stem_of(f, names) is None]
