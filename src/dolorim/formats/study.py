"""A study as files: a folder of predictions or of label files, `groups.csv`, and the times of stimuli."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.bouts import runs
from dolorim.core.errors import UserError
from dolorim.core.ethogram import PAIN, Ethogram
from dolorim.core.findings import Finding
from dolorim.core.study import Study, Track
from dolorim.files.naming import VIDEO_SUFFIXES
from dolorim.files.table import read_table
from dolorim.formats.ethogram_file import read_ethogram
from dolorim.formats.labels import read_labels
from dolorim.formats.predictions import read_bouts
from dolorim.formats.project import animal_of

_CONTROL = re.compile(r"(?<![a-z])(control|ctrl|vehicle|saline|sham|na[iï]ve|untreated|placebo|baseline|wt)(?![a-z])")
_OURS = (".predictions.csv", ".bouts.csv", ".meta.json", ".truth.csv")
_NOT_LABELS = ("groups.csv", "classes.csv", "recordings.csv", "stimuli.csv")

Rows = dict[str, dict[str, str]]


def read_study(
    folder: Path, groups: Path, classes: Path | None = None, rate_hz: float | None = None, control: str | None = None
) -> Study:
    """Read all recordings of a folder and who is in which group. A file that cannot be read is among the failures.

    Raises `UserError` where nothing is left to report on.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; name one that predict has written, or one of label files")
    rows, animals = _read_groups(groups)
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
    tracks, used = [], set()
    for path, video, trial in found:
        key = _key(video)
        row = rows.get(key) or animals.get(animal_of(video, DataConfig.animal_pattern).casefold())
        if row is None:
            findings.append(Finding("warning", path.name, f"is not in {groups.name}", "left out"))
            continue
        used.add(id(row))
        try:
            if stems:
                bouts = read_bouts(folder, video)
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
        columns = {k: v for k, v in row.items() if k not in ("animal", "group")}
        tracks.append(Track(video, row["animal"], row["group"], start_s, stop_s, labels, length_s, trial, columns))
    if not tracks:
        first = f"; the first that failed: {failures[0][1]}" if failures else ""
        raise UserError(f"{folder}: no recording here that {groups} names{first}")
    findings += [
        Finding("warning", groups.name, f"{r.get('file') or r['animal']} has no recording in {folder.name}")
        for r in (*rows.values(), *animals.values())
        if id(r) not in used
    ]
    present = {t.group for t in tracks}
    order = [g for g in dict.fromkeys(r["group"] for r in (*rows.values(), *animals.values())) if g in present]
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
    known = {(_key(t.video), t.trial): (t.video, t.trial) for t in study.tracks}
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for line, row in zip(table.lines, table.rows, strict=True):
        key = _key(row[video])
        place = known.get((key, row[trial] if trial is not None else "")) or known.get((key, ""))
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


def _read_groups(path: Path) -> tuple[Rows, Rows]:
    """Rows by recording, and, where the table names no recordings, by animal."""
    table = read_table(path)
    file, group = table.column("file", "video", "recording", "name"), table.column("group", "treatment", "condition")
    animal = table.column("animal", "subject", "mouse")
    if group is None or (file is None and animal is None):
        raise UserError(
            f"{path}: expected the columns file,animal,group (or animal,group), found {', '.join(table.header)}"
        )
    by_file: Rows = {}
    by_animal: Rows = {}
    for line, cells in zip(table.lines, table.rows, strict=True):
        name = cells[file] if file is not None else ""
        who = cells[animal] if animal is not None else animal_of(_key(name, False), DataConfig.animal_pattern)
        if not who or not cells[group] or (file is not None and not name):
            raise UserError(f"{path}, line {line}: a recording, an animal or a group is missing")
        row = {**dict(zip(table.header, cells, strict=False)), "animal": who, "group": cells[group]}
        row |= {"file": name} if name else {}
        key, rows = (_key(name), by_file) if name else (who.casefold(), by_animal)
        if key in rows:
            raise UserError(f"{path}, line {line}: {name or who} stands twice; keep one line")
        rows[key] = row
    if not by_file and not by_animal:
        raise UserError(f"{path}: has a header but no rows")
    return by_file, by_animal


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
