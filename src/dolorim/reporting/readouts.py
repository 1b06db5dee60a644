"""Read-outs: what recordings say in numbers, by recording, by animal and by group.

Definitions: docs/readouts.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dolorim.core.errors import UserError
from dolorim.files.tables import write_table
from dolorim.reporting.assays import Assay
from dolorim.reporting.effect_sizes import group_interval, scale_of_readout
from dolorim.reporting.observations import Observations, ObservedRecording
from dolorim.reporting.stretches import Stretch, find_stretches

UNITS = {
    "time_percent": "%",
    "time_s": "s",
    "bouts": "count",
    "bouts_per_min": "1/min",
    "bout_mean_s": "s",
    "bout_median_s": "s",
    "latency_s": "s",
    "response": "share of recordings",
    "auc": "% min",
}
WHO = ["animal", "group"]
WHAT = ["window", "behavior", "readout"]
Row = dict[str, Any]


def measure(recording: ObservedRecording, n_classes: int) -> dict[str, np.ndarray]:
    """All read-outs of a recording, each `(classes,)`; NaN where nothing was labeled.

    `event` is False for a censored latency. Time counts whatever lies inside the recording; bouts,
    their durations and latencies count the bouts that begin inside.
    """
    time_s = _time_by_class(recording, n_classes)
    observed_s = time_s.sum()
    # A bout that began before the window is not counted twice: it belongs to the window before.
    begins_inside = (recording.start_s >= 0) & (recording.start_s < recording.length_s)
    durations_s = recording.stop_s - recording.start_s
    means_s, medians_s = np.full(n_classes, np.nan), np.full(n_classes, np.nan)
    latencies_s = np.full(n_classes, float(recording.length_s))
    bouts = np.zeros(n_classes)
    for label in range(n_classes):
        indices = np.flatnonzero(begins_inside & (recording.labels == label))
        bouts[label] = len(indices)
        if len(indices):
            means_s[label] = durations_s[indices].mean()
            medians_s[label] = np.median(durations_s[indices])
            latencies_s[label] = recording.start_s[indices[0]]
    values = {
        "time_percent": time_s,
        "time_s": time_s,
        "bouts": bouts,
        "bouts_per_min": bouts,
        "bout_mean_s": means_s,
        "bout_median_s": medians_s,
        "latency_s": latencies_s,
        "response": (bouts > 0).astype(float),
    }
    if observed_s > 0:
        values["time_percent"] = 100 * time_s / observed_s
        values["bouts_per_min"] = 60 * bouts / observed_s
    else:
        values = {name: np.full(n_classes, np.nan) for name in values}
    # Sums of seconds carry rounding noise, and rank tests would take it for an order among equal
    # animals.
    rounded = {name: numbers.round(9) for name, numbers in values.items()}
    return {**rounded, "event": bouts > 0}


def _time_by_class(recording: ObservedRecording, n_classes: int) -> np.ndarray:
    """Seconds `(classes,)` inside the recording: bouts may reach beyond its borders."""
    starts_s = np.maximum(recording.start_s, 0)
    inside_s = np.minimum(recording.stop_s, recording.length_s) - starts_s
    return np.bincount(recording.labels, inside_s, minlength=n_classes)


def curve(recording: ObservedRecording, n_classes: int, bin_s: float) -> np.ndarray:
    """Percent of the labeled time in each bin, `(bins, classes)`.

    NaN where less than half of a bin is labeled.
    """
    # A recording that exceeds a whole number of bins by rounding alone gets no further bin.
    bins = int(np.ceil(recording.length_s / bin_s - 1e-9))
    percents = np.full((bins, n_classes), np.nan)
    for i in range(bins):
        time_s = _time_by_class(recording.between(i * bin_s, (i + 1) * bin_s), n_classes)
        if time_s.sum() >= bin_s / 2:
            percents[i] = 100 * time_s / time_s.sum()
    return percents


def area_under_curve(
    recording: ObservedRecording, n_classes: int, bin_s: float, stretch: Stretch
) -> dict[str, np.ndarray]:
    """`auc` of the time course in a stretch, `(classes,)`; empty where it lasts one bin or less.

    NaN where the first or the last bin has no value: areas of different lengths cannot be compared.
    """
    length_s = stretch.end_s - stretch.start_s
    bins = int(length_s / bin_s + 0.5)  # the last one counts where half of it is there
    if bins < 2:
        return {}
    percents = curve(recording.between(stretch.start_s, stretch.end_s), n_classes, bin_s)[:bins]
    known = ~np.isnan(percents[:, 0])
    if len(known) < bins or not (known[0] and known[-1]):
        return {"auc": np.full(n_classes, np.nan)}
    middles_min = (np.arange(bins) + 0.5) * bin_s / 60
    return {"auc": np.trapezoid(percents[known], middles_min[known], axis=0)}


def transitions(recording: ObservedRecording, n_classes: int) -> np.ndarray:
    """Counts `(classes, classes)` of bouts that follow another without a gap.

    Rows are what went before, columns what came next.
    """
    counts = np.zeros((n_classes, n_classes), np.int64)
    joined = np.flatnonzero(recording.start_s[1:] == recording.stop_s[:-1])
    np.add.at(counts, (recording.labels[joined], recording.labels[joined + 1]), 1)
    return counts


def row_shares(counts: np.ndarray) -> np.ndarray:
    """Transition probabilities: each row divided by its sum; a row without counts stays 0."""
    total = counts.sum(-1, keepdims=True)
    return np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)


def collect(
    observations: Observations, assay: Assay, factors: Sequence[str] = ()
) -> dict[str, pd.DataFrame]:
    """Tidy tables: `recordings`, `animals`, `groups`, `overall` (without factors), `bins`,
    `transitions`, `bouts`.

    `factors` are further columns of the table of groups (sex, day). An animal with several
    recordings in one cell of the design counts once: by the mean over them, without recordings that
    have no value; a mean of latencies is censored where one of them is. Windows are measured over
    the stretch that all recordings cover. Raises `UserError` where no window is covered.
    """
    names = observations.classes
    stretches, findings = find_stretches(observations, assay)
    if not stretches:
        reasons = "; ".join(map(str, findings))
        raise UserError(f"no recording covers a window of the assay {assay.name}: {reasons}")
    values: list[Row] = []
    bins: list[Row] = []
    moves: list[Row] = []
    bouts: list[Row] = []
    for index, recording in enumerate(observations.recordings):
        who = _who(recording, factors)
        covered = [stretch for stretch in stretches if index not in stretch.left_out]
        for stretch in covered:
            piece = recording.between(stretch.start_s, stretch.stop_s)
            measured = measure(piece, len(names))
            if stretch == stretches[0]:
                measured |= area_under_curve(recording, len(names), assay.bin_s, stretch)
            values += _value_rows({**who, "window": stretch.name}, measured, names)
        bins += _bin_rows(who, recording, assay.bin_s, names)
        moves += _transition_rows(who, recording, names)
        bouts += _bout_rows(who, recording, names)
    recordings = pd.DataFrame(values)
    keys = [*WHO, *factors]
    animals = _by_animal(recordings, [*keys, *WHAT])
    groups = _by_group(animals, ["group", *factors, *WHAT])
    overall = groups
    if factors:
        means = animals.groupby([*WHO, *WHAT], sort=False)["value"].mean().reset_index()
        overall = _by_group(means, ["group", *WHAT])
    return {
        "recordings": recordings.assign(unit=recordings.readout.map(UNITS)),
        "animals": animals.assign(unit=animals.readout.map(UNITS)),
        "groups": groups,
        "overall": overall,
        "bins": pd.DataFrame(bins),
        "transitions": pd.DataFrame(moves),
        "bouts": pd.DataFrame(bouts),
    }


def _who(recording: ObservedRecording, factors: Sequence[str]) -> Row:
    """The columns that every table of recordings begins with."""
    who = {
        "video": recording.video,
        "trial": recording.trial,
        "animal": recording.animal,
        "group": recording.group,
    }
    return who | {factor: recording.columns[factor] for factor in factors}


def _value_rows(where: Row, measured: Mapping[str, np.ndarray], names: Sequence[str]) -> list[Row]:
    """One row per read-out and behavior; only latencies can be censored and have an `event`."""
    rows = []
    for readout, numbers in measured.items():
        if readout == "event":
            continue
        # An empty cell in the table, rather than a False that looks like a censored value.
        events: list[bool | None] = [None] * len(names)
        if readout == "latency_s":
            events = measured["event"].tolist()
        for name, value, event in zip(names, numbers.tolist(), events, strict=True):
            what = {"behavior": name, "readout": readout, "value": value, "event": event}
            rows.append({**where, **what})
    return rows


def _bin_rows(
    who: Row, recording: ObservedRecording, bin_s: float, names: Sequence[str]
) -> list[Row]:
    rows = []
    for (i, label), percent in np.ndenumerate(curve(recording, len(names), bin_s)):
        stop_s = min((i + 1) * bin_s, recording.length_s)
        when = {"start_s": i * bin_s, "stop_s": stop_s}
        rows.append({**who, **when, "behavior": names[label], "time_percent": percent})
    return rows


def _transition_rows(who: Row, recording: ObservedRecording, names: Sequence[str]) -> list[Row]:
    rows = []
    for (i, j), count in np.ndenumerate(transitions(recording, len(names))):
        if i != j:  # two bouts of one behavior that touch are no transition
            rows.append({**who, "before": names[i], "after": names[j], "count": count})
    return rows


def _bout_rows(who: Row, recording: ObservedRecording, names: Sequence[str]) -> list[Row]:
    starts_s, stops_s = recording.start_s.tolist(), recording.stop_s.tolist()
    rows = []
    for label, start_s, stop_s in zip(recording.labels.tolist(), starts_s, stops_s, strict=True):
        times = {"start_s": start_s, "stop_s": stop_s, "duration_s": stop_s - start_s}
        rows.append({**who, "behavior": names[label], **times})
    return rows


def _by_animal(recordings: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    grouped = recordings.astype({"event": float}).groupby(keys, sort=False)
    animals = grouped.agg(
        value=("value", "mean"), event=("event", "min"), recordings=("value", "size")
    )
    return animals.reset_index()


def _by_group(animals: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Mean, spread and interval over animals; the last of `keys` is the read-out."""
    grouped = animals.groupby(keys, sort=False)["value"]
    table = grouped.agg(n="count", mean="mean", sd="std", sem="sem", median="median")
    quartiles = grouped.quantile([0.25, 0.75]).unstack().set_axis(["q25", "q75"], axis=1)
    table = table.join(quartiles).reset_index()
    lows, highs = [], []
    for key, values in grouped:
        low, high = group_interval(values.to_numpy(float), scale_of_readout(key[-1]))
        lows.append(low)
        highs.append(high)
    return table.assign(mean_low=lows, mean_high=highs, unit=table.readout.map(UNITS))


def write_tidy(path: Path, table: pd.DataFrame) -> None:
    """Write a table for R, Prism or a spreadsheet.

    `write_table` guards what a spreadsheet would run as a formula.
    """
    columns = [[_plain(value) for value in table[name].tolist()] for name in table.columns]
    write_table(path, [str(name) for name in table.columns], zip(*columns, strict=True))


def _plain(value: Any) -> object:
    """A cell as it is written: nothing for a missing value, and ten digits of a number."""
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        # Ten digits hide rounding noise and keep the file small.
        return float(f"{value:.10g}")
    return value
