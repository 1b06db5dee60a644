"""Whether two ways of labeling, by people or a run, give the same read-outs, animal by animal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dolorim.core.runs import runs
from dolorim.metrics.agreement import agreement
from dolorim.reporting.observations import ObservedRecording
from dolorim.reporting.readouts import measure
from dolorim.reporting.rendering import Cell, Table
from dolorim.reporting.wording import READOUT_LABELS, interval_text, number, shown

READOUTS = ("time_percent", "bouts", "latency_s")
WHAT = ["window", "behavior", "readout"]
_CORRELATIONS = ("concordance", "icc")
_PARTS = ("bias", *_CORRELATIONS)
COLUMNS = [*WHAT, "n", "bias", "bias_low", "bias_high", "limit_low", "limit_high"]
COLUMNS += [f"{name}{end}" for name in _CORRELATIONS for end in ("", "_low", "_high")]


def agreement_table(values: pd.DataFrame) -> pd.DataFrame:
    """The agreement in each read-out, a row each.

    `values` has the columns animal, window, behavior, readout, first, second and begun: a row per
    animal, `begun` False for a latency that either of the two has censored, which has no value.
    """
    rows: list[dict[str, Any]] = []
    known = values[values.begun].dropna(subset=["first", "second"])
    for what, cell in known.groupby(WHAT, sort=False):
        agreed = agreement(cell["first"].to_numpy(float), cell["second"].to_numpy(float))
        row: dict[str, Any] = dict(zip(WHAT, what, strict=True)) | {"n": agreed.n}
        for name in _PARTS:
            row[name] = getattr(agreed, name)
            row[f"{name}_low"], row[f"{name}_high"] = getattr(agreed, f"{name}_interval")
        row["limit_low"], row["limit_high"] = agreed.limits
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def agreement_view(table: pd.DataFrame, name_windows: bool = True) -> Table:
    """The same for people to read."""
    rows: list[list[str | Cell]] = []
    for row in table.itertuples():
        words = [shown(row.behavior), READOUT_LABELS[row.readout]]
        if name_windows:
            words.insert(1, row.window)
        bias = Cell(number(row.bias), interval_text(row.bias_low, row.bias_high))
        limits = interval_text(row.limit_low, row.limit_high).strip("[]").replace(", ", " to ")
        alike = [
            Cell(_correlation(row, name), _correlation_interval(row, name))
            for name in _CORRELATIONS
        ]
        rows.append([*words, str(row.n), bias, limits, *alike])
    words = ["behavior", "read-out"]
    if name_windows:
        words.insert(1, "window")
    header = [*words, "animals", "bias", "limits of agreement", "concordance", "ICC"]
    return Table(header, rows, len(words))


def _correlation(row: Any, name: str) -> str:
    value = getattr(row, name)
    return "-" if value != value else f"{value:.2f}"


def _correlation_interval(row: Any, name: str) -> str:
    low, high = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
    return "" if low != low else f"[{low:.2f}, {high:.2f}]"


def observed(labels: np.ndarray, time_s: np.ndarray, video: str, animal: str) -> ObservedRecording:
    """Labels of frames `(time,)` as a recording, -1 where there is no label; it begins at 0."""
    starts, stops, classes = runs(labels)
    usual_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
    # Frame i lasts from edges_s[i] to edges_s[i + 1].
    edges_s = np.append(time_s, time_s[-1] + usual_s) - time_s[0]
    kept = classes >= 0
    return ObservedRecording(
        *(video, animal, ""),
        *(edges_s[starts[kept]], edges_s[stops[kept]], classes[kept]),
        float(edges_s[-1]),
    )


def values_of_animals(
    pairs: Sequence[tuple[ObservedRecording, ...]], classes: Sequence[str]
) -> pd.DataFrame:
    """What `agreement_table` takes, from the same recordings labeled in two ways; an animal's
    value is the mean over its recordings."""
    rows: list[dict[str, Any]] = []
    for one, two in pairs:
        who = {"animal": one.animal, "window": "whole"}
        rows += rows_of_pair(who, measure(one, len(classes)), measure(two, len(classes)), classes)
    return mean_over_recordings(pd.DataFrame(rows), ["animal"])


def agreement_rows(
    pairs: Sequence[tuple[ObservedRecording, ...]], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """The agreement on the same recordings labeled in two ways, as JSON takes it: None for NaN."""
    table = agreement_table(values_of_animals(pairs, classes)).drop(columns="window")
    plain = table.astype(object).where(table.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]


def rows_of_pair(
    who: Mapping[str, Any],
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    classes: Sequence[str],
    readouts: Sequence[str] = READOUTS,
) -> list[dict[str, Any]]:
    """A row for each behavior and read-out of one recording that was measured in two ways."""
    rows: list[dict[str, Any]] = []
    # A censored latency is at least so long: its difference from another is not known.
    both_begun = first["event"] & second["event"]
    for readout in readouts:
        for i, name in enumerate(classes):
            row = {**who, "behavior": name, "readout": readout}
            row |= {"first": float(first[readout][i]), "second": float(second[readout][i])}
            rows.append(row | {"begun": readout != "latency_s" or bool(both_begun[i])})
    return rows


def mean_over_recordings(values: pd.DataFrame, who: Sequence[str]) -> pd.DataFrame:
    """One row per animal; a latency counts only if it was seen in each of its recordings."""
    grouped = values.groupby([*who, *WHAT], sort=False)
    columns = {name: (name, "mean") for name in ("first", "second")}
    return grouped.agg(**columns, begun=("begun", "all")).reset_index()
