"""A study as files: a folder of predictions or of label files, `groups.csv`, and the times of stimuli."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.animals import animal_key, one_spelling
from dolorim.core.bouts import runs
from dolorim.core.errors import UserError
from dolorim.core.ethogram import PAIN, Ethogram
from dolorim.core.findings import Finding
from dolorim.core.study import Study, Track
from dolorim.files.naming import VIDEO_SUFFIXES, by_name, named
from dolorim.files.subjects import Subject, SubjectTable, animal_of, column_key, example, read_subjects
from dolorim.files.table import read_table
from dolorim.formats.ethogram_file import read_ethogram
from dolorim.formats.labels import read_labels
from dolorim.formats.predictions import read_bouts

_CONTROL = re.compile(r"(?<![a-z])(control|ctrl|vehicle|saline|sham|na[iï]ve|untreated|placebo|baseline|wt)(?![a-z])")
_OURS = (".predictions.csv", ".bouts.csv", ".meta.json", ".truth.csv")
_NOT_LABELS = ("groups.csv", "classes.csv", "recordings.csv", "animals.csv", "stimuli.csv")


def read_study(
    folder: Path, groups: Path, classes: Path | None = None, rate_hz: float | None = None, control: str | None = None
) -> Study:
    """Read all recordings of a folder and who is in which group. A file that cannot be read is among the failures.

    Raises `UserError` where nothing is left to report on.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; name one that predict has written, or one of label files")
    table = _read_groups(groups)
    names = sorted(p.name for p in folder.iterdir())
    stems = dict.fromkeys(n.removesuffix(s) for n in names for s in _OURS[:2] if n.endswith(s))
    findings: list[Finding] = []
    failures: list[tuple[Path, str]] = []
    ethogram = PAIN if classes is None else read_ethogram(classes)
    if stems:
        found = [(folder / f"{s}.bouts.csv", s, "") for s in stems]
        known: tuple[str, ...] = ()
    else:
        found = [(folder / n, *_video_and_trial(n)) for n in names if _may_be_labels(folder / n)]
        known = ethogram.classes
        if rate_hz is None and found:
            raise UserError(f"{folder}: label files do not say how fast they were filmed; give --rate_hz")
    subjects = _subjects_of(table, [video for _, video, _ in found])
    absent = [path.name for path, video, _ in found if video not in subjects]
    if absent:
        findings.append(_left_out(absent, groups.name))
    tracks = []
    for path, video, trial in found:
        if video not in subjects:
            continue
        subject = subjects[video]
        try:
            if stems:
                bouts = read_bouts(folder, video)
                findings += [Finding("warning", *note.split(": ", 1)) for note in bouts.notes]
                labels, start_s, stop_s, length_s = bouts.labels, bouts.start_s, bouts.stop_s, bouts.length_s
                known = known or bouts.classes
                if bouts.classes != known:
                    here = ", ".join(bouts.classes)
                    raise UserError(f"{path}: expected the classes {', '.join(known)}, found {here}")
            else:
                labels, (start_s, stop_s), length_s = _read_label_bouts(path, rate_hz or 1.0, ethogram)
        except UserError as error:
            failures.append((path, str(error)))
            continue
        who, group, columns = subject.animal, subject.group, _columns_of(subject)
        tracks.append(Track(video, who, group, start_s, stop_s, labels, length_s, trial, columns))
    if not tracks:
        sides = example(table.subjects, [video for _, video, _ in found])
        why = f"; the first that failed: {failures[0][1]}" if failures else f": {sides}"
        raise UserError(f"{folder}: no recording here that {groups} names{why}")
    findings += _unused(table, subjects.values(), folder.name)
    present = {t.group for t in tracks}
    _refuse_spellings(groups, "group", present)
    order = [g for g in dict.fromkeys(s.group for s in table.subjects) if g in present]
    if control is not None and control not in order:
        raise UserError(f"--control {control}: no such group; there are {', '.join(order)}")
    first = control or next((g for g in order if _CONTROL.search(g.casefold().replace("_", " "))), order[0])
    ordered = (first, *(g for g in order if g != first))
    return Study(known, ordered, tuple(tracks), tuple(findings), tuple(failures))


def read_stimuli(path: Path, study: Study) -> dict[tuple[str, str], list[float]]:
    """Times of stimuli in seconds by (video, trial), from `video,onset_s[,trial]`."""
    table = read_table(path)
    video, onset, trial = (
        table.column("video", "file", "recording"),
        table.column("onset_s", "time_s"),
        table.column("trial"),
    )
    if video is None or onset is None:
        raise UserError(f"{path}: expected the columns video,onset_s[,trial], found {', '.join(table.header)}")
    known = {(t.video, t.trial) for t in study.tracks}
    names = by_name({Path(t.video): t.video for t in study.tracks})
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
            raise UserError(f"{table.path}, line {line.line}: a recording, an animal or a group is missing")
        found[video] = dataclasses.replace(line, animal=animal)
    spelled = one_spelling(line.animal for line in found.values())
    return {video: dataclasses.replace(line, animal=spelled[line.animal]) for video, line in found.items()}


def _columns_of(subject: Subject) -> dict[str, str]:
    """Further columns of the table of groups, by `column_key`: `Treated side` is `treated_side`."""
    by_key = {column_key(header): value for header, value in subject.columns.items()}
    return {key: value for key, value in by_key.items() if key not in ("animal", "group")}


def _left_out(names: Sequence[str], table: str) -> Finding:
    if len(names) == 1:
        return Finding("warning", names[0], f"is not in {table}", "left out")
    return Finding("warning", table, f"does not name {len(names)} recordings ({names[0]}, ...)", "left out")


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


def check_factor(path: Path, study: Study, factor: str, between_animals: bool) -> None:
    """Raises `UserError` where a column does not say for each recording, or not for each animal one thing."""
    values: dict[str, tuple[str, str]] = {}
    for track in study.tracks:
        value = track.columns.get(factor)
        if not value:
            raise UserError(f"{path}: expected a column {factor} with a value for {track.video}; there is none")
        other, video = values.setdefault(track.animal, (value, track.video))
        if between_animals and animal_key(other) != animal_key(value):
            raise UserError(
                f"{path}: --second_factor {factor} has to be one value per animal; animal {track.animal} has {other} "
                f"({video}) and {value} ({track.video})"
            )
    _refuse_spellings(path, f"value of {factor}", (t.columns[factor] for t in study.tracks))


def _key(name: str, fold: bool = True) -> str:
    """What a name is known by: letter case and the suffixes of tables and videos do not count."""
    name = name.casefold() if fold else name
    for suffix in (*_OURS, ".csv", ".tsv", ".txt"):
        name = name.removesuffix(suffix)
    return name.removesuffix(s) if (s := Path(name).suffix).casefold() in VIDEO_SUFFIXES else name


def _video_and_trial(name: str) -> tuple[str, str]:
    match = re.fullmatch(r"prediction_(.+)_(\d+)", _key(name, False), re.IGNORECASE)
    return (match[1], match[2]) if match else (_key(name, False), "")


def _may_be_labels(path: Path) -> bool:
    ours = path.name.casefold() in _NOT_LABELS or path.name.startswith(".")
    return path.is_file() and not ours and path.suffix.casefold() in (".csv", ".tsv", ".txt")


def _read_label_bouts(path: Path, rate_hz: float, ethogram: Ethogram) -> tuple[np.ndarray, np.ndarray, float]:
    file = read_labels(path, ethogram)
    frames = file.counted_from_zero(0, 0).frames
    labels = np.full(int(frames[-1]) + 1, -1, np.int16)
    labels[frames] = file.labels
    starts, stops, values = runs(labels)
    here = values >= 0
    return values[here].astype(np.int64), np.stack([starts[here], stops[here]]) / rate_hz, len(labels) / rate_hz
