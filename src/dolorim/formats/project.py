"""A project folder: which videos there are, which label files belong to them, and whose they are."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.ethogram import PAIN, Ethogram
from dolorim.core.findings import Finding
from dolorim.core.recording import Placement, Recording, place_trials
from dolorim.formats.ethogram_file import read_ethogram
from dolorim.formats.labels import LabelFile, parse_name, read_labels
from dolorim.formats.table import read_table
from dolorim.formats.tracking import find_poses, is_pose_name, recording_stem

VIDEO_SUFFIXES = frozenset((
    ".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".mpeg", ".wmv", ".webm", ".flv", ".ts", ".mts", ".m2ts",
    ".mjpeg", ".mjpg", ".h264", ".264", ".hevc", ".h265", ".ogv", ".3gp",
))  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A recording with its files, before anybody has counted its frames: `file` is its video, else its pose file."""

    file: Path
    animal: str
    labels: tuple[LabelFile, ...] = ()
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

    def place(self, source: Source, n_frames: int, config: DataConfig) -> tuple[Recording, Placement]:
        """Lay a source's label files on its true number of frames."""
        everything = [f for s in self.sources for f in s.labels]
        trials = [f.counted_from_zero(config.trial_length, config.label_context, everything) for f in source.labels]
        placement = place_trials(
            trials, n_frames, config.trial_layout, length=config.trial_length, context=config.label_context
        )
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
    labels: dict[Path, list[LabelFile]] = {}
    columns: dict[Path, dict[str, str]] = {}
    with _noting(noted, "labels-unreadable"):
        labels = _label_files(config.annotations, names, ethogram, findings, noted)
    with _noting(noted, "recordings-unreadable"):
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
    videos, dlc = config.videos or _inside(folder, "videos"), config.dlc or _inside(folder, "dlc")
    annotations = config.annotations or _inside(folder, "annotations")
    if videos is None and (dlc is None or any(_is_video(f) for f in folder.iterdir())):
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
    return _with_tables(home, dataclasses.replace(config, dlc=config.dlc or _inside(home, "dlc")))


def _with_tables(folder: Path, config: DataConfig) -> DataConfig:
    classes = config.classes or _inside(folder, "ethogram.toml") or _inside(folder, "classes.csv")
    recordings = config.recordings or _inside(folder, "recordings.csv")
    return dataclasses.replace(config, classes=classes, recordings=recordings)


def _inside(folder: Path, name: str) -> Path | None:
    """The folder's entry of this name, letter case aside."""
    if not folder.is_dir():
        return None
    return next((p for p in sorted(folder.iterdir()) if p.name.casefold() == name), None)


def find_videos(places: Iterable[Path]) -> list[Path]:
    """Video files among the given files and below the given folders, sorted; hidden files are passed over.

    A file that is named is taken for a video, even one that is not there: whoever opens it will say so.
    """
    found: dict[Path, None] = {}
    for place in places:
        if place.is_file() or (place.suffix.casefold() in VIDEO_SUFFIXES and not place.exists()):
            found[place] = None
            continue
        here = [p for p in _files_below(place) if _is_video(p)]
        if not here:
            raise UserError(f"{place}: no video in this folder (looked for *.mp4, *.avi, *.mov, *.mkv and the like)")
        found.update(dict.fromkeys(here))
    return list(found)


def _is_video(path: Path) -> bool:
    return path.suffix.casefold() in VIDEO_SUFFIXES


def animal_of(name: str, pattern: str) -> str:
    """The animal's name: what the pattern finds in the recording's name (`267M`), else that name itself."""
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise UserError(f"animal_pattern: {pattern} is not a regular expression ({error})") from None
    return (match[0] if match else "") or name


@contextlib.contextmanager
def _noting(findings: list[Finding] | None, name: str) -> Iterator[None]:
    """A user's error becomes a finding, where findings are wanted."""
    try:
        yield
    except UserError as error:
        if findings is None:
            raise
        where, _, what = str(error).partition(": ")
        findings.append(Finding("error", where, what, name=name))


def unclaimed_poses(config: DataConfig, project: Project) -> list[Path]:
    """Pose files that track none of a project's recordings."""
    names = {s.name.casefold() for s in project.sources}
    places = [config.dlc] if config.dlc else {s.file.parent for s in project.sources}
    tracks = [f for f in pose_files_below(places) if not f.name.startswith("CollectedData")]  # points set by hand
    return [f for f in tracks if recording_stem(f).casefold() not in names]


def pose_of(video: Path, config: DataConfig) -> Path | None:
    """The pose file of a single video: --dlc (a file or a folder), else beside it or in the DLC/ beside its folder.

    Raises `UserError` where there are several.
    """
    if config.dlc is not None and config.dlc.is_file():
        return config.dlc
    beside = [video.parent, _inside(video.resolve().parent.parent, "dlc")]
    for place in [config.dlc] if config.dlc else beside:
        findings: list[Finding] = []
        files = [f for f in sorted(place.iterdir()) if is_pose_name(f)] if place and place.is_dir() else []
        found = find_poses(files, [video.stem], findings)
        if findings:
            raise UserError(f"{place}: {findings[0].what}; name the one that is meant with --dlc FILE")
        if found:
            return found[video.stem]
    return None


def pose_files_below(folders: Iterable[Path]) -> list[Path]:
    """Pose files, as far as their names say so, below some folders."""
    return sorted({f for folder in folders for f in _files_below(folder) if is_pose_name(f)})


def find_pose_files(places: Iterable[Path]) -> list[Path]:
    """One pose file for each recording among the given files and below the given folders, sorted."""
    files = [p for place in places for p in ([place] if not place.is_dir() else pose_files_below([place]))]
    found = find_poses(files, [recording_stem(f) for f in files], [])
    if not found:
        raise UserError(f"{next(iter(places))}: no pose file here (looked for <recording>DLC_*.csv or .h5)")
    return sorted(found.values())


def _files_below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    refused: list[OSError] = []
    found = []
    for parent, folders, names in os.walk(folder, onerror=refused.append):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        found += [Path(parent, n) for n in sorted(names) if not n.startswith(".")]
    if refused:
        raise UserError(f"{refused[0].filename}: cannot be read ({refused[0].strerror}); ask for permission")
    return found


def _label_files(
    folder: Path | None,
    recordings: dict[Path, str],
    ethogram: Ethogram,
    findings: list[Finding],
    noted: list[Finding] | None,
) -> dict[Path, list[LabelFile]]:
    if folder is None:
        return {}
    names = _by_name(recordings)
    found: dict[Path, list[LabelFile]] = defaultdict(list)
    tables = [p for p in _files_below(folder) if p.suffix.casefold() in (".csv", ".tsv", ".txt")]
    if not tables:
        raise UserError(f"{folder}: no label file in this folder (looked for prediction_<video>_<trial>.csv)")
    for path in tables:
        whole = names.get(path.stem.casefold())
        matches = whole or _named(parse_name(path)[0], names)
        if len(matches) > 1:
            raise UserError(f"{path}: its name fits {matches[0]} and {matches[1]}; rename one of the videos")
        if not matches:
            what = "labels a video that is not there"
            findings.append(Finding("warning", str(path), what, "left out", "labels-without-video"))
            continue
        with _noting(noted, "labels-unreadable"):
            file = read_labels(path, ethogram)
            found[matches[0]].append(dataclasses.replace(file, trial=None) if whole else file)
    if not found and not noted:
        raise UserError(
            f"{folder}: none of its {len(tables)} label files belongs to a video here; {tables[0].name} "
            f"would label {parse_name(tables[0])[0]}"
        )
    return found


def _read_recordings(path: Path, recordings: dict[Path, str], findings: list[Finding]) -> dict[Path, dict[str, str]]:
    table = read_table(path)
    video, animal = table.column("video", "file", "recording"), table.column("animal", "subject", "mouse")
    if video is None or animal is None:
        raise UserError(f"{path}: expected the columns video,animal[,...], found {', '.join(table.header)}")
    names = _by_name(recordings)
    rows: dict[Path, dict[str, str]] = {}
    for line, cells in zip(table.lines, table.rows, strict=True):
        matches = _named(cells[video], names)
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


def _named(name: str, names: dict[str, list[Path]]) -> list[Path]:
    """The videos that people mean by a name, written with or without its suffix."""
    name = name.casefold()
    suffix = Path(name).suffix
    return names.get(name) or (names.get(name.removesuffix(suffix), []) if suffix in VIDEO_SUFFIXES else [])


def _by_name(recordings: dict[Path, str]) -> dict[str, list[Path]]:
    names: dict[str, list[Path]] = defaultdict(list)
    for file, name in recordings.items():
        names[name.casefold()].append(file)
    return names
