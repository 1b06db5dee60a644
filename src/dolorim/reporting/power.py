"""What the next study would find: the smallest difference with a power of 80 %, by its size.

By simulation from this study's animals. The power for the difference that was seen here is not
computed: it only repeats the p value (Hoenig & Heisey 2001, American Statistician 55:19-24).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from dolorim.reporting.effect_sizes import FEWEST_PER_GROUP
from dolorim.reporting.rank_tests import ALPHA
from dolorim.reporting.rendering import Cell, Table
from dolorim.reporting.wording import READOUT_LABELS, number, shown

POWER = 0.8
SIZES = (4, 6, 8, 10, 12, 16, 20)
_STUDIES = 400
_STEPS = 12  # halvings of the range of differences: 0.02 % of it
_COLUMNS = ["window", "behavior", "readout", "animals_per_group", "smallest_difference"]


def smallest_difference(
    samples: Sequence[np.ndarray], size: int, rng: np.random.Generator, studies: int = _STUDIES
) -> float:
    """The difference of means that two groups of `size` animals show with a power of 80 %.

    `samples` are the animals of this study's groups, `(animals,)` each. Animals of the next one
    deviate from the mean of their group as these do, drawn with replacement, and are compared by
    the Mann-Whitney test at 0.05.
    """
    # Deviations from a mean of few animals are too small by this factor.
    deviations = np.concatenate(
        [(s - s.mean()) * np.sqrt(len(s) / (len(s) - 1)) for s in samples if len(s) > 1]
    )
    if not deviations.std() > 0:
        return float("nan")
    drawn = rng.choice(deviations, (2, studies, size))
    # Equal draws in both groups would be ties, which the read-out itself rarely has.
    drawn += rng.normal(0, 1e-6 * deviations.std(), drawn.shape)
    # Power grows with the difference, so halving finds where it crosses 80 %.
    low, high = 0.0, 20 * float(deviations.std())
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _power(drawn[0], drawn[1] + middle) >= POWER:
            high = middle
        else:
            low = middle
    return high


def _power(first: np.ndarray, second: np.ndarray) -> float:
    # Exact p values are quick in small samples, and needed only there.
    method = "exact" if first.shape[1] <= 8 else "asymptotic"
    p = stats.mannwhitneyu(first, second, axis=1, method=method).pvalue
    return float(np.mean(p < ALPHA))


def power_table(
    animals: pd.DataFrame,
    groups: Sequence[str],
    key: tuple[str, str, str],
    seed: int,
) -> pd.DataFrame:
    """A row per size of the next study; empty where this one is too small to tell.

    `animals` is the table of that name from `collect`, `key` the window, behavior and read-out.
    """
    window, behavior, readout = key
    rows: list[dict[str, Any]] = []
    wanted = (animals.window == window) & (animals.behavior == behavior)
    cell = animals[wanted & (animals.readout == readout)]
    values = cell.groupby(["animal", "group"], sort=False)["value"].mean().dropna().reset_index()
    samples = [values[values.group == group].value.to_numpy(float) for group in groups]
    if min(map(len, samples)) < FEWEST_PER_GROUP or readout == "latency_s":
        return pd.DataFrame(rows, columns=_COLUMNS)
    rng = np.random.default_rng(seed)
    for size in SIZES:
        difference = smallest_difference(samples, size, rng)
        if difference == difference:
            where = {"window": window, "behavior": behavior, "readout": readout}
            rows.append({**where, "animals_per_group": size, "smallest_difference": difference})
    return pd.DataFrame(rows, columns=_COLUMNS)


def power_sentence(table: pd.DataFrame, units: Mapping[str, str]) -> list[str]:
    """`8 animals per group find a difference of 3.1 ... with a power of 80 %`."""
    by_size = table.set_index("animals_per_group")
    if 8 not in by_size.index or 16 not in by_size.index:
        return []
    row = by_size.loc[8]
    small = number(by_size.loc[16].smallest_difference)
    unit = "percentage points" if row.readout == "time_percent" else units.get(row.readout, "")
    where = "" if row.window == "whole" else f" in {row.window}"
    return [
        f"For the next study: if animals vary as here, 8 per group find a difference of "
        f"{number(row.smallest_difference)} {unit} in {shown(row.behavior)}{where} with a power of "
        f"80 %, 16 per group one of {small}."
    ]


def power_view(table: pd.DataFrame) -> Table | None:
    """The smallest differences side by side."""
    if not len(table):
        return None
    first = table.iloc[0]
    cells: list[str | Cell] = [f"{shown(first.behavior)}, {first.window}"]
    cells += [number(value) for value in table.smallest_difference]
    header = [f"difference ({READOUT_LABELS[first.readout]}) with"]
    header += [f"{size} per group" for size in table.animals_per_group]
    return Table(header, [cells])
