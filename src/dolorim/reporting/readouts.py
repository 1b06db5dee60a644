"""Read-outs: what recordings say in numbers, by recording, by animal and by group. Definitions: docs/readouts.md."""

from __future__ import annotations

from collections.abc import Sequence
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
    "time_percent": "%", "time_s": "s", "bouts": "count", "bouts_per_min": "1/min", "bout_mean_s": "s",
    "bout_median_s": "s",    "latency_s": "s", "response": "share of recordings", "auc": "% min",
}  # fmt: skip
WHO = ["animal", "group"]
WHAT = ["window", "behavior", "readout"]


def measure(recording: ObservedRecording, n_classes: int) -> dict[str, np.ndarray]:
    """All read-outs of a track, each `(classes,)`; NaN where nothing was labelled. `event` is 0 for a censored latency.

    Time counts whatever lies inside the track; bouts, their durations and latencies count the bouts that begin inside.
    """
    inside = np.minimum(recording.stop_s, recording.length_s) - np.maximum(recording.start_s, 0)
    time = np.bincount(recording.labels, inside, minlength=n_classes)
    observed = time.sum()
    begun = (recording.start_s >= 0) & (recording.start_s < recording.length_s)
    of = [np.flatnonzero(begun & (recording.labels == k)) for k in range(n_classes)]
    durations = [(recording.stop_s - recording.start_s)[i] for i in of]
    bouts = np.array([len(i) for i in of], float)
    found = {
        "time_percent": 100 * time / observed if observed > 0 else time,
        "time_s": time,
        "bouts": bouts,
        "bouts_per_min": 60 * bouts / observed if observed > 0 else bouts,
        "bout_mean_s": np.array([d.mean() if len(d) else np.nan for d in durations]),
        "bout_median_s": np.array([np.median(d) if len(d) else np.nan for d in durations]),
        "latency_s": np.array(
            [recording.start_s[i[0]] if len(i) else recording.length_s for i in of]
        ),
        "response": (bouts > 0).astype(float),
    }
    if observed <= 0:
        found = {name: np.full(n_classes, np.nan) for name in found}
    # Sums of seconds carry rounding noise, and rank tests would take it for an order among equal animals.
    return {**{name: values.round(9) for name, values in found.items()}, "event": bouts > 0}


def curve(recording: ObservedRecording, n_classes: int, bin_s: float) -> np.ndarray:
    """Percent of the labelled time in each bin, `(bins, classes)`; NaN where less than half of a bin is labelled."""
    rows = []
    for i in range(int(np.ceil(recording.length_s / bin_s - 1e-9))):
        piece = recording.between(i * bin_s, (i + 1) * bin_s)
        time = np.bincount(
            piece.labels,
            np.minimum(piece.stop_s, piece.length_s) - np.maximum(piece.start_s, 0),
            minlength=n_classes,
        )
        rows.append(
            100 * time / time.sum() if time.sum() >= bin_s / 2 else np.full(n_classes, np.nan)
        )
    return np.array(rows).reshape(-1, n_classes)


def area_under_curve(
    recording: ObservedRecording, n_classes: int, bin_s: float, stretch: Stretch
) -> dict[str, np.ndarray]:
    """`auc` of the time course in a stretch, `(classes,)`; empty where the stretch is one bin or less.

    NaN where the first or the last bin has no value: areas of different lengths cannot be compared.
    """
    length_s = stretch.end_s - stretch.start_s
    bins = int(length_s / bin_s + 0.5)  # the last one counts where half of it is there
    if bins < 2:
        return {}
    shares = curve(recording.between(stretch.start_s, stretch.end_s), n_classes, bin_s)[:bins]
    known = ~np.isnan(shares[:, 0])
    if len(known) < bins or not (known[0] and known[-1]):
        return {"auc": np.full(n_classes, np.nan)}
    middles_min = (np.arange(bins) + 0.5) * bin_s / 60
    return {"auc": np.trapezoid(shares[known], middles_min[known], axis=0)}


def transitions(recording: ObservedRecording, n_classes: int) -> np.ndarray:
    """Counts `(classes, classes)` of a bout that follows another without a gap: rows are what went before."""
    counts = np.zeros((n_classes, n_classes), np.int64)
    joined = np.flatnonzero(recording.start_s[1:] == recording.stop_s[:-1])
    np.add.at(counts, (recording.labels[joined], recording.labels[joined + 1]), 1)
    return counts


def row_shares(counts: np.ndarray) -> np.ndarray:
    """Transition probabilities: each row of counts divided by its sum; a row without counts stays 0."""
    total = counts.sum(-1, keepdims=True)
    return np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)


def collect(
    observations: Observations, assay: Assay, factors: Sequence[str] = ()
) -> dict[str, pd.DataFrame]:
    """Tidy tables: `recordings`, `animals`, `groups`, `overall` (without factors), `bins`, `transitions`, `bouts`.

    `factors` are further columns of the table of groups (sex, day). An animal with several recordings in one cell of
    the design counts once: by the mean over them, recordings without a value left out; a mean of latencies is
    censored where one of them is. Windows are measured over the stretch that all recordings cover.
    """
    n, names = len(observations.classes), observations.classes
    stretches, findings = find_stretches(observations, assay)
    if not stretches:
        said = "; ".join(map(str, findings))
        raise UserError(f"no recording covers a window of the assay {assay.name}: {said}")
    values, bins, moves, bouts = [], [], [], []
    for index, recording in enumerate(observations.recordings):
        who = {
            "video": recording.video,
            "trial": recording.trial,
            "animal": recording.animal,
            "group": recording.group,
        }
        who |= {f: recording.columns[f] for f in factors}
        shares = curve(recording, n, assay.bin_s)
        for stretch in stretches:
            if index in stretch.left_out:
                continue
            found = measure(recording.between(stretch.start_s, stretch.stop_s), n)
            if stretch == stretches[0]:
                found |= area_under_curve(recording, n, assay.bin_s, stretch)
            for readout, numbers in found.items():
                if readout == "event":
                    continue
                events = found["event"] if readout == "latency_s" else [None] * n
                values += [
                    {
                        **who,
                        "window": stretch.name,
                        "behavior": name,
                        "readout": readout,
                        "value": v,
                        "event": e,
                    }
                    for name, v, e in zip(names, numbers.tolist(), events, strict=True)
                ]
        for (i, k), share in np.ndenumerate(shares):
            stop_s = min((i + 1) * assay.bin_s, recording.length_s)
            bins.append(
                {
                    **who,
                    "start_s": i * assay.bin_s,
                    "stop_s": stop_s,
                    "behavior": names[k],
                    "time_percent": share,
                }
            )
        for (i, j), count in np.ndenumerate(transitions(recording, n)):
            if i != j:
                moves.append({**who, "before": names[i], "after": names[j], "count": count})
        bouts += [
            {**who, "behavior": names[k], "start_s": a, "stop_s": b, "duration_s": b - a}
            for k, a, b in zip(
                recording.labels.tolist(),
                recording.start_s.tolist(),
                recording.stop_s.tolist(),
                strict=True,
            )
        ]
    recordings = pd.DataFrame(values)
    keys = [*WHO, *factors]
    animals = _by_animal(recordings, [*keys, *WHAT])
    groups = _by_group(animals, [*(k for k in keys if k != "animal"), *WHAT])
    overall = animals.groupby([*WHO, *WHAT], sort=False)["value"].mean().reset_index()
    return {
        "recordings": recordings.assign(unit=recordings.readout.map(UNITS)),
        "animals": animals.assign(unit=animals.readout.map(UNITS)),
        "groups": groups,
        "overall": _by_group(overall, ["group", *WHAT]) if factors else groups,
        "bins": pd.DataFrame(bins),
        "transitions": pd.DataFrame(moves),
        "bouts": pd.DataFrame(bouts),
    }


def _by_animal(recordings: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    grouped = recordings.astype({"event": float}).groupby(keys, sort=False)
    found = grouped.agg(
        value=("value", "mean"), event=("event", "min"), recordings=("value", "size")
    )
    return found.reset_index()


def _by_group(animals: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    grouped = animals.groupby(keys, sort=False)["value"]
    found = grouped.agg(n="count", mean="mean", sd="std", sem="sem", median="median")
    quarters = grouped.quantile([0.25, 0.75]).unstack().set_axis(["q25", "q75"], axis=1)
    found = found.join(quarters).reset_index()
    readouts = [key[-1] if isinstance(key, tuple) else key for key, _ in grouped]
    bounds = [
        group_interval(values.to_numpy(float), scale_of_readout(readout))
        for readout, (_, values) in zip(readouts, grouped, strict=True)
    ]
    return found.assign(
        mean_low=[b[0] for b in bounds],
        mean_high=[b[1] for b in bounds],
        unit=found.readout.map(UNITS),
    )


def write_tidy(path: Path, table: pd.DataFrame) -> None:
    """Write a table for R, Prism or a spreadsheet; `write_table` guards what a spreadsheet would run as a formula."""
    columns = [_plain(table[name].tolist()) for name in table.columns]
    write_table(path, [str(c) for c in table.columns], zip(*columns, strict=True))


def _plain(values: list[Any]) -> list[object]:
    return [v if isinstance(v, str) else "" if v is None or v != v else _short(v) for v in values]


def _short(value: Any) -> object:
    return float(f"{value:.10g}") if isinstance(value, float) else value
