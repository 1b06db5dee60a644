"""Keypoint names: what labs call the six points, matched tolerantly but never by guessing."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dolorim.core.errors import UserError
from dolorim.pose.pose import Pose

KEYPOINTS = ("mouth", "L_frontpaw", "R_frontpaw", "L_hindpaw", "R_hindpaw", "tail_base")


@dataclass(frozen=True)
class Match:
    """`theirs` is the name in the file, at `index`; `how` is exact, spelling, synonym or given."""

    ours: str
    theirs: str
    index: int
    how: str

    def __str__(self) -> str:
        return self.ours if self.how == "exact" else f"{self.ours} = {self.theirs} ({self.how})"


def squash(name: str) -> str:
    """A name without case, spaces and punctuation."""
    return "".join(c for c in name.casefold() if c.isalnum())


def _spellings() -> dict[str, str]:
    """Every squashed spelling that means one of the six keypoints and nothing else.

    A paw is a side, an end and a word for paw, all three and nothing more, in any order. Letters
    such as FL are left out (an ear? a leg?), and so are leg and limb (a joint?).
    """
    mouths = ("mouth", "nose", "snout", "nosetip", "snouttip", "tipofnose", "tipofsnout")
    tails = (
        "tailbase",
        "tailroot",
        "basetail",
        "roottail",
        "baseoftail",
        "rootoftail",
        "tailstart",
    )
    spellings = dict.fromkeys(mouths, "mouth") | dict.fromkeys(tails, "tail_base")
    for side, end in itertools.product("LR", ("front", "hind")):
        sides = {"L": ("l", "left"), "R": ("r", "right")}[side]
        ends = {"front": ("front", "fore"), "hind": ("hind", "rear", "back")}[end]
        for words in itertools.product(sides, ends, ("paw", "foot", "hand")):
            for order in itertools.permutations(words):
                spellings["".join(order)] = f"{side}_{end}paw"
    return spellings


SPELLINGS = _spellings()


def parse_kp_names(text: str) -> dict[str, str]:
    """`theirs=ours,...` as a dictionary. Raises `UserError` for text of any other form."""
    given: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        theirs, _, ours = (p.strip() for p in part.rpartition("="))
        if not (theirs and ours):
            raise UserError(
                f"expected theirs=ours,..., found {part!r}",
                where="kp_names",
                remedy="for example Snout=mouth",
            )
        if theirs in given or ours in given.values():
            raise UserError(
                f"{part!r} names one side of the equals sign for the second time",
                where="kp_names",
                remedy="keep one",
            )
        given[theirs] = ours
    return given


def match_keypoints(
    names: Sequence[str],
    wanted: Sequence[str] = KEYPOINTS,
    given: Mapping[str, str] | None = None,
    where: str = "the pose",
) -> tuple[Match, ...]:
    """Which of `names` is which of `wanted`, in the order of `wanted`.

    Names that are `given` (theirs to ours) come first, then the very name, then the name regardless
    of case, spaces and punctuation, then, for the six, a synonym. Raises `UserError` if one is not
    found, or two would fit.
    """
    # What the user says comes first, and the rest may not claim the same points.
    matches = _match_given(names, wanted, given or {}, where)
    taken = {match.index for match in matches.values()}
    free = [i for i in range(len(names)) if i not in taken]
    for ours in wanted:
        if ours in matches:
            continue
        match = _match_one(names, free, ours, where)
        if match is not None:
            matches[ours] = match
    lacking = [ours for ours in wanted if ours not in matches]
    if lacking:
        raise UserError(
            f"no keypoint matches {', '.join(lacking)}; it has {', '.join(names)}",
            where=where,
            remedy=f"name them with --kp_names theirs={lacking[0]},...",
        )
    return tuple(matches[ours] for ours in wanted)


def _match_given(
    names: Sequence[str], wanted: Sequence[str], given: Mapping[str, str], where: str
) -> dict[str, Match]:
    """The matches that the user has given, by our names. Raises `UserError` if they do not fit."""
    matches: dict[str, Match] = {}
    there = ", ".join(names)
    for theirs, ours in given.items():
        if ours not in wanted:
            raise UserError(
                f"no keypoint is called {ours}",
                where="kp_names",
                remedy=f"there are {', '.join(wanted)}",
            )
        index = _find(theirs, names)
        if index is None:
            raise UserError(f"{where} has no keypoint {theirs}; it has {there}", where="kp_names")
        matches[ours] = Match(ours, names[index], index, "given")
    # Two spellings of one name in the file, given for two of our names.
    if len({match.index for match in matches.values()}) < len(matches):
        raise UserError(
            f"two names of {where} mean the same keypoint; it has {there}", where="kp_names"
        )
    return matches


def _match_one(names: Sequence[str], free: Sequence[int], ours: str, where: str) -> Match | None:
    """The match among the `free` names in the surest way there is. Raises `UserError` for two."""
    for how, indices in _ways_to_match(names, free, ours).items():
        if len(indices) > 1:
            both = " and ".join(names[i] for i in indices)
            raise UserError(
                f"both {both} could be {ours}",
                where=where,
                remedy=f"say which with --kp_names {names[indices[0]]}={ours}",
            )
        if indices:
            return Match(ours, names[indices[0]], indices[0], how)
    return None


def _ways_to_match(names: Sequence[str], free: Sequence[int], ours: str) -> dict[str, list[int]]:
    """Indices of the names that mean ours, the surest way first."""
    squashed = squash(ours)
    return {
        "exact": [i for i in free if names[i] == ours],
        "spelling": [i for i in free if squash(names[i]) == squashed],
        "synonym": [i for i in free if SPELLINGS.get(squash(names[i])) == ours],
    }


def _find(name: str, names: Sequence[str]) -> int | None:
    """The index of a name, as written or regardless of case and punctuation; None if not unique."""
    matches = [i for i, n in enumerate(names) if n == name]
    if not matches:
        matches = [i for i, n in enumerate(names) if squash(n) == squash(name)]
    if len(matches) != 1:
        return None
    return matches[0]


def with_our_names(
    pose: Pose, wanted: Sequence[str] = KEYPOINTS, given: Mapping[str, str] | None = None
) -> tuple[Pose, tuple[Match, ...]]:
    """The pose reduced to the wanted keypoints, in order and by our names, and the matches.

    Raises `UserError` like `match_keypoints`.
    """
    matches = match_keypoints(pose.names, wanted, given, str(pose.source or "the pose"))
    indices = [match.index for match in matches]
    return pose.take(indices, [match.ours for match in matches]), matches
