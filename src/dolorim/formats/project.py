"""A project folder: which videos there are, which label files belong to them, and whose they are."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.ethogram import PAIN, Ethogram
from dolorim.core.findings import Finding
from dolorim.core.recording import Placement, Recording, place_trials
from dolorim.formats.annotations import SUFFIXES, gap_class, read_annotations, sniff
from dolorim.formats.ethogram_file import read_ethogram
from dolorim.formats.events import Conflicts, Events, cut_to
from dolorim.formats.labels import LabelFile, parse_name
from dolorim.formats.table import read_table

VIDEO_SUFFIXES = frozenset((
    ".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".mpeg", ".wmv", ".webm", ".flv", ".ts", ".mts", ".m2ts",
    ".mjpeg", ".mjpg", ".h264", ".264", ".hevc", ".h265", ".ogv", ".3gp",
))  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A video with its label files, before anybody has counted its frames."""

    video: Path
    animal: str
    labels: tuple[LabelFile | Events, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)


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
        recording = Recording(source.video, source.animal, placement.labels, placement.trials, source.columns)
        return recording, placement


def open_project(config: DataConfig) -> Project:
    """Find a project's files and read its tables. Raises `UserError` where nothing could be learned from it."""
    if config.videos is None:
        raise UserError("no videos given; name their folder with --videos DIR")
    ethogram = PAIN if config.classes is None else read_ethogram(config.classes)
    videos = find_videos([config.videos])
    findings: list[Finding] = []
    files = _label_files(config, videos, ethogram, findings)
    columns = {} if config.recordings is None else _read_recordings(config.recordings, videos, findings)
    sources = []
    for video in videos:
        row = columns.get(video, {})
        animal = row.get("animal") or animal_of(video, config.animal_pattern)
        sources.append(Source(video, animal, tuple(files.get(video, ())), row))
    return Project(ethogram, tuple(sources), tuple(findings))


def in_project(folder: Path, config: DataConfig) -> DataConfig:
    """The same settings with the paths of a project folder: Videos/, Annotations/ and the tables beside them.

    A folder without Videos/ is taken for a folder of videos.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    videos, annotations = _inside(folder, "videos"), _inside(folder, "annotations")
    config = dataclasses.replace(
        config, videos=config.videos or videos or folder, annotations=config.annotations or annotations
    )
    return _with_tables(folder, config)


def with_project_files(config: DataConfig) -> DataConfig:
    """The same settings with the tables beside the folders of videos and of label files, where none are named."""
    if config.videos is None or config.annotations is None:
        return config
    home = config.videos.resolve().parent
    return _with_tables(home, config) if home == config.annotations.resolve().parent else config


def _with_tables(folder: Path, config: DataConfig) -> DataConfig:
    classes = config.classes or _inside(folder, "ethogram.toml") or _inside(folder, "classes.csv")
    recordings = config.recordings or _inside(folder, "recordings.csv")
    return dataclasses.replace(config, classes=classes, recordings=recordings)


def _inside(folder: Path, name: str) -> Path | None:
    """The folder's entry of this name, letter case aside."""
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
        here = [p for p in _files_below(place) if p.suffix.casefold() in VIDEO_SUFFIXES]
        if not here:
            raise UserError(f"{place}: no video in this folder (looked for *.mp4, *.avi, *.mov, *.mkv and the like)")
        found.update(dict.fromkeys(here))
    return list(found)


def animal_of(video: Path, pattern: str) -> str:
    """The animal's name: what the pattern finds in the file name (`267M`), else the file name itself."""
    try:
        match = re.search(pattern, video.stem)
    except re.error as error:
        raise UserError(f"animal_pattern: {pattern} is not a regular expression ({error})") from None
    return (match[0] if match else "") or video.stem


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
    config: DataConfig, videos: list[Path], ethogram: Ethogram, findings: list[Finding]
) -> dict[Path, list[LabelFile | Events]]:
    folder = config.annotations
    if folder is None:
        return {}
    names = _by_name(videos)
    found: dict[Path, list[LabelFile | Events]] = defaultdict(list)
    tables = [p for p in _files_below(folder) if p.suffix.casefold() in SUFFIXES]
    if not tables:
        raise UserError(f"{folder}: no label file in this folder (looked for prediction_<video>_<trial>.csv)")
    conflicts = Conflicts(config.on_conflict, findings)
    for path in tables:
        whole = names.get(path.stem.casefold())
        by_name = whole or _named(parse_name(path)[0], names)
        if not by_name and not _names_videos(path, config):
            findings.append(Finding("warning", str(path), "labels a video that is not there", "left out"))
            continue
        wanted = (lambda _: True) if by_name else (lambda media: bool(_named(media, names)))
        read = read_annotations(path, ethogram, config, conflicts, wanted)
        inside = {media: _named(media, names) for media in read if _named(media, names)}
        if not inside and len(read) > 1:
            raise UserError(f"{path}: labels {', '.join(read)}, and none of them is a video here; rename the video")
        if not inside and not by_name:
            findings.append(Finding("warning", str(path), "labels no video that is there", "left out"))
        for media, file in read.items():
            matches = inside.get(media) or ([] if inside else by_name)
            if len(matches) > 1:
                raise UserError(f"{path}: its name fits {matches[0]} and {matches[1]}; rename one of the videos")
            if matches:
                trial = None if whole or isinstance(file, Events) else file.trial
                found[matches[0]].append(file if isinstance(file, Events) else dataclasses.replace(file, trial=trial))
    if not found:
        raise UserError(
            f"{folder}: none of its {len(tables)} label files belongs to a video here; {tables[0].name} "
            f"would label {parse_name(tables[0])[0]}"
        )
    return found


def _names_videos(path: Path, config: DataConfig) -> bool:
    """Does a file of this format say itself which videos it labels?"""
    if config.label_format != "auto":
        return config.label_format == "boris"
    with contextlib.suppress(UserError):  # what belongs to no video need not be readable
        return sniff(path) == "boris"
    return False


def _read_recordings(path: Path, videos: list[Path], findings: list[Finding]) -> dict[Path, dict[str, str]]:
    table = read_table(path)
    video, animal = table.column("video", "file", "recording"), table.column("animal", "subject", "mouse")
    if video is None or animal is None:
        raise UserError(f"{path}: expected the columns video,animal[,...], found {', '.join(table.header)}")
    names = _by_name(videos)
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
            findings.append(Finding("warning", f"{path}, line {line}", f"{cells[video]} is not among the videos"))
    missing = [v for v in videos if v not in rows]
    if missing:
        raise UserError(f"{path}: {missing[0].name} has no line; add its animal (and those of {len(missing) - 1} more)")
    return rows


def _named(name: str, names: dict[str, list[Path]]) -> list[Path]:
    """The videos that people mean by a name, written with or without its suffix."""
    name = name.casefold()
    suffix = Path(name).suffix
    return names.get(name) or (names.get(name.removesuffix(suffix), []) if suffix in VIDEO_SUFFIXES else [])


def _by_name(videos: list[Path]) -> dict[str, list[Path]]:
    names: dict[str, list[Path]] = defaultdict(list)
    for video in videos:
        names[video.stem.casefold()].append(video)
    return names
