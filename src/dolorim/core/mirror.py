"""Left and right in names: which side a name says, and what it becomes in a mirror.

Names of behaviors and keypoints come in every spelling: `lick_L`, `LickLeft`, `left paw`,
`leftpaw`, `Lpaw`, `pawR`, `LHP` (left hind paw), `FL` next to `FR`, `HL` and `HR`. A mirror also
turns clockwise into counterclockwise.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Side = Literal["L", "R"]

# The words of a name: CamelCase, capitals in a row, numbers, and letters of other scripts.
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
_SIDES: dict[str, Side] = {"l": "L", "left": "L", "r": "R", "right": "R"}
_OTHER = {"L": "R", "R": "L", "clockwise": "counterclockwise", "counterclockwise": "clockwise"}
_OTHER_LETTER = {"l": "r", "r": "l"}
_ROTATIONS = {
    "cw": "clockwise",
    "clockwise": "clockwise",
    "ccw": "counterclockwise",
    "acw": "counterclockwise",
    "counterclockwise": "counterclockwise",
    "anticlockwise": "counterclockwise",
}
# Which side these mean depends on where an animal was treated, so their mirror image has no name.
_RELATIVE = {"ipsi", "ipsilateral", "contra", "contralateral"}
# English words in which left and right are no sides.
_NO_SIDE = re.compile(
    r"(up|b|f|w|a|out|down|forth|copy)right\w*|right(ing|ed|s|eous|ful)\w*|left(over|s)|cleft"
)
_PARTS = (
    "paw|foot|feet|hand|limb|leg|arm|ear|eye|hip|knee|ankle|elbow|shoulder|wrist|heel|toe|toes|"
    "finger|flank|side|whisker|whiskers|cheek|digit|wall|claw|palm|heel|haunch"
)
_ENDS = "front|fore|hind|rear|back"
_PART = re.compile(rf"(?:{_ENDS})?(?:{_PARTS})|(?:{_ENDS})")
_THREE = re.compile(r"[lr][fhb][plf]|[fhb][lr][plf]")  # LHP: left hind paw; FRL: front right limb
_TWO = re.compile(r"[lr][fhb]|[fhb][lr]")
# Words of their own, unless their partner stands next to them (`lear` and `rear`: the ears).
_ENGLISH = {"rear", "lear", "earl", "lend", "rend"}


@dataclass(frozen=True)
class SideWord:
    """The characters `[start, stop)` of a name that say a side."""

    start: int
    stop: int
    side: Side


def side_words(name: str, others: Iterable[str] = ()) -> tuple[SideWord, ...]:
    """Where a name says left or right, in order.

    `others` are the names next to it: `FL` says a side next to `FR`, `HL` and `HR`, and `rear` next
    to `lear` (an ear); on their own they may mean anything.
    """
    neighbors = {word.casefold() for word in _words((name, *others))}
    words = [(m.start(), m[0].casefold()) for m in _WORD.finditer(name)]
    sides = []
    for i, (start, word) in enumerate(words):
        adjacent = words[max(0, i - 1) : i] + words[i + 1 : i + 2]
        of_a_paw = any(_PART.fullmatch(other) for _, other in adjacent)
        span = _side_within(word, neighbors, of_a_paw)
        if span is not None:
            first, last = span
            sides.append(SideWord(start + first, start + last, _SIDES[word[first:last]]))
    return tuple(sides)


def side_of(name: str, others: Iterable[str] = ()) -> Side | None:
    """The side that a name says; None for a name that says none, or both."""
    sides = {word.side for word in side_words(name, others)}
    return sides.pop() if len(sides) == 1 else None


def mirrored_order(names: Sequence[str]) -> tuple[int, ...]:
    """For each name the index of its mirror image: `lick_L` becomes `lick_R` if both exist.

    A name that says no side, and one whose partner is missing (`without_partner`), stays.
    """
    return tuple(i if j is None else j for i, j in enumerate(_partners(names)))


def without_partner(names: Sequence[str]) -> tuple[str, ...]:
    """Names that say a side, or a sense of rotation, whose opposite is missing.

    Mirroring a recording makes their labels wrong.
    """
    return tuple(name for name, j in zip(names, _partners(names), strict=True) if j is None)


def _partners(names: Sequence[str]) -> list[int | None]:
    """For each name the index of its mirror image.

    That is its own index if a mirror changes nothing, and None if its mirror image has no name.
    """
    spelled = [_spelled(name, names) for name in names]
    partners: list[int | None] = []
    for i, name in enumerate(names):
        words = {word.casefold() for word in _words([name])}
        partners.append(None if words & _RELATIVE else _partner(i, spelled))
    return partners


def _partner(index: int, spelled: Sequence[tuple[str, ...]]) -> int | None:
    parts = spelled[index]
    swapped = tuple(_OTHER.get(part, part) for part in parts)
    if swapped == parts:
        return index
    partners = [j for j, other in enumerate(spelled) if other == swapped]
    says_both = sorted(swapped) == sorted(parts)  # as in "left and right paw"
    if says_both and not partners:
        return index
    # Two names that differ only in case or punctuation would have the same mirror image.
    is_unique = len(partners) == 1 and spelled.count(parts) == 1
    if not is_unique:
        return None
    return partners[0]


def _spelled(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """A name as its sides and what lies between them, without case, spaces and punctuation."""
    parts: list[str] = []
    end = 0
    for word in side_words(name, names):
        parts += [*_plain(name[end : word.start]), word.side]
        end = word.stop
    return (*parts, *_plain(name[end:]))


def _words(names: Iterable[str]) -> list[str]:
    words: list[str] = []
    for name in names:
        words += _WORD.findall(name)
    return words


def _plain(text: str) -> list[str]:
    """Letters and digits in lower case, cut at a sense of rotation, which is spelled out."""
    squashed = "".join(c for c in text.casefold() if c.isalnum())
    pieces = [squashed]
    rotation = re.search("|".join(sorted(_ROTATIONS, key=len, reverse=True)), squashed)
    if rotation is not None and _is_rotation(rotation[0], text):
        spelled_out = _ROTATIONS[rotation[0]]
        pieces = [squashed[: rotation.start()], spelled_out, squashed[rotation.end() :]]
    return [piece for piece in pieces if piece]


def _is_rotation(letters: str, text: str) -> bool:
    """`cw` may be letters of another word, unless it stands on its own."""
    return len(letters) > 3 or letters in {word.casefold() for word in _words([text])}


def _side_within(word: str, neighbors: set[str], of_a_paw: bool) -> tuple[int, int] | None:
    """Which characters `[start, stop)` of one word, in lower case, say a side."""
    if word in _SIDES:
        return 0, len(word)
    # What is written out decides before single letters, which may belong to the word.
    span = _spelled_out_side(word)
    if span is not None:
        return span
    at = _side_in_abbreviation(word, neighbors, of_a_paw)
    if at is None:
        at = _side_at_an_end(word, neighbors)
    if at is None:
        return None
    return at, at + 1


def _spelled_out_side(word: str) -> tuple[int, int] | None:
    """`left` or `right` at either end of a word."""
    if _NO_SIDE.fullmatch(word):
        return None
    for text in ("left", "right"):
        if word.startswith(text):
            return 0, len(text)
        if word.endswith(text):
            return len(word) - len(text), len(word)
    return None


def _side_in_abbreviation(word: str, neighbors: set[str], of_a_paw: bool) -> int | None:
    """Where L or R stands in abbreviations such as LHP, or FL if it is sure to mean a paw."""
    at = next((i for i, letter in enumerate(word[:2]) if letter in "lr"), None)
    if at is None:
        return None
    if _THREE.fullmatch(word):
        return at
    if _TWO.fullmatch(word) and (of_a_paw or _all_four(word, at, neighbors)):
        return at
    return None


def _side_at_an_end(word: str, neighbors: set[str]) -> int | None:
    """Where L or R stands before or behind a part of the body, as in `lpaw` and `pawr`."""
    for at, rest in ((0, word[1:]), (len(word) - 1, word[:-1])):
        if word[at] not in "lr" or len(rest) < 3:
            continue
        partner = word[:at] + _OTHER_LETTER[word[at]] + word[at + 1 :]
        if partner in neighbors or (_PART.fullmatch(rest) and word not in _ENGLISH):
            return at
    return None


def _all_four(word: str, at: int, neighbors: set[str]) -> bool:
    """Do all of front and hind, left and right occur as two letters in this order?"""
    for ends in ("fh", "fb"):
        if word[1 - at] not in ends:
            continue
        pairs = itertools.product("lr", ends)
        wanted = {side + end if at == 0 else end + side for side, end in pairs}
        if wanted <= neighbors:
            return True
    return False
