"""The answer of a report, in sentences that give direction and size: never a p value alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dolorim.reporting.assays import Assay
from dolorim.reporting.effect_sizes import FEWEST_PER_GROUP
from dolorim.reporting.families import MAIN
from dolorim.reporting.observations import Observations
from dolorim.reporting.rank_tests import ALPHA
from dolorim.reporting.wording import number, p_text, p_value, shown

_RANKS_AND_MEANS = (
    "For {}, p and the interval do not agree, because the test compares ranks and the interval "
    "means: a few animals with extreme values move a mean, but hardly the ranks. Look at the "
    "animals in the figures."
)
_NO_PROOF = (
    "Where no difference was found, that is no proof that there is none: any difference within "
    "the interval is possible."
)


@dataclass(frozen=True)
class _Phrase:
    """How a read-out is told: what one group did more of than another, and in which unit.

    `sentence` has places for the other group, the size, the behavior and the control.
    """

    sentence: str
    unit: str
    step: str = ""
    words: tuple[str, str] = ("more", "less")
    factor: float = 1.0


_POINTS = " percentage points"
_PHRASES = {
    "time_percent": _Phrase(
        "{other} spent {size} of the time with {what} than {control}", "% of the time", _POINTS
    ),
    "time_s": _Phrase("{other} spent {size} with {what} than {control}", "s", " s"),
    "bouts": _Phrase(
        "{other} had {size} bouts of {what} than {control}", "bouts", words=("more", "fewer")
    ),
    "bouts_per_min": _Phrase(
        "{other} had {size} bouts of {what} per minute than {control}",
        "bouts per minute",
        words=("more", "fewer"),
    ),
    "bout_mean_s": _Phrase(
        "bouts of {what} were {size} in {other} than in {control}",
        "s",
        " s",
        ("longer", "shorter"),
    ),
    "latency_s": _Phrase(
        "{other} began {what} {size} than {control}", "s", " s", ("later", "sooner")
    ),
    # The read-out is a share, and people know it as a percentage.
    "response": _Phrase(
        "{other} answered {size} of the stimuli with {what} than {control}",
        "% of the stimuli",
        _POINTS,
        factor=100,
    ),
}


@dataclass(frozen=True)
class _Pair:
    """The test of a group against the control in one window, with the two means."""

    window: str
    control: str
    other: str
    means: tuple[float, float]
    """Of the other group, and of the control."""
    test: pd.Series

    @property
    def differs(self) -> bool:
        return bool(self.test.p_adjusted < ALPHA)

    @property
    def can_differ(self) -> bool:
        """Whether so few animals could give a p below `ALPHA` at all."""
        return not self.test.smallest_adjusted >= ALPHA


def answer_sentences(
    observations: Observations,
    assay: Assay,
    groups: pd.DataFrame,
    tests: Mapping[str, pd.DataFrame],
    indicator: str,
) -> list[str]:
    """Each group against the control in each window: direction, size, interval, p, and animals.

    `tests` are the rank tests of each window. Differences come first, and of them that of the last
    group in the last window: with doses, the highest one in the late phase.
    """
    pairs = _pairs(observations, assay, groups, tests, indicator)
    differ = [pair for pair in pairs if pair.differs]
    alike = [pair for pair in pairs if not pair.differs and pair.can_differ]
    impossible = [pair for pair in pairs if not pair.can_differ]
    paired = observations.paired
    sentences = [_difference(pair, assay, indicator, paired) for pair in differ]
    sentences += [_no_difference(pair, assay, indicator, paired) for pair in alike]
    if impossible:
        sentences.append(_cannot_differ(tests, impossible, indicator))
        sentences += [_estimate(pair, assay, indicator, paired) for pair in impossible]
    sentences += _groups_among_themselves(observations, assay, tests, pairs, indicator)
    if alike:
        sentences.append(_NO_PROOF)
    odd = [pair for pair in pairs if ranks_and_means_disagree(pair.test)]
    if odd:
        where = " and ".join(f"{shown(pair.other)} ({pair.window})" for pair in odd)
        sentences.append(_RANKS_AND_MEANS.format(where))
    return sentences


def _pairs(
    observations: Observations,
    assay: Assay,
    groups: pd.DataFrame,
    tests: Mapping[str, pd.DataFrame],
    indicator: str,
) -> list[_Pair]:
    control = observations.groups[0]
    of_indicator = groups[(groups.behavior == indicator) & (groups.readout == assay.readout)]
    pairs = []
    for window in reversed(list(tests)):
        means = of_indicator[of_indicator.window == window].set_index("group")["mean"]
        by_name = tests[window].set_index("compared")
        # The test of all groups has no difference.
        by_name = by_name[by_name.difference.notna()]
        for other in reversed(observations.groups[1:]):
            name = f"{other} - {control}"
            if name in by_name.index:
                values = float(means[other]), float(means[control])
                pairs.append(_Pair(window, control, other, values, by_name.loc[name]))
    return pairs


def _difference(pair: _Pair, assay: Assay, indicator: str, paired: bool) -> str:
    """`In phase II, 5 % spent 6.8 percentage points more of the time with licking than ...`."""
    phrase, difference = _PHRASES[assay.readout], pair.test.difference
    is_less = bool(difference < 0)
    size = number(abs(phrase.factor * difference))
    text = phrase.sentence.format(
        other=shown(pair.other),
        control=shown(pair.control),
        what=shown(indicator),
        size=f"{size}{phrase.step} {phrase.words[is_less]}",
    )
    # A difference that is told as "less" is a positive number, and so are the ends of its interval.
    sign = -1 if is_less else 1
    notes = [_means(pair, phrase), *_notes(pair.test, phrase, sign), _animals(pair.test, paired)]
    return f"{_start(pair.window, assay)}, {text} ({'; '.join(notes)})."


def _no_difference(pair: _Pair, assay: Assay, indicator: str, paired: bool) -> str:
    where = _start(pair.window, assay)
    between = f"between {shown(pair.other)} and {shown(pair.control)}"
    size = _size(pair, assay, paired)
    return f"{where}, no difference in {shown(indicator)} was found {between}: {size}."


def _estimate(pair: _Pair, assay: Assay, indicator: str, paired: bool) -> str:
    """What was measured where no test can decide."""
    groups = f"{shown(indicator)} of {shown(pair.other)} against {shown(pair.control)}"
    return f"{_start(pair.window, assay)}, {groups}: {_size(pair, assay, paired)}."


def _size(pair: _Pair, assay: Assay, paired: bool) -> str:
    """`2.47 against 0.44 % of the time; difference 2.04 percentage points (...)`."""
    phrase = _PHRASES[assay.readout]
    difference = f"{number(phrase.factor * pair.test.difference)}{phrase.step}"
    notes = [*_notes(pair.test, phrase), _animals(pair.test, paired)]
    return f"{_means(pair, phrase)}; difference {difference} ({'; '.join(notes)})"


def _means(pair: _Pair, phrase: _Phrase) -> str:
    other, control = (number(phrase.factor * mean) for mean in pair.means)
    return f"{other} against {control} {phrase.unit}"


def _notes(test: pd.Series, phrase: _Phrase, sign: int = 1) -> list[str]:
    """Interval, Hedges' g and p of a difference that is told with this sign."""
    interval = f"no interval: it takes {FEWEST_PER_GROUP} animals per group, and some that differ"
    if pd.notna(test.difference_low):
        ends = (test.difference_low, test.difference_high)
        low, high = sorted(sign * phrase.factor * end for end in ends)
        interval = f"95 % interval {number(low)} to {number(high)}"
    notes = [interval]
    if pd.notna(test.hedges_g):
        notes.append(f"Hedges' g {number(sign * test.hedges_g)}")
    notes.append(p_text(test.p_adjusted))
    # A mean latency with censored animals is a lower bound; a reader has to know that.
    if "censored" in str(test.note):
        notes.append(test.note)
    return notes


def _animals(test: pd.Series, paired: bool) -> str:
    """`9 against 10 animals`: the other group, and the control."""
    control, other = test.n.split("/")
    if paired:
        return f"{control} animals, each in both groups"
    return f"{other} against {control} animals"


def _start(window: str, assay: Assay) -> str:
    if window != "whole":
        return f"In {window}"
    return "Overall" if assay.response_s is not None else "Over the whole recording"


def _groups_among_themselves(
    observations: Observations,
    assay: Assay,
    tests: Mapping[str, pd.DataFrame],
    pairs: Sequence[_Pair],
    indicator: str,
) -> list[str]:
    """Where more than two groups differ, but none of them from the control."""
    if len(observations.groups) < 3:
        return []
    sentences = []
    for window, rows in tests.items():
        whole = rows.iloc[0]
        from_control = any(pair.differs for pair in pairs if pair.window == window)
        if whole.p_adjusted < ALPHA and not from_control:
            sentences.append(
                f"{_start(window, assay)}, the {len(observations.groups)} groups differ in "
                f"{shown(indicator)} ({whole.test}, {p_text(whole.p_adjusted)}), but none was "
                f"shown to differ from {shown(observations.groups[0])}: the table of pairs has "
                f"the sizes."
            )
    return sentences


def _cannot_differ(
    tests: Mapping[str, pd.DataFrame], pairs: Sequence[_Pair], indicator: str
) -> str:
    """With three against three animals, not even groups that are quite apart give p < 0.05."""
    test = pairs[0].test
    names = list(dict.fromkeys(pair.window for pair in reversed(pairs)))
    windows = "" if names == ["whole"] else f" ({', '.join(names)})"
    return (
        f"No p below {ALPHA:g} is possible with {test.n.replace('/', ' against ')} animals"
        f"{_in_tests(tests)}, so this study cannot show a difference in {shown(indicator)}"
        f"{windows}: the smallest possible is {p_value(test.smallest_adjusted)}."
    )


def _in_tests(tests: Mapping[str, pd.DataFrame]) -> str:
    """How many tests share the correction; empty for one."""
    rows = pd.concat(list(tests.values()))
    count = int((rows.family == MAIN).sum())
    if count <= 1:
        return ""
    return f" in {count} tests"


def ranks_and_means_disagree(row: pd.Series) -> bool:
    """Does only one of the test and the interval exclude that there is no difference?"""
    if pd.isna(row.difference_low) or pd.isna(row.p_adjusted):
        return False
    if row.p < ALPHA <= row.p_adjusted:  # that is the correction's doing
        return False
    return (row.p_adjusted < ALPHA) != (row.difference_low > 0 or row.difference_high < 0)
