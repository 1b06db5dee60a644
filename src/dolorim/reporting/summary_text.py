"""The answer in plain words: did the groups differ, by how much, and did they also move less?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from dolorim.core.findings import Finding
from dolorim.reporting.assays import Assay
from dolorim.reporting.effect_sizes import FEWEST_PER_GROUP
from dolorim.reporting.families import MAIN, PAIR
from dolorim.reporting.observations import Observations
from dolorim.reporting.rank_tests import ALPHA, RANK_TESTS, omnibus
from dolorim.reporting.wording import number, p_text, p_value, shown

FEWEST = 3
"""Animals in a group below which no answer is given at all."""
_NAMED = 5  # animals named in a message, before it goes on with "and 7 more"
_WORDS = {
    "time_percent": "% of the time with",
    "time_s": "s of",
    "bouts": "bouts of",
    "bouts_per_min": "bouts per minute of",
    "bout_mean_s": "s per bout of",
    "latency_s": "s until",
    "response": "of the stimuli answered with",
}
_MOVEMENT = {
    "alike": "Movement: no difference was found in {}.",
    "differ": (
        "The groups differ in {} too: a change in pain behavior may come from moving less or more."
    ),
    "impossible": "Movement ({}): too few animals for a difference to show.",
    "doubted": "Movement: nothing can be said about {} (the reason is under How far to trust it).",
}
_UNITS_OF_DIFFERENCE = {"time_percent": " percentage points", "time_s": " s", "latency_s": " s"}

_RANKS_AND_MEANS = (
    "Here p and the interval do not agree, because the test compares ranks and the interval means: "
    "a few animals with extreme values move a mean, but hardly the ranks. Look at the animals in "
    "the figures."
)


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
    movement = _movement(assay, statistics, locomotion, doubts)
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
        return [f"The groups were not compared in {shown(indicator)}: {reason}.", *movement]
    if min(_smallest_group(rows) for rows in tests.values()) < FEWEST:
        return [
            f"Too few animals to say: at least three in each group are needed to compare "
            f"{shown(indicator)}."
        ]
    return [
        *_answers(tests, shown(indicator)),
        *_differences(observations, assay, groups, tests, indicator),
        *movement,
    ]


def _unreliable(pain: Sequence[str], doubts: Mapping[str, str]) -> list[str]:
    sentences = [
        f"Nothing can be said about {shown(pain[0])}: {doubts[pain[0]]}. To know more, label more "
        f"animals that show it, and score all of them in turn (dolorim train ... --folds 5)."
    ]
    reliable = [name for name in pain[1:] if not doubts.get(name)]
    if reliable:
        names = " or ".join(reliable)
        sentences.append(f"The run finds other pain behaviors: ask about {names} with --pain.")
    return sentences


def _smallest_group(tests: pd.DataFrame) -> int:
    return min(int(n) for n in tests.n.iloc[0].split("/"))


def _answers(tests: Mapping[str, pd.DataFrame], indicator: str) -> list[str]:
    """Did the groups differ, in which windows, and where could no test have shown it?"""
    first = {window: rows.iloc[0] for window, rows in tests.items()}
    impossible, differ, alike = [], [], []
    for window, test in first.items():
        if test.smallest_adjusted >= ALPHA:
            impossible.append(window)
        if test.p_adjusted < ALPHA:
            differ.append(window)
        elif window not in impossible:
            alike.append(window)
    sentences = []
    if differ:
        sentences.append(f"The groups differ in {indicator} ({_p_of_windows(first, differ)}).")
    if alike:
        start = "No difference between the groups was found in"
        if differ:
            start = "No difference was found there in"
        sentences.append(
            f"{start} {indicator} ({_p_of_windows(first, alike)}). That is no proof that there is "
            "none: look at the intervals."
        )
    if impossible:
        sentences.append(_cannot_differ(tests, impossible, indicator))
    return sentences


def _cannot_differ(
    tests: Mapping[str, pd.DataFrame], impossible: Sequence[str], indicator: str
) -> str:
    """With three against three animals, not even groups that are quite apart give p < 0.05."""
    test = tests[impossible[0]].iloc[0]
    windows = f" ({', '.join(impossible)})"
    if list(impossible) == ["whole"]:
        windows = ""
    return (
        f"No p below {ALPHA:g} is possible with {test.n.replace('/', ' against ')} animals"
        f"{_in_tests(tests)}, so this study cannot show a difference in {indicator}{windows}: "
        f"the smallest possible is {p_value(test.smallest_adjusted)}, here "
        f"{p_text(test.p_adjusted)}."
    )


def _p_of_windows(first: Mapping[str, pd.Series], windows: Sequence[str]) -> str:
    """`phase I p = 0.01, phase II p = 0.2; 10/10 animals`."""
    parts = []
    for window in windows:
        p = p_text(first[window].p_adjusted)
        parts.append(p if window == "whole" else f"{window} {p}")
    return f"{', '.join(parts)}; {first[windows[0]].n} animals"


def _in_tests(tests: Mapping[str, pd.DataFrame]) -> str:
    """How many tests share the correction; empty for one."""
    rows = pd.concat(list(tests.values()))
    count = int((rows.family == MAIN).sum())
    if count <= 1:
        return ""
    return f" in {count} tests"


def _differences(
    observations: Observations,
    assay: Assay,
    groups: pd.DataFrame,
    tests: Mapping[str, pd.DataFrame],
    behavior: str,
) -> list[str]:
    """How much each group differs from the control, a sentence per window and group."""
    # Every group is compared with the control, which comes first.
    control = observations.groups[0]
    other_by_pair = {f"{group} - {control}": group for group in observations.groups[1:]}
    sentences = []
    for window, rows in tests.items():
        of_window = groups[(groups.window == window) & (groups.behavior == behavior)]
        means = of_window[of_window.readout == assay.readout].set_index("group")["mean"]
        start = ""
        if window != "whole":
            start = f"{window[0].upper()}{window[1:]}, "
        for _, row in rows[rows.difference.notna()].iterrows():
            other = other_by_pair.get(row.compared)
            if other is not None:
                against = f"{shown(other)} against {shown(control)}"
                values = f"{number(means[other])} against {number(means[control])}"
                what = f"{_WORDS[assay.readout]} {shown(behavior)}"
                difference = _difference(row, assay.readout)
                sentences.append(f"{start}{against}: {values} {what}; {difference}.")
    if any(ranks_and_means_disagree(row) for rows in tests.values() for _, row in rows.iterrows()):
        sentences.append(_RANKS_AND_MEANS)
    return sentences


def ranks_and_means_disagree(row: pd.Series) -> bool:
    """Does only one of the test and the interval exclude that there is no difference?"""
    if pd.isna(row.difference_low) or pd.isna(row.p_adjusted):
        return False
    if row.p < ALPHA <= row.p_adjusted:  # that is the correction's doing
        return False
    return (row.p_adjusted < ALPHA) != (row.difference_low > 0 or row.difference_high < 0)


def _difference(row: pd.Series, readout: str) -> str:
    """`difference 4.7 percentage points (95 % interval 2.8 to 5.7; p = 0.01)`."""
    interval = f"no interval: it takes {FEWEST_PER_GROUP} animals per group, and some that differ"
    if pd.notna(row.difference_low):
        ends = f"{number(row.difference_low)} to {number(row.difference_high)}"
        interval = f"95 % interval {ends}"
    notes = [interval, p_text(row.p_adjusted)]
    # A mean latency with censored animals is a lower bound; a reader has to know that.
    if "censored" in str(row.note):
        notes.append(row.note)
    size = f"{number(row.difference)}{_UNITS_OF_DIFFERENCE.get(readout, '')}"
    return f"difference {size} ({'; '.join(notes)})"


def _why_untested(statistics: pd.DataFrame, assay: Assay, behavior: str) -> str:
    """The reason that the table of tests gives, in the words of its first line."""
    rows = statistics[(statistics.behavior == behavior) & (statistics.readout == assay.readout)]
    notes = rows[rows.test == "none"].note
    if len(notes):
        return str(notes.iloc[0])
    return "no recording reaches the windows that the assay asks about"


def _movement(
    assay: Assay, statistics: pd.DataFrame, locomotion: Sequence[str], doubts: Mapping[str, str]
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
            behaviors[result].append(f"{shown(name)} ({p_text(test.p_adjusted)})")
    sentences = []
    for result, sentence in _MOVEMENT.items():
        if result in behaviors:
            sentences.append(sentence.format(" and ".join(behaviors[result])))
    if not sentences:
        return []
    return [" ".join(sentences)]


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
    names = ", ".join(repeated[:_NAMED])
    if len(repeated) > _NAMED:
        names += f" and {len(repeated) - _NAMED} more"
    animals = {animal for animal, _ in counts}
    what = (
        f"{names}: averaged, so that each animal counts once ({len(animals)} animals, "
        f"{len(observations.recordings)} recordings)"
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
