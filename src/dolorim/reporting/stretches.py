"""What of each window is compared: the stretch that all recordings cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dolorim.core.findings import Finding
from dolorim.reporting.assays import Assay, Window
from dolorim.reporting.observations import Observations, ObservedRecording

_ALIKE = 0.01  # of a length: recordings that differ by less are equally long
_COVERED = 0.5
"""A recording that covers less than half of what the shorter group's median recording covers of a
window would cut everybody's window short; it is left out of that window instead, and named."""
_COVERED_TRIAL = 0.95
"""A trial has to last as long as the others, or a response to its stimulus may lie beyond its end."""
_SHORTEST_S = 1e-9
_NAMED = 3


@dataclass(frozen=True)
class Stretch:
    """`[start_s, stop_s)` of every recording but those left out; `end_s` is where it ends in them."""

    name: str
    start_s: float
    stop_s: float
    end_s: float
    left_out: frozenset[int] = frozenset()
    """Indices of tracks that do not cover it."""


def find_stretches(observations: Observations, assay: Assay) -> tuple[list[Stretch], list[Finding]]:
    """The stretch of each window that is measured in all recordings, and what a reader must know.

    Read-outs that grow with time (seconds, bouts, area), latencies and shares of a changing behavior
    are only comparable over the same time. A window that no recording reaches has no stretch.
    """
    found, findings = [], []
    for window in assay.windows:
        covered = _COVERED if assay.response_s is None else _COVERED_TRIAL
        stretch, said = _stretch(observations, window, covered)
        findings += said
        if stretch is not None:
            found.append(stretch)
    return found, findings


def _stretch(
    observations: Observations, window: Window, share: float
) -> tuple[Stretch | None, list[Finding]]:
    where = f"window {window.name}"
    covered = np.array(
        [min(t.length_s, window.stop_s) - window.start_s for t in observations.recordings]
    )
    if (covered <= 0).all():
        return None, [Finding("warning", where, "no recording reaches it")]
    findings = []
    medians = []
    for group in observations.groups:
        of_group = [
            c for c, t in zip(covered, observations.recordings, strict=True) if t.group == group
        ]
        medians.append(float(np.median(of_group)))
        if medians[-1] <= 0:
            findings.append(Finding("warning", where, f"most recordings of {group} end before it"))
    reached = [m for m in medians if m > 0]
    least = max(share * min(reached) if reached else 0.0, _SHORTEST_S)
    short = [i for i, c in enumerate(covered) if c < least]
    kept = [i for i in range(len(covered)) if i not in set(short)]
    if not kept:
        return None, [Finding("warning", where, "no recording reaches it")]
    end_s = window.start_s + float(covered[kept].min())
    labelled = {i: _labelled_s(observations.recordings[i], window.start_s, end_s) for i in kept}
    bare = [i for i in kept if labelled[i] <= 0]
    partly = [i for i in kept if 0 < labelled[i] < _COVERED * (end_s - window.start_s)]
    for indices, what, remedy in (
        (short, "too short", "left out of it"),
        (bare, "nothing is labelled", "left out of it"),
        (partly, "less than half is labelled", "percents are of what is labelled"),
    ):
        if indices:
            names = _names([observations.recordings[i] for i in indices])
            findings.append(Finding("warning", where, f"{what} in {names}", remedy))
    longest = window.start_s + float(covered[kept].max())
    alike = longest - end_s <= _ALIKE * (longest - window.start_s)
    planned = window.stop_s - window.start_s
    span = f"{window.start_s / 60:g}-{_minutes(end_s)} min"
    if not alike:
        first = observations.recordings[kept[int(covered[kept].argmin())]]
        what = f"recordings end at {_minutes(end_s)} to {_minutes(longest)} min"
        how = f"compared over {span}, which all cover; {first.video} is the shortest"
        findings.append(Finding("warning", where, what, how))
    elif np.isfinite(planned) and end_s - window.start_s < (1 - _ALIKE) * planned:
        share = 100 * (end_s - window.start_s) / planned
        what = f"planned to {window.stop_s / 60:g} min, but the recordings end at {_minutes(end_s)} min"
        findings.append(
            Finding("warning", where, what, f"it is {span} here, {share:.0f} % of the plan")
        )
    stop_s = window.stop_s if alike else end_s
    left_out = frozenset([*short, *bare])
    if len(left_out) == len(observations.recordings):
        return None, findings
    return Stretch(window.name, window.start_s, stop_s, end_s, left_out), findings


def _labelled_s(recording: ObservedRecording, start_s: float, stop_s: float) -> float:
    inside = np.minimum(recording.stop_s, stop_s) - np.maximum(recording.start_s, start_s)
    return float(inside[inside > 0].sum())


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.2f}".rstrip("0").rstrip(".")


def _names(recordings: Sequence[ObservedRecording]) -> str:
    names = [f"{t.video}, trial {t.trial}" if t.trial else t.video for t in recordings[:_NAMED]]
    more = len(recordings) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
