"""Animals are the samples, and a test says no more than its samples allow."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dolorim.metrics.intervals import NEVER_NEGATIVE
from dolorim.reporting.answer_text import ranks_and_means_disagree
from dolorim.reporting.effect_sizes import effects, group_interval
from dolorim.reporting.families import MAIN, MOVEMENT, Question, adjust
from dolorim.reporting.latencies import hazard_ratio, log_rank, sign_test
from dolorim.reporting.linear_models import mixed_model
from dolorim.reporting.permutation import permutation_p
from dolorim.reporting.rank_tests import omnibus, smallest_p
from dolorim.reporting.statistics import compare

RNG = np.random.default_rng(5)
A, B, C = RNG.normal(20, 1, 8), RNG.normal(21.5, 1, 7), RNG.normal(20.5, 1, 9)  # % of time


def animals(
    samples: dict[str, np.ndarray], behavior: str = "lick", readout: str = "time_percent"
) -> pd.DataFrame:
    rows = [
        {"animal": f"{g}{i}", "group": g, "window": "whole", "behavior": behavior,
        "readout": readout, "value": v,
         "event": 1.0}
        for g, values in samples.items() for i, v in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_rank_tests_are_those_of_scipy() -> None:
    assert omnibus([A, B])[2] == stats.mannwhitneyu(A, B).pvalue
    assert omnibus([A, B, C])[2] == stats.kruskal(A, B, C).pvalue
    assert omnibus([A[:7], B], paired=True)[2] == stats.wilcoxon(A[:7], B).pvalue
    assert (
        omnibus([A[:7], B, C[:7]], paired=True)[2]
        == stats.friedmanchisquare(A[:7], B, C[:7]).pvalue
    )
    assert omnibus([np.zeros(4), np.zeros(5)])[2] == 1


def test_small_groups_with_equal_values_are_tested_exactly() -> None:
    assert omnibus([np.array([0.0, 0, 0, 1]), np.array([2.0, 3, 3, 4])])[2] == pytest.approx(2 / 70)
    rng = np.random.default_rng(1)
    for sizes in ((3, 6), (5, 5), (4, 7)):
        a, b = (rng.integers(0, 4, n).astype(float) for n in sizes)
        every_order = stats.PermutationMethod(n_resamples=10_000)
        assert omnibus([a, b])[2] == pytest.approx(
            stats.mannwhitneyu(a, b, method=every_order).pvalue
        )
    many = [rng.integers(0, 9, 20).astype(float) for _ in range(2)]  # counted, not approximated
    assert omnibus(many)[2] == pytest.approx(stats.mannwhitneyu(*many).pvalue, rel=0.05)


@pytest.mark.parametrize(
    ("test", "sizes", "expected"),
    [
        ("Mann-Whitney", (3, 3), 0.1),
        ("Mann-Whitney", (4, 4), 2 / 70),
        ("Mann-Whitney", (3, 4), 2 / 35),
        ("Wilcoxon", (5, 5), 2 / 32),
        ("log-rank", (3, 3), 0.1),
        ("sign test", (4, 4), 0.125),
    ],
)
def test_the_smallest_p_is_what_so_few_animals_allow(
    test: str, sizes: tuple[int, ...], expected: float
) -> None:
    assert smallest_p(test, sizes) == pytest.approx(expected)


def test_no_study_of_that_size_has_a_p_below_the_smallest() -> None:
    rng = np.random.default_rng(0)
    for sizes in ((3, 3, 3), (2, 3, 4)):
        least = min(
            omnibus([rng.integers(0, 20, n).astype(float) for n in sizes])[2] for _ in range(2000)
        )
        assert least >= smallest_p("Kruskal-Wallis", sizes) - 1e-12


def test_a_permutation_of_two_groups_agrees_with_that_of_scipy() -> None:
    def difference(x: np.ndarray, y: np.ndarray) -> float:
        return abs(x.mean() - y.mean())

    expected = stats.permutation_test(
        (A, B), difference, n_resamples=np.inf, alternative="greater"
    ).pvalue
    assert permutation_p([A, B], np.random.default_rng(0)) == pytest.approx(expected, abs=0.006)
    assert permutation_p([np.ones(3), np.ones(3)], np.random.default_rng(0)) == 1


def test_whole_animals_are_exchanged_where_each_was_measured_repeatedly() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(0, 3, (12, 1)) + rng.normal(
        0, 0.01, (12, 50)
    )  # 50 occasions add nothing to twelve animals
    assert permutation_p([own[:6], own[6:]], rng) > 0.05


def test_effect_sizes_are_as_in_their_papers() -> None:
    sizes = effects(np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6]))
    assert sizes["difference"] == 2
    assert sizes["cliffs_delta"] == pytest.approx(12 / 16)
    assert sizes["hedges_g"] == pytest.approx(2 / np.std([1, 2, 3, 4], ddof=1) * (1 - 3 / 23))
    assert sizes["difference_low"] < 2 < sizes["difference_high"]


def test_three_animals_in_a_group_have_no_interval() -> None:
    assert np.isnan(group_interval(np.array([1.0, 2.0, 3.0]))).all()
    sizes = effects(A, B[:3])
    assert all(
        np.isnan(sizes[f"{name}_{end}"])
        for name in ("difference", "hedges_g")
        for end in ("low", "high")
    )


def test_hedges_g_is_not_defined_where_no_animal_differs_from_its_group() -> None:
    for a, b in ((np.full(5, 0.1), np.full(5, 0.3)), (np.full(5, 12.3), np.full(5, 12.3) + 1e-12)):
        sizes = effects(a, b)
        assert np.isnan(sizes["hedges_g"])
    table = compare(animals({"c": np.zeros(5), "x": np.full(5, 8.0)}), ("c", "x"))
    row = table[table.test == "Mann-Whitney"].iloc[0]
    assert "Hedges' g is not defined" in row.note
    assert row.cliffs_delta == 1
    assert row.cliffs_delta_low < 1  # five animals above five others are no certainty


def test_intervals_of_animals_are_no_narrower_than_students() -> None:
    rng = np.random.default_rng(4)
    licking = rng.lognormal(0, 1, 8)
    low, high = group_interval(licking)
    student = stats.t.interval(0.95, 7, licking.mean(), stats.sem(licking))
    assert low <= student[0] + 1e-9
    assert high > 1.5 * student[1]  # one of these mice licks far more: others may, too
    assert group_interval(-licking) == pytest.approx((-high, -low))
    even = np.array([1.0, 2, 3, 4, 5, 6])
    student = stats.t.interval(0.95, 5, even.mean(), stats.sem(even))
    assert group_interval(even) == pytest.approx(student)


def test_a_skewed_read_out_is_covered_about_as_often_as_intervals_say() -> None:
    rng = np.random.default_rng(0)
    true = math.exp(0.5)  # mean of a log-normal population
    held = {"ours": 0, "student": 0}
    for _ in range(300):
        values = rng.lognormal(0, 1, 12)
        low, high = group_interval(values, NEVER_NEGATIVE)
        held["ours"] += low <= true <= high
        low, high = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
        held["student"] += low <= true <= high
    assert held["ours"] > 0.9 * 300 > held["student"]


def test_latencies_that_are_censored_count_as_such() -> None:
    soon, never = np.array([1.0, 2, 3, 4, 5]), np.array([60.0] * 5)
    yes, no = np.ones(5, bool), np.zeros(5, bool)
    rng = np.random.default_rng(0)
    expected = stats.logrank(stats.CensoredData(uncensored=soon), stats.CensoredData(right=never))
    statistic, p = log_rank([soon, never], [yes, no], rng)
    assert statistic == pytest.approx(expected.statistic**2)
    assert p == pytest.approx(2 / math.comb(10, 5), abs=0.004)  # the most extreme of all orders
    times = [
        RNG.exponential(size=60),
        RNG.exponential(1.6, size=60),
    ]  # of many animals, both ways agree
    everyone = np.ones(60, bool)
    chi_square = stats.logrank(*map(stats.CensoredData, times)).pvalue
    assert log_rank(times, [everyone, everyone], rng)[1] == pytest.approx(chi_square, abs=0.02)
    assert log_rank([never, never], [no, no], rng)[1] == 1
    assert np.isnan(hazard_ratio([soon, never], [yes, no])).all()
    late = np.array([3.0, 5, 7, 9, 60])
    ratio, low, high = hazard_ratio([late, soon], [np.array([1, 1, 1, 1, 0], bool), yes])
    assert low < ratio < high
    assert ratio > 1


def test_a_mixed_model_of_a_balanced_design_is_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(1)
    value = rng.normal(0, 1, (10, 1)) + rng.normal(0, 1, (10, 4))
    table = pd.DataFrame([
        {"animal": str(i), "group": "ab"[i % 2], "time": float(t), "value": value[i, t]}
        for i in range(10) for t in range(4)
    ])  # fmt: skip
    rows = {row["compared"]: row for row in mixed_model(table)}
    means = value.mean(1)
    assert rows["group"]["p"] == pytest.approx(
        stats.f_oneway(means[::2], means[1::2]).pvalue, rel=0.02
    )
    assert rows["time"]["note"].startswith("F(3, 24)")


def stats_holm(p: np.ndarray) -> list[float]:
    """Step-down Bonferroni, as in the textbook."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return pytest.approx(np.minimum(stepped, 1)[np.argsort(order)])


def test_every_test_has_one_corrected_p_and_those_of_the_main_question_are_corrected_together() -> (
    None
):
    tables = [animals({"c": A, "x": B, "y": C}, name) for name in ("lick", "walk", "rest")]
    table = pd.concat([t.assign(window=w) for t in tables for w in ("I", "II", "between")])
    question = Question("lick", "time_percent", ("I", "II"), ("walk",))
    comparison = compare(table, ("c", "x", "y"), question=question)
    main = comparison[comparison.family == MAIN]
    assert set(zip(main.window, main.test, main.compared, strict=True)) == {
        (w, *what)
        for w in ("I", "II")
        for what in (
            ("Kruskal-Wallis", "all groups"),
            ("Mann-Whitney (pair)", "x - c"),
            ("Mann-Whitney (pair)", "y - c"),
        )
    }
    assert main.p_adjusted.to_numpy() == stats_holm(main.p.to_numpy())
    moves = comparison[comparison.family == MOVEMENT]
    assert (set(moves.behavior), set(moves.window)) == ({"walk"}, {"I", "II"})
    assert comparison.p_adjusted.notna().sum() == comparison.p.notna().sum()


def test_three_against_three_cannot_reach_a_p_below_one_in_twenty() -> None:
    comparison = compare(animals({"c": np.arange(3.0), "x": np.arange(3.0) + 9}), ("c", "x"))
    row = comparison[comparison.test == "Mann-Whitney"].iloc[0]
    assert (row.p, row.smallest_p) == (pytest.approx(0.1), pytest.approx(0.1))
    assert np.isnan(row.difference_low)


def latencies(
    never: int, group: str, rng: np.random.Generator, end_s: float = 600.0
) -> pd.DataFrame:
    times = np.where(np.arange(6) < never, end_s, rng.uniform(5, 60, 6))
    table = animals({group: times}, readout="latency_s")
    return table.assign(event=np.where(np.arange(6) < never, 0.0, 1.0))


def test_censored_latencies_go_into_no_rank_test_of_times() -> None:
    rng = np.random.default_rng(0)
    nobody = pd.concat([latencies(6, "c", rng, 600.0), latencies(6, "x", rng, 1080.0)])
    comparison = compare(nobody, ("c", "x"))
    assert set(comparison.test) == {"log-rank"}
    assert comparison.p.to_list() == [1.0]
    assert "12 of 12 latencies are censored" in comparison.note[0]
    most = pd.concat([latencies(5, "c", rng), latencies(0, "x", rng)])
    comparison = compare(most, ("c", "x"))
    assert comparison.p[0] < 0.01
    factor = most.assign(sex=np.tile(["F", "M"], 6))
    anova = compare(factor, ("c", "x"), second="sex")
    assert "censored" in anova[anova.test == "two-way ANOVA"].note.iloc[0]


def test_censored_latencies_of_the_same_animals_are_ordered_where_that_is_known() -> None:
    first, second = np.array([5.0, 60, 60, 60, 10]), np.array([60.0, 5, 60, 20, 60])
    seen = [np.array([1, 0, 0, 0, 1], bool), np.array([0, 1, 0, 1, 0], bool)]
    assert sign_test([first, second], seen) == (2.0, 1.0, 4)
    table = pd.concat(
        [latencies(3, "c", np.random.default_rng(1)), latencies(0, "x", np.random.default_rng(2))]
    )
    table["animal"] = np.tile(np.arange(6).astype(str), 2)
    comparison = compare(table, ("c", "x"), paired=True)
    assert set(comparison.test) == {"sign test"}


def test_pairs_are_corrected_over_pairs_and_designs_over_behaviors() -> None:
    table = pd.concat([animals({"c": A, "x": B, "y": C}, name) for name in ("lick", "rest")])
    comparison = compare(table, ("c", "x", "y"))
    whole = comparison[comparison.test == "Kruskal-Wallis"]
    assert whole.p_adjusted.to_list() == pytest.approx(np.minimum(1, 2 * whole.p).to_list())
    pairs = comparison[(comparison.test == "Mann-Whitney (pair)") & (comparison.behavior == "lick")]
    assert pairs.p_adjusted.to_numpy() == stats_holm(pairs.p.to_numpy())
    assert pairs.compared.to_list() == ["x - c", "y - c", "y - x"]
    assert pairs.n.to_list() == ["8/7", "8/9", "7/9"]  # in the order of the groups
    less = adjust(comparison.copy(), "fdr")
    assert (less.p_adjusted <= comparison.p_adjusted + 1e-12).all()


def test_an_animal_without_a_value_is_no_sample() -> None:
    gaps = np.append(A, [np.nan, np.nan])
    comparison = compare(animals({"c": gaps, "x": B}), ("c", "x"))
    row = comparison[comparison.test == "Mann-Whitney"].iloc[0]
    assert row.n == "8/7"
    assert row.p == stats.mannwhitneyu(A, B).pvalue


def test_too_few_animals_are_not_tested() -> None:
    comparison = compare(animals({"c": A, "x": B[:1]}), ("c", "x"))
    assert comparison.test.to_list() == ["none"]
    assert "fewer than two" in comparison.note[0]


def test_two_factors_are_told_apart() -> None:
    table = animals({"c": np.r_[A, A + 3], "x": np.r_[A + 0.01, A + 3.1]})
    table["sex"] = np.tile(np.repeat(["F", "M"], 8), 2)
    comparison = compare(table, ("c", "x"), second="sex")
    anova = comparison[comparison.test == "two-way ANOVA"].set_index("compared")
    assert anova.p["sex"] < 0.001 < 0.5 < anova.p["group"]
    assert "group x sex" in anova.index


def test_repeated_measures_are_tested_over_animals() -> None:
    rng = np.random.default_rng(2)
    days = pd.concat(
        [
            animals({"c": rng.normal(0, 1, 6), "x": rng.normal(4 * d, 1, 6)}).assign(day=float(d))
            for d in range(3)
        ]
    )
    comparison = compare(days, ("c", "x"), within="day")
    over = comparison[comparison.readout == "time_percent by day"]
    assert set(over.test) == {"mixed model", "permutation", "Mann-Whitney (area)"}
    assert over.p.max() < 0.05
    assert comparison[comparison.test == "Mann-Whitney"].n.to_list() == ["6/6"]


def test_p_and_interval_that_do_not_agree_are_explained() -> None:
    def row(p: float, low: float, high: float, adjusted: float | None = None) -> pd.Series:
        p_values = {"p": p, "p_adjusted": p if adjusted is None else adjusted}
        return pd.Series({**p_values, "difference_low": low, "difference_high": high})

    assert ranks_and_means_disagree(row(0.001, -1.1, 3.9))
    assert ranks_and_means_disagree(row(0.2, 0.1, 3.9))
    assert not ranks_and_means_disagree(row(0.001, 0.1, 3.9))
    assert not ranks_and_means_disagree(row(0.2, -1.1, 3.9))
    assert not ranks_and_means_disagree(row(0.03, 0.1, 3.9, adjusted=0.06))  # the correction does
    assert not ranks_and_means_disagree(row(0.001, np.nan, np.nan))
