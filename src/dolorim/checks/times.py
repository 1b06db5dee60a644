"""The check of what the table of recordings says about time: starts and sessions."""

from __future__ import annotations

from collections.abc import Sequence

from dolorim.checks.recordings import Row
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.sessions import SessionPiece, find_sessions
from dolorim.files.start_times import start_of


def check_starts(rows: Sequence[Row]) -> list[Finding]:
    """Does each start lie in its recording?"""
    findings = []
    for row in rows:
        try:
            start = start_of(row.source.columns, row.name)
            if start is not None and row.examined.n_frames:
                start.in_frames(row.examined.time_s)
        except UserError as error:
            findings.append(Finding.from_error(error, "start", row.name))
    return findings


def check_sessions(rows: Sequence[Row]) -> list[Finding]:
    """Do the pieces of each session fit together?"""
    pieces = []
    for row in rows:
        time_s, rate_hz = row.examined.time_s, row.examined.rate_hz
        length_s = 0.0
        if len(time_s) and rate_hz:
            length_s = float(time_s[-1] - time_s[0]) + 1 / rate_hz
        pieces.append(SessionPiece(row.name, row.source.animal, length_s, row.source.columns))
    try:
        find_sessions(pieces, "recordings")
    except UserError as error:
        return [Finding.from_error(error, "session", severity="warning")]
    return []
