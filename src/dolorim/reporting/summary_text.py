"""The answer in plain words: did the groups differ, in what, by how much, and could it be that they only move less?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dolorim.core.findings import Finding
from dolorim.reporting.assays import Assay
from dolorim.reporting.families import MAIN, PAIR
from dolorim.reporting.observations import Observations
from dolorim.reporting.rank_tests import ALPHA, RANK_TESTS, omnibus
from dolorim.reporting.study_figures import shown

FEWEST = 3
"""Animals in a group below which no answer is given at all."""
_WORDS = {
    "time_percent": "% of the time with", "time_s": "s of", "bouts": "bouts of", "bouts_per_min": "bouts per minute of",
    "bout_mean_s": "s per bout of", "latency_s": "s until", "response": "of the stimuli answered with",
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
    return (
        "< 0.0001"
        if p < 0.0001
        else f"{p:.4f}"
        if p < 0.001
        else f"{p:.3f}"
        if p < 0.1
        else f"{p:.2f}"
    )


def p_text(p: float) -> str:
    return f"p {p_value(p)}" if p < 0.0001 else f"p = {p_value(p)}"


def find(statistics: pd.DataFrame, window: str, behavior: str, readout: str) -> pd.DataFrame:
    """The rank tests of one read-out: first that of all groups, then pairs (for two groups the one row is both)."""
    here = (
        (statistics.window == window)
        & (statistics.behavior == behavior)
        & (statistics.readout == readout)
    )
    return statistics[here & statistics.test.str.removesuffix(PAIR).isin(RANK_TESTS)]


def verdict(
    observations: Observations,
    assay: Assay,
    groups: pd.DataFrame,
    statistics: pd.DataFrame,
    pain: Sequence[str],
    locomotion: Sequence[str],
    doubts: Mapping[str, str] | None = None,
) -> list[str]:
    """Plain sentences, the first of them the answer. p are those of the main question, corrected together.

    `doubts` says of behaviors why nothing can be said about them (`Trust.doubt`).
    """
    doubts = {} if doubts is None else doubts
    moves = _locomotion(assay, statistics, locomotion, doubts)
    if len(observations.groups) < 2:
        return ["There is one group only, so nothing is compared.", *moves]
    indicator = shown(pain[0])
    if doubts.get(pain[0]):
        said = [f"Nothing can be said about {indicator}: {doubts[pain[0]]}."]
        sure = [name for name in pain[1:] if not doubts.get(name)]
        if sure:
            names = " or ".join(sure)
            said.append(f"The run finds other pain behaviors: ask about {names} with --pain.")
        return said + moves
    found = {w: find(statistics, w, pain[0], assay.readout) for w in assay.primary}
    tests = {w: t for w, t in found.items() if len(t)}
    if not tests:
        why = _untested(statistics, assay, pain[0])
        return [f"The groups were not compared in {indicator}: {why}.", *moves]
    smallest = min((min(map(int, t.n.iloc[0].split("/"))) for t in tests.values()), default=0)
    if smallest < FEWEST:
        return [
            f"Too few animals to say: at least three in each group are needed to compare {indicator}."
        ]
    return [
        *_answers(tests, indicator),
        *_sizes(observations, assay, groups, tests, pain[0]),
        *moves,
    ]


def _answers(tests: Mapping[str, pd.DataFrame], indicator: str) -> list[str]:
    """Did the groups differ, in which windows, and where could no test have shown it?"""
    first = {w: t.iloc[0] for w, t in tests.items()}
    hopeless = [w for w, row in first.items() if row.smallest_adjusted >= ALPHA]
    differ = [w for w, row in first.items() if row.p_adjusted < ALPHA]
    alike = [w for w in first if w not in differ and w not in hopeless]

    def where(windows: Sequence[str]) -> str:
        p = {w: p_text(first[w].p_adjusted) for w in windows}
        named = [p[w] if w == "whole" else f"{w} {p[w]}" for w in windows]
        return f"{', '.join(named)}; {first[windows[0]].n} animals"

    said = []
    if differ:
        said.append(f"The groups differ in {indicator} ({where(differ)}).")
    if alike:
        also = (
            "No difference was found there in"
            if differ
            else "No difference between the groups was found in"
        )
        said.append(
            f"{also} {indicator} ({where(alike)}). That is no proof that there is none: look at the intervals."
        )
    if hopeless:
        row = first[hopeless[0]]
        of = "" if hopeless == ["whole"] else f" ({', '.join(hopeless)})"
        said.append(
            f"No p below {ALPHA:g} is possible with {row.n.replace('/', ' against ')} animals"
            f"{_tests_of(tests)}, so this study cannot show a difference in {indicator}{of}: the smallest "
            f"possible is {p_value(row.smallest_adjusted)}, here {p_text(row.p_adjusted)}."
        )
    return said


def _tests_of(tests: Mapping[str, pd.DataFrame]) -> str:
    rows = pd.concat(list(tests.values()))
    count = int((rows.family == MAIN).sum())
    return f" in {count} tests" if count > 1 else ""


def _sizes(
    observations: Observations,
    assay: Assay,
    groups: pd.DataFrame,
    tests: Mapping[str, pd.DataFrame],
    behavior: str,
) -> list[str]:
    """How much each group differs from the control, a sentence per window and group."""
    said, control, unit = [], observations.groups[0], _WORDS[assay.readout]
    points = {"time_percent": " percentage points", "time_s": " s", "latency_s": " s"}.get(
        assay.readout, ""
    )
    for window, rows in tests.items():
        here = (
            (groups.window == window)
            & (groups.behavior == behavior)
            & (groups.readout == assay.readout)
        )
        mean = groups[here].set_index("group")["mean"]
        for _, row in rows[rows.difference.notna()].iterrows():
            other = next(
                (g for g in observations.groups[1:] if row.compared == f"{g} - {control}"), None
            )
            if other is None:
                continue
            start = "" if window == "whole" else f"{window[0].upper()}{window[1:]}, "
            interval = "no interval: too few animals that differ"
            if row.difference_low == row.difference_low:
                interval = (
                    f"95 % interval {number(row.difference_low)} to {number(row.difference_high)}"
                )
            censored = f"; {row.note}" if "censored" in str(row.note) else ""
            said.append(
                f"{start}{shown(other)} against {shown(control)}: {number(mean[other])} against "
                f"{number(mean[control])} {unit} {shown(behavior)}; difference {number(row.difference)}{points} "
                f"({interval}; {p_text(row.p_adjusted)}{censored})."
            )
    return said


def _untested(statistics: pd.DataFrame, assay: Assay, behavior: str) -> str:
    here = (statistics.behavior == behavior) & (statistics.readout == assay.readout)
    notes = statistics[here & (statistics.test == "none")].note
    return (
        str(notes.iloc[0])
        if len(notes)
        else "no recording reaches the windows that the assay asks about"
    )


def _locomotion(
    assay: Assay, statistics: pd.DataFrame, locomotion: Sequence[str], doubts: Mapping[str, str]
) -> list[str]:
    if not locomotion:
        return [
            "No class tells how much the animals move, so sedation cannot be told from analgesia."
        ]
    doubted = [shown(name) for name in locomotion if doubts.get(name)]
    least: dict[str, pd.Series] = {}
    for name in locomotion:
        tests = pd.concat(
            [find(statistics, w, name, "time_percent").head(1) for w in assay.primary]
        )
        tests = tests[tests.p_adjusted.notna()]
        if len(tests) and not doubts.get(name):
            least[shown(name)] = tests.loc[tests.p_adjusted.idxmin()]
    differ = [f"{n} ({p_text(t.p_adjusted)})" for n, t in least.items() if t.p_adjusted < ALPHA]
    hopeless = [n for n, t in least.items() if t.smallest_adjusted >= ALPHA]
    alike = [
        f"{n} ({p_text(t.p_adjusted)})"
        for n, t in least.items()
        if t.p_adjusted >= ALPHA and n not in hopeless
    ]
    said = []
    if alike:
        said.append(f"Movement: no difference was found in {' and '.join(alike)}.")
    if differ:
        said.append(
            f"The groups differ in {' and '.join(differ)} too: a change in pain behavior may come from moving "
            f"less or more."
        )
    if hopeless:
        said.append(f"Movement ({', '.join(hopeless)}): too few animals for a difference to show.")
    if doubted:
        said.append(f"Movement: the run does not find {' and '.join(doubted)} well enough to say.")
    return [" ".join(said)] if said else []


def repeated_recordings(
    observations: Observations, assay: Assay, recordings: pd.DataFrame, pain: Sequence[str]
) -> list[Finding]:
    """Names animals with several recordings in one cell of the design, and what ignoring that would have given."""
    if assay.response_s is not None or assay.within is not None:
        return []
    counts: dict[tuple[str, str], int] = {}
    for recording in observations.recordings:
        counts[recording.animal, recording.group] = (
            counts.get((recording.animal, recording.group), 0) + 1
        )
    twice = [f"{animal} ({n})" for (animal, _), n in counts.items() if n > 1]
    if not twice:
        return []
    here = (
        (recordings.window == assay.windows[0].name)
        & (recordings.behavior == pain[0])
        & (recordings.readout == "time_percent")
    )
    cell = recordings[here].dropna(subset="value")
    samples = [cell[cell.group == g].value.to_numpy() for g in observations.groups]
    wrong = ""
    if len(samples) > 1 and not observations.paired and min(map(len, samples)) > 1:
        name, _, p = omnibus(samples)
        means = "/".join(number(s.mean()) for s in samples)
        wrong = f"; recordings counted as if they were animals would give {means} % {shown(pain[0])}, {name} p = {p:.1e}"
    more = f" and {len(twice) - 5} more" if len(twice) > 5 else ""
    what = f"{', '.join(twice[:5])}{more}: averaged, so that each animal counts once "
    what += (
        f"({len({a for a, _ in counts})} animals, {len(observations.recordings)} recordings){wrong}"
    )
    return [Finding("warning", "several recordings of one animal", what)]
