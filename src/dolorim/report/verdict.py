"""The answer in plain words: did the groups differ, in what, by how much, and could it be that they only move less?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dolorim.core.findings import Finding
from dolorim.core.study import Study
from dolorim.report.assays import Assay
from dolorim.report.statistics import holm, omnibus
from dolorim.report.study_figures import shown

ALPHA = 0.05
_WORDS = {
    "time_percent": "% of the time with", "time_s": "s of", "bouts": "bouts of", "bouts_per_min": "bouts a minute of",
    "bout_mean_s": "s a bout of", "latency_s": "s until", "response": "of the stimuli answered with",
}  # fmt: skip


def number(value: float) -> str:
    """Three figures that count, without exponents."""
    if value != value:
        return "-"
    digits = 0 if value == 0 else max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return f"{value:.{min(digits, 2 if abs(value) >= 0.1 else 3)}f}"


def p_value(p: float) -> str:
    if p != p:
        return "-"
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_text(p: float) -> str:
    return f"p {p_value(p)}" if p < 0.0001 else f"p = {p_value(p)}"


def find(statistics: pd.DataFrame, window: str, behavior: str, readout: str) -> pd.DataFrame:
    """The rank tests of one read-out: first that of all groups, then pairs (for two groups the one row is both)."""
    here = (statistics.window == window) & (statistics.behavior == behavior) & (statistics.readout == readout)
    ranks = statistics.test.str.match("Mann-Whitney|Kruskal-Wallis|Wilcoxon|Friedman")
    return statistics[here & ranks]


def verdict(
    study: Study,
    assay: Assay,
    groups: pd.DataFrame,
    statistics: pd.DataFrame,
    pain: Sequence[str],
    locomotion: Sequence[str],
) -> list[str]:
    """Plain sentences, the first of them the answer. p of several primary windows are corrected by Holm."""
    if len(study.groups) < 2:
        return ["There is one group only, so nothing is compared.", *_locomotion(assay, statistics, locomotion)]
    indicator = shown(pain[0])
    tests = {w: find(statistics, w, pain[0], assay.readout) for w in assay.primary}
    tests = {w: t for w, t in tests.items() if len(t)}
    smallest = min((min(map(int, t.n.iloc[0].split("/"))) for t in tests.values()), default=0)
    if smallest < 3:
        return [f"Too few animals to say: at least three in each group are needed to compare {indicator}."]
    p = dict(zip(tests, holm(np.array([t.p.iloc[0] for t in tests.values()])).tolist(), strict=True))
    differ, alike = [w for w in p if p[w] < ALPHA], [w for w in p if p[w] >= ALPHA]

    def where(windows: Sequence[str]) -> str:
        named = [p_text(p[w]) if w == "whole" else f"{w} {p_text(p[w])}" for w in windows]
        return f"{', '.join(named)}; {tests[windows[0]].n.iloc[0]} animals"

    said = []
    if differ:
        said.append(f"The groups differ in {indicator} ({where(differ)}).")
    if alike:
        also = "No difference was found there in" if differ else "No difference between the groups was found in"
        said.append(f"{also} {indicator} ({where(alike)}). That is no proof that there is none: look at the intervals.")
    unit = _WORDS[assay.readout]
    for window in tests:
        means = groups[(groups.window == window) & (groups.behavior == pain[0]) & (groups.readout == assay.readout)]
        mean = means.set_index("group")["mean"]
        for _, row in tests[window][tests[window].difference.notna()].iterrows():
            other = next((g for g in study.groups[1:] if row.compared == f"{g} - {study.groups[0]}"), None)
            if other is None:
                continue
            start = "" if window == "whole" else f"{window[0].upper()}{window[1:]}, "
            corrected = row.p_adjusted if len(study.groups) > 2 else row.p
            said.append(
                f"{start}{shown(other)} against {shown(study.groups[0])}: {number(mean[other])} against "
                f"{number(mean[study.groups[0]])} {unit} {indicator}; difference {number(row.difference)} "
                f"[{number(row.difference_low)}, {number(row.difference_high)}], {p_text(corrected)}."
            )
    return said + _locomotion(assay, statistics, locomotion)


def _locomotion(assay: Assay, statistics: pd.DataFrame, locomotion: Sequence[str]) -> list[str]:
    if not locomotion:
        return ["No class tells how much the animals move, so sedation cannot be told from analgesia."]
    least: dict[str, float] = {}
    for name in locomotion:
        tests = [find(statistics, w, name, "time_percent") for w in assay.primary]
        p = holm(np.array([t.p.iloc[0] for t in tests if len(t)]))
        least |= {shown(name): float(p.min())} if len(p) else {}
    differ = [f"{name} ({p_text(p)})" for name, p in least.items() if p < ALPHA]
    alike = [f"{name} ({p_text(p)})" for name, p in least.items() if p >= ALPHA]
    said = f"Movement: no difference was found in {' and '.join(alike)}. " if alike else ""
    if differ:
        said += f"The groups differ in {' and '.join(differ)} too: "
        said += "a change in pain behavior may come from moving less or more."
    return [said.strip()] if said else []


def repeated_recordings(study: Study, assay: Assay, recordings: pd.DataFrame, pain: Sequence[str]) -> list[Finding]:
    """Names animals with several recordings in one cell of the design, and what ignoring that would have given."""
    if assay.response_s is not None or assay.within is not None:
        return []
    counts: dict[tuple[str, str], int] = {}
    for track in study.tracks:
        counts[track.animal, track.group] = counts.get((track.animal, track.group), 0) + 1
    twice = [f"{animal} ({n})" for (animal, _), n in counts.items() if n > 1]
    if not twice:
        return []
    here = (
        (recordings.window == assay.windows[0].name)
        & (recordings.behavior == pain[0])
        & (recordings.readout == "time_percent")
    )
    cell = recordings[here].dropna(subset="value")
    samples = [cell[cell.group == g].value.to_numpy() for g in study.groups]
    wrong = ""
    if len(samples) > 1 and not study.paired and min(map(len, samples)) > 1:
        name, _, p = omnibus(samples)
        means = "/".join(number(s.mean()) for s in samples)
        wrong = (
            f"; recordings counted as if they were animals would give {means} % {shown(pain[0])}, {name} p = {p:.1e}"
        )
    more = f" and {len(twice) - 5} more" if len(twice) > 5 else ""
    what = f"{', '.join(twice[:5])}{more}: averaged, so that each animal counts once "
    what += f"({len({a for a, _ in counts})} animals, {len(study.tracks)} recordings){wrong}"
    return [Finding("warning", "several recordings of one animal", what)]
