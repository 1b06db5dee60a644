"""How `dolorim check` shows its findings: what all recordings share once, the rest as narrow
tables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

if TYPE_CHECKING:
    from dolorim.checks.check import Checked
    from dolorim.checks.recordings import Row
    from dolorim.core.findings import Finding

SHOWN_ROWS = 20  # recordings that are listed without --all
SHOWN_NAMES = 3  # recordings that a group of like findings names
SEVERITIES = ("error", "warning", "note")


def recordings_table(checked: Checked, everything: bool = False) -> tuple[str, Table]:
    """What all recordings have in common, as one line, and a row for each with what differs."""
    cells = [_cells(row) for row in checked.rows]
    heads = list(cells[0]) if cells else ["recording"]
    shared = {}
    if len(cells) > 1:
        for head in heads[2:]:  # names and animals always have their columns
            values = {row[head] for row in cells}
            if len(values) == 1:
                shared[head] = values.pop()
    columns = [head for head in heads if head not in shared]
    table = Table(*columns)
    shown = cells if everything else cells[:SHOWN_ROWS]
    for row in shown:
        table.add_row(*(row[head] for head in columns))
    if len(shown) < len(cells):
        table.caption = f"and {len(cells) - len(shown)} more recordings; --all lists them"
    common = ", ".join(f"{head}: {value}" for head, value in shared.items() if value)
    return (f"all {len(cells)} recordings: {common}" if common else ""), table


def classes_table(checked: Checked) -> Table:
    """Frames, bouts and animals of each class."""
    table = Table("class", "frames", "bouts", "animals")
    for name, count in checked.counts.items():
        table.add_row(name, str(count.frames), str(count.bouts), str(count.animals))
    return table


def class_frames(row: Row, n_classes: int) -> list[int]:
    """Labelled frames of each class in one recording."""
    if row.placement is None:
        return [0] * n_classes
    labels = row.placement.labels
    return np.bincount(labels[labels >= 0], minlength=n_classes).tolist()


def finding_lines(findings: Sequence[Finding], everything: bool = False) -> list[tuple[str, str]]:
    """Pairs of severity and line, the worst first.

    Findings of one name and remedy are one line: how many there are, what the first one says, and
    the first few names. With `everything`, each finding is a line of its own.
    """
    groups: dict[tuple[str, str, str], list[Finding]] = defaultdict(list)
    for number, finding in enumerate(findings):
        alone = everything or not finding.name
        groups[
            finding.severity, finding.name or str(number), "" if not alone else str(number)
        ].append(finding)
    lines = []
    for severity in SEVERITIES:
        for (its_severity, _, _), group in groups.items():
            if its_severity == severity:
                lines.append((severity, _group_line(group)))
    return lines


def summary_line(findings: Sequence[Finding]) -> str:
    """`1 error, 0 warnings, 2 notes`."""
    counts = []
    for severity in SEVERITIES:
        n = sum(finding.severity == severity for finding in findings)
        counts.append(f"{n} {severity}" if n == 1 else f"{n} {severity}s")
    return ", ".join(counts)


def _group_line(group: Sequence[Finding]) -> str:
    first = group[0]
    name = f" ({first.name})" if first.name else ""
    if len(group) <= SHOWN_NAMES:
        return "\n".join(f"{one.severity}{name}: {one}" for one in group)
    # The folder is the same for most of them, so the file's name tells them apart.
    names = ", ".join(Path(one.where).name for one in group[:SHOWN_NAMES])
    remedy = f"; {first.remedy}" if first.remedy else ""
    more = len(group) - SHOWN_NAMES
    return (
        f"{first.severity}{name}: {len(group)} times, for example {Path(first.where).name}: "
        f"{first.what}{remedy} "
        f"({names} and {more} more; --all lists them)"
    )


def _cells(row: Row) -> dict[str, str]:
    found, placement = row.found, row.placement
    rate = "" if found.rate_hz is None else f"{found.rate_hz:.4g}"
    if found.constant_rate is False:
        rate += " variable"
    labelled, trials = "", ""
    if placement is not None:
        labelled = (
            f"{100 * float(np.mean(placement.labels >= 0)):.0f} %"
            if len(placement.labels)
            else "0 %"
        )
        trials = f"{len(placement.trials)} {placement.layout}"
    return {
        "recording": row.name,
        "animal": row.source.animal,
        "frames": str(found.n_frames),
        "frames/s": rate,
        "size": f"{found.width_px}x{found.height_px}" if found.width_px else "",
        "trials": trials,
        "labelled": labelled,
        "pose rows": "" if found.pose_rows is None else str(found.pose_rows),
        "keypoints": found.keypoints,
        "points missing": "" if found.missing is None else f"{100 * found.missing:.0f} %",
    }
