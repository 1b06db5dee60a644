"""A study folder: its videos, the label files that belong to them, and the animals they show."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dolorim.config import LABEL_FILES, LABEL_TIMES, DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.dataset.study_animals import (
    animals_of,
    animals_without_table,
    several_spellings,
    streams_of,
    subjects_of,
)
from dolorim.files.animals import one_spelling
from dolorim.files.folders import (
    ETHOGRAMS,
    chambers_beside,
    find_whose,
    homes,
    recordings_beside,
    tables_in,
)
from dolorim.files.naming import find_videos, folded, inside, is_video, noting
from dolorim.files.poses import (
    LOOKED_FOR,
    find_pose_files,
    find_poses,
    home_of,
    pose_files_below,
    pose_places,
    poses_of,
    recording_stem,
    stem_of,
)
from dolorim.files.recordings import (
    Chamber,
    Recorded,
    chamber_of,
    file_of,
    name_in,
    name_recordings,
    recorded,
)
from dolorim.files.start_times import start_of
from dolorim.files.subjects import Subject
from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.ethogram_file import given_ethogram, read_ethogram
from dolorim.labels.events import Events
from dolorim.labels.label_files import LabelFile
from dolorim.labels.matching import label_files
from dolorim.labels.placing import place_labels
from dolorim.labels.trials import Placement, Recording
from dolorim.video.chambers import chambers_of, in_chamber
from dolorim.video.picture_size import PictureSize, of_other_shape


@dataclass(frozen=True)
class Source:
    """A recording with its files, before its frames are counted.

    `file` is its video, or its pose file if there is no video; `chamber` is the part of it that the
    recording is, if not all. `columns` are those of the table of recordings. The labels of one that
    is `corrected` come from the labeling room.
    """

    file: Path
    animal: str
    labels: tuple[LabelFile | Events, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    pose: Path | None = None
    chamber: Chamber | None = None
    corrected: bool = False

    @property
    def video(self) -> Path | None:
        return None if self.file == self.pose else self.file

    @property
    def name(self) -> str:
        stem = recording_stem(self.file) if self.video is None else self.file.stem
        return name_in(stem, self.chamber)

    @property
    def recorded(self) -> Recorded:
        """What identifies the recording: its file, or the chamber of it."""
        return recorded(self.file, self.chamber)

    def settings(self, config: DataConfig) -> DataConfig:
        """The settings for reading this recording: those of the study, in its chamber."""
        return in_chamber(config, self.chamber)


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
        self,
        source: Source,
        time_s: np.ndarray,
        config: DataConfig,
        promised: int | None = None,
        sizes: Sequence[PictureSize] = (),
    ) -> tuple[Recording, Placement]:
        """Assign the labels of a recording to its frames, shown at `time_s` `(frames,)`.

        `promised` is the number of frames that the header of a damaged video claims. With the
        `sizes` of its pictures, frames of another shape than the first one lose their labels, as
        they show another view. The placement holds what `place_labels` noticed.
        """
        if source.corrected:
            config = _of_corrections(config)
        start = None
        if config.label_origin == "start":
            start = start_of(source.columns, source.file)
        skipped = 0 if start is None else start.in_frames(time_s)
        left = None if promised is None else max(promised - skipped, 0)
        placement = place_labels(source.labels, time_s[skipped:], config, self.ethogram, left)
        if skipped:
            placement = placement.later(skipped)
        other = of_other_shape(sizes, len(time_s))
        if other.any():
            labels = np.where(other, UNLABELED, placement.labels).astype(np.int16)
            placement = dataclasses.replace(placement, labels=labels)
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
    ethogram = given_ethogram(config.classes)
    findings: list[Finding] = []
    assumptions: list[Finding] = []
    if config.annotations or config.corrections:
        assumptions.append(_which_classes(config))
    names = recordings_of(config, findings, keep_going)
    poses = _poses(config, names, findings)
    noted = None
    if keep_going:
        noted = findings
    subjects: dict[Recorded, Subject] = {}
    labels: dict[Recorded, list[LabelFile | Events]] = {}
    with noting(noted, "recordings-unreadable"):
        subjects = subjects_of(config, names, assumptions, findings)
    with noting(noted, "labels-unreadable"):
        # The table may say which stream of a label file is about the recording's animal.
        streams = {recording: streams_of(recording, subjects) for recording in names}
        labels = label_files(config, names, ethogram, findings, noted, streams)
    corrected: dict[Recorded, list[LabelFile | Events]] = {}
    if config.corrections is not None:
        with noting(noted, "labels-unreadable"):
            rows = _of_corrections(config)
            corrected = label_files(rows, names, ethogram, findings, noted)
    sources = _sources(names, {**labels, **corrected}, poses, subjects, config, assumptions)
    sources = [dataclasses.replace(s, corrected=s.recorded in corrected) for s in sources]
    return Study(ethogram, tuple(sources), tuple(findings), tuple(assumptions))


def _of_corrections(config: DataConfig) -> DataConfig:
    """The settings for label files of the labeling room, which have a row for each frame."""
    plain = DataConfig()
    usual = {name: getattr(plain, name) for name in (*LABEL_FILES, *LABEL_TIMES, "label_origin")}
    return dataclasses.replace(config, annotations=config.corrections, **usual)


def _sources(
    names: Mapping[Recorded, str],
    labels: Mapping[Recorded, Sequence[LabelFile | Events]],
    poses: Mapping[Path, Path],
    subjects: Mapping[Recorded, Subject],
    config: DataConfig,
    assumptions: list[Finding],
) -> list[Source]:
    """The recordings with all that belongs to them; notes what is assumed about their animals."""
    animals = animals_of(config, names, subjects)
    # Different spellings of an id are one animal; apart, it could be learned from and scored.
    spelled = one_spelling(animals.values())
    assumptions += several_spellings(spelled)
    if config.recordings is None and len(names) > 1:
        assumptions.append(animals_without_table(names, animals, spelled))
    sources = []
    for recording in names:
        animal = spelled[animals[recording]]
        # Only what the table says of this recording; its animal in the spelling that counts.
        columns: dict[str, str] = {}
        if recording in subjects and subjects[recording].columns:
            columns = {**subjects[recording].columns, "animal": animal}
        file, its_labels = file_of(recording), tuple(labels.get(recording, ()))
        chamber = chamber_of(recording)
        sources.append(Source(file, animal, its_labels, columns, poses.get(file), chamber))
    return sources


def recordings_of(
    config: DataConfig, findings: list[Finding] | None = None, keep_going: bool = False
) -> dict[Recorded, str]:
    """The name of each recording. Without videos, pose files are the recordings.

    Raises `UserError` if there are none; also if the chambers of a video cannot be found, which
    becomes a finding with `keep_going`.
    """
    if findings is None:
        findings = []
    if config.videos is not None:
        videos = find_videos([config.videos])
        return _in_chambers(videos, config, findings, keep_going)
    if config.dlc is None:
        raise UserError(
            "no videos given; name their folder with --videos DIR "
            "(or that of pose files with --dlc DIR)"
        )
    pose_files = find_pose_files([config.dlc])
    # In the order of the names that are shown, not of the folders.
    by_name = sorted((recording_stem(file), file) for file in pose_files)
    return {file: name for name, file in by_name}


def _in_chambers(
    videos: Sequence[Path], config: DataConfig, findings: list[Finding], keep_going: bool
) -> dict[Recorded, str]:
    """The recordings in some videos, with their names."""
    chambers = chambers_of(videos, config)
    findings += chambers.findings
    for reason in chambers.refused.values():
        error = UserError(reason)
        if not keep_going:
            raise error
        findings.append(Finding.from_error(error, "chambers-unsure"))
    return name_recordings(videos, chambers.by_video)


def _poses(
    config: DataConfig, names: Mapping[Recorded, str], findings: list[Finding]
) -> dict[Path, Path]:
    """The pose file of each video that has one; of a recording without video, its own file."""
    files = list(dict.fromkeys(map(file_of, names)))
    if config.videos is None:
        assert config.dlc is not None
        # Called for its findings: which recordings have two pose files.
        find_poses(pose_files_below([config.dlc]), names.values(), findings)
        return {file: file for file in files}
    places = pose_places([config.videos], config.dlc, [config.annotations])
    poses = poses_of(files, places, findings)
    if config.dlc and not poses:
        pattern = LOOKED_FOR.replace("<video>", files[0].stem)
        what = f"no pose file here belongs to a video (looked for {pattern})"
        findings.append(Finding("warning", str(config.dlc), what, name="pose-without-video"))
    return poses


def _which_classes(config: DataConfig) -> Finding:
    """Where the behaviors of the study come from."""
    if config.classes is not None:
        return Finding(
            "note", str(config.classes), "says which behaviors there are", name="classes-used"
        )
    what = (
        "no classes.csv or ethogram.toml lies beside the folders; "
        "the eight pain behaviors are meant"
    )
    return Finding("note", "classes", what, "name another table with --classes", "classes-built-in")


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
    places = homes(config.videos, config.annotations, config.dlc)
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
    names = {folded(s.file.stem): s.name for s in study.sources}
    files = pose_files_below(pose_places([config.videos], config.dlc, [config.annotations]))
    return [f for f in files if stem_of(f, names) is None]


def _holds_videos(folder: Path) -> bool:
    return any(is_video(file) for file in folder.iterdir())


def _with_tables(places: Sequence[Path], config: DataConfig) -> DataConfig:
    classes = config.classes or ethogram_beside(places)
    chambers = config.chambers
    if chambers is None:
        table = chambers_beside(places)
        chambers = None if table is None else str(table)
    config = dataclasses.replace(config, classes=classes, chambers=chambers)
    if config.recordings is None and (config.videos is not None or config.dlc is not None):
        names: dict[Recorded, str] = {}
        # A recordings.csv may name chambers, which are recordings of their own.
        beside = recordings_beside(places)
        with contextlib.suppress(UserError):  # `open_study` reports that there are no recordings
            names = recordings_of(dataclasses.replace(config, recordings=beside))
        whose = find_whose(places, names)
        recordings = whose.table.path if whose.table else None
        config = dataclasses.replace(config, recordings=recordings)
    return config
