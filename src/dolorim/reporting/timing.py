"""When the recordings of a study begin: pieces of sessions are joined, and time 0 is the start.

The columns `session` and `start_s` or `start_frame` of the table of groups say so.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.core.wording import counted, first_of
from dolorim.files.animals import animal_key
from dolorim.files.sessions import Session, SessionPiece, find_sessions
from dolorim.files.start_times import COLUMNS, Start, start_of
from dolorim.files.subjects import Subject, SubjectTable, cell
from dolorim.reporting.assays import Assay
from dolorim.reporting.observations import Observations, ObservedRecording
from dolorim.reporting.study_labels import Piece

_JOINED_S = 0.1  # pieces of a session that are no farther apart follow one another
_NAMED = 3  # recordings that a finding names


@dataclass(frozen=True)
class _Timed:
    """A recording, the line of the table about it, and where in it time 0 lies, in seconds.

    `start_s` is None where nothing says so.
    """

    recording: ObservedRecording
    line: int
    start_s: float | None


def observe(
    pieces: Sequence[Piece],
    subjects: Mapping[str, Subject],
    table: SubjectTable,
    from_start: bool = False,
    joins: bool = True,
) -> tuple[list[ObservedRecording], list[Finding]]:
    """The pieces as recordings whose time 0 is their start, with those of a session joined.

    `from_start` says that the labels count from the start already, and `joins` whether the column
    `session` tells which recordings belong together. Raises `UserError` for cells of
    the table that contradict each other or hold no time.
    """
    findings: list[Finding] = []
    timed: list[_Timed] = []
    trials = Counter(piece.video for piece in pieces)
    for piece in pieces:
        subject = subjects[piece.video]
        place = f"{table.path}, line {subject.line}"
        start = start_of(subject.columns, place)
        if start is not None and trials[piece.video] > 1:
            raise UserError(
                f"{start.text} is one time, and {piece.video} has several trials",
                where=place,
                remedy="leave it empty; trials begin where they are labeled, or use --stimuli",
            )
        recording = _recording(piece, subject)
        if start is None or from_start:
            timed.append(_Timed(recording, subject.line, None))
            continue
        start_s, finding = _start_s(start, piece)
        if finding is None:
            timed.append(_Timed(recording, subject.line, start_s))
        elif joins and cell(subject.columns, "session"):
            raise UserError(finding.what, where=place, remedy="correct the table")
        else:
            findings.append(finding)
    if joins:
        timed, notes = _with_sessions(timed, table)
        findings += notes
    return [_from_start(one) for one in timed], findings


def _recording(piece: Piece, subject: Subject) -> ObservedRecording:
    return ObservedRecording(
        piece.video,
        subject.animal,
        subject.group,
        piece.start_s,
        piece.stop_s,
        piece.labels,
        piece.length_s,
        piece.trial,
        subject.further_columns(),
    )


def _start_s(start: Start, piece: Piece) -> tuple[float, Finding | None]:
    try:
        edges_s = np.array([0.0, piece.length_s])
        if start.frame is not None:
            edges_s = piece.edges_s()
        return start.in_seconds(edges_s), None
    except UserError as error:
        return 0.0, Finding("warning", piece.video, str(error), "left out")


def _from_start(timed: _Timed) -> ObservedRecording:
    if not timed.start_s:
        return timed.recording
    return timed.recording.between(timed.start_s, np.inf)


def _with_sessions(
    timed: Sequence[_Timed], table: SubjectTable
) -> tuple[list[_Timed], list[Finding]]:
    """The recordings with those of a session joined, each where its first piece was."""
    pieces = [
        SessionPiece(r.video, r.animal, r.length_s, r.columns)
        for r in (one.recording for one in timed)
    ]
    sessions = find_sessions(pieces, table.path)
    joined: dict[int, _Timed | None] = dict(enumerate(timed))
    findings, described = [], []
    for session in sessions:
        members = [timed[i] for i in session.pieces]
        joined |= dict.fromkeys(session.pieces)
        lacking = _lacking(session, members, table)
        if lacking:
            what = f"{', '.join(lacking)} is missing, so nothing says when the others were filmed"
            findings.append(Finding("warning", f"session {session.name}", what, "left out"))
            continue
        whole = _joined(session, members, table)
        joined[min(session.pieces)] = whole
        names = ", ".join(one.recording.video for one in members)
        described.append(f"{session.name} ({names}; {whole.recording.length_s / 60:.4g} min)")
    if described:
        joins = f"{counted(len(described), 'session')} joined in this order"
        what = f"{joins}: {first_of(described, _NAMED)}"
        findings.append(Finding("note", "sessions", what))
    return [one for one in joined.values() if one is not None], findings


def _lacking(session: Session, members: Sequence[_Timed], table: SubjectTable) -> list[str]:
    """Pieces of a session that the table names, and of which there are no labels."""
    if not table.has_video or "session_start_s" in members[0].recording.columns:
        return []
    key = animal_key(session.name)
    here = {one.line for one in members}
    lacking = (subject for subject in table.subjects if subject.line not in here)
    return [s.video for s in lacking if animal_key(cell(s.columns, "session") or "") == key]


def _joined(session: Session, members: Sequence[_Timed], table: SubjectTable) -> _Timed:
    """The pieces of a session as one recording."""
    place = f"{table.path}, session {session.name}"
    first = members[0].recording
    starts_s = []
    for one, begin_s in zip(members, session.begins_s, strict=True):
        if one.recording.trial:
            raise UserError(
                f"{one.recording.video} has trials, which are recordings of their own",
                where=place,
                remedy="leave the column session empty for it",
            )
        if one.recording.group != first.group:
            raise UserError(
                f"its pieces are in the groups {first.group} and {one.recording.group}", where=place
            )
        if one.start_s is not None:
            starts_s.append(begin_s + one.start_s)
    if len(starts_s) > 1:
        raise UserError(
            "several of its pieces have a start",
            where=place,
            remedy="give it for the piece in which the drug was given",
        )
    moved = [
        dataclasses.replace(
            one.recording,
            start_s=one.recording.start_s + begin_s,
            stop_s=one.recording.stop_s + begin_s,
            length_s=one.recording.length_s + begin_s,
        )
        for one, begin_s in zip(members, session.begins_s, strict=True)
    ]
    start_s, stop_s, labels = _bouts_of(moved)
    whole = dataclasses.replace(
        first,
        video=session.name,
        start_s=start_s,
        stop_s=stop_s,
        labels=labels,
        length_s=moved[-1].length_s,
        columns=_columns_of(moved),
    )
    return _Timed(whole, members[0].line, starts_s[0] if starts_s else None)


def _bouts_of(
    moved: Sequence[ObservedRecording],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bouts of pieces, in the time of their session; one that the cut divides is one bout."""
    start_s, stop_s, labels = (
        np.concatenate([getattr(piece, name) for piece in moved])
        for name in ("start_s", "stop_s", "labels")
    )
    borders = np.cumsum([len(piece.labels) for piece in moved])[:-1]
    divided = []
    for border in borders.tolist():
        if not 0 < border < len(labels):
            continue
        if abs(start_s[border] - stop_s[border - 1]) <= _JOINED_S:
            start_s[border] = stop_s[border - 1]
            if labels[border] == labels[border - 1]:
                divided.append(border)
    starts = np.delete(np.arange(len(labels)), divided)
    stops = np.delete(np.arange(len(labels)), np.array(divided, int) - 1)
    return start_s[starts], stop_s[stops], labels[starts]


def _columns_of(pieces: Sequence[ObservedRecording]) -> dict[str, str]:
    """The cells of the first piece, and the start of the piece that has one."""
    columns = dict(pieces[0].columns)
    for piece, name in itertools.product(pieces, COLUMNS):
        if piece.columns.get(name):
            columns[name] = piece.columns[name]
    return columns


def check_starts(observations: Observations, assay: Assay) -> list[Finding]:
    """What a reader must know where phases are asked for and not all recordings have a start."""
    ends_or_begins = any(w.start_s > 0 or np.isfinite(w.stop_s) for w in assay.windows)
    if assay.response_s is not None or not ends_or_begins:
        return []
    recordings = observations.recordings
    without = [r.video for r in recordings if not any(r.columns.get(name) for name in COLUMNS)]
    if not without:
        return []
    remedy = "windows and latencies count from its first frame"
    if len(without) == len(recordings):
        what = "no column start_s or start_frame says when the drug was given"
        remedy = "windows and latencies count from the first frame of each recording"
        return [Finding("note", "start", what, remedy)]
    what = f"nothing says when it is in {first_of(without, _NAMED)}"
    return [Finding("warning", "start", what, remedy)]
