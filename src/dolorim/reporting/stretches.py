"""What of each window is compared: the stretch that all recordings cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dolorim.core.findings import Finding
from dolorim.core.wording import first_of
from dolorim.reporting.assays import Assay, Window
from dolorim.reporting.observations import Observations, ObservedRecording

_ALIKE = 0.01  # of a length: recordings that differ by less are equally long
_COVERED = 0.5
"""A recording that covers less than half of what the shorter group's median recording covers of a
window would cut everybody's window short; it is left out of that window instead, and named."""
_COVERED_TRIAL = 0.95
"""A trial has to last as long as the others, or a response may lie beyond its end."""
_SHORTEST_S = 1e-9
_NAMED = 3


@dataclass(frozen=True)
class Stretch:
    """`[start_s, stop_s)` of every recording but those left out.

    It ends at `end_s` in these recordings, or at `stop_s` if that is sooner.
    """

    name: str
    start_s: float
    stop_s: float
    end_s: float
    left_out: frozenset[int] = frozenset()
    """Indices of recordings that do not cover it."""


def find_stretches(observations: Observations, assay: Assay) -> tuple[list[Stretch], list[Finding]]:
    """The stretch of each window that is measured in all recordings, and what a reader must know.

    Read-outs that grow with time (seconds, bouts, area), latencies and shares of a changing
    behavior are only comparable over the same time. A window that no recording reaches has no
    stretch.
    """
    stretches, findings = [], []
    least_covered = _COVERED
    if assay.response_s is not None:
        least_covered = _COVERED_TRIAL
    for window in assay.windows:
        stretch, notes = _find_stretch(observations, window, least_covered)
        findings += notes
        if stretch is not None:
            stretches.append(stretch)
    return stretches, findings


def _find_stretch(
    observations: Observations, window: Window, least_covered: float
) -> tuple[Stretch | None, list[Finding]]:
    """The stretch of one window, and what a reader must know about it."""
    where = f"window {window.name}"
    recordings = observations.recordings
    ends_s = np.array([min(recording.length_s, window.stop_s) for recording in recordings])
    covered_s = ends_s - window.start_s
    medians_s = _median_by_group(observations, covered_s)
    short = _too_short(covered_s, list(medians_s.values()), least_covered)
    kept = [i for i in range(len(recordings)) if i not in short]
    if not kept or (covered_s <= 0).all():
        return None, [Finding("warning", where, "no recording reaches it")]
    findings = []
    for group, median_s in medians_s.items():
        if median_s <= 0:
            findings.append(Finding("warning", where, f"most recordings of {group} end before it"))
    shortest_s, longest_s = float(covered_s[kept].min()), float(covered_s[kept].max())
    end_s = window.start_s + shortest_s
    unlabeled, partly = _poorly_labeled(observations, kept, window.start_s, end_s)
    left_out = "left out of it"
    findings += _named_findings(where, observations, short, "too short", left_out)
    findings += _named_findings(where, observations, unlabeled, "nothing is labeled", left_out)
    remedy = "percents are of what is labeled"
    findings += _named_findings(where, observations, partly, "less than half is labeled", remedy)
    # A few frames more or less are no reason for a note.
    alike = longest_s - shortest_s <= _ALIKE * longest_s
    if not alike:
        shortest = recordings[kept[int(covered_s[kept].argmin())]]
        findings.append(_cut_short(window, end_s, window.start_s + longest_s, shortest))
    elif np.isfinite(window.stop_s) and _covered_share(window, end_s) < 1 - _ALIKE:
        findings.append(_less_than_planned(window, end_s))
    excluded = frozenset([*short, *unlabeled])
    # A window in which nobody has labeled anything cannot be compared.
    if len(excluded) == len(recordings):
        return None, findings
    # Recordings that are equally long but for a few frames are measured to their own ends.
    stop_s = window.stop_s if alike else end_s
    return Stretch(window.name, window.start_s, stop_s, end_s, excluded), findings


def _median_by_group(observations: Observations, covered_s: np.ndarray) -> dict[str, float]:
    """How much of a window the median recording of each group covers, in seconds."""
    groups = np.array([recording.group for recording in observations.recordings])
    return {group: float(np.median(covered_s[groups == group])) for group in observations.groups}


def _too_short(
    covered_s: np.ndarray, medians_s: Sequence[float], least_covered: float
) -> list[int]:
    """Indices of recordings that cover too little of a window to cut it to their length."""
    # A group that ends before the window does not make the others too long.
    reached = [median_s for median_s in medians_s if median_s > 0]
    least_s = max(least_covered * min(reached, default=0.0), _SHORTEST_S)
    return np.flatnonzero(covered_s < least_s).tolist()


def _poorly_labeled(
    observations: Observations, indices: Sequence[int], start_s: float, end_s: float
) -> tuple[list[int], list[int]]:
    """Indices of recordings without labels in a stretch, and with labels in less than half."""
    unlabeled, partly = [], []
    for i in indices:
        labeled_s = _labeled_s(observations.recordings[i], start_s, end_s)
        if labeled_s <= 0:
            unlabeled.append(i)
        elif labeled_s < _COVERED * (end_s - start_s):
            partly.append(i)
    return unlabeled, partly


def _labeled_s(recording: ObservedRecording, start_s: float, stop_s: float) -> float:
    inside_s = np.minimum(recording.stop_s, stop_s) - np.maximum(recording.start_s, start_s)
    return float(inside_s[inside_s > 0].sum())


def _named_findings(
    where: str, observations: Observations, indices: Sequence[int], what: str, remedy: str
) -> list[Finding]:
    """One finding that names the recordings; none where there are no recordings to name."""
    if not indices:
        return []
    names = []
    for i in indices:
        recording = observations.recordings[i]
        names.append(f"{recording.video}, trial {recording.trial}".removesuffix(", trial "))
    return [Finding("warning", where, f"{what} in {first_of(names, _NAMED)}", remedy)]


def _cut_short(
    window: Window, end_s: float, longest_s: float, shortest: ObservedRecording
) -> Finding:
    what = f"recordings end at {_minutes(end_s)} to {_minutes(longest_s)} min"
    remedy = (
        f"compared over {_span(window, end_s)}, which all cover; {shortest.video} is the shortest"
    )
    return Finding("warning", f"window {window.name}", what, remedy)


def _less_than_planned(window: Window, end_s: float) -> Finding:
    planned = f"planned to {window.stop_s / 60:g} min"
    what = f"{planned}, but the recordings end at {_minutes(end_s)} min"
    percent = 100 * _covered_share(window, end_s)
    remedy = f"it is {_span(window, end_s)} here, {percent:.0f} % of the plan"
    return Finding("warning", f"window {window.name}", what, remedy)


def _covered_share(window: Window, end_s: float) -> float:
    return (end_s - window.start_s) / (window.stop_s - window.start_s)


def _span(window: Window, end_s: float) -> str:
    return f"{window.start_s / 60:g}-{_minutes(end_s)} min"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.2f}".rstrip("0").rstrip(".")
