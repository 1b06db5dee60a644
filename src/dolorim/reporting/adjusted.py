"""The difference between groups in a linear model: with covariates, and with animals in clusters.

Animals of one litter or cage are alike, so they say less than as many independent ones. A column
`cluster` of the table of groups names their cluster, which becomes a random intercept.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.multitest import multipletests

from dolorim.core.errors import UserError
from dolorim.files.subjects import column_key
from dolorim.files.tables import number_in
from dolorim.metrics.intervals import LEVEL
from dolorim.reporting.families import METHODS
from dolorim.reporting.linear_models import FAILED
from dolorim.reporting.observations import Observations
from dolorim.reporting.rendering import Cell, Table
from dolorim.reporting.wording import READOUT_LABELS, interval_text, number, p_text, p_value, shown

CLUSTER = "cluster"
_COLUMNS = ["window", "behavior", "readout", "compared", "n", "clusters", "difference"]
_COLUMNS += ["difference_low", "difference_high", "df", "p", "p_adjusted", "formula", "note"]


@dataclass(frozen=True)
class Design:
    """What the model has besides the group, a value per animal, and what is compared."""

    covariates: Mapping[str, Mapping[str, float | str]]
    clusters: Mapping[str, str] | None
    planned: Sequence[tuple[str, str]]
    """Pairs of groups: the second minus the first."""

    @property
    def formula(self) -> str:
        """As people write it."""
        fixed = " + ".join(["group", *self.covariates])
        random = "" if self.clusters is None else f" + (1 | {CLUSTER})"
        return f"value ~ {fixed}{random}"


def design_of(
    observations: Observations, covariates: Sequence[str], planned: Sequence[str]
) -> Design | None:
    """The model that was asked for; None where nothing was, and there are no clusters.

    Raises `UserError` for a covariate that an animal lacks or has twice, and for comparisons of
    groups that are not there.
    """
    names = [column_key(name) for name in covariates]
    values = {name: _numbers(_by_animal(observations, name)) for name in names}
    clusters = None
    if any(recording.columns.get(CLUSTER) for recording in observations.recordings):
        clusters = _by_animal(observations, CLUSTER)
    pairs = [_pair(text, observations) for text in planned]
    # A study without any of these is compared by the other tests alone.
    if not (names or clusters or pairs) or len(observations.groups) < 2:
        return None
    if observations.paired and (names or pairs):
        raise UserError(
            "--covariates and --planned are for groups of different animals; here every animal is "
            "in every group, and is compared with itself"
        )
    # An animal that is compared with itself has the same litter in every group.
    if observations.paired:
        return None
    control = observations.groups[0]
    usual = [(control, group) for group in observations.groups[1:]]
    return Design(values, clusters, pairs or usual)


def _by_animal(observations: Observations, column: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for recording in observations.recordings:
        value = recording.columns.get(column, "").strip()
        if not value:
            raise UserError(
                f"column {column} of the table of groups: expected a value for each recording, "
                f"found none for {recording.video}"
            )
        other = values.setdefault(recording.animal, value)
        if other != value:
            raise UserError(
                f"column {column} of the table of groups: expected one value per animal, found "
                f"{other} and {value} for {recording.animal}"
            )
    return values


def _numbers(values: Mapping[str, str]) -> dict[str, float | str]:
    """Numbers where all cells hold one (weight), words otherwise (sex)."""
    numbers = {animal: number_in(text) for animal, text in values.items()}
    if any(value is None for value in numbers.values()):
        return dict(values)
    return {animal: float(value) for animal, value in numbers.items() if value is not None}


def _pair(text: str, observations: Observations) -> tuple[str, str]:
    """`b - a` as (a, b); names of groups may hold hyphens themselves."""
    groups = observations.groups
    for first in groups:
        for second in groups:
            if first != second and text.strip() == f"{second} - {first}":
                return first, second
    raise UserError(f"--planned {text!r}: expected 'GROUP - GROUP' with two of {', '.join(groups)}")


def adjusted_table(
    animals: pd.DataFrame,
    design: Design,
    keys: Sequence[tuple[str, str, str]],
    groups: Sequence[str],
    correction: str,
) -> pd.DataFrame:
    """The planned comparisons in each window, behavior and read-out of `keys`.

    `animals` is the table of that name from `collect`. p is corrected over all of them together.
    """
    rows: list[dict[str, Any]] = []
    for window, behavior, readout in keys:
        wanted = (animals.window == window) & (animals.behavior == behavior)
        cell = animals[wanted & (animals.readout == readout)]
        where = {"window": window, "behavior": behavior, "readout": readout}
        rows += [{**where, **row} for row in _compare(cell, design, groups)]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    tested = table.p.notna()
    if tested.any():
        p = table.p[tested].to_numpy(float)
        table.loc[tested, "p_adjusted"] = multipletests(p, method=METHODS[correction])[1]
    return table


def _compare(cell: pd.DataFrame, design: Design, groups: Sequence[str]) -> list[dict[str, Any]]:
    # With sessions, an animal counts with their mean.
    keys = ["animal", "group"]
    grouped = cell.groupby(keys, sort=False)
    table = grouped.agg(value=("value", "mean"), event=("event", "min")).dropna(subset="value")
    table = table.reset_index()
    sizes = table.group.value_counts()
    counts = {"n": "/".join(str(sizes.get(group, 0)) for group in groups)}
    counts["formula"] = design.formula
    note = _why_not(cell, table, groups)
    if note:
        return [{**counts, "compared": "all groups", "note": note}]
    # From here on, everything is about one read-out of one behavior in one window.
    regressors, names = _fixed_effects(table, design, groups)
    cluster = None
    if design.clusters is not None:
        cluster = table.animal.map(design.clusters)
        counts["clusters"] = str(cluster.nunique())
    fit = _fit(table.value.to_numpy(float), regressors, cluster)
    if fit is None:
        return [{**counts, "compared": "all groups", "note": "could not be fitted"}]
    estimates, covariance = fit
    freedom = _freedom(table, regressors, cluster)
    rows = []
    for first, second in design.planned:
        contrast = np.zeros(len(names))
        for group, sign in ((first, -1), (second, 1)):
            if group != groups[0]:  # the control is the intercept
                contrast[names.index(group)] = sign
        rows.append({**counts, "compared": f"{second} - {first}"})
        rows[-1] |= _estimate(contrast, estimates, covariance, freedom)
    return rows


def _why_not(cell: pd.DataFrame, table: pd.DataFrame, groups: Sequence[str]) -> str:
    if set(cell.readout) == {"latency_s"} and not (cell.event > 0).all():
        return "not done: some latencies are censored"
    if table.group.nunique() < len(groups) or table.value.std() == 0:
        return "not done: a group without a value, or no animal that differs"
    return ""


def _fixed_effects(
    table: pd.DataFrame, design: Design, groups: Sequence[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Columns of the model (intercept, groups, covariates), and the names of the groups in it."""
    columns: dict[str, np.ndarray] = {"intercept": np.ones(len(table))}
    for i, group in enumerate(groups[1:]):
        columns[f"group{i}"] = (table.group == group).to_numpy(float)
    for i, of_animals in enumerate(design.covariates.values()):
        values = table.animal.map(of_animals)
        if pd.api.types.is_numeric_dtype(values):
            # Centered, so that the intercept is the control at the mean weight.
            columns[f"covariate{i}"] = (values - values.mean()).to_numpy(float)
            continue
        # Words become a column for each level but the first.
        for j, level in enumerate(sorted(values.unique())[1:]):
            columns[f"covariate{i}_{j}"] = (values == level).to_numpy(float)
    return pd.DataFrame(columns), ["intercept", *groups[1:]]


def _fit(
    values: np.ndarray, regressors: pd.DataFrame, cluster: pd.Series | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Estimates of the fixed effects and their covariance; None where the model cannot be fitted.

    Without clusters these are least squares, with them restricted maximum likelihood.
    """
    if np.linalg.matrix_rank(regressors.to_numpy()) < regressors.shape[1]:
        return None
    # The optimizer converges on standard scores.
    scale = values.std()
    known = regressors.to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if cluster is None:
                fit = OLS(values / scale, known).fit()
            else:
                fit = MixedLM(values / scale, known, groups=cluster.to_numpy()).fit(reml=True)
        except FAILED:
            return None
    # The last parameter of a mixed model is the variance of clusters.
    fixed = known.shape[1]
    covariance = np.asarray(fit.cov_params())[:fixed, :fixed]
    return np.asarray(fit.params)[:fixed] * scale, covariance * scale**2


def _freedom(table: pd.DataFrame, regressors: pd.DataFrame, cluster: pd.Series | None) -> int:
    """Degrees of freedom, between or within clusters, as in an analysis of variance.

    Where whole clusters are in one group, the clusters are the samples of the comparison.
    """
    if cluster is None:
        return len(table) - regressors.shape[1]
    groups = table.group.nunique()
    whole = (table.group.groupby(cluster.to_numpy()).nunique() == 1).all()
    if whole:
        return int(cluster.nunique() - groups)
    return int(len(table) - cluster.nunique() - (regressors.shape[1] - 1))


def _estimate(
    contrast: np.ndarray, estimates: np.ndarray, covariance: np.ndarray, freedom: int
) -> dict[str, Any]:
    n = len(contrast)  # intercept and groups come first, covariates follow
    difference = float(contrast @ estimates[:n])
    error = float(np.sqrt(contrast @ covariance[:n, :n] @ contrast))
    row: dict[str, Any] = {"difference": difference, "df": freedom}
    if freedom < 1 or not error > 0:
        return row | {"note": "too few animals or clusters for an interval"}
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    row |= {"difference_low": difference - half, "difference_high": difference + half}
    return row | {"p": float(2 * stats.t.sf(abs(difference) / error, freedom))}


def adjusted_sentences(table: pd.DataFrame, design: Design) -> list[str]:
    """The planned comparisons in words, and what the other tests do not know."""
    sentences = []
    for row in table[table.p.notna()].itertuples():
        second, first = (shown(name) for name in row.compared.split(" - ", 1))
        where = "over the whole recording" if row.window == "whole" else f"in {row.window}"
        low, high = number(row.difference_low), number(row.difference_high)
        sentences.append(
            f"In the model {design.formula}, {second} and {first} differ {where} by "
            f"{number(row.difference)} in {shown(row.behavior)} ({READOUT_LABELS[row.readout]}; "
            f"95 % interval {low} to {high}; {p_text(row.p_adjusted)})."
        )
    if design.clusters is not None and sentences:
        count = len(set(design.clusters.values()))
        sentences.append(
            f"Animals come from {count} clusters (litters, cages): this model knows it, the rank "
            f"tests do not."
        )
    return sentences


def adjusted_view(table: pd.DataFrame) -> Table:
    """The same as a table."""
    rows: list[list[str | Cell]] = []
    for row in table.itertuples():
        note = row.note if isinstance(row.note, str) else ""
        interval = interval_text(row.difference_low, row.difference_high)
        cells = [number(row.difference), p_value(row.p), p_value(row.p_adjusted)]
        words = [shown(row.behavior), row.window, row.compared.replace("_", " ")]
        df = "-" if row.df != row.df else f"{row.df:g}"
        rows.append([*words, Cell(cells[0], interval), df, *cells[1:], row.n, note])
    header = ["behavior", "window", "groups", "difference", "df", "p", "p corrected", "n", "note"]
    return Table(header, rows, 3, remarks=True)
