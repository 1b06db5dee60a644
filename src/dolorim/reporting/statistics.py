"""Statistics between groups. The samples are animals, never frames, bouts or trials. Definitions: docs/readouts.md."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.formula.api import mixedlm, ols
from statsmodels.stats.anova import anova_lm

from dolorim.metrics.intervals import Scale
from dolorim.reporting.effect_sizes import FEWEST_PER_GROUP, effects, scale_of_readout
from dolorim.reporting.families import PAIR, Question, adjust
from dolorim.reporting.latencies import hazard_ratio, log_rank, sign_test
from dolorim.reporting.permutation import permutation_p
from dolorim.reporting.rank_tests import RANK_TESTS, omnibus, smallest_p

_FAILED = (np.linalg.LinAlgError, ValueError, ZeroDivisionError)
_TESTED = ("time_percent", "bouts_per_min", "bout_mean_s", "latency_s", "response", "auc")

Row = dict[str, Any]


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
            table = table.assign(
                value=(table.value - table.value.mean()) / table.value.std()
            )  # F does not change
            fit = mixedlm(formula, table, groups=table["animal"]).fit(reml=True)
            terms = fit.wald_test_terms(scalar=True).table
        except _FAILED:
            return [{"test": "mixed model", "note": "could not be fitted"}]
    rows = []
    for term, free in (("group", between), ("time", within), ("group x time", within)):
        spelled = {"group": "C(group, Sum)", "time": "C(time, Sum)"}.get(
            term, "C(group, Sum):C(time, Sum)"
        )
        chi2, df = (
            float(terms.loc[spelled, "statistic"]),
            float(terms.loc[spelled, "df_constraint"]),
        )
        note = f"F({df:g}, {free})" + ("" if fit.converged else "; fit not converged")
        p = float(stats.f.sf(chi2 / df, df, free))
        rows.append(
            {"test": "mixed model", "compared": term, "statistic": chi2 / df, "p": p, "note": note}
        )
    return rows


def two_factors(table: pd.DataFrame, second: str) -> list[Row]:
    """Type II analysis of variance of `value` by group and a second factor between animals."""
    table = table.rename(columns={second: "second"})
    counts = table.groupby(["group", "second"])["value"].size()
    cells = table.group.nunique() * table.second.nunique()
    if len(counts) < cells or counts.min() < 2 or table.value.std() == 0:
        return [
            {
                "test": "two-way ANOVA",
                "note": f"needs two animals that differ in every cell of group x {second}",
            }
        ]
    found = anova_lm(ols("value ~ C(group, Sum) * C(second, Sum)", table).fit(), typ=2)
    rows: list[Row] = []
    for name, (_, line) in zip(
        ("group", second, f"group x {second}"), found.iterrows(), strict=False
    ):
        note = f"F({line.df:g}, {found.df.iloc[-1]:g})"
        rows.append(
            {
                "test": "two-way ANOVA",
                "compared": name,
                "statistic": line.F,
                "p": line["PR(>F)"],
                "note": note,
            }
        )
    return rows


def compare(
    animals: pd.DataFrame, groups: Sequence[str], *, paired: bool = False, within: str | None = None,
    second: str | None = None, correction: str = "holm", seed: int = 0, question: Question | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Every test of every read-out: one row per test. `animals` is the table of that name from `collect`.

    Of two groups the rank test itself carries the effect sizes; of more, each pair has a row of its own. `n` has the
    animals of each group, in the order of the groups.
    """
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    if within is not None:
        rows += _repeated(animals, groups, within, second, rng)
        keys = ["animal", "group", *([second] if second else []), "window", "behavior", "readout"]
        animals = (
            animals.groupby(keys, sort=False)
            .agg(value=("value", "mean"), event=("event", "min"))
            .reset_index()
        )
    for (window, behavior, readout), cell in animals.groupby(
        ["window", "behavior", "readout"], sort=False
    ):
        if readout in _TESTED and len(groups) > 1:
            where = {"window": window, "behavior": behavior, "readout": readout}
            if readout == "latency_s":
                found = _between_latencies(cell, groups, paired, rng)
            else:
                found = _between(cell, groups, paired, scale_of_readout(readout), rng)
            if second is not None and not paired:
                found += _by_second_factor(cell.dropna(subset="value"), second)
            rows += [{**where, **row} for row in found]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    bare = table.test.str.removesuffix(PAIR)
    table["is_rank_test"] = bare.isin(RANK_TESTS)
    table["smallest_p"] = [
        smallest_p(test, tuple(map(int, sizes.split("/")))) if ranked and p == p else np.nan
        for test, sizes, ranked, p in zip(bare, table.n, table.is_rank_test, table.p, strict=True)
    ]
    control = groups[0] if len(groups) else None
    return adjust(table, correction, question, control).drop(columns="is_rank_test")


_EFFECTS = [
    f"{e}{end}"
    for e in ("difference", "cliffs_delta", "hedges_g", "hazard_ratio")
    for end in ("", "_low", "_high")
]
_COLUMNS = [
    "window",
    "behavior",
    "readout",
    "test",
    "compared",
    "n",
    "statistic",
    "p",
    *_EFFECTS,
    "note",
]


def _samples(
    cell: pd.DataFrame, groups: Sequence[str], paired: bool
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Values and whether they were observed (not censored), a row of `(animals,)` per group."""
    wide = cell.pivot(index="animal", columns="group", values="value").reindex(columns=list(groups))
    values = wide.dropna() if paired else wide
    seen = cell.pivot(index="animal", columns="group", values="event").reindex(columns=list(groups))
    seen = seen.loc[values.index]
    samples = [values[g].dropna().to_numpy() for g in groups]
    events = [seen[g][values[g].notna()].to_numpy() > 0 for g in groups]
    return samples, events


def _few(samples: Sequence[np.ndarray]) -> str:
    fewest = min(map(len, samples))
    return (
        ""
        if fewest >= FEWEST_PER_GROUP
        else f"no interval below {FEWEST_PER_GROUP} animals in a group"
    )


def _sizes(samples: Sequence[np.ndarray]) -> str:
    return "/".join(str(len(s)) for s in samples)


def _untested(samples: Sequence[np.ndarray], note: str) -> Row:
    return {"test": "none", "compared": "all groups", "n": _sizes(samples), "note": note}


def _between(
    cell: pd.DataFrame, groups: Sequence[str], paired: bool, scale: Scale, rng: np.random.Generator
) -> list[Row]:
    samples, _ = _samples(cell, groups, paired)
    if min(map(len, samples)) < 2:
        return [_untested(samples, "fewer than two animals in a group")]
    whole = {"compared": "all groups", "n": _sizes(samples), "note": _few(samples)}
    rows: list[Row] = []
    if len(groups) > 2:
        name, statistic, p = omnibus(samples, paired)
        rows.append({"test": name, "statistic": statistic, "p": p, **whole})
    for i, j in itertools.combinations(range(len(groups)), 2):
        name, statistic, p = omnibus([samples[i], samples[j]], paired)
        row = {"test": name + PAIR * (len(groups) > 2), "statistic": statistic, "p": p}
        rows.append(row | _effects_of_pair(samples, groups, i, j, scale, paired))
    if not paired:
        rows.append({"test": "permutation", "p": permutation_p(samples, rng), **whole})
    return rows


def _between_latencies(
    cell: pd.DataFrame, groups: Sequence[str], paired: bool, rng: np.random.Generator
) -> list[Row]:
    """Censored latencies are no times: log-rank between animals, sign test within them."""
    samples, events = _samples(cell, groups, paired)
    scale = scale_of_readout("latency_s")
    if min(map(len, samples)) < 2:
        return [_untested(samples, "fewer than two animals in a group")]
    censored = sum(int((~e).sum()) for e in events)
    if paired and not censored:
        return _between(cell, groups, paired, scale, rng)
    notes = [f"{censored} of {sum(map(len, samples))} latencies are censored"] * (censored > 0)
    rows: list[Row] = []
    if paired and len(groups) > 2:
        rows.append(
            _untested(samples, f"{notes[0]}: only pairs of groups are tested within animals")
        )
    elif len(groups) > 2:
        statistic, p = log_rank(samples, events, rng)
        whole = {"compared": "all groups", "n": _sizes(samples)}
        note = "; ".join([*notes, *filter(None, [_few(samples)])])
        rows.append({"test": "log-rank", "statistic": statistic, "p": p, **whole, "note": note})
    for i, j in itertools.combinations(range(len(groups)), 2):
        times, seen = [samples[i], samples[j]], [events[i], events[j]]
        row = _effects_of_pair(samples, groups, i, j, scale, paired)
        said = [*notes, *filter(None, [row["note"]])]
        if paired:
            statistic, p, ordered = sign_test(times, seen)
            said.append(f"{ordered} animals could be ordered")
            name = "sign test"
        else:
            statistic, p = log_rank(times, seen, rng)
            name = "log-rank"
            ratio = hazard_ratio(times, seen) if i == 0 else (np.nan,) * 3
            row |= dict(
                zip(("hazard_ratio", "hazard_ratio_low", "hazard_ratio_high"), ratio, strict=True)
            )
        row |= {
            "test": name + PAIR * (len(groups) > 2),
            "statistic": statistic,
            "p": p,
            "note": "; ".join(said),
        }
        rows.append(row)
    return rows


def _effects_of_pair(
    samples: Sequence[np.ndarray], groups: Sequence[str], i: int, j: int, scale: Scale, paired: bool
) -> Row:
    a, b = samples[i], samples[j]
    row: Row = {"compared": f"{groups[j]} - {groups[i]}", "n": _sizes([a, b])}
    row |= effects(a, b, scale, paired)
    notes = [_few([a, b])]
    if np.isnan(row["hedges_g"]) and min(len(a), len(b)) > 1:
        notes.append("Hedges' g is not defined: no animal differs from its group")
    return row | {"note": "; ".join(filter(None, notes))}


def _by_second_factor(cell: pd.DataFrame, second: str) -> list[Row]:
    latencies = set(cell.readout) == {"latency_s"}
    if latencies and not (cell.event > 0).all():
        return [{"test": "two-way ANOVA", "note": "not done: some latencies are censored"}]
    return two_factors(cell, second)


def _repeated(
    animals: pd.DataFrame,
    groups: Sequence[str],
    within: str,
    second: str | None,
    rng: np.random.Generator,
) -> list[Row]:
    """Tests over occasions for the share of time: mixed model, permutation of whole animals, area under the curve."""
    rows: list[Row] = []
    chosen = animals[animals.readout == "time_percent"].dropna(subset="value")
    for (window, behavior), cell in chosen.groupby(["window", "behavior"], sort=False):
        where = {"window": window, "behavior": behavior, "readout": f"time_percent by {within}"}
        table = cell.rename(columns={within: "time"})
        wide = table.pivot_table(
            index=["group", "animal"], columns="time", values="value", sort=True
        )
        whole = wide.dropna()
        found = mixed_model(table)
        samples = [
            whole.loc[[g]].to_numpy() for g in groups if g in whole.index.get_level_values(0)
        ]
        if len(samples) == len(groups) > 1 and min(map(len, samples)) > 1:
            left = len(wide) - len(whole)
            note = f"{left} animals without all occasions left out" if left else ""
            row = {
                "compared": "group at any time",
                "n": "/".join(str(len(s)) for s in samples),
                "note": note,
            }
            found.append({"test": "permutation", "p": permutation_p(samples, rng), **row})
            if all(isinstance(t, (int, float)) for t in whole.columns):
                areas = [np.trapezoid(s, whole.columns.to_numpy(float), axis=1) for s in samples]
                name, statistic, p = omnibus(areas)
                found.append(
                    {
                        "test": f"{name} (area)",
                        **row,
                        "compared": "all groups",
                        "statistic": statistic,
                        "p": p,
                    }
                )
        rows += [{**where, **row} for row in found]
    return rows
