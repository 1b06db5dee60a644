"""The tables and lines of `dolorim check`: what all recordings share is said once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from dolorim.core.errors import one_line
from dolorim.core.wording import counted

if TYPE_CHECKING:
    from dolorim.checks.check import Checked
    from dolorim.checks.recordings import Row
    from dolorim.core.findings import Finding

SHOWN_ROWS = 20  # recordings that are listed without --all
SHOWN_NAMES = 3  # recordings that a group of like findings names
SEVERITIES = ("error", "warning", "note")
_HEADS = (
    *("recording", "animal", "frames", "frames/s", "size", "trials", "labeled"),
    *("pose rows", "keypoints", "points missing"),
)


def recordings_table(checked: Checked, everything: bool = False) -> tuple[str, Table]:
    """What all recordings have in common, as one line, and a row for each with what differs."""
    cells = [_cells(row) for row in checked.rows]
    heads = ["recording"]
    if cells:
        heads = list(cells[0])
    shared = _shared_cells(cells, heads)
    columns = [head for head in heads if head not in shared]
    table = Table(*columns)
    n_shown = SHOWN_ROWS
    if everything:
        n_shown = len(cells)
    for row in cells[:n_shown]:
        table.add_row(*(row[head] for head in columns))
    if n_shown < len(cells):
        table.caption = f"and {len(cells) - n_shown} more recordings; --all lists them"
    line = ", ".join(f"{head}: {value}" for head, value in shared.items() if value)
    if line:
        line = f"all {len(cells)} recordings: {line}"
    return line, table


def _shared_cells(cells: Sequence[Mapping[str, str]], heads: Sequence[str]) -> dict[str, str]:
    """The columns in which all rows are alike, with what they say."""
    shared: dict[str, str] = {}
    if len(cells) < 2:
        return shared
    for head in heads[2:]:  # names and animals always have their columns
        values = {row[head] for row in cells}
        if len(values) == 1:
            shared[head] = values.pop()
    return shared


def classes_table(checked: Checked) -> Table:
    """Frames, bouts and animals of each class."""
    table = Table("class", "frames", "bouts", "animals")
    for name, count in checked.counts.items():
        table.add_row(name, str(count.frames), str(count.bouts), str(count.animals))
    return table


def class_frames(row: Row, n_classes: int) -> list[int]:
    """Labeled frames of each class in one recording."""
    if row.placement is None:
        return [0] * n_classes
    labels = row.placement.labels
    return np.bincount(labels[labels >= 0], minlength=n_classes).tolist()


def finding_lines(findings: Sequence[Finding], everything: bool = False) -> list[tuple[str, str]]:
    """Pairs of severity and line, the worst first.

    Findings of one name and remedy are one line: how many there are, what the first one says, and
    the first few names. With `everything`, each finding is a line of its own.
    """
    # Findings of one kind that differ in severity are different lines.
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for number, finding in enumerate(findings):
        kind = finding.name
        if everything or not finding.name:
            kind = str(number)  # a group of its own
        groups[finding.severity, kind].append(finding)
    lines = []
    for severity in SEVERITIES:
        for (its_severity, _), group in groups.items():
            if its_severity == severity:
                lines.append((severity, _group_line(group)))
    return lines


def summary_line(findings: Sequence[Finding]) -> str:
    """`1 error, 0 warnings, 2 notes`."""
    counts = []
    for severity in SEVERITIES:
        n = sum(finding.severity == severity for finding in findings)
        counts.append(counted(n, severity))
    return ", ".join(counts)


def _group_line(group: Sequence[Finding]) -> str:
    first = group[0]
    kind: str = first.severity
    if first.name:
        kind += f" ({first.name})"
    if len(group) <= SHOWN_NAMES:
        return "\n".join(f"{kind}: {one}" for one in group)
    # The folder is the same for most of them, so the file's name tells them apart.
    names = ", ".join(Path(one.where).name for one in group[:SHOWN_NAMES])
    example = one_line(Path(first.where).name, first.what, first.remedy)
    more = len(group) - SHOWN_NAMES
    return (
        f"{kind}: {len(group)} times, for example {example} "
        f"({names} and {more} more; --all lists them)"
    )


def _cells(row: Row) -> dict[str, str]:
    """What the table says of a recording; an empty cell for what does not apply to it."""
    examined, placement = row.examined, row.placement
    # Every row has every column, in this order.
    cells = dict.fromkeys(_HEADS, "")
    cells["recording"] = row.name
    cells["animal"] = row.source.animal
    cells["frames"] = str(examined.n_frames)
    cells["keypoints"] = examined.keypoints
    if examined.rate_hz is not None:
        cells["frames/s"] = f"{examined.rate_hz:.4g}"
    if examined.constant_rate is False:
        cells["frames/s"] += " variable"
    if examined.width_px:
        cells["size"] = f"{examined.width_px}x{examined.height_px}"
    if placement is not None:
        cells["trials"] = f"{len(placement.trials)} {placement.layout}"
        n_labelled = int((placement.labels >= 0).sum())
        cells["labeled"] = _percent(n_labelled / max(1, len(placement.labels)))
    if examined.pose_rows is not None:
        cells["pose rows"] = str(examined.pose_rows)
    if examined.missing is not None:
        cells["points missing"] = _percent(examined.missing)
    return cells


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
