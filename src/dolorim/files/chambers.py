"""Tables of chambers: chambers.csv for all videos of a rig, and the columns of recordings.csv."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.naming import by_name, folded, named
from dolorim.files.recordings import Box, Chamber
from dolorim.files.subjects import SubjectTable, cell, column_key
from dolorim.files.tables import number_in, read_table

CORNERS = ("x0", "y0", "x1", "y1")
COLUMNS = ("chamber", *CORNERS)
# A chamber's name becomes part of a file's name, in which a dot separates it from the video's.
_NAME = re.compile(r"[^\W_][\w +-]*")
_ROUNDING = 0.02  # share of a chamber that may lie in another one: edges are drawn by hand
_ONE_PLACE = 0.5  # chambers that share more are the same place


@dataclass(frozen=True)
class ChamberTable:
    """The chambers that a table lists.

    `shared` are those of every video that has no rows of its own in `by_video`, whose keys are the
    names of videos as they are written.
    """

    path: Path
    shared: tuple[Chamber, ...]
    by_video: Mapping[str, tuple[Chamber, ...]]

    def chambers_of(self, videos: Sequence[Path]) -> dict[Path, tuple[Chamber, ...]]:
        """The chambers of each video that has any. Raises `UserError` for an ambiguous name."""
        names = by_name({video: video.stem for video in videos})
        # Rows without a video are about all; rows of its own replace them.
        chambers = dict.fromkeys(videos, self.shared)
        for written, own in self.by_video.items():
            matches = named(written, names)
            if len(matches) > 1:
                raise UserError(
                    f"{written} may be {matches[0]} or {matches[1]}",
                    where=self.path,
                    remedy="write the folder in front of it",
                )
            chambers |= dict.fromkeys(matches, own)
        return {video: own for video, own in chambers.items() if own}


def read_chambers(path: Path) -> ChamberTable:
    """Read a table with the columns `[video,]chamber,x0,y0,x1,y1`, corners in pixels.

    Rows without a video are about all videos. Raises `UserError` for another table, and for
    chambers that cannot be (see `refuse_impossible`).
    """
    table = read_table(path)
    # Headers are compared as the tables of recordings are: `X 0`, `x0`, and `X-0` are one.
    keys = [column_key(name) for name in table.header]
    missing = [name for name in COLUMNS if name not in keys]
    if missing:
        raise UserError(
            f"expected the columns [video,]{','.join(COLUMNS)}, found {', '.join(table.header)}",
            where=path,
        )
    by_video: dict[str, list[Chamber]] = defaultdict(list)
    for line, cells in zip(table.lines, table.rows, strict=True):
        row = dict(zip(keys, cells, strict=False))
        by_video[row.get("video", "")].append(_chamber(row, f"{path}, line {line}"))
    for chambers in by_video.values():
        refuse_impossible(chambers, path)
    shared = tuple(by_video.pop("", ()))
    return ChamberTable(path, shared, {video: tuple(own) for video, own in by_video.items()})


def chambers_in_subjects(table: SubjectTable) -> ChamberTable | None:
    """The chambers in the columns of a table of recordings; None if it gives no corners."""
    by_video: dict[str, list[Chamber]] = defaultdict(list)
    for subject in table.subjects:
        row = {name: cell(subject.columns, name) or "" for name in COLUMNS}
        if any(row[corner] for corner in CORNERS):
            place = f"{table.path}, line {subject.line}"
            by_video[subject.video].append(_chamber(row, place))
    for chambers in by_video.values():
        refuse_impossible(chambers, table.path)
    if not by_video:
        return None
    return ChamberTable(table.path, (), {video: tuple(own) for video, own in by_video.items()})


def chambers_named_in(table: SubjectTable, video: Path, known: Iterable[Chamber]) -> set[str]:
    """The folded names of a video's chambers that have a row in a table of recordings.

    Raises `UserError` for a row about a chamber that the video does not have.
    """
    names = by_name({video: video.stem})
    chambers = {folded(chamber.name): chamber.name for chamber in known}
    rows: set[str] = set()
    for subject in table.subjects:
        written = cell(subject.columns, "chamber") or ""
        if not written or not named(subject.video, names):
            continue
        if folded(written) not in chambers:
            raise UserError(
                f"{subject.video} has no chamber {written}; it has {', '.join(chambers.values())}",
                where=f"{table.path}, line {subject.line}",
            )
        rows.add(folded(written))
    return rows


def refuse_impossible(chambers: Sequence[Chamber], where: object) -> None:
    """Raises `UserError` for two chambers of one video that have one name, or one place."""
    for one, other in itertools.combinations(chambers, 2):
        if folded(one.name) == folded(other.name):
            raise UserError(f"two chambers are called {other.name}", where=where)
        if one.shared_share(other) > _ONE_PLACE:
            raise UserError(
                f"{one} and {other} overlap: they show one place",
                where=where,
                remedy="correct their corners",
            )


def overlaps(chambers: Sequence[Chamber], where: str) -> list[Finding]:
    """A warning for each two chambers of one video that share more than their edges."""
    findings = []
    for one, other in itertools.combinations(chambers, 2):
        share = one.shared_share(other)
        if share > _ROUNDING:
            what = (
                f"{one} and {other} overlap ({100 * share:.0f} % of the smaller one); "
                "an animal there is seen in both"
            )
            remedy = "correct their corners"
            findings.append(Finding("warning", where, what, remedy, "chambers-overlap"))
    return findings


def merged(
    one: Sequence[Chamber], other: Sequence[Chamber], where_one: Path, where_other: Path
) -> tuple[Chamber, ...]:
    """The chambers that two tables give a video. Raises `UserError` where they disagree."""
    by_folded_name = {folded(chamber.name): chamber for chamber in one}
    for chamber in other:
        # Both tables may list a chamber, as long as they say the same.
        known = by_folded_name.setdefault(folded(chamber.name), chamber)
        if known.box != chamber.box:
            raise UserError(
                f"{where_one} says {known}, {where_other} says {chamber}",
                remedy="correct one of the two tables, or remove the corners from one",
            )
    chambers = tuple(by_folded_name.values())
    refuse_impossible(chambers, where_one)
    return chambers


def check_name(name: str, where: object) -> None:
    """Raises `UserError` for a chamber's name that cannot be part of a file's name."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"expected a chamber's name of letters and digits, found {name!r}", where=where
        )


def _chamber(row: Mapping[str, str], where: str) -> Chamber:
    """The chamber in a row, by `column_key`. Raises `UserError`."""
    check_name(row["chamber"], where)
    # Programs that draw rectangles give fractions of pixels.
    corners = [number_in(row[corner]) for corner in CORNERS]
    pixels = [round(corner) for corner in corners if corner is not None]
    if len(pixels) < len(CORNERS):
        written = "; ".join(row[corner] or "nothing" for corner in CORNERS)
        raise UserError(f"expected the corners x0,y0,x1,y1 in pixels, found {written}", where=where)
    x0, y0, x1, y1 = pixels
    box: Box = (x0, y0, x1, y1)
    if not (0 <= x0 < x1 and 0 <= y0 < y1):
        raise UserError(
            f"chamber {row['chamber']} has no area in the picture: expected 0 <= x0 < x1 and "
            f"0 <= y0 < y1, found {', '.join(map(str, box))}",
            where=where,
        )
    return Chamber(row["chamber"], box)
