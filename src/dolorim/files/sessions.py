"""Which recordings are pieces of one session: the column `session`.

Pieces follow one another by the numbers in their names (`cage_2` before `cage_10`), or by a column
`session_order`. They are taken to join without a gap, unless a column `session_start_s` says when
each piece begins.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dolorim.core.errors import UserError
from dolorim.files.animals import animal_key
from dolorim.files.subjects import cell
from dolorim.files.tables import number_in

_OVERLAP_S = 0.1  # by which clocks of two pieces may disagree


@dataclass(frozen=True)
class SessionPiece:
    """A recording that may be a piece of a session, with the cells of its line."""

    name: str
    animal: str
    length_s: float
    columns: Mapping[str, str]

    @property
    def session(self) -> str:
        return (cell(self.columns, "session") or "").strip()


@dataclass(frozen=True)
class Session:
    """The pieces of a session as indices, in order, and when each begins, in seconds."""

    name: str
    pieces: tuple[int, ...]
    begins_s: tuple[float, ...]


def find_sessions(pieces: Sequence[SessionPiece], where: object) -> list[Session]:
    """The sessions among some recordings, each with the order and the beginnings of its pieces.

    Raises `UserError` for pieces of two animals, for pieces that overlap, and for an order that is
    given for some of them only.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for i, piece in enumerate(pieces):
        if piece.session:
            members[animal_key(piece.session)].append(i)
    sessions = []
    for indices in members.values():
        name = pieces[indices[0]].session
        place = f"{where}, session {name}"
        _refuse_two_animals([pieces[i] for i in indices], place)
        sessions.append(_in_order(name, indices, pieces, place))
    return sessions


def name_key(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts names by the numbers in them: `cage_2` comes before `cage_10`."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _refuse_two_animals(pieces: Sequence[SessionPiece], place: str) -> None:
    animals = {animal_key(piece.animal): piece for piece in pieces}
    if len(animals) > 1:
        one, other = list(animals.values())[:2]
        raise UserError(
            f"its pieces are of two animals, {one.animal} ({one.name}) and {other.animal} "
            f"({other.name})",
            where=place,
            remedy="give each animal a session of its own, or, if the column says when animals "
            "were measured, call it day",
        )


def _in_order(
    name: str, indices: Sequence[int], pieces: Sequence[SessionPiece], place: str
) -> Session:
    begins = _numbers("session_start_s", indices, pieces, place)
    order = begins or _numbers("session_order", indices, pieces, place)
    if order:
        if len(set(order.values())) < len(order):
            raise UserError("two of its pieces have one place in it", where=place)
        sorted_indices = sorted(indices, key=lambda i: order[i])
    else:
        sorted_indices = sorted(indices, key=lambda i: name_key(pieces[i].name))
    if not begins:
        ends = np.cumsum([pieces[i].length_s for i in sorted_indices])
        return Session(name, tuple(sorted_indices), (0.0, *ends[:-1].tolist()))
    for i, following in itertools.pairwise(sorted_indices):
        end_s = begins[i] + pieces[i].length_s
        if end_s > begins[following] + _OVERLAP_S:
            raise UserError(
                f"its pieces overlap: {pieces[i].name} ends at {end_s:.6g} s, and "
                f"{pieces[following].name} begins at {begins[following]:.6g} s",
                where=place,
                remedy="correct session_start_s, or leave it out for pieces without gaps",
            )
    first_s = begins[sorted_indices[0]]
    return Session(name, tuple(sorted_indices), tuple(begins[i] - first_s for i in sorted_indices))


def _numbers(
    column: str, indices: Sequence[int], pieces: Sequence[SessionPiece], place: str
) -> dict[int, float]:
    """A number for each piece from a column; empty where the column is."""
    texts = {i: (cell(pieces[i].columns, column) or "").strip() for i in indices}
    if not any(texts.values()):
        return {}
    numbers = {}
    for i, text in texts.items():
        value = number_in(text)
        if value is None or value < 0:
            raise UserError(
                f"{column} of {pieces[i].name} is {text!r}",
                where=place,
                remedy="give a number from 0 on for each of its pieces, or for none",
            )
        numbers[i] = value
    return numbers
