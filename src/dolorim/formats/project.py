"""A project folder: which videos there are, which label files belong to them, and whose they are."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.ethogram import PAIN, Ethogram
from dolorim.core.findings import Finding
from dolorim.core.recording import Placement, Recording, place_trials
from dolorim.files.naming import by_name, find_videos, inside, is_video, named, noting
from dolorim.files.table import read_table
from dolorim.formats.annotations import gap_class
from dolorim.formats.ethogram_file import read_ethogram
from dolorim.formats.events import Conflicts, Events, cut_to
from dolorim.formats.labels import LabelFile
from dolorim.formats.project_labels import label_files
from dolorim.formats.tracking import find_poses, pose_files_below, recording_stem


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
class Project:
    ethogram: Ethogram
    sources: tuple[Source, ...]
    findings: tuple[Finding, ...] = ()

    def place(
        self, source: Source, n_frames: int, config: DataConfig, time_s: np.ndarray | None = None
    ) -> tuple[Recording, Placement]:
        """Lay a source's label files on its true number of frames; labels with times need `time_s` `(n_frames,)`."""
        everything = [f for s in self.sources for f in s.labels if isinstance(f, LabelFile)]
        conflicts = Conflicts(config.on_conflict)
        gaps = gap_class(config, self.ethogram)
        files = [
            cut_to(f, n_frames, conflicts)
            if isinstance(f, LabelFile)
            else f.on_frames(n_frames, time_s, gaps, conflicts)
            for f in source.labels
        ]
        trials = [f.counted_from_zero(config.trial_length, config.label_context, everything) for f in files]
        placement = place_trials(
            trials, n_frames, config.trial_layout, length=config.trial_length, context=config.label_context
        )
        placement = dataclasses.replace(placement, findings=tuple(conflicts.found))
        recording = Recording(
            source.name, source.animal, placement.labels, placement.trials, source.columns, source.file
        )
        return recording, placement


def open_project(config: DataConfig, keep_going: bool = False) -> Project:
    """Find a project's files and read its tables. Raises `UserError` where nothing could be learned from it.

    Without videos, the pose files are the recordings. With `keep_going`, a label file or a table that cannot be read is
    a finding, and the rest is opened.
    """
    if config.videos is None and config.dlc is None:
        raise UserError("no videos given; name their folder with --videos DIR (or that of pose files with --dlc DIR)")
    ethogram = PAIN if config.classes is None else read_ethogram(config.classes)
    findings: list[Finding] = []
    if config.videos is not None:
        videos = find_videos([config.videos])
        places = [config.dlc] if config.dlc else {v.parent for v in videos}
        poses = find_poses(pose_files_below(places), [v.stem for v in videos], findings)
        if config.dlc and not poses:
            what = f"no pose file here belongs to a video (looked for {videos[0].stem}DLC_*.csv)"
            findings.append(Finding("warning", str(config.dlc), what, name="pose-without-video"))
        names = {v: v.stem for v in videos}
    else:
        assert config.dlc is not None
        files = pose_files_below([config.dlc])
        poses = find_poses(files, [recording_stem(f) for f in files], findings)
        if not poses:
            raise UserError(f"{config.dlc}: no pose file in this folder (looked for <recording>DLC_*.csv or .h5)")
        names = {poses[stem]: stem for stem in sorted(poses)}
    noted = findings if keep_going else None
    labels: dict[Path, list[LabelFile | Events]] = {}
    columns: dict[Path, dict[str, str]] = {}
    with noting(noted, "labels-unreadable"):
        labels = label_files(config, names, ethogram, findings, noted)
    with noting(noted, "recordings-unreadable"):
        columns = {} if config.recordings is None else _read_recordings(config.recordings, names, findings)
    sources = []
    for file, name in names.items():
        row = columns.get(file, {})
        animal = row.get("animal") or animal_of(name, config.animal_pattern)
        sources.append(Source(file, animal, tuple(labels.get(file, ())), row, poses.get(name)))
    return Project(ethogram, tuple(sources), tuple(findings))


def in_project(folder: Path, config: DataConfig) -> DataConfig:
    """The same settings with the paths of a project folder: Videos/, Annotations/ and the tables beside them.

    A folder with neither Videos/ nor DLC/ is taken for a folder of videos.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    videos, dlc = config.videos or inside(folder, "videos"), config.dlc or inside(folder, "dlc")
    annotations = config.annotations or inside(folder, "annotations")
    if videos is None and (dlc is None or any(is_video(f) for f in folder.iterdir())):
        videos = folder
    config = dataclasses.replace(config, videos=videos, dlc=dlc, annotations=annotations)
    return _with_tables(folder, config)


def with_project_files(config: DataConfig) -> DataConfig:
    """The same settings with the tables and poses beside the folders of videos and label files."""
    data = config.videos or config.dlc
    if data is None or config.annotations is None:
        return config
    home = data.resolve().parent
    if home != config.annotations.resolve().parent:
        return config
    return _with_tables(home, dataclasses.replace(config, dlc=config.dlc or inside(home, "dlc")))


def _with_tables(folder: Path, config: DataConfig) -> DataConfig:
    classes = config.classes or inside(folder, "ethogram.toml") or inside(folder, "classes.csv")
    recordings = config.recordings or inside(folder, "recordings.csv")
    return dataclasses.replace(config, classes=classes, recordings=recordings)


def animal_of(name: str, pattern: str) -> str:
    """The animal's name: what the pattern finds in the recording's name (`267M`), else that name itself."""
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise UserError(f"animal_pattern: {pattern} is not a regular expression ({error})") from None
    return (match[0] if match else "") or name


def unclaimed_poses(config: DataConfig, project: Project) -> list[Path]:
    """Pose files that track none of a project's recordings."""
    names = {s.name.casefold() for s in project.sources}
    places = [config.dlc] if config.dlc else {s.file.parent for s in project.sources}
    tracks = [f for f in pose_files_below(places) if not f.name.startswith("CollectedData")]  # points set by hand
    return [f for f in tracks if recording_stem(f).casefold() not in names]


def _read_recordings(path: Path, recordings: dict[Path, str], findings: list[Finding]) -> dict[Path, dict[str, str]]:
    table = read_table(path)
    video, animal = table.column("video", "file", "recording"), table.column("animal", "subject", "mouse")
    if video is None or animal is None:
        raise UserError(f"{path}: expected the columns video,animal[,...], found {', '.join(table.header)}")
    names = by_name(recordings)
    rows: dict[Path, dict[str, str]] = {}
    for line, cells in zip(table.lines, table.rows, strict=True):
        matches = named(cells[video], names)
        if not cells[animal]:
            raise UserError(f"{path}, line {line}: the animal of {cells[video]} is missing")
        for match in matches:
            if match in rows:
                raise UserError(f"{path}, line {line}: {cells[video]} stands twice; keep one line")
            rows[match] = {**dict(zip(table.header, cells, strict=False)), "animal": cells[animal]}
        if not matches:
            what = f"{cells[video]} is not among the videos"
            findings.append(Finding("warning", f"{path}, line {line}", what, name="recording-without-video"))
    missing = [r for r in recordings if r not in rows]
    if missing:
        raise UserError(f"{path}: {missing[0].name} has no line; add its animal (and those of {len(missing) - 1} more)")
    return rows
