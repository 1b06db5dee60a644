"""A study as files: a folder of predictions or of label files, `groups.csv`, and the times of stimuli."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.animals import animal_key, one_spelling
from dolorim.files.naming import by_name, find_videos, folded, named, spellings
from dolorim.files.subjects import (
    Subject,
    SubjectTable,
    animal_of,
    column_key,
    example,
    read_subjects,
)
from dolorim.files.tables import read_table
from dolorim.labels.ethogram import PAIN, Ethogram
from dolorim.labels.ethogram_file import read_ethogram
from dolorim.labels.gaps import warn_of_gaps
from dolorim.labels.labelled import label_paths, names_of
from dolorim.reporting.observations import Observations, ObservedRecording, order_groups
from dolorim.reporting.study_labels import Pieces, label_pieces, predicted_pieces, predicted_stems


def read_observations(
    folder: Path,
    groups: Path,
    classes: Path | None = None,
    rate_hz: float | None = None,
    control: str | None = None,
    labels: DataConfig | None = None,
    times_of: Callable[[Path], np.ndarray] | None = None,
) -> Observations:
    """Read all recordings of a folder and who is in which group. A file that cannot be read is among the failures.

    `labels` says how label files are read, as in `train`; where it names videos, `times_of` gives the timestamps of
    their frames. Raises `UserError` where nothing is left to report on.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: there is no such folder; name one that predict has written, or one of label files"
        )
    table = _read_groups(groups)
    config = labels or DataConfig(classes=classes)
    stems = predicted_stems(folder)
    if stems:
        subjects = _subjects_of(table, stems)
        absent = [f"{stem}.bouts.csv" for stem in stems if stem not in subjects]
        read, known = predicted_pieces(folder, [stem for stem in stems if stem in subjects])
        names = stems
    else:
        ethogram = PAIN if classes is None else read_ethogram(classes)
        known = ethogram.classes
        read, subjects, absent, names = _label_pieces(
            folder, table, config, ethogram, rate_hz, times_of
        )
    findings = [*read.findings, *([_left_out(absent, groups.name)] if absent else [])]
    tracks = []
    for piece in read.pieces:
        subject = subjects[piece.video]
        track = ObservedRecording(
            piece.video, subject.animal, subject.group, piece.start_s, piece.stop_s, piece.labels, piece.length_s,
            piece.trial, _columns_of(subject),
        )  # fmt: skip
        tracks.append(track)
    if not tracks:
        sides = example(table.subjects, names)
        why = f"; {_most_common(read.failures)}" if read.failures else f": {sides}"
        raise UserError(f"{folder}: no recording here that {groups} names{why}")
    findings += _unused(table, subjects.values(), folder.name)
    present = {t.group for t in tracks}
    _refuse_spellings(groups, "group", present)
    order = [g for g in dict.fromkeys(s.group for s in table.subjects) if g in present]
    if control is not None and control not in order:
        raise UserError(f"--control {control}: no such group; there are {', '.join(order)}")
    return Observations(
        known, order_groups(order, control), tuple(tracks), tuple(findings), tuple(read.failures)
    )


def _most_common(failures: Sequence[tuple[Path, str]]) -> str:
    """Why most files failed, in the words of the first of these."""
    reasons = Counter(why.removeprefix(str(path)) for path, why in failures)
    reason, times = reasons.most_common(1)[0]
    first = next(why for path, why in failures if why.removeprefix(str(path)) == reason)
    alike = f" ({times} files failed alike)" if times > 1 else ""
    return f"the first that failed: {first}{alike}"


def _label_pieces(
    folder: Path,
    table: SubjectTable,
    config: DataConfig,
    ethogram: Ethogram,
    rate_hz: float | None,
    times_of: Callable[[Path], np.ndarray] | None,
) -> tuple[Pieces, dict[str, Subject], list[str], list[str]]:
    """What the label files of a folder say, the lines of their recordings, the files that have none, and all names."""
    videos = (
        {}
        if config.videos is None
        else {video: video.stem for video in find_videos([config.videos])}
    )
    known = {spelling for subject in table.subjects for spelling in spellings(subject.video)}
    known |= {folded(stem) for stem in videos.values()}
    meant = {path: names_of(path, config).meant(known) for path in label_paths(folder)}
    names = list({folded(name): name for of_file in meant.values() for name in of_file}.values())
    recordings = videos or {Path(name): name for name in names}
    subjects = _subjects_of(table, list(recordings.values()))
    here = {folded(name) for name in subjects}
    paths = [
        path for path, of_file in meant.items() if any(folded(name) in here for name in of_file)
    ]
    absent = [path.name for path in meant if path not in paths]
    wanted = {recording: name for recording, name in recordings.items() if name in subjects}
    streams = {recording: s for recording, name in wanted.items() if (s := subjects[name].stream)}
    read = label_pieces(
        paths, wanted, config, ethogram, rate_hz, times_of if videos else None, streams
    )
    read.findings += warn_of_gaps(read.open_shares, config.label_gaps, ethogram)
    return read, subjects, absent, names


def read_stimuli(path: Path, observations: Observations) -> dict[tuple[str, str], list[float]]:
    """Times of stimuli in seconds by (video, trial), from `video,onset_s[,trial]`."""
    table = read_table(path)
    video, onset, trial = (
        table.column("video", "file", "recording"),
        table.column("onset_s", "time_s"),
        table.column("trial"),
    )
    if video is None or onset is None:
        raise UserError(
            f"{path}: expected the columns video,onset_s[,trial], found {', '.join(table.header)}"
        )
    known = {(t.video, t.trial) for t in observations.recordings}
    names = by_name({Path(t.video): t.video for t in observations.recordings})
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for line, row in zip(table.lines, table.rows, strict=True):
        places = [
            (file.name, which)
            for file in named(row[video], names)
            for which in (row[trial] if trial is not None else "", "")
        ]
        place = next((p for p in places if p in known), None)
        try:
            seconds = float(row[onset])
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < 1e7:
            raise UserError(
                f"{path}, line {line}, column {table.header[onset]}: expected seconds, found {row[onset]!r}"
            )
        if place is not None:
            found[place].append(seconds)
    return {place: sorted(times) for place, times in found.items()}


def _read_groups(path: Path) -> SubjectTable:
    table = read_subjects(path)
    if not table.has_group:
        raise UserError(
            f"{path}: expected the columns file,animal,group (or animal,group), found {', '.join(table.header)}"
        )
    if not table.subjects:
        raise UserError(f"{path}: has a header but no rows")
    return table


def _subjects_of(table: SubjectTable, videos: Sequence[str]) -> dict[str, Subject]:
    """The line of each recording, with one spelling of each animal's id. Raises `UserError` for what a line lacks."""
    lines = table.lines_of({Path(video): video for video in dict.fromkeys(videos)})
    found: dict[str, Subject] = {}
    for video in dict.fromkeys(videos):
        line = lines.get(Path(video))
        if line is None:
            continue
        animal = line.animal if table.has_animal else animal_of(video, DataConfig.animal_pattern)
        if not animal or not line.group:
            raise UserError(
                f"{table.path}, line {line.line}: a recording, an animal or a group is missing"
            )
        found[video] = dataclasses.replace(line, animal=animal)
    spelled = one_spelling(line.animal for line in found.values())
    return {
        video: dataclasses.replace(line, animal=spelled[line.animal])
        for video, line in found.items()
    }


def _columns_of(subject: Subject) -> dict[str, str]:
    """Further columns of the table of groups, by `column_key`: `Treated side` is `treated_side`."""
    by_key = {column_key(header): value for header, value in subject.columns.items()}
    return {key: value for key, value in by_key.items() if key not in ("animal", "group")}


def _left_out(names: Sequence[str], table: str) -> Finding:
    if len(names) == 1:
        return Finding("warning", names[0], f"is not in {table}", "left out")
    return Finding(
        "warning", table, f"does not name {len(names)} recordings ({names[0]}, ...)", "left out"
    )


def _unused(table: SubjectTable, used: Iterable[Subject], folder: str) -> list[Finding]:
    """Lines of the table that have no recording: all of them are one finding."""
    lines = table.unused(used)
    if not lines:
        return []
    first = lines[0].video or lines[0].animal
    if len(lines) == 1:
        return [Finding("warning", table.path.name, f"{first} has no recording in {folder}")]
    what = f"{len(lines)} of its {len(table.subjects)} lines have no recording in {folder} ({first}, ...)"
    return [Finding("warning", table.path.name, what)]


def _refuse_spellings(path: Path, what: str, values: Iterable[str]) -> None:
    """Raises `UserError` where two values differ in letter case or white space alone: one, or two?"""
    known: dict[str, str] = {}
    for value in sorted(set(values)):
        other = known.setdefault(animal_key(value), value)
        if other != value:
            raise UserError(
                f"{path}: {other!r} and {value!r} differ in letter case or spaces alone; if they are one {what}, "
                f"spell them alike, else give them different names"
            )


def check_factor(
    path: Path, observations: Observations, factor: str, between_animals: bool
) -> None:
    """Raises `UserError` where a column does not say for each recording, or not for each animal one thing."""
    values: dict[str, tuple[str, str]] = {}
    for track in observations.recordings:
        value = track.columns.get(factor)
        if not value:
            raise UserError(
                f"{path}: expected a column {factor} with a value for {track.video}; there is none"
            )
        other, video = values.setdefault(track.animal, (value, track.video))
        if between_animals and animal_key(other) != animal_key(value):
            raise UserError(
                f"{path}: --second_factor {factor} has to be one value per animal; animal {track.animal} has {other} "
                f"({video}) and {value} ({track.video})"
            )
    _refuse_spellings(
        path, f"value of {factor}", (t.columns[factor] for t in observations.recordings)
    )
