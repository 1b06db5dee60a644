"""A study as read-outs see it: recordings as bouts in seconds, whose they are, and which group that animal is in."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.core.mirror import Side, side_of, side_words

_CONTROL = re.compile(
    r"(?<![a-z])(control|ctrl|vehicle|saline|sham|na[iï]ve|untreated|placebo|baseline|wt)(?![a-z])"
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_MASS = re.compile(r"(#\s*)(ng|[uµμ]g|mcg|mg|g)(?![a-z])")  # the unit that follows a number
_GRAMS = {"ng": 1e-9, "ug": 1e-6, "µg": 1e-6, "μg": 1e-6, "mcg": 1e-6, "mg": 1e-3, "g": 1.0}


@dataclass(frozen=True)
class ObservedRecording:
    """One recording, or what follows one stimulus in it: bout i lasts `[start_s[i], stop_s[i])`.

    `labels` are class indices, never -1: what nobody has labelled is a gap between bouts. All arrays are `(bouts,)` in
    order of time. Seconds count from the track's own beginning; it lasts `length_s`.
    """

    video: str
    animal: str
    group: str
    start_s: np.ndarray
    stop_s: np.ndarray
    labels: np.ndarray
    length_s: float
    trial: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)

    def between(self, start_s: float, stop_s: float) -> ObservedRecording:
        """The piece `[start_s, stop_s)`, its own beginning at 0. Bouts that reach beyond its borders stay whole."""
        stop_s = min(stop_s, self.length_s)
        here = (self.stop_s > start_s) & (self.start_s < stop_s)
        return dataclasses.replace(
            self, start_s=self.start_s[here] - start_s, stop_s=self.stop_s[here] - start_s, labels=self.labels[here],
            length_s=max(stop_s - start_s, 0.0),
        )  # fmt: skip


@dataclass(frozen=True)
class Observations:
    """Tracks, the names of their classes, and the groups in the order in which they are shown, the control first."""

    classes: tuple[str, ...]
    groups: tuple[str, ...]
    recordings: tuple[ObservedRecording, ...]
    findings: tuple[Finding, ...] = ()
    failures: tuple[tuple[Path, str], ...] = ()

    @property
    def paired(self) -> bool:
        """Was every animal measured in every group, so that groups are compared within animals?"""
        return len(self.groups) > 1 and all(
            len(g) > 1 for g in _groups_of(self.recordings).values()
        )

    def by_side(self) -> Observations:
        """Left and right become ipsi and contra where the table of groups says which paw was treated.

        Raises `UserError` where it says so for some animals only.
        """
        sides = {t.animal: side_of(t.columns.get("treated_side", "")) for t in self.recordings}
        if not any(sides.values()):
            return self
        missing = next((a for a, side in sides.items() if side is None), None)
        if missing is not None:
            raise UserError(
                f"treated_side of animal {missing}: expected L or R; for an untreated animal give the side that the "
                f"others were treated on"
            )
        both: tuple[Side, Side] = ("L", "R")
        renamed = {s: [sided(name, s, self.classes) for name in self.classes] for s in both}
        names = tuple(
            dict.fromkeys(
                n
                for pair in zip(renamed["L"], renamed["R"], strict=True)
                for n in sorted(pair)[::-1]
            )
        )
        codes = {s: np.array([names.index(n) for n in of]) for s, of in renamed.items()}
        recordings = []
        for recording in self.recordings:
            side = sides[recording.animal]
            assert side is not None
            recordings.append(dataclasses.replace(recording, labels=codes[side][recording.labels]))
        return dataclasses.replace(self, classes=names, recordings=tuple(recordings))

    def after_stimuli(
        self, onsets_s: Mapping[tuple[str, str], Sequence[float]], response_s: float
    ) -> Observations:
        """One track for each stimulus of a video: the `response_s` seconds that follow it.

        `onsets_s[(video, trial)]`, trial "" for a recording that is one piece. One without a stimulus is left out.
        """
        recordings, findings = [], list(self.findings)
        for recording in self.recordings:
            onsets = onsets_s.get((recording.video, recording.trial), ())
            if not onsets:
                findings.append(
                    Finding("warning", _name(recording), "has no stimulus in the table", "left out")
                )
            for number, onset in enumerate(onsets, 1):
                piece = recording.between(onset, onset + response_s)
                if piece.length_s <= 0:
                    findings.append(
                        Finding(
                            "warning", _name(recording), f"ends before its stimulus at {onset:g} s"
                        )
                    )
                    continue
                recordings.append(dataclasses.replace(piece, trial=recording.trial or str(number)))
        if not recordings:
            raise UserError(
                "no stimulus of the table lies in a recording; its column video must name the recordings"
            )
        return dataclasses.replace(self, recordings=tuple(recordings), findings=tuple(findings))


def order_groups(names: Sequence[str], control: str | None = None) -> tuple[str, ...]:
    """Groups in the order in which they are shown, the control first.

    The control is the one named, else one called control, vehicle or the like, else the lowest dose
    where all other names are doses (10, `3 mg/kg`, `formalin_5pct`), else the first. Doses follow in
    the order of their numbers, other names as they come.
    """
    first = control
    if first is None:
        first = next((n for n in names if _CONTROL.search(n.casefold().replace("_", " "))), None)
    others = [n for n in names if n != first]
    doses = {n: _dose(n) for n in others}
    kinds = {kind for _, kind in doses.values()}
    if len(kinds) == 1 and "" not in kinds:
        others.sort(key=lambda name: doses[name][0])
    return tuple(others) if first is None else (first, *others)


def _dose(name: str) -> tuple[float, str]:
    """The number in a name and what is around it; an empty kind where there is no number, or several."""
    numbers = _NUMBER.findall(name)
    if len(numbers) != 1:
        return 0.0, ""
    kind = _NUMBER.sub("#", name.casefold())
    unit = _MASS.search(kind)
    factor = _GRAMS[unit[2]] if unit else 1.0
    return float(numbers[0].replace(",", ".")) * factor, _MASS.sub("#", kind).replace(" ", "")


def check_animals(observations: Observations) -> list[Finding]:
    """What a reader must know about who was measured. Raises `UserError` for an animal in some of the groups only."""
    findings = []
    memberships = _groups_of(observations.recordings)
    if not observations.paired:
        for animal, groups in memberships.items():
            if len(groups) > 1:
                raise UserError(
                    f"animal {animal} is in the groups {' and '.join(sorted(groups))}, others not; give each animal "
                    f"one group, or every animal every group (then groups are compared within animals)"
                )
    for group in observations.groups:
        n = sum(group in groups for groups in memberships.values())
        if n < 3:
            animals = "animal" if n == 1 else "animals"
            findings.append(
                Finding(
                    "warning",
                    f"group {group}",
                    f"only {n} {animals}",
                    "too few for any test or interval",
                )
            )
    return findings


def _groups_of(recordings: Sequence[ObservedRecording]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for recording in recordings:
        found.setdefault(recording.animal, set()).add(recording.group)
    return found


def sided(name: str, treated: Side, names: Sequence[str]) -> str:
    """`lick_L` is `lick_ipsi` for an animal that was treated on the left. The last word of that kind tells the side."""
    words = side_words(name, names)
    if not words:
        return name
    last = words[-1]
    before, after = name[: last.start], name[last.stop :]
    relative = "ipsi" if last.side == treated else "contra"
    # LickLeft becomes Lick_ipsi: a word of its own, however the name was written.
    return before + "_" * before[-1:].isalnum() + relative + "_" * after[:1].isalnum() + after


def _name(recording: ObservedRecording) -> str:
    return f"{recording.video}, trial {recording.trial}" if recording.trial else recording.video
