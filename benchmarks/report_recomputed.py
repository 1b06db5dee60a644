"""The numbers of a report on the formalin study, computed again without any code of dolorim.

pandas, SciPy and statsmodels read the ethograms and the tables of the report; nothing of
`dolorim.reporting` is imported. Writes results/report_recomputed.json with the largest differences.
Not computed again: intervals, permutation p, exact p of samples with equal values, and areas.

    dolorim report DATA/ethograms --groups DATA/groups.csv --classes DATA/classes.csv \
        --rate_hz 60 --assay formalin --bin 5min --out REPORT
    python -m benchmarks.report_recomputed REPORT
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import survdiff
from statsmodels.stats.multitest import multipletests

from benchmarks.common import RESULTS, machine, real_data

RATE_HZ = 60
# Planned windows of the formalin assay in seconds; the recordings end before the last one does.
WINDOWS = {"whole": (0, 3600), "phase I": (0, 600), "interphase": (600, 900)}
WINDOWS["phase II"] = (900, 3600)
GROUPS = ("control", "formalin_1pct", "formalin_5pct")
_AT_MOST = 1e-6

Worst = dict[str, float]


def bouts_of(path: Path, names: dict[int, str]) -> pd.DataFrame:
    """Runs of one label: behavior, start and stop in seconds."""
    labels = pd.read_csv(path).behavior
    first = labels[labels != labels.shift()]
    starts = first.index.to_numpy() / RATE_HZ
    stops = np.append(starts[1:], len(labels) / RATE_HZ)
    return pd.DataFrame({"behavior": first.map(names), "start": starts, "stop": stops})


def readouts(bouts: pd.DataFrame, start: float, stop: float, names: list[str]) -> pd.DataFrame:
    """A row per behavior of one recording in one window."""
    clipped = bouts.stop.clip(upper=stop) - bouts.start.clip(lower=start)
    time_s = clipped.clip(lower=0).groupby(bouts.behavior).sum().reindex(names, fill_value=0)
    begun = bouts[(bouts.start >= start) & (bouts.start < stop)]
    by_behavior = begun.groupby("behavior")
    counts = by_behavior.size().reindex(names, fill_value=0)
    lasting = (begun.stop - begun.start).groupby(begun.behavior)
    latency = (by_behavior.start.min() - start).reindex(names)
    table = {
        "time_s": time_s,
        "time_percent": 100 * time_s / time_s.sum(),
        "bouts": counts,
        "bouts_per_min": 60 * counts / time_s.sum(),
        "bout_mean_s": lasting.mean().reindex(names),
        "bout_median_s": lasting.median().reindex(names),
        "latency_s": latency.fillna(stop - start),
        "event": latency.notna().astype(float),
    }
    # Sums of seconds carry rounding noise, which rank tests would take for an order.
    return pd.DataFrame(table).round(9).rename_axis("behavior").reset_index()


def animals_of(data: Path) -> pd.DataFrame:
    """Read-outs of each animal: the mean over its recordings."""
    classes = pd.read_csv(data / "classes.csv")
    names = dict(zip(classes.id, classes.name, strict=True))
    groups = pd.read_csv(data / "groups.csv").set_index("file")
    paths = sorted((data / "ethograms").glob("*.csv"))
    recordings = {path.name: bouts_of(path, names) for path in paths}
    # The lengths differ by less than 1 %: the last window ends where each recording does.
    lengths_s = {file: bouts.stop.max() for file, bouts in recordings.items()}
    rows = []
    for file, bouts in recordings.items():
        for window, (start, stop) in WINDOWS.items():
            table = readouts(bouts, start, min(stop, lengths_s[file]), list(classes.name))
            who = groups.loc[file]
            rows.append(table.assign(animal=who.animal, group=who.group, window=window))
    long = pd.concat(rows)
    keys = ["animal", "group", "window", "behavior"]
    means = long.groupby(keys).mean(numeric_only=True)
    means["event"] = long.groupby(keys).event.min()
    return means.reset_index()


def note(worst: Worst, what: str, here: float, there: float) -> None:
    """Remember the largest difference, relative to 1 for large numbers."""
    if np.isnan(here) and np.isnan(there):
        return
    difference = abs(here - there) / max(1.0, abs(here))
    worst[what] = max(worst[what], float("inf") if np.isnan(difference) else difference)


def compare_groups(animals: pd.DataFrame, report: Path, worst: Worst) -> int:
    """Mean, SD, SEM and quartiles of every group."""
    table = pd.read_csv(report / "groups.csv")
    table = table[table.readout.isin(animals.columns)]
    for row in table.itertuples():
        cell = animals[(animals.window == row.window) & (animals.behavior == row.behavior)]
        values = cell[cell.group == row.group][row.readout].dropna()
        figures = {"mean": values.mean(), "sd": values.std(), "sem": values.sem()}
        figures |= {"median": values.median(), "n": len(values)}
        figures |= {"q25": values.quantile(0.25), "q75": values.quantile(0.75)}
        for name, figure in figures.items():
            note(worst, f"groups: {name}", figure, getattr(row, name))
    return len(table)


def compare_tests(animals: pd.DataFrame, report: Path, worst: Worst) -> int:
    """Rank tests, log-rank statistics, hazard ratios and effect sizes."""
    table = pd.read_csv(report / "statistics.csv")
    table = table[table.readout.isin(animals.columns) & (table.test != "permutation")]
    for row in table.itertuples():
        cell = animals[(animals.window == row.window) & (animals.behavior == row.behavior)]
        cell = cell.dropna(subset=[row.readout])
        if row.compared == "all groups":
            compared = list(GROUPS)
        else:
            compared = list(reversed(row.compared.split(" - ")))
        cell = cell[cell.group.isin(compared)]
        samples = [cell[cell.group == group][row.readout].to_numpy() for group in compared]
        if row.test == "Kruskal-Wallis":
            statistic, p = stats.kruskal(*samples)
            note(worst, "Kruskal-Wallis statistic", statistic, row.statistic)
            note(worst, "Kruskal-Wallis p", p, row.p)
        elif row.test.startswith("Mann-Whitney"):
            compare_mann_whitney(samples, row, worst)
        elif row.test.startswith("log-rank"):
            compare_survival(cell, compared, row, worst)
        if len(samples) == 2:
            compare_effects(samples, row, worst)
    return len(table)


def compare_mann_whitney(samples: list[np.ndarray], row: Any, worst: Worst) -> None:
    tied = len(np.unique(np.concatenate(samples))) < sum(map(len, samples))
    result = stats.mannwhitneyu(*samples, method="asymptotic" if tied else "exact")
    note(worst, "Mann-Whitney U", result.statistic, row.statistic)
    if not tied:  # SciPy has no exact p for equal values
        note(worst, "Mann-Whitney p", result.pvalue, row.p)


def compare_survival(cell: pd.DataFrame, compared: list[str], row: Any, worst: Worst) -> None:
    group = cell.group.map(compared.index).to_numpy()
    events = (cell.event > 0).to_numpy(int)
    if events.any():
        statistic = survdiff(cell.latency_s.to_numpy(), events, group)[0]
        note(worst, "log-rank statistic", statistic, row.statistic)
    if not np.isnan(row.hazard_ratio):
        model = PHReg(cell.latency_s.to_numpy(), group[:, None], events, ties="efron").fit()
        ratio = float(np.exp(model.params[0]))
        note(worst, "hazard ratio", ratio, row.hazard_ratio)


def compare_effects(samples: list[np.ndarray], row: Any, worst: Worst) -> None:
    a, b = samples
    note(worst, "difference", b.mean() - a.mean(), row.difference)
    # Cliff's delta from the ranks: U of the second group against all pairs.
    u = stats.mannwhitneyu(b, a).statistic
    delta = 2 * u / (len(a) * len(b)) - 1
    note(worst, "Cliff's delta", delta, row.cliffs_delta)
    freedom = len(a) + len(b) - 2
    t = stats.ttest_ind(b, a).statistic
    g = t * np.sqrt(1 / len(a) + 1 / len(b)) * (1 - 3 / (4 * freedom - 1))
    if not np.isnan(row.hedges_g):
        note(worst, "Hedges' g", g, row.hedges_g)


def compare_corrections(report: Path, worst: Worst) -> int:
    """Corrected p of every family (Holm)."""
    table = pd.read_csv(report / "statistics.csv").dropna(subset=["p"])
    for _, rows in table.groupby("family"):
        corrected = multipletests(rows.p, method="holm")[1]
        for here, there in zip(corrected, rows.p_adjusted, strict=True):
            note(worst, "corrected p", here, there)
    return len(table)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.report_recomputed REPORT (the folder of a report)")
    report = Path(sys.argv[1])
    animals = animals_of(real_data("formalin"))
    worst: Worst = defaultdict(float)
    counts = {
        "rows of groups.csv": compare_groups(animals, report, worst),
        "rows of statistics.csv": compare_tests(animals, report, worst),
        "corrected p values": compare_corrections(report, worst),
    }
    result = {**machine(), **counts, "largest_difference": dict(worst)}
    result["all_within_1e-6"] = all(value <= _AT_MOST for value in worst.values())
    text = json.dumps(result, indent=1)
    (RESULTS / "report_recomputed.json").write_text(f"{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
