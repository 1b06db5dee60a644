"""The check of frame rates: which recordings a run sees at another rate than their own."""

from __future__ import annotations

from collections.abc import Sequence

from dolorim.checks.recordings import Row
from dolorim.core.findings import Finding
from dolorim.dataset.run_rate import middle_rate
from dolorim.video.time_grid import (
    describe_resampling,
    frame_rate,
    is_doubtful,
    time_grid,
)


def check_rates(rows: Sequence[Row], given_hz: float | None = None) -> list[Finding]:
    """Which recordings are resampled by a run at the rate that is given, else at their middle one?

    A warning where a recording cannot show what the run looks for.
    """
    run_hz = given_hz or middle_rate(frame_rate(row.examined.time_s) for row in rows)
    findings = []
    for row in rows:
        grid = time_grid(row.examined.time_s, run_hz)
        if grid is None:
            continue
        what, remedy = describe_resampling(grid.filmed, grid.rate_hz)
        if is_doubtful(grid.filmed, grid.rate_hz):
            findings.append(Finding("warning", row.name, what, remedy, "rates-differ"))
        else:
            findings.append(Finding("note", row.name, what, remedy, "rates-differ"))
    return findings
