"""Frames that label files leave open, and the warning where they leave most of a video open.

Many labs score pain bouts alone. Their files do not say what happens in the rest of the video, so
it teaches nothing: a network that learns from such labels calls everything pain. This warning has
one owner, so that training, checks and reports say the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from dolorim.core.findings import Finding
from dolorim.core.wording import first_of
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Events
from dolorim.labels.label_files import LabelFile

# A larger open share of a video is more than the gaps between bouts.
_MAX_OPEN_SHARE = 0.5
_REST_NAMES = (
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
_MOST_NAMES = 3  # recordings that the warning names


def lists_bouts(file: LabelFile | Events) -> bool:
    """Whether the format lists bouts, so that a frame outside all of them may be anything."""
    return isinstance(file, Events) or file.lists_bouts


def gap_candidate(ethogram: Ethogram) -> str | None:
    """The most likely class of frames between bouts: the background, else the one called rest."""
    if ethogram.background:
        return ethogram.background[0]
    known = {name.casefold(): name for name in ethogram.classes}
    return next((known[name] for name in _REST_NAMES if name in known), None)


def warn_of_gaps(
    open_shares: Mapping[str, float], label_gaps: str, ethogram: Ethogram
) -> list[Finding]:
    """One warning if files that list bouts leave more than half of a video open, else nothing.

    `open_shares` holds, for each recording whose files list bouts, the share of its frames outside
    all bouts. `label_gaps` is the setting of this name: if the user has said what such frames are,
    there is nothing to warn of.
    """
    open_shares = {name: s for name, s in open_shares.items() if s > _MAX_OPEN_SHARE}
    if label_gaps or not open_shares:
        return []
    names = first_of(sorted(open_shares), _MOST_NAMES)
    low = round(100 * min(open_shares.values()))
    high = round(100 * max(open_shares.values()))
    percent = f"{low} %" if low == high else f"{low} to {high} %"
    where = f"{names} ({percent} of the frames are in no bout)"
    rest = gap_candidate(ethogram)
    option = f"add --label_gaps {rest}"
    if not rest:
        option = "add a class rest to the ethogram, and --label_gaps rest"
    remedy = f"if everything else is no pain behavior, {option}"
    return [Finding("warning", where, "these files list bouts only", remedy, "bouts-only")]
