"""Keypoint names: what other people call the six points, matched tolerantly and never by guess."""

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


def _squash(name: str) -> str:
    """A name without case, spaces and punctuation."""
    return "".join(c for c in name.casefold() if c.isalnum())


def _spellings() -> dict[str, str]:
    """Every squashed spelling that means one of the six and nothing else.

    A paw is a side, an end and a word for paw, all three and nothing more, in any order. Bare letters as in FL are left
    out (an ear, a leg?), and so are leg and limb (a joint?).
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
    found = dict.fromkeys(mouths, "mouth") | dict.fromkeys(tails, "tail_base")
    for side, end in itertools.product("LR", ("front", "hind")):
        sides = {"L": ("l", "left"), "R": ("r", "right")}[side]
        ends = {"front": ("front", "fore"), "hind": ("hind", "rear", "back")}[end]
        for words in itertools.product(sides, ends, ("paw", "foot", "hand")):
            for order in itertools.permutations(words):
                found["".join(order)] = f"{side}_{end}paw"
    return found


SPELLINGS = _spellings()


def parse_kp_names(text: str) -> dict[str, str]:
    """`theirs=ours,...` as a dictionary. Raises `UserError` for what is not of this form."""
    found: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        theirs, equals, ours = (p.strip() for p in part.rpartition("="))
        if not (theirs and equals and ours):
            raise UserError(
                f"kp_names: expected theirs=ours,..., found {part!r}; for example Snout=mouth"
            )
        if theirs in found or ours in found.values():
            raise UserError(
                f"kp_names: {part!r} names one side of the equals sign for the second time; keep one"
            )
        found[theirs] = ours
    return found


def match_keypoints(
    names: Sequence[str],
    wanted: Sequence[str] = KEYPOINTS,
    given: Mapping[str, str] | None = None,
    where: str = "the pose",
) -> tuple[Match, ...]:
    """Which of `names` is which of `wanted`, in the order of `wanted`.

    What is `given` (theirs to ours) goes first; then the very name; then the name but for case, spaces and punctuation;
    then, for the six, another word for it. Raises `UserError` where one is not found or two would do.
    """
    given = dict(given or {})
    wanted = list(wanted)
    there = ", ".join(names)
    found: dict[str, Match] = {}
    for theirs, ours in given.items():
        if ours not in wanted:
            raise UserError(
                f"kp_names: no keypoint is called {ours}; there are {', '.join(wanted)}"
            )
        index = _find(theirs, names)
        if index is None:
            raise UserError(f"kp_names: {where} has no keypoint {theirs}; it has {there}")
        found[ours] = Match(ours, names[index], index, "given")
    taken = {m.index for m in found.values()}
    if len(taken) < len(found):
        raise UserError(f"kp_names: two names of {where} mean the same keypoint; it has {there}")
    for ours in wanted:
        if ours in found:
            continue
        free = [(i, n) for i, n in enumerate(names) if i not in taken]
        ways = {
            "exact": [(i, n) for i, n in free if n == ours],
            "spelling": [(i, n) for i, n in free if _squash(n) == _squash(ours)],
            "synonym": [(i, n) for i, n in free if SPELLINGS.get(_squash(n)) == ours],
        }
        how = next((way for way, fits in ways.items() if fits), None)
        if how is None:
            continue
        if len(ways[how]) > 1:
            both = " and ".join(n for _, n in ways[how])
            raise UserError(
                f"{where}: both {both} could be {ours}; say which with --kp_names {ways[how][0][1]}={ours}"
            )
        index, theirs = ways[how][0]
        found[ours] = Match(ours, theirs, index, how)
    lacking = [ours for ours in wanted if ours not in found]
    if lacking:
        raise UserError(
            f"{where}: no keypoint could be taken for {', '.join(lacking)}; it has {there}; "
            f"name them with --kp_names theirs={lacking[0]},..."
        )
    return tuple(found[ours] for ours in wanted)


def _find(name: str, names: Sequence[str]) -> int | None:
    """Where a name stands, as written or else but for case, spaces and punctuation; None unless in one place."""
    fits = [i for i, n in enumerate(names) if n == name] or [
        i for i, n in enumerate(names) if _squash(n) == _squash(name)
    ]
    return fits[0] if len(fits) == 1 else None


def with_our_names(
    pose: Pose, wanted: Sequence[str] = KEYPOINTS, given: Mapping[str, str] | None = None
) -> tuple[Pose, tuple[Match, ...]]:
    """The pose with the wanted keypoints alone, in their order and by their names, and what was matched."""
    matches = match_keypoints(pose.names, wanted, given, str(pose.source or "the pose"))
    return pose.take([m.index for m in matches], [m.ours for m in matches]), matches
