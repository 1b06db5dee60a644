"""Differences in a model with covariates and clusters, and what the next study would find."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import mixedlm, ols

from dolorim.core.errors import UserError
from dolorim.reporting.adjusted import Design, adjusted_sentences, adjusted_table, design_of
from dolorim.reporting.observations import Observations, ObservedRecording
from dolorim.reporting.power import power_sentence, power_table, smallest_difference

KEY = ("whole", "lick", "time_percent")
PAIRS = (("vehicle", "drug"),)


def animals(values: np.ndarray, groups: list[str]) -> pd.DataFrame:
    table = pd.DataFrame({"animal": [f"m{i}" for i in range(len(values))], "group": groups})
    window, behavior, readout = KEY
    return table.assign(
        window=window, behavior=behavior, readout=readout, value=values, event=np.nan
    )


def test_covariates_and_clusters_are_those_of_statsmodels() -> None:
    rng = np.random.default_rng(0)
    groups = ["vehicle", "drug"] * 12
    weight = rng.normal(25, 3, 24)
    litter = np.repeat(np.arange(6), 4)
    value = 5 + 3 * (np.array(groups) == "drug") + 0.5 * weight + rng.normal(0, 1, 6)[litter]
    value += rng.normal(0, 1, 24)
    table = animals(value, groups)
    weights = {"weight": dict(zip(table.animal, weight, strict=True))}
    frame = pd.DataFrame({"y": value, "w": weight, "drug": np.array(groups) == "drug"})
    [row] = adjusted_table(
        table, Design(weights, None, PAIRS), [KEY], ("vehicle", "drug"), "holm"
    ).itertuples()
    fit = ols("y ~ drug + w", frame).fit()
    low, high = fit.conf_int().loc["drug[T.True]"]
    assert (row.difference, row.difference_low, row.difference_high, row.p) == pytest.approx(
        (fit.params.iloc[1], low, high, fit.pvalues.iloc[1])
    )
    assert (row.formula, row.df) == ("value ~ group + weight", 21)
    clusters = dict(zip(table.animal, litter.astype(str), strict=True))
    design = Design(weights, clusters, PAIRS)
    adjusted = adjusted_table(table, design, [KEY], ("vehicle", "drug"), "holm")
    [row] = adjusted.itertuples()
    mixed = mixedlm("y ~ drug + w", frame, groups=litter).fit()
    assert row.difference == pytest.approx(mixed.params.iloc[1], rel=1e-3)
    half = stats.t.ppf(0.975, row.df) * mixed.bse.iloc[1]
    assert row.difference_high - row.difference == pytest.approx(half, rel=1e-2)
    # Litters hold both groups, so that animals are compared within them.
    assert (row.df, row.clusters) == (24 - 6 - 2, "6")
    [answer, about] = adjusted_sentences(adjusted, design)
    assert "value ~ group + weight + (1 | cluster)" in answer
    assert "6 clusters" in about


def test_whole_clusters_in_one_group_are_the_samples() -> None:
    rng = np.random.default_rng(0)
    groups = ["vehicle"] * 12 + ["drug"] * 12
    table = animals(rng.normal(size=24) + np.repeat(rng.normal(0, 2, 6), 4), groups)
    clusters = {f"m{i}": str(i // 4) for i in range(24)}
    design = Design({}, clusters, PAIRS)
    [row] = adjusted_table(table, design, [KEY], ("vehicle", "drug"), "holm").itertuples()
    assert row.df == 6 - 2


def recording(animal: str, group: str, **columns: str) -> ObservedRecording:
    empty = np.zeros(0)
    return ObservedRecording(animal, animal, group, empty, empty, empty, 1.0, "", columns)


def test_what_the_model_needs_is_asked_for_by_name() -> None:
    both = [recording("a", "x", cluster="1", weight="20"), recording("b", "y", cluster="1")]
    study = Observations(("rest",), ("x", "y"), tuple(both))
    design = design_of(study, (), ())
    assert design is not None
    assert design.formula == "value ~ group + (1 | cluster)"
    assert design.planned == [("x", "y")]
    with pytest.raises(UserError, match=r"column weight .* found none for b"):
        design_of(study, ("weight",), ())
    with pytest.raises(UserError, match="--planned 'x - z': expected 'GROUP - GROUP'"):
        design_of(study, (), ("x - z",))
    one = Observations(("rest",), ("x",), (both[0],))
    assert design_of(one, (), ()) is None
    plain = Observations(("rest",), ("x", "y"), (recording("a", "x"), recording("b", "y")))
    assert design_of(plain, (), ()) is None


def test_the_smallest_difference_is_about_that_of_the_t_test() -> None:
    rng = np.random.default_rng(0)
    samples = [rng.normal(0, 2, 200), rng.normal(5, 2, 200)]
    # Student's t with 8 per group has a power of 80 % at 1.51 standard deviations; the
    # Mann-Whitney test needs a little more.
    difference = smallest_difference(samples, 8, rng, studies=1000)
    assert 1.45 * 2 < difference < 1.75 * 2
    table = power_table(
        animals(np.concatenate(samples), ["a"] * 200 + ["b"] * 200), ("a", "b"), KEY, 0
    )
    assert table.smallest_difference.is_monotonic_decreasing
    assert "8 per group find a difference of" in power_sentence(table, {})[0]
