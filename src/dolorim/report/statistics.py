"""Statistics between groups. The samples are animals, never frames, bouts or trials. Definitions: docs/readouts.md."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import survdiff
from statsmodels.formula.api import mixedlm, ols
from statsmodels.stats.anova import anova_lm

RESAMPLES = 4999
_EXACT = 4000  # orders of the animals that are all tried: up to seven against seven
_PAIR = " (pair)"
_FAILED = (np.linalg.LinAlgError, ValueError, ZeroDivisionError)
_TESTED = ("time_percent", "bouts_per_min", "bout_mean_s", "latency_s", "response", "auc")

Row = dict[str, Any]


def interval(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of the mean of `(animals,)` by resampling animals; NaN for fewer than three."""
    values = values[~np.isnan(values)]
    if len(values) < 3:
        return np.nan, np.nan
    low, high = np.percentile(rng.choice(values, (RESAMPLES, len(values))).mean(1), [2.5, 97.5])
    return float(low), float(high)


def omnibus(samples: Sequence[np.ndarray], paired: bool = False) -> tuple[str, float, float]:
    """Rank test of two or more groups, each `(animals,)`: its name, statistic and p.

    Mann-Whitney and Kruskal-Wallis between animals; Wilcoxon and Friedman within (rows aligned). Where every value is
    the same, p is 1.
    """
    two = len(samples) == 2
    name = ("Wilcoxon" if two else "Friedman") if paired else ("Mann-Whitney" if two else "Kruskal-Wallis")
    if np.ptp(np.concatenate(samples)) == 0 or (paired and two and (samples[0] == samples[1]).all()):
        return name, np.nan, 1.0
    if paired:
        found = stats.wilcoxon(*samples) if two else stats.friedmanchisquare(*samples)
    else:
        found = _mann_whitney(*samples) if two else stats.kruskal(*samples)
    return name, float(found.statistic), float(found.pvalue)


def _mann_whitney(a: np.ndarray, b: np.ndarray) -> Any:
    """SciPy's, which is exact for small groups only where no values are equal; here it is with equal ones too."""
    orders = math.comb(len(a) + len(b), len(a))
    tied = len(np.unique(np.concatenate([a, b]))) < len(a) + len(b)
    exact = tied and orders <= _EXACT
    return stats.mannwhitneyu(a, b, method=stats.PermutationMethod(n_resamples=_EXACT) if exact else "auto")


def permutation_p(samples: Sequence[np.ndarray], rng: np.random.Generator, n: int = RESAMPLES) -> float:
    """p of the variation between groups under exchange of animals, each group `(animals,)` or `(animals, occasions)`.

    The statistic is F (of means), summed over occasions: whole animals are exchanged, so that it holds for repeated
    measures. (1 + hits) / (1 + draws) after Phipson & Smyth (2010), doi:10.2202/1544-6115.1585.
    """
    values = np.concatenate([np.asarray(s, float).reshape(len(s), -1) for s in samples])
    sizes = [len(s) for s in samples]
    spread = values.std(0)
    if not (spread > 0).any():
        return 1.0
    values = (values - values.mean(0))[:, spread > 0] / spread[spread > 0]
    total = len(values)
    orders = rng.permuted(np.tile(np.arange(total), (n, 1)), axis=1)

    def statistic(order: np.ndarray) -> np.ndarray:
        between = np.zeros((len(order), values.shape[1]))
        for part in np.split(order, np.cumsum(sizes)[:-1], axis=1):
            between += values[part].sum(1) ** 2 / part.shape[1]
        return (between / np.maximum(total - between, 1e-12)).sum(1)

    observed = statistic(np.arange(total)[None])[0]
    return float((1 + (statistic(orders) >= observed * (1 - 1e-9)).sum()) / (1 + n))


def effects(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, paired: bool = False) -> Row:
    """How much more `b` is than `a`, `(animals,)` each, with 95 % intervals by resampling the animals of each group.

    Difference of means; Cliff's delta, P(b > a) - P(b < a) (Cliff 1993); Hedges' g (Hedges 1981). Fewer than three
    animals in a group have no interval.
    """
    enough = min(len(a), len(b)) >= 3
    draws = 2000 if enough else 0
    one = rng.integers(len(a), size=(draws, len(a)))
    two = one if paired else rng.integers(len(b), size=(draws, len(b)))
    found: Row = {}
    many, single = (a[one], b[two]), (a[None], b[None])
    for name, measured in (("difference", _difference), ("cliffs_delta", _cliff), ("hedges_g", _hedges)):
        values = measured(*many) if enough else np.array([np.nan])
        known = values[np.isfinite(values)]
        low, high = np.percentile(known, [2.5, 97.5]) if known.size else (np.nan, np.nan)
        found |= {name: float(measured(*single)[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
    return found


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return b.mean(-1) - a.mean(-1)


def _cliff(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sign(b[:, :, None] - a[:, None, :]).mean((1, 2))


def _hedges(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    n, m = a.shape[-1], b.shape[-1]
    free = n + m - 2
    if min(n, m) < 2:
        return np.full(len(a), np.nan)
    pooled = np.sqrt(((n - 1) * a.var(-1, ddof=1) + (m - 1) * b.var(-1, ddof=1)) / free)
    return np.divide(_difference(a, b), pooled, out=np.full(len(a), np.nan), where=pooled > 0) * (
        1 - 3 / (4 * free - 1)
    )


def log_rank(
    times: Sequence[np.ndarray], events: Sequence[np.ndarray], rng: np.random.Generator
) -> tuple[float, float]:
    """Log-rank test of latencies that may be censored, `(animals,)` per group: chi-square and p.

    p is that of exchanging the animals' log-rank scores (event - cumulative hazard): from chi-square, five animals in
    a group reject 8 % of the time without an effect (benchmarks/results/null_effect.md).
    """
    when, seen = np.concatenate(times), np.concatenate(events)
    group = np.repeat(np.arange(len(times)), [len(t) for t in times])
    if not seen.any():
        return np.nan, 1.0
    moments = np.unique(when[seen])
    risks = np.array([(when[seen] == m).sum() / (when >= m).sum() for m in moments])
    scores = seen - np.append(0, np.cumsum(risks))[np.searchsorted(moments, when, "right")]
    p = permutation_p([scores[group == g] for g in range(len(times))], rng)
    try:
        return float(survdiff(when, seen.astype(int), group)[0]), p
    except _FAILED:  # nobody is left at risk in one of the groups
        return np.nan, p


def hazard_ratio(times: Sequence[np.ndarray], events: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """Cox: how much sooner the second group begins than the first (above 1 is sooner), with 95 % interval.

    NaN where one of the two never or all of one before all of the other begin: no finite ratio fits that.
    """
    group = np.repeat([0.0, 1.0], [len(t) for t in times])
    if not all(e.any() for e in events):
        return np.nan, np.nan, np.nan
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = PHReg(np.concatenate(times), group[:, None], np.concatenate(events).astype(int), ties="efron").fit()
            ratio, (low, high) = float(np.exp(fit.params[0])), np.exp(fit.conf_int()[0])
    except _FAILED:
        return np.nan, np.nan, np.nan
    return (ratio, float(low), float(high)) if 1e-4 < ratio < 1e4 else (np.nan, np.nan, np.nan)


def mixed_model(table: pd.DataFrame) -> list[Row]:
    """Rows for group, time and their interaction from `value ~ group * time` with a random intercept for each animal.

    Wald statistics against F with denominators as in an analysis of repeated measures: animals for the group, animals
    times occasions for the rest (between-within degrees of freedom).
    """
    formula = "value ~ C(group, Sum) * C(time, Sum)"
    n, k, t = table.animal.nunique(), table.group.nunique(), table.time.nunique()
    between, within = n - k, len(table) - n - k * (t - 1)
    if between < 1 or within < 1 or table.value.std() == 0:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            table = table.assign(value=(table.value - table.value.mean()) / table.value.std())  # F does not change
            fit = mixedlm(formula, table, groups=table["animal"]).fit(reml=True)
            terms = fit.wald_test_terms(scalar=True).table
        except _FAILED:
            return [{"test": "mixed model", "note": "could not be fitted"}]
    rows = []
    for term, free in (("group", between), ("time", within), ("group x time", within)):
        spelled = {"group": "C(group, Sum)", "time": "C(time, Sum)"}.get(term, "C(group, Sum):C(time, Sum)")
        chi2, df = float(terms.loc[spelled, "statistic"]), float(terms.loc[spelled, "df_constraint"])
        note = f"F({df:g}, {free})" + ("" if fit.converged else "; fit not converged")
        p = float(stats.f.sf(chi2 / df, df, free))
        rows.append({"test": "mixed model", "compared": term, "statistic": chi2 / df, "p": p, "note": note})
    return rows


def two_factors(table: pd.DataFrame, second: str) -> list[Row]:
    """Type II analysis of variance of `value` by group and a second factor between animals."""
    table = table.rename(columns={second: "second"})
    counts = table.groupby(["group", "second"])["value"].size()
    cells = table.group.nunique() * table.second.nunique()
    if len(counts) < cells or counts.min() < 2 or table.value.std() == 0:
        return [{"test": "two-way ANOVA", "note": f"needs two animals that differ in every cell of group x {second}"}]
    found = anova_lm(ols("value ~ C(group, Sum) * C(second, Sum)", table).fit(), typ=2)
    rows: list[Row] = []
    for name, (_, line) in zip(("group", second, f"group x {second}"), found.iterrows(), strict=False):
        note = f"F({line.df:g}, {found.df.iloc[-1]:g})"
        rows.append({"test": "two-way ANOVA", "compared": name, "statistic": line.F, "p": line["PR(>F)"], "note": note})
    return rows


def compare(
    animals: pd.DataFrame, groups: Sequence[str], *, paired: bool = False, within: str | None = None,
    second: str | None = None, correction: str = "holm", seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Every test of every read-out: one row a test. `animals` is the table of that name from `collect`.

    Of two groups the rank test itself carries the effect sizes; of more, each pair has a row of its own.
    """
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    if within is not None:
        rows += _repeated(animals, groups, within, second, rng)
        keys = ["animal", "group", *([second] if second else []), "window", "behavior", "readout"]
        animals = animals.groupby(keys, sort=False).agg(value=("value", "mean"), event=("event", "max")).reset_index()
    for (window, behavior, readout), cell in animals.groupby(["window", "behavior", "readout"], sort=False):
        if readout in _TESTED and len(groups) > 1:
            where = {"window": window, "behavior": behavior, "readout": readout}
            found = _between(cell, groups, paired, readout == "latency_s", rng)
            if second is not None and not paired:
                found += two_factors(cell.dropna(subset="value"), second)
            rows += [{**where, **row} for row in found]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return adjust(table, correction)


_EFFECTS = [
    f"{e}{end}" for e in ("difference", "cliffs_delta", "hedges_g", "hazard_ratio") for end in ("", "_low", "_high")
]
_COLUMNS = ["window", "behavior", "readout", "test", "compared", "n", "statistic", "p", "p_adjusted", *_EFFECTS, "note"]


def adjust(table: pd.DataFrame, correction: str) -> pd.DataFrame:
    """`p_adjusted` by Holm (1979) or Benjamini & Hochberg (1995) within families.

    A family is one test of one read-out in one window over all behaviors; pairs of groups are corrected over the pairs
    of one behavior, and are to be read where the test of all groups rejects.
    """
    table["p_adjusted"] = np.nan
    tested = table[table.p.notna()]
    pair = tested.test.str.endswith(_PAIR)
    family = [
        tested.window,
        tested.readout,
        tested.test,
        tested.compared.mask(pair, ""),
        tested.behavior.where(pair, ""),
    ]
    for _, rows in tested.groupby(family, sort=False):
        p = rows.p.to_numpy(float)
        table.loc[rows.index, "p_adjusted"] = holm(p) if correction == "holm" else stats.false_discovery_control(p)
    return table


def holm(p: np.ndarray) -> np.ndarray:
    """Step-down Bonferroni of `(tests,)` (Holm 1979, Scand J Stat 6:65-70)."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(stepped, 1)[np.argsort(order)]


def _between(
    cell: pd.DataFrame, groups: Sequence[str], paired: bool, censored: bool, rng: np.random.Generator
) -> list[Row]:
    values = cell.pivot(index="animal", columns="group", values="value").reindex(columns=list(groups))
    values = values.dropna() if paired else values
    samples = [values[g].dropna().to_numpy() for g in groups]
    sizes = "/".join(str(len(s)) for s in samples)
    if min(map(len, samples)) < 2:
        return [{"test": "none", "compared": "all groups", "n": sizes, "note": "fewer than two animals in a group"}]
    few = "fewer than three animals in a group" if min(map(len, samples)) < 3 else ""
    # Of the same animals as the values: a paired design drops those that lack one, such as the length of no bout.
    seen = cell.pivot(index="animal", columns="group", values="event").reindex(index=values.index, columns=list(groups))
    events = [seen[g][values[g].notna()].to_numpy() > 0 for g in groups]
    whole = {"compared": "all groups", "n": sizes, "note": few}
    rows: list[Row] = []
    if len(groups) > 2:
        name, statistic, p = omnibus(samples, paired)
        rows.append({"test": name, "statistic": statistic, "p": p, **whole})
    for i, j in itertools.combinations(range(len(groups)), 2):
        name, statistic, p = omnibus([samples[i], samples[j]], paired)
        row = {"test": name + _PAIR * (len(groups) > 2), "statistic": statistic, "p": p, "note": few}
        row |= {"compared": f"{groups[j]} - {groups[i]}", "n": f"{len(samples[j])}/{len(samples[i])}"}
        row |= effects(samples[i], samples[j], rng, paired)
        if censored and not paired and i == 0:
            ratio = hazard_ratio([samples[i], samples[j]], [events[i], events[j]])
            row |= dict(zip(("hazard_ratio", "hazard_ratio_low", "hazard_ratio_high"), ratio, strict=True))
        rows.append(row)
    if not paired:
        rows.append({"test": "permutation", "p": permutation_p(samples, rng), **whole})
    if censored and not paired:
        statistic, p = log_rank(samples, events, rng)
        rows.append({"test": "log-rank", "statistic": statistic, "p": p, **whole})
    return rows


def _repeated(
    animals: pd.DataFrame, groups: Sequence[str], within: str, second: str | None, rng: np.random.Generator
) -> list[Row]:
    """Tests over occasions for the share of time: mixed model, permutation of whole animals, area under the curve."""
    rows: list[Row] = []
    chosen = animals[animals.readout == "time_percent"].dropna(subset="value")
    for (window, behavior), cell in chosen.groupby(["window", "behavior"], sort=False):
        where = {"window": window, "behavior": behavior, "readout": f"time_percent by {within}"}
        table = cell.rename(columns={within: "time"})
        wide = table.pivot_table(index=["group", "animal"], columns="time", values="value", sort=True)
        whole = wide.dropna()
        found = mixed_model(table)
        samples = [whole.loc[[g]].to_numpy() for g in groups if g in whole.index.get_level_values(0)]
        if len(samples) == len(groups) > 1 and min(map(len, samples)) > 1:
            left = len(wide) - len(whole)
            note = f"{left} animals without all occasions left out" if left else ""
            row = {"compared": "group at any time", "n": "/".join(str(len(s)) for s in samples), "note": note}
            found.append({"test": "permutation", "p": permutation_p(samples, rng), **row})
            if all(isinstance(t, (int, float)) for t in whole.columns):
                areas = [np.trapezoid(s, whole.columns.to_numpy(float), axis=1) for s in samples]
                name, statistic, p = omnibus(areas)
                found.append(
                    {"test": f"{name} (area)", **row, "compared": "all groups", "statistic": statistic, "p": p}
                )
        rows += [{**where, **row} for row in found]
    return rows
