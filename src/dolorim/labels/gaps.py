"""Frames that label files leave open, and what is said where they leave most of a video open.

Many labs score pain bouts alone. Their files say nothing about the rest of the video, which then teaches nothing: a
network that learns from such labels calls everything pain. Everybody who reads labels asks here what to say about it.
"""

from __future__ import annotations

from collections.abc import Mapping

from dolorim.core.findings import Finding
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Events
from dolorim.labels.label_files import LabelFile

_MOST = 0.5  # share of a video from which on what is left open is no gap any more
_RESTS = (
    "rest",
    "resting",
    "other",
    "others",
    "none of these",
    "background",
    "baseline",
    "inactive",
    "still",
)
_NAMED = 3  # recordings that are named


def lists_bouts(file: LabelFile | Events) -> bool:
    """Is this a format that lists bouts, so that a frame in none of them may be anything?"""
    return isinstance(file, Events) or file.lists_bouts


def gap_candidate(ethogram: Ethogram) -> str | None:
    """The class that frames between bouts are most likely of: the background, else the one that is called rest."""
    if ethogram.background:
        return ethogram.background[0]
    known = {name.casefold(): name for name in ethogram.classes}
    return next((known[name] for name in _RESTS if name in known), None)


def warn_of_gaps(
    open_shares: Mapping[str, float], label_gaps: str, ethogram: Ethogram
) -> list[Finding]:
    """One warning where files that list bouts leave more than half of a video open, else nothing.

    `open_shares` holds, for each recording whose files list bouts, the share of its frames that are in none of them.
    `label_gaps` is the setting of this name: once somebody has said what such frames are, there is nothing to ask.
    """
    wide = {name: share for name, share in open_shares.items() if share > _MOST}
    if label_gaps or not wide:
        return []
    names = ", ".join(sorted(wide)[:_NAMED])
    more = f" and {len(wide) - _NAMED} more" if len(wide) > _NAMED else ""
    low, high = round(100 * min(wide.values())), round(100 * max(wide.values()))
    shares = f"{low} %" if low == high else f"{low} to {high} %"
    rest = gap_candidate(ethogram)
    add = (
        f"add --label_gaps {rest}"
        if rest
        else "add a class rest to the ethogram, and --label_gaps rest"
    )
    where = f"{names}{more} ({shares} of the frames are in no bout)"
    remedy = f"if everything else is no pain behavior, {add}"
    return [Finding("warning", where, "these files list bouts only", remedy, "bouts-only")]
