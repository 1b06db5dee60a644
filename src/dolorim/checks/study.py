"""The check of a whole study: can its classes be learned, and do its recordings fit together?"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dolorim.checks.rates import check_rates
from dolorim.checks.recordings import Row
from dolorim.checks.times import check_sessions, check_starts
from dolorim.config import DataConfig
from dolorim.core.findings import Finding
from dolorim.core.wording import counted
from dolorim.labels.bouts import to_bouts
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.gaps import gap_candidate, warn_of_gaps

_MIN_BOUTS = 10  # per class
_MIN_ANIMALS = 3  # per class: one to learn from, one to choose settings by, and one to score on
_LENGTH_RATIO = 1.5  # an animal's length differs by less between its recordings
_ANIMAL_COLUMNS = ("group", "sex", "genotype", "strain", "line")  # one value per animal


@dataclass(frozen=True)
class ClassCount:
    """How much of a class is labeled, and in how many animals."""

    frames: int
    bouts: int
    animals: int


def count_classes(rows: Iterable[Row], ethogram: Ethogram) -> dict[str, ClassCount]:
    """Frames, bouts and animals of each class."""
    frames, bouts = np.zeros(len(ethogram), int), np.zeros(len(ethogram), int)
    animals: list[set[str]] = [set() for _ in ethogram.classes]
    for row in rows:
        if row.placement is None:
            continue
        for bout in to_bouts(row.placement.labels):
            frames[bout.label] += len(bout)
            bouts[bout.label] += 1
            animals[bout.label].add(row.source.animal)
    return {
        name: ClassCount(int(frames[i]), int(bouts[i]), len(animals[i]))
        for i, name in enumerate(ethogram.classes)
    }


def check_study(
    rows: Sequence[Row], counts: Mapping[str, ClassCount], ethogram: Ethogram, config: DataConfig
) -> list[Finding]:
    """Findings about the recordings of a study taken together."""
    open_shares = {
        row.name: row.placement.open_share
        for row in rows
        if row.placement and row.placement.lists_bouts
    }
    gaps_are_open = not config.label_gaps and any(open_shares.values())
    animals = {row.source.animal for row in rows}
    return [
        *warn_of_gaps(open_shares, config.label_gaps, ethogram),
        *check_classes(counts, len(animals), gap_candidate(ethogram), gaps_are_open),
        *check_animals(rows),
        *check_rates(rows, config.run_rate_hz),
        *check_starts(rows),
        *check_sessions(rows),
        *check_views(rows),
        *check_duplicates(row.source.video for row in rows if row.source.video),
        *check_duplicates(row.source.pose for row in rows if row.source.pose),
    ]


def check_classes(
    counts: Mapping[str, ClassCount], animals: int, rest: str | None = None, gaps: bool = False
) -> list[Finding]:
    """Can each class be learned, and its score be trusted?

    `gaps` tells that label files which list bouts leave frames open, perhaps those of the class
    `rest`. Then a class that is never labeled may still occur and must not be dropped.
    """
    if not any(count.frames for count in counts.values()):
        remedy = "name the label files with --annotations"
        return [Finding("note", "labels", "no frame is labeled", remedy, "no-labels")]
    findings = []
    if animals < _MIN_ANIMALS:
        need = f"learning, choosing settings and scoring take at least {_MIN_ANIMALS}"
        what = f"{counted(animals, 'animal')}; {need}"
        remedy = "name the animals in recordings.csv, or record more"
        findings.append(Finding("warning", "animals", what, remedy, "few-animals"))
    for name, count in counts.items():
        if not count.bouts:
            remedy = _remedy_for_absent(name, rest, gaps)
            findings.append(Finding("warning", name, "is never labeled", remedy, "class-absent"))
        elif count.bouts < _MIN_BOUTS or count.animals < min(_MIN_ANIMALS, animals):
            what = f"bouts: {count.bouts}, of animals: {count.animals}"
            enough = f"at least {_MIN_BOUTS} bouts of {_MIN_ANIMALS} animals"
            remedy = f"label more ({enough}), or merge it"
            findings.append(Finding("warning", name, what, remedy, "few-bouts"))
    return findings


def _remedy_for_absent(name: str, rest: str | None, gaps: bool) -> str:
    if not gaps:
        return "leave it out of the ethogram"
    if name == rest:
        return f"if the frames between the bouts are {name}, add --label_gaps {name}"
    return "label it where it occurs"


def check_animals(rows: Sequence[Row]) -> list[Finding]:
    """Does each id stand for one animal, and does each animal have one id?"""
    rows_of: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        rows_of[row.source.animal].append(row)
    findings = _check_spellings(rows_of)
    for animal, its_rows in rows_of.items():
        findings += _check_columns(animal, its_rows)
        findings += _check_lengths(animal, its_rows)
    return findings


def _check_spellings(animals: Iterable[str]) -> list[Finding]:
    """Ids that differ only in case, punctuation or leading zeros."""
    spellings: dict[str, set[str]] = defaultdict(set)
    for animal in animals:
        # M-01, M01, and m1 are written by different people for one animal.
        squashed = "".join(c for c in animal.casefold() if c.isalnum()).lstrip("0")
        spellings[squashed].add(animal)
    findings = []
    for names in spellings.values():
        if len(names) > 1:
            what = f"{' and '.join(sorted(names))} look like one animal with several ids"
            remedy = "use one spelling: otherwise it may be both learned and scored"
            findings.append(Finding("warning", "animals", what, remedy, "two-ids"))
    return findings


def _check_columns(animal: str, rows: Sequence[Row]) -> list[Finding]:
    """Has an animal one group, sex, genotype, strain and line in all its recordings?"""
    values: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for header, value in row.source.columns.items():
            if value:
                values[header.casefold()].add(value)
    findings = []
    for column in _ANIMAL_COLUMNS:
        if len(values[column]) > 1:
            listed = " and ".join(sorted(values[column]))
            what = f"has {column} {listed}; two animals with one id?"
            findings.append(Finding("warning", animal, what, "correct recordings.csv", "one-id"))
    return findings


def _check_lengths(animal: str, rows: Sequence[Row]) -> list[Finding]:
    """Is an animal about equally long in all pictures of one size?"""
    lengths: dict[tuple[int | None, int | None], list[float]] = defaultdict(list)
    for row in rows:
        if row.examined.body_length_px:
            size = (row.examined.width_px, row.examined.height_px)
            lengths[size].append(row.examined.body_length_px)
    findings = []
    for same_size in lengths.values():
        shortest, longest = min(same_size), max(same_size)
        if longest > _LENGTH_RATIO * shortest:
            what = (
                f"is {shortest:.0f} to {longest:.0f} px long in pictures of one size; "
                "two animals with one id?"
            )
            remedy = "correct recordings.csv, or look at the poses"
            findings.append(Finding("warning", animal, what, remedy, "one-id"))
    return findings


def check_views(rows: Sequence[Row]) -> list[Finding]:
    """Do all poses show the animal from the same side, and from below?"""
    below: list[str] = []
    above: list[str] = []
    for row in rows:
        match row.examined.from_below:
            case True:
                below.append(row.name)
            case False:
                above.append(row.name)
    if above and not below:
        what = "left paws lie where a camera above, or a mirrored picture, shows them"
        return [Finding("note", "poses", what, "nothing to do if all are like that", "from-above")]
    if not above:
        return []
    what = "left and right paws are the other way round than in most recordings"
    remedy = "was it mirrored, or are the names swapped?"
    fewer = above if len(below) >= len(above) else below
    return [Finding("warning", name, what, remedy, "sides-differ") for name in fewer]


def check_duplicates(files: Iterable[Path]) -> list[Finding]:
    """Do two files have the same content?"""
    # Files of different sizes differ; only the others are read.
    by_size: dict[int, list[Path]] = defaultdict(list)
    for file in dict.fromkeys(files):
        if file.is_file():
            by_size[file.stat().st_size].append(file)
    findings = []
    for same_size in by_size.values():
        if len(same_size) > 1:
            findings += _same_content(same_size)
    return findings


def _same_content(files: Iterable[Path]) -> list[Finding]:
    first_with: dict[str, Path] = {}
    findings = []
    for file in files:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        first = first_with.setdefault(digest, file)
        if first != file:
            what = f"has the same content as {first.name}"
            remedy = "one of the two names is wrong; remove it"
            findings.append(Finding("error", str(file), what, remedy, "duplicate"))
    return findings
