"""Left and right in names: which side a name says, and what it becomes in a mirror.

Names of classes and keypoints come in every spelling: `lick_L`, `LickLeft`, `left paw`, `leftpaw`, `Lpaw`, `pawR`,
`LHP` (left hind paw), `FL` beside `FR`, `HL` and `HR`. A mirror also turns clockwise into counterclockwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Side = Literal["L", "R"]

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
_SIDES: dict[str, Side] = {"l": "L", "left": "L", "r": "R", "right": "R"}
_OTHER = {"L": "R", "R": "L", "clockwise": "counterclockwise", "counterclockwise": "clockwise"}
_TURNS = {
    "cw": "clockwise", "clockwise": "clockwise", "ccw": "counterclockwise", "acw": "counterclockwise",
    "counterclockwise": "counterclockwise", "anticlockwise": "counterclockwise",
}  # fmt: skip
# Which side this is depends on where an animal was treated: a mirror makes something of it that has no name.
_RELATIVE = {"ipsi", "ipsilateral", "contra", "contralateral"}
_NO_SIDE = re.compile(
    r"(up|b|f|w|a|out|down|forth|copy)right\w*|right(ing|ed|s|eous|ful)\w*|left(over|s)|cleft"
)
_PARTS = (
    "paw|foot|feet|hand|limb|leg|arm|ear|eye|hip|knee|ankle|elbow|shoulder|wrist|heel|toe|toes|finger|flank|side|"
    "whisker|whiskers|cheek|digit|wall|claw|palm|heel|haunch"
)
_ENDS = "front|fore|hind|rear|back"
_PART = re.compile(rf"(?:{_ENDS})?(?:{_PARTS})|(?:{_ENDS})")
_THREE = re.compile(r"[lr][fhb][plf]|[fhb][lr][plf]")  # LHP: left hind paw; FRL: front right limb
_TWO = re.compile(r"[lr][fhb]|[fhb][lr]")
_ENGLISH = {
    "rear",
    "lear",
    "earl",
    "lend",
    "rend",
}  # words of their own, unless a partner says otherwise


@dataclass(frozen=True)
class SideWord:
    """The characters `[start, stop)` of a name that say a side."""

    start: int
    stop: int
    side: Side


def side_words(name: str, others: Iterable[str] = ()) -> tuple[SideWord, ...]:
    """Where a name says left or right, in order.

    `others` are the names beside it: `FL` says a side where `FR`, `HL` and `HR` stand beside it, and `rear` where
    `lear` does (an ear); alone they may mean anything.
    """
    beside = {word.casefold() for other in (name, *others) for word in _WORD.findall(other)}
    found = []
    words = [(m.start(), m[0].casefold()) for m in _WORD.finditer(name)]
    for i, (start, word) in enumerate(words):
        after = words[i + 1][1] if i + 1 < len(words) else ""
        before = words[i - 1][1] if i else ""
        of_a_paw = bool(_PART.fullmatch(after) or _PART.fullmatch(before))
        where = _side_within(word, beside, of_a_paw)
        if where is not None:
            first, last = where
            found.append(SideWord(start + first, start + last, _SIDES[word[first:last]]))
    return tuple(found)


def side_of(name: str, others: Iterable[str] = ()) -> Side | None:
    """The side that a name says; None for a name that says none, or both."""
    sides = {word.side for word in side_words(name, others)}
    return sides.pop() if len(sides) == 1 else None


def mirrored_order(names: Sequence[str]) -> tuple[int, ...]:
    """For each name the index of the one that it becomes in a mirror: `lick_L` becomes `lick_R` where both exist.

    A name that says no side, and one whose partner is missing (`without_partner`), stays what it is.
    """
    return tuple(i if j is None else j for i, j in enumerate(_partners(names)))


def without_partner(names: Sequence[str]) -> tuple[str, ...]:
    """Names that say a side, or a sense of rotation, of which the other one has no name. A mirror makes them wrong."""
    return tuple(name for name, j in zip(names, _partners(names), strict=True) if j is None)


def _partners(names: Sequence[str]) -> list[int | None]:
    """Index of each name in the mirror; its own where nothing changes, None where what it becomes has no name."""
    spelled = [_spelled(name, names) for name in names]
    found: list[int | None] = []
    for i, parts in enumerate(spelled):
        swapped = tuple(_OTHER.get(part, part) for part in parts)
        partners = [j for j, other in enumerate(spelled) if other == swapped]
        alike = swapped == parts or (
            not partners and sorted(swapped) == sorted(parts)
        )  # as in "left and right paw"
        if any(word.casefold() in _RELATIVE for word in _WORD.findall(names[i])):
            found.append(None)
        elif alike:
            found.append(i)
        else:
            found.append(partners[0] if len(partners) == 1 and spelled.count(parts) == 1 else None)
    return found


def _spelled(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """A name as its sides and what lies between them, without case, spaces and punctuation."""
    parts: list[str] = []
    at = 0
    for word in side_words(name, names):
        parts += [*_plain(name[at : word.start]), word.side]
        at = word.stop
    return (*parts, *_plain(name[at:]))


def _plain(text: str) -> list[str]:
    squashed = "".join(c for c in text.casefold() if c.isalnum())
    turn = re.search("|".join(sorted(_TURNS, key=len, reverse=True)), squashed)
    if turn is None:
        return [squashed] if squashed else []
    words = {word.casefold() for word in _WORD.findall(text)}
    if len(turn[0]) <= 3 and turn[0] not in words:  # the letters of another word
        return [squashed]
    return [p for p in (squashed[: turn.start()], _TURNS[turn[0]], squashed[turn.end() :]) if p]


def _side_within(word: str, beside: set[str], of_a_paw: bool) -> tuple[int, int] | None:
    """Which characters of one word, in lower case, say a side."""
    if word in _SIDES:
        return 0, len(word)
    if _NO_SIDE.fullmatch(word) is None:
        for text in ("left", "right"):
            if word.startswith(text):
                return 0, len(text)
            if word.endswith(text):
                return len(word) - len(text), len(word)
    at = next((i for i, letter in enumerate(word[:2]) if letter in "lr"), None)
    if at is not None and _THREE.fullmatch(word):
        return at, at + 1
    if at is not None and _TWO.fullmatch(word) and (of_a_paw or _all_four(word, at, beside)):
        return at, at + 1
    for at, rest in ((0, word[1:]), (len(word) - 1, word[:-1])):
        if word[at] not in "lr" or len(rest) < 3:
            continue
        other = "r" if word[at] == "l" else "l"
        partner = word[:at] + other + word[at + 1 :]
        if partner in beside or (_PART.fullmatch(rest) and word not in _ENGLISH):
            return at, at + 1
    return None


def _all_four(word: str, at: int, beside: set[str]) -> bool:
    """Do front and hind, left and right all stand there in two letters of this order?"""
    for front, hind in ("fh", "fb"):
        ends = {front, hind}
        if word[1 - at] in ends:
            wanted = {s + e if at == 0 else e + s for s in "lr" for e in ends}
            if wanted <= beside:
                return True
    return False
