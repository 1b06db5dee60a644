"""Animals are the samples, and a test says no more than its samples allow."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dolorim.report.statistics import (
    adjust,
    compare,
    effects,
    hazard_ratio,
    holm,
    interval,
    log_rank,
    mixed_model,
    omnibus,
    permutation_p,
)

RNG = np.random.default_rng(5)
A, B, C = RNG.normal(0, 1, 8), RNG.normal(1.5, 1, 7), RNG.normal(0.5, 1, 9)


def animals(samples: dict[str, np.ndarray], behavior: str = "lick", readout: str = "time_percent") -> pd.DataFrame:
    rows = [
        {"animal": f"{g}{i}", "group": g, "window": "whole", "behavior": behavior, "readout": readout, "value": v,
         "event": 1.0}
        for g, values in samples.items() for i, v in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_rank_tests_are_those_of_scipy() -> None:
    assert omnibus([A, B])[2] == stats.mannwhitneyu(A, B).pvalue
    assert omnibus([A, B, C])[2] == stats.kruskal(A, B, C).pvalue
    assert omnibus([A[:7], B], paired=True)[2] == stats.wilcoxon(A[:7], B).pvalue
    assert omnibus([A[:7], B, C[:7]], paired=True)[2] == stats.friedmanchisquare(A[:7], B, C[:7]).pvalue
    assert omnibus([np.zeros(4), np.zeros(5)])[2] == 1


def test_small_groups_with_equal_values_are_tested_exactly() -> None:
    assert omnibus([np.array([0.0, 0, 0, 1]), np.array([2.0, 3, 3, 4])])[2] == pytest.approx(2 / 70)


def test_a_permutation_of_two_groups_agrees_with_that_of_scipy() -> None:
    def difference(x: np.ndarray, y: np.ndarray) -> float:
        return abs(x.mean() - y.mean())

    expected = stats.permutation_test((A, B), difference, n_resamples=np.inf, alternative="greater").pvalue
    assert permutation_p([A, B], np.random.default_rng(0)) == pytest.approx(expected, abs=0.006)
    assert permutation_p([np.ones(3), np.ones(3)], np.random.default_rng(0)) == 1


def test_whole_animals_are_exchanged_where_each_was_measured_repeatedly() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(0, 3, (12, 1)) + rng.normal(0, 0.01, (12, 50))  # 50 occasions add nothing to twelve animals
    assert permutation_p([own[:6], own[6:]], rng) > 0.05


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_and_keeps_the_order(p: list[float]) -> None:
    found = holm(np.array(p))
    assert (found >= np.array(p)).all()
    assert (found <= 1).all()
    assert (np.diff(found[np.argsort(p, kind="stable")]) >= 0).all()


def test_holm_is_as_in_the_textbook() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_effect_sizes_are_as_in_their_papers() -> None:
    found = effects(np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6]), np.random.default_rng(0))
    assert found["difference"] == 2
    assert found["cliffs_delta"] == pytest.approx(12 / 16)
    assert found["hedges_g"] == pytest.approx(2 / np.std([1, 2, 3, 4], ddof=1) * (1 - 3 / 23))
    assert found["difference_low"] < 2 < found["difference_high"]


def test_fewer_than_three_animals_have_no_interval() -> None:
    assert np.isnan(interval(np.array([1.0, 2.0]), np.random.default_rng(0))).all()
    assert np.isnan(effects(A, B[:2], np.random.default_rng(0))["difference_low"])


def test_latencies_that_are_censored_count_as_such() -> None:
    soon, never = np.array([1.0, 2, 3, 4, 5]), np.array([60.0] * 5)
    yes, no = np.ones(5, bool), np.zeros(5, bool)
    rng = np.random.default_rng(0)
    expected = stats.logrank(stats.CensoredData(uncensored=soon), stats.CensoredData(right=never))
    statistic, p = log_rank([soon, never], [yes, no], rng)
    assert statistic == pytest.approx(expected.statistic**2)
    assert p == pytest.approx(2 / math.comb(10, 5), abs=0.004)  # the most extreme of all orders
    times = [RNG.exponential(size=60), RNG.exponential(1.6, size=60)]  # of many animals, both ways agree
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
    found = {row["compared"]: row for row in mixed_model(table)}
    means = value.mean(1)
    assert found["group"]["p"] == pytest.approx(stats.f_oneway(means[::2], means[1::2]).pvalue, rel=0.02)
    assert found["time"]["note"].startswith("F(3, 24)")


def test_pairs_are_corrected_over_pairs_and_designs_over_behaviors() -> None:
    table = pd.concat([animals({"c": A, "x": B, "y": C}, name) for name in ("lick", "rest")])
    found = compare(table, ("c", "x", "y"))
    whole = found[found.test == "Kruskal-Wallis"]
    assert whole.p_adjusted.to_list() == pytest.approx(np.minimum(1, 2 * whole.p).to_list())
    pairs = found[(found.test == "Mann-Whitney (pair)") & (found.behavior == "lick")]
    assert pairs.p_adjusted.to_numpy() == pytest.approx(holm(pairs.p.to_numpy()))
    assert pairs.compared.to_list() == ["x - c", "y - c", "y - x"]
    assert set(pairs.n) == {"7/8", "9/8", "9/7"}
    less = adjust(found.copy(), "fdr")
    assert (less.p_adjusted <= found.p_adjusted + 1e-12).all()


def test_an_animal_without_a_value_is_no_sample() -> None:
    gaps = np.append(A, [np.nan, np.nan])
    found = compare(animals({"c": gaps, "x": B}), ("c", "x"))
    row = found[found.test == "Mann-Whitney"].iloc[0]
    assert row.n == "7/8"
    assert row.p == stats.mannwhitneyu(A, B).pvalue


def test_too_few_animals_are_not_tested() -> None:
    found = compare(animals({"c": A, "x": B[:1]}), ("c", "x"))
    assert found.test.to_list() == ["none"]
    assert "fewer than two" in found.note[0]


def test_two_factors_are_told_apart() -> None:
    table = animals({"c": np.r_[A, A + 3], "x": np.r_[A + 0.01, A + 3.1]})
    table["sex"] = np.tile(np.repeat(["F", "M"], 8), 2)
    found = compare(table, ("c", "x"), second="sex")
    anova = found[found.test == "two-way ANOVA"].set_index("compared")
    assert anova.p["sex"] < 0.001 < 0.5 < anova.p["group"]
    assert "group x sex" in anova.index


def test_repeated_measures_are_tested_over_animals() -> None:
    rng = np.random.default_rng(2)
    days = pd.concat(
        [animals({"c": rng.normal(0, 1, 6), "x": rng.normal(4 * d, 1, 6)}).assign(day=float(d)) for d in range(3)]
    )
    found = compare(days, ("c", "x"), within="day")
    over = found[found.readout == "time_percent by day"]
    assert set(over.test) == {"mixed model", "permutation", "Mann-Whitney (area)"}
    assert over.p.max() < 0.05
    assert found[found.test == "Mann-Whitney"].n.to_list() == ["6/6"]
