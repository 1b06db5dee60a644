"""Linear models of a read-out: repeated measures, and a second factor between animals."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.formula.api import mixedlm, ols
from statsmodels.stats.anova import anova_lm

FAILED = (np.linalg.LinAlgError, ValueError, ZeroDivisionError)
_SPELLED = {
    "group": "C(group, Sum)",
    "time": "C(time, Sum)",
    "group x time": "C(group, Sum):C(time, Sum)",
}

Row = dict[str, Any]


def mixed_model(table: pd.DataFrame) -> list[Row]:
    """Rows for group, time and their interaction, with a random intercept for each animal.

    `table` has the columns animal, group, time and value. The model is `value ~ group * time`.
    Wald statistics are held against F with denominators as in an analysis of repeated measures:
    animals for the group, animals times occasions for the rest (between-within degrees of freedom).
    """
    # Degrees of freedom between animals, and within them.
    animals, groups, times = (table[name].nunique() for name in ("animal", "group", "time"))
    between = animals - groups
    within = len(table) - animals - groups * (times - 1)
    if between < 1 or within < 1 or table.value.std() == 0:
        return []
    formula = f"value ~ {_SPELLED['group']} * {_SPELLED['time']}"
    # F does not depend on the unit of the values, but the optimizer converges on standard scores.
    scores = (table.value - table.value.mean()) / table.value.std()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = mixedlm(formula, table.assign(value=scores), groups=table["animal"])
            fit = model.fit(reml=True)
            terms = fit.wald_test_terms(scalar=True).table
        except FAILED:
            return [{"test": "mixed model", "note": "could not be fitted"}]
    rows = []
    for term, free in (("group", between), ("time", within), ("group x time", within)):
        wald = terms.loc[_SPELLED[term]]
        df = float(wald["df_constraint"])
        f = float(wald["statistic"]) / df
        note = f"F({df:g}, {free})"
        if not fit.converged:
            note += "; fit not converged"
        test = {"test": "mixed model", "compared": term, "statistic": f}
        rows.append({**test, "p": float(stats.f.sf(f, df, free)), "note": note})
    return rows


def two_factors(table: pd.DataFrame, second: str) -> list[Row]:
    """Type II analysis of variance of `value` by group and a second factor between animals."""
    table = table.rename(columns={second: "second"})
    # A cell with one animal leaves no variation within it to test against.
    counts = table.groupby(["group", "second"])["value"].size()
    cells = table.group.nunique() * table.second.nunique()
    if len(counts) < cells or counts.min() < 2 or table.value.std() == 0:
        note = f"needs two animals that differ in every cell of group x {second}"
        return [{"test": "two-way ANOVA", "note": note}]
    anova = anova_lm(ols("value ~ C(group, Sum) * C(second, Sum)", table).fit(), typ=2)
    residual_df = anova.df.iloc[-1]
    rows: list[Row] = []
    names = ("group", second, f"group x {second}")
    # The last line of the table is the residual, which has no name here.
    for name, (_, line) in zip(names, anova.iterrows(), strict=False):
        note = f"F({line.df:g}, {residual_df:g})"
        test = {"test": "two-way ANOVA", "compared": name, "statistic": line.F}
        rows.append({**test, "p": line["PR(>F)"], "note": note})
    return rows
