"""A study as read-outs see it: recordings as bouts in seconds, with their animals and groups."""

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
from dolorim.core.wording import counted

_CONTROL = re.compile(
    r"(?<![a-z])(control|ctrl|vehicle|saline|sham|na[iï]ve|untreated|placebo|baseline|wt)(?![a-z])"
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_MASS = re.compile(r"(#\s*)(ng|[uµμ]g|mcg|mg|g)(?![a-z])")  # the unit that follows a number
# Two signs look like the Greek letter mu: the micro sign (U+00B5) and the letter itself (U+03BC).
_GRAMS = {"ng": 1e-9, "ug": 1e-6, "µg": 1e-6, "μg": 1e-6, "mcg": 1e-6, "mg": 1e-3, "g": 1.0}
_FEWEST_ANIMALS = 3  # of a group, for a test to say anything


@dataclass(frozen=True)
class ObservedRecording:
    """One recording, or what follows one stimulus in it: bout i lasts `[start_s[i], stop_s[i])`.

    `labels` are class indices, never -1: what nobody has labeled is a gap between bouts. All arrays
    are `(bouts,)` in order of time. Seconds count from the recording's own beginning; it lasts
    `length_s`.
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
        """The piece `[start_s, stop_s)`, from 0 on; bouts that cross its borders stay whole."""
        stop_s = min(stop_s, self.length_s)
        inside = (self.stop_s > start_s) & (self.start_s < stop_s)
        return dataclasses.replace(
            self,
            start_s=self.start_s[inside] - start_s,
            stop_s=self.stop_s[inside] - start_s,
            labels=self.labels[inside],
            length_s=max(stop_s - start_s, 0.0),
        )


@dataclass(frozen=True)
class Observations:
    """Recordings, the names of their classes, and the groups in order, the control first."""

    classes: tuple[str, ...]
    groups: tuple[str, ...]
    recordings: tuple[ObservedRecording, ...]
    findings: tuple[Finding, ...] = ()
    failures: tuple[tuple[Path, str], ...] = ()
    merging: str = ""
    """Which behaviors of the label files count as which others; empty where none do."""

    @property
    def paired(self) -> bool:
        """Was every animal measured in every group, so that groups are compared within animals?"""
        # An animal in two of three groups is no paired design: `check_animals` refuses it.
        groups_by_animal = _groups_by_animal(self.recordings)
        return len(self.groups) > 1 and all(len(g) > 1 for g in groups_by_animal.values())

    def with_findings(self, findings: Sequence[Finding]) -> Observations:
        """The same study with further findings."""
        return dataclasses.replace(self, findings=(*self.findings, *findings))

    def by_side(self) -> Observations:
        """Left and right become ipsi and contra where the groups table names the treated paw.

        Raises `UserError` where it says so for some animals only.
        """
        sides = {r.animal: side_of(r.columns.get("treated_side", "")) for r in self.recordings}
        # Without a treated side anywhere, left and right are what the study compares.
        if not any(sides.values()):
            return self
        for animal, side in sides.items():
            if side is None:
                raise UserError(
                    f"treated_side of animal {animal}: expected L or R; for an untreated animal "
                    f"give the side that the others were treated on"
                )
        renamed = {side: _renamed(self.classes, side) for side in ("L", "R")}
        names: dict[str, None] = {}
        for pair in zip(renamed["L"], renamed["R"], strict=True):
            names |= dict.fromkeys(sorted(pair, reverse=True))  # ipsi before contra
        classes = tuple(names)
        codes = {s: np.array([classes.index(name) for name in renamed[s]]) for s in renamed}
        recordings = []
        for recording in self.recordings:
            labels = codes[str(sides[recording.animal])][recording.labels]
            recordings.append(dataclasses.replace(recording, labels=labels))
        return dataclasses.replace(self, classes=classes, recordings=tuple(recordings))

    def after_stimuli(
        self, onsets_s: Mapping[tuple[str, str], Sequence[float]], response_s: float
    ) -> Observations:
        """One recording for each stimulus of a video: the `response_s` seconds that follow it.

        `onsets_s[(video, trial)]`, trial "" for a recording that is one piece. One without a
        stimulus is left out. Raises `UserError` where no stimulus lies in a recording.
        """
        recordings, findings = [], list(self.findings)
        for recording in self.recordings:
            where = _name(recording)
            onsets = onsets_s.get((recording.video, recording.trial), ())
            if not onsets:
                what = "has no stimulus in the table"
                findings.append(Finding("warning", where, what, "left out"))
            for number, onset in enumerate(onsets, 1):
                piece = recording.between(onset, onset + response_s)
                if piece.length_s <= 0:
                    what = f"ends before its stimulus at {onset:g} s"
                    findings.append(Finding("warning", where, what))
                    continue
                recordings.append(dataclasses.replace(piece, trial=recording.trial or str(number)))
        if not recordings:
            raise UserError(
                "no stimulus of the table lies in a recording; its column video must name the "
                "recordings"
            )
        return dataclasses.replace(self, recordings=tuple(recordings), findings=tuple(findings))


def order_groups(names: Sequence[str], control: str | None = None) -> tuple[str, ...]:
    """Groups in the order in which they are shown, the control first.

    The control is the one named, else one called control, vehicle or the like, else the lowest dose
    where all other names are doses (10, `3 mg/kg`, `formalin_5pct`), else the first. Doses follow
    in the order of their numbers, other names as they come.
    """
    first = control
    if first is None:
        first = next(filter(_is_control, names), None)
    others = [name for name in names if name != first]
    doses = {name: _dose(name) for name in others}
    kinds = {kind for _, kind in doses.values()}
    # Only names that differ in nothing but the number are doses of one substance.
    if len(kinds) == 1 and "" not in kinds:
        others.sort(key=lambda name: doses[name][0])
    if first is not None:
        others.insert(0, first)
    return tuple(others)


def _is_control(name: str) -> bool:
    return _CONTROL.search(name.casefold().replace("_", " ")) is not None


def _dose(name: str) -> tuple[float, str]:
    """The number in a name, and the text around it; no text unless there is exactly one number."""
    numbers = _NUMBER.findall(name)
    if len(numbers) != 1:
        return 0.0, ""
    kind = _NUMBER.sub("#", name.casefold())
    amount = float(numbers[0].replace(",", "."))
    unit = _MASS.search(kind)
    if unit:
        amount *= _GRAMS[unit[2]]  # 500 ug comes before 1 mg
    return amount, _MASS.sub("#", kind).replace(" ", "")


def check_animals(observations: Observations) -> list[Finding]:
    """What a reader must know about who was measured.

    Raises `UserError` for an animal that is in several groups, but where not all animals are.
    """
    groups_by_animal = _groups_by_animal(observations.recordings)
    for animal, groups in groups_by_animal.items():
        if len(groups) > 1 and not observations.paired:
            raise UserError(
                f"animal {animal} is in the groups {' and '.join(sorted(groups))}, others not; "
                f"give each animal one group, or every animal every group (then groups are "
                f"compared within animals)"
            )
    findings = []
    for group in observations.groups:
        n = sum(group in groups for groups in groups_by_animal.values())
        if n < _FEWEST_ANIMALS:
            what = f"only {counted(n, 'animal')}"
            remedy = "too few for any test or interval"
            findings.append(Finding("warning", f"group {group}", what, remedy))
    return findings


def _groups_by_animal(recordings: Sequence[ObservedRecording]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for recording in recordings:
        groups.setdefault(recording.animal, set()).add(recording.group)
    return groups


def _renamed(names: Sequence[str], treated: Side) -> list[str]:
    return [sided(name, treated, names) for name in names]


def sided(name: str, treated: Side, names: Sequence[str]) -> str:
    """`lick_L` is `lick_ipsi` for an animal that was treated on the left.

    If several words of a name tell a side, the last one counts.
    """
    words = side_words(name, names)
    if not words:
        return name
    last = words[-1]
    before, after = name[: last.start], name[last.stop :]
    relative = "ipsi" if last.side == treated else "contra"
    # LickLeft becomes Lick_ipsi: a word of its own, however the name was written.
    return before + "_" * before[-1:].isalnum() + relative + "_" * after[:1].isalnum() + after


def _name(recording: ObservedRecording) -> str:
    if not recording.trial:
        return recording.video
    return f"{recording.video}, trial {recording.trial}"
