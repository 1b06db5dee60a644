"""The answer in plain words: did the groups differ, by how much, and did they also move less?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from dolorim.core.findings import Finding
from dolorim.core.wording import first_of
from dolorim.reporting.answer_text import answer_sentences
from dolorim.reporting.assays import Assay
from dolorim.reporting.families import PAIR
from dolorim.reporting.observations import Observations
from dolorim.reporting.rank_tests import ALPHA, RANK_TESTS, omnibus
from dolorim.reporting.wording import number, p_text, shown

FEWEST = 3
"""Animals in a group below which no answer is given at all."""
_NAMED = 5  # animals named in a message, before it goes on with "and 7 more"
_MOVEMENT = {
    "alike": "Movement: no difference was found in {}.",
    "differ": (
        "The groups differ in {} too: a change in pain behavior may come from moving less or more."
    ),
    "impossible": "Movement ({}): too few animals for a difference to show.",
    "doubted": "Movement: nothing can be said about {} (the reason is under How far to trust it).",
}


def find_rank_tests(
    statistics: pd.DataFrame, window: str, behavior: str, readout: str
) -> pd.DataFrame:
    """The rank tests of one read-out: first that of all groups, then those of pairs of groups.

    With two groups, a single row is both.
    """
    wanted = statistics.window == window
    wanted &= statistics.behavior == behavior
    wanted &= statistics.readout == readout
    wanted &= statistics.test.str.removesuffix(PAIR).isin(RANK_TESTS)
    return statistics[wanted]


def summary_sentences(
    observations: Observations,
    assay: Assay,
    groups: pd.DataFrame,
    statistics: pd.DataFrame,
    pain: Sequence[str],
    locomotion: Sequence[str],
    doubts: Mapping[str, str] | None = None,
) -> list[str]:
    """Plain sentences, the first of them the answer.

    p values are the corrected ones of the main question. `doubts` says of behaviors why nothing can
    be said about them (`Trust.doubt`).
    """
    doubts = doubts or {}
    # Movement is said even where nothing can be said about pain: it is a question of its own.
    movement = _movement(observations, assay, groups, statistics, locomotion, doubts)
    if len(observations.groups) < 2:
        return ["There is one group only, so nothing is compared.", *movement]
    indicator = pain[0]
    if doubts.get(indicator):
        return [*_unreliable(pain, doubts), *movement]
    tests = {}
    for window in assay.primary:
        of_window = find_rank_tests(statistics, window, indicator, assay.readout)
        if len(of_window):
            tests[window] = of_window
    if not tests:
        reason = _why_untested(statistics, assay, indicator)
        return [f"Nothing can be said about {shown(indicator)}, because {reason}.", *movement]
    if min(_smallest_group(rows) for rows in tests.values()) < FEWEST:
        return [
            f"Nothing can be said about {shown(indicator)}, because at least {FEWEST} animals in "
            f"each group are needed to compare it."
        ]
    return [
        *answer_sentences(observations, assay, groups, tests, indicator),
        *movement,
    ]


def _unreliable(pain: Sequence[str], doubts: Mapping[str, str]) -> list[str]:
    sentences = [
        f"Nothing can be said about {shown(pain[0])}, because {doubts[pain[0]]}. To know more, "
        f"label more animals that show it, and score all of them in turn (dolorim train ... "
        f"--folds 5)."
    ]
    reliable = [name for name in pain[1:] if not doubts.get(name)]
    if reliable:
        names = " or ".join(reliable)
        sentences.append(f"The run finds other pain behaviors: ask about {names} with --pain.")
    return sentences


def _smallest_group(tests: pd.DataFrame) -> int:
    return min(int(n) for n in tests.n.iloc[0].split("/"))


def _why_untested(statistics: pd.DataFrame, assay: Assay, behavior: str) -> str:
    """The reason that the table of tests gives, in the words of its first line."""
    rows = statistics[(statistics.behavior == behavior) & (statistics.readout == assay.readout)]
    notes = rows[rows.test == "none"].note
    if len(notes):
        return str(notes.iloc[0])
    return "no recording reaches the windows that the assay asks about"


def _movement(
    observations: Observations,
    assay: Assay,
    groups: pd.DataFrame,
    statistics: pd.DataFrame,
    locomotion: Sequence[str],
    doubts: Mapping[str, str],
) -> list[str]:
    """Whether the groups move differently: a sedated animal shows less pain behavior too."""
    if not locomotion:
        return [
            "No class tells how much the animals move, so sedation cannot be told from analgesia."
        ]
    behaviors: dict[str, list[str]] = defaultdict(list)
    for name in locomotion:
        test = _clearest_test(assay, statistics, name)
        if doubts.get(name):
            behaviors["doubted"].append(shown(name))
        elif test is None:
            continue
        elif test.smallest_adjusted >= ALPHA:
            behaviors["impossible"].append(shown(name))
        else:
            result = "differ" if test.p_adjusted < ALPHA else "alike"
            shares = _shares(observations, groups, test.window, name)
            behaviors[result].append(f"{shown(name)} ({shares}; {p_text(test.p_adjusted)})")
    sentences = []
    for result, sentence in _MOVEMENT.items():
        if result in behaviors:
            sentences.append(sentence.format(" and ".join(behaviors[result])))
    if not sentences:
        return []
    return [" ".join(sentences)]


def _shares(observations: Observations, groups: pd.DataFrame, window: str, behavior: str) -> str:
    """`vehicle 36.7, drug 35.2 % of the time in phase II`."""
    rows = groups[(groups.window == window) & (groups.behavior == behavior)]
    means = rows[rows.readout == "time_percent"].set_index("group")["mean"]
    values = ", ".join(f"{shown(group)} {number(means[group])}" for group in observations.groups)
    where = "" if window == "whole" else f" in {window}"
    return f"{values} % of the time{where}"


def _clearest_test(assay: Assay, statistics: pd.DataFrame, behavior: str) -> pd.Series | None:
    """Of the primary windows' tests of all groups, the one with the smallest corrected p."""
    rows = [
        find_rank_tests(statistics, window, behavior, "time_percent").head(1)
        for window in assay.primary
    ]
    tests = pd.concat(rows)
    # Too few animals in a window leave a row without p.
    tests = tests[tests.p_adjusted.notna()]
    if not len(tests):
        return None
    return tests.loc[tests.p_adjusted.idxmin()]


def repeated_recordings(
    observations: Observations, assay: Assay, recordings: pd.DataFrame, pain: Sequence[str]
) -> list[Finding]:
    """Name animals with several recordings in one cell of the design, and what ignoring it does."""
    if assay.response_s is not None or assay.within is not None:
        return []  # several trials or sessions of an animal are meant
    # Counting recordings as if they were animals makes small differences look certain.
    counts = Counter((recording.animal, recording.group) for recording in observations.recordings)
    repeated = [f"{animal} ({n})" for (animal, _), n in counts.items() if n > 1]
    if not repeated:
        return []
    animals = {animal for animal, _ in counts}
    what = (
        f"{first_of(repeated, _NAMED)}: averaged, so that each animal counts once "
        f"({len(animals)} animals, {len(observations.recordings)} recordings)"
        f"{_if_recordings_counted(observations, assay, recordings, pain[0])}"
    )
    return [Finding("warning", "several recordings of one animal", what)]


def _if_recordings_counted(
    observations: Observations, assay: Assay, recordings: pd.DataFrame, behavior: str
) -> str:
    """The wrong result that recordings in place of animals would give; empty where it has none."""
    cell = recordings[recordings.window == assay.windows[0].name]
    cell = cell[(cell.behavior == behavior) & (cell.readout == "time_percent")]
    cell = cell.dropna(subset="value")
    samples = [cell[cell.group == group].value.to_numpy() for group in observations.groups]
    if len(samples) < 2 or observations.paired or min(map(len, samples)) < 2:
        return ""
    name, _, p = omnibus(samples)
    means = "/".join(number(sample.mean()) for sample in samples)
    return (
        f"; recordings counted as if they were animals would give {means} % {shown(behavior)}, "
        f"{name} {p_text(p)}"
    )
